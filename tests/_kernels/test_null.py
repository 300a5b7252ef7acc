import numpy as np
import pytest
from scipy.stats import false_discovery_control

from grn._kernels.null import Draws, Means, Shape, discovery_rates, edge_pvalues, pooled_pvalues

SHAPE = Shape(sources=3, targets=5)


@pytest.fixture
def drawn():
    """Two groups, three sources, five targets; some edges are not listed, and not the same ones every time."""
    random = np.random.default_rng(0)
    observed = random.normal(size=(2, 3, 5))
    null = random.normal(size=(7, 2, 3, 5)) * np.linspace(0.5, 3, 5)
    null[random.random(null.shape) < 0.2] = 0.0
    draws = Draws()
    for one in null:
        keys = random.permutation(np.flatnonzero(one.ravel()))
        draws.add(keys, one.ravel()[keys])
    return np.arange(30), observed, draws, null


@pytest.mark.parametrize("standardise", [True, False])
def test_pooled_by_hand(drawn, standardise):
    keys, observed, draws, null = drawn
    scale = np.sqrt((null**2).mean(axis=(0, 2)))[:, None, :] if standardise else 1.0
    z, z0 = np.abs(observed) / scale, np.abs(null) / scale
    expected = np.array(
        [(1 + (z0[:, g, s] >= z[g, s, t]).sum()) / (1 + 7 * 5) for g in range(2) for s in range(3) for t in range(5)]
    )
    assert np.allclose(pooled_pvalues(keys, observed.ravel(), draws, SHAPE, standardise=standardise), expected)


def test_edges_by_hand(drawn):
    keys, observed, draws, null = drawn
    expected = (1 + (np.abs(null) >= np.abs(observed)).sum(axis=0)) / 8
    assert np.allclose(edge_pvalues(keys, observed.ravel(), draws), expected.ravel())


def test_a_weight_of_zero_is_never_significant(drawn):
    keys, observed, draws, _ = drawn
    weights = observed.ravel().copy()
    weights[4] = 0.0
    assert pooled_pvalues(keys, weights, draws, SHAPE)[4] == 1.0
    assert edge_pvalues(keys, weights, draws)[4] == 1.0


def test_equal_weights_count_as_reached_in_spite_of_rounding():
    draws = Draws()
    for weight in (0.3, 0.1 + 0.2, -0.3 * (1 - 1e-9)):
        draws.add(np.array([0]), np.array([weight]))
    assert edge_pvalues(np.array([0]), np.array([0.3]), draws)[0] == 1.0


def test_pairs_that_were_never_listed_do_not_count():
    """Halving the pairs that can be listed leaves p-values of the others alone."""
    draws = Draws()
    for i in range(9):
        draws.add(np.array([0, 1]), np.array([i, 10.0]))
    assert pooled_pvalues(np.array([0]), np.array([20.0]), draws, SHAPE, standardise=False)[0] == 1 / 19
    assert list(draws.candidates(np.array([0]))) == [0, 1]
    assert list(draws.candidates(np.array([0, 1]), np.array([1, 0]), np.array([3]))) == [0, 1, 3]
    assert list(Draws().candidates(np.array([4, 2]))) == [2, 4]
    assert len({id(keys) for keys in draws.keys}) == 1


def test_nothing_listed_at_all():
    draws = Draws()
    draws.add(np.array([], dtype=np.int64), np.array([]))
    assert edge_pvalues(np.array([3]), np.array([1.0]), draws)[0] == 0.5
    assert pooled_pvalues(np.array([3]), np.array([1.0]), draws, SHAPE)[0] == 0.5


def test_discovery_rates_are_those_of_scipy_within_groups_and_count_what_is_not_listed():
    random = np.random.default_rng(1)
    pvalues, groups = random.random(20), np.repeat([0, 1], 10)
    found = discovery_rates(pvalues, groups, np.array([10, 40]))
    assert np.allclose(found[:10], false_discovery_control(pvalues[:10]))
    assert np.allclose(found[10:], false_discovery_control(np.append(pvalues[10:], np.ones(30)))[:10])


def test_means_count_what_a_repetition_does_not_list_as_zero():
    means = Means()
    means.add(np.array([7, 3]), np.array([-2.0, 1.0]))
    means.add(np.array([5]), np.array([4.0]))
    assert means.of(np.array([3, 5, 7, 9])).tolist() == [0.5, 2.0, 1.0, 0.0]
