"""Networks by any method: parameters, tables, signs, groups, provenance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, ParameterError
from grn.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"
RAW = {"translator": None}
OWN = {
    "ugrn": {},
    "vvp": RAW,
    "gradient_trajectory": RAW,
    "pert": {},
    "attention": {},
    "embedding": RAW,
}


@pytest.fixture
def translators(planted, toy, weights):
    """Fitted on the planted edges of the model, far from sharp; ``vvp_grid`` on the grid of tl.vvp."""
    adata = toy[:0].copy()
    grn.tl.probe(adata, model=planted())
    grn.tl.vvp(adata, model=planted(), key_added="vvp_grid")
    grn.tl.embedding(adata, model=planted())
    found = weights.loc[toy.var_names[:8]].stack().rename_axis(["source", "target"])
    edges = found[found != 0].reset_index()[["source", "target"]]
    fit = {"members": 1, "epochs": 15, "hidden": (8,), "lr": 1e-2}
    made = {
        key: grn.tl.fit_translator(adata, edges, key=key, **fit) for key in ("vvp", "gradient_trajectory", "vvp_grid")
    }
    return {**made, "embedding": grn.tl.fit_translator(adata, edges, key="X_planted", view="raw", **fit)}


def params_of(method, translators):
    return {"translator": translators} if method == "ugrn" else OWN[method]


def test_methods_table():
    table = grn.tl.methods()
    assert set(OWN) <= set(table.index) and table.index.name == "method"
    assert table.loc["pert", "needs"] == "model, cells" and not table.loc["attention", "sign"]
    assert table.loc["correlation", "direction"] == "motif, prior, role"
    assert table.loc[["vvp", "attention"], "direction"].tolist() == ["response, role", "role"]
    devices = ["cpu, cuda", "cpu, cuda, mps", "cpu"]
    assert table.loc[["ridge", "attention", "celloracle"], "devices"].tolist() == devices
    assert table.loc["renge", "confidence"] == "pval, qval"
    assert table.loc["scrank", ["system", "year", "output"]].tolist() == ["scRank", 2024, "edges, ranks, effects"]
    assert table["input"].str.len().min() > 2 and table["cost"].str.len().min() > 3
    pages = {page for page in table["page"] if (DOCS / f"{page}.md").exists()}
    assert not DOCS.exists() or pages == set(table["page"])
    assert "max_cells=32" in table.loc["attention", "parameters"]
    assert table["description"].str.len().min() > 10
    assert not table.map(lambda value: value is None).any(axis=None)


@pytest.mark.parametrize("method", OWN)
def test_unknown_parameters_list_the_valid_ones(refuses, planted, toy, method):
    arguments = {"model": planted(), "method": method, "params": {"transltor": 1, "max": 2}}
    message = refuses(ParameterError, grn.tl.infer_network, toy, **arguments)
    assert f"method {method!r} has no parameter 'max', 'transltor'" in message
    listed = grn.tl.methods().loc[method, "parameters"]
    assert message.endswith(f"valid are: {listed or 'none'}."), "as grn.tl.methods() lists them"


@pytest.mark.parametrize("params", ["chip", 3, ["translator"]])
def test_params_of_a_wrong_type(refuses, planted, toy, params):
    message = refuses(ParameterError, grn.tl.infer_network, toy, model=planted(), params=params)
    assert "params" in message


@pytest.mark.parametrize("method", ["ugnr", "", None, 3])
def test_unknown_method(refuses, planted, toy, method):
    message = refuses(ParameterError, grn.tl.infer_network, toy, model=planted(), method=method)
    assert "vvp, gradient_trajectory, pert, attention, embedding" in message
    if method == "ugnr":
        assert "'ugrn'" in message


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("groupby", [None, "group"])
def test_table(planted, toy, translators, method, groupby):
    if method == "embedding" and groupby:
        pytest.skip("embeddings know no groups")
    arguments = {"model": planted(), "method": method, "params": params_of(method, translators)}
    assert grn.tl.infer_network(toy, groupby=groupby, sources=["MYB", "SPI1"], **arguments) is None
    edges = toy.uns["grn"]["edges"]
    record = METHODS[method]
    groups = 2 if groupby else 1
    assert list(edges.columns[:3]) == ["source", "target", "weight"]
    assert (
        len(edges) == groups * 2 * 47 and not edges.duplicated(["source", "target", *(["group"] * (groups - 1))]).any()
    )
    assert (edges["source"].astype(str) != edges["target"].astype(str)).all()
    assert isinstance(edges["source"].dtype, pd.CategoricalDtype)
    assert ("sign" in edges) == record.signed and toy.uns["grn"]["schema"]["signed"] == record.signed
    assert not toy.uns["grn"]["schema"]["directed"] and set(edges["direction"]) == {"role", "none"}
    assert toy.uns["grn"]["schema"]["orientation"] == "source regulates target"
    assert (edges["weight"] >= 0).all() or record.signed
    keys = [edges["group"].cat.codes, -edges["weight"].abs()] if groupby else [-edges["weight"].abs()]
    assert pd.DataFrame(dict(enumerate(keys))).apply(tuple, axis=1).is_monotonic_increasing
    if groupby:
        assert list(edges["group"].cat.categories) == ["group_1", "group_2"]
        assert toy.uns["grn"]["params"]["n_cells"] == {"group_1": 30, "group_2": 30}
    params = toy.uns["grn"]["params"]
    assert (params["method"], params["model"], params["model_sha256"]) == (method, "planted", "a" * 64)
    assert params["sources"].tolist() == ["MYB", "SPI1"] and params["n_genes"] == 48


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "ugrn"])
def test_translated_signs(planted, toy, weights, translators, method):
    params = {"translator": {**translators, "vvp": translators["vvp_grid"]} if method == "vvp" else translators}
    grn.tl.infer_network(toy, model=planted(), method=method, params=params)
    edges = grn.get.edges(toy)
    effect = np.array([weights.loc[s, t] for s, t in zip(edges["source"], edges["target"], strict=True)])
    assert np.array_equal(edges["sign"], np.where(effect == 0, np.nan, np.sign(effect)), equal_nan=True)
    assert edges["probability"].between(0, 1).all()
    expected = np.where(effect < 0, -1, 1) * edges["probability"]
    assert np.allclose(edges["weight"], expected), "sign times probability; positive without a sign"
    if method != "ugrn":
        assert np.array_equal(np.sign(edges["score"]), np.sign(effect))


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "pert"])
def test_raw_signs(planted, toy, weights, method):
    model = planted()
    grn.tl.infer_network(toy, model=model, method=method, params=OWN[method])
    edges = grn.get.edges(toy)
    effect = np.array([weights.loc[s, t] for s, t in zip(edges["source"], edges["target"], strict=True)])
    if method == "vvp":
        grid = np.asarray(model.value_scale.perturbation_grid)
        factor = np.mean((grid + grid**3 / 10) * np.sign(grid))
    elif method == "gradient_trajectory":
        factor = np.mean(1 + 0.3 * np.asarray(model.value_scale.gradient_grid) ** 2)
    if method != "pert":
        assert np.allclose(edges["weight"], effect * factor, atol=1e-5)
        assert np.array_equal(edges["sign"], np.where(effect == 0, np.nan, np.sign(effect)), equal_nan=True)
    assert "probability" not in edges and (edges["weight"] * edges["sign"].fillna(1) >= 0).all()


def test_ugrn_is_the_mean_of_logits(planted, toy, translators):
    model = planted()
    grn.tl.probe(toy, model=model)
    logits = [translators[key].logits(toy.varm[key]) for key in ("vvp", "gradient_trajectory")]
    expected = 1 / (1 + np.exp(-np.mean(logits, axis=0)))
    grn.tl.ugrn(toy, model=model, translator=translators, key_added="mine")
    grn.tl.infer_network(toy, model=model, method="ugrn", params={"translator": translators})
    assert grn.Network.from_anndata(toy).equals(grn.Network.from_anndata(toy, "mine"))
    sources = list(toy.uns["vvp"]["sources"])
    for edge in grn.get.edges(toy).itertuples():
        value = expected[toy.var_names.get_loc(edge.target), sources.index(edge.source)]
        assert edge.probability == pytest.approx(value, abs=1e-5)


def test_groups_are_read_at_their_mean_cells(planted, toy, translators):
    model = planted(kind="tanh")
    toy.obs["part"] = ["a"] * 15 + ["b"] * 45
    for method, params in (("vvp", RAW), ("ugrn", {"translator": translators})):
        grn.tl.infer_network(toy, model=model, method=method, params=params, groupby="part")
        both = grn.get.edges(toy)
        assert toy.uns["grn"]["params"]["context"] == "mean"
        one, other = (both[both["group"] == g].set_index(["source", "target"])["weight"] for g in "ab")
        assert not np.allclose(one, other[one.index])
    grn.tl.vvp(toy, model=model, context="mean", groupby="part")
    grn.tl.infer_network(toy, model=model, method="vvp", params=RAW, groupby="part")
    cube = grn.get.features(toy, key="vvp", group="b")
    grid = np.sign(np.asarray(model.value_scale.perturbation_grid))
    edge = grn.get.edges(toy, group="b").iloc[0]
    pair = cube.values[list(cube.targets).index(edge["target"]), list(cube.sources).index(edge["source"])]
    assert edge["weight"] == pytest.approx(float((pair * grid).mean()), rel=1e-5)


def test_a_silent_regulator_has_no_sign_in_its_group(make_random, toy):
    """Silencing what is silent changes nothing, so there is nothing to give a sign to."""
    adata = toy[:, :20].copy()
    X = adata.X.toarray()
    X[(adata.obs["group"] == "group_1").to_numpy(), 1] = 0
    adata.X = X
    grn.tl.infer_network(adata, model=make_random(), method="pert", groupby="group")
    edges = grn.get.edges(adata)
    silent = edges[(edges["group"] == "group_1") & (edges["source"] == "SPI1")]
    assert len(silent) == 19 and (silent["weight"] == 0).all() and silent["sign"].isna().all()


def test_virtual_cells_have_no_groups(refuses, planted, toy, translators):
    for method in ("vvp", "ugrn"):
        params = {"translator": translators, "context": "virtual"}
        arguments = {"model": planted(), "method": method, "params": params, "groupby": "group"}
        assert "context='mean'" in refuses(ParameterError, grn.tl.infer_network, toy, **arguments)
    arguments = {"model": planted(), "method": "pert", "groupby": "nothing"}
    refuses(GroupError, grn.tl.infer_network, toy, **arguments)


def test_key_and_copy(planted, toy, snapshot, same):
    before = snapshot(toy)
    arguments = {"model": planted(), "method": "pert", "key_added": "mine"}
    made = grn.tl.infer_network(toy, copy=True, **arguments)
    assert same(before, snapshot(toy)) and "mine" in made.uns and "grn" not in made.uns
    assert grn.tl.ugrn.__doc__.count("key_added") > 0
    grn.tl.infer_network(toy, **arguments)
    assert grn.Network.from_anndata(toy, "mine").equals(grn.Network.from_anndata(made, "mine"))


def test_a_view_becomes_an_object(planted, toy):
    view = toy[:40, :30]
    grn.tl.infer_network(view, model=planted(), method="vvp", params=RAW)
    assert not view.is_view and len(grn.get.edges(view)) == 8 * 29 and "grn" not in toy.uns


@pytest.mark.parametrize("method", OWN)
def test_order_of_genes_and_cells_does_not_matter(make_random, planted, toy, translators, method):
    model = planted() if method == "ugrn" else make_random()
    if method == "attention":
        model = grn.models.untrained("scgpt", genes=sorted(toy.var_names), layers=1, width=16, heads=2)
    rng = np.random.default_rng(0)
    other = toy[rng.permutation(60), rng.permutation(48)].copy()
    tables = []
    for adata in (toy, other):
        params = params_of(method, translators)
        grn.tl.infer_network(adata, model=model, method=method, params=params, sources=["MYB", "GATA1"])
        tables.append(grn.get.edges(adata).set_index(["source", "target"])["weight"].sort_index())
    assert list(tables[0].index) == list(tables[1].index)
    assert np.allclose(*tables, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "params"),
    [("attention", {"max_cells": 3}), ("gradient_trajectory", {"background": "moving", **RAW})],
)
def test_params_reach_the_method(planted, toy, method, params):
    model = planted(kind="tanh")
    default = {k: v for k, v in params.items() if k == "translator"}
    weights = []
    for own in (default, params):
        grn.tl.infer_network(toy, model=model, method=method, params=own)
        weights.append(grn.get.edges(toy).set_index(["source", "target"])["weight"])
    assert not np.allclose(weights[0], weights[1][weights[0].index])
    told = toy.uns["grn"]["params"]
    assert all(told[name] == value for name, value in params.items() if name != "translator")


def test_the_seed_is_kept(planted, toy):
    grn.tl.infer_network(toy, model=planted(), method="attention", params={"max_cells": 3}, rng=7)
    assert toy.uns["grn"]["params"]["seed"] == 7
    grn.tl.attention(toy, model=planted(), max_cells=3, rng=7)
    edge = grn.get.edges(toy).iloc[0]
    sources = list(toy.uns["attention"]["sources"])
    pair = toy.varm["attention"][toy.var_names.get_loc(edge["target"]), sources.index(edge["source"])]
    assert edge["weight"] == pytest.approx(float(pair.mean()), rel=1e-5)
