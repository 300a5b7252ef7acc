"""t tests that borrow spread: scipy's without, the known law with, and no more false alarms than promised."""

import numpy as np
import pytest
from scipy import stats

from grn._kernels import moderation


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 60)), rng.normal(size=(5, 60))


def test_without_shrinkage_it_is_the_test_of_scipy(values):
    first, second = values
    _, t, p = moderation.unpaired(first, second, moderate=False)
    known = stats.ttest_ind(first, second)
    assert np.allclose(t, known.statistic) and np.allclose(p, known.pvalue)
    effect, t, p = moderation.paired(first, second[:4], moderate=False)
    known = stats.ttest_rel(first, second[:4])
    assert np.allclose(t, known.statistic) and np.allclose(p, known.pvalue)
    assert np.allclose(effect, (first - second[:4]).mean(axis=0))


@pytest.mark.parametrize(("df", "worth", "common"), [(2, 6.0, 0.5), (5, 3.0, 2.0), (10, 20.0, 1.0)])
def test_the_law_of_the_variances_is_found(df, worth, common):
    rng = np.random.default_rng(1)
    true = worth * common / rng.chisquare(worth, 40_000)
    found = moderation.prior(true * rng.chisquare(df, 40_000) / df, df)
    assert found[0] == pytest.approx(common, rel=0.05) and found[1] == pytest.approx(worth, rel=0.15)


def test_variances_that_scatter_by_chance_alone_are_all_the_same():
    rng = np.random.default_rng(2)
    common, worth = moderation.prior(3.0 * rng.chisquare(4, 3000) / 4, 4)
    assert common == pytest.approx(3.0, rel=0.05) and worth > 100


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("test", ["paired", "unpaired"])
def test_five_in_a_hundred_are_called_where_nothing_differs(test, n):
    rng = np.random.default_rng(3)
    spread = np.sqrt(4 * 0.7 / rng.chisquare(4, 3000))
    share, strict = [], []
    for _ in range(8):
        first, second = (spread * rng.normal(size=(n, 3000)) for _ in range(2))
        p = getattr(moderation, test)(first, second, moderate=True)[2]
        share.append((p < 0.05).mean())
        strict.append((p < 0.001).mean())
    assert np.mean(share) == pytest.approx(0.05, abs=0.01) and np.mean(strict) < 0.003


def test_two_pairs_find_what_the_plain_test_cannot():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 2, 400))
    first[:, :20] += 4.0
    plain, shrunk = (moderation.paired(first, second, moderate=flag)[1] for flag in (False, True))
    found = [np.isin(np.argsort(-np.abs(t))[:20], range(20)).sum() for t in (plain, shrunk)]
    assert found[1] >= 15 and found[1] > found[0] + 5


def test_what_does_not_vary_has_no_t():
    first, second = np.ones((3, 12)), np.zeros((3, 12))
    assert np.isnan(moderation.paired(first, second, moderate=True)[1]).all()
    first[0, 1:] += np.arange(11.0) + 1
    _, t, p = moderation.unpaired(first, second, moderate=True)
    assert np.isnan([t[0], p[0]]).all() and np.isfinite(t[1:]).all()
