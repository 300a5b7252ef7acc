"""Points divided into compact parts of about the same number, in less than quadratic time."""

from __future__ import annotations

import numpy as np

# parts that points are divided into at a time, points per part that centres are learned from, and rounds of learning
WAYS, LEARNED, ROUNDS = 64, 100, 10
# points that are compared with centres at a time
_POINTS = 16_384
# parts below this share of the size asked for are given up, and their points go to the nearest centre that is left
_LEAST = 1 / 3


def partition(points: np.ndarray, size: float) -> np.ndarray:
    """Divide points by k-means into parts of about ``size`` each, the larger ones again and again.

    Parameters
    ----------
    points
        Coordinates (n, d); centres start at points that are evenly spaced in their order.
    size
        Points per part, at least 1.

    Returns
    -------
    ndarray
        Part of every point (n,), numbered by the first point of each. A part has a third of ``size`` at least, unless
        it is the only one. Cost: n d ``WAYS`` operations per round, and log n / log ``WAYS`` such divisions.
    """
    codes = np.zeros(len(points), dtype=np.int64)
    n_parts, open_parts = 0, [np.arange(len(points))]
    while open_parts:
        part = open_parts.pop()
        ways = min(WAYS, round(len(part) / size))
        if ways < 2:
            codes[part] = n_parts
            n_parts += 1
        else:
            open_parts += _divided(points, part, ways)
    return _by_first(_without_small(points, codes, size))


def _divided(points: np.ndarray, part: np.ndarray, ways: int) -> list[np.ndarray]:
    """Positions of the parts of a part."""
    learned = points[part[:: max(1, len(part) // (ways * LEARNED))]]
    nearest = _nearest_centre(points[part], _centres(learned, ways))
    order = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[order])) + 1
    if not len(starts):
        # identical points
        return np.array_split(part, ways)
    return np.split(part[order], starts)


def _centres(points: np.ndarray, ways: int) -> np.ndarray:
    """Means (ways or fewer, d) of Lloyd's algorithm."""
    centres = points[np.linspace(0, len(points) - 1, ways).astype(np.int64)]
    for _ in range(ROUNDS):
        centres = _means(points, _nearest_centre(points, centres))
    return centres


def _means(points: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Means of the points of every code that occurs."""
    counts = np.bincount(codes)
    sums = np.stack([np.bincount(codes, weights=column) for column in points.T], axis=1)
    means: np.ndarray = sums[counts > 0] / counts[counts > 0, None]
    return means


def _nearest_centre(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    nearest = np.empty(len(points), dtype=np.int64)
    half = np.square(centres).sum(axis=1) / 2
    for start in range(0, len(points), _POINTS):
        nearest[start : start + _POINTS] = (half - points[start : start + _POINTS] @ centres.T).argmin(axis=1)
    return nearest


def _without_small(points: np.ndarray, codes: np.ndarray, size: float) -> np.ndarray:
    counts = np.bincount(codes)
    small = counts < _LEAST * size
    if not small.any() or small.all():
        return codes
    moved = np.flatnonzero(small[codes])
    remaining = np.flatnonzero(~small)
    centres = _means(points, codes)[remaining]
    codes[moved] = remaining[_nearest_centre(points[moved], centres)]
    return codes


def _by_first(codes: np.ndarray) -> np.ndarray:
    """The same parts, numbered in the order in which they occur."""
    _, first, numbers = np.unique(codes, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    ordered: np.ndarray = place[numbers]
    return ordered
