"""What differs between two sets of cells: a statistic per gene, and one per set of weighted genes."""

from __future__ import annotations

import numpy as np
from scipy import sparse, stats

# spreads that are rounding, not noise: nothing to test against
_FLAT = 1e-9


def welch(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    n_first: np.ndarray,
    n_second: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of means (first - second), Welch's t and its two-sided p.

    Parameters
    ----------
    first, second
        Mean and standard deviation (divided by the number of cells) per gene, of shapes that broadcast.
    n_first, n_second
        Numbers of cells, of shapes that broadcast against them.

    Returns
    -------
    tuple of ndarray
        A gene that is constant on both sides has t = 0 and p = 1.
    """
    (mean_a, std_a), (mean_b, std_b) = first, second
    unbiased_a, unbiased_b = (std * np.sqrt(n / (n - 1)) for std, n in ((std_a, n_first), (std_b, n_second)))
    flat = (std_a <= _FLAT) & (std_b <= _FLAT)
    with np.errstate(divide="ignore", invalid="ignore"):
        test = stats.ttest_ind_from_stats(mean_a, unbiased_a, n_first, mean_b, unbiased_b, n_second, equal_var=False)
    return mean_a - mean_b, np.where(flat, 0.0, test.statistic), np.where(flat, 1.0, test.pvalue)


def slopes(statistic: np.ndarray, weights: sparse.csr_matrix) -> np.ndarray:
    r"""The t of the slope of a statistic of genes on the weights of every set: ULM.

    .. math:: t = r \sqrt{(G - 2) / (1 - r^2)}

    with :math:`r` the correlation of statistic and weights over all G genes, which have weight 0 outside the set. It is
    what decoupler's ``ulm`` gives for one row.

    Parameters
    ----------
    statistic
        One number per gene (G,).
    weights
        Sets in rows (S, G).

    Returns
    -------
    ndarray
        (S,); NaN where the statistic, or the weights of a set, are the same for all genes.
    """
    n = len(statistic)
    centred = statistic - statistic.mean()
    squared = np.asarray(weights.multiply(weights).sum(axis=1)).ravel()
    spread = squared - np.asarray(weights.sum(axis=1)).ravel() ** 2 / n
    scale = np.sqrt(np.where(spread > _FLAT * squared, spread, 0.0) * (centred @ centred))
    r = np.divide(weights @ centred, scale, out=np.full(weights.shape[0], np.nan), where=scale > 0)
    r = np.clip(r, -1 + 1e-12, 1 - 1e-12)
    result: np.ndarray = r * np.sqrt((n - 2) / (1 - r**2))
    return result
