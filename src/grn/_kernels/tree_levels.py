"""One level of a tree on binned regulators, for L targets at once: sums by bin and node, best cuts, nodes of cells.

A cell's node is a byte (n, L): bit j says on which side of the split of level j it is, 0 for the side of the
regulator's commonest bin; 128 marks a cell out of bag. Only the other bins list their cells, so zeros cost nothing.
"""

from __future__ import annotations

import numpy as np

from grn._kernels.lanes import Array, Arrays, Lanes, bytes_, compiled, floats, ints, load, store, where

OUT = 128
# a split that gains less, in squared standard deviations of the target times cells, is none
LEAST_GAIN = 1e-6


@compiled
def _sums_1(
    cells: Array, first: int, last: int, R: Array, node: Array, S: Array, C: Array, row: int, lanes: Lanes
) -> None:
    zero, one = floats(0, lanes), floats(1, lanes)
    n0 = bytes_(0, lanes)
    s0, c0 = zero, zero
    for e in range(first, last):
        i = cells[e]
        r, inside = load(R, i, lanes), load(node, i, lanes) == n0
        s0, c0 = s0 + where(inside, r, zero), c0 + where(inside, one, zero)
    store(S, row, s0)
    store(C, row, c0)


@compiled
def _sums_2(
    cells: Array, first: int, last: int, R: Array, node: Array, S: Array, C: Array, row: int, lanes: Lanes
) -> None:
    zero, one = floats(0, lanes), floats(1, lanes)
    n0, n1 = bytes_(0, lanes), bytes_(1, lanes)
    s0, s1, c0, c1 = zero, zero, zero, zero
    for e in range(first, last):
        i = cells[e]
        r, q = load(R, i, lanes), load(node, i, lanes)
        in0, in1 = q == n0, q == n1
        s0, c0 = s0 + where(in0, r, zero), c0 + where(in0, one, zero)
        s1, c1 = s1 + where(in1, r, zero), c1 + where(in1, one, zero)
    store(S, row, s0)
    store(S, row + 1, s1)
    store(C, row, c0)
    store(C, row + 1, c1)


@compiled
def _sums_4(
    cells: Array, first: int, last: int, R: Array, node: Array, S: Array, C: Array, row: int, lanes: Lanes
) -> None:
    zero, one = floats(0, lanes), floats(1, lanes)
    n0, n1, n2, n3 = bytes_(0, lanes), bytes_(1, lanes), bytes_(2, lanes), bytes_(3, lanes)
    s0, s1, s2, s3 = zero, zero, zero, zero
    c0, c1, c2, c3 = zero, zero, zero, zero
    for e in range(first, last):
        i = cells[e]
        r, q = load(R, i, lanes), load(node, i, lanes)
        in0, in1, in2, in3 = q == n0, q == n1, q == n2, q == n3
        s0, c0 = s0 + where(in0, r, zero), c0 + where(in0, one, zero)
        s1, c1 = s1 + where(in1, r, zero), c1 + where(in1, one, zero)
        s2, c2 = s2 + where(in2, r, zero), c2 + where(in2, one, zero)
        s3, c3 = s3 + where(in3, r, zero), c3 + where(in3, one, zero)
    store(S, row, s0)
    store(S, row + 1, s1)
    store(S, row + 2, s2)
    store(S, row + 3, s3)
    store(C, row, c0)
    store(C, row + 1, c1)
    store(C, row + 2, c2)
    store(C, row + 3, c3)


@compiled
def _histogram(
    bins: Arrays, f: int, R: Array, node: Array, total: Array, S: Array, C: Array, K: int, lanes: Lanes
) -> None:
    """Sums and counts of a regulator by bin and node, S and C (bins, K, L); its commonest bin has what is left."""
    cells, starts, common, n_bins = bins
    z = common[f]
    for k in range(K):
        store(S, z * K + k, load(total[0], k, lanes))
        store(C, z * K + k, load(total[1], k, lanes))
    for b in range(n_bins[f]):
        if b == z:
            continue
        first, last = starts[f, b], starts[f, b + 1]
        if K == 1:
            _sums_1(cells, first, last, R, node, S, C, b, lanes)
        elif K == 2:
            _sums_2(cells, first, last, R, node, S, C, 2 * b, lanes)
        else:
            _sums_4(cells, first, last, R, node, S, C, 4 * b, lanes)
        for k in range(K):
            store(S, z * K + k, load(S, z * K + k, lanes) - load(S, b * K + k, lanes))
            store(C, z * K + k, load(C, z * K + k, lanes) - load(C, b * K + k, lanes))


@compiled
def _cuts(
    f: int,
    n_bins: int,
    S: Array,
    C: Array,
    total: Array,
    barred: Array,
    best: Array,
    place: Array,
    K: int,
    lanes: Lanes,
) -> None:
    """Take in the cuts of a regulator where they gain more than the best so far."""
    half, one, regulator = floats(0.5, lanes), floats(1, lanes), ints(f, lanes)
    free = load(barred, 0, lanes) != regulator
    for k in range(K):
        ts, tc = load(total[0], k, lanes), load(total[1], k, lanes)
        s, c = floats(0, lanes), floats(0, lanes)
        gain, left, count = load(best[0], k, lanes), load(best[1], k, lanes), load(best[2], k, lanes)
        which, cut = load(place[0], k, lanes), load(place[1], k, lanes)
        for b in range(n_bins - 1):
            s, c = s + load(S, b * K + k, lanes), c + load(C, b * K + k, lanes)
            pairs, p = c * (tc - c), s * tc - ts * c
            possible = pairs > half
            value = p * p / where(possible, pairs, one)
            better = (value > gain) & possible & free
            gain, left, count = where(better, value, gain), where(better, s, left), where(better, c, count)
            which, cut = where(better, regulator, which), where(better, ints(b, lanes), cut)
        store(best[0], k, gain)
        store(best[1], k, left)
        store(best[2], k, count)
        store(place[0], k, which)
        store(place[1], k, cut)


@compiled
def split(
    bins: Arrays,
    drawn: Array,
    R: Array,
    node: Array,
    total: Array,
    barred: Array,
    S: Array,
    C: Array,
    best: Array,
    place: Array,
    K: int,
    lanes: Lanes,
) -> None:
    """Best cuts of the K nodes of a level.

    Parameters
    ----------
    bins
        Arrays of :class:`grn._kernels.bins.Bins`.
    drawn
        Regulators to look at, ascending: the first of equal ones is taken.
    R, node
        Residuals and nodes (n, L).
    total
        Sum of residuals and number of cells (2, K, L).
    barred
        A regulator that a target may not have (1, L), -1 for none.
    S, C
        Room for sums and counts (bins, K, L).
    best, place
        Gain, sum and count left of the cut (3, K, L); regulator, -1 for none, and last bin left of the cut (2, K, L).
    K, lanes
        Nodes, and a tuple of L zeros.
    """
    for k in range(K):
        store(best[0], k, floats(LEAST_GAIN, lanes) * load(total[1], k, lanes))
        store(place[0], k, ints(-1, lanes))
    for f in drawn:
        _histogram(bins, f, R, node, total, S, C, K, lanes)
        _cuts(f, bins[3][f], S, C, total, barred, best, place, K, lanes)


@compiled
def descend(
    bins: Arrays,
    node: Array,
    total: Array,
    best: Array,
    place: Array,
    below: Array,
    gains: Array,
    weight: float,
    K: int,
    active: int,
) -> None:
    """Give the nodes of the next level their cells (bit K) and sums ``below`` (2, 2K, L), and regulators their gains.

    Only the first ``active`` targets are looked at; gains are taken ``weight`` times.
    """
    cells, starts, common, n_bins = bins
    for t in range(active):
        for k in range(K):
            f, b = place[0, k, t], place[1, k, t]
            below[0, k + K, t], below[1, k + K, t] = 0.0, 0.0
            below[0, k, t], below[1, k, t] = total[0, k, t], total[1, k, t]
            if f < 0:
                continue
            gains[t, f] += weight * np.float64(best[0, k, t]) / np.float64(total[1, k, t])
            if common[f] > b:
                first, last, other = starts[f, 0], starts[f, b + 1], 0
            else:
                first, last, other = starts[f, b + 1], starts[f, n_bins[f]], 1
            left, right = best[1, k, t], total[0, k, t] - best[1, k, t]
            few, many = best[2, k, t], total[1, k, t] - best[2, k, t]
            below[0, k + K, t], below[1, k + K, t] = (right, many) if other else (left, few)
            below[0, k, t], below[1, k, t] = (left, few) if other else (right, many)
            for e in range(first, last):
                q = node[cells[e], t]
                if (q & (OUT - 1)) == k:
                    node[cells[e], t] = q | K


@compiled
def learn(R: Array, node: Array, values: Array, improved: Array, left: Array, lanes: Lanes) -> None:
    """Take what a tree predicts, ``values`` (8, L), from residuals (n, L).

    ``improved`` (1, L) is by how much the squared error of cells out of bag falls, ``left`` (1, L) the sum of the
    residuals that are left.
    """
    v0, v1, v2, v3 = load(values, 0, lanes), load(values, 1, lanes), load(values, 2, lanes), load(values, 3, lanes)
    v4, v5, v6, v7 = load(values, 4, lanes), load(values, 5, lanes), load(values, 6, lanes), load(values, 7, lanes)
    one, two, four, inside = bytes_(1, lanes), bytes_(2, lanes), bytes_(4, lanes), bytes_(OUT - 1, lanes)
    zero = floats(0, lanes)
    gain, rest = zero, zero
    for i in range(len(R)):
        q, r = load(node, i, lanes), load(R, i, lanes)
        b0, b1, b2 = (q & one) == one, (q & two) == two, (q & four) == four
        low = where(b1, where(b0, v3, v2), where(b0, v1, v0))
        high = where(b1, where(b0, v7, v6), where(b0, v5, v4))
        v = where(b2, high, low)
        after = r - v
        gain = gain + where(q > inside, v * (r + after), zero)
        rest = rest + after
        store(R, i, after)
    store(improved, 0, gain)
    store(left, 0, rest)
