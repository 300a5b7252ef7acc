"""A planted network comes back exactly, whatever the panel, the batch and the order of names."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import grn
from grn.errors import ParameterError

PROBES = ("vvp", "gradient_trajectory")


def effects(weights, adata, sources):
    """Planted effects (targets, sources, 1) with NaN on self pairs."""
    W = weights.loc[list(sources), list(adata.var_names)].T.to_numpy(copy=True)[:, :, None]
    for i, gene in enumerate(sources):
        W[adata.var_names.get_loc(gene), i] = np.nan
    return W


def additive(grid):
    grid = np.asarray(grid)
    return grid + grid**3 / 10, 1 + 0.3 * grid**2


@pytest.mark.parametrize("max_genes", [1000, 10, 7, 2])
def test_additive_network_is_recovered(planted, weights, toy, max_genes):
    model, adata = planted(max_genes=max_genes), toy[:0].copy()
    W = effects(weights, adata, adata.var_names[:8])
    grn.tl.vvp(adata, model=model)
    grn.tl.gradient_trajectory(adata, model=model)
    assert len({panel.genes for panel in model.panels}) > 1 or max_genes == 1000
    assert max(map(len, model.panels)) <= max_genes
    response, _ = additive(model.value_scale.perturbation_grid)
    _, slope = additive(model.value_scale.gradient_grid)
    assert np.allclose(adata.varm["vvp"], W * response, atol=1e-6, equal_nan=True)
    assert np.allclose(adata.varm["gradient_trajectory"], W * slope, atol=1e-6, equal_nan=True)
    for key in PROBES:
        found = np.abs(adata.varm[key]).max(axis=-1)
        assert np.array_equal(found > 0, np.abs(np.nan_to_num(W[:, :, 0])) > 0), "no edge more, no edge less"
        assert adata.varm[key].dtype == np.float32
        assert adata.uns[key]["sources"].tolist() == list(adata.var_names[:8])


@pytest.mark.parametrize("kind", ["additive", "tanh"])
@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "pert"])
def test_ranking_recovers_the_planted_edges(planted, weights, toy, kind, method):
    params = {} if method == "pert" else {"translator": None}
    grn.tl.infer_network(toy, model=planted(kind=kind), method=method, params=params)
    edges = grn.get.edges(toy)
    effect = np.array([weights.loc[s, t] for s, t in zip(edges["source"], edges["target"], strict=True)])
    assert len(edges) == 8 * 47
    assert average_precision_score(effect != 0, edges["weight"].abs()) == pytest.approx(1)
    planted_edges = effect != 0
    assert np.array_equal(edges["sign"][planted_edges], np.sign(effect[planted_edges]))


@pytest.mark.parametrize("grid", [None, [-1.0, 0.25, 2.0]])
def test_probe_is_both(random_model, toy, grid):
    arguments = {"model": random_model, "sources": ["MYB", "GATA1"], "targets": list(toy.var_names[5:20])}
    grn.tl.probe(toy, grid=grid, **arguments)
    shared = random_model.value_scale.gradient_grid if grid is None else grid
    grn.tl.vvp(toy, grid=shared, key_added="a", **arguments)
    grn.tl.gradient_trajectory(toy, grid=grid, key_added="b", **arguments)
    for joint, single in (("vvp", "a"), ("gradient_trajectory", "b")):
        assert np.allclose(toy.varm[joint], toy.varm[single], rtol=1e-4, atol=1e-5, equal_nan=True)
        assert np.nanmax(np.abs(toy.varm[joint])) > 1e-2
        one, other = toy.uns[joint], toy.uns[single]
        assert np.array_equal(one["grid"], other["grid"]) and np.array_equal(one["grid"], np.float32(shared))
        assert one["sources"].tolist() == other["sources"].tolist() == ["MYB", "GATA1"]
        assert one["params"]["function"] == other["params"]["function"] == joint
        assert set(other["params"]) <= set(one["params"])


def test_probe_with_groups_is_both(random_model, toy):
    arguments = {"model": random_model, "sources": ["MYB"], "context": "mean", "groupby": "group"}
    grn.tl.probe(toy, key_added="my_", **arguments)
    grn.tl.vvp(toy, grid=random_model.value_scale.gradient_grid, **arguments)
    grn.tl.gradient_trajectory(toy, **arguments)
    for key in PROBES:
        assert toy.varm[key].shape == (48, 1, 16)
        assert np.allclose(toy.varm["my_" + key], toy.varm[key], rtol=1e-4, atol=1e-5, equal_nan=True)
        assert toy.uns["my_" + key]["groups"].tolist() == ["group_1", "group_2"]


def test_missing_values_are_self_pairs_and_genes_not_asked_for(random_model, toy):
    targets = ["VAC14", "MYB", "GATA1"]
    grn.tl.vvp(toy, model=random_model, sources=["GATA1", "TAL1"], targets=targets)
    known = ~np.isnan(toy.varm["vvp"])
    asked = toy.var_names.isin(targets)
    assert np.array_equal(known[:, 1].all(axis=-1), asked)
    assert np.array_equal(known[:, 0].all(axis=-1), asked & (toy.var_names != "GATA1"))
    assert np.array_equal(known.all(axis=-1), known.any(axis=-1))


@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "pert", "attention"])
@pytest.mark.parametrize("max_genes", [2048, 6])
def test_order_of_names_and_batches_does_not_matter(make_random, planted, toy, function, max_genes):
    model = (planted if function == "attention" else make_random)(max_genes=max_genes)
    f = getattr(grn.tl, function)
    sources, targets = ["SPI1", "GATA1", "KLF1"], ["MYB", "VAC14", "GATA1", "CST6", "AMPH"]
    f(toy, model=model, sources=sources, targets=targets, key_added="a")
    f(toy, model=model, sources=sources[::-1], targets=[*targets[::-1], "MYB"], key_added="b", batch_size=1)
    f(toy, model=model, sources=[*sources, "SPI1"], targets=targets, key_added="c", batch_size=1000, n_jobs=2)
    assert toy.uns["b"]["sources"].tolist() == sources[::-1]
    assert toy.uns["c"]["sources"].tolist() == sources, "a name given twice counts once"
    assert np.allclose(toy.varm["a"], toy.varm["b"][:, ::-1], rtol=1e-4, atol=1e-5, equal_nan=True)
    assert np.allclose(toy.varm["a"], toy.varm["c"], rtol=1e-4, atol=1e-5, equal_nan=True)
    assert np.nanmax(np.abs(toy.varm["a"])) > 1e-3


@pytest.mark.parametrize("grid", [[], [[1, 2]], [1, 1], [0, np.nan], [np.inf], "high", 3, [1, "x"], [[1], [2, 3]]])
@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "probe"])
def test_bad_grid(refuses, planted, toy, function, grid):
    message = refuses(ParameterError, getattr(grn.tl, function), toy, model=planted(), grid=grid)
    assert message.startswith("grid=")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"context": "real"}, "virtual, mean"),
        ({"groupby": "group"}, "context='mean'"),
        ({"batch_size": 0}, "positive integer"),
        ({"batch_size": 1.5}, "positive integer"),
        ({"n_jobs": 0}, "-1 for all cores"),
        ({"device": "abacus"}, "'auto', 'cpu'"),
        ({"model": "minni"}, "'mini'"),
        ({"model": 3}, "type int"),
    ],
)
@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "probe"])
def test_bad_arguments(refuses, planted, toy, function, arguments, hint):
    message = refuses(ParameterError, getattr(grn.tl, function), toy, **{"model": planted(), **arguments})
    assert hint in message


def test_what_is_written(planted, toy):
    model = planted(name="written", sha256="b" * 64)
    extra = toy[:, :10].copy()
    extra.var_names = [*extra.var_names[:9], "no-such-gene"]
    assert grn.tl.vvp(extra, model=model, sources=["GATA1", "MYB"], progress=False) is None
    entry = extra.uns["vvp"]
    assert set(entry) == {"sources", "grid", "value_scale", "unknown", "params"}
    assert entry["unknown"].tolist() == ["no-such-gene"] and np.isnan(extra.varm["vvp"][9]).all()
    params = entry["params"]
    assert (params["model"], params["model_sha256"]) == ("written", "b" * 64)
    assert (params["n_genes"], params["n_sources"], params["n_targets"], params["n_unknown"]) == (10, 2, 9, 1)
    assert (params["context"], params["grn_version"]) == ("virtual", grn.__version__)
    assert "groupby" not in params and "groupby" in params["unset"]


@pytest.mark.parametrize("function", ["vvp", "gradient_trajectory", "probe", "pert", "attention", "embedding"])
def test_copy_leaves_the_object(planted, toy, snapshot, same, function):
    before = snapshot(toy)
    made = getattr(grn.tl, function)(toy, model=planted(), copy=True)
    assert same(before, snapshot(toy))
    assert len(made.varm) >= 1 and set(made.varm) <= set(made.uns)
