"""RENGE on objects: planted screens, null screens, what is left out and what is refused."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import ExpressionError, GeneNameError, GroupError, MissingDependencyError, ParameterError
from grn.bench import metrics
from grn.methods import Inputs, Task
from grn.methods.renge.screen import Columns, read_screen
from grn.methods.renge.search import make_folds, strongest

COLUMNS = {"perturbation": "perturbation", "time": "time", "control": "control"}
SETTING = {"C": 0.02, "l1_ratio": 0.1, "n_k": 2}


def small(**more):
    return grn.datasets.toy_perturbation(**{"n_cells": 8, "n_regulators": 3, "n_targets": 2, "n_times": 2, **more})


def null(seed, n_genes=10, n_knockouts=6, n_cells=25, n_times=3):
    """Knock-outs that change nothing but their own gene."""
    random = np.random.default_rng(seed)
    names = [f"G{i}" for i in range(n_genes)]
    labels = np.repeat(["control", *names[:n_knockouts]], n_cells * n_times)
    times = np.tile(np.repeat(np.arange(1.0, n_times + 1), n_cells), n_knockouts + 1)
    X = random.normal(random.uniform(1.5, 2.5, n_genes), 0.4, size=(len(labels), n_genes))
    for i, name in enumerate(names[:n_knockouts]):
        X[labels == name, i] = 0.0
    obs = pd.DataFrame({"perturbation": labels, "time": times}, index=[f"c{i}" for i in range(len(labels))])
    return ad.AnnData(np.maximum(X, 0.0), obs=obs, var=pd.DataFrame(index=names))


def edges_of(adata, **more):
    grn.tl.renge(adata, **{**COLUMNS, **SETTING, "n_boot": 0, **more})
    return adata.uns["renge"]["edges"]


def by_pair(edges):
    return edges.astype({"source": str, "target": str}).set_index(["source", "target"]).sort_index()


def test_a_planted_network_comes_back_with_signs_and_honest_q_values():
    adata = grn.datasets.toy_perturbation(n_cells=40, n_regulators=5, n_targets=5, n_times=3, rng=2)
    edges = by_pair(edges_of(adata, n_boot=20, C=1e-3))
    truth = by_pair(adata.uns["truth"])["sign"].reindex(edges.index).fillna(0.0)
    tested = edges["knocked_out"]
    assert metrics.auprc((truth != 0)[tested].astype(int), edges["weight"].abs()[tested]) > 0.9
    found = edges[tested & (edges["qval"] < 0.05)]
    assert len(found) >= 0.6 * (truth[tested] != 0).sum()
    assert (truth[found.index] == 0).mean() <= 0.2
    right = truth[found.index] != 0
    assert (found["sign"] == truth[found.index])[right].mean() > 0.95
    assert grn.get.network(adata, key="renge").tested


def test_few_q_values_are_small_where_nothing_happens():
    for seed in range(2):
        edges = edges_of(null(seed), n_boot=15)
        assert (edges["qval"] < 0.05).sum() <= 1


def test_sources_that_were_not_knocked_out_are_tested_on_request():
    adata = small(n_cells=12)
    few, every = (edges_of(adata, n_boot=5, tested=tested) for tested in ("knocked_out", "all"))
    assert (few["pval"].notna() == few["knocked_out"]).all() and (few["qval"].notna() == few["knocked_out"]).all()
    assert every["qval"].notna().all() and few["deviation"].notna().all()
    pd.testing.assert_series_equal(few["pval"].dropna(), every["pval"][few["knocked_out"]])
    assert grn.get.edges(adata, key="renge", max_q=1.0).shape == every.shape


@pytest.mark.slow
def test_p_values_are_calibrated_where_nothing_happens():
    """And those of the original are not: its refits keep the controls and forget how efficiencies were estimated."""
    share, any_found = {}, {}
    for parity in (False, True):
        tables = [edges_of(null(seed), n_boot=25, parity=parity) for seed in range(12)]
        edges = pd.concat([table[table["knocked_out"]] for table in tables])
        share[parity] = (edges["pval"] < 0.05).mean()
        any_found[parity] = np.mean([(table["qval"] < 0.1).any() for table in tables])
    # 12 x 54 tests: the 95 % interval of 5 % is 3.3 to 6.7 %, the penalty only lowers it
    assert share[False] < 0.067 and any_found[False] <= 0.3
    assert share[True] > 2 * share[False]


def test_the_order_of_genes_and_cells_and_the_number_of_jobs_do_not_matter():
    adata = small()
    wanted = by_pair(edges_of(adata, n_boot=4))
    random = np.random.default_rng(0)
    for other, n_jobs in (
        (adata[:, random.permutation(adata.n_vars)].copy(), 1),
        (adata[random.permutation(adata.n_obs)].copy(), 1),
        (adata.copy(), 2),
    ):
        found = by_pair(edges_of(other, n_boot=4, n_jobs=n_jobs))
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_a_chosen_subset_of_genes_is_the_network(caplog):
    adata = small()
    first, second, third, *targets = adata.var_names
    with caplog.at_level(logging.WARNING, logger="grn"):
        found = edges_of(adata, genes=[first, second, *targets])
    assert third in caplog.text
    assert set(found["source"]) == {first, second, *targets}
    assert adata.uns["renge"]["params"]["dropped_knockouts"].tolist() == [third]
    alone = adata[adata.obs["perturbation"] != third, [first, second, *targets]].copy()
    pd.testing.assert_frame_equal(by_pair(edges_of(alone)), by_pair(found))


def test_sources_and_targets_choose_what_is_listed():
    adata = small()
    edges = by_pair(edges_of(adata.copy()))
    source, target = adata.var_names[0], adata.var_names[-1]
    params = {**COLUMNS, **SETTING, "n_boot": 0}
    grn.tl.infer_network(adata, method="renge", sources=[source], targets=[target], params=params)
    found = by_pair(adata.uns["grn"]["edges"])
    assert (
        found.index.tolist() == [(source, target)] and found["weight"].iloc[0] == edges.loc[(source, target), "weight"]
    )


def test_direct_and_total_effects():
    adata = small(n_cells=20)
    direct, longer = edges_of(adata.copy(), n_k=1), edges_of(adata, n_k=3)
    np.testing.assert_allclose(direct["total"], direct["weight"])
    assert np.abs(longer["total"] - longer["weight"]).max() > 1e-3


@pytest.mark.parametrize("folds", ["knockout", "knockout_time"])
def test_folds_keep_together_what_belongs_together(folds):
    adata = small(n_regulators=4)
    found = read_screen(Inputs(adata, Task()), Columns("perturbation", "time", "control"), None, min_cells=3)
    cut = make_folds(found, by_time=folds == "knockout_time", seed=0)
    assert set(cut.ravel()) == set(range(5))
    same = (cut[1:] == cut[1:, :1]).all(axis=1)
    assert same.all() if folds == "knockout" else not same.all()
    load = np.bincount(cut.ravel(), weights=found.screen.sizes.ravel())
    assert load.max() <= 2.01 * load.min()


def test_search_of_our_own():
    adata = small(n_cells=12)
    runs = []
    for n_jobs in (1, 2):
        edges = edges_of(adata, C=None, l1_ratio=None, n_k=None, n_trials=6, search="own", n_jobs=n_jobs)
        runs.append((edges, adata.uns["renge"]["params"]))
    pd.testing.assert_frame_equal(runs[0][0], runs[1][0])
    params = runs[0][1]
    trials = adata.uns["renge"]["trials"]
    assert params["search"] == "own" and len(trials) == 6
    assert trials["C"].between(1e-10, 1).all() and trials["n_k"].isin([1, 2, 3, 4]).all()
    chosen = trials[trials["C"] == params["C"]].iloc[0]
    assert (params["l1_ratio"], params["n_k"], params["search_score"]) == tuple(chosen[["l1_ratio", "n_k", "score"]])
    assert trials["score"].max() >= params["search_score"] > params["search_floor"]
    assert params["C"] >= trials.loc[trials["score"].idxmax(), "C"]


def test_of_equal_settings_the_strongest_penalty_is_chosen():
    best = np.array([0.3, 0.5, 0.1, 0.4])
    wobble = np.array([0.02, -0.02, 0.02, -0.02])
    tried = [
        ({"C": 1e-6}, best),
        ({"C": 1e-2}, best - 0.01 - wobble),
        ({"C": 1e-3}, best - 0.01 + wobble),
        ({"C": 1.0}, best - 0.1 + wobble),
    ]
    assert strongest(tried) == 1 and strongest(tried, only_best=True) == 0
    assert strongest([({"n_k": 3.0}, best), ({"n_k": 2.0}, best), ({"n_k": 4.0}, best)]) == 1


def test_what_is_given_is_not_searched():
    adata = small()
    edges_of(adata, C=None, n_trials=3, search="own")
    trials = adata.uns["renge"]["trials"]
    assert (trials[["l1_ratio", "n_k"]] == [0.1, 2]).all(axis=None) and trials["C"].nunique() == 3
    edges_of(adata)
    assert adata.uns["renge"]["params"]["search"] == "given" and "trials" not in adata.uns["renge"]


def test_search_by_optuna():
    pytest.importorskip("optuna")
    adata = small()
    one, two = (edges_of(adata, C=None, n_k=None, n_trials=6, search="optuna") for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    params = adata.uns["renge"]["params"]
    assert params["search"] == "optuna" and len(adata.uns["renge"]["trials"]) == 6 and params["l1_ratio"] == 0.1


def test_optuna_is_asked_for_by_name_only(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"grn\[search\]"):
        edges_of(small(), C=None, search="optuna")


def test_forms_of_the_object_and_files(tmp_path):
    adata = small()
    wanted = by_pair(edges_of(adata.copy(), n_boot=3))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    pd.testing.assert_frame_equal(by_pair(edges_of(backed, n_boot=3)), wanted)
    categorical = adata.copy()
    categorical.obs = categorical.obs.astype({"perturbation": "category", "time": "category"})
    categorical.X = categorical.X.toarray()
    view = categorical[:, :]
    out = grn.tl.renge(view, **COLUMNS, **SETTING, n_boot=3, copy=True)
    assert view.is_view and "renge" not in view.uns
    pd.testing.assert_frame_equal(by_pair(out.uns["renge"]["edges"]), wanted)
    out.write_h5ad(tmp_path / "result.h5ad")
    back = ad.read_h5ad(tmp_path / "result.h5ad")
    gene = adata.var_names[0]
    pd.testing.assert_frame_equal(grn.tl.predict_knockout(back, genes=gene), grn.tl.predict_knockout(out, genes=gene))
    one, two = (a.uns["renge"]["efficiency"] for a in (back, out))
    pd.testing.assert_frame_equal(one, two, check_dtype=False, check_index_type=False)


def test_cells_that_escaped_have_little_efficiency_whatever_the_order():
    adata = small()
    gene = adata.var_names[0]
    cells = np.flatnonzero(adata.obs["perturbation"] == gene)
    days = adata.obs["time"].to_numpy()
    controls = np.flatnonzero(adata.obs["perturbation"] == "control")
    escaped, X = cells[::4], adata.X.toarray()
    for cell in escaped:
        X[cell] = X[controls[days[controls] == days[cell]]].mean(axis=0)
    adata.X = X
    turned = adata[np.random.default_rng(0).permutation(adata.n_obs), ::-1].copy()
    tables = []
    for cells_of in (adata, turned):
        edges_of(cells_of, n_boot=0)
        tables.append(cells_of.uns["renge"]["efficiency"])
    pd.testing.assert_frame_equal(*tables, atol=1e-9)
    table = tables[0].set_index("cell").query("knockout == @gene")["efficiency"]
    low = table.index.isin(adata.obs_names[escaped])
    assert table[low].max() < 0.2 and table[~low].median() > 0.6


def test_what_cannot_be_used_is_left_out_and_said(caplog):
    adata = small(n_regulators=4)
    flat, silent = adata.var_names[-1], adata.var_names[1]
    X = adata.X.toarray()
    X[:, adata.n_vars - 1] = 1.0
    X[adata.obs["perturbation"] == "control", 1] = 0.0
    few = np.flatnonzero((adata.obs["perturbation"] == adata.var_names[2]) & (adata.obs["time"] == 2))
    changed = ad.AnnData(X, obs=adata.obs, var=adata.var)[np.setdiff1d(np.arange(len(X)), few[2:])].copy()
    with caplog.at_level(logging.WARNING, logger="grn"):
        edges = edges_of(changed)
    for text in ("do not vary", "not expressed in controls", "fewer than 3 cells", flat, silent):
        assert text in caplog.text
    params = changed.uns["renge"]["params"]
    assert params["dropped_genes"].tolist() == [flat] and params["dropped_knockouts"].tolist() == [silent]
    assert flat not in set(edges["target"]) and not edges.loc[edges["source"] == silent, "knocked_out"].any()
    assert params["n_cells_used"] == changed.n_obs - 2 - 16


def spoil(adata, what):
    """An object that cannot be used, and the arguments that go with it."""
    obs, first = adata.obs, adata.var_names[0]
    if what == "guides":
        obs["perturbation"] = [label if label == "control" else f"{label}_g1" for label in obs["perturbation"]]
    elif what == "no controls":
        adata = adata[obs["perturbation"] != "control"].copy()
    elif what == "one time":
        obs["time"] = 1.0
    elif what == "controls at one time":
        adata = adata[(obs["perturbation"] != "control") | (obs["time"] == 1)].copy()
    elif what == "words":
        obs["time"] = "day" + obs["time"].astype(int).astype(str)
    elif what == "missing":
        obs["time"] = obs["time"].where(np.arange(len(obs)) > 3)
    elif what == "no knock-outs":
        obs["perturbation"] = np.where(obs["perturbation"] == first, first, "control")
        return adata, {"genes": list(adata.var_names[1:])}
    elif what == "scaled":
        adata.X = adata.X.toarray() - 5.0
    elif what == "twice":
        adata.var_names = [*adata.var_names[:-1], first]
    return adata, {}


@pytest.mark.parametrize(
    ("what", "error", "match"),
    [
        ("guides", GroupError, r"str\.split"),
        ("no controls", GroupError, "control='control'"),
        ("one time", GroupError, "two or more"),
        ("controls at one time", GroupError, "fewer than 3 cells of the control"),
        ("words", GroupError, "must hold numbers"),
        ("missing", GroupError, "4 of"),
        ("no knock-outs", GroupError, "no knocked-out gene"),
        ("scaled", ExpressionError, "negative"),
        ("twice", GeneNameError, "more than once"),
    ],
)
def test_objects_that_are_refused(what, error, match):
    adata, arguments = spoil(small(), what)
    with pytest.raises(error, match=match):
        edges_of(adata, **arguments)
    assert not {"renge", "grn"} & set(adata.uns)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"perturbation": "guide"}, GroupError, "no column 'guide'"),
        ({"time": 3}, ParameterError, "time=3"),
        ({"genes": ["GATAX"]}, GeneNameError, "GATA1"),
        ({"genes": ["GATA1"]}, ParameterError, "at least two"),
        ({"n_k": 0}, ParameterError, "n_k=0"),
        ({"C": -1}, ParameterError, "C=-1"),
        ({"l1_ratio": 2}, ParameterError, "l1_ratio=2"),
        ({"n_boot": 1}, ParameterError, "no spread"),
        ({"n_boot": 2.5}, ParameterError, r"n_boot=2\.5"),
        ({"search": "grid"}, ParameterError, "search='grid'"),
        ({"tested": "some"}, ParameterError, "tested='some'"),
        ({"folds": "cells"}, ParameterError, "folds='cells'"),
    ],
)
def test_arguments_that_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        edges_of(small(), **arguments)


def test_too_many_genes_and_groups_are_refused():
    adata = grn.datasets.toy(n_cells=20, n_regulators=10, n_targets=300)
    adata.obs["perturbation"], adata.obs["time"] = "control", 1.0
    with pytest.raises(ParameterError, match="at most 300"):
        edges_of(adata)
    with pytest.raises(ParameterError, match="groupby"):
        grn.tl.infer_network(small(), method="renge", groupby="time", params={**COLUMNS, **SETTING})
