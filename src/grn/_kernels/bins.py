"""Regulators in at most 32 bins each, as lists of cells: what trees on histograms read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

MAX_BINS = 32


@dataclass(frozen=True)
class Bins:
    """Cells of every bin but the commonest of a regulator, which need not be listed.

    Where a regulator has at most 32 values, each is a bin. Else its commonest value is one and the others are cut at
    quantiles. The order of the cells changes no border.

    Parameters
    ----------
    cells
        Positions of cells (E,), int32, by regulator, then bin, ascending.
    starts
        Where the cells of a bin begin in ``cells`` (S, 33); none for the commonest bin.
    common
        The commonest bin (S,).
    sizes
        Number of bins (S,).
    n
        Number of cells.
    """

    cells: np.ndarray
    starts: np.ndarray
    common: np.ndarray
    sizes: np.ndarray
    n: int

    @classmethod
    def of(cls, X: Any) -> Bins:
        """Bins of the columns of a matrix (n, S), dense or sparse.

        Cost: sorts the values that are not 0; memory 4 bytes for every cell outside the commonest bin of a regulator.
        """
        return cls._joined([_binned(rows, values, X.shape[0]) for rows, values in _columns(X)], X.shape[0])

    @classmethod
    def _joined(cls, parts: list[tuple[np.ndarray, np.ndarray, int]], n: int) -> Bins:
        """From the listed cells, the sizes of the bins (33,) and the commonest bin of every column."""
        counts = np.array([sizes for _, sizes, _ in parts], dtype=np.int64).reshape(len(parts), MAX_BINS + 1)
        common = np.array([common for _, _, common in parts], dtype=np.int64)
        sizes = counts[:, -1].copy()
        listed = counts[:, :-1]
        ends = np.cumsum(listed.ravel()).reshape(listed.shape)
        starts = np.concatenate([ends[:, :1] - listed[:, :1], ends], axis=1)  # (S, 33)
        cells = np.concatenate([cells for cells, _, _ in parts]) if parts else np.zeros(0, np.int32)
        return cls(cells, starts, common, sizes, n)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As compiled code takes them."""
        return self.cells, self.starts, self.common, self.sizes

    def codes(self) -> np.ndarray:
        """Bin of every cell (n, S), a byte each."""
        table = np.empty((self.n, len(self.sizes)), dtype=np.uint8)
        table[:] = self.common
        counts = np.diff(self.starts, axis=1)  # (S, 32)
        for f, (starts, sizes) in enumerate(zip(self.starts, counts, strict=True)):
            table[self.cells[starts[0] : starts[-1]], f] = np.repeat(np.arange(MAX_BINS, dtype=np.uint8), sizes)
        return table

    def permuted(self, order: np.ndarray) -> Bins:
        """Those of ``X[order]``: cell i has the values of cell ``order[i]`` (n,). Nothing is cut anew."""
        place = np.empty(self.n, dtype=np.int32)
        place[order] = np.arange(self.n, dtype=np.int32)
        segment = np.repeat(np.arange(self.starts.shape[0] * MAX_BINS), np.diff(self.starts, axis=1).ravel())
        moved = place[self.cells]
        return Bins(moved[np.lexsort((moved, segment))], self.starts, self.common, self.sizes, self.n)

    def beside(self, other: Bins) -> Bins:
        """These regulators followed by others of the same cells."""
        starts = np.concatenate([self.starts, other.starts + len(self.cells)])
        cells, common = np.concatenate([self.cells, other.cells]), np.concatenate([self.common, other.common])
        return Bins(cells, starts, common, np.concatenate([self.sizes, other.sizes]), self.n)


def _columns(X: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and values of every column that are not 0."""
    if sparse.issparse(X):
        X = sparse.csc_array(X)
        X.sort_indices()
        for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            some = X.data[start:stop] != 0
            yield X.indices[start:stop][some], X.data[start:stop][some]
    else:
        for column in np.asarray(X).T:
            rows = np.flatnonzero(column)
            yield rows, column[rows]


def _binned(rows: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Listed cells of a column, numbers of them by bin with the number of bins last (33,), and the commonest bin."""
    upper = _borders(values, n - len(values))
    codes = np.searchsorted(upper, values)
    if len(values) < n:
        zero = int(np.searchsorted(upper, 0))
        counts = np.bincount(codes, minlength=MAX_BINS)
        counts[zero] += n - len(values)
        common = int(counts.argmax())
        if common != zero:
            others = np.ones(n, dtype=bool)
            others[rows] = False
            rows = np.concatenate([rows, np.flatnonzero(others)])
            codes = np.concatenate([codes, np.full(n - len(codes), zero)])
    else:
        common = int(np.bincount(codes).argmax())
    listed = codes != common
    rows, codes = rows[listed], codes[listed]
    sizes = np.append(np.bincount(codes, minlength=MAX_BINS), len(upper))
    return rows[np.lexsort((rows, codes))].astype(np.int32), sizes, common


def _borders(values: np.ndarray, zeros: int) -> np.ndarray:
    """Largest value of every bin, ascending."""
    distinct, counts = np.unique(values, return_counts=True)
    if zeros:
        at = int(np.searchsorted(distinct, 0))
        distinct, counts = np.insert(distinct, at, 0), np.insert(counts, at, zeros)
    if len(distinct) <= MAX_BINS:
        return distinct
    commonest = int(counts.argmax())
    rest = np.delete(distinct, commonest)
    mass = np.cumsum(np.delete(counts, commonest))
    # one bin is the commonest value, and one border more may be needed beside it
    quantiles = mass[-1] * np.arange(1, MAX_BINS - 1) / (MAX_BINS - 2)
    cuts = rest[np.searchsorted(mass, quantiles)]
    beside = distinct[max(0, commonest - 1) : commonest + 1]
    return np.unique(np.concatenate([cuts, beside, distinct[-1:]]))
