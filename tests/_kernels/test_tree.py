"""Distances on trees, their direction, and windows that move along them."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from grn._kernels.tree import Tree, from_root, pieces_and_cycle
from grn._kernels.windows import moving_windows

BRANCHED = Tree(np.array([0, 1, 1, 3]), np.array([1, 2, 3, 4]), np.array([1.0, 2.0, 0.5, 1.5]))


def points(n, seed=0):
    rng = np.random.default_rng(seed)
    edge = rng.integers(0, 4, n)
    return edge, rng.uniform(0, BRANCHED.length[edge])


def test_distances_are_those_of_networkx():
    edge, place = points(40)
    graph = nx.Graph()
    for i in range(4):
        stops = [(f"node{BRANCHED.start[i]}", 0.0), (f"node{BRANCHED.end[i]}", BRANCHED.length[i])]
        stops += [(j, place[j]) for j in np.flatnonzero(edge == i)]
        ordered = sorted(stops, key=lambda stop: stop[1])
        for (one, a), (two, b) in pairwise(ordered):
            graph.add_edge(one, two, weight=b - a)
    for j in range(40):
        expected = nx.single_source_dijkstra_path_length(graph, j)
        np.testing.assert_allclose(
            BRANCHED.distances(edge[j], place[j], edge, place), [expected[i] for i in range(40)], atol=1e-12
        )
        assert BRANCHED.time(edge, place)[j] == pytest.approx(expected["node0"])


def test_paths_lead_to_the_leaves():
    assert BRANCHED.paths() == {2: (0, 1), 4: (0, 2, 3)}
    assert BRANCHED.root == 0


def test_edges_are_ordered_and_turned_from_a_root():
    order, against = from_root(np.array([3, 0, 1, 4]), np.array([2, 3, 3, 1]), 0)
    assert against.tolist() == [False, False, True, True]
    assert order.tolist() == [1, 0, 2, 3]


def test_cycles_and_pieces():
    pieces, closing = pieces_and_cycle(np.array([0, 1, 2]), np.array([1, 2, 0]), 4)
    assert closing == 2 and pieces.tolist() == [0, 0, 0, 1]
    assert pieces_and_cycle(np.array([0, 2]), np.array([1, 1]), 3)[1] is None


@pytest.mark.parametrize("overlap", [0, 30, 45, 59])
def test_windows_keep_to_both_limits_and_are_as_few_as_that_allows(overlap):
    edge, place = points(600)
    windows = moving_windows(BRANCHED, edge, place, n_cells=60, overlap=overlap, farthest=0.3)
    distances = windows.distances()
    assert not len(windows.jumps) and windows.before[0] == -1
    for i, before in enumerate(windows.before[1:], 1):
        assert np.isin(windows.cells[i], windows.cells[before]).sum() >= overlap
        assert distances[i, before] <= 0.3 + 1e-12
    ends = {(e, round(p, 9)) for e, p in zip(windows.edge, windows.place, strict=True)}
    assert {(0, 0.0), (0, 1.0), (1, 2.0), (2, 0.5), (3, 1.5)} <= ends
    if overlap == 0:
        assert len(windows) == 1 + 4 + 7 + 2 + 5  # ceilings of the lengths by 0.3


def test_windows_hold_the_nearest_cells():
    edge, place = points(300)
    windows = moving_windows(BRANCHED, edge, place, n_cells=40, overlap=30)
    for e, p, cells in zip(windows.edge, windows.place, windows.cells, strict=True):
        distances = BRANCHED.distances(e, p, edge, place)
        assert np.array_equal(cells, np.argsort(distances, kind="stable")[:40])
    np.testing.assert_allclose(windows.time, BRANCHED.time(windows.edge, windows.place))


def test_windows_are_those_of_a_search_of_all_cells():
    edge, place = points(500, seed=4)
    place[::7] = 0.0
    found = moving_windows(BRANCHED, edge, place, n_cells=50, overlap=35, farthest=0.4)
    for i, before in enumerate(found.before[1:], 1):
        # a step a little longer would break one of the limits, unless it ends at a node
        e, p = found.edge[i], found.place[i]
        if i in found.jumps or p == BRANCHED.length[e]:
            continue
        start = found.place[before] if found.edge[before] == e else 0.0
        distances = BRANCHED.distances(e, p + 1e-4, edge, place)
        shared = np.isin(np.argsort(distances, kind="stable")[:50], found.cells[before]).sum()
        assert shared < 35 or p + 1e-4 - start > 0.4


def test_cells_at_one_place_make_a_jump_and_no_endless_walk():
    line = Tree(np.array([0]), np.array([1]), np.array([1.0]))
    place = np.repeat([0.0, 1.0], 50)
    windows = moving_windows(line, np.zeros(100, dtype=int), place, n_cells=50, overlap=40)
    assert len(windows.jumps) == 1
    assert windows.place[windows.jumps[0]] == pytest.approx(0.5, abs=1e-5)
    assert len(windows) == 4 and windows.cells[1].max() == 49 and windows.cells[2].min() == 50


def test_cells_at_equal_distances_are_taken_in_the_order_given():
    line = Tree(np.array([0]), np.array([1]), np.array([1.0]))
    windows = moving_windows(line, np.zeros(20, dtype=int), np.full(20, 0.5), n_cells=7, overlap=6)
    assert (windows.cells == np.arange(7)).all()
