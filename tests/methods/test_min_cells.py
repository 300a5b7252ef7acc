"""Genes seen in few cells, few cells, and groups in which nothing varies: one rule for all methods."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import grn
from grn.errors import ExpressionError, GroupError, ParameterError
from grn.methods.record import MIN_CELLS_SEEN

METHODS = {
    "correlation": {},
    "spearman": {"kind": "spearman"},
    "ridge": {"alpha": 0.5},
    "prior_ridge": {"alpha": 0.5},
    "grnboost2": {"max_rounds": 20},
    "genie3": {"n_trees": 20},
    "celloracle": {"n_bags": 4, "smooth": False, "max_p": None},
    "bayesian": {"fit": "bayesian", "smooth": False, "max_p": None},
    "scrank": {"n_resamples": 3},
}
every = pytest.mark.parametrize("name", METHODS)
N = 60


def called(name):
    return {"spearman": "correlation", "bayesian": "celloracle"}.get(name, name)


def infer(adata, name, **more):
    params = {**METHODS[name], **more.pop("params", {})}
    grn.tl.infer_network(adata, method=called(name), params=params, targets=list(adata.var_names), **more)
    return grn.get.edges(adata)


@pytest.fixture
def cells():
    """Two groups, four regulators; a pair of genes is seen in one cell of the first group, and in the same."""
    rng = np.random.default_rng(0)
    X = rng.poisson(3.0, size=(2 * N, 14)).astype(np.float32)
    X[:, 4:] += X[:, [0]]
    X[:N, [3, 13]] = 0.0
    X[7, [3, 13]] = 4.0
    names = [f"g{k}" for k in range(14)]
    adata = AnnData(X, obs=pd.DataFrame({"kind": ["a"] * N + ["b"] * N}, index=[f"c{k}" for k in range(2 * N)]))
    adata.var_names = names
    adata.var["is_regulator"] = np.arange(14) < 4
    return adata


def ends(edges, group):
    part = edges[edges["group"] == group]
    return set(part["source"]) | set(part["target"])


@every
def test_a_gene_seen_in_too_few_cells_of_a_group_has_no_edges_there(cells, name, caplog):
    with caplog.at_level(10, "grn"):
        found = infer(cells, name, groupby="kind")
    assert not {"g3", "g13"} & ends(found, "a") and len(ends(found, "a")) > 5
    assert {"g3", "g13"} & ends(found, "b")
    assert caplog.text.count("fewer than min_cells=5 cells") == 1
    params = grn.get.network(cells).params
    assert params["rare_genes"] == {"a": 2, "b": 0} and params["min_cells"] == MIN_CELLS_SEEN == 5
    assert params["skipped_groups"].tolist() == []
    # at the limit it takes part
    cells.X[np.arange(7, 11), 3] = cells.X[np.arange(7, 11), 13] = 4.0
    infer(cells, name, groupby="kind")
    assert grn.get.network(cells).params["rare_genes"] == {"a": 2, "b": 0}
    cells.X[11, [3, 13]] = 4.0
    infer(cells, name, groupby="kind")
    assert grn.get.network(cells).params["rare_genes"] == {"a": 0, "b": 0}


def test_without_the_limit_one_cell_heads_the_table(cells):
    found = infer(cells, "correlation", groupby="kind", params={"min_cells": 0})
    first = found[found["group"] == "a"].iloc[0]
    assert (first["source"], first["target"]) == ("g3", "g13") and first["weight"] > 0.98
    assert grn.get.network(cells).params["rare_genes"] == {"a": 0, "b": 0}


@every
def test_the_other_genes_do_not_feel_the_rare_ones(cells, name):
    cells.X = np.log1p(cells.X / cells.X.sum(axis=1, keepdims=True) * 1e4)
    whole = infer(cells, name, groupby="kind")
    few = cells[:, [g for g in cells.var_names if g not in ("g3", "g13")]].copy()
    alone = infer(few, name, groupby="kind")
    a, b = (
        e[(e["group"] == "a") & (e["weight"] != 0)]
        .astype({"source": str, "target": str})
        .set_index(["source", "target"])["weight"]
        .sort_index()
        for e in (whole, alone)
    )
    assert len(a)
    pd.testing.assert_series_equal(a, b, rtol=1e-4, atol=1e-5)


@every
@pytest.mark.parametrize("n", [2, 9])
def test_few_cells_are_an_error_with_and_without_groups(cells, name, n):
    few = cells[:n].copy()
    with pytest.raises(ExpressionError, match=f"{n} cells"):
        infer(few, name)
    with pytest.raises(GroupError, match="fewer than"):
        infer(few, name, groupby="kind")
    assert not few.uns


@every
@pytest.mark.parametrize("value", [-1, 2.5, True, "5"])
def test_what_is_no_number_of_cells(cells, name, value):
    with pytest.raises(ParameterError, match="min_cells="):
        infer(cells, name, params={"min_cells": value})


@every
def test_a_group_of_identical_cells_is_left_out_and_said(cells, name, caplog):
    whole = infer(cells, name, groupby="kind")
    cells.X[:N] = cells.X[N]
    found = infer(cells, name, groupby="kind")
    assert set(found["group"]) == {"b"}
    if "smooth" not in METHODS[name]:
        # scales of CellOracle are those of all cells
        same = whole[whole["group"] == "b"].reset_index(drop=True)
        pd.testing.assert_series_equal(found["weight"], same["weight"], rtol=1e-5)
    assert "nothing varies in 1 of 2 groups, which get no network: a" in caplog.text
    assert grn.get.network(cells).params["skipped_groups"].tolist() == ["a"]
    cells.X[N:] = cells.X[N]
    before = grn.get.edges(cells)
    with pytest.raises(ExpressionError, match="no regulator or no target varies in any of the 2 groups"):
        infer(cells, name, groupby="kind")
    with pytest.raises(ExpressionError, match="no regulator or no target varies"):
        infer(cells, name)
    assert grn.get.edges(cells).equals(before)


@pytest.mark.parametrize("name", ["grnboost2", "genie3", "celloracle", "scrank"])
def test_parity_has_no_limit(cells, name):
    params = {"min_cells": 5, "parity": True}
    if name == "scrank":
        cells.layers["counts"] = cells.X.copy()
    infer(cells, name, groupby="kind", params=params, layer="counts" if name == "scrank" else None)
    params = grn.get.network(cells).params
    assert params["min_cells"] == 0 and params["rare_genes"] == {"a": 0, "b": 0}


def test_counts_before_smoothing(cells):
    grn.tl.celloracle(cells, groupby="kind", n_bags=4, max_p=None)
    assert not {"g3", "g13"} & ends(grn.get.edges(cells, key="celloracle"), "a")
    params = grn.get.network(cells, key="celloracle").params
    assert params["min_cells"] == 5 and params["rare_genes"] == {"a": 2, "b": 0}


@pytest.mark.parametrize("form", ["csr", "csc", "backed", "raw"])
def test_counting_in_every_form(cells, form, tmp_path):
    import anndata as ad
    from scipy import sparse

    if form == "raw":
        cells.raw = cells
        cells = cells[:, ::-1].copy()
    elif form == "backed":
        cells.write_h5ad(tmp_path / "cells.h5ad")
        cells = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    else:
        cells.X = getattr(sparse, f"{form}_matrix")(cells.X)
    found = infer(cells, "correlation", groupby="kind", use_raw=form == "raw")
    assert not {"g3", "g13"} & ends(found, "a") and {"g3", "g13"} <= ends(found, "b")


def test_confidence_keeps_the_genes_of_the_whole_in_subsamples(cells):
    cells.X[np.arange(7, 12), 3] = [3.0, 4.0, 5.0, 6.0, 7.0]
    for name in ("correlation", "ridge", "celloracle", "scrank"):
        infer(cells, name, groupby="kind", sources=["g0", "g1", "g2", "g3"])
        n = len(grn.get.edges(cells))
        grn.tl.confidence(cells, n_permutations=2, n_subsamples=8, fraction=0.8, top=200)
        found = grn.get.edges(cells)
        assert len(found) == n
        near = found[(found["group"] == "a") & (found["source"] == "g3")]
        if name in ("correlation", "ridge"):
            # of five cells four are left in most subsamples, fewer than the limit
            assert len(near) == 12 and (near["stability"] == 1).all()


def test_confidence_of_small_groups(cells):
    cells = cells[N - 10 : N + 10].copy()
    infer(cells, "correlation", groupby="kind", params={"min_cells": 3})
    grn.tl.confidence(cells, n_permutations=2, n_subsamples=2, fraction=0.8, top=5)
    assert grn.get.edges(cells)["stability"].between(0, 1).all()


def test_differential(cells, caplog):
    cells.obs["donor"] = [f"{k // 10}" for k in range(2 * N)]
    arguments = {"condition": "kind", "donor": "donor", "n_permutations": 8, "params": {}}
    with caplog.at_level(10, "grn"):
        grn.tl.differential(cells, **arguments)
    found = grn.get.edges(cells, key="differential").set_index(["source", "target"])
    assert found.loc[("g3", "g13"), "weight_a"] == 0 != found.loc[("g3", "g13"), "weight_b"]
    params = grn.get.network(cells, key="differential").params
    assert params["min_cells"] == 5 and params["rare_genes"]["all"].tolist() == [2, 0]
    assert "seen in fewer than min_cells=5 cells of a and b" in caplog.text
    grn.tl.differential(cells, **arguments, min_cells=0)
    found = grn.get.edges(cells, key="differential").set_index(["source", "target"])
    assert found.loc[("g3", "g13"), "weight_a"] > 0.98


def test_differential_leaves_out_a_group_in_which_nothing_varies(cells, caplog):
    cells.obs["type"] = ["x", "y"] * N
    cells.X[:N:2] = cells.X[N]
    grn.tl.differential(cells, condition="kind", groupby="type", n_permutations=3)
    net = grn.get.network(cells, key="differential")
    assert net.groups == ["y"] and net.params["skipped_groups"].tolist() == ["x"]
    assert "nothing varies in one condition of 1 of 2 groups" in caplog.text
    cells.X[1:N:2] = cells.X[N]
    with pytest.raises(ExpressionError, match="varies"):
        grn.tl.differential(cells, condition="kind", groupby="type", n_permutations=3)


def test_simulations_say_where_nothing_varies(cells, caplog):
    infer(cells, "ridge", groupby="kind")
    cells.X[:N] = cells.X[N]
    grn.tl.simulate(cells, perturbation={"g0": 0}, coefficients="refit")
    assert "nothing varies in 1 of 2 groups, so that nothing follows there: a" in caplog.text
    assert list(cells.uns["simulation"]["params"]["skipped_groups"]) == ["a"]


@pytest.mark.parametrize("how", ["h5ad", "zarr"])
def test_what_is_told_survives_a_file(cells, tmp_path, how):
    import anndata as ad

    infer(cells, "ridge", groupby="kind")
    getattr(cells, f"write_{how}")(tmp_path / "cells")
    back = grn.get.network(getattr(ad, f"read_{how}")(tmp_path / "cells")).params
    assert back["rare_genes"] == {"a": 2, "b": 0} and list(back["skipped_groups"]) == []
