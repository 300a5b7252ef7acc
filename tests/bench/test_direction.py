"""The direction of one-way edges: value, ties, missing scores and interval."""

import numpy as np
import pandas as pd
import pytest

from grn.bench import Reference
from grn.bench._direction import direction, direction_auprc

GENES = [f"G{i:02d}" for i in range(30)]


@pytest.fixture
def reference():
    rng = np.random.default_rng(0)
    order = np.triu(rng.random((30, 30)) < 0.2, 1)
    edges = [(GENES[i], GENES[j]) for i, j in zip(*np.nonzero(order), strict=True)]
    return Reference(pd.DataFrame(edges, columns=["source", "target"]), genes=GENES, regulators=GENES)


def places(reference):
    return np.nonzero(reference.labels & ~reference.labels.T)


def test_right_wrong_and_tied(reference):
    truth, one_way = reference.labels.astype(float), places(reference)
    for table, value in ((truth, 1.0), (truth.T, 0.0), (np.ones_like(truth), 0.5)):
        found, replicates = direction(reference, [table], one_way, n_boot=50, seed=0)
        assert found == value and replicates.shape == (50,) and (replicates == value).all()
    assert direction(reference, [truth, truth.T], one_way, n_boot=5, seed=0)[0] == 0.5


def test_the_interval_is_that_of_regulators(reference):
    """Edges of a regulator stand and fall together: the interval is no narrower than that of single edges."""
    rng, one_way = np.random.default_rng(1), places(reference)
    noise = rng.normal(size=reference.labels.shape)
    value, replicates = direction(reference, [noise], one_way, n_boot=400, seed=0)
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert low < 0.5 < high and low < value < high
    assert replicates.std() > 0.9 * np.sqrt(0.25 / len(one_way[0]))
    again = direction(reference, [noise], one_way, n_boot=400, seed=0)[1]
    np.testing.assert_array_equal(replicates, again)


def test_what_is_not_scored_does_not_count(reference):
    truth, one_way = reference.labels.astype(float), places(reference)
    truth[:15] = np.nan
    value, replicates = direction(reference, [truth], one_way, n_boot=50, seed=0)
    assert value == 1.0 and np.nanmin(replicates) == 1.0
    value, replicates = direction(reference, [np.full_like(truth, np.nan)], one_way, n_boot=7, seed=0)
    assert np.isnan(value) and np.isnan(replicates).all() and len(replicates) == 7
    none = (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    assert np.isnan(direction(reference, [truth], none, n_boot=3, seed=0)[0])


def test_edges_are_ranked_against_their_reverses(reference):
    """One list of all edges and all reverses: a score that is right within every pair need not rank them so."""
    truth, one_way = reference.labels.astype(float), places(reference)
    for table, value in ((truth, 1.0), (np.ones_like(truth), 0.5), (truth + truth.T, 0.5)):
        assert direction_auprc(reference, [table], one_way) == pytest.approx(value, abs=0.02)
    assert direction_auprc(reference, [truth.T], one_way) < 0.5
    hubs = np.add.outer(np.arange(30.0), np.arange(30.0)) ** 2
    within = hubs + hubs.T + 0.1 * truth
    assert direction(reference, [within], one_way, n_boot=2, seed=0)[0] == 1.0
    assert 0.5 < direction_auprc(reference, [within], one_way) < 0.6
    known = truth.copy()
    known[:15] = np.nan
    assert direction_auprc(reference, [known, known], one_way) == 1.0
    assert np.isnan(direction_auprc(reference, [np.full_like(truth, np.nan)], one_way))
    assert np.isnan(direction_auprc(reference, [truth], (one_way[0][:0], one_way[1][:0])))
