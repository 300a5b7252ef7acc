"""How unusual correlations are beside those with columns that have nothing to do with each other.

Arrays only. A column of the second matrix (a gene) has correlations with a background of columns of the first (regions
of other chromosomes), in strata of columns that are alike (in how many cells a region is open).
"""

from __future__ import annotations

import numpy as np

# z-scores that differ by less are equal: sums over cells in another order
_TIE = 1e-9


def zscores(
    correlation: np.ndarray,
    second: np.ndarray,
    stratum: np.ndarray,
    background: np.ndarray,
    background_stratum: np.ndarray,
    eligible: np.ndarray,
    *,
    least: float,
) -> np.ndarray:
    r"""Deviations of correlations from those of the background of their column and stratum.

    .. math:: z_{rg} = \frac{\rho_{rg} - m_{sg}}{\max(\sigma_{sg}, \sigma_0) \sqrt{1 + 1/k}}

    with m and :math:`\sigma` the mean and the standard deviation over the k of the background of column g in stratum
    s of r. Those of the background itself are deviations from the others (externally studentised).

    Parameters
    ----------
    correlation, second, stratum
        Correlation of every pair, its column of the second matrix and its stratum (L,).
    background
        Correlations (B, G) of the background with all columns; turned into z-scores in place, NaN where not eligible.
    background_stratum
        Its strata (B,).
    eligible
        Which of the background serve which column (B, G) bool.
    least
        :math:`\sigma_0`. Over n cells in any order correlations have the deviation :math:`1/\sqrt{n-1}`; those of
        rare columns are all alike unless one cell has both, and seem to vary less.

    Returns
    -------
    ndarray
        (L,); NaN where a correlation is, or where nothing serves.
    """
    background[~eligible] = np.nan
    z = np.full(len(correlation), np.nan)
    for number in np.unique(np.concatenate([stratum, background_stratum])):
        rows, mine = np.flatnonzero(background_stratum == number), np.flatnonzero(stratum == number)
        part = background[rows]
        there = np.isfinite(part)
        count = there.sum(axis=0)  # (G,)
        mean = np.where(there, part, 0.0).sum(axis=0) / np.maximum(count, 1)
        spread = np.sqrt(np.where(there, (part - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1))
        spread = np.where(count > 2, np.maximum(spread, least), np.nan)
        background[rows] = _without_itself((part - mean) / spread, np.maximum(count, 3))
        wider = spread * np.sqrt(1 + 1 / np.maximum(count, 1))
        z[mine] = (correlation[mine] - mean[second[mine]]) / wider[second[mine]]
    return z


def _without_itself(deviations: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Deviations (B, G), in standard deviations of all of them, as if each had not been among the count (G,)."""
    internal = deviations / np.sqrt(1 - 1 / count)
    external: np.ndarray = internal * np.sqrt((count - 2) / np.maximum(count - 1 - internal**2, 1e-9))
    return external


def pvalues(z: np.ndarray, pool: np.ndarray, background: np.ndarray, background_pool: np.ndarray) -> np.ndarray:
    r"""Two-sided p-values against all z-scores of the background in the same pool.

    .. math:: p = \frac{1 + \#\{|z_0| \ge |z|\}}{1 + N}

    Parameters
    ----------
    z, pool
        Z-scores and their pools (L,).
    background, background_pool
        Those of the background, both of one shape; NaN counts for nothing.

    Returns
    -------
    ndarray
        (L,); NaN where z is. Cost: one sort of the background.
    """
    result = np.full(len(z), np.nan)
    known = np.isfinite(background)
    for number in np.unique(pool):
        null = np.sort(np.abs(background[known & (background_pool == number)]))
        mine = np.flatnonzero((pool == number) & ~np.isnan(z))
        above = len(null) - np.searchsorted(null, np.abs(z[mine]) * (1 - _TIE))
        result[mine] = (1.0 + above) / (1.0 + len(null))
    return result


def edges(size: np.ndarray, n: int) -> np.ndarray:
    """Sizes that divide columns into n strata of about equally many, columns of one size together; n - 1 at most.

    ``np.searchsorted(edges, size)`` is the stratum of a column.
    """
    if n < 2 or not len(size):
        return np.zeros(0)
    return np.unique(np.quantile(size, np.arange(1, n) / n, method="inverted_cdf"))
