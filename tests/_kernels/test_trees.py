"""Importances of boosted trees and forests, against arboreto and scikit-learn."""

import warnings

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from grn._kernels import trees
from grn._kernels.bins import Bins
from grn._kernels.histogram_trees import boosted_together
from grn._kernels.trees import Boosting, Forest, Monitor, boosted, draw, forest

CELLS, REGULATORS = 100, 20


def simulated(seed):
    """Regulators and a target of numpy's legacy generator, whose numbers never change."""
    random = np.random.RandomState(seed)
    X = random.normal(size=(CELLS, REGULATORS)).astype(np.float32)
    y = (X[:, 0] * 1.0 - 0.7 * X[:, 3] + 0.5 * random.normal(size=CELLS)).astype(np.float32)
    return np.asfortranarray(X), y


# computed with arboreto 0.1.6, infer_partial_network, seed 666, names r00 .. r19. "mse" is criterion="squared_error",
# which scikit-learn 1.9 takes for "friedman_mse" too: the same splits but for ties, which are broken by the last bit.
# With the default of arboreto about half of such targets have a tie that goes the other way; AS_IT_IS has none
SINCE_1_3 = """8.182727559258 0.817375657126 0.656901862131 3.469708240301 0.471055307081 0.493177452046 0.582181916164
0.868140107211 1.079116251899 0.961862400088 0.779928394308 1.234459177718 0.942075587874 1.386198232497 1.03310752538
2.708315742296 0.73588602457 0.439625566713 0.99074858511 1.167408410229"""  # mse, scikit-learn 1.3.2, simulated(2)
UNTIL_1_2 = """16.944086387568 1.463075466788 1.049074403198 6.60362225829 0.999971994958 1.471016951451 1.229293115487
1.727662182614 3.066603872477 2.15484888937 2.30388151143 2.366379268977 1.466910420168 3.196922654618 2.085392387624
5.015058818576 1.282061491967 0.806085175325 1.673858208436 2.094194540679"""  # mse, scikit-learn 1.2.2, simulated(2)
AS_IT_IS = """1.318664971391 1.181644577437 1.168808706752 2.300084073244 1.119573067669 1.815936729819 1.252356488213
1.582256802888 1.438359933478 2.95751103448 1.255446187245 0.914887051538 1.037500131352 0.583148695782 1.144170726971
1.302799373743 0.483838425486 1.112197701456 1.030815321056"""  # as it is, both, r03 on the others of simulated(1)
FOREST = """0.221373760714 0.034733044507 0.028307582021 0.084176934421 0.017489069274 0.056821915997 0.034873659641
0.035883339939 0.057126406754 0.038237957497 0.034027549903 0.047692540221 0.042833286188 0.058849265255 0.032679001923
0.060040974163 0.033222397139 0.019438329643 0.031612525442 0.030580459355"""  # RF, 25 trees, simulated(2)
EXTRA = """0.315472989928 0.039473143715 0.023979202436 0.129992888185 0.03192367413 0.026624770782 0.026677897634
0.019958863676 0.035429190993 0.030588082565 0.038134795777 0.030484410868 0.032617394084 0.041424295402 0.034698706858
0.039657728029 0.020718383956 0.026930989921 0.025903008711 0.029309582348"""  # ET, 25 trees, simulated(2)


def facts(text):
    return np.array(text.split(), dtype=float)


@pytest.mark.parametrize(("wanted", "paired", "count"), [(SINCE_1_3, False, 29), (UNTIL_1_2, True, 59)])
def test_boosting_equals_arboreto(wanted, paired, count):
    X, y = simulated(2)
    found, n = boosted(X, y, seed=666, plan=Boosting(paired=paired))
    assert n == count
    np.testing.assert_allclose(found, facts(wanted), atol=1e-8)


@pytest.mark.parametrize("paired", [False, True])
def test_a_regulator_as_target_equals_arboreto(paired):
    X, _ = simulated(1)
    found, _ = boosted(np.delete(X, 3, axis=1), X[:, 3], seed=666, plan=Boosting(paired=paired))
    np.testing.assert_allclose(found, facts(AS_IT_IS), atol=1e-8)


@pytest.mark.parametrize(("wanted", "extra"), [(FOREST, False), (EXTRA, True)])
def test_forests_equal_arboreto(wanted, extra):
    X, y = simulated(2)
    found = forest(X, y, seed=666, plan=Forest(extra=extra, trees=25, shares=True))
    np.testing.assert_allclose(found, facts(wanted), atol=1e-8)


def test_boosting_equals_scikit_learn_whatever_the_memory_layout():
    X, y = simulated(4)
    model = GradientBoostingRegressor(
        learning_rate=0.01, n_estimators=5000, max_features=0.1, subsample=0.9, random_state=7
    )

    def stop(i, fitted, _):
        return i >= 24 and fitted.oob_improvement_[i - 24 : i + 1].mean() < 0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, monitor=stop)
    for layout in (X, np.ascontiguousarray(X)):
        found, n = boosted(layout, y, seed=7, plan=Boosting(paired=False))
        assert n == len(model.estimators_)
        np.testing.assert_allclose(found, model.feature_importances_ * n, atol=1e-8)


def test_the_stopping_rule_compares_the_same_cells():
    """Errors of other cells out of bag say nothing about a tree; both rules on residuals that always shrink."""
    random = np.random.default_rng(0)
    stops = {}
    for paired in (True, False):
        monitor, residual = Monitor(Boosting(paired=paired)), random.normal(size=400)
        stops[paired] = 0
        for _ in range(300):
            out, after = random.permutation(400)[:40], residual * 0.999
            if monitor.stops(residual, after, out):
                break
            residual = after
            stops[paired] += 1
    assert stops[True] == 300 and stops[False] < 150


def test_cells_are_drawn_evenly():
    random = np.random.RandomState(0)
    drawn = np.array([draw(50, 45, random) for _ in range(400)])
    assert (drawn.sum(axis=1) == 45).all()
    assert drawn.mean(axis=0).min() > 0.83 and drawn.mean(axis=0).max() < 0.96


def test_a_target_that_nothing_predicts_has_no_importances():
    X, _ = simulated(0)
    found, n = boosted(X, np.ones(CELLS), seed=0, plan=Boosting(rounds=30))
    assert not found.any() and n == 30


def test_importances_of_a_forest_are_decreases_of_variance():
    X, y = simulated(3)
    found = forest(X, y, seed=1, plan=Forest(trees=30))
    y = y.astype(float)
    scaled = (y - y.mean()) / y.std()
    model = RandomForestRegressor(30, max_features="sqrt", random_state=1).fit(X, scaled)
    wanted = np.mean([t.tree_.compute_feature_importances(normalize=False) for t in model.estimators_], axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert 0.7 < found.sum() <= 1.05
    small = forest(X, y, seed=1, plan=Forest(trees=30, leaf=10, cells=60))
    assert small.sum() < found.sum() and np.argmax(small) == np.argmax(found) == 0


@pytest.fixture(scope="module")
def planted():
    """40 regulators, four targets of two of them each."""
    random = np.random.default_rng(5)
    X = np.asfortranarray(random.poisson(1.0, size=(200, 40)).astype(np.float32))
    return X, [X[:, k] - 0.7 * X[:, k + 10] + random.normal(size=200) for k in range(4)]


def test_fast_agrees_with_exact_as_well_as_another_seed(planted):
    X, targets = planted
    fast, trees_grown = boosted_together(Bins.of(X), np.stack(targets, axis=1), np.arange(40), seed=1)
    np.testing.assert_allclose(fast.sum(axis=1), trees_grown)
    agreement = {"fast": [], "seed": []}
    for k, y in enumerate(targets):
        exact, count = boosted(X, y, seed=1)
        assert min(trees_grown[k], count) > 25
        assert set(np.argsort(-fast[k])[:2]) == set(np.argsort(-exact)[:2]) == {k, k + 10}
        agreement["fast"].append(spearmanr(exact, fast[k])[0])
        agreement["seed"].append(spearmanr(exact, boosted(X, y, seed=2)[0])[0])
    assert np.mean(agreement["fast"]) > np.mean(agreement["seed"]) - 0.15


def test_published_parameters():
    plan = Boosting()
    assert (plan.learning_rate, plan.rounds, plan.features, plan.cells, plan.window) == (0.01, 5000, 0.1, 0.9, 25)
    assert trees.DEPTH == 3 and Forest().trees == 1000
