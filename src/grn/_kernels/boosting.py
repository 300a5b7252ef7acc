"""Stochastic gradient boosting of many targets at once on binned regulators."""

from __future__ import annotations

from typing import Any

import numpy as np

from grn._kernels.bins import MAX_BINS
from grn._kernels.lanes import Array, Arrays, Lanes, compiled, load, store
from grn._kernels.tree_levels import OUT, descend, learn, split

# learning rate, most rounds, share of the regulators, of the cells, and the window
Plan = tuple[np.float32, int, float, float, int]


@compiled
def _number(state: Array) -> Any:
    """Next number of splitmix64 (Steele et al. 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def _draw(order: Array, size: int, state: Array) -> None:
    """Bring ``size`` members drawn without replacement to the front."""
    n = len(order)
    for i in range(size):
        j = i + np.int64(((_number(state) >> np.uint64(32)) * np.uint64(n - i)) >> np.uint64(32))
        order[i], order[j] = order[j], order[i]


@compiled
def _deal(deck: Array, at: int, drawn: Array, state: Array) -> int:
    """Deal a hand per level (levels, k), in ascending order; no regulator comes back before the others were dealt."""
    for level in range(drawn.shape[0]):
        k = drawn.shape[1]
        if at + k > len(deck):
            _draw(deck, len(deck) - 1, state)
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
    rate: np.float32,
    values: Array,
    n_inside: int,
    active: int,
    lanes: Lanes,
) -> None:
    """Grow a tree of depth 3 for L targets; ``values`` (8, L) of its leaves."""
    S, C = room[0], room[1]
    K = 1
    for level in range(3):
        split(bins, drawn[level], R, node, total[level], barred, S, C, best, place, K, lanes)
        descend(bins, node, total[level], best, place, total[level + 1], gains, n_inside, K, active)
        K *= 2
    for q in range(8):
        for t in range(len(lanes)):
            cells = total[3, 1, q, t]
            values[q, t] = rate * total[3, 0, q, t] / cells if cells > np.float32(0.5) else np.float32(0)


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
        Learning rate, most rounds, share of the regulators, of the cells, and the window.
    gains, trees
        Filled: gains (blocks L, S) and numbers of trees (blocks L,), by place.
    lanes
        A tuple of L zeros.

    Returns
    -------
    ndarray
        The target (blocks L,) that stands in every place of ``gains`` at the end.
    """
    rate, rounds, features, share, window = plan
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
    for turn in range(rounds):
        _draw(order, out, state)
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
            _grow(bins, drawn, R[g], node, total, barred[here], room, best, place, gains[here], rate, values,
                  n - out, min(L, active - g * L), lanes)  # fmt: skip
            learn(R[g], node, values, improved, left[here], lanes)
            recent[here, turn % window] = improved[0]
        place_now = 0
        while place_now < active:
            trees[place_now] = turn + 1
            if out > 0 and turn + 1 >= window and recent[place_now].sum() < 0:
                active -= 1
                trees[active], trees[place_now] = trees[place_now], trees[active]
                _swap(R, gains, barred, recent, left, targets, place_now, active)
            else:
                place_now += 1
        if active == 0:
            break
    return targets
