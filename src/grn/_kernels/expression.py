"""Expression matrices: what scale they are on, and log-normalisation and moments in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

Kind = Literal["counts", "linear", "log", "scaled", "nan", "empty"]

TARGET_SUM = 1e4
# log1p of counts per 10 000 stays below 10 and log2(TPM + 1) below 20; what is larger is linear
LINEAR_ABOVE = 50.0


def row_blocks(X: Any, *, rows: int = 4096) -> Iterator[tuple[slice, Any]]:
    """Blocks of rows of a dense, sparse or disk-backed matrix; sparse blocks come as CSR."""
    if sp.issparse(X) and X.format != "csr":
        X = X.tocsr()
    for start in range(0, X.shape[0], rows):
        where = slice(start, min(start + rows, X.shape[0]))
        block = X[where]
        yield where, (_canonical(block.tocsr()) if sp.issparse(block) else np.asarray(block))


def _canonical(block: Any) -> Any:
    if not block.has_canonical_format:
        block = block.copy()
        block.sum_duplicates()
    return block


def detect_kind(X: Any) -> Kind:
    """Scale of an expression matrix.

    ``scaled`` has negative values, ``counts`` only integers, ``log`` values up to 50, ``linear`` the rest
    (FPKM, TPM, corrected counts); ``nan`` holds NaN or infinity, ``empty`` has no cells or genes.
    """
    if 0 in X.shape:
        return "empty"
    low, high, integer = np.inf, -np.inf, True
    for _, block in row_blocks(X):
        values = block.data if sp.issparse(block) else block
        if values.size == 0:
            continue
        if not np.isfinite(values).all():
            return "nan"
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        integer = integer and bool((values == np.rint(values)).all())
    if low < 0:
        return "scaled"
    if integer:
        return "counts"
    return "linear" if high > LINEAR_ABOVE else "log"


def log_normalize(block: Any) -> Any:
    """log1p of values per 10 000 of the cell's total, dense or CSR float64; cells without counts stay zero."""
    totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    scale = np.divide(TARGET_SUM, totals, out=np.zeros_like(totals), where=totals > 0)
    if sp.issparse(block):
        out = block.astype(np.float64, copy=True)
        out.data = np.log1p(out.data * np.repeat(scale, np.diff(out.indptr)))
        return out
    return np.log1p(np.asarray(block, dtype=np.float64) * scale[:, None])


def as_log(block: Any, kind: Kind) -> Any:
    """A block of rows as log-normalised values; the log kind passes through."""
    return log_normalize(block) if kind in ("counts", "linear") else block


class RunningMoments:
    """Mean and spread per gene, accumulated over blocks of cells without loss of precision.

    Blocks are merged by the update of Chan, Golub and LeVeque (1979).

    Parameters
    ----------
    n_vars
        Number of genes.
    """

    def __init__(self, n_vars: int) -> None:
        self.count = 0
        self._mean = np.zeros(n_vars)
        self._squares = np.zeros(n_vars)

    def add(self, block: Any) -> None:
        """Take in a dense or CSR block (cells, genes)."""
        size = block.shape[0]
        if size == 0:
            return
        mean, squares = _block_moments(block)
        delta, total = mean - self._mean, self.count + size
        self._mean += delta * size / total
        self._squares += squares + delta**2 * self.count * size / total
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation, float64; exactly zero spread for constant genes."""
        std = np.sqrt(self._squares / max(self.count, 1))
        std[std <= 1e-9 * np.abs(self._mean)] = 0.0
        return self._mean, std


def moments(X: Any, kind: Kind, *, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation per gene of the log-normalised values, in one pass over row blocks.

    Parameters
    ----------
    X
        Matrix (cells, genes), dense, sparse or backed.
    kind
        Its scale, from :func:`detect_kind`.
    mask
        Cells to use (cells,) bool; all by default.
    """
    running = RunningMoments(X.shape[1])
    for where, block in row_blocks(X):
        rows = as_log(block, kind)
        running.add(rows if mask is None else rows[mask[where]])
    return running.result()


def _block_moments(block: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sum of squared deviations per column."""
    size, n_vars = block.shape
    if not sp.issparse(block):
        mean = block.mean(axis=0, dtype=np.float64)
        return mean, np.square(block - mean).sum(axis=0)
    data, columns = block.data.astype(np.float64), block.indices
    mean = np.bincount(columns, weights=data, minlength=n_vars) / size
    squares = np.bincount(columns, weights=(data - mean[columns]) ** 2, minlength=n_vars)
    return mean, squares + (size - np.bincount(columns, minlength=n_vars)) * mean**2
