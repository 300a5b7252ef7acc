"""Random forests on binned regulators: trees of any depth on few drawn cells, grown node by node."""

from __future__ import annotations

import numpy as np

from grn._kernels.bins import MAX_BINS
from grn._kernels.lanes import Array, compiled
from grn._kernels.splitmix import below, draw

# a split that gains less, as a share of the variance of the target, is none
LEAST_GAIN = 1e-9

# number of trees, cells drawn for a tree, fewest cells in a leaf, and 1 for extremely randomised trees
Plan = tuple[int, int, int, int]


@compiled
def _bag(order: Array, size: int, extra: int, state: Array, cells: Array, weights: Array) -> int:
    """Draw cells, with replacement unless ``extra``: their number, ascending ``cells``, and how often each came."""
    n = len(order)
    if extra:
        draw(order, size, state)
        cells[:size] = np.sort(order[:size])
        weights[:size] = 1.0
        return size
    for i in range(size):
        cells[i] = below(n, state)
    drawn = np.sort(cells[:size])
    last = -1
    for cell in drawn:
        if last >= 0 and cells[last] == cell:
            weights[last] += 1.0
        else:
            last += 1
            cells[last], weights[last] = cell, 1.0
    return last + 1


@compiled
def _histogram(codes: Array, order: Array, y: Array, weights: Array, sums: Array, n_bins: int) -> None:
    """Sums of the target, weights and numbers of the cells of a node by bin of one regulator (3, bins)."""
    sums[:, :n_bins] = 0.0
    for i in order:
        b = codes[i]
        sums[0, b] += y[i]
        sums[1, b] += weights[i]
        sums[2, b] += 1.0


@compiled
def _cut(sums: Array, n_bins: int, total: Array, leaf: int, only: int) -> tuple[float, int]:
    """Gain and last bin left of the best cut, or of the one cut ``only`` unless -1; a gain of 0 if there is none."""
    gain, cut = 0.0, -1
    s, w, m = 0.0, 0.0, 0.0
    for b in range(n_bins - 1):
        s, w, m = s + sums[0, b], w + sums[1, b], m + sums[2, b]
        if m < leaf or sums[2, b] == 0.0 or (only >= 0 and b != only):
            continue
        if total[2] - m < leaf:
            break
        p = s * total[1] - total[0] * w
        value = p * p / (w * (total[1] - w) * total[1])
        if value > gain:
            gain, cut = value, b
    return gain, cut


@compiled
def _occupied(sums: Array, n_bins: int) -> tuple[int, int]:
    """First and last bin with a cell."""
    low, high = 0, n_bins - 1
    while sums[2, low] == 0.0:
        low += 1
    while sums[2, high] == 0.0:
        high -= 1
    return low, high


@compiled
def _best(
    codes: Array,
    sizes: Array,
    columns: Array,
    order: Array,
    y: Array,
    weights: Array,
    sums: Array,
    total: Array,
    leaf: int,
    extra: int,
    state: Array,
) -> tuple[float, int, int]:
    """Gain, regulator and cut of the best of the cuts of a node by sqrt(k) drawn regulators.

    As in scikit-learn more are drawn where none of those varies in the node.
    """
    gain, which, cut = 0.0, -1, -1
    visited, varied = 0, 0
    wanted = max(1, int(np.sqrt(len(columns))))
    while visited < len(columns) and (visited < wanted or varied == 0):
        j = visited + below(len(columns) - visited, state)
        columns[visited], columns[j] = columns[j], columns[visited]
        f = columns[visited]
        visited += 1
        _histogram(codes[f], order, y, weights, sums, sizes[f])
        low, high = _occupied(sums, sizes[f])
        if low == high:
            continue
        varied += 1
        only = -1
        if extra:
            only = low + below(high - low, state)
            while sums[2, only] == 0.0:  # as good a cut, between two bins that have cells
                only -= 1
        value, b = _cut(sums, sizes[f], total, leaf, only)
        if value > gain:
            gain, which, cut = value, f, b
    return gain, which, cut


@compiled
def _partition(codes: Array, cut: int, order: Array) -> int:
    """Bring the cells left of a cut to the front; their number."""
    left, right = 0, len(order) - 1
    while left <= right:
        if codes[order[left]] <= cut:
            left += 1
        else:
            order[left], order[right] = order[right], order[left]
            right -= 1
    return left


@compiled
def _grow(
    codes: Array,
    sizes: Array,
    columns: Array,
    y: Array,
    weights: Array,
    leaf: int,
    extra: int,
    state: Array,
    gains: Array,
) -> None:
    """Grow a tree on the cells of a bag; gains (S,) in shares of all of its weight."""
    m = len(y)
    order = np.arange(m)
    stack = np.empty((m + 1, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, m
    open_nodes, whole = 1, weights.sum()
    sums, total = np.empty((3, MAX_BINS)), np.empty(3)
    while open_nodes:
        open_nodes -= 1
        start, stop = stack[open_nodes, 0], stack[open_nodes, 1]
        if stop - start < 2 * leaf:
            continue
        here = order[start:stop]
        total[:] = 0.0
        for i in here:
            total[0] += y[i]
            total[1] += weights[i]
        total[2] = stop - start
        gain, f, cut = _best(codes, sizes, columns, here, y, weights, sums, total, leaf, extra, state)
        if f < 0 or gain < LEAST_GAIN * total[1]:
            continue
        gains[f] += gain / whole
        middle = start + _partition(codes[f], cut, here)
        stack[open_nodes, 0], stack[open_nodes, 1] = start, middle
        stack[open_nodes + 1, 0], stack[open_nodes + 1, 1] = middle, stop
        open_nodes += 2


@compiled
def grow_forests(
    codes: Array,
    sizes: Array,
    columns: Array,
    ends: Array,
    Y: Array,
    seed: np.uint64,
    seeds: Array,
    plan: Plan,
    gains: Array,
) -> None:
    """Forests of some targets, whose trees see the same cells.

    Parameters
    ----------
    codes, sizes
        Bins of the cells (n, S) and numbers of bins (S,).
    columns, ends
        Regulators of the targets, one target after the other, each in an order that is the same in any company; and
        where those of a target end (T,).
    Y
        Targets (T, n).
    seed, seeds
        Seed of the cells drawn, and of the regulators drawn for every target (T,).
    plan
        Number of trees, cells drawn for a tree, fewest cells in a leaf, and 1 for extremely randomised
        trees, else 0.
    gains
        Filled: sums over the trees (T, S) of the decrease of the variance.
    """
    trees, size, leaf, extra = plan
    order = np.arange(codes.shape[0])
    cells, weights = np.empty(size, np.int64), np.empty(size)
    bag = np.empty((codes.shape[1], size), np.uint8)
    y = np.empty(size)
    of_cells = np.array([seed], dtype=np.uint64)
    states = seeds.copy()
    for _ in range(trees):
        m = _bag(order, size, extra, of_cells, cells, weights)
        for i in range(m):
            for f in range(codes.shape[1]):
                bag[f, i] = codes[cells[i], f]
        for t in range(len(ends)):
            for i in range(m):
                y[i] = weights[i] * Y[t, cells[i]]
            own = columns[0 if t == 0 else ends[t - 1] : ends[t]]
            _grow(bag, sizes, own, y[:m], weights[:m], leaf, extra, states[t : t + 1], gains[t])
