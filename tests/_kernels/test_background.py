import numpy as np
import pytest
from scipy.stats import kstest, t

from grn._kernels import background


def test_zscores_are_deviations_from_the_stratum_of_the_column():
    random = np.random.default_rng(0)
    null = random.normal(size=(60, 3))
    stratum = np.repeat([0, 1], 30)
    null[stratum == 1] = null[stratum == 1] * 0.1 + 5
    eligible = np.ones((60, 3), dtype=bool)
    eligible[:10, 2] = False
    before = null.copy()
    z = background.zscores(
        np.array([1.0, 5.1, 0.3, np.nan]),
        np.array([0, 1, 2, 0]),
        np.array([0, 1, 0, 0]),
        null,
        stratum,
        eligible,
        least=0,
    )
    parts = [before[:30, 0], before[30:, 1], before[10:30, 2]]
    expected = [
        (r - part.mean()) / (part.std(ddof=1) * np.sqrt(1 + 1 / len(part)))
        for r, part in zip([1.0, 5.1, 0.3], parts, strict=True)
    ]
    np.testing.assert_allclose(z, [*expected, np.nan])
    assert np.isnan(null[:10, 2]).all() and np.isfinite(null[10:]).all()
    rest = np.delete(before[30:, 1], 4)
    np.testing.assert_allclose(
        null[34, 1], (before[34, 1] - rest.mean()) / (rest.std(ddof=1) * np.sqrt(1 + 1 / len(rest)))
    )


def test_spread_is_no_smaller_than_chance_gives():
    null = np.full((20, 1), -0.01)
    z = background.zscores(
        np.array([0.19]), np.array([0]), np.array([0]), null, np.zeros(20), np.ones((20, 1), dtype=bool), least=0.1
    )
    np.testing.assert_allclose(z, 2 / np.sqrt(1 + 1 / 20))


def test_nothing_eligible_is_no_zscore():
    null = np.zeros((20, 1))
    none = np.zeros((20, 1), dtype=bool)
    z = background.zscores(np.array([0.5]), np.array([0]), np.array([0]), null, np.zeros(20), none, least=0.1)
    assert np.isnan(z).all()
    assert np.isnan(background.pvalues(z, np.zeros(1), null, np.zeros((20, 1)))).all()


def test_pvalues_count_the_background_of_their_pool():
    null = np.array([[1.0, -3.0, 2.0], [10.0, np.nan, -20.0]])
    pools = np.array([[0, 0, 0], [1, 1, 1]])
    found = background.pvalues(np.array([2.0, -2.5, 15.0, np.nan]), np.array([0, 0, 1, 1]), null, pools)
    np.testing.assert_allclose(found, [3 / 4, 2 / 4, 2 / 3, np.nan])


def test_pvalues_are_uniform_where_links_are_like_the_background():
    random = np.random.default_rng(0)
    null = random.normal(size=(30, 400)) * random.uniform(0.5, 2, 400) + random.normal(size=400)
    fresh = np.random.default_rng(1)
    columns = np.repeat(np.arange(400), 10)
    true = np.random.default_rng(0)
    true.normal(size=(30, 400))
    scale, shift = true.uniform(0.5, 2, 400), true.normal(size=400)
    r = fresh.normal(size=4000) * scale[columns] + shift[columns]
    z = background.zscores(r, columns, np.zeros(4000), null, np.zeros(30), np.ones((30, 400), dtype=bool), least=0)
    found = background.pvalues(z, np.zeros(4000), null, np.zeros((30, 400)))
    assert kstest(found, "uniform").pvalue > 0.01
    np.testing.assert_allclose(np.quantile(np.abs(null), 0.95), t.ppf(0.975, 28), rtol=0.05)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_strata_have_equally_many_and_keep_ties_together(n):
    size = np.arange(100)
    assert (np.bincount(np.searchsorted(background.edges(size, n), size)) == 100 // n).all()
    tied = np.repeat([1, 7], [90, 10])
    number = np.searchsorted(background.edges(tied, n), tied)
    assert len(set(number[:90])) == 1
