"""Forests on binned regulators: against scikit-learn, in closed form, and in any company."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from grn._kernels.bins import Bins
from grn._kernels.histogram_forests import block_size, forests_together
from grn._kernels.trees import Forest, forest


def grown(X, Y, plan, *, columns=None, seed=0, seeds=None):
    bins, T = Bins.of(X), Y.shape[1]
    columns = [np.arange(X.shape[1])] * T if columns is None else columns
    seeds = range(T) if seeds is None else seeds
    return forests_together(bins.codes(), bins.sizes, Y, columns, seed=seed, seeds=seeds, plan=plan)


@pytest.fixture(scope="module")
def cells():
    """25 regulators of few values and 9 targets of 300 cells."""
    random = np.random.default_rng(4)
    X = random.poisson(1.5, size=(300, 25)).astype(np.float32)
    weights = random.normal(size=(25, 9)) * (random.uniform(size=(25, 9)) < 0.15)
    return X, X @ weights + random.normal(size=(300, 9)) * random.uniform(0.3, 3, size=9)


def test_codes_say_the_bin_of_every_cell():
    X = np.array([[0, 5], [0, 7], [3, 7], [1, 7], [0, -2]], dtype=np.float32)
    assert Bins.of(X).codes().tolist() == [[0, 1], [0, 2], [2, 2], [1, 2], [0, 0]]


def test_a_tree_on_one_regulator_is_that_of_scikit_learn(cells):
    """With all cells, drawn once each, nothing is left to chance but the order of equal gains."""
    X, Y = cells[0][:, :1], cells[1]
    plan = Forest(extra=True, trees=1, leaf=10)
    binary = (X > 1).astype(np.float32)
    found = grown(binary, Y, plan)
    for t, y in enumerate(Y.T):
        tree = DecisionTreeRegressor(min_samples_leaf=10).fit(binary, (y - y.mean()) / y.std())
        gain = tree.tree_.compute_feature_importances(normalize=False)
        np.testing.assert_allclose(found[t], gain, rtol=1e-6, atol=1e-9)


def test_the_decrease_of_the_variance_is_the_closed_form():
    """Two groups of 6 and 4 cells, all of the variance of which one split takes away."""
    x = np.array([0] * 6 + [2] * 4, dtype=np.float32)[:, None]
    y = np.where(x > 0, -1.5, 1.0)
    np.testing.assert_allclose(grown(x, y, Forest(extra=True, trees=3)), [[1.0]], rtol=1e-9)
    assert not grown(x, y, Forest(extra=True, trees=3, leaf=5)).any()


@pytest.mark.parametrize("extra", [False, True])
def test_importances_are_those_of_scikit_learn_up_to_chance(cells, extra):
    X, Y = cells
    plan = Forest(extra=extra, trees=300, leaf=10)
    found = grown(X, Y, plan)
    exact = np.array([forest(X, y, seed=1, plan=plan) for y in Y.T])
    # two seeds of scikit-learn differ as much, most for targets that nothing predicts
    np.testing.assert_allclose(found.sum(axis=1), exact.sum(axis=1), rtol=0.13)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(found, exact, strict=True)]
    assert min(correlations) > 0.9 and np.median(correlations) > 0.99


@pytest.mark.parametrize("extra", [False, True])
def test_targets_are_the_same_in_any_company(cells, extra):
    X, Y = cells
    plan = Forest(extra=extra, trees=12, leaf=5, cells=150)
    whole = grown(X, Y, plan)
    for part in ([3], [8, 0], list(range(8, -1, -1))):
        np.testing.assert_array_equal(grown(X, Y[:, part], plan, seeds=part), whole[part])
    assert (grown(X, Y, plan, seed=1) != whole).any() and (grown(X, Y, plan, seeds=range(1, 10)) != whole).any()


def test_a_target_uses_its_own_regulators_alone(cells):
    X, Y = cells
    columns = [np.delete(np.arange(25), t) for t in range(8)] + [np.array([4, 9])]
    found = grown(X, Y, Forest(trees=20, leaf=5), columns=columns)
    assert all(found[t, t] == 0 for t in range(8))
    assert found[8, [4, 9]].all() and np.count_nonzero(found[8]) == 2


def test_regulators_that_do_not_vary_give_nothing():
    X, y = np.zeros((50, 3), dtype=np.float32), np.arange(50.0)[:, None]
    assert not grown(X, y, Forest(trees=3)).any()


def test_blocks_fit_the_memory_and_the_workers():
    assert block_size(3000, 10_000, 2) == 32 and block_size(1_300_000, 10_000, 2) == 6
    assert block_size(3000, 40, 2) == 5 and block_size(3000, 1, 4) == 1
