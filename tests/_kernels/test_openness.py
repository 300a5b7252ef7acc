import numpy as np
import pytest
from scipy import stats

from grn._kernels.openness import contrast


def test_it_is_the_g_test_of_numbers_against_shares_of_all():
    counts = np.random.default_rng(0).integers(0, 30, (3, 50)).astype(float)
    found = contrast(counts)
    share = counts.sum(axis=1) / counts.sum()
    for group in range(3):
        for region in range(50):
            mine, total = counts[group, region], counts[:, region].sum()
            expected = np.array([share[group], 1 - share[group]]) * total
            g, pval = stats.power_divergence([mine, total - mine], expected, ddof=0, lambda_="log-likelihood")
            assert found.score[group, region] ** 2 == pytest.approx(g, rel=1e-9, abs=1e-9)
            assert found.pval[group, region] == pytest.approx(pval, rel=1e-8)
            assert np.sign(found.score[group, region]) == np.sign(mine - expected[0])


def test_depth_cancels():
    counts = np.outer([1.0, 5.0, 20.0], np.arange(1, 9))
    found = contrast(counts)
    np.testing.assert_allclose(found.pval, 1)
    np.testing.assert_allclose(found.score, 0, atol=1e-6)


def test_regions_that_are_never_open_are_no_evidence():
    found = contrast(np.array([[0.0, 5.0], [0.0, 5.0]]))
    assert found.pval[:, 0].tolist() == [1, 1] and found.score[:, 0].tolist() == [0, 0]
    assert np.isfinite(found.log2fc).all()


def test_blocks_do_not_matter(monkeypatch):
    counts = np.random.default_rng(0).integers(0, 30, (3, 50)).astype(float)
    whole = contrast(counts)
    monkeypatch.setattr("grn._kernels.openness._AT_ONCE", 1)
    for first, second in zip(whole, contrast(counts), strict=True):
        np.testing.assert_array_equal(first, second)
