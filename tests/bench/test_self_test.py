"""Self-test of the benchmark: hubs with random targets must score at chance, planted pairs must be found.

In ``hubs`` pairs are independent given the degrees of their ends, so nothing can be learned but degrees. Expected under
degree-matched negatives: every floor and every score made of node effects, sums as well as products, has the AUPRC that
a random order expects (about 0.5; exactly that of a score with all pairs tied). At least 90 % of the 95 % intervals
over regulators contain it (widened by 0.01 for what a bootstrap over regulators does not see: the draw of negatives and
targets), and so does, much sharper, the t-interval of the mean over networks.
The degrees of the other half of the edges (``own_degree``) may only fall below: an edge misses in its own count.
Expected under uniform negatives: the same degrees score far above chance. Expected in ``communities``: a score that
knows the communities, and no degree, is far above chance under degree-matched negatives.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from grn.bench import floors, negatives, splits
from grn.bench._figures import evaluate

NETWORKS = range(8)
SAMPLES = range(2)
SHAPES = ({"regulators": 50, "genes": 200, "edges": 1300}, {"regulators": 60, "genes": 300, "edges": 900})
METRICS = ("auprc", "auprc_regulator")


def node_scores(reference, seed):
    """Scores of the two ends: true degrees, which no method can beat as a node effect, and arbitrary effects."""
    random = np.random.default_rng(seed)
    out, into = np.meshgrid(reference.labels.sum(axis=1), reference.labels.sum(axis=0), indexing="ij")
    f, g = np.meshgrid(random.normal(size=out.shape[0]), random.normal(size=out.shape[1]), indexing="ij")
    return {
        "target": np.log1p(into),
        "sum of degrees": np.log1p(out) + np.log1p(into),
        "product of degrees": out * into,
        "smaller degree": np.minimum(out / out.mean(), into / into.mean()),
        "f + g": f + g,
        "f x g": f * g,
        "degree x g": np.log1p(out) * g,
    }


def figures_of(reference, kind, mask, tables):
    """Figures of scores, one table of scores (regulators, genes) by name for every sample."""
    samples = [negatives.sample(reference, negatives=kind, mask=mask, rng=seed) for seed in SAMPLES]
    both = zip(tables, samples, strict=True)
    scores = [{name: drawn.take(table) for name, table in given.items()} for given, drawn in both]
    tied = [{"tied": np.zeros(len(drawn))} | found for drawn, found in zip(samples, scores, strict=True)]
    return evaluate(samples, tied, n_boot=60, seed=0)


def chance(figures, metric):
    """What a random order of the sampled pairs expects: ties are counted as the mean over their orders."""
    return figures["tied"].values[metric]


@pytest.fixture(scope="module", params=SHAPES, ids=("dense", "sparse"))
def hubs(build, request):
    """Per network: figures of node scores, of what half of the edges tells of the other, and of own degrees."""
    found = []
    for seed in NETWORKS:
        reference = build.hubs(seed, **request.param)
        everything, made = splits.own_pairs(reference), splits.split(reference, by="pair", rng=seed)
        fixed = [node_scores(reference, seed) for _ in SAMPLES]
        learned = [floors.transfer(made) for _ in SAMPLES]
        own = [floors.own_degree(reference, mask=everything, rng=i) for i in SAMPLES]
        found.append(
            {
                "nodes": figures_of(reference, "degree_matched", everything, fixed),
                "floors": figures_of(reference, "degree_matched", made.test_mask, learned),
                "own": figures_of(reference, "degree_matched", everything, own),
            }
        )
    return found


@pytest.mark.parametrize("part", ["nodes", "floors"])
def test_intervals_of_hubs_contain_chance(hubs, part):
    inside: dict[str, list[bool]] = {}
    for network in hubs:
        expected = chance(network[part], "auprc")
        assert expected == pytest.approx(0.5, abs=0.01)
        for name, found in network[part].items():
            low, high = found.interval("auprc")
            inside.setdefault(name, []).append(low - 0.01 <= expected <= high + 0.01)
    assert np.mean(list(inside.values())) >= 0.9
    assert all(np.mean(seen) > 0.6 for seen in inside.values()), inside


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("part", ["nodes", "floors"])
def test_hubs_are_at_chance_on_average(hubs, part, metric):
    """The mean gain over a random score is 0 within a t-interval over independent networks (1 in 10 000)."""
    for name in hubs[0][part]:
        gains = [network[part][name].values[metric] - chance(network[part], metric) for network in hubs]
        error = np.std(gains, ddof=1) / np.sqrt(len(gains))
        assert abs(np.mean(gains)) < max(t.isf(5e-5, len(gains) - 1) * error, 3e-3), name
        assert abs(np.mean(gains)) < 0.015, name


def test_own_degrees_never_help(hubs):
    for network in hubs:
        figures = network["own"]
        for name in ("own degree", "own out-degree"):
            for metric in METRICS:
                assert figures[name].interval(metric)[0] <= chance(figures, metric) + 0.01, name
                assert figures[name].values[metric] <= chance(figures, metric) + 0.02, name


def test_under_uniform_negatives_degrees_are_nearly_enough(build):
    for seed in NETWORKS[:3]:
        reference = build.hubs(seed)
        everything = splits.own_pairs(reference)
        tables = floors.own_degree(reference, mask=everything, rng=seed)
        figures = figures_of(reference, "uniform", everything, [tables for _ in SAMPLES])
        assert figures["own degree"].interval("auprc")[0] > 0.65
        assert figures["own degree"].interval("auprc_regulator")[0] > chance(figures, "auprc_regulator") + 0.1
        assert figures["own out-degree"].values["auprc"] > 0.65
        made = splits.split(reference, by="pair", rng=seed)
        learned = floors.transfer(made)
        figures = figures_of(reference, "uniform", made.test_mask, [learned for _ in SAMPLES])
        assert figures["degree"].interval("auprc")[0] > 0.65
        low, high = figures["random"].interval("auprc")
        assert low - 0.01 <= 0.5 <= high + 0.01


def test_planted_pairs_are_found(build):
    for seed in NETWORKS[:4]:
        reference, same = build.communities(seed)
        everything = splits.own_pairs(reference)
        noise = np.random.default_rng(seed).normal(size=same.shape)
        tables = {
            "communities": same + 0.5 * noise,
            "reversed": -(same + 0.5 * noise),
            "sum of degrees": node_scores(reference, seed)["sum of degrees"],
        }
        figures = figures_of(reference, "degree_matched", everything, [tables for _ in SAMPLES])
        for metric in METRICS:
            expected = chance(figures, metric)
            assert figures["communities"].interval(metric)[0] > expected + 0.1
            assert figures["reversed"].interval(metric)[1] < expected - 0.03
            assert figures["sum of degrees"].values[metric] < expected + 0.05
        assert figures["communities"].values["auprc_residual"] > 0.6


def test_planted_pairs_are_found_among_the_noise_of_hubs(build):
    """Pair signal under strong node effects is seen in the residual; node effects alone leave nothing there."""
    reference, same = build.communities(9)
    everything = splits.own_pairs(reference)
    random = np.random.default_rng(0)
    effects = random.normal(size=(same.shape[0], 1)) + random.normal(size=same.shape[1])
    tables = {"buried": 3 * effects + same, "effects": 3 * effects}
    figures = figures_of(reference, "degree_matched", everything, [tables for _ in SAMPLES])
    assert figures["buried"].values["auprc_residual"] > figures["buried"].values["auprc"] + 0.05
    assert figures["effects"].values["auprc_residual"] == pytest.approx(0.5, abs=0.03)
