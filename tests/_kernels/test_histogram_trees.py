"""Boosting on binned regulators: bins, one tree in closed form and as scikit-learn's, draws, blocks of targets."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from grn._kernels.bins import MAX_BINS, Bins
from grn._kernels.histogram_trees import block_size, boosted_together
from grn._kernels.trees import Boosting, boosted

ONE_TREE = Boosting(rounds=1, features=1.0, cells=1.0)


def same(one, two):
    assert one.n == two.n
    for first, second in zip(one.arrays, two.arrays, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def mixed():
    """Columns of all kinds (300, 7): dense, sparse, few values, negative, a commonest value that is not 0, constant."""
    random = np.random.default_rng(0)
    counts = random.poisson(0.4, size=300)
    return np.stack(
        [
            random.normal(size=300),
            counts,
            np.log1p(counts * random.uniform(size=300)),
            random.integers(-2, 3, size=300),
            -counts * random.uniform(size=300),
            np.where(random.uniform(size=300) < 0.5, 3.25, random.normal(size=300)),
            np.full(300, 2.0),
        ],
        axis=1,
    ).astype(np.float32)


def test_bins_keep_the_order_of_values_and_the_commonest_value_alone(mixed):
    bins = Bins.of(mixed)
    codes = bins.codes().astype(np.int64)
    assert bins.sizes.max() <= MAX_BINS and bins.sizes[[1, 3, 6]].tolist() == [len(set(mixed[:, k])) for k in (1, 3, 6)]
    for values, column, common in zip(mixed.T, codes.T, bins.common, strict=True):
        order = np.argsort(values, kind="stable")
        assert (np.diff(column[order]) >= 0).all()
        inside = values[column == common]
        assert len(inside) == np.bincount(column).max()
    for k, value in ((2, 0.0), (4, 0.0), (5, 3.25)):
        assert set(mixed[codes[:, k] == bins.common[k], k]) == {np.float32(value)}


def test_bins_of_a_sparse_matrix_and_of_permuted_cells_are_the_same(mixed):
    bins = Bins.of(mixed)
    same(Bins.of(sparse.csr_array(mixed)), bins)
    order = np.random.default_rng(1).permutation(300)
    same(bins.permuted(order), Bins.of(mixed[order]))
    same(Bins.of(mixed[:, :3]).beside(Bins.of(mixed[:, 3:])), bins)


def test_the_gain_of_a_split_is_the_closed_form():
    """Two groups of 6 and 4 cells with means 1 and -1.5: the gain is all of the variance."""
    x = np.array([0, 0, 0, 0, 0, 0, 2, 2, 2, 2], dtype=np.float32)
    y = np.where(x > 0, -1.5, 1.0)
    importances, trees = boosted_together(Bins.of(x[:, None]), y[:, None], np.arange(1), seed=0, plan=ONE_TREE)
    assert (importances.tolist(), trees.tolist()) == ([[1.0]], [1])
    noise = np.array([1, -1] * 5, dtype=np.float32)
    X = np.stack([noise, x], axis=1)
    importances, _ = boosted_together(Bins.of(X), (y + 0.5 * noise)[:, None], np.arange(2), seed=0, plan=ONE_TREE)
    # means of the four kinds of cells: first x, by 6 * 4 / 10 * 2.5 ** 2 = 15 of the sum of squares, then the noise
    np.testing.assert_allclose(importances[0], [2.5 / 17.5, 15 / 17.5], rtol=1e-5)


@pytest.mark.parametrize("rounds", [1, 60])
def test_trees_are_those_of_scikit_learn_where_every_value_is_a_bin(rounds):
    random = np.random.default_rng(3)
    X = np.asfortranarray(np.maximum(random.integers(-15, 16, size=(400, 6)), 0), dtype=np.float32)
    Y = np.stack([X[:, t] - (X[:, t + 2] > 5) * 4 + 3 * random.normal(size=400) for t in range(4)], axis=1)
    plan = Boosting(rounds=rounds, features=1.0, cells=1.0)
    importances, trees = boosted_together(Bins.of(X), Y, np.arange(6), seed=0, plan=plan)
    exact = np.array([boosted(X, y, seed=0, plan=plan)[0] for y in Y.T])
    assert (trees == rounds).all()
    np.testing.assert_allclose(importances, exact, rtol=2e-4, atol=1e-5 * rounds)


@pytest.fixture(scope="module")
def many():
    """30 regulators and 21 targets of 250 cells, of which some stop early and some late."""
    random = np.random.default_rng(4)
    X = random.poisson(0.8, size=(250, 30)).astype(np.float32)
    weights = random.normal(size=(30, 21)) * (random.uniform(size=(30, 21)) < 0.1)
    return X, X @ weights + random.normal(size=(250, 21)) * random.uniform(0.3, 3, size=21)


def test_targets_are_the_same_in_any_company_and_in_threads(many):
    X, Y = many
    bins, columns = Bins.of(X), np.arange(30)
    whole, trees = boosted_together(bins, Y, columns, seed=5)
    assert len(set(trees.tolist())) > 5
    for part in ([3], [20, 0], list(range(5, 16)), list(range(20, -1, -1))):
        again, counts = boosted_together(bins, Y[:, part], columns, seed=5)
        np.testing.assert_array_equal(again, whole[part])
        np.testing.assert_array_equal(counts, trees[part])
    with ThreadPoolExecutor(2) as pool:
        pieces = list(pool.map(lambda t: boosted_together(bins, Y[:, t : t + 3], columns, seed=5)[0], range(0, 21, 3)))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert (boosted_together(bins, Y, columns, seed=6)[0] != whole).any()


def test_columns_that_are_left_out_change_nothing_and_a_barred_one_is_not_used(many):
    X, Y = many
    some = np.array([1, 2, 11, 29])
    alone = boosted_together(Bins.of(X[:, some]), Y, np.arange(4), seed=3)[0]
    np.testing.assert_array_equal(boosted_together(Bins.of(X), Y, some, seed=3)[0], alone)
    best = boosted_together(Bins.of(X), Y, np.arange(30), seed=3)[0].argmax(axis=1)
    barred = boosted_together(Bins.of(X), Y, np.arange(30), seed=3, barred=best)[0]
    assert (barred[np.arange(21), best] == 0).all() and (barred.sum(axis=1) > 20).all()


def test_equal_regulators_are_told_apart_by_their_place_alone(many):
    X, Y = many
    twins = np.concatenate([X[:, :5], X[:, :5]], axis=1)
    plan = Boosting(rounds=20, features=1.0)
    importances = boosted_together(Bins.of(twins), Y, np.arange(10), seed=0, plan=plan)[0]
    assert (importances[:, :5].sum(axis=1) > 0).all() and not importances[:, 5:].any()


def test_every_column_is_drawn_alike():
    """Without any signal no column may be preferred for its place, as happens with a poor generator."""
    random = np.random.default_rng(9)
    X, Y = random.normal(size=(300, 40)).astype(np.float32), random.normal(size=(300, 12))
    plan = Boosting(rounds=60, window=1000)
    total = boosted_together(Bins.of(X), Y, np.arange(40), seed=1, plan=plan)[0].sum(axis=0)
    assert total.max() < 2.2 * total.mean() and total.min() > 0.4 * total.mean()


def test_a_target_that_nothing_predicts_has_no_importances():
    X, y = np.zeros((50, 3), dtype=np.float32), np.arange(50.0)[:, None]
    plan = Boosting(rounds=30, cells=1.0)
    importances, trees = boosted_together(Bins.of(X), y, np.arange(3), seed=0, plan=plan)
    assert not importances.any() and trees.tolist() == [30]


def test_blocks_fit_the_memory_and_the_workers():
    assert block_size(3000, 10_000, 2) == 64 and block_size(1_300_000, 10_000, 2) == 8
    assert block_size(3000, 40, 2) == 8 and block_size(3000, 1, 4) == 8


def test_later_trees_count_as_many_and_learn_as_much():
    """Ten trees of rate 0.1, then two of rate 0.4 that count as four each."""
    x = np.array([0] * 6 + [2] * 6, dtype=np.float32)
    noise = np.array([1, -1] * 6, dtype=np.float32)
    plan = Boosting(rounds=18, features=1.0, cells=1.0, learning_rate=0.1, first=10, pace=4)
    importances, trees = boosted_together(Bins.of(x[:, None]), (x - 1)[:, None], np.arange(1), seed=0, plan=plan)
    assert (importances.tolist(), trees.tolist()) == ([[18.0]], [18])
    Y = (x - 1 + 0.2 * noise)[:, None]
    importances, _ = boosted_together(Bins.of(np.stack([x, noise], axis=1)), Y, np.arange(2), seed=0, plan=plan)
    # regulators that are independent are fitted side by side, so the rate changes no share
    np.testing.assert_allclose(importances[0] / 18, np.array([1, 0.04]) / 1.04, rtol=1e-4)
    few = boosted_together(Bins.of(x[:, None]), Y, np.arange(1), seed=0, plan=Boosting(rounds=19, first=3, pace=5))
    assert few[1].tolist() == [19]


def test_trees_of_the_window_count_once_when_boosting_stops(many):
    X, Y = many
    steady = boosted_together(Bins.of(X), Y, np.arange(30), seed=5)[1]
    faster = boosted_together(Bins.of(X), Y, np.arange(30), seed=5, plan=Boosting(first=60, pace=5))[1]
    early = steady <= 60
    assert early.any() and not early.all()
    np.testing.assert_array_equal(steady[early], faster[early])
    assert 0.8 < faster[~early].mean() / steady[~early].mean() < 1.25
