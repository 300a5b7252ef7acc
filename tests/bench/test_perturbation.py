"""Effects of knock-outs and scores of predicted targets: planted truth, brute force, invariance, bad input."""

from itertools import pairwise, permutations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.metrics import average_precision_score, roc_auc_score

from grn import Network
from grn.bench import perturbation
from grn.errors import (
    CapabilityError,
    DataNotFoundError,
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GroupError,
    LayerError,
    NetworkError,
    ParameterError,
)

REGULATORS = [f"R{i}" for i in range(8)]
TARGETS = [f"T{i:02d}" for i in range(30)]
GENES = [*REGULATORS, *TARGETS]


def planted(seed=0):
    """Signed weights (8 regulators, 30 targets): five targets each, drawn at random."""
    rng = np.random.default_rng(seed)
    weights = pd.DataFrame(0.0, index=REGULATORS, columns=TARGETS)
    for name in REGULATORS:
        chosen = rng.choice(TARGETS, 5, replace=False)
        weights.loc[name, chosen] = rng.choice([-1, 1], 5) * rng.uniform(0.4, 0.8, 5)
    return weights


def screen(weights, *, n=60, seed=0, lost=REGULATORS, measured=GENES):
    """Log values of a linear model, n cells per knock-out and 3 n controls: a lost regulator is at 0."""
    rng = np.random.default_rng(seed)
    names = np.repeat(["control", *lost], [3 * n, *([n] * len(lost))])
    activity = pd.DataFrame(rng.normal(1.0, 0.3, (len(names), len(weights))), columns=weights.index)
    for name in lost:
        activity.loc[names == name, name] = 0.0
    targets = 4 + activity.to_numpy() @ weights.to_numpy() + rng.normal(0, 0.3, (len(names), weights.shape[1]))
    values = pd.concat([activity + 2, pd.DataFrame(targets, columns=weights.columns)], axis=1).clip(lower=0)
    obs = pd.DataFrame({"perturbation": names}, index=[f"c{i}" for i in range(len(names))])
    adata = ad.AnnData(values.to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=values.columns))
    return adata[:, measured].copy()


def edges_of(weights):
    table = weights.rename_axis("source").reset_index().melt("source", var_name="target", value_name="weight")
    return table[table["weight"] != 0].reset_index(drop=True)


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


def value_of(table, method, metric, **where):
    rows = table[(table["method"] == method) & (table["metric"] == metric)]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module")
def weights():
    return planted()


@pytest.fixture(scope="module")
def cells(weights):
    return screen(weights)


@pytest.fixture(scope="module")
def found(cells):
    return perturbation.effects(cells, max_q=0.01)


# effects


def test_effects_find_the_planted_targets_and_their_signs(found, weights):
    true = weights.stack()
    table = found.set_index(["source", "target"])
    planted_pairs = true[true != 0].index
    assert table.loc[planted_pairs, "label"].mean() > 0.95
    others = table.drop(index=planted_pairs)
    assert others["label"].mean() < 0.02
    agree = np.sign(table.loc[planted_pairs, "effect"].to_numpy()) == -np.sign(true[planted_pairs].to_numpy())
    assert agree.mean() > 0.97, "losing an activator lowers its targets"


def test_effects_have_one_row_per_pair_but_the_self_pairs(found):
    assert len(found) == 8 * 37 and not (found["source"].astype(str) == found["target"].astype(str)).any()
    assert found[["source", "target"]].astype(str).apply(tuple, axis=1).is_monotonic_increasing
    assert (found["n_cells"] == 60).all()


@pytest.mark.parametrize("test", ["welch", "wilcoxon"])
def test_effects_agree_with_scipy_gene_by_gene(cells, test):
    table = perturbation.effects(cells, test=test, max_q=0.1)
    base = cells[cells.obs["perturbation"] == "control"].X.astype(np.float64)
    for source in ("R0", "R5"):
        part = table[table["source"] == source].set_index("target")
        lost = cells[cells.obs["perturbation"] == source].X.astype(np.float64)
        pvals = {}
        for i, gene in enumerate(cells.var_names):
            if gene == source:
                continue
            a, b = lost[:, i], base[:, i]
            welch = stats.ttest_ind(a, b, equal_var=False)
            rank = stats.mannwhitneyu(a, b, method="asymptotic")
            expected = welch if test == "welch" else rank
            statistic = welch.statistic if test == "welch" else 2 * rank.statistic / (len(a) * len(b)) - 1
            pvals[gene] = expected.pvalue
            assert part.loc[gene, "pval"] == pytest.approx(expected.pvalue, rel=1e-4, abs=1e-12)
            assert part.loc[gene, "statistic"] == pytest.approx(statistic, rel=1e-4, abs=1e-6)
            assert part.loc[gene, "effect"] == pytest.approx(a.mean() - b.mean(), abs=1e-5)
            assert part.loc[gene, "control_mean"] == pytest.approx(b.mean(), rel=1e-5)
            at = cells.var_names.get_loc(source)
            assert part.loc[gene, "control_correlation"] == pytest.approx(np.corrcoef(base[:, at], b)[0, 1], abs=1e-5)
        ordered = sorted(pvals, key=pvals.get)
        q, least = {}, 1.0
        for k in range(len(ordered), 0, -1):
            least = min(least, pvals[ordered[k - 1]] * len(ordered) / k)
            q[ordered[k - 1]] = least
        np.testing.assert_allclose(part.loc[ordered, "qval"], [q[g] for g in ordered], rtol=1e-4, atol=1e-12)
        assert (part["label"] == (part["qval"] <= 0.1)).all()


def test_effects_do_not_depend_on_order_sparsity_or_scale(cells, found):
    rng = np.random.default_rng(1)
    shuffled = cells[rng.permutation(cells.n_obs)][:, rng.permutation(cells.n_vars)].copy()
    shuffled.X = sparse.csr_matrix(shuffled.X)
    again = perturbation.effects(shuffled, max_q=0.01)
    pd.testing.assert_frame_equal(again, found, rtol=1e-4, atol=1e-6)


def test_effects_read_counts_like_log_values_of_them():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(1, 20, 15), (120, 15)).astype(np.float32)
    obs = pd.DataFrame({"who": ["control"] * 60 + ["G0"] * 60}, index=[f"c{i}" for i in range(120)])
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(15)]))
    adata.layers["log"] = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    tables = [perturbation.effects(adata, perturbation="who", layer=layer) for layer in (None, "log")]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4, atol=1e-5)


def test_genes_that_do_not_vary_do_not_respond_and_do_not_correlate(cells):
    adata = cells.copy()
    adata.X[:, -1] = 3.3
    adata.X[:, 0] = 1.7
    for test in ("welch", "wilcoxon"):
        table = perturbation.effects(adata, test=test)
        flat = table[table["target"] == GENES[-1]]
        assert (flat["pval"] == 1).all() and (flat["statistic"] == 0).all() and not flat["label"].any()
        assert table.loc[table["source"] == GENES[0], "control_correlation"].isna().all()
        rest = flat[flat["source"] != GENES[0]]
        assert (rest["control_correlation"] == 0).all()


def test_regulators_that_are_not_measured_have_effects_but_no_correlation(weights):
    table = perturbation.effects(screen(weights, measured=[*REGULATORS[2:], *TARGETS]))
    absent = table["source"].isin(REGULATORS[:2])
    assert (absent.groupby(table["source"], observed=True).sum() > 0).sum() == 2
    assert table.loc[absent, "control_correlation"].isna().all()
    assert table.loc[~absent, "control_correlation"].notna().all()
    assert table.loc[absent, "label"].any()


def test_regulators_with_few_cells_are_left_out(cells):
    few = cells[~((cells.obs["perturbation"] == "R3") & (np.arange(cells.n_obs) % 4 != 0))].copy()
    assert "R3" not in set(perturbation.effects(few)["source"]) and "R4" in set(perturbation.effects(few)["source"])
    assert "R3" in set(perturbation.effects(few, min_cells=5)["source"])


@pytest.mark.parametrize(
    ("error", "arguments", "says"),
    [
        (GroupError, {"perturbation": "guide"}, "guide"),
        (GroupError, {"control": "NT"}, "NT"),
        (GroupError, {"min_cells": 100}, "min_cells"),
        (GroupError, {"min_cells": 500}, "180 control cells"),
        (LayerError, {"layer": "counts"}, "counts"),
        (ParameterError, {"test": "t"}, "welch"),
        (ParameterError, {"max_q": 0}, "max_q"),
        (ParameterError, {"max_q": True}, "max_q"),
        (ParameterError, {"min_cells": 1}, "min_cells"),
        (ParameterError, {"min_cells": 2.5}, "min_cells"),
    ],
)
def test_effects_refuse_what_they_cannot_use(cells, error, arguments, says):
    with pytest.raises(error, match=says):
        perturbation.effects(cells, **arguments)


def test_effects_refuse_unnamed_cells_and_broken_values(cells):
    unnamed = cells.copy()
    unnamed.obs.loc[unnamed.obs_names[0], "perturbation"] = np.nan
    with pytest.raises(GroupError, match="no value"):
        perturbation.effects(unnamed)
    broken = cells.copy()
    broken.X[0, 0] = np.nan
    with pytest.raises(ExpressionError, match="NaN"):
        perturbation.effects(broken)
    with pytest.raises(ParameterError, match="DataFrame"):
        perturbation.effects(pd.DataFrame())


# deviations


def bulk():
    """A wild type, four knock-outs and six free samples of four genes."""
    rng = np.random.default_rng(3)
    genes = ["A", "B", "C", "D"]
    names = ["control", *genes, *(f"free {i}" for i in range(6))]
    values = rng.uniform(0, 1, (len(names), 4))
    obs = pd.DataFrame({"perturbation": names}, index=[f"s{i}" for i in range(len(names))])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=genes)), np.arange(len(names)) > 4


def test_deviations_are_differences_and_labels_the_largest():
    adata, free = bulk()
    table = perturbation.deviations(adata, background=free, top=3)
    values = pd.DataFrame(adata.X, columns=adata.var_names, index=adata.obs["perturbation"])
    for row in table.itertuples():
        assert row.effect == pytest.approx(values.loc[row.source, row.target] - values.loc["control", row.target])
        cor = np.corrcoef(values.loc[free, row.source], values.loc[free, row.target])[0, 1]
        assert row.control_correlation == pytest.approx(cor)
        assert row.control_mean == pytest.approx(values.loc[free, row.target].mean())
    assert len(table) == 12 and table["label"].sum() == 3
    assert table.loc[table["label"], "effect"].abs().min() >= table.loc[~table["label"], "effect"].abs().max()


def test_deviations_from_the_median_and_labels_of_true_edges():
    adata, free = bulk()
    truth = pd.DataFrame({"source": ["A", "B", "A"], "target": ["B", "D", "A"]})
    table = perturbation.deviations(adata, background=free, baseline="median", truth=truth)
    values = pd.DataFrame(adata.X, columns=adata.var_names, index=adata.obs["perturbation"])
    for row in table.itertuples():
        normal = values.loc[["control", *"ABCD"], row.target].median()
        assert row.effect == pytest.approx(values.loc[row.source, row.target] - normal)
    responding = table.loc[table["label"], ["source", "target"]].astype(str).to_numpy().tolist()
    assert responding == [["A", "B"], ["B", "D"]]


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ParameterError, {}),
        (ParameterError, {"top": 3, "truth": pd.DataFrame({"source": ["A"], "target": ["B"]})}),
        (ParameterError, {"top": 0}),
        (ParameterError, {"top": 10**6}),
        (ParameterError, {"top": 2, "baseline": "mean"}),
        (ParameterError, {"top": 2, "background": [True]}),
        (ParameterError, {"top": 2, "background": np.zeros(11, dtype=bool)}),
        (ParameterError, {"truth": pd.DataFrame({"source": ["X"], "target": ["Y"]})}),
        (NetworkError, {"truth": pd.DataFrame({"tf": ["A"], "target": ["B"]})}),
        (LayerError, {"top": 2, "layer": "x"}),
        (GroupError, {"top": 2, "control": "wt"}),
    ],
)
def test_deviations_refuse_what_they_cannot_use(error, arguments):
    adata, _ = bulk()
    with pytest.raises(error):
        perturbation.deviations(adata, **arguments)


# signatures


def test_signatures_lay_out_ranked_lists():
    lists = pd.DataFrame(
        {
            "perturbation": ["A", "A", "B", "B"],
            "gene": ["C", "D", "E", "C"],
            "rank": [1, 2, 1, 2],
            "top_up": [True, False, True, True],
        }
    )
    table = perturbation.signatures(lists.sample(frac=1, random_state=0)).astype({"source": str, "target": str})
    table = table.set_index(["source", "target"])
    assert len(table) == 6
    assert table.loc[("A", "C"), "effect"] == 1 and table.loc[("A", "D"), "effect"] == 0.5
    assert np.isnan(table.loc[("A", "E"), "effect"]) and not table.loc[("A", "E"), "label"]
    assert table["label"].sum() == 3
    with pytest.raises(NetworkError, match="twice"):
        perturbation.signatures(pd.concat([lists, lists]))
    with pytest.raises(NetworkError, match="rank"):
        perturbation.signatures(lists.drop(columns="rank"))


# scores


def test_the_planted_network_wins_and_a_shuffled_one_does_not(found, weights):
    edges = edges_of(weights)
    rng = np.random.default_rng(5)
    wrong = pd.DataFrame(weights.to_numpy()[:, rng.permutation(30)], index=REGULATORS, columns=TARGETS)
    table = perturbation.score({"planted": edges, "shuffled": edges_of(wrong)}, found)
    best = value_of(table, "planted", "auprc")
    assert best["value"] > 0.95 and best["n_regulators"] == 8
    assert best["best_floor"] == "|correlation|", "in a linear model control cells tell the targets too"
    assert best["low"] > value_of(table, "mean effect", "auprc")["high"] + 0.3
    assert value_of(table, "planted", "spearman_signed")["value"] > 0.4
    chance = value_of(table, "shuffled", "auroc")
    assert chance["gain_high"] < 0.2 and 0.3 < chance["value"] < 0.7


def test_the_wrong_sign_hurts_only_the_signed_figure(found, weights):
    edges = edges_of(weights)
    table = perturbation.score({"right": edges, "wrong": edges.assign(weight=-edges["weight"])}, found)
    assert value_of(table, "right", "auprc")["value"] == value_of(table, "wrong", "auprc")["value"]
    right, wrong = (value_of(table, name, "spearman_signed")["value"] for name in ("right", "wrong"))
    assert right == pytest.approx(-wrong) and right > 0.4
    unsigned = perturbation.score(edges.assign(weight=edges["weight"].abs()), found)
    rows = unsigned[(unsigned["method"] == "prediction") & (unsigned["metric"] == "spearman_signed")]
    assert rows.empty, "a prediction without signs has no signed figure"


def test_unknown_signs_count_for_nothing():
    effects = random_effects()
    effects = effects[effects["source"] == "R0"]
    edges = effects[["source", "target"]].assign(weight=1.0, sign=np.nan)
    edges = edges[edges["source"] != edges["target"]].reset_index(drop=True)
    edges.loc[0, "sign"] = 1.0
    signed = perturbation.by_regulator(edges, effects, floors=False)
    value = value_of(signed, "prediction", "spearman_signed")["value"]
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


def test_responding_to_everything_is_found_by_the_floors_not_by_the_gain():
    """Targets that respond to any loss: their mean effect tells all, and a method that knows them gains nothing."""
    rng = np.random.default_rng(0)
    weights = pd.DataFrame(0.0, index=REGULATORS, columns=TARGETS)
    weights.loc[:, TARGETS[:6]] = rng.uniform(0.5, 0.8, (8, 6))
    effects = perturbation.effects(screen(weights, n=80))
    table = perturbation.score(edges_of(weights), effects)
    row = value_of(table, "prediction", "auprc")
    assert row["value"] > 0.9 and row["best_floor"] in ("mean effect", "in-degree") and abs(row["gain"]) < 0.1


def test_random_is_the_expectation_of_random_orders(found):
    rng = np.random.default_rng(0)
    drawn = {f"draw {i}": found[["source", "target"]].assign(weight=rng.random(len(found))) for i in range(40)}
    table = perturbation.by_regulator(drawn, found)
    means = table[table["metric"] == "auprc"].groupby("method")["value"].mean()
    assert means[list(drawn)].mean() == pytest.approx(means["random"], abs=0.01)


def test_what_is_listed_is_told_apart_from_how_it_is_weighted(found, weights):
    right = edges_of(weights)
    table = perturbation.score({"a": right, "b": right.assign(weight=1.0), "all": _complete(found)}, found)
    assert set(table.loc[table["kind"] == "ablation", "method"]) == {"listed by a"}
    assert value_of(table, "listed by a", "auprc")["value"] == value_of(table, "b", "auprc")["value"]
    assert value_of(table, "all", "auprc")["coverage"] == 1
    assert value_of(table, "a", "auprc")["coverage"] == pytest.approx(5 / 37)


def _complete(found):
    return found[["source", "target"]].assign(weight=np.arange(len(found)) + 1.0)


def test_a_regulator_the_prediction_lacks_scores_at_chance(found, weights):
    edges = edges_of(weights)
    table = perturbation.by_regulator(edges[edges["source"] != "R2"], found)
    lacking = table[(table["source"] == "R2")].set_index(["method", "metric"])["value"]
    for metric in ("auprc", "auroc", "spearman"):
        assert lacking["prediction", metric] == lacking["random", metric]


def test_scores_do_not_depend_on_order(found, weights):
    edges = edges_of(weights)
    before = perturbation.score(edges, found)
    shuffled = found.sample(frac=1, random_state=1).astype({"source": str, "target": object})
    after = perturbation.score(edges.sample(frac=1, random_state=2), shuffled)
    pd.testing.assert_frame_equal(before, after)
    pd.testing.assert_frame_equal(before, perturbation.score(Network(edges), found))


def test_intervals_contain_the_value_and_depend_on_the_seed_only(found, weights):
    rng = np.random.default_rng(1)
    edges = found[["source", "target"]].assign(weight=rng.random(len(found)) + found["label"])
    table, again, other = (perturbation.score(edges, found, rng=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(table, again)
    assert not table["low"].equals(other["low"]) and table["value"].equals(other["value"])
    assert (table["low"] <= table["value"] + 1e-12).all() and (table["high"] >= table["value"] - 1e-12).all()
    row = value_of(table, "prediction", "auprc")
    values = perturbation.by_regulator(edges, found, floors=False).query("metric == 'auprc'")["value"]
    assert row["value"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.35)
    assert row["gain"] == pytest.approx(row["value"] - row["floor"])
    floors = table[(table["kind"] == "floor") & (table["metric"] == "auprc")]
    assert row["floor"] == floors["value"].max() and floors["gain"].isna().all()


def test_counts_and_prevalence(found, weights):
    row = value_of(perturbation.score(edges_of(weights), found, data="mine"), "prediction", "auprc")
    labels = found.groupby("source", observed=True)["label"]
    assert (row["data"], row["n_targets"], row["n_pos"]) == ("mine", 37, labels.sum().sum())
    assert row["prevalence"] == pytest.approx(labels.mean().mean())


def test_regulators_with_one_class_are_counted_out(found, weights):
    silent = found.assign(label=found["label"] & (found["source"] != "R1"))
    table = perturbation.score(edges_of(weights), silent)
    assert value_of(table, "prediction", "auprc")["n_regulators"] == 7
    assert value_of(table, "prediction", "spearman")["n_regulators"] == 8


def test_few_regulators_have_no_interval_and_say_so(found, weights):
    table = perturbation.score(edges_of(weights), found, regulators=REGULATORS[:3])
    row = value_of(table, "prediction", "auprc")
    assert np.isnan([row["low"], row["high"], row["gain_low"]]).all() and np.isfinite(row["gain"])
    assert row["n_regulators"] == 3 and "3 regulators" in row["note"]
    one = perturbation.score(edges_of(weights), found[found["source"] == "R0"])
    assert {"mean effect", "in-degree"}.isdisjoint(one["method"]), "they need a second regulator"


def test_unmeasured_regulators_make_two_sets_of_rows(weights):
    effects = perturbation.effects(screen(weights, measured=[*REGULATORS[2:], *TARGETS]))
    table = perturbation.score(edges_of(weights), effects)
    everyone = table[(table["regulators"] == "all") & (table["metric"] == "auprc")]
    measured = table[(table["regulators"] == "measured") & (table["metric"] == "auprc")]
    assert set(everyone["n_regulators"]) == {8} and set(measured["n_regulators"]) == {6}
    assert "|correlation|" not in set(everyone["method"]) and "|correlation|" in set(measured["method"])


def test_only_the_regulators_asked_for_are_judged_but_all_count_for_the_floors(found, weights):
    whole = perturbation.by_regulator(edges_of(weights), found)
    part = perturbation.by_regulator(edges_of(weights), found, regulators=["R6", "R1"])
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


def test_markdown_shows_every_row(weights):
    effects = perturbation.effects(screen(weights, measured=[*REGULATORS[2:], *TARGETS]))
    table = perturbation.score({"mine": edges_of(weights)}, effects, data="simulated")
    text = perturbation.markdown(table)
    assert text.count("### simulated") == 2 and "\\|correlation\\|" in text
    row = value_of(table, "mine", "auprc", regulators="all")
    assert f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in text
    with pytest.raises(ParameterError, match="value"):
        perturbation.markdown(table.drop(columns="value"))


# the suite


@pytest.fixture
def folder(tmp_path, weights):
    """A folder with one experiment, simulated, in which two regulators are not measured."""
    adata = screen(weights, measured=[*REGULATORS[2:], *TARGETS])
    adata.obs["perturbation"] = adata.obs["perturbation"].replace("control", "non-targeting")
    adata.obs["bio_rep"] = np.where(np.arange(adata.n_obs) % 2, "rep_1", "rep_2")
    adata.uns["matrix"] = "simulated"
    adata.write_h5ad(tmp_path / "human_thp1_papalexi2021_sceptre299.h5ad")
    return tmp_path


def test_the_suite_shows_methods_only_what_was_not_lost(folder, weights):
    seen = []

    def mine(adata):
        seen.append(adata)
        return edges_of(weights)

    table = perturbation.suite(methods={"mine": mine}, path=folder)
    assert len(seen) == 1 and seen[0].n_obs == 180 and set(seen[0].obs["perturbation"]) == {"control"}
    assert list(seen[0].var_names) == sorted(GENES) and seen[0].uns["organism"] == "human"
    assert list(seen[0].var_names[seen[0].var["is_regulator"]]) == REGULATORS
    assert list(seen[0].var_names[~seen[0].var["measured"]]) == REGULATORS[:2]
    assert not seen[0][:, REGULATORS[:2]].to_df().to_numpy().any()
    row = value_of(table, "mine", "auprc", data="THP-1 ECCITE-seq", regulators="all")
    assert row["value"] > 0.85 and row["gain_low"] > 0.3
    again = value_of(table, "replicate 1", "auprc", data="THP-1 ECCITE-seq, replicates 2 and 3", regulators="all")
    assert again["kind"] == "oracle" and again["value"] > 0.9


def test_the_suite_notes_what_could_not_be_applied(folder, weights):
    def refuses(adata):
        raise CapabilityError("this method reads tea leaves.")

    def elsewhere(adata):
        return pd.DataFrame({"source": ["X"], "target": ["Y"], "weight": [1.0]})

    table = perturbation.suite(methods={"tea": refuses, "other": elsewhere}, data=["thp1"], path=folder)
    tea, other = (table[table["method"] == name] for name in ("tea", "other"))
    assert len(tea) == 2 and tea["value"].isna().all() and tea["note"].str.contains("tea leaves").all()
    assert other["note"].str.contains("measured pair").all()
    assert "tea leaves" in perturbation.markdown(table)

    def broken(adata):
        raise KeyError("a mistake of the user")

    with pytest.raises(KeyError):
        perturbation.suite(methods={"broken": broken}, data=["thp1"], path=folder)


def test_the_suite_says_what_is_not_there(folder, tmp_path, caplog):
    table = perturbation.suite(methods={}, path=folder)
    assert set(table["data"]) == {"THP-1 ECCITE-seq", "THP-1 ECCITE-seq, replicates 2 and 3"}
    assert "dream4 is left out" in caplog.text and "nkx2-1 is left out" in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError, match="published"):
        perturbation.suite(methods={}, path=tmp_path / "empty")
    with pytest.raises(ParameterError, match="thp1"):
        perturbation.suite(data=["mars"], path=folder)
    with pytest.raises(ParameterError):
        perturbation.suite(data=[], path=folder)


def test_a_model_is_refused_by_simulated_genes_and_reads_real_ones():
    from grn.bench._readings import Readings

    methods = Readings().methods()
    names = ["STAT1", "SPI1", "CD14", "CST3", "LYZ", "NOT-A-GENE"]
    adata = ad.AnnData(np.zeros((0, 6), dtype=np.float32), var=pd.DataFrame(index=names))
    adata.var["is_regulator"] = [True, True, False, False, False, False]
    adata.uns["organism"] = "human"
    edges = methods["mini Ens"](adata)
    assert set(edges["source"]) == {"STAT1", "SPI1"} and "NOT-A-GENE" not in set(edges["target"])
    assert len(edges) == 8 and edges["weight"].abs().between(0, 1).all()
    assert (methods["mini Emb"](adata)["weight"] >= 0).all()
    with pytest.raises(CapabilityError, match="cells"):
        methods["mini Pert (origin)"](adata)
    adata.uns["organism"] = "simulated"
    with pytest.raises(CapabilityError, match="simulated"):
        methods["mini VVP"](adata)


def correlation(adata):
    """|correlation| among what is given, over all regulators."""
    values = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.nan_to_num(np.corrcoef(np.asarray(values, dtype=np.float64), rowvar=False))
    table = pd.DataFrame(found, index=adata.var_names, columns=adata.var_names)
    table = table.loc[adata.var["is_regulator"].to_numpy()].rename_axis("source").reset_index()
    return table.melt("source", var_name="target", value_name="weight").query("source != target")


def test_the_real_experiments(shared_dir):
    table = perturbation.suite(
        methods={"mine": correlation}, data=["dream4", "thp1", "nkx2-1"], path=shared_dir / "data" / "perturbation"
    )
    chosen = table[(table["metric"] == "auprc")].set_index(["data", "regulators", "method"])
    edges = chosen.loc["DREAM4, true edges"].loc["all"]
    assert edges.loc["the knock-out itself", "value"] > 2 * edges.loc["|correlation|", "value"]
    assert edges.loc["|correlation|", "value"] > 1.5 * edges.loc["random", "value"]
    assert edges.loc["mine", "value"] == pytest.approx(edges.loc["|correlation|", "value"], abs=0.01)
    assert edges.loc["mine", "n_pos"] == 176 + 249 + 195 + 211 + 193
    again = chosen.loc["DREAM4, strongest effects"].loc["all"]
    assert again.loc["knock-down", "gain"] > 0
    thp1 = chosen.loc["THP-1 ECCITE-seq"]
    assert thp1.loc["all", "n_regulators"].max() <= 25 and thp1.loc["measured", "n_regulators"].max() <= 9
    assert max(thp1.loc["all"].loc[["mean effect", "in-degree"], "value"]) > thp1.loc[("all", "random"), "value"]
    lung = chosen.loc["Nkx2-1 knock-out"].loc["all"]
    assert (lung["n_regulators"] == 1).all() and lung["low"].isna().all()
