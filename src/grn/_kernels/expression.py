"""Expression matrices: what scale they are on, and log-normalisation and moments in row blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

Kind = Literal["counts", "linear", "log", "scaled", "nan", "empty"]

_TARGET_SUM = 1e4
# log1p of any count per 10 000 stays below 10; log2(TPM + 1) below 20; the rest is linear
_LARGEST_LOG = 25.0


def row_blocks(X: Any, *, rows: int = 4096) -> Iterator[tuple[slice, Any]]:
    """Blocks of rows of a dense, sparse or disk-backed matrix; sparse blocks come as CSR."""
    if sp.issparse(X) and X.format != "csr":
        X = X.tocsr()
    for start in range(0, X.shape[0], rows):
        where = slice(start, min(start + rows, X.shape[0]))
        block = X[where]
        yield where, (block.tocsr() if sp.issparse(block) else np.asarray(block))


def detect_kind(X: Any) -> Kind:
    """Scale of an expression matrix.

    ``scaled`` has negative values, ``counts`` only integers, ``log`` values up to 25, ``linear`` the rest
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
    return "linear" if high > _LARGEST_LOG else "log"


def log_normalize(block: Any, *, totals: np.ndarray | None = None) -> Any:
    """log1p of values per 10 000 of the cell's total, dense or sparse float32; cells without counts stay zero."""
    total = np.asarray(block.sum(axis=1), dtype=np.float64).ravel() if totals is None else totals
    factor = (_TARGET_SUM / np.where(total > 0, total, np.inf)).astype(np.float32)
    if sp.issparse(block):
        out = sp.csr_matrix(block, dtype=np.float32, copy=True)
        out.data *= np.repeat(factor, np.diff(out.indptr))
        np.log1p(out.data, out=out.data)
        return out
    return np.log1p(np.asarray(block, dtype=np.float32) * factor[:, None])


def as_log(block: Any, kind: Kind) -> Any:
    """A block of rows as log-normalised float32 values; the log kind passes through."""
    if kind in ("counts", "linear"):
        return log_normalize(block)
    return block.astype(np.float32)


def sums(block: Any) -> tuple[np.ndarray, np.ndarray]:
    """Column sums of values and of squares, float64."""
    if sp.issparse(block):
        wide = block.astype(np.float64)
        return np.asarray(wide.sum(axis=0)).ravel(), np.asarray(wide.multiply(wide).sum(axis=0)).ravel()
    wide = np.asarray(block, dtype=np.float64)
    return wide.sum(axis=0), np.square(wide).sum(axis=0)


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
    total, square, n = np.zeros(X.shape[1]), np.zeros(X.shape[1]), 0
    for where, block in row_blocks(X):
        rows = as_log(block, kind)
        if mask is not None:
            rows = rows[mask[where]]
        s, q = sums(rows)
        total, square, n = total + s, square + q, n + rows.shape[0]
    if n == 0:
        return total, square
    mean = total / n
    variance = square / n - mean**2
    # a constant gene must have exactly zero spread, not the rounding error of the subtraction
    variance[variance < 1e-10 * np.maximum(square / n, 1e-300)] = 0.0
    return mean, np.sqrt(variance)
