"""How far a score is that of one group of cells: one minus the Jensen-Shannon distance to its indicator."""

from __future__ import annotations

import numpy as np


def specificity(scores: np.ndarray, codes: np.ndarray, n_groups: int) -> np.ndarray:
    r"""Specificity of scores for groups (Suo et al. 2018).

    With p the scores over cells and q the indicator of a group, each divided by its sum, and m their mean,
    :math:`1 - \sqrt{(KL(p, m) + KL(q, m)) / 2}`, in natural logarithms as in scipy.

    Parameters
    ----------
    scores
        Scores (n, F) that are not negative.
    codes
        Group (n,) of every cell; -1 for none, which is left out.
    n_groups
        Number of groups.

    Returns
    -------
    ndarray
        (n_groups, F) in (0.16, 1]; NaN for a score that is 0 in all cells, or a group without cells.
    """
    inside = codes >= 0
    p, code = scores[inside].astype(np.float64), codes[inside]
    total = p.sum(axis=0)
    p = np.divide(p, total, out=np.full(p.shape, np.nan), where=total > 0)  # (n, F)
    size = np.bincount(code, minlength=n_groups)
    logs = _xlogx(p)
    table = np.full((n_groups, p.shape[1]), np.nan)
    for group in np.flatnonzero(size):
        members = code == group
        q = 1.0 / size[group]
        mean = (p[members] + q) / 2
        # where q is 0, the mean is p / 2
        first = logs.sum(axis=0) - (p[members] * np.log(mean)).sum(axis=0)
        outside = p[~members]
        first -= (_xlogx(outside) - outside * np.log(2)).sum(axis=0)
        second = np.log(q) - (q * np.log(mean)).sum(axis=0)
        table[group] = 1.0 - np.sqrt(np.maximum((first + second) / 2, 0.0))
    return table


def _xlogx(p: np.ndarray) -> np.ndarray:
    """Terms of an entropy; 0 for 0."""
    terms: np.ndarray = p * np.log(np.where(p > 0, p, 1.0))
    return terms
