"""Expression matrices: what scale they are on, and log-normalisation and moments in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from grn._kernels.matrix import VALUES, Piece, open_matrix, pieces, take, to_rows
from grn._kernels.matrix_parts import Source
from grn._kernels.scale import Kind

TARGET_SUM = 1e4


def row_blocks(X: Any, *, rows: int = 4096) -> Iterator[tuple[slice, Any]]:
    """Blocks of up to ``rows`` rows as float64, dense or CSR; a matrix stored by columns is turned in memory."""
    source = open_matrix(X)
    if source.axis == 1 and 0 not in source.shape:
        source = open_matrix(X.tocsr() if sp.issparse(X) else to_rows(source))
    step = max(1, min(rows, 4 * VALUES // max(1, source.shape[1])))
    for start in range(0, source.shape[0], step):
        where = slice(start, min(start + step, source.shape[0]))
        yield where, take(source, where)


def cell_totals(X: Any) -> np.ndarray:
    """Sum of every cell over all genes, float64 (cells,)."""
    source = open_matrix(X)
    totals: np.ndarray = np.zeros(source.shape[0])
    for piece in pieces(source):
        totals[piece.rows] += piece.values.sum(axis=1)
    return totals


def log_normalize(block: Any, totals: np.ndarray | None = None) -> Any:
    """log1p of values per 10 000 of the cell's total, dense or sparse float64; cells without counts stay zero.

    Parameters
    ----------
    block
        Cells (c, genes).
    totals
        Totals of these cells (c,), needed where the block has not all their genes.
    """
    out = block.astype(np.float64)
    if totals is None:
        totals = np.asarray(out.sum(axis=1)).ravel()
    scale = np.divide(TARGET_SUM, totals, out=np.zeros_like(totals), where=totals > 0)
    if not sp.issparse(out):
        return np.log1p(out * scale[:, None])
    if out.format == "csc":
        factors = scale[out.indices]
    else:
        out = out.tocsr()
        factors = np.repeat(scale, np.diff(out.indptr))
    out.data = np.log1p(out.data * factors)
    return out


def as_log(block: Any, kind: Kind, totals: np.ndarray | None = None) -> Any:
    """A block of cells as log-normalised values; the log kind passes through."""
    return log_normalize(block, totals) if kind in ("counts", "linear") else block


class RunningMoments:
    """Mean and spread per gene, accumulated in float64 over blocks of cells without loss of precision.

    Blocks are merged by the update of Chan, Golub and LeVeque (1979).

    Parameters
    ----------
    n_vars
        Number of genes.
    """

    def __init__(self, n_vars: int) -> None:
        self.count = np.zeros(n_vars, dtype=np.int64)
        self._mean = np.zeros(n_vars)
        self._squares = np.zeros(n_vars)

    def add(self, block: Any, columns: slice | np.ndarray = slice(None)) -> None:
        """Take in a dense or sparse block (cells, genes), of some genes only if ``columns`` says so."""
        if block.shape[0]:
            self._merge(block.shape[0], *_block_moments(block), columns)

    def join(self, other: RunningMoments) -> None:
        """Take in the cells of another."""
        self._merge(other.count, other._mean, other._squares, slice(None))

    def _merge(self, size: Any, mean: np.ndarray, squares: np.ndarray, where: slice | np.ndarray) -> None:
        before = self.count[where]
        total = before + size
        delta, share = mean - self._mean[where], size / np.maximum(total, 1)
        self._mean[where] += delta * share
        self._squares[where] += squares + delta**2 * before * share
        self.count[where] = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation, float64; exactly zero spread for constant genes."""
        std = np.sqrt(self._squares / np.maximum(self.count, 1))
        std[std <= 1e-9 * np.abs(self._mean)] = 0.0
        return self._mean, std


def moments(X: Any, kind: Kind, *, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation per gene of the log-normalised values, in one pass.

    Parameters
    ----------
    X
        Matrix (cells, genes), dense, sparse or backed.
    kind
        Its scale, from :func:`grn._kernels.scan.detect_kind`.
    mask
        Cells to use (cells,) bool; all by default.
    """
    codes = np.zeros(X.shape[0], dtype=np.int64) if mask is None else np.where(mask, 0, -1)
    return group_moments(X, kind, codes, 1)[0].result()


def group_moments(
    X: Any,
    kind: Kind,
    codes: np.ndarray,
    n_groups: int,
    *,
    totals: np.ndarray | None = None,
    columns: np.ndarray | None = None,
) -> list[RunningMoments]:
    """Moments of the log-normalised values of every group of cells, in one pass over the matrix.

    Parameters
    ----------
    X, kind
        Matrix and its scale.
    codes
        Group of every cell (cells,), -1 for cells that are left out and, where that saves anything, not read.
    n_groups
        Number of groups.
    totals
        Totals of the cells where they are known; a matrix that is stored by genes is read twice without them.
    columns
        Distinct genes to keep after normalising over all of them, in this order; all by default.
    """
    source: Source = open_matrix(X)
    normalised = kind in ("counts", "linear")
    if normalised and totals is None and source.axis == 1:
        totals = cell_totals(source)
    place = None
    if columns is not None:
        place = np.full(source.shape[1], -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
    groups = [RunningMoments(source.shape[1] if columns is None else len(columns)) for _ in range(n_groups)]
    left_out = codes < 0
    for piece in pieces(source, ~left_out if left_out.any() else None):
        depth = None if totals is None or not normalised else totals[piece.rows]
        block, where = _kept(piece, as_log(piece.values, kind, depth), place)
        for code, part in _by_group(block, codes[piece.rows]):
            groups[code].add(part, where)
    return groups


def seen(X: Any, codes: np.ndarray, n_groups: int, *, columns: np.ndarray | None = None) -> np.ndarray:
    """Number of cells of every group in which a gene is above zero (n_groups, genes), in one pass over the matrix.

    Parameters
    ----------
    X
        Matrix on any scale on which zero is zero.
    codes
        Group of every cell (cells,), -1 for cells that are left out.
    n_groups
        Number of groups.
    columns
        Distinct genes to count, in this order; all by default.
    """
    source: Source = open_matrix(X)
    place = None
    if columns is not None:
        place = np.full(source.shape[1], -1, dtype=np.int64)
        place[columns] = np.arange(len(columns))
    counts = np.zeros((n_groups, source.shape[1] if columns is None else len(columns)), dtype=np.int64)
    for piece in pieces(source, codes >= 0 if (codes < 0).any() else None):
        block, where = _kept(piece, piece.values, place)
        for code, part in _by_group(block, codes[piece.rows]):
            if code >= 0:
                counts[code, where] += np.asarray((part > 0).sum(axis=0)).ravel()
    return counts


def _kept(piece: Piece, block: Any, place: np.ndarray | None) -> tuple[Any, slice | np.ndarray]:
    """The genes wanted of a block, and where each goes."""
    if place is None:
        return block, piece.columns
    where = place[piece.columns]
    return block[:, where >= 0], where[where >= 0]


def _by_group(block: Any, codes: np.ndarray) -> Iterator[tuple[int, Any]]:
    """The rows of every group that occurs."""
    if not len(codes):
        return
    if (codes == codes[0]).all():
        yield int(codes[0]), block
        return
    order = np.argsort(codes, kind="stable")
    block = (block.tocsr() if sp.issparse(block) else block)[order]
    present, first = np.unique(codes[order], return_index=True)
    for code, start, stop in zip(present, first, [*first[1:], len(codes)], strict=True):
        yield int(code), block[start:stop]


def _block_moments(block: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sum of squared deviations per column."""
    size, n_vars = block.shape
    if not sp.issparse(block):
        mean = block.mean(axis=0, dtype=np.float64)
        return mean, np.square(block - mean).sum(axis=0)
    block = block.tocsr()
    data, columns = block.data.astype(np.float64, copy=False), block.indices
    mean = np.bincount(columns, weights=data, minlength=n_vars) / size
    squares = np.bincount(columns, weights=(data - mean[columns]) ** 2, minlength=n_vars)
    return mean, squares + (size - np.bincount(columns, minlength=n_vars)) * mean**2
