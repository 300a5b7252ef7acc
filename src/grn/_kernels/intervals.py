"""Intervals on chromosomes: all pairs that overlap, groups that touch, and the nearest of some points.

Intervals are half-open, from ``start`` (included) to ``end`` (excluded); ``group`` is a number per chromosome.

``bioframe`` does the same and more, with matplotlib as one of its imports, which nothing below ``grn.pl`` loads; the
tests compare both.
"""

from __future__ import annotations

import numpy as np

Intervals = tuple[np.ndarray, np.ndarray, np.ndarray]

# what a base of distance from the start of a gene takes off the logarithm of a score: a factor of 10 per million bases
DECAY = np.log(10.0) / 1e6


def overlapping(first: Intervals, second: Intervals) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all pairs that share at least one base, sorted by the first and then by the second.

    A pair overlaps if the second starts within the first, or the first starts within the second, and not at its start:
    two searches in sorted starts give every pair once, in time linear in the number of pairs.

    Parameters
    ----------
    first, second
        ``group``, ``start``, ``end`` of each (n,), integers.
    """
    forward = _starting_within(second, first, side="left")
    back = _starting_within(first, second, side="right")
    i, j = np.concatenate([forward[0], back[1]]), np.concatenate([forward[1], back[0]])
    order = np.lexsort([j, i])
    return i[order], j[order]


def clusters(intervals: Intervals, gap: int) -> np.ndarray:
    """Number (n,) of the cluster of every interval: those that overlap, or lie at most ``gap`` bases apart.

    Numbers run along the groups and their positions.
    """
    group, start, end = intervals
    order = np.lexsort([end, start, group])
    if not len(order):
        return order
    span = int(end.max() - start.min()) + gap + 1
    shifted = np.searchsorted(np.unique(group), group)[order] * span  # beyond everything of the groups before
    reach = np.maximum.accumulate(end[order] + shifted)
    opens = np.r_[True, (start[order] + shifted)[1:] > reach[:-1] + gap]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(opens) - 1
    return number


def nearest(intervals: Intervals, group: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of some points to every interval, and how far it is.

    Parameters
    ----------
    intervals
        ``group``, ``start``, ``end`` (n,).
    group, point
        Chromosome and base of every point (m,).

    Returns
    -------
    position, gap
        Position of the nearest point (n,), -1 where the group has none; bases from the point to the nearest base of the
        interval (n,): 0 within it, negative where the interval lies before the point. Of points that are equally near,
        the one at the smallest base, and of those the first.
    """
    order = np.lexsort([point, group])
    groups, points = group[order], point[order]
    position, gap = np.full(len(intervals[0]), -1), np.zeros(len(intervals[0]), dtype=np.int64)
    for label in np.unique(intervals[0]):
        low, high = np.searchsorted(groups, [label, label + 1])
        mine = np.flatnonzero(intervals[0] == label)
        if low == high:
            continue
        at, signed = _nearest_points(intervals[1][mine], intervals[2][mine] - 1, points[low:high])
        position[mine], gap[mine] = order[low + at], signed
    return position, gap


def _nearest_points(first: np.ndarray, last: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Within one group: positions among sorted points, and gaps."""
    after = np.searchsorted(points, first, side="left")
    right, left = np.minimum(after, len(points) - 1), np.maximum(after - 1, 0)
    to_right = np.maximum(points[right] - last, 0)
    to_left = np.maximum(first - points[left], 0)
    take_left = (after == len(points)) | ((after > 0) & (to_left <= to_right))
    at = np.searchsorted(points, points[np.where(take_left, left, right)], side="left")  # the first at that base
    return at, np.where(take_left, to_left, -to_right)


def _starting_within(inner: Intervals, outer: Intervals, *, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (outer, inner) in which the inner one starts in the outer one; not at its very start with ``"right"``."""
    order = np.lexsort([inner[1], inner[0]])
    labels = np.union1d(inner[0], outer[0])
    places = np.concatenate([*inner[1:], *outer[1:]])
    # a window around a gene may begin before its chromosome
    lowest, highest = places.min(initial=0), places.max(initial=0)
    span = highest - lowest + 1
    keys = np.searchsorted(labels, inner[0][order]) * span + inner[1][order] - lowest
    base = np.searchsorted(labels, outer[0]) * span - lowest
    low = np.searchsorted(keys, base + outer[1], side=side)  # type: ignore[call-overload]
    high = np.searchsorted(keys, base + outer[2], side="left")
    return _spread(low, np.maximum(high, low), order)


def _spread(low: np.ndarray, high: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every range ``low:high``, its number and the items in it."""
    sizes = high - low
    owner = np.repeat(np.arange(len(low)), sizes)
    offset = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return owner, items[np.repeat(low, sizes) + offset]
