"""Rank-sum tests (Wilcoxon, Mann and Whitney) of many sparse columns at once, each group against all others."""

from __future__ import annotations

import numpy as np
from scipy import sparse, stats


def rank_sum(values: sparse.csc_matrix, codes: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Z-scores and two-sided p-values (G, M) of every group against the rest, by the normal approximation.

    With a correction for ties and for continuity, as ``scipy.stats.mannwhitneyu(method="asymptotic")`` has them. What
    is not stored is zero; only stored values are sorted.

    Parameters
    ----------
    values
        Observations x columns (n, M).
    codes
        Group of every observation (n,), from 0.
    n_groups
        Number of groups G.

    Returns
    -------
    ndarray, ndarray
        z is positive where values of the group are higher. 0 and 1 where a group or its rest is empty, or all is tied.
    """
    sums, ties = _rank_sums(sparse.csc_matrix(values), codes, n_groups)
    n = len(codes)
    inside = np.bincount(codes, minlength=n_groups).astype(np.float64)[:, None]  # (G, 1)
    outside = n - inside
    above = sums - inside * (inside + 1) / 2 - inside * outside / 2  # U minus its mean
    variance = inside * outside / 12 * (n + 1 - ties / max(n * (n - 1), 1))
    distance = np.maximum(np.abs(above) - 0.5, 0)
    z = np.divide(distance, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(above), where=variance > 1e-9)
    return np.sign(above) * z, np.minimum(2 * stats.norm.sf(z), 1.0)


def _rank_sums(values: sparse.csc_matrix, codes: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of mean ranks (G, M), and the sum over ties of t**3 - t (M,)."""
    n, n_columns = values.shape
    column = np.repeat(np.arange(n_columns), np.diff(values.indptr))
    keep = values.data != 0
    data, row, column = values.data[keep], values.indices[keep], column[keep]
    order = np.lexsort([data, column])
    data, row, column = data[order], row[order], column[order]
    stored = np.bincount(column, minlength=n_columns)
    below = np.bincount(column[data < 0], minlength=n_columns)
    zeros = n - stored
    opens = np.r_[True, (data[1:] != data[:-1]) | (column[1:] != column[:-1])][: len(data)]
    first, block = np.flatnonzero(opens), np.cumsum(opens) - 1
    length = np.diff(np.r_[first, len(data)])
    begin = np.cumsum(stored) - stored
    rank = (first + (length + 1) / 2)[block] - begin[column] + np.where(data > 0, zeros[column], 0)
    shape = n_groups, n_columns
    at = codes[row].astype(np.int64) * n_columns + column
    size = n_groups * n_columns
    sums = np.bincount(at, rank, size).reshape(shape)
    empty = np.bincount(codes, minlength=n_groups)[:, None] - np.bincount(at, minlength=size).reshape(shape)
    sums = sums + empty * (below + (zeros + 1) / 2)
    cubes = np.bincount(column[first], length.astype(np.float64) ** 3 - length, n_columns)
    return sums, cubes + zeros.astype(np.float64) ** 3 - zeros
