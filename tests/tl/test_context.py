"""Probes at mean real cells, against numbers computed by hand."""

import numpy as np
import pytest
import torch

import grn
from grn.errors import ExpressionError, GroupError, LayerError, ParameterError


def moments(adata, mask=None):
    X = adata.X.toarray().astype(np.float64)
    return (X if mask is None else X[mask]).mean(axis=0), X.std(axis=0)


def mean_cells(adata, groupby=None):
    """Z-scores (groups, genes) of group means on the scale of all cells."""
    mean, std = moments(adata)
    labels = np.array(["all"] * adata.n_obs) if groupby is None else adata.obs[groupby].astype(str).to_numpy()
    return np.stack([(moments(adata, labels == name)[0] - mean) / std for name in np.unique(labels)])


def by_hand(model, adata, cell, changed):
    """Response change (R,) when one gene of a cell takes another value."""
    panel = model.panel(list(adata.var_names), list(adata.var_names))
    column = {gene: i for i, gene in enumerate(panel.genes)}
    values = torch.zeros(2, len(panel))
    for gene, value in zip(adata.var_names, cell, strict=True):
        values[:, column[gene]] = float(value)
    for gene, value in changed.items():
        values[1, column[gene]] = float(value)
    out = model.respond(panel, values).numpy()
    return out[1] - out[0]


@pytest.mark.parametrize("groupby", [None, "group"])
def test_vvp_at_the_mean_cell(random_model, toy, groupby):
    adata = toy[:, :15].copy()
    grn.tl.vvp(adata, model=random_model, sources=["MYB", "SPI1"], context="mean", groupby=groupby, grid=[-1, 0.5, 2])
    cells = mean_cells(adata, groupby)
    assert adata.varm["vvp"].shape == (15, 2, 3 * len(cells))
    for g, cell in enumerate(cells):
        for s, gene in enumerate(["MYB", "SPI1"]):
            for m, value in enumerate([-1, 0.5, 2]):
                expected = by_hand(random_model, adata, cell, {gene: value})
                expected[adata.var_names.get_loc(gene)] = np.nan
                found = adata.varm["vvp"][:, s, g * 3 + m]
                assert np.allclose(found, expected, rtol=1e-3, atol=1e-5, equal_nan=True), "group-major along K"


@pytest.mark.parametrize("groupby", [None, "group"])
def test_pert_at_the_mean_cell(random_model, toy, groupby):
    adata = toy[:, :15].copy()
    grn.tl.pert(adata, model=random_model, sources=["MYB", "SPI1"], groupby=groupby)
    mean, std = moments(adata)
    zero = np.clip(-mean / std, -3, None)
    cells = mean_cells(adata, groupby)
    assert adata.varm["pert"].shape == (15, 2, len(cells))
    for g, cell in enumerate(cells):
        for s, gene in enumerate(["MYB", "SPI1"]):
            at = adata.var_names.get_loc(gene)
            expected = -by_hand(random_model, adata, cell, {gene: zero[at]})
            expected[at] = np.nan
            assert np.allclose(adata.varm["pert"][:, s, g], expected, rtol=1e-3, atol=1e-5, equal_nan=True)
    if groupby:
        assert adata.uns["pert"]["groups"].tolist() == ["group_1", "group_2"]
        assert not np.allclose(adata.varm["pert"][..., 0], adata.varm["pert"][..., 1], equal_nan=True)


@pytest.mark.parametrize("max_genes", [1000, 7])
def test_pert_recovers_the_planted_effects(planted, weights, toy, max_genes):
    grn.tl.pert(toy, model=planted(max_genes=max_genes))
    mean, std = moments(toy)
    zero = np.clip(-mean[:8] / std[:8], -4, None)
    expected = weights.loc[toy.var_names[:8], toy.var_names].T.to_numpy() * -(zero + zero**3 / 10)
    expected[np.arange(8), np.arange(8)] = np.nan
    assert np.allclose(toy.varm["pert"][..., 0], expected, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_a_silent_gene_has_nothing_to_lose(random_model, toy):
    adata = toy[:, :12].copy()
    X = adata.X.toarray()
    X[(adata.obs["group"] == "group_1").to_numpy(), 1] = 0
    adata.X = X
    grn.tl.pert(adata, model=random_model, sources=["SPI1"], groupby="group")
    silent, expressed = adata.varm["pert"][:, 0, 0], adata.varm["pert"][:, 0, 1]
    assert np.nanmax(np.abs(silent)) < 1e-5 < np.nanmax(np.abs(expressed))


def test_counts_layer_and_raw_give_the_numbers_of_log_values(random_model, toy):
    arguments = {"model": random_model, "sources": ["MYB"]}
    grn.tl.pert(toy, key_added="log", **arguments)
    grn.tl.pert(toy, key_added="counts", layer="counts", **arguments)
    toy.raw = toy
    toy.X = np.full(toy.shape, -1.0, dtype=np.float32)
    grn.tl.pert(toy, key_added="raw", use_raw=True, **arguments)
    for key in ("counts", "raw"):
        assert np.allclose(toy.varm["log"], toy.varm[key], rtol=1e-3, atol=1e-5, equal_nan=True)
    assert toy.uns["counts"]["params"]["layer"] == "counts" and bool(toy.uns["raw"]["params"]["use_raw"])


@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "probe", "pert", "attention"])
class TestRefusals:
    @pytest.fixture
    def call(self, refuses, planted, function):
        mean = {} if function in ("pert", "attention") else {"context": "mean"}

        def refused(error, adata, **arguments):
            return refuses(error, getattr(grn.tl, function), adata, model=planted(), **mean, **arguments)

        return refused

    def test_groups(self, call, toy):
        assert "columns: group" in call(GroupError, toy, groupby="cluster")
        toy.obs["lost"] = toy.obs["group"].where(np.arange(60) > 3)
        assert "4 of 60 cells have no value" in call(GroupError, toy, groupby="lost")
        toy.obs["small"] = ["tiny"] * 2 + ["large"] * 58
        assert "tiny (2)" in call(GroupError, toy, groupby="small")

    def test_values(self, call, toy):
        X = toy.X.toarray()
        X[3, 5] = np.nan
        toy.layers["nan"] = X
        toy.layers["scaled"] = toy.X.toarray() - 1
        toy.layers["zero"] = np.zeros(toy.shape)
        assert "1 NaN" in call(ExpressionError, toy, layer="nan")
        message = call(ExpressionError, toy, layer="scaled")
        assert "negative values" in message and "layer=None" in message
        assert "only zeros" in call(ExpressionError, toy, layer="zero")
        assert "'counts'" in call(LayerError, toy, layer="count")
        assert "adata.raw is None" in call(LayerError, toy, use_raw=True)
        assert "pass one of them" in call(ParameterError, toy, use_raw=True, layer="counts")


def test_values_are_not_read_without_need(planted, toy):
    toy.X = np.full(toy.shape, np.nan, dtype=np.float32)
    grn.tl.probe(toy, model=planted())
    assert np.isfinite(toy.varm["vvp"]).sum() == 8 * 47 * 8


def test_unused_categories_and_order(planted, toy):
    toy.obs["kind"] = toy.obs["group"].cat.rename_categories({"group_1": "zebra", "group_2": "ant"})
    toy.obs["kind"] = toy.obs["kind"].cat.add_categories("ghost")
    grn.tl.pert(toy, model=planted(), groupby="kind")
    assert toy.uns["pert"]["groups"].tolist() == ["zebra", "ant"]
    grn.tl.pert(toy, model=planted(), groupby="group", key_added="known")
    assert np.array_equal(toy.varm["pert"], toy.varm["known"], equal_nan=True)


@pytest.mark.parametrize("function", ["pert", "vvp"])
def test_a_mean_of_one_or_two_cells_is_refused(toy, planted, refuses, function):
    arguments = {"model": planted(), "sources": ["MYB"]} | ({"context": "mean"} if function == "vvp" else {})
    assert "2 cells" in refuses(ExpressionError, getattr(grn.tl, function), toy[:2].copy(), **arguments)
