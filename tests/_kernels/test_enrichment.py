"""Pre-ranked enrichment against the running sum written out, and against gseapy's own figures."""

import json

import numpy as np
import pytest

from grn._kernels.enrichment import Ranking, deviations, random_sets


def running_sum(strength, places):
    """The running sum over all N places."""
    member = np.zeros(len(strength), dtype=bool)
    member[places] = True
    gained = np.cumsum(np.where(member, strength, 0)) / strength[member].sum()
    return gained - np.cumsum(~member) / (~member).sum()


@pytest.mark.parametrize("k", [1, 3, 17, 39])
def test_deviations_are_those_of_the_running_sum(k):
    random = np.random.default_rng(k)
    strength = np.sort(random.exponential(size=40))[::-1]
    sets = random_sets(40, k, 50, random)
    high, low, peak = deviations(strength, sets)
    for row, places in enumerate(sets):
        expected = running_sum(strength, places)
        assert high[row] == pytest.approx(expected.max())
        assert low[row] == pytest.approx(min(expected.min(), 0.0))
        assert places[peak[row]] == np.argmax(expected)


def test_random_sets_are_sets_and_equally_likely():
    sets = random_sets(6, 2, 30000, np.random.default_rng(0))
    assert (np.diff(sets, axis=1) > 0).all()
    counts = np.unique(sets[:, 0] * 6 + sets[:, 1], return_counts=True)[1]
    assert len(counts) == 15
    assert abs(counts - 2000).max() < 200


def test_p_values_of_random_sets_are_even():
    random = np.random.default_rng(1)
    ranking = Ranking(np.sort(random.exponential(size=200))[::-1], lambda n, k: random_sets(n, k, 500, random))
    pvalues = [ranking.enrichment(np.sort(random.choice(200, 12, replace=False))).pval for _ in range(400)]
    assert abs(np.mean(pvalues) - 0.5) < 0.05
    assert 0.02 < np.mean(np.array(pvalues) < 0.05) < 0.09


def test_a_set_at_the_top_or_at_the_bottom():
    random = np.random.default_rng(2)
    ranking = Ranking(np.linspace(2, 1, 50), lambda n, k: random_sets(n, k, 300, random))
    top = ranking.enrichment(np.arange(6))
    assert top.score == pytest.approx(1.0)
    assert top.normalised > 1.5
    assert top.leading == 6
    assert ranking.enrichment(np.arange(44, 50)).normalised < -1.5
    assert np.isnan(ranking.enrichment(np.arange(50)).normalised)
    assert np.isnan(ranking.enrichment(np.zeros(0, dtype=int)).normalised)


def test_members_without_strength_do_not_divide_by_zero():
    high, low, _ = deviations(np.array([3.0, 2.0, 0.0, 0.0]), np.array([[2, 3]]))
    assert np.isfinite([high[0], low[0]]).all()


def test_enrichment_is_that_of_gseapy(shared_dir):
    theirs = json.loads((shared_dir / "reference" / "scenicplus" / "gsea_TF0.json").read_text())
    names = list(theirs["ranked"])
    random = np.random.default_rng(0)
    ranking = Ranking(np.array(list(theirs["ranked"].values())), lambda n, k: random_sets(n, k, 20000, random))
    ours = ranking.enrichment(np.flatnonzero(np.isin(names, theirs["gene_set"])))
    assert names[: ours.leading] == theirs["leading_edge"]
    assert ours.normalised == pytest.approx(theirs["NES"], rel=0.01)
    assert ours.pval == pytest.approx(theirs["pval"], abs=0.01)
