"""Averages along a trajectory, optimal transport and paths between cells."""

from itertools import permutations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.neighbors import kneighbors_graph

from grn._kernels import trajectory
from grn._kernels.trajectory import (
    around,
    average_path,
    chained,
    match,
    neighbour_graph,
    shortest_paths,
    spread_over,
    thinned,
)


def test_averages_are_the_formula_for_dense_and_sparse_values():
    rng = np.random.default_rng(0)
    values, time = rng.poisson(1.0, (30, 4)).astype(np.float32), rng.uniform(0, 1, 30)
    at = np.linspace(0, 1, 5)
    weights = np.exp(-((at[:, None] - time) ** 2) / (2 * 0.2**2))
    expected = weights @ values / weights.sum(axis=1, keepdims=True)
    for given in (values, sparse.csr_matrix(values), sparse.csc_matrix(values)):
        found = average_path(given, time, at, 0.2)
        assert isinstance(found, np.ndarray) and found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_windows_are_averaged_by_their_distances():
    distances = np.array([[0.0, 1.0], [1.0, 0.0]])
    weight = np.exp(-0.5) / (1 + np.exp(-0.5))
    np.testing.assert_allclose(around(np.array([[0.0], [1.0]]), distances, 1.0).ravel(), [weight, 1 - weight])


def test_far_from_all_cells_the_average_is_the_nearest():
    found = average_path(np.array([[1.0], [5.0]]), np.array([0.0, 1.0]), np.array([-1e3, 1e3]), 1e-3)
    assert found.ravel().tolist() == [1.0, 5.0]


def test_partners_have_the_smallest_sum_of_distances():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    distances = cdist(source, target)
    least = min(distances[range(6), list(p)].sum() for p in permutations(range(6)))
    partners = match(source, target)
    assert sorted(partners) == list(range(6))
    assert distances[range(6), partners].sum() == pytest.approx(least)


@pytest.mark.parametrize(("n", "m"), [(5, 3), (6, 3), (3, 5), (7, 1), (1, 4)])
def test_each_target_serves_equally_many_sources_up_to_one(n, m):
    rng = np.random.default_rng(n + m)
    source, target = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    partners = match(source, target)
    counts = np.bincount(partners, minlength=m)
    assert partners.shape == (n,) and counts.min() >= n // m and counts.max() <= -(-n // m)
    if n == 5:
        distances = cdist(source, target)
        ways = {p for p in permutations([0, 0, 1, 1, 2, 2], 5) if len(set(p)) == 3}
        least = min(distances[range(5), list(p)].sum() for p in ways)
        assert distances[range(5), partners].sum() == pytest.approx(least)


def test_chains_go_through_every_bin():
    points = np.repeat(np.arange(4.0), 5)[:, None] * 10 + np.tile(np.arange(5.0), 4)[:, None]
    bins = [np.arange(i, i + 5) for i in (0, 5, 10, 15)]
    paths = chained(points, bins)
    assert paths.shape == (5, 4) and sorted(paths[:, 0]) == list(range(5))
    assert all(np.isin(paths[:, i], bins[i]).all() for i in range(4))
    assert (paths[:, -1] == bins[-1]).all()
    assert chained(points, bins[:1]).tolist() == [[i] for i in range(5)]


def paths_of_networkx(points, pairs, k):
    graph = nx.from_numpy_array(kneighbors_graph(points, k, mode="distance").toarray())
    return [nx.shortest_path(graph, *pair, weight="weight") for pair in pairs.tolist()]


@pytest.mark.parametrize("sides", [(20, 40), (40, 20)])
@pytest.mark.parametrize("searched", [1, 10**6])
def test_paths_are_those_of_networkx(sides, searched, monkeypatch):
    monkeypatch.setattr(trajectory, "SEARCHED", searched)
    rng = np.random.default_rng(2)
    points = rng.normal(size=(120, 3))
    pairs = np.column_stack([rng.choice(120, side, replace=False)[rng.integers(0, side, 60)] for side in sides])
    found = shortest_paths(points, pairs, 6)
    assert [path.tolist() for path in found] == paths_of_networkx(points, pairs, 6)


def test_pieces_of_the_graph_are_not_joined_and_the_same_place_is():
    points = np.array([[0.0], [0.0], [0.1], [50.0], [50.1]])
    found = shortest_paths(points, np.array([[0, 1], [0, 4], [3, 4]]), 1)
    assert [path.tolist() for path in found] == [[0, 1], [], [3, 4]]
    graph = neighbour_graph(points, 1)
    assert graph[0, 1] == 0 and graph.nnz == 6


def test_paths_are_thinned_evenly_and_short_ones_left_out():
    found, chosen = thinned([np.arange(7), np.arange(2), np.array([], dtype=int), np.arange(3)], 3)
    assert found.tolist() == [[0, 3, 6], [0, 1, 2]] and chosen.tolist() == [0, 3]
    assert thinned([np.arange(2)], 3)[0].shape == (0, 3)


@pytest.fixture(scope="module")
def flecs(shared_dir):
    folder = shared_dir / "reference" / "flecs"
    names = ("input_obs", "input_pca", "ot_match", "ot_knn_paths")
    read = {name: pd.read_csv(folder / f"{name}.csv") for name in names}
    return read["input_obs"]["time"].to_numpy(), read["input_pca"].iloc[:, 1:].to_numpy(), read


def test_transport_is_that_of_flecs(flecs):
    time, points, read = flecs
    early, late = np.flatnonzero(time < 2), np.flatnonzero(time >= 4)
    sources = spread_over(early, len(late))
    found = np.column_stack([sources, late[match(points[sources], points[late])]])
    expected = read["ot_match"][["source_cell", "target_cell"]].to_numpy()
    assert len(expected) == 60
    # a cell that stands several times among the sources may swap its partners with itself
    assert set(map(tuple, found.tolist())) == set(map(tuple, expected.tolist()))


def test_paths_are_those_of_flecs(flecs):
    time, points, read = flecs
    joint = np.concatenate([np.flatnonzero(time < 2), np.flatnonzero(time >= 4)])
    at = {cell: i for i, cell in enumerate(joint.tolist())}
    pairs = read["ot_match"][["source_cell", "target_cell"]].map(at.get).to_numpy()
    paths, chosen = thinned(shortest_paths(points[joint], pairs, 30), 3)
    expected = read["ot_knn_paths"]
    assert np.array_equal(joint[paths], expected[["step0", "step1", "step2"]])
    assert np.array_equal(read["ot_match"]["target_cell"].to_numpy()[chosen], expected["target_cell"])
