"""Ridge, bagging ridge and Bayesian ridge against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import BayesianRidge, Ridge

from grn._core.blocks import Workers
from grn._kernels import ridge

REGULATORS = [np.array(some) for some in ([1, 2, 3], [2, 5], [1, 2, 3], [7], [0, 9, 10], [11, 3])]
TARGETS = np.array([0, 1, 4, 5, 6, 8])


@pytest.fixture(scope="module")
def cells():
    random = np.random.default_rng(0)
    return random.normal(size=(90, 12)) @ random.normal(size=(12, 12)) + 50.0


@pytest.fixture(scope="module")
def products(cells):
    centred = cells - cells.mean(axis=0)
    return centred.T @ centred


def each(regulators=REGULATORS):
    """Target and regulators, as the flat results list them."""
    return [(target, own) for target, own in zip(TARGETS, regulators, strict=True) if len(own)]


def test_plain_ridge_is_ridge_on_the_regulators(cells, products):
    coefficients = ridge.plain_ridge(products, products[:, TARGETS], REGULATORS, 10.0)
    expected = [Ridge(alpha=10.0).fit(cells[:, rows], cells[:, target]).coef_ for target, rows in each()]
    np.testing.assert_allclose(coefficients, np.concatenate(expected), rtol=1e-9, atol=1e-12)


def test_targets_without_regulators_have_no_coefficients(products):
    cross = products[:, :2]
    coefficients = ridge.plain_ridge(products, cross, [np.array([], dtype=int), np.array([2])], 1.0)
    assert coefficients.shape == (1,) and coefficients[0] != 0
    assert ridge.plain_ridge(products, cross[:, :0], [], 1.0).shape == (0,)


def test_large_systems_take_the_other_solver(monkeypatch, products):
    cross = products[:, TARGETS]
    expected = ridge.plain_ridge(products, cross, REGULATORS, 3.0)
    monkeypatch.setattr(ridge, "SMALL", 1)
    np.testing.assert_allclose(ridge.plain_ridge(products, cross, REGULATORS, 3.0), expected)


@pytest.mark.parametrize("block", [7, 40, 4096])
def test_bag_products_are_those_of_the_drawn_cells(monkeypatch, cells, block):
    monkeypatch.setattr(ridge, "BLOCK", block)
    drawn = np.random.default_rng(1).integers(0, 60, size=(3, 60))
    counts = np.stack([np.bincount(one, minlength=60) for one in drawn])
    which, regulators, targets = np.arange(20, 80), np.array([3, 1]), np.array([0, 2, 3])
    found = ridge.bag_products(lambda some: cells[some], which, regulators, targets, counts, cells.mean(axis=0))
    for bag, one in zip(found, drawn, strict=True):
        x, y = cells[which[one]][:, regulators], cells[which[one]][:, targets]
        np.testing.assert_allclose(bag, (x - x.mean(axis=0)).T @ (y - y.mean(axis=0)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("values", [ridge.VALUES, 1])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_bagging_is_one_ridge_per_bag_and_target(monkeypatch, cells, values, n_jobs):
    monkeypatch.setattr(ridge, "VALUES", values)
    random = np.random.default_rng(2)
    counts = np.stack([np.bincount(random.integers(0, 90, 90), minlength=90) for _ in range(6)])
    used = np.arange(12)
    inner = ridge.bag_products(lambda some: cells[some], np.arange(90), used, used, counts, cells.mean(axis=0))
    places = {len(own): random.random((6, len(own))).argsort(axis=1)[:, : max(1, len(own) - 1)] for own in REGULATORS}
    found = ridge.bagging_ridge(
        inner, inner[:, :, TARGETS], REGULATORS, lambda own: places[len(own)], 4.0, workers=Workers(n_jobs)
    )
    means, pvalues, variances = [], [], []
    for target, own in each():
        table = np.full((6, len(own)), np.nan)
        for bag, place in enumerate(places[len(own)]):
            fit = Ridge(alpha=4.0).fit(cells[:, own[place]], cells[:, target], sample_weight=counts[bag])
            table[bag, place] = fit.coef_
        means.extend(np.nanmean(table, axis=0))
        variances.extend(np.nan_to_num(np.nanvar(table, axis=0, ddof=1)))
        pvalues.extend(np.nan_to_num(stats.ttest_1samp(table, 0.0, nan_policy="omit").pvalue, nan=1.0))
    np.testing.assert_allclose(found.mean, means, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.variance, variances, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.pvalue, pvalues, rtol=1e-6)


def test_a_regulator_drawn_once_or_never_has_p_one():
    inner = np.broadcast_to(np.eye(2) * 5, (3, 2, 2)).copy()
    cross = np.ones((3, 2, 1)) * np.arange(1, 4)[:, None, None]
    found = ridge.bagging_ridge(inner, cross, [np.array([0, 1])], lambda _: np.array([[0], [0], [1]]), 1.0)
    assert found.pvalue[1] == 1.0 and 0 < found.pvalue[0] < 1
    never = ridge.bagging_ridge(inner, cross, [np.array([0, 1])], lambda _: np.zeros((3, 1), dtype=int), 1.0)
    assert never.mean[1] == 0.0 and never.pvalue[1] == 1.0


@pytest.mark.filterwarnings("ignore")
def test_one_factorisation_per_bag_gives_the_same_as_one_per_target(cells):
    random = np.random.default_rng(4)
    used, targets, scale = np.array([1, 4, 6, 9, 11]), np.array([0, 4, 9, 7]), np.linspace(0.5, 3.0, 12)
    counts = np.stack([np.bincount(random.integers(0, 90, 90), minlength=90) for _ in range(8)])
    columns = np.concatenate([used, targets])
    both = ridge.bag_products(lambda some: cells[some], np.arange(90), used, columns, counts, cells.mean(axis=0))
    both /= scale[used][:, None]
    inner, cross = both[:, :, :5] / scale[used], both[:, :, 5:]
    places = random.random((8, 5)).argsort(axis=1)[:, :3]
    own = np.array([-1, 1, 3, -1])
    found = ridge.open_bagging_ridge(inner, cross, own, scale[targets], places, 2.0)
    means = []
    for target in targets:
        table = np.full((8, 5), np.nan)
        for bag, place in enumerate(places):
            place = place[used[place] != target]
            x = (cells / scale)[:, used[place]]
            table[bag, place] = Ridge(alpha=2.0).fit(x, cells[:, target], sample_weight=counts[bag]).coef_
        test = stats.ttest_1samp(table, 0.0, nan_policy="omit").pvalue
        means.append(np.column_stack([np.nanmean(table, axis=0), test])[used != target])
    means = np.concatenate(means)
    np.testing.assert_allclose(found.mean, means[:, 0], rtol=1e-7)
    np.testing.assert_allclose(found.pvalue, means[:, 1], rtol=1e-5)


def test_bayesian_ridge_is_that_of_scikit_learn(cells, products):
    squares = np.diag(products)[TARGETS]
    found = ridge.bayesian_ridge(products, products[:, TARGETS], squares, 90, REGULATORS)
    fits = [BayesianRidge().fit(cells[:, own], cells[:, target]) for target, own in each()]
    np.testing.assert_allclose(found.mean, np.concatenate([fit.coef_ for fit in fits]), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.variance, np.concatenate([np.diag(fit.sigma_) for fit in fits]), rtol=1e-6)
    expected = 2 * stats.norm.sf(np.abs(found.mean) / np.sqrt(found.variance))
    np.testing.assert_allclose(found.pvalue, expected, rtol=1e-9)


def test_bayesian_ridge_stands_noise_and_few_cells():
    random = np.random.default_rng(3)
    cells = random.normal(size=(8, 12))
    cells[:, 11] = 0.0
    centred = cells - cells.mean(axis=0)
    products = centred.T @ centred
    own = [np.arange(10), np.array([11, 3])]
    found = ridge.bayesian_ridge(products, products[:, [10, 9]], np.diag(products)[[10, 9]], 8, own)
    assert np.isfinite(found.mean).all() and (found.variance > 0).all() and (found.pvalue <= 1).all()


def test_blocks_share_equal_sets_and_stack_equal_sizes():
    found = {(sets.shape, members.shape) for sets, members in ridge.blocks(REGULATORS)}
    assert found == {((1, 3), (1, 2)), ((2, 2), (2, 1)), ((1, 1), (1, 1)), ((1, 3), (1, 1))}
