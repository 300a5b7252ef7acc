"""Flows against plain loops, closed forms, and what CellOracle computed."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from grn._kernels import flow


@pytest.fixture(scope="module")
def reference(shared_dir):
    folder = shared_dir / "reference" / "celloracle"
    read = {name: pd.read_csv(folder / f"{name}.csv", index_col=0).to_numpy() for name in (
        "delta_embedding_full", "delta_embedding_knnrandom_frac1")}  # fmt: skip
    read["values"] = pd.read_csv(folder / "imputed_count.csv.gz", index_col=0).to_numpy()
    read["change"] = pd.read_csv(folder / "delta_X_TF2_KO.csv.gz", index_col=0).to_numpy()
    read["embedding"] = pd.read_csv(folder / "input_obs.csv", index_col=0)[["x", "y"]].to_numpy()
    read["grid"] = pd.read_csv(folder / "grid_flow.csv")
    with np.load(folder / "transition_full.npz") as found:
        read["rho"] = found["corrcoef"]
    return read


def test_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    differences, changes = rng.normal(size=(5, 30)), rng.normal(size=(3, 30))
    expected = np.corrcoef(np.concatenate([changes, differences]))[:3, 3:]
    np.testing.assert_allclose(flow.correlations(differences, changes), expected, atol=1e-12)


def test_what_does_not_vary_has_the_value_asked_for():
    found = flow.correlations(np.zeros((2, 4)), np.ones((1, 4)), undefined=1.0)
    assert found.tolist() == [[1.0, 1.0]]
    assert flow.correlations(np.zeros((2, 4)), np.arange(4.0)[None]).tolist() == [[0.0, 0.0]]


def test_probabilities_sum_to_one_and_do_not_overflow():
    found = flow.probabilities(np.array([1.0, 0.9, -1.0]), sigma=1e-4)
    assert found.sum() == pytest.approx(1) and np.isfinite(found).all()
    exact = np.exp(np.array([0.1, 0.2]) / 0.05)
    np.testing.assert_allclose(flow.probabilities(np.array([0.1, 0.2])), exact / exact.sum())


def test_a_change_towards_one_neighbour_points_at_it():
    embedding = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    values = np.array([[1.0, 1, 1], [3.0, 1, 1], [1.0, 2, 1], [1.0, 1, 4], [1.0, 1, 1]])
    cells, near = np.array([0]), np.array([[1, 2, 3, 4]])
    units = flow.directions(embedding, cells, near)
    assert units[0].tolist() == [[1, 0], [0, 1], [-1, 0], [0, 0]]
    moved = flow.shifts(values, cells, near, units, lambda _: np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0]]))[0]
    assert moved[0] @ [1, 0] > 0.95 and moved[1] @ [0, 1] > 0.7
    np.testing.assert_allclose(moved[2], 0, atol=1e-12)  # no change, no direction


def test_shuffles_keep_sizes_and_depend_on_the_generator_only():
    change = np.arange(6.0)
    orders, signs = flow.draw_shuffles(np.random.default_rng(1), 4, 6)
    found = flow.shuffled(change, orders, signs)
    assert found.shape == (4, 6) and (np.sort(np.abs(found), axis=1) == change).all()
    again = flow.draw_shuffles(np.random.default_rng(1), 4, 6)
    assert (again[0] == orders).all() and (again[1] == signs).all()


@pytest.mark.parametrize("most", [3, 17, 40, 500])
def test_blocks_cover_all_cells_once_and_hold_their_neighbours(most):
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(60, 2))
    neighbours = NearestNeighbors(n_neighbors=5).fit(embedding).kneighbors(return_distance=False)
    order = flow.near_each_other(embedding)
    assert np.array_equal(np.sort(order), np.arange(60))
    seen = []
    for cells, needed, own, near in flow.blocks(order, neighbours, most=most):
        assert len(needed) <= max(most, 6)
        assert np.array_equal(needed[own], cells) and np.array_equal(needed[near], neighbours[cells])
        seen.extend(cells.tolist())
    assert seen == order.tolist()


def test_cells_in_a_block_share_neighbours():
    embedding = np.random.default_rng(3).uniform(size=(3000, 2))
    neighbours = NearestNeighbors(n_neighbors=20).fit(embedding).kneighbors(return_distance=False)
    read = sum(len(needed) for _, needed, _, _ in flow.blocks(flow.near_each_other(embedding), neighbours, most=600))
    assert read < 3 * 3000


def test_the_grid_has_one_distance_and_reaches_beyond_the_cells():
    embedding = np.array([[0.0, 0.0], [10.0, 3.0]])
    x, y = flow.grid_axes(embedding, 22)
    assert x[0] == pytest.approx(-0.25) and x[-1] == pytest.approx(10.25) and len(x) == 22
    assert np.diff(y) == pytest.approx(0.5) and y[0] <= -0.075 and y[-1] >= 3.075
    points = flow.grid_points([x, y])
    assert points.shape == (22 * len(y), 2) and (points[:22, 1] == y[0]).all()


def test_vectors_are_averaged_where_there_are_cells_and_shrunk_where_there_are_few():
    weights = np.array([[1.0, 1.0], [0.1, 0.0]])
    near, vectors = np.array([[0, 1], [0, 1]]), np.array([[2.0, 0.0], [0.0, 2.0]])
    assert flow.smooth_vectors(weights, near, vectors).tolist() == [[1.0, 1.0], [0.2, 0.0]]


def test_the_gradient_of_a_plane_is_its_slope():
    rng = np.random.default_rng(4)
    embedding = rng.normal(size=(200, 2))
    distances, near = NearestNeighbors(n_neighbors=50).fit(embedding).kneighbors(embedding)
    weights = flow.kernel_weights(distances, 1.0)
    quantity = 3 * embedding[:, 0] - 2 * embedding[:, 1] + 7
    found = flow.gradients(embedding, embedding, quantity, weights, near, deviation=1.0)
    np.testing.assert_allclose(found, np.tile([3.0, -2.0], (200, 1)), rtol=0.1)
    none = flow.gradients(embedding[:1], embedding, quantity, weights[:1] * 0, near[:1], deviation=1.0)
    assert none.tolist() == [[0.0, 0.0]]


def test_correlations_of_celloracle(reference):
    values, change = reference["values"], reference["change"]
    rho = np.stack([flow.correlations(values - values[i], change[i : i + 1], undefined=0.0)[0] for i in range(180)])
    np.testing.assert_allclose(rho, reference["rho"], atol=1e-6)


@pytest.mark.parametrize("name", ["delta_embedding_full", "delta_embedding_knnrandom_frac1"])
def test_shifts_and_grid_of_celloracle(reference, name):
    values, change, embedding = reference["values"], reference["change"], reference["embedding"]
    # upstream looks at one more neighbour than it is asked for
    nearest = NearestNeighbors(n_neighbors=41).fit(embedding)
    near, cells = nearest.kneighbors(return_distance=False), np.arange(180)
    units = flow.directions(embedding, cells, near)
    found = flow.shifts(values, cells, near, units, lambda b: change[b : b + 1], undefined=1.0)[:, 0]
    np.testing.assert_allclose(found, reference[name], atol=1e-6)
    axes = flow.grid_axes(embedding, 10, parity=True)
    points, grid = flow.grid_points(axes), reference["grid"]
    np.testing.assert_allclose(points, grid[["gx", "gy"]], atol=1e-7)
    distances, near = nearest.kneighbors(points, n_neighbors=40)
    deviation = 0.8 * np.mean([axis[1] - axis[0] for axis in axes])
    weights = flow.kernel_weights(distances, deviation, parity=True)
    np.testing.assert_allclose(weights.sum(axis=1), grid["mass"], atol=1e-7)
    np.testing.assert_allclose(flow.smooth_vectors(weights, near, found), grid[["ux", "uy"]], atol=1e-6)


def test_transitions_of_celloracle_and_shifts_from_them(reference):
    values, change, embedding = reference["values"], reference["change"], reference["embedding"]
    near, cells = NearestNeighbors(n_neighbors=41).fit(embedding).kneighbors(return_distance=False), np.arange(180)
    units, going = flow.directions(embedding, cells, near), np.empty(near.shape)
    moved = flow.shifts(values, cells, near, units, lambda b: np.stack([change[b], -change[b]]), transitions=going)
    raised = np.exp(np.take_along_axis(reference["rho"], near, axis=1) / 0.05)
    np.testing.assert_allclose(going, raised / raised.sum(axis=1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(moved[:, 0], np.einsum("nk,nkd->nd", going - 1 / 41, units), atol=1e-12)


def test_neighbours_are_sampled_as_numpy_draws_without_replacement():
    rng = np.random.default_rng(5)
    neighbours, odds = np.tile(np.arange(10, 22), (20_000, 1)), np.linspace(0.5, 0.1, 12)
    drawn = flow.sampled(neighbours, rng.uniform(size=neighbours.shape), 4, (0.5, 0.1))
    assert drawn.shape == (20_000, 4) and (np.diff(drawn, axis=1) > 0).all()
    theirs = np.concatenate([rng.choice(12, 4, replace=False, p=odds / odds.sum()) for _ in range(20_000)])
    np.testing.assert_allclose(np.bincount(drawn.ravel() - 10) / 20_000, np.bincount(theirs) / 20_000, atol=0.02)


def test_all_neighbours_are_left_by_a_full_sample():
    neighbours = np.array([[3, 1, 2], [0, 2, 3]])
    draws = np.random.default_rng(6).uniform(size=neighbours.shape)
    assert flow.sampled(neighbours, draws, 3, (0.5, 0.1)).tolist() == neighbours.tolist()
