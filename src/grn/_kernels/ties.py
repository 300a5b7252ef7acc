"""Computed numbers that are the same but for rounding."""

from __future__ import annotations

import numpy as np

# sums of the same numbers in another order differ by less than this share of a number, or of the largest number
RELATIVE, OF_LARGEST = 1e-7, 1e-12


def merged(values: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """The numbers, those that differ by rounding replaced by the largest of them.

    Parameters
    ----------
    values
        Numbers (N,); NaN stays NaN.
    groups
        Integers (N,): numbers of different groups do not meet. One group by default.

    Returns
    -------
    ndarray
        (N,) float64. Numbers within a share of 1e-7 of the largest of a set count as one, so that chains of close
        numbers do not. Cost: a sort.
    """
    values = np.asarray(values, dtype=np.float64)
    joined = values.copy()
    where = np.zeros(len(values), dtype=np.int64) if groups is None else np.asarray(groups)
    finite = np.isfinite(values)
    for group in np.unique(where[finite]):
        members = np.flatnonzero(finite & (where == group))
        order = members[np.argsort(-values[members], kind="stable")]
        falling = values[order]
        slack = RELATIVE * np.abs(falling) + OF_LARGEST * np.abs(falling).max()
        starts = np.append(True, falling[:-1] - falling[1:] > slack[:-1])
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(falling))
        for chain in np.flatnonzero(falling[first] - falling[last - 1] > slack[first]):
            _split(falling, starts, slack, int(first[chain]), int(last[chain]))
        first = np.flatnonzero(starts)
        joined[order] = falling[first[np.cumsum(starts) - 1]]
    return joined


def ranks(values: np.ndarray, *, method: str = "average") -> np.ndarray:
    """Ranks (N,) from 1 for the smallest; numbers that differ by rounding are ties.

    Parameters
    ----------
    values
        Finite numbers (N,).
    method
        What ties get, as in :func:`scipy.stats.rankdata`: ``"average"``, ``"min"``, ...
    """
    from scipy.stats import rankdata

    ranked: np.ndarray = rankdata(merged(values), method=method)
    return ranked


def _split(falling: np.ndarray, starts: np.ndarray, slack: np.ndarray, start: int, stop: int) -> None:
    """Cut a chain of close numbers where one is too far from the first of its set."""
    while falling[start] - falling[stop - 1] > slack[start]:
        start += int(np.searchsorted(-falling[start:stop], -(falling[start] - slack[start]), side="right"))
        starts[start] = True
