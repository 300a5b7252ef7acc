"""Regression on principal components of all other genes: against one decomposition per gene."""

import numpy as np
import pytest

from grn._kernels.pc_regression import coefficients, spectrum, spectrum_of_products, strongest
from grn._kernels.scatter import scatter


def per_gene(X, n_components):
    """The definition: one singular value decomposition per gene, and whether its leading part is well defined."""
    X = X - X.mean(0)
    deviation = X.std(0, ddof=1)
    X = X / np.where(deviation > 1e-12, deviation, np.inf)
    found, clear = np.zeros((X.shape[1],) * 2), np.ones(X.shape[1], dtype=bool)
    for j in range(X.shape[1]):
        others = np.delete(np.arange(X.shape[1]), j)
        U, s, Vt = np.linalg.svd(X[:, others], full_matrices=False)
        k = min(n_components, (s > 1e-9 * s[0]).sum())
        found[j, others] = (Vt[:k].T / s[:k]) @ (U[:, :k].T @ X[:, j])
        clear[j] = len(s) == k or s[k - 1] - s[k] > 1e-5 * s[0]
    return found, clear


def cells(n, n_genes, seed=0):
    rng = np.random.default_rng(seed)
    rate = rng.normal(size=(n, 4)) @ rng.normal(size=(4, n_genes)) * 0.4
    return rng.poisson(np.exp(rate + 1.0)).astype(float)


@pytest.mark.parametrize(("n", "n_genes"), [(25, 40), (60, 30), (12, 80), (200, 12), (9, 7)])
@pytest.mark.parametrize("n_components", [1, 3, 5])
def test_every_gene_as_if_decomposed_alone(n, n_genes, n_components):
    X = cells(n, n_genes)
    wanted, clear = per_gene(X, n_components)
    centred = X - X.mean(0)
    for found in (spectrum(X), spectrum_of_products(centred.T @ centred, X.mean(0), len(X))):
        result = coefficients(found, n_components=n_components)
        np.testing.assert_allclose(result[clear], wanted[clear], atol=1e-9)
        assert not np.diag(result).any()
    assert clear.mean() > 0.9


def duplicated(X):
    return np.hstack([X, X[:, :5]])


def constant(X):
    X = X.copy()
    X[:, [1, 4]] = 3.0
    return X


def blocks(X):
    """Genes of one half of the cells only: many coordinates are zero."""
    X = X.copy()
    X[: len(X) // 2, ::2] = 0
    X[len(X) // 2 :, 1::2] = 0
    return X


def one_cell(X):
    X = X.copy()
    X[:, 2] = 0
    X[7, 2] = 1
    return X


def orthogonal(X):
    """A gene that the leading components do not see, and two equal singular values."""
    basis = np.linalg.qr(np.column_stack([np.ones(len(X)), X[:, :12]]))[0][:, 1:]
    mixing = np.zeros((12, 24))
    mixing[0, :8], mixing[1, 8:16], mixing[2, 16:20], mixing[3, 20:23], mixing[4, 23] = 1, 1, 1, 1, 1
    return basis @ mixing + 1e-3 * basis @ np.random.default_rng(1).normal(size=(12, 24))


@pytest.mark.parametrize("spoil", [duplicated, constant, blocks, one_cell, orthogonal])
@pytest.mark.parametrize("seed", range(3))
def test_genes_that_make_poles_vanish(spoil, seed):
    X = spoil(cells(40, 30, seed))
    wanted, clear = per_gene(X, 3)
    found = coefficients(spectrum(X))
    assert np.isfinite(found).all()
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(found[clear] / scale, wanted[clear] / scale, atol=1e-8)
    assert clear.mean() > 0.5


def test_cells_drawn_twice_are_weighted():
    X, counts = cells(30, 50), np.random.default_rng(1).integers(1, 4, size=30)
    twice = coefficients(spectrum(np.repeat(X, counts, axis=0)))
    np.testing.assert_allclose(coefficients(spectrum(X, counts)), twice, atol=1e-11)
    found = scatter(lambda rows: X[rows], np.arange(30), weights=counts.astype(float))
    products = spectrum_of_products(found.products, found.mean, found.count)
    np.testing.assert_allclose(coefficients(products), twice, atol=1e-10)


def test_blocks_of_genes_and_torch_give_the_same():
    found = spectrum(cells(40, 90))
    wanted = coefficients(found)
    np.testing.assert_allclose(coefficients(found, memory=1), wanted, atol=1e-14)
    np.testing.assert_allclose(coefficients(found, device="cpu"), wanted, atol=1e-12)
    np.testing.assert_allclose(coefficients(spectrum(cells(40, 90), device="cpu"), device="cpu"), wanted, atol=1e-11)


def test_nothing_varies():
    found = spectrum(np.full((10, 6), 2.0))
    assert len(found.values) == 0 and not coefficients(found).any()
    assert strongest(np.zeros((3, 3)), 0.5).nnz == 0


def test_the_strongest_weights_are_kept_and_scaled():
    weights = np.array([[0.0, 4.0, -1.0], [2.0, 0.0, 0.5], [-8.0, 0.1, 0.0]])
    found = strongest(weights, 2 / 3).toarray()
    np.testing.assert_array_equal(found, [[0, 0.5, 0], [0.25, 0, 0], [-1, 0, 0]])
