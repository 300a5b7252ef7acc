"""Scores of predicted targets against effects: planted truth, brute force, floors, invariance, bad input."""

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from grn import Network
from grn.bench import perturbation
from grn.errors import GeneNameError, GeneOverlapError, NetworkError, ParameterError


def random_effects(seed=0, n=6, m=9):
    """A table with ties, pairs that were not measured, and self pairs."""
    rng = np.random.default_rng(seed)
    sources = [f"R{i}" for i in range(n)]
    targets = [*sources[:2], *(f"T{i}" for i in range(m))]
    rows = [(s, t) for s in sources for t in targets if s == t or rng.random() < 0.9]
    table = pd.DataFrame(rows, columns=["source", "target"])
    table["label"] = rng.random(len(table)) < 0.4
    table["effect"] = rng.integers(-3, 4, len(table)) / 2
    table["control_mean"] = table["target"].map({t: float(i % 4) for i, t in enumerate(targets)})
    table["control_correlation"] = np.where(table["source"].isin(sources[:4]), rng.normal(size=len(table)), np.nan)
    return table


def random_edges(effects, seed=0, share=0.6):
    rng = np.random.default_rng(seed)
    kept = effects[rng.random(len(effects)) < share][["source", "target"]]
    return kept.assign(weight=rng.integers(-2, 3, len(kept)) / 2).reset_index(drop=True)


@pytest.fixture(scope="module")
def weights(screens):
    return screens.planted()


@pytest.fixture(scope="module")
def found(weights, screens):
    return perturbation.effects(screens.screen(weights), max_q=0.01)


def test_the_planted_network_wins_and_a_shuffled_one_does_not(found, weights, screens):
    edges = screens.edges_of(weights)
    rng = np.random.default_rng(5)
    wrong = pd.DataFrame(weights.to_numpy()[:, rng.permutation(30)], index=screens.REGULATORS, columns=screens.TARGETS)
    table = perturbation.score({"planted": edges, "shuffled": screens.edges_of(wrong)}, found)
    best = screens.value_of(table, "planted", "auprc")
    assert best["value"] > 0.95 and best["n_regulators"] == 8
    assert best["best_floor"] == "|correlation|", "in a linear model control cells tell the targets too"
    assert best["low"] > screens.value_of(table, "mean effect", "auprc")["high"] + 0.3
    assert screens.value_of(table, "planted", "spearman_signed")["value"] > 0.4
    chance = screens.value_of(table, "shuffled", "auroc")
    assert chance["gain_high"] < 0.2 and 0.3 < chance["value"] < 0.7


def test_the_wrong_sign_hurts_only_the_signed_figure(found, weights, screens):
    edges = screens.edges_of(weights)
    table = perturbation.score({"right": edges, "wrong": edges.assign(weight=-edges["weight"])}, found)
    assert screens.value_of(table, "right", "auprc")["value"] == screens.value_of(table, "wrong", "auprc")["value"]
    right, wrong = (screens.value_of(table, name, "spearman_signed")["value"] for name in ("right", "wrong"))
    assert right == pytest.approx(-wrong) and right > 0.4
    unsigned = perturbation.score(edges.assign(weight=edges["weight"].abs()), found)
    rows = unsigned[(unsigned["method"] == "prediction") & (unsigned["metric"] == "spearman_signed")]
    assert rows.empty, "a prediction without signs has no signed figure"


def test_unknown_signs_count_for_nothing(screens):
    effects = random_effects()
    effects = effects[effects["source"] == "R0"]
    edges = effects[["source", "target"]].assign(weight=1.0, sign=np.nan)
    edges = edges[edges["source"] != edges["target"]].reset_index(drop=True)
    edges.loc[0, "sign"] = 1.0
    signed = perturbation.by_regulator(edges, effects, floors=False)
    value = screens.value_of(signed, "prediction", "spearman_signed")["value"]
    part = effects[effects["source"] != effects["target"]]
    expected = stats.spearmanr(part["target"] == edges.loc[0, "target"], -part["effect"]).statistic
    assert value == pytest.approx(expected)


def brute_auprc(labels, scores):
    """Mean of the average precision over all orders of the ties."""
    found = []
    for order in permutations(range(len(labels))):
        ordered = [scores[i] for i in order]
        if all(a >= b for a, b in pairwise(ordered)):
            ranked = [labels[i] for i in order]
            hits = np.cumsum(ranked)
            found.append(np.mean([hits[k] / (k + 1) for k in range(len(ranked)) if ranked[k]]))
    return np.mean(found)


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_single_regulators_agree_with_brute_force(seed):
    effects = random_effects(seed, n=4, m=4)
    edges = random_edges(effects, seed)
    table = perturbation.by_regulator(edges, effects, floors=False)
    weight = edges.set_index(["source", "target"])["weight"]
    checked = 0
    for source, part in effects[effects["source"] != effects["target"]].groupby("source"):
        given = [weight.get((source, target), np.nan) for target in part["target"]]
        scores = np.array([-1.0 if np.isnan(w) else abs(w) for w in given])
        labels = part["label"].to_numpy()
        own = table[(table["source"] == source) & (table["kind"] == "method")]
        figures = {row.metric: row for row in own.itertuples()}
        assert figures["auprc"].n_targets == len(part) and figures["auprc"].n_pos == labels.sum()
        assert figures["auprc"].coverage == pytest.approx(np.mean(~np.isnan(given)))
        if 0 < labels.sum() < len(labels):
            assert figures["auprc"].value == pytest.approx(brute_auprc(labels, scores))
            assert figures["auroc"].value == pytest.approx(roc_auc_score(labels, scores))
            checked += 1
        else:
            assert np.isnan(figures["auprc"].value) and np.isnan(figures["auroc"].value)
        if part["effect"].abs().nunique() > 1:
            expected = stats.spearmanr(scores, part["effect"].abs()).statistic if len(set(scores)) > 1 else 0.0
            assert figures["spearman"].value == pytest.approx(expected)
        if part["effect"].nunique() > 1:
            signed = np.nan_to_num(given)
            expected = stats.spearmanr(signed, -part["effect"]).statistic if len(set(signed)) > 1 else 0.0
            assert figures["spearman_signed"].value == pytest.approx(expected)
    assert checked


def test_untied_figures_agree_with_scikit_learn(found):
    rng = np.random.default_rng(2)
    edges = found[["source", "target"]].assign(weight=rng.normal(size=len(found)))
    table = perturbation.by_regulator(edges, found, floors=False)
    for source, part in found.groupby("source", observed=True):
        scores = edges.loc[part.index, "weight"].abs()
        rows = table[(table["source"] == source)].set_index("metric")["value"]
        assert rows["auprc"] == pytest.approx(average_precision_score(part["label"], scores))
        assert rows["auroc"] == pytest.approx(roc_auc_score(part["label"], scores))


def test_floors_agree_with_brute_force():
    effects = random_effects(4)
    real = effects[effects["source"] != effects["target"]]
    floors = {"mean effect": [], "in-degree": [], "|correlation|": [], "mean expression": []}
    for row in real.itertuples():
        others = real[(real["target"] == row.target) & (real["source"] != row.source)]
        floors["mean effect"].append(others["effect"].abs().mean() if len(others) else 0.0)
        floors["in-degree"].append(others["label"].mean() if len(others) else 0.0)
        floors["|correlation|"].append(abs(row.control_correlation))
        floors["mean expression"].append(row.control_mean)
    table = perturbation.by_regulator({}, effects)
    for name, scores in floors.items():
        edges = real[["source", "target"]].assign(weight=np.round(scores, 12))
        known = edges[edges["weight"].notna()]
        expected = perturbation.by_regulator(known, effects, regulators=known["source"].unique(), floors=False)
        expected = expected[expected["kind"] == "method"]
        for metric in ("auprc", "auroc", "spearman"):
            ours = table[(table["method"] == name) & (table["metric"] == metric)].set_index("source")["value"]
            theirs = expected[expected["metric"] == metric].set_index("source")["value"]
            pd.testing.assert_series_equal(ours[theirs.index], theirs, check_names=False)
            assert ours.drop(theirs.index).isna().all(), "no floor where the regulator is not measured"


def test_the_mean_effect_never_sees_the_own_effect():
    effects = random_effects(1)
    before = perturbation.by_regulator({}, effects)
    changed = effects.assign(effect=np.where(effects["source"] == "R0", effects["effect"] + 5, effects["effect"]))
    after = perturbation.by_regulator({}, changed)
    rows = (before["method"] == "mean effect") & (before["metric"] == "auprc")
    own = rows & (before["source"] == "R0")
    assert before.loc[own, "value"].equals(after.loc[own, "value"])
    assert not before.loc[rows & ~own, "value"].equals(after.loc[rows & ~own, "value"])


def test_responding_to_everything_is_found_by_the_floors_not_by_the_gain(screens):
    """Targets that respond to any loss: their mean effect tells all, and a method that knows them gains nothing."""
    rng = np.random.default_rng(0)
    weights = pd.DataFrame(0.0, index=screens.REGULATORS, columns=screens.TARGETS)
    weights.loc[:, screens.TARGETS[:6]] = rng.uniform(0.5, 0.8, (8, 6))
    effects = perturbation.effects(screens.screen(weights, n=80))
    table = perturbation.score(screens.edges_of(weights), effects)
    row = screens.value_of(table, "prediction", "auprc")
    assert row["value"] > 0.9 and row["best_floor"] in ("mean effect", "in-degree") and abs(row["gain"]) < 0.1


def test_random_is_the_expectation_of_random_orders(found):
    rng = np.random.default_rng(0)
    drawn = {f"draw {i}": found[["source", "target"]].assign(weight=rng.random(len(found))) for i in range(40)}
    table = perturbation.by_regulator(drawn, found)
    means = table[table["metric"] == "auprc"].groupby("method")["value"].mean()
    assert means[list(drawn)].mean() == pytest.approx(means["random"], abs=0.01)


def test_what_is_listed_is_told_apart_from_how_it_is_weighted(found, weights, screens):
    right = screens.edges_of(weights)
    table = perturbation.score({"a": right, "b": right.assign(weight=1.0), "all": _complete(found)}, found)
    assert set(table.loc[table["kind"] == "ablation", "method"]) == {"listed by a"}
    assert screens.value_of(table, "listed by a", "auprc")["value"] == screens.value_of(table, "b", "auprc")["value"]
    assert screens.value_of(table, "all", "auprc")["coverage"] == 1
    assert screens.value_of(table, "a", "auprc")["coverage"] == pytest.approx(5 / 37)


def _complete(found):
    return found[["source", "target"]].assign(weight=np.arange(len(found)) + 1.0)


def test_a_regulator_the_prediction_lacks_scores_at_chance(found, weights, screens):
    edges = screens.edges_of(weights)
    table = perturbation.by_regulator(edges[edges["source"] != "R2"], found)
    lacking = table[(table["source"] == "R2")].set_index(["method", "metric"])["value"]
    for metric in ("auprc", "auroc", "spearman"):
        assert lacking["prediction", metric] == lacking["random", metric]


def test_scores_do_not_depend_on_order(found, weights, screens):
    edges = screens.edges_of(weights)
    before = perturbation.score(edges, found)
    shuffled = found.sample(frac=1, random_state=1).astype({"source": str, "target": object})
    after = perturbation.score(edges.sample(frac=1, random_state=2), shuffled)
    pd.testing.assert_frame_equal(before, after)
    pd.testing.assert_frame_equal(before, perturbation.score(Network(edges), found))


def test_intervals_contain_the_value_and_depend_on_the_seed_only(found, weights, screens):
    rng = np.random.default_rng(1)
    edges = found[["source", "target"]].assign(weight=rng.random(len(found)) + found["label"])
    table, again, other = (perturbation.score(edges, found, rng=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(table, again)
    assert not table["low"].equals(other["low"]) and table["value"].equals(other["value"])
    assert (table["low"] <= table["value"] + 1e-12).all() and (table["high"] >= table["value"] - 1e-12).all()
    row = screens.value_of(table, "prediction", "auprc")
    values = perturbation.by_regulator(edges, found, floors=False).query("metric == 'auprc'")["value"]
    assert row["value"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.35)
    assert row["gain"] == pytest.approx(row["value"] - row["floor"])
    floors = table[(table["kind"] == "floor") & (table["metric"] == "auprc")]
    assert row["floor"] == floors["value"].max() and floors["gain"].isna().all()


def test_counts_and_prevalence(found, weights, screens):
    row = screens.value_of(perturbation.score(screens.edges_of(weights), found, data="mine"), "prediction", "auprc")
    labels = found.groupby("source", observed=True)["label"]
    assert (row["data"], row["n_targets"], row["n_pos"]) == ("mine", 37, labels.sum().sum())
    assert row["prevalence"] == pytest.approx(labels.mean().mean())


def test_regulators_with_one_class_are_counted_out(found, weights, screens):
    silent = found.assign(label=found["label"] & (found["source"] != "R1"))
    table = perturbation.score(screens.edges_of(weights), silent)
    assert screens.value_of(table, "prediction", "auprc")["n_regulators"] == 7
    assert screens.value_of(table, "prediction", "spearman")["n_regulators"] == 8


def test_few_regulators_have_no_interval_and_say_so(found, weights, screens):
    table = perturbation.score(screens.edges_of(weights), found, regulators=screens.REGULATORS[:3])
    row = screens.value_of(table, "prediction", "auprc")
    assert np.isnan([row["low"], row["high"], row["gain_low"]]).all() and np.isfinite(row["gain"])
    assert row["n_regulators"] == 3 and "3 regulators" in row["note"]
    one = perturbation.score(screens.edges_of(weights), found[found["source"] == "R0"])
    assert {"mean effect", "in-degree"}.isdisjoint(one["method"]), "they need a second regulator"


def test_unmeasured_regulators_make_two_sets_of_rows(weights, screens):
    effects = perturbation.effects(screens.screen(weights, measured=[*screens.REGULATORS[2:], *screens.TARGETS]))
    table = perturbation.score(screens.edges_of(weights), effects)
    everyone = table[(table["regulators"] == "all") & (table["metric"] == "auprc")]
    measured = table[(table["regulators"] == "measured") & (table["metric"] == "auprc")]
    assert set(everyone["n_regulators"]) == {8} and set(measured["n_regulators"]) == {6}
    assert "|correlation|" not in set(everyone["method"]) and "|correlation|" in set(measured["method"])


def test_only_the_regulators_asked_for_are_judged_but_all_count_for_the_floors(found, weights, screens):
    whole = perturbation.by_regulator(screens.edges_of(weights), found)
    part = perturbation.by_regulator(screens.edges_of(weights), found, regulators=["R6", "R1"])
    wanted = whole[whole["source"].isin(["R1", "R6"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, wanted)


def _edges(**columns):
    return pd.DataFrame({"source": ["R0", "R0"], "target": ["T00", "T01"], "weight": [1.0, 2.0], **columns})


@pytest.mark.parametrize(
    ("error", "edges", "says"),
    [
        (NetworkError, _edges(weight=[1.0, np.nan]), "NaN"),
        (NetworkError, _edges(weight=[1.0, np.inf]), "infinite"),
        (NetworkError, _edges(target=["T00", "T00"]), "more than once"),
        (NetworkError, _edges(group=["a", "b"]), "2 groups"),
        (NetworkError, _edges().drop(columns="weight"), "weight"),
        (NetworkError, None, "NoneType"),
        (GeneOverlapError, _edges(source=["X", "Y"]), "measured pair"),
        (GeneOverlapError, _edges(target=["R0", "X"]), "measured pair"),
        (ParameterError, {"random": _edges()}, "floor"),
    ],
)
def test_scores_refuse_bad_predictions(found, error, edges, says):
    with pytest.raises(error, match=says):
        perturbation.score(edges, found)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="label"), "label"),
        (lambda t: t.iloc[:0], "empty"),
        (lambda t: t.assign(label=t["label"].astype(float).where(t.index > 0)), "empty names or labels"),
        (lambda t: t.assign(label=2), "label"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "more than once"),
        (lambda t: t.assign(effect=np.inf), "infinite"),
        (lambda t: pd.DataFrame({"source": ["R0"], "target": ["R0"], "label": [True]}), "R0"),
        (lambda t: {"source": []}, "effects"),
    ],
)
def test_scores_refuse_bad_effects(found, change, says):
    with pytest.raises(ParameterError, match=says):
        perturbation.score(_edges(), change(found))


def test_scores_refuse_bad_regulators(found):
    with pytest.raises(GeneNameError, match="R99"):
        perturbation.score(_edges(), found, regulators=["R0", "R99"])
    with pytest.raises(ParameterError, match="single string"):
        perturbation.score(_edges(), found, regulators="R0")
    with pytest.raises(GeneNameError):
        perturbation.score(_edges(), found, regulators=[])
    with pytest.raises(ParameterError, match="nothing to score"):
        perturbation.by_regulator({}, found, floors=False)


def test_markdown_shows_every_row(weights, screens):
    effects = perturbation.effects(screens.screen(weights, measured=[*screens.REGULATORS[2:], *screens.TARGETS]))
    table = perturbation.score({"mine": screens.edges_of(weights)}, effects, data="simulated")
    text = perturbation.markdown(table)
    assert text.count("### simulated") == 2 and "\\|correlation\\|" in text
    row = screens.value_of(table, "mine", "auprc", regulators="all")
    assert f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in text
    with pytest.raises(ParameterError, match="value"):
        perturbation.markdown(table.drop(columns="value"))
