"""A network and its perturbed copy in one embedding."""

import numpy as np
import pytest
import scipy.sparse as sp

from grn._kernels import alignment
from grn._kernels.alignment import align, perturbed, scores


def network(size=30, seed=0, density=0.2):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-1, 1, size=(size, size)) * (rng.random((size, size)) < density)
    np.fill_diagonal(weights, 0.0)
    return sp.csr_array(weights)


def by_definition(weights, changed, *, symmetric):
    """The whole Laplacian, written down."""
    size = weights.shape[0]
    one, two = weights.toarray() + 1, changed.toarray() + 1
    if symmetric:
        one, two = (one + one.T) / 2, (two + two.T) / 2
    tie = 0.9 * (one.sum() + two.sum()) / (2 * size) * np.eye(size)
    L = -np.block([[one, tie], [tie, two]])
    np.fill_diagonal(L, 0.0)
    np.fill_diagonal(L, -L.sum(axis=0))
    values, vectors = np.linalg.eig(L)
    order = np.argsort(values.real)[1:3]
    points = vectors[:, order].real
    points /= np.linalg.norm(points, axis=0)
    return np.linalg.norm(points[:size] - points[size:], axis=1), values[order].real


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("agonist", [True, False])
def test_distances_are_those_of_the_definition(symmetric, dense, agonist, monkeypatch):
    monkeypatch.setattr(alignment, "_DENSE", 1200 if dense else 0)
    weights = network(seed=4)
    changed = perturbed(weights, [3], agonist=[agonist])
    found = align(weights, changed, symmetric=symmetric)
    distances, values = by_definition(weights, changed, symmetric=symmetric)
    assert not found.complex_pair
    np.testing.assert_allclose(found.eigenvalues, values, atol=1e-9)
    np.testing.assert_allclose(found.distances, distances, atol=1e-9)
    assert found.distances.max() > 1e-5


def test_the_order_of_genes_does_not_matter():
    weights, order = network(), np.random.default_rng(1).permutation(30)
    changed = perturbed(weights, [5], agonist=[False])
    there = align(weights, changed).distances[order]
    np.testing.assert_allclose(align(weights[order][:, order], changed[order][:, order]).distances, there, atol=1e-12)


def test_nothing_changed_moves_nothing():
    weights = network()
    weights = sp.csr_array(sp.diags_array((np.arange(30) != 3).astype(float)) @ weights)
    weights.eliminate_zeros()
    found = align(weights, perturbed(weights, [3], agonist=[False]))
    assert not found.distances.any() and not scores(weights, found.distances).any()


def test_rounding_moves_nothing():
    """An edge between two genes apart from the rest does not touch the dimensions; what is left is rounding."""
    weights = sp.csr_array(np.kron(np.eye(3), np.array([[0.0, 0.5], [0.25, 0.0]])))
    changed = perturbed(weights, [0], agonist=[False])
    found = align(weights, changed, n_dims=1)
    assert ((found.distances == 0) | (found.distances > 1e-9)).all()


def test_what_a_drug_does_to_a_row():
    weights = sp.csr_array(np.array([[0, 0.5, -0.5], [0.2, 0, 0], [0, 0, 0]]))
    found = perturbed(weights, [0, 1], agonist=[True, False]).toarray()
    np.testing.assert_array_equal(found, [[0, 1, -0.5], [0, 0, 0], [0, 0, 0]])
    assert weights.nnz == 3


def test_scores_of_a_network_one_can_do_by_hand():
    weights = sp.csr_array(np.array([[0, 0.5, -0.25], [0, 0, 0.1], [0, 0, 0]]))
    d = np.array([1.0, 2.0, 4.0])
    first = 1 * 0.25 / 2 + (2 * 0.5 + 2 * 0.1 / 1) + (4 * 0.25)
    np.testing.assert_allclose(scores(weights, d), [first, 2 * 0.1 + 4 * 0.1, 4.0])
    np.testing.assert_allclose(scores(weights, d, n_hop=3), [first + 4 * 0.1, 0.6, 4.0])
    np.testing.assert_allclose(scores(weights, d, n_hop=1), [7.0] * 3)


def test_a_complex_pair_and_a_tie_are_told():
    ring = np.zeros((12, 12))
    ring[np.arange(12), (np.arange(12) + 1) % 12] = -0.9
    ring[0, 5] = 0.3
    weights = sp.csr_array(ring)
    assert align(weights, perturbed(weights, [4], agonist=[False]), symmetric=False).complex_pair
    pair = sp.csr_array(([1.0], ([0], [1])), shape=(10, 10))
    assert align(pair, perturbed(pair, [0], agonist=[False])).gap < 1e-9
