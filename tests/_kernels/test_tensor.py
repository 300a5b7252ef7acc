"""Canonical polyadic decomposition of a stack of networks."""

import numpy as np
import scipy.sparse as sp

from grn._kernels.tensor import cp_als, directed, mean_layer


def stack(factors):
    a, b, c = factors
    return [sp.csr_array((a * row) @ b.T) for row in c]


def planted(rng, rank=3, size=20, depth=6):
    return [rng.normal(size=(n, rank)) for n in (size, size, depth)]


def test_a_low_rank_stack_is_found_again():
    rng = np.random.default_rng(0)
    layers = stack(planted(rng))
    found = cp_als(layers, columns=rng.normal(size=(20, 3)), depth=rng.normal(size=(6, 3)), tol=1e-10)
    assert found.converged and found.n_iter < 1000
    for layer, row in zip(layers, found.layers, strict=True):
        np.testing.assert_allclose((found.rows * found.weights * row) @ found.columns.T, layer.toarray(), atol=1e-4)
    for factor in (found.rows, found.columns, found.layers):
        np.testing.assert_allclose(np.abs(factor).sum(axis=0), 1.0)
    mean = np.mean([layer.toarray() for layer in layers], axis=0)
    np.testing.assert_allclose(mean_layer(found), mean / np.abs(mean).max(), atol=1e-5)


def test_against_dense_least_squares():
    """One pass, with unfolded matrices and Khatri-Rao products as the text books write it."""
    rng = np.random.default_rng(1)
    layers = [sp.random_array((9, 9), density=0.3, rng=rng, format="csr") for _ in range(4)]
    T = np.stack([layer.toarray() for layer in layers], axis=2)
    b, c = rng.normal(size=(9, 2)), rng.normal(size=(4, 2))
    found = cp_als(layers, columns=b, depth=c, max_iter=1)
    spec = {"a": ("ijk,jr,kr->ir", b, c)}
    a = np.einsum(spec["a"][0], T, b, c) @ np.linalg.inv((b.T @ b) * (c.T @ c))
    a /= np.abs(a).sum(axis=0)
    b = np.einsum("ijk,ir,kr->jr", T, a, c) @ np.linalg.inv((a.T @ a) * (c.T @ c))
    b /= np.abs(b).sum(axis=0)
    c = np.einsum("ijk,ir,jr->kr", T, a, b) @ np.linalg.inv((a.T @ a) * (b.T @ b))
    weights = np.abs(c).sum(axis=0)
    for one, other in zip(found[:4], (weights, a, b, c / weights), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert found.n_iter == 1 and not found.converged


def test_more_components_than_there_are():
    rng = np.random.default_rng(2)
    one = rng.normal(size=(8, 1))
    found = cp_als([sp.csr_array(one @ one.T)] * 3, columns=rng.normal(size=(8, 4)), depth=rng.normal(size=(3, 4)))
    fitted = mean_layer(found)
    np.testing.assert_allclose(fitted, one @ one.T / np.abs(one @ one.T).max(), atol=1e-2)


def test_an_empty_stack():
    found = cp_als([sp.csr_array((5, 5))] * 2, columns=np.ones((5, 2)), depth=np.ones((2, 2)))
    assert found.converged and found.n_iter == 0 and not mean_layer(found).any()


def test_the_weaker_direction_is_weakened():
    weights = np.array([[0.9, 0.4, -0.2], [-0.8, 0.5, 0.3], [0.2, 0.3, 0.1]])
    np.testing.assert_allclose(directed(weights), [[0, 0.1, -0.2], [-0.8, 0, 0.3], [0.2, 0.3, 0]])
