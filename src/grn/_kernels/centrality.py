"""Centralities of weighted directed networks by power iteration; arrays and sparse matrices only."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

_STEPS = 10_000


def pagerank(weights: sp.csr_matrix, *, damping: float = 0.85, tolerance: float = 1e-12) -> np.ndarray:
    r"""PageRank of regulators: credit flows from every target to its regulators, in proportion to their weights.

    .. math:: x_i = \frac{1 - d}{n} + d \Bigl( \sum_j \frac{|w_{ij}|}{\sum_k |w_{kj}|} x_j + \frac{1}{n}
              \sum_{j: \text{no regulator}} x_j \Bigr)

    Parameters
    ----------
    weights
        Weights (n, n), row = regulator, column = target.
    damping
        :math:`d`, from 0 to below 1.
    tolerance
        Largest summed change of the last step.

    Returns
    -------
    ndarray
        (n,), sums to 1. Cost: one sparse product per step, at most ``log(tolerance) / log(damping)`` steps.
    """
    n = weights.shape[0]
    if not n:
        return np.zeros(0)
    strength = abs(weights).tocsr()
    incoming = np.asarray(strength.sum(axis=0)).ravel()
    free = incoming == 0
    share = np.divide(1.0, incoming, out=np.zeros(n), where=~free)
    credit: np.ndarray = np.full(n, 1.0 / n)
    for _ in range(_STEPS):
        new = damping * (strength @ (credit * share) + credit[free].sum() / n) + (1 - damping) / n
        change = np.abs(new - credit).sum()
        credit = new / new.sum()
        if change <= tolerance:
            break
    return credit


def eigenvector(weights: sp.csr_matrix, *, tolerance: float = 1e-10) -> np.ndarray:
    r"""Eigenvector centrality on the undirected network :math:`|W| + |W|^T`, largest entry 1.

    In a directed network without cycles the directed centrality is 0 everywhere, so direction is left aside.

    Parameters
    ----------
    weights
        Weights (n, n), row = regulator, column = target.
    tolerance
        Largest change of an entry in the last step.

    Returns
    -------
    ndarray
        (n,) within [0, 1]; 0 without edges. Cost: one sparse product per step.
    """
    n = weights.shape[0]
    strength = abs(weights).tocsr()
    both = (strength + strength.T).tocsr()
    largest = float(np.asarray(both.sum(axis=1)).max(initial=0.0)) if n else 0.0
    if largest == 0:
        return np.zeros(n)
    scores: np.ndarray = np.ones(n)
    # a network of regulators and targets has eigenvalues of equal size and opposite sign; the shift tells them apart
    shifted = both / largest + 0.5 * sp.eye(n, format="csr")
    for _ in range(_STEPS):
        new = shifted @ scores
        new /= new.max()
        change = np.abs(new - scores).max()
        scores = new
        if change <= tolerance:
            break
    scores[np.asarray(both.sum(axis=1)).ravel() == 0] = 0.0
    return scores
