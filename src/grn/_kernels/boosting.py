"""Stochastic gradient boosting of many targets at once on binned regulators."""

from __future__ import annotations

import numpy as np

from grn._kernels.bins import MAX_BINS
from grn._kernels.lanes import Array, Arrays, Lanes, compiled, load, store
from grn._kernels.splitmix import draw
from grn._kernels.tree_levels import OUT, descend, learn, split

# learning rate, most trees, share of the regulators, of the cells, window, trees at that rate, and pace of later ones
Plan = tuple[float, int, float, float, int, int, int]


@compiled
def _deal(deck: Array, at: int, drawn: Array, state: Array) -> int:
    """Deal a hand per level (levels, k), in ascending order; no regulator comes back before the others were dealt."""
    for level in range(drawn.shape[0]):
        k = drawn.shape[1]
        if at + k > len(deck):
            draw(deck, len(deck) - 1, state)
            at = 0
        drawn[level] = np.sort(deck[at : at + k])
        at += k
    return at


@compiled
def _grow(
    bins: Arrays,
    drawn: Array,
    R: Array,
    node: Array,
    total: Array,
    barred: Array,
    room: Array,
    best: Array,
    place: Array,
    gains: Array,
    rate: float,
    step: int,
    values: Array,
    n_inside: int,
    active: int,
    lanes: Lanes,
) -> None:
    """Grow a tree of depth 3 that counts as ``step`` for L targets; ``values`` (8, L) of its leaves."""
    S, C = room[0], room[1]
    K = 1
    for level in range(3):
        split(bins, drawn[level], R, node, total[level], barred, S, C, best, place, K, lanes)
        descend(bins, node, total[level], best, place, total[level + 1], gains, step / n_inside, K, active)
        K *= 2
    for q in range(8):
        for t in range(len(lanes)):
            cells = total[3, 1, q, t]
            values[q, t] = (
                np.float32(rate * step) * total[3, 0, q, t] / cells if cells > np.float32(0.5) else np.float32(0)
            )


@compiled
def _swap(R: Array, gains: Array, barred: Array, recent: Array, left: Array, targets: Array, a: int, b: int) -> None:
    """Exchange two targets: all that belongs to them."""
    L = R.shape[2]
    for i in range(R.shape[1]):
        R[a // L, i, a % L] = R[b // L, i, b % L]
    for f in range(gains.shape[1]):
        gains[a, f], gains[b, f] = gains[b, f], gains[a, f]
    for w in range(recent.shape[1]):
        recent[a, w] = recent[b, w]
    left[a], left[b] = left[b], left[a]
    barred[a], barred[b] = barred[b], barred[a]
    targets[a], targets[b] = targets[b], targets[a]


@compiled
def _retire(
    R: Array,
    gains: Array,
    barred: Array,
    recent: Array,
    left: Array,
    targets: Array,
    trees: Array,
    active: int,
    late: int,
) -> int:
    """Put targets that are predicted no better behind the others; how many go on.

    Trees of the window count once each, ``late`` less than they are: the larger they are, the later it is seen that
    they are in vain.
    """
    place = 0
    while place < active:
        if recent[place].sum() < 0:
            active -= 1
            trees[active], trees[place] = trees[place] - late, trees[active]
            _swap(R, gains, barred, recent, left, targets, place, active)
        else:
            place += 1
    return active


@compiled
def boost(
    bins: Arrays,
    columns: Array,
    R: Array,
    barred: Array,
    active: int,
    seed: np.uint64,
    plan: Plan,
    gains: Array,
    trees: Array,
    lanes: Lanes,
) -> Array:
    """Boost targets until none of them is predicted any better.

    All targets see the same cells and regulators in the same rounds, so that their number and their places change
    nothing.

    Parameters
    ----------
    bins
        Arrays of :class:`grn._kernels.bins.Bins`.
    columns
        Regulators to draw from.
    R
        Targets of mean 0 and unit variance (blocks, n, L), float32; residuals afterwards.
    barred
        A regulator that a target may not have (blocks L,), -1 for none.
    active
        Number of targets, in the first places.
    seed
        Seed.
    plan
        Learning rate, most trees, share of the regulators, of the cells, the window, how many trees have that rate,
        and as how many of them a later tree counts.
    gains, trees
        Filled: gains (blocks L, S) and numbers of trees (blocks L,), by place.
    lanes
        A tuple of L zeros.

    Returns
    -------
    ndarray
        The target (blocks L,) that stands in every place of ``gains`` at the end.
    """
    rate, rounds, features, share, window, first, pace = plan
    L, n = len(lanes), R.shape[1]
    state = np.array([seed], dtype=np.uint64)
    order, deck, at = np.arange(n).astype(np.int32), columns.copy(), len(columns)
    drawn = np.empty((3, max(1, int(features * len(columns)))), np.int64)
    out = n - max(1, int(share * n))
    node = np.empty((n, L), np.uint8)
    room = np.empty((2, 4 * MAX_BINS, L), np.float32)
    total = np.zeros((4, 2, 8, L), np.float32)
    best, place = np.zeros((3, 4, L), np.float32), np.zeros((2, 4, L), np.int32)
    values, improved = np.empty((8, L), np.float32), np.empty((1, L), np.float32)
    left = np.zeros(R.shape[0] * L, np.float32)
    recent = np.zeros((R.shape[0] * L, window))
    targets = np.arange(R.shape[0] * L)
    turn, grown, steps = 0, 0, np.zeros(window, np.int64)
    while grown < rounds and active > 0:
        step = min(1 if grown < first else pace, rounds - grown)
        grown += step
        steps[turn % window] = step
        draw(order, out, state)
        at = _deal(deck, at, drawn, state)
        for g in range((active + L - 1) // L):
            here = slice(g * L, (g + 1) * L)
            node[:] = 0
            rest = load(left, g, lanes)
            for e in range(out):
                node[order[e]] = OUT
                rest = rest - load(R[g], order[e], lanes)
            store(total, 0, rest)
            total[0, 1, 0] = n - out
            _grow(bins, drawn, R[g], node, total, barred[here], room, best, place, gains[here], rate, step, values,
                  n - out, min(L, active - g * L), lanes)  # fmt: skip
            learn(R[g], node, values, improved, left[here], lanes)
            recent[here, turn % window] = improved[0]
        trees[:active] = grown
        if out > 0 and turn + 1 >= window:
            active = _retire(R, gains, barred, recent, left, targets, trees, active, steps.sum() - window)
        turn += 1
    return targets
