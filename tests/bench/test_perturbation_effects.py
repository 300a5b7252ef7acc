"""Effects of knock-outs out of cells, bulk samples and ranked lists: planted truth, scipy, invariance, bad input."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from grn.bench import perturbation
from grn.errors import ExpressionError, GroupError, LayerError, NetworkError, ParameterError


@pytest.fixture(scope="module")
def weights(screens):
    return screens.planted()


@pytest.fixture(scope="module")
def cells(weights, screens):
    return screens.screen(weights)


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


def test_genes_that_do_not_vary_do_not_respond_and_do_not_correlate(cells, screens):
    adata = cells.copy()
    adata.X[:, -1] = 3.3
    adata.X[:, 0] = 1.7
    for test in ("welch", "wilcoxon"):
        table = perturbation.effects(adata, test=test)
        flat = table[table["target"] == screens.GENES[-1]]
        assert (flat["pval"] == 1).all() and (flat["statistic"] == 0).all() and not flat["label"].any()
        assert table.loc[table["source"] == screens.GENES[0], "control_correlation"].isna().all()
        rest = flat[flat["source"] != screens.GENES[0]]
        assert (rest["control_correlation"] == 0).all()


def test_regulators_that_are_not_measured_have_effects_but_no_correlation(weights, screens):
    table = perturbation.effects(screens.screen(weights, measured=[*screens.REGULATORS[2:], *screens.TARGETS]))
    absent = table["source"].isin(screens.REGULATORS[:2])
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
