"""How well scores rank labels: exact under ties, for one ranking or many groups of it at once.

Tied scores have no order, so every figure is its expectation over all orders of the ties. Arrays only; all functions
take labels (N,) in {0, 1} and finite scores (N,).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# entries of one block of draws
_AT_ONCE = 2**16


class Ranking(NamedTuple):
    """Sorted labels with what their tie blocks need; ``start`` and ``stop`` bound the block of every item.

    Parameters
    ----------
    labels
        Labels (N,) float64, best first within each group.
    group
        Position of the group of every item (N,), ascending.
    first
        First item of every group (G,).
    start, stop
        First item of the tie block of every item, and the one after its last (N,).
    """

    labels: np.ndarray
    group: np.ndarray
    first: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def rank(labels: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None) -> Ranking:
    """Sort by group, then from the highest score down.

    Parameters
    ----------
    labels, scores
        Labels in {0, 1} and finite scores (N,).
    groups
        Integers (N,) that name the group of every item; one group by default.
    """
    order = np.argsort(-scores, kind="stable") if groups is None else np.lexsort((-scores, groups))
    ordered = scores[order]
    if groups is None:
        group = np.zeros(len(order), dtype=np.int64)
        new_group = np.arange(len(order)) == 0
    else:
        keys = groups[order]
        new_group = np.append(True, keys[1:] != keys[:-1])
        group = np.cumsum(new_group) - 1
    new_block = new_group | np.append(True, ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(new_block)
    block = np.cumsum(new_block) - 1
    stops = np.append(starts[1:], len(labels))
    return Ranking(labels[order].astype(np.float64), group, np.flatnonzero(new_group), starts[block], stops[block])


def average_precision(ranking: Ranking) -> np.ndarray:
    r"""Average precision of every group; NaN without a positive.

    The item at position k of a tie block with P positives among G items, behind n items with t positives, is
    positive with probability P / G, and then expects t + 1 + (k - 1)(P - 1)/(G - 1) positives among n + k items.
    Cost O(N) after sorting.

    Returns
    -------
    ndarray
        Average precision (groups,).
    """
    hits = np.append(0.0, np.cumsum(ranking.labels))
    before = hits[ranking.start]
    positives = hits[ranking.stop] - before
    size = ranking.stop - ranking.start
    first = ranking.first[ranking.group]
    place = np.arange(len(size)) - ranking.start
    rise = np.divide(positives - 1, size - 1, out=np.zeros(len(size)), where=size > 1)
    expected = before - hits[first] + 1 + place * rise
    precision = positives / size * expected / (np.arange(len(size)) - first + 1)
    total = _per_group(ranking, ranking.labels)
    return _ratio(_per_group(ranking, precision), total)


def resampled_precision(ranking: Ranking, times: np.ndarray) -> np.ndarray:
    r"""Average precision of one group in which item n occurs ``times[b, n]`` times, for every draw b of a bootstrap.

    Copies are tied. The sum over a tie block of the expectation of :func:`average_precision`, with r = (P - 1)/(G - 1),
    is P / G (r G + (t + 1 - r (n + 1)) (H(n + G) - H(n))), where H are the harmonic numbers: no item is ever repeated.

    Parameters
    ----------
    ranking
        A sorted ranking of one group.
    times
        How often each sorted item occurs (B, N).

    Returns
    -------
    ndarray
        Average precision (B,); NaN where no positive was drawn.
    """
    starts = np.unique(ranking.start)  # (K,)
    tied = len(starts) < len(ranking.labels)
    positive = ranking.labels > 0
    bearing = np.flatnonzero(np.logical_or.reduceat(positive, starts))  # blocks with a positive
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, times.sum(axis=1).max(initial=0) + 1)))
    areas = np.full(len(times), np.nan)
    if not len(bearing):
        return areas
    step = max(1, _AT_ONCE // max(1, times.shape[1]))  # few draws at a time stay in the cache of the processor
    for first in range(0, len(times), step):
        drawn = times[first : first + step].astype(np.int32)  # (b, N)
        size = np.add.reduceat(drawn, starts, axis=1) if tied else drawn  # (b, K)
        stop, size = np.cumsum(size, axis=1, dtype=np.int32)[:, bearing], size[:, bearing]
        hits = np.add.reduceat(drawn * positive, starts, axis=1)[:, bearing] if tied else size
        seen = np.cumsum(hits, axis=1, dtype=np.int32)  # positives so far
        before, above = stop - size, seen - hits
        tail = harmonic[stop] - harmonic[before]
        if tied:
            rise = (hits - 1) / np.maximum(size - 1, 1)
            share = hits / np.maximum(size, 1)
            sums = share * (rise * size + (above + 1 - rise * (before + 1)) * tail)
        else:
            sums = size + (above - before) * tail  # r = 1 among copies of one item
        areas[first : first + step] = _ratio(sums.sum(axis=1), seen[:, -1])
    return areas


def auroc(ranking: Ranking) -> np.ndarray:
    """Area under the receiver operating curve of every group, ties counting one half; NaN with one class."""
    hits = np.append(0.0, np.cumsum(ranking.labels))
    first = ranking.first[ranking.group]
    above = hits[ranking.start] - hits[first]
    tied = hits[ranking.stop] - hits[ranking.start]
    wins = _per_group(ranking, (1 - ranking.labels) * (above + tied / 2))
    positives = _per_group(ranking, ranking.labels)
    pairs = positives * (_per_group(ranking, np.ones(len(hits) - 1)) - positives)
    return _ratio(wins, pairs)


def early_precision(ranking: Ranking) -> np.ndarray:
    """Precision among the top as many items as there are positives, per group; NaN without a positive."""
    positives = _per_group(ranking, ranking.labels)
    first = ranking.first[ranking.group]
    left = positives[ranking.group] - (ranking.start - first)
    share = np.clip(left / (ranking.stop - ranking.start), 0.0, 1.0)
    return _ratio(_per_group(ranking, ranking.labels * share), positives)


def sizes(ranking: Ranking) -> tuple[np.ndarray, np.ndarray]:
    """Number of positives and of items of every group."""
    return _per_group(ranking, ranking.labels), _per_group(ranking, np.ones(len(ranking.labels)))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to divide by."""
    quotient: np.ndarray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def _per_group(ranking: Ranking, values: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, ranking.first) if len(values) else np.zeros(0)
