"""Correlations over blocks of cells."""

import numpy as np
import pytest
from scipy import stats

from grn._kernels import correlate
from grn._kernels.correlate import cross, pearson, spearman


def values(n_cells=300, n_genes=9, seed=0):
    random = np.random.default_rng(seed)
    X = random.poisson(random.uniform(0.2, 3.0, n_genes), size=(n_cells, n_genes)).astype(np.float32)
    X[:, 1] += X[:, 0]
    X[:, 2] = -X[:, 2]
    X[:, 3] = random.normal(size=n_cells)
    return X


SOURCES, TARGETS = np.array([0, 2, 3]), np.array([1, 0, 4, 5, 8])


@pytest.mark.parametrize("block", [7, 4096])
def test_pearson_equals_numpy(block, monkeypatch):
    monkeypatch.setattr(correlate, "BLOCK", block)
    X = values() + np.float32(1000)
    members = np.random.default_rng(1).permutation(300)[:211]
    found = pearson(lambda k: X[k], members, SOURCES, TARGETS)
    wanted = np.corrcoef(X[members].T.astype(np.float64))[np.ix_(SOURCES, TARGETS)]
    np.testing.assert_allclose(found, wanted, atol=1e-10)


@pytest.mark.parametrize("budget", [correlate.BUDGET, 8 * 400, 8])
def test_spearman_equals_scipy_with_ties_negatives_and_portions(budget, monkeypatch):
    monkeypatch.setattr(correlate, "BLOCK", 64)
    X = values()
    members = np.arange(0, 300, 2)
    found = spearman(lambda k: X[k], members, SOURCES, TARGETS, budget=budget)
    wanted = stats.spearmanr(X[members]).statistic[np.ix_(SOURCES, TARGETS)]
    np.testing.assert_allclose(found, wanted, atol=1e-10)


@pytest.mark.parametrize("function", [pearson, spearman])
def test_constant_genes_have_no_correlation(function):
    X = values()
    X[:, 2], X[:, 4], X[:, 5] = 0.1, 0.0, 7.3
    found = function(lambda k: X[k], np.arange(300), SOURCES, TARGETS)
    assert np.isnan(found[1]).all() and np.isnan(found[:, [2, 3]]).all()
    assert np.isfinite(found[np.ix_([0, 2], [0, 1, 4])]).all()


def test_moments_of_both_sides():
    X = values()
    found = cross(lambda k: X[k], np.arange(300), SOURCES, TARGETS)
    np.testing.assert_allclose(found.source_mean, X[:, SOURCES].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.target_scale, X[:, TARGETS].std(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match="no cells"):
        cross(lambda k: X[k], np.arange(0), SOURCES, TARGETS)
