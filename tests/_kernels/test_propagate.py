"""Propagation against closed forms, and against deltas that CellOracle computed."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn._kernels.propagate import DENSE, held, path_series, propagate, spectral_radius, steady_state


@pytest.fixture
def chain() -> sparse.csr_array:
    """A -> B (0.5), B -> C (-2), C -> A (0.25): a loop of weight -0.25."""
    return sparse.csr_array(np.array([[0, 0.5, 0], [0, 0, -2.0], [0.25, 0, 0]]))


def random_network(size: int, seed: int, *, scale: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=scale, size=(size, size)) * (rng.random((size, size)) < 0.4)


def test_a_knock_out_travels_one_edge_per_step(chain):
    values = np.full((1, 3), 10.0)
    start = np.array([[-4.0]])
    found = [propagate(values, np.array([0]), start, chain, steps=k)[0].tolist() for k in (1, 2, 3)]
    assert found == [[-4.0, -2.0, 0.0], [-4.0, -2.0, 4.0], [-4.0, -2.0, 4.0]]


def test_expression_never_falls_below_zero(chain):
    values = np.array([[10.0, 0.5, 1.0]])
    found = propagate(values, np.array([0]), np.array([[-10.0]]), chain, steps=2)
    # B can only lose what it has, and C is told of that loss
    assert found.tolist() == [[-10.0, -0.5, 1.0]]


def test_feedback_does_not_move_a_perturbed_gene_unless_only_moved_cells_are_pinned():
    loop = sparse.csr_array(np.array([[0, 1.0], [1.0, 0]]))
    values, genes = np.array([[5.0, 5.0]]), np.array([0, 1])
    start = np.array([[2.0, 0.0]])  # the second gene is at its goal already
    assert propagate(values, genes, start, loop, steps=3).tolist() == [[2.0, 0.0]]
    assert propagate(values, genes, start, loop, steps=3, pin_moved_only=True).tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_without_clipping_steps_are_the_path_series_of_the_cut_network(steps):
    matrix = random_network(12, 1)
    values = np.full((4, 12), 100.0)
    genes = np.array([3, 7])
    start = np.random.default_rng(0).normal(size=(4, 2))
    cut = matrix.copy()
    cut[:, genes] = 0
    series = sum(np.linalg.matrix_power(cut, j) for j in range(steps + 1))[genes]
    np.testing.assert_allclose(held(sparse.csr_array(matrix), genes).toarray(), cut)
    np.testing.assert_allclose(path_series(sparse.csr_array(cut), genes, length=steps), series, atol=1e-12)
    found = propagate(values, genes, start, sparse.csr_array(matrix), steps=steps)
    np.testing.assert_allclose(found, start @ series, atol=1e-12)


def test_the_steady_state_is_the_limit_of_paths():
    matrix = random_network(30, 2)
    genes = np.array([0, 4])
    exact = np.linalg.inv(np.eye(30) - matrix)[genes]
    found = steady_state(sparse.csr_array(matrix), genes)
    np.testing.assert_allclose(found, exact, atol=1e-10)
    np.testing.assert_allclose(found, path_series(sparse.csr_array(matrix), genes, length=200), atol=1e-8)


def test_spectral_radius_of_loops_self_loops_and_none(chain):
    assert spectral_radius(chain) == pytest.approx(0.25 ** (1 / 3))
    triangle = sparse.csr_array(np.triu(random_network(9, 3), 1))
    assert spectral_radius(triangle) == 0.0
    assert spectral_radius(sparse.csr_array(np.diag([0.3, -0.8]))) == pytest.approx(0.8)
    matrix = random_network(40, 4)
    assert spectral_radius(sparse.csr_array(matrix)) == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max())


def test_spectral_radius_of_a_large_loop():
    rng = np.random.default_rng(5)
    size = DENSE + 50
    matrix = sparse.random_array(
        (size, size), density=0.01, rng=rng, data_sampler=lambda size: rng.uniform(0, 0.3, size)
    )
    matrix = sparse.csr_array(matrix + sparse.eye_array(size, k=1) * 0.1 + sparse.eye_array(size, k=1 - size) * 0.1)
    assert spectral_radius(matrix) == pytest.approx(np.abs(np.linalg.eigvals(matrix.toarray())).max(), rel=1e-5)


def test_blocks_of_cells_do_not_matter():
    matrix = sparse.csr_array(random_network(10, 6))
    rng = np.random.default_rng(7)
    values, start = rng.gamma(1.0, size=(9, 10)), rng.normal(size=(9, 1))
    whole = propagate(values, np.array([2]), start, matrix, steps=3)
    parts = [propagate(values[i : i + 1], np.array([2]), start[i : i + 1], matrix, steps=3) for i in range(9)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-14)


def test_deltas_of_celloracle(shared_dir):
    folder = shared_dir / "reference" / "celloracle"
    values = pd.read_csv(folder / "imputed_count.csv.gz", index_col=0)
    expected = pd.read_csv(folder / "delta_X_TF2_KO.csv.gz", index_col=0)
    groups = pd.read_csv(folder / "input_obs.csv", index_col=0)["cluster"]
    edges = pd.read_csv(folder / "coef_simulation.csv")
    gene = values.columns.get_loc("TF2")
    for group, part in edges.groupby("cluster"):
        place = values.columns.get_indexer(part["source"]), values.columns.get_indexer(part["target"])
        matrix = sparse.csr_array((part["coef"], place), shape=(values.shape[1],) * 2)
        x = values[groups == group].to_numpy()
        found = propagate(x, np.array([gene]), -x[:, [gene]], matrix, steps=3, pin_moved_only=True)
        np.testing.assert_allclose(found, expected[groups == group], atol=1e-12)
