"""Differences of two sets of cells, per gene and per set of genes."""

import numpy as np
import pytest
from scipy import sparse, stats

from grn._kernels.contrast import slopes, welch


def test_welch_is_that_of_scipy_and_flat_genes_do_not_differ():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 5)), rng.normal(1.0, 2.0, size=(20, 5))
    a[:, 4] = b[:, 4] = 0.25
    moments = [(x.mean(axis=0), x.std(axis=0)) for x in (a, b)]
    difference, t, p = welch(*moments, np.array(12), np.array(20))
    expected = stats.ttest_ind(a[:, :4], b[:, :4], equal_var=False)
    assert np.allclose(difference, a.mean(axis=0) - b.mean(axis=0))
    assert np.allclose(t[:4], expected.statistic) and np.allclose(p[:4], expected.pvalue)
    assert (t[4], p[4]) == (0.0, 1.0)


def test_slopes_are_those_of_regressions_and_nan_without_any():
    rng = np.random.default_rng(0)
    statistic = rng.normal(size=30)
    weights = rng.normal(size=(4, 30)) * (rng.random((4, 30)) < 0.4)
    weights[3] = 2.0
    found = slopes(statistic, sparse.csr_matrix(weights))
    for row in range(3):
        fit = stats.linregress(weights[row], statistic)
        assert found[row] == pytest.approx(fit.slope / fit.stderr)
    assert np.isnan(found[3]) and np.isnan(slopes(np.ones(30), sparse.csr_matrix(weights))).all()
