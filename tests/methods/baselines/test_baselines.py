"""Baselines as records: what they compute, and what must not matter."""

import logging
import subprocess
import sys
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge

import grn
from grn._core.logging import HINT
from grn._kernels.trees import Boosting, boosted
from grn.errors import ExpressionError, GeneOverlapError, ParameterError
from grn.methods import METHODS, trees

RECORDS = {
    "pearson": ("correlation", {}),
    "spearman": ("correlation", {"kind": "spearman"}),
    "ridge": ("ridge", {}),
    "prior_ridge": ("prior_ridge", {}),
    "grnboost2": ("grnboost2", {"max_rounds": 80}),
    "grnboost2 fast": ("grnboost2", {"mode": "fast", "max_rounds": 80}),
    "genie3": ("genie3", {"n_trees": 20}),
    "genie3 fast": ("genie3", {"mode": "fast", "n_trees": 20, "trees": "extra"}),
}
every = pytest.mark.parametrize("name", RECORDS)
REGULATORS = 5


@pytest.fixture(scope="module")
def toy():
    return grn.datasets.toy(n_cells=160, n_regulators=REGULATORS, n_targets=8)


def edges(adata, name, params=(), **given):
    method, own = RECORDS[name]
    made = grn.tl.infer_network(adata, method=method, params={**own, **dict(params)}, copy=True, **given)
    return grn.get.edges(made)


def table(found):
    keys = ["source", "target", *(["group"] if "group" in found else [])]
    return found.astype(dict.fromkeys(keys, str)).set_index(keys).sort_index()["weight"]


def same(one, two, tol=1e-6):
    pd.testing.assert_series_equal(table(one), table(two), rtol=0, atol=tol)


@every
def test_planted_network_is_found_better_than_by_degree(toy, name):
    found = edges(toy, name, targets=list(toy.var_names[REGULATORS:]))
    truth = grn.bench.Reference(toy.uns["truth"], genes=toy.var_names)
    scores = grn.bench.score_edges(found, reference=truth, negatives=["all"], name="own", n_boot=10, seeds=1)
    auprc = scores.query("metric == 'auprc'").set_index("method")["value"]
    assert auprc["own"] > auprc.drop("own").max() + 0.2
    assert (found["source"].astype(str) != found["target"].astype(str)).all()


@every
def test_signs_are_those_of_the_truth_or_not_given(toy, name):
    found = table(edges(toy, name))
    if not grn.methods.METHODS[RECORDS[name][0]].signed:
        assert (found > 0).all()
        return
    truth = toy.uns["truth"].set_index(["source", "target"])["sign"]
    assert (np.sign(found.reindex(truth.index)) == truth).mean() > 0.9


@every
def test_order_of_genes_and_cells_does_not_matter(toy, name):
    random = np.random.default_rng(0)
    shuffled = toy[random.permutation(toy.n_obs), random.permutation(toy.n_vars)].copy()
    same(edges(toy, name, groupby="group"), edges(shuffled, name, groupby="group"))


@pytest.mark.parametrize("name", ["grnboost2", "grnboost2 fast"])
def test_workers_do_not_matter(toy, name):
    targets = list(toy.var_names[-3:])
    same(edges(toy, name, targets=targets), edges(toy, name, targets=targets, n_jobs=2), tol=0)


@every
def test_targets_do_not_depend_on_each_other(toy, name):
    own = {"alpha": 0.3} if name.endswith("ridge") else {}
    few = table(edges(toy, name, own, targets=list(toy.var_names[[0, 7]])))
    whole = table(edges(toy, name, own))
    pd.testing.assert_series_equal(few, whole.reindex(few.index), atol=1e-9, rtol=0)


@every
def test_containers_do_not_matter(toy, name, tmp_path):
    wanted = edges(toy, name, targets=list(toy.var_names[-2:]))
    for container in (lambda X: X.toarray(), sparse.csc_matrix):
        other = toy.copy()
        other.X = container(toy.X)
        same(wanted, edges(other, name, targets=list(toy.var_names[-2:])))
    path = tmp_path / "cells.h5ad"
    toy.write_h5ad(path)
    backed = ad.read_h5ad(path, backed="r")
    same(wanted, edges(backed, name, targets=list(toy.var_names[-2:])))
    backed.file.close()


@every
def test_constant_genes_get_no_edges_and_are_named(toy, name, caplog):
    adata = toy.copy()
    X = adata.X.toarray()
    X[:, [1, -1]] = [0.0, 1.25]
    adata.X = X
    with caplog.at_level(HINT, "grn"):
        found = edges(adata, name)
    gone = set(adata.var_names[[1, -1]])
    assert not gone & (set(found["source"]) | set(found["target"])) and len(found)
    assert all(gene in caplog.text for gene in gone)
    X[:, :REGULATORS] = 1.0
    with pytest.raises(ExpressionError, match="varies"):
        edges(adata, name)


@every
def test_a_base_grn_restricts_the_pairs(toy, name):
    truth = toy.uns["truth"][["source", "target"]]
    found = table(edges(toy, name, {"base_grn": truth}))
    assert set(found.index) <= set(map(tuple, truth.to_numpy())) and len(found) >= 0.8 * len(truth)
    with pytest.raises(GeneOverlapError, match="sources"):
        edges(toy, name, {"base_grn": truth}, sources=list(toy.var_names[-2:]))


def test_correlations_are_those_of_numpy_and_scipy(toy):
    X = toy.X.toarray().astype(float)
    for name, wanted in (("pearson", np.corrcoef(X.T)), ("spearman", stats.spearmanr(X).statistic)):
        found = table(edges(toy, name))
        wide = pd.DataFrame(wanted, toy.var_names, toy.var_names)
        np.testing.assert_allclose(found, [wide.loc[pair] for pair in found.index], atol=1e-6)
        assert len(found) == REGULATORS * (toy.n_vars - 1)
    made = grn.tl.infer_network(toy, method="correlation", copy=True)
    assert not grn.get.network(made).directed


@pytest.mark.parametrize("restricted", [False, True])
def test_ridge_is_that_of_scikit_learn(toy, restricted):
    X = toy.X.toarray().astype(float)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    everyone = [(s, t) for t in toy.var_names for s in toy.var_names[:REGULATORS] if s != t]
    pairs = list(map(tuple, toy.uns["truth"][["source", "target"]].to_numpy())) if restricted else everyone
    base = {"base_grn": pd.DataFrame(pairs, columns=["source", "target"])} if restricted else {}
    made = grn.tl.infer_network(toy, method="ridge", params={"alpha": 0.2, **base}, copy=True)
    found = grn.get.edges(made).astype({"source": str, "target": str}).set_index(["source", "target"])
    assert len(found) == len(pairs)
    place = {gene: i for i, gene in enumerate(toy.var_names)}
    for target in toy.var_names:
        use = [s for s, t in pairs if t == target]
        if not use:
            continue
        at = [place[s] for s in use]
        wanted = Ridge(alpha=0.2 * len(Z), fit_intercept=False).fit(Z[:, at], Z[:, place[target]]).coef_
        mine = found.loc[[(s, target) for s in use]]
        np.testing.assert_allclose(mine["weight"], wanted, atol=1e-5)
        np.testing.assert_allclose(mine["score"], wanted * X.std(axis=0)[place[target]] / X.std(axis=0)[at], atol=1e-5)


def test_ridge_tells_the_penalty_of_every_group(toy):
    made = grn.tl.infer_network(toy, method="ridge", groupby="group", copy=True)
    told = made.uns["grn"]["params"]["alpha"]
    assert set(told) == set(toy.obs["group"]) and all(value > 0 for value in told.values())


def test_parity_is_the_kernel_on_the_object_as_it_is(toy):
    target = toy.var_names[0]
    made = grn.tl.infer_network(toy, method="grnboost2", params={"parity": True}, targets=[target], copy=True)
    found = table(grn.get.edges(made)).droplevel("target")
    X = np.asfortranarray(toy.X.toarray())
    wanted, _ = boosted(X[:, 1:REGULATORS], X[:, 0], seed=666, plan=Boosting(paired=False))
    np.testing.assert_allclose(found.reindex(toy.var_names[1:REGULATORS]).fillna(0.0), wanted, atol=1e-9)
    forests = grn.tl.infer_network(toy, method="genie3", params={"parity": True, "n_trees": 5}, copy=True)
    assert np.allclose(grn.get.edges(forests).groupby("target", observed=True)["weight"].sum(), 1.0)


@pytest.mark.parametrize("name", ["grnboost2", "genie3"])
def test_cells_are_drawn_by_name_and_counted(toy, name, caplog):
    targets = list(toy.var_names[-2:])
    with caplog.at_level(logging.INFO, "grn"):
        found = edges(toy, name, {"max_cells": 50}, targets=targets)
    assert "50 of 160 cells" in caplog.text
    shuffled = toy[np.random.default_rng(1).permutation(toy.n_obs)].copy()
    same(found, edges(shuffled, name, {"max_cells": 50}, targets=targets))
    assert not table(found).equals(table(edges(toy, name, {"max_cells": 50}, targets=targets, rng=1)))


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("correlation", {"kind": "kendall"}, "pearson"),
        ("ridge", {"alpha": 0}, "at least 1e-10"),
        ("ridge", {"alpha": True}, "at least 1e-10"),
        ("grnboost2", {"mode": "quick"}, "exact, fast"),
        ("grnboost2", {"max_rounds": 0}, "max_rounds=0"),
        ("grnboost2", {"mode": "fast", "parity": True}, "no fast mode"),
        ("grnboost2", {"max_cells": -1}, "max_cells=-1"),
        ("genie3", {"trees": "oak"}, "forest, extra"),
        ("genie3", {"n_trees": 2.5}, "n_trees=2.5"),
        ("genie3", {"mode": "fast", "parity": True}, "no fast mode"),
    ],
)
def test_bad_parameters_are_refused(toy, method, params, says):
    before = repr(toy)
    with pytest.raises(ParameterError, match=says):
        grn.tl.infer_network(toy, method=method, params=params)
    assert repr(toy) == before


@pytest.mark.parametrize("method", ["genie3", "grnboost2"])
def test_gains_that_rounding_makes_negative_are_none(method, monkeypatch):
    """scikit-learn's decrease of impurity is a difference: -7e-17 on real cells, where no split gains anything."""
    record = METHODS[method]
    own = trees.importances

    def rounded(group, cells, plan):
        def learner(X):
            learn = plan.learner(X)
            return lambda y, columns, seed: np.append(-7e-17, learn(y, columns, seed)[1:])

        return own(group, cells, replace(plan, learner=learner))

    monkeypatch.setattr(sys.modules[record.fit.__module__], "importances", rounded)
    adata = grn.datasets.toy(n_cells=60, n_regulators=4, n_targets=6)
    grn.tl.infer_network(adata, method=method, params={"max_rounds": 5} if method == "grnboost2" else {"n_trees": 5})
    edges = grn.get.edges(adata)
    assert (edges["weight"] > 0).all() and edges["source"].nunique() == 3, "the first regulator gains nothing"


@pytest.mark.parametrize(("name", "fast"), [("grnboost2", "grnboost2 fast"), ("genie3", "genie3 fast")])
def test_exact_trees_that_take_long_say_so_and_name_the_fast_mode(toy, name, fast, monkeypatch, caplog):
    with caplog.at_level("INFO", logger="grn"):
        edges(toy, name)
        assert "'fast'" not in caplog.text
        monkeypatch.setattr(trees, "LONG", 0.0)
        edges(toy, fast)
        assert "'fast'" not in caplog.text
        edges(toy, name)
    assert f"{name}: about " in caplog.text and "for 13 targets; params={'mode': 'fast'}" in caplog.text


def test_a_fast_fit_loads_no_torch(toy, tmp_path):
    toy.write_h5ad(tmp_path / "cells.h5ad")
    code = (
        "import sys, anndata, grn; "
        f"cells = anndata.read_h5ad({str(tmp_path / 'cells.h5ad')!r}); "
        "grn.tl.infer_network(cells, method='grnboost2', params={'mode': 'fast', 'max_rounds': 30}, n_jobs=2); "
        "print([name for name in ('torch', 'scanpy', 'sklearn', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
