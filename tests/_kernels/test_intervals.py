import numpy as np
import pytest

from grn._kernels import intervals


def drawn(seed, n):
    random = np.random.default_rng(seed)
    group, start = random.integers(0, 3, n), random.integers(0, 60, n)
    return group, start, start + random.integers(1, 12, n)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_that_share_a_base(seed):
    first, second = drawn(seed, 40), drawn(seed + 100, 30)
    pairs = [
        (i, j)
        for i in range(40)
        for j in range(30)
        if first[0][i] == second[0][j] and first[1][i] < second[2][j] and second[1][j] < first[2][i]
    ]
    found = intervals.overlapping(first, second)
    assert list(zip(*found, strict=True)) == pairs and len(pairs) > 20


def test_windows_that_begin_before_their_chromosome_reach_no_other_one():
    regions = np.array([0, 1]), np.array([90, 5]), np.array([100, 8])
    windows = np.array([1]), np.array([-6]), np.array([20])
    assert [part.tolist() for part in intervals.overlapping(regions, windows)] == [[1], [0]]
    assert [part.tolist() for part in intervals.overlapping(windows, regions)] == [[0], [1]]


@pytest.mark.parametrize("gap", [0, 2])
def test_clusters_are_the_connected_parts(gap):
    group, start, end = drawn(3, 25)
    number = intervals.clusters((group, start, end), gap)
    label = np.arange(25)
    for _ in range(25):
        for i in range(25):
            for j in range(25):
                if group[i] == group[j] and start[i] <= end[j] + gap and start[j] <= end[i] + gap:
                    label[i] = label[j] = min(label[i], label[j])
    assert ((number[:, None] == number) == (label[:, None] == label)).all() and 3 < number.max() < 24


def test_the_nearest_point_by_brute_force():
    group, start, end = drawn(5, 50)
    random = np.random.default_rng(0)
    where, point = random.integers(0, 2, 12), random.integers(0, 70, 12)
    position, gap = intervals.nearest((group, start, end), where, point)
    for i in range(50):
        distance = np.where(point < start[i], start[i] - point, np.maximum(point - end[i] + 1, 0)).astype(float)
        distance[where != group[i]] = np.inf
        if group[i] == 2:
            assert position[i] == -1
            continue
        assert abs(gap[i]) == distance.min() == distance[position[i]]
        assert np.sign(gap[i]) == (0 if gap[i] == 0 else (1 if point[position[i]] < start[i] else -1))
        ties = np.flatnonzero(distance == distance.min())
        assert (point[position[i]], position[i]) == min((point[k], k) for k in ties)


def test_nothing_overlaps_nothing():
    empty = (np.zeros(0, int),) * 3
    assert [len(part) for part in intervals.overlapping(empty, drawn(0, 4))] == [0, 0]
    assert len(intervals.clusters(empty, 0)) == 0
