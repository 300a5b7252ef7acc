import numpy as np
import pytest
from scipy import sparse, stats

from grn._kernels.rank_sum import rank_sum


def matrix(seed, n=60, m=12, low=-2, high=4, density=0.5):
    random = np.random.default_rng(seed)
    return (random.integers(low, high, (n, m)) * (random.random((n, m)) < density)).astype(float)


@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("low", [-2, 0])
def test_it_is_the_test_of_scipy_with_ties_and_signs(density, low):
    values = matrix(1, density=density, low=low)
    codes = np.random.default_rng(2).integers(0, 3, len(values))
    z, pval = rank_sum(sparse.csc_matrix(values), codes, 3)
    for group in range(3):
        for column in range(values.shape[1]):
            inside, outside = values[codes == group, column], values[codes != group, column]
            if np.ptp(values[:, column]) == 0:
                assert (z[group, column], pval[group, column]) == (0, 1)
                continue
            expected = stats.mannwhitneyu(inside, outside, method="asymptotic")
            assert pval[group, column] == pytest.approx(expected.pvalue, rel=1e-9)
            middle = len(inside) * len(outside) / 2
            assert np.sign(z[group, column]) in (0, np.sign(expected.statistic - middle))


def test_continuous_values_and_stored_zeros():
    values = np.random.default_rng(0).normal(size=(30, 4))
    values[:5, 0] = 0
    stored = sparse.csc_matrix(np.ones_like(values))
    stored.data = values.T.ravel().copy()
    codes = np.arange(30) % 2
    z, pval = rank_sum(stored, codes, 2)
    other = rank_sum(sparse.csc_matrix(values), codes, 2)
    np.testing.assert_array_equal(z, other[0])
    expected = [stats.mannwhitneyu(v[codes == 0], v[codes == 1], method="asymptotic").pvalue for v in values.T]
    np.testing.assert_allclose(pval[0], expected)
    np.testing.assert_allclose(z[0], -z[1])


@pytest.mark.parametrize("values", [np.zeros((6, 2)), np.ones((6, 2))])
def test_what_is_all_alike_is_no_evidence(values):
    z, pval = rank_sum(sparse.csc_matrix(values), np.arange(6) % 2, 2)
    assert (z == 0).all() and (pval == 1).all()


def test_a_group_without_members_is_no_evidence():
    z, pval = rank_sum(sparse.csc_matrix(matrix(3)), np.zeros(60, dtype=int), 2)
    assert (z == 0).all() and (pval == 1).all()
