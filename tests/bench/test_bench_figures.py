"""Figures and intervals against brute force: every pair repeated by hand, every regulator drawn by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from grn._core.rng import child
from grn.bench import Reference, metrics
from grn.bench._figures import INTERVALS, Figures, NodeEffects, evaluate, gain_rows, interval
from grn.bench.negatives import Sample, sample

RATIOS = ("auprc_ratio", "early_precision_ratio")


def reference(seed=0, n_regulators=9, n_genes=30, density=0.2):
    random = np.random.default_rng(seed)
    genes = [f"G{i:02d}" for i in range(n_genes)]
    weight = np.outer(random.uniform(0.2, 2, n_regulators), random.uniform(0.2, 2, n_genes)) * density
    rows, columns = np.nonzero(random.random(weight.shape) < weight)
    edges = pd.DataFrame({"source": np.array(genes)[rows], "target": np.array(genes)[columns]})
    edges = edges[edges["source"] != edges["target"]]
    return Reference(edges, genes=genes, regulators=genes[:n_regulators], dataset="set")


@pytest.fixture(scope="module")
def drawn():
    found = reference()
    return [sample(found, negatives=name, rng=seed) for seed, name in enumerate(("uniform", "degree_matched", "all"))]


def grids(seed=5):
    """Scores over the whole reference: continuous, with few values, and one constant."""
    random = np.random.default_rng(seed)
    shape = reference().labels.shape
    return {
        "continuous": random.normal(size=shape),
        "rough": random.integers(0, 4, shape).astype(float),
        "constant": np.ones(shape),
    }


def taken(samples, tables=None):
    return [{name: part.take(table) for name, table in (tables or grids()).items()} for part in samples]


def expected_precision(labels, scores, times=None):
    """Average precision in expectation over the order of ties, item by item."""
    times = np.ones(len(labels), dtype=int) if times is None else times
    labels, scores = np.repeat(labels, times), np.repeat(scores, times)
    if not labels.any():
        return np.nan
    total, before, hits = 0.0, 0, 0
    for value in sorted(set(scores), reverse=True):
        block = labels[scores == value]
        n, k = len(block), int(block.sum())
        for place in range(n):
            behind = (k - 1) / (n - 1) * place if n > 1 else 0.0
            total += k / n * (hits + 1 + behind) / (before + place + 1)
        before, hits = before + n, hits + k
    return total / labels.sum()


def within(sample_, scores, codes):
    """Mean of the precision within groups that have both classes."""
    parts = [
        expected_precision(sample_.labels[codes == c], scores[codes == c])
        for c in np.unique(codes)
        if 0 < sample_.labels[codes == c].mean() < 1
    ]
    return np.mean(parts)


def test_the_brute_force_of_this_file_is_right():
    """The mean over all orders in which ties can be broken."""
    labels, scores = np.array([1, 0, 1, 1, 0, 1]), np.array([2, 2, 2, 1, 1, 0])
    lots = [np.lexsort((lot, -scores)) for lot in itertools.permutations(range(len(labels)))]
    hits = labels[np.array(lots)]
    precision = np.cumsum(hits, axis=1) / np.arange(1, len(labels) + 1)
    assert expected_precision(labels, scores) == pytest.approx(np.mean((precision * hits).sum(axis=1) / 4), abs=1e-12)


@pytest.mark.parametrize("name", ["continuous", "rough", "constant"])
def test_values_against_brute_force(drawn, name):
    for part in drawn:
        scores = part.take(grids()[name])
        found = evaluate([part], [{name: scores}], n_boot=3, seed=0)[name].values
        area = expected_precision(part.labels, scores)
        assert found["auprc"] == pytest.approx(area, abs=1e-12)
        assert found["auprc_ratio"] == pytest.approx(area / part.labels.mean(), abs=1e-12)
        assert found["auroc"] == pytest.approx(roc_auc_score(part.labels, scores), abs=1e-12)
        assert found["auprc_regulator"] == pytest.approx(within(part, scores, part.sources), abs=1e-12)
        assert found["auprc_target"] == pytest.approx(within(part, scores, part.targets), abs=1e-12)
        if name == "continuous":
            assert area == pytest.approx(average_precision_score(part.labels, scores), abs=1e-12)
            top = part.labels[np.argsort(-scores)[: part.n_pos]].mean()
            assert found["early_precision_ratio"] == pytest.approx(top / part.labels.mean(), abs=1e-12)
        if name == "constant":
            assert found["auroc"] == 0.5 and found["early_precision_ratio"] == pytest.approx(1)


def test_values_are_means_over_samples(drawn):
    whole = evaluate(drawn, taken(drawn), n_boot=2, seed=0)
    for i, name in enumerate(grids()):
        single = [evaluate([part], [{name: part.take(grids()[name])}], n_boot=2, seed=0)[name] for part in drawn]
        for metric, value in whole[name].values.items():
            assert value == pytest.approx(np.mean([one.values[metric] for one in single]), abs=1e-12), (i, metric)


@pytest.mark.parametrize("name", ["continuous", "rough"])
def test_replicates_against_explicit_repetition(drawn, name):
    """Regulators drawn with replacement, all their pairs with them, the same ones in every sample."""
    n_boot, seed = 12, 7
    found = evaluate(drawn, taken(drawn), n_boot=n_boot, seed=seed)[name].replicates
    regulators = np.unique(np.concatenate([part.sources for part in drawn]))
    n = len(regulators)
    times = child(seed, "bootstrap").multinomial(n, np.full(n, 1 / n), size=n_boot)
    assert (times.sum(axis=1) == n).all() and (times == 0).any() and (times > 1).any()
    for b, counts in enumerate(times):
        of = dict(zip(regulators, counts, strict=True))
        areas, means = [], []
        for part in drawn:
            scores = part.take(grids()[name])
            weights = np.array([of[source] for source in part.sources])
            areas.append(expected_precision(part.labels, scores, weights))
            per = {
                r: expected_precision(part.labels[part.sources == r], scores[part.sources == r])
                for r in np.unique(part.sources)
                if 0 < part.labels[part.sources == r].mean() < 1
            }
            repeated = [per[r] for r in per for _ in range(of[r])]
            means.append(np.mean(repeated) if repeated else np.nan)
        assert found["auprc"][b] == pytest.approx(np.mean(areas), abs=1e-12)
        assert found["auprc_regulator"][b] == pytest.approx(np.mean(means), abs=1e-12)


def test_intervals_are_quantiles_of_the_replicates(drawn):
    found = evaluate(drawn, taken(drawn), n_boot=40, seed=1)["continuous"]
    for metric in INTERVALS:
        low, high = np.quantile(found.replicates[metric], [0.025, 0.975])
        assert found.interval(metric) == (low, high)
    assert np.isnan(found.interval("auroc")).all() and np.isnan(interval(np.full(3, np.nan))).all()
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0), "draws without an edge do not count"


def test_the_interval_is_as_wide_as_random_scores_scatter():
    """About nineteen of twenty intervals hold the prevalence, and they are not wider than that takes."""
    found = reference(seed=2, n_regulators=30, n_genes=120, density=0.1)
    random = np.random.default_rng(0)
    held, width, scatter = [], [], []
    for seed in range(5):
        part = sample(found, negatives="degree_matched", rng=seed)
        scores = {str(i): random.random(len(part)) for i in range(60)}
        figures = evaluate([part], [scores], n_boot=100, seed=seed).values()
        low, high = np.array([f.interval("auprc") for f in figures]).T
        held.append(np.mean((low <= 0.5) & (0.5 <= high)))
        width.append(np.mean(high - low))
        scatter.append(np.std([f.values["auprc"] for f in figures]))
    assert 0.87 < np.mean(held) < 0.99
    assert 0.8 < np.mean(width) / (2 * 1.96 * np.mean(scatter)) < 1.2


def reordered(part, order):
    return Sample(
        part.reference,
        part.sources[order],
        part.targets[order],
        part.labels[order],
        part.negatives,
        part.seed,
        part.report,
    )


def test_the_order_of_pairs_and_scores_means_nothing(drawn):
    first = evaluate(drawn, taken(drawn), n_boot=10, seed=3)
    random = np.random.default_rng(0)
    mixed = [reordered(part, random.permutation(len(part))) for part in drawn]
    second = evaluate(mixed, taken(mixed, dict(reversed(grids().items()))), n_boot=10, seed=3)
    for name, found in first.items():
        for metric, value in found.values.items():
            assert second[name].values[metric] == pytest.approx(value, abs=1e-12), metric
        for metric in INTERVALS:
            np.testing.assert_allclose(second[name].replicates[metric], found.replicates[metric], atol=1e-12)


def test_only_the_order_of_scores_counts(drawn):
    table = grids()["continuous"]
    tables = {"plain": table, "cubed": 1e6 * table**3 + 5, "float32": table.astype(np.float32)}
    found = evaluate(drawn, taken(drawn, tables), n_boot=5, seed=0)
    for name in ("cubed", "float32"):
        for metric, value in found["plain"].values.items():
            assert found[name].values[metric] == pytest.approx(value, abs=1e-12)


def test_a_perfect_and_a_reversed_score(drawn):
    labels = reference().labels.astype(float)
    found = evaluate(drawn, taken(drawn, {"right": labels, "wrong": -labels}), n_boot=20, seed=0)
    for metric in ("auprc", "auroc", "auprc_regulator", "auprc_target"):
        assert found["right"].values[metric] == 1
        assert found["wrong"].values[metric] < 0.5
    assert found["wrong"].values["auroc"] == found["wrong"].values["early_precision_ratio"] == 0
    for metric in INTERVALS:
        assert found["right"].interval(metric) == (1, 1)


def test_groups_with_one_class_have_no_figure():
    """With two pairs per regulator of one class each, nothing can be told within regulators."""
    names = ["A", "B", "C", "D"]
    found = Reference(pd.DataFrame({"source": ["A", "B"], "target": ["C", "D"]}), genes=names, regulators=names)
    part = Sample(found, np.array([0, 2]), np.array([2, 3]), np.array([1, 0]), "uniform", 0)
    figures = evaluate([part], [{"x": np.array([1.0, 0.0])}], n_boot=5, seed=0)["x"]
    assert figures.values["auprc"] == 1 and np.isnan(figures.values["auprc_regulator"])
    assert np.isnan(figures.interval("auprc_regulator")).all()


# ---- what is left beside node effects


@pytest.mark.parametrize(("n_regulators", "n_genes"), [(9, 30), (12, 400), (40, 60)])
@pytest.mark.parametrize("negatives", ["uniform", "degree_matched"])
def test_nothing_is_left_of_a_score_of_one_node(n_regulators, n_genes, negatives):
    """Degrees of the sample itself, the strongest such score there is, end in ties."""
    found = reference(3, n_regulators, n_genes, density=0.06)
    part = sample(found, negatives=negatives)
    tied = metrics.auprc(part.labels, np.zeros(len(part)))
    for axis, codes in ((1, part.sources), (0, part.targets)):
        scores = found.labels.sum(axis=axis)[codes].astype(float)
        assert NodeEffects(part).auprc(scores) == pytest.approx(tied, abs=1e-12)
        assert NodeEffects(part).auprc(-np.exp(scores)) == pytest.approx(tied, abs=1e-12)


def test_what_is_left_of_a_pair_score_is_the_pair():
    found = reference(3, 20, 60, density=0.1)
    part, random = sample(found), np.random.default_rng(0)
    node = 5.0 * random.normal(size=len(found.regulators))[part.sources]
    node += 5.0 * random.normal(size=len(found.genes))[part.targets]
    pair = part.labels + 0.3 * random.normal(size=len(part))
    assert metrics.auprc(part.labels, node + pair) < 0.65
    assert NodeEffects(part).auprc(node + 4 * pair) > metrics.auprc(part.labels, node + 4 * pair) + 0.02
    assert NodeEffects(part).auprc(pair) > 0.9


# ---- gains


def figure(value, replicates, rewired=0.5):
    values = {"auprc": value, "auroc": 1 - value, "auprc_rewired": rewired}
    return Figures(values, {"auprc": np.asarray(replicates, dtype=float)})


FIGURES = {
    "method": figure(0.7, [0.70, 0.72, 0.68, 0.71]),
    "weak": figure(0.4, [0.41, 0.39, 0.40, 0.42]),
    "random": figure(0.55, [0.55, 0.55, 0.55, 0.55]),
    "floor": figure(0.6, [0.60, 0.63, 0.57, 0.60]),
    "lower": figure(0.5, [0.75, 0.75, 0.75, 0.75]),
    "unknown": figure(np.nan, [np.nan] * 4),
    "oracle": figure(0.8, [0.8, 0.8, 0.8, 0.8]),
}
KINDS = {"method": "method", "weak": "ablation", "oracle": "oracle"} | dict.fromkeys(
    ["random", "floor", "lower", "unknown"], "floor"
)


def rows(metrics_):
    return pd.DataFrame(gain_rows(FIGURES, KINDS, metrics_)).set_index(["metric", "method"])


def test_gain_is_paired_and_over_the_best_floor():
    found = rows(["auprc"]).loc["auprc"]
    assert (found["best_floor"] == "floor").all() and (found["floor"] == 0.6).all()
    assert found.loc["method", "gain"] == pytest.approx(0.1) and found.loc["weak", "gain"] == pytest.approx(-0.2)
    assert found.loc["oracle", "gain"] == pytest.approx(0.2)
    difference = np.array([0.10, 0.09, 0.11, 0.11])
    expected = np.quantile(difference, [0.025, 0.975])
    np.testing.assert_allclose(found.loc["method", ["gain_low", "gain_high"]].astype(float), expected)
    floors = [name for name, kind in KINDS.items() if kind == "floor"]
    assert found.loc[floors, ["gain", "gain_low", "gain_high"]].isna().all(axis=None)
    assert found["kind"].to_dict() == KINDS


def test_the_best_floor_is_another_one_for_another_metric():
    found = rows(["auroc"]).loc["auroc"]
    assert (found["best_floor"] == "lower").all() and (found["floor"] == 0.5).all()
    assert found.loc["weak", "gain"] == pytest.approx(0.1)
    assert found[["gain_low", "gain_high", "low", "high"]].isna().all(axis=None)


def test_there_is_no_gain_where_more_is_not_better():
    assert rows(["auprc_rewired"])["gain"].isna().all()


def test_without_floors_there_is_no_gain():
    table = pd.DataFrame(gain_rows({"method": FIGURES["method"]}, {"method": "method"}, ["auprc"]))
    assert table.loc[0, "best_floor"] == "" and table[["floor", "gain", "gain_low"]].isna().all(axis=None)
