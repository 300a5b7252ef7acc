"""One rank from several: the order statistics of rank ratios (Stuart et al. 2003; Aerts et al. 2006)."""

from __future__ import annotations

from math import factorial

import numpy as np

from grn._kernels.ties import merged


def rank_ratios(values: np.ndarray) -> np.ndarray:
    """Rank, from the largest down, divided by the number of items (N,); equal values share their mean rank."""
    from scipy.stats import rankdata

    ranked: np.ndarray = rankdata(-merged(values), method="average") / len(values)
    return ranked


def order_statistics(ratios: np.ndarray) -> np.ndarray:
    r"""Chance that random rank ratios are all as small, sorted, as those of an item.

    With sorted ratios :math:`r_1 \le \dots \le r_m`, :math:`Q = m!\, V_m`, :math:`V_0 = 1` and
    :math:`V_k = \sum_{i=1}^{k} (-1)^{i-1} V_{k-i}\, r_{m-k+1}^i / i!`.

    Parameters
    ----------
    ratios
        Rank ratios (N, m) in (0, 1].

    Returns
    -------
    ndarray
        Q (N,) in (0, 1]; smaller is better.
    """
    ordered = np.sort(ratios, axis=1)
    m = ordered.shape[1]
    terms = [np.ones(len(ordered))]
    for k in range(1, m + 1):
        r = ordered[:, m - k]
        terms.append(sum((-1) ** (i - 1) * terms[k - i] * r**i / factorial(i) for i in range(1, k + 1)))
    q: np.ndarray = factorial(m) * terms[m]
    return q
