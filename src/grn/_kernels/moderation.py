"""t statistics of many quantities measured on a few replicates, with variances that borrow from each other."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special, stats

# variances below this share of the median are taken for it: their logarithm would say more than all others
_SMALLEST = 1e-5
# fewest variances that a prior is fitted on
_FEWEST = 10


def paired(first: np.ndarray, second: np.ndarray, *, moderate: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of ``first - second`` (n, K) over pairs, its t and two-sided p (K,); see :func:`unpaired`."""
    difference = first - second
    n = len(difference)
    return _tested(difference.mean(axis=0), difference.var(axis=0, ddof=1), n - 1, 1 / n, moderate=moderate)


def unpaired(first: np.ndarray, second: np.ndarray, *, moderate: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of the means of two sets of replicates, its t and two-sided p.

    Parameters
    ----------
    first, second
        Values (n, K) and (m, K) of K quantities.
    moderate
        Shrink the variances to a common value, see :func:`prior`; else the t test with one variance for both sets.

    Returns
    -------
    tuple of ndarray
        (K,) each; t and p are NaN where nothing varies.
    """
    n, m = len(first), len(second)
    variance = ((n - 1) * first.var(axis=0, ddof=1) + (m - 1) * second.var(axis=0, ddof=1)) / (n + m - 2)
    return _tested(first.mean(axis=0) - second.mean(axis=0), variance, n + m - 2, 1 / n + 1 / m, moderate=moderate)


def prior(variance: np.ndarray, df: float) -> tuple[float, float]:
    r"""The value that variances scatter about, and how tightly, as degrees of freedom that it is worth.

    Empirical Bayes of Smyth 2004 (doi 10.2202/1544-6115.1027): true variances follow a scaled inverse chi-square law,

    .. math:: \frac{d_0 s_0^2}{\sigma^2} \sim \chi^2_{d_0}

    whose two parameters are those that give the mean and the variance of the logarithms of what was measured.

    Parameters
    ----------
    variance
        Variances above zero (K,), each of ``df`` degrees of freedom.
    df
        Those degrees.

    Returns
    -------
    tuple of float
        :math:`s_0^2` and :math:`d_0`, which is infinite where variances scatter no more than chance makes them.
    """
    logarithm = np.log(np.maximum(variance, _SMALLEST * np.median(variance)))
    logarithm -= special.digamma(df / 2) - np.log(df / 2)
    beyond = logarithm.var(ddof=1) - float(special.polygamma(1, df / 2))
    if beyond <= 0:
        return float(np.exp(logarithm.mean())), np.inf
    half = float(np.exp(optimize.brentq(lambda x: special.polygamma(1, np.exp(x)) - beyond, -20.0, 20.0)))
    return float(np.exp(logarithm.mean() + special.digamma(half) - np.log(half))), 2 * half


def _tested(
    difference: np.ndarray, variance: np.ndarray, df: int, scale: float, *, moderate: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    varies = variance > 0
    degrees: float = df
    if moderate and varies.sum() >= _FEWEST:
        common, worth = prior(variance[varies], df)
        # a prior cannot know more than all variances together
        degrees = min(df + worth, df * int(varies.sum()))
        share = 1.0 if np.isinf(worth) else worth / (worth + df)
        variance = np.where(varies, share * common + (1 - share) * variance, 0.0)
    t = np.divide(difference, np.sqrt(variance * scale), out=np.full(len(variance), np.nan), where=varies)
    return difference, t, 2 * stats.t.sf(np.abs(t), df=degrees)
