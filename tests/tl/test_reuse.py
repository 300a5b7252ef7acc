"""Stored features are taken when they are what would be computed, and only then."""

import numpy as np
import pytest

import grn


@pytest.fixture
def translators(planted, toy, weights):
    adata = toy[:0].copy()
    grn.tl.probe(adata, model=planted())
    found = weights.loc[toy.var_names[:8]].stack().rename_axis(["source", "target"])
    edges = found[found != 0].reset_index()[["source", "target"]]
    fit = {"members": 1, "epochs": 10, "hidden": (8,), "lr": 1e-2}
    found = {key: grn.tl.fit_translator(adata, edges, key=key, **fit) for key in ("vvp", "gradient_trajectory")}
    for translator in found.values():
        object.__setattr__(translator.config, "model_sha256", "")
    return found


@pytest.fixture
def check(translators, snapshot):
    """Infer on an object with features and on one without; say whether the model was asked again."""

    def run(adata, model, *, equal=True, **arguments):
        own = {"translator": translators, **arguments.pop("params", {})}
        bare = adata.copy()
        for key in ("vvp", "gradient_trajectory"):
            bare.varm.pop(key, None)
            bare.uns.pop(key, None)
        arguments = {"method": "ugrn", "model": model, "params": own, **arguments}
        grn.tl.infer_network(bare, **arguments)
        before = model.calls
        grn.tl.infer_network(adata, **arguments)
        fresh, found = grn.Network.from_anndata(bare), grn.Network.from_anndata(adata)
        assert list(fresh.edges.columns) == list(found.edges.columns) and len(fresh) == len(found)
        index = ["source", "target", *(["group"] if "group" in fresh.edges else [])]
        a, b = (net.edges.set_index(index).sort_index() for net in (fresh, found))
        assert list(a.index) == list(b.index)
        assert list(a.pop("direction")) == list(b.pop("direction"))
        assert np.allclose(a.astype(float), b.astype(float), rtol=1e-5, atol=1e-6, equal_nan=True)
        return model.calls == before

    return run


def test_the_same_is_reused(planted, toy, check, caplog):
    model = planted()
    grn.tl.probe(toy, model=model)
    with caplog.at_level("INFO", logger="grn"):
        assert check(toy, model)
    assert "stored before" in caplog.text
    assert check(toy, model, sources=list(toy.var_names[:8]))


def test_reused_after_a_file_and_a_new_order(planted, toy, check, reread):
    grn.tl.probe(toy, model=planted(), sources=["MYB", "GATA1"])
    back = reread(toy)
    assert check(back, planted(), sources=["MYB", "GATA1"])
    other = back[:, np.random.default_rng(0).permutation(48)].copy()
    assert check(other, planted(), sources=["MYB", "GATA1"])


def test_some_genes(planted, toy, check):
    model = planted()
    grn.tl.probe(toy, model=model, sources=["MYB", "GATA1"], targets=["VAC14", "CST6", "AMPH"])
    assert check(toy, model, sources=["MYB", "GATA1"], targets=["AMPH", "VAC14", "CST6"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"sources": ["MYB", "SPI1"]},
        {"sources": ["GATA1", "MYB"]},
        {"sources": ["MYB"]},
        {"sources": ["MYB", "GATA1"], "targets": ["VAC14", "CST6", "FMOD"]},
        {"sources": ["MYB", "GATA1"], "targets": ["VAC14", "CST6"]},
        {"sources": ["MYB", "GATA1"]},
        {},
    ],
)
def test_other_genes(planted, toy, check, arguments):
    model = planted()
    grn.tl.probe(toy, model=model, sources=["MYB", "GATA1"], targets=["VAC14", "CST6", "AMPH"])
    assert not check(toy, model, **arguments)


def test_other_weights(planted, toy, check, weights):
    grn.tl.probe(toy, model=planted())
    assert not check(toy, planted(weights=-weights, sha256="d" * 64))


@pytest.mark.parametrize("background", ["fixed", "unknown"])
def test_features_of_another_background_than_that_of_the_protocol(toy, caplog, background):
    """What mini recommends is not what the paper reads, and "paper" is the default of ugrn."""
    arguments = {"method": "ugrn", "sources": ["MYB", "GATA1"], "progress": False}
    fresh = toy.copy()
    grn.tl.infer_network(fresh, **arguments)
    grn.tl.probe(toy, sources=["MYB", "GATA1"], background=background, progress=False)
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.infer_network(toy, **arguments)
    assert ("stored before" in caplog.text) == (background == "fixed")
    a, b = (grn.get.edges(adata).set_index(["source", "target"]).sort_index() for adata in (fresh, toy))
    np.testing.assert_allclose(b["weight"], a["weight"], rtol=1e-4, atol=1e-6)


def test_models_without_hash(planted, toy, check, weights):
    """Two models that give no hash are told apart by name."""
    grn.tl.probe(toy, model=planted(sha256="", name="first"))
    assert not check(toy, planted(weights=-weights, sha256="", name="second"))


def test_other_readings(planted, toy, check):
    model = planted(kind="tanh")
    grn.tl.probe(toy, model=model)
    assert not check(toy, model, params={"context": "mean"})
    assert not check(toy, model, groupby="group")
    for settings in ({"context": "mean"}, {"grid": [-1, 1, 2, 3, 4, 5, 6, 7]}):
        grn.tl.probe(toy, model=model, **settings)
        assert not check(toy, model)
    grn.tl.probe(toy, model=model)
    grn.tl.gradient_trajectory(toy, model=model, background="moving")
    assert not check(toy, model)
    grn.tl.probe(toy, model=model)
    grn.tl.vvp(toy, model=model)
    assert not check(toy, model), "vvp alone has a grid of its own here"
    grn.tl.probe(toy, model=model)
    del toy.varm["vvp"]
    assert not check(toy, model)


def test_part_of_an_object(planted, toy, check):
    model = planted(kind="tanh")
    grn.tl.probe(toy, model=model)
    part = toy[:, :30].copy()
    assert not check(part, model), "the genes are the context"
    same_cells = toy[:10].copy()
    assert check(same_cells, model), "virtual cells do not depend on cells"


def test_names_that_came_to_mean_other_genes(planted, toy, check):
    model = planted()
    grn.tl.probe(toy, model=model, sources=["MYB", "GATA1"])
    toy.var["grn_symbol"] = [*toy.var_names[:30], "", *toy.var_names[31:]]
    assert not check(toy, model, sources=["MYB", "GATA1"])


def test_features_are_left_as_they_are(planted, toy, check, same):
    grn.tl.probe(toy, model=planted())
    before = {key: (toy.varm[key].copy(), dict(toy.uns[key])) for key in ("vvp", "gradient_trajectory")}
    assert check(toy, planted())
    assert all(same(before[key][0], toy.varm[key]) and same(before[key][1], toy.uns[key]) for key in before)
