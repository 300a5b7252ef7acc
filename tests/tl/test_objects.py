"""The same numbers from every kind of object, and round trips of everything written."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import grn
from grn.errors import ExpressionError, GroupError, ParameterError

FEATURES = ("vvp", "gradient_trajectory", "pert", "attention")
SOURCES = ["MYB", "GATA1", "SPI1"]


def run(adata, model, function, **arguments):
    """Features (targets, sources, K) by sorted names."""
    arguments = {"sources": SOURCES} | arguments if function != "embedding" else {}
    getattr(grn.tl, function)(adata, model=model, key_added="made", **arguments)
    return adata.varm["made"][np.argsort(adata.var_names)]


def close(a, b):
    return np.allclose(a, b, rtol=1e-4, atol=2e-5, equal_nan=True) and np.nanmax(np.abs(a)) > 1e-3


@pytest.mark.parametrize("arguments", [{}, {"context": "mean", "groupby": "group"}])
@pytest.mark.parametrize("function", [*FEATURES, "embedding"])
def test_permuted_genes_and_cells(random_model, attentive, toy, function, arguments):
    model = attentive if function == "attention" else random_model
    if function in ("pert", "attention"):
        arguments = {k: v for k, v in arguments.items() if k == "groupby"}
    if function == "attention":
        arguments = {**arguments, "max_cells": 7}
    rng = np.random.default_rng(0)
    other = toy[rng.permutation(60), rng.permutation(48)].copy()
    assert close(run(toy, model, function, **arguments), run(other, model, function, **arguments))


def containers(adata, tmp_path):
    dense = adata.X.toarray()
    adata.write_h5ad(tmp_path / "backed.h5ad")
    csc = adata.copy()
    csc.X = sparse.csc_matrix(dense)
    csc.write_h5ad(tmp_path / "backed_csc.h5ad")
    kinds = {"dense": dense, "csr_array": sparse.csr_array(dense), "float64": dense.astype(np.float64)}
    kinds |= {"fortran": np.asfortranarray(dense), "csc": sparse.csc_matrix(dense)}
    for kind, X in kinds.items():
        made = adata.copy()
        made.X = X
        yield kind, made
    yield "backed", ad.read_h5ad(tmp_path / "backed.h5ad", backed="r")
    yield "backed_csc", ad.read_h5ad(tmp_path / "backed_csc.h5ad", backed="r")
    more = adata.copy()
    more.obs_names = [f"more_{name}" for name in adata.obs_names]
    yield "view", ad.concat([adata, more])[:60, list(adata.var_names)]
    yield "backed_copy", ad.read_h5ad(tmp_path / "backed.h5ad", backed="r")


@pytest.mark.parametrize("function", [*FEATURES, "embedding"])
def test_containers(random_model, attentive, toy, tmp_path, function):
    model = attentive if function == "attention" else random_model
    known = toy.copy()
    mean = {"context": "mean"} if function in ("vvp", "gradient_trajectory") else {}
    own = {} if function == "embedding" else {"sources": SOURCES, **mean}
    getattr(grn.tl, function)(known, model=model, key_added="made", **own)
    for kind, adata in containers(toy, tmp_path):
        copied = kind == "backed_copy"
        made = getattr(grn.tl, function)(adata, model=model, key_added="made", copy=copied, **own)
        adata = made if copied else adata
        assert not adata.is_view, kind
        assert close(known.varm["made"], adata.varm["made"]), kind
        assert copied is not adata.isbacked or not kind.startswith("backed")


def test_a_view_of_a_file_is_refused(refuses, planted, toy, tmp_path):
    toy.write_h5ad(tmp_path / "toy.h5ad")
    view = ad.read_h5ad(tmp_path / "toy.h5ad", backed="r")[:, :20]
    with pytest.raises(ParameterError, match=r"to_memory\(\)"):
        grn.tl.vvp(view, model=planted())
    assert "vvp" not in view.varm
    made = grn.tl.vvp(view, model=planted(), copy=True)
    assert made.varm["vvp"].shape == (20, 8, 8)


def empty(toy, X):
    adata = ad.AnnData(X, var=toy.var[[]].copy())
    adata.var["is_regulator"] = toy.var["is_regulator"].to_numpy()
    return adata


@pytest.mark.parametrize("kind", ["dense", "csr", "none", "slice"])
class TestNoCells:
    @pytest.fixture
    def adata(self, toy, kind):
        if kind == "slice":
            return toy[:0].copy()
        X = {"dense": np.zeros((0, 48), np.float32), "csr": sparse.csr_matrix((0, 48), dtype=np.float32), "none": None}
        return empty(toy, X[kind])

    def test_what_needs_no_cells(self, adata, toy, random_model, attentive, planted):
        grn.tl.probe(adata, model=random_model, sources=SOURCES)
        grn.tl.probe(toy, model=random_model, sources=SOURCES)
        for key in ("vvp", "gradient_trajectory"):
            assert np.array_equal(adata.varm[key], toy.varm[key], equal_nan=True), "no measurement is used"
            assert np.array_equal(run(adata, random_model, key).shape, (48, 3, 8))
        grn.tl.embedding(adata, model=random_model)
        assert np.isfinite(adata.varm["X_random"]).all()
        grn.tl.attention(adata, model=attentive, sources=SOURCES)
        assert np.isfinite(adata.varm["attention"]).all(axis=-1).sum() == 3 * 47
        grn.tl.infer_network(adata, model=planted(), method="vvp", params={"translator": None})
        assert len(grn.get.edges(adata)) == 8 * 47

    def test_what_needs_cells(self, adata, planted, refuses):
        no_cells = (ExpressionError, KeyError)
        assert "cells" in refuses(no_cells, grn.tl.pert, adata, model=planted()) or adata.X is None
        refuses(no_cells, grn.tl.vvp, adata, model=planted(), context="mean")
        refuses((GroupError, *no_cells), grn.tl.attention, adata, model=planted(), groupby="group")
        refuses(no_cells, grn.tl.infer_network, adata, model=planted(), method="pert")


@pytest.mark.parametrize("arguments", [{}, {"context": "mean", "groupby": "group"}])
def test_files_keep_features(planted, toy, reread, same, arguments):
    model = planted()
    toy.obs["group"] = toy.obs["group"].cat.rename_categories({"group_1": "T/B cell"})
    toy.var_names = [*toy.var_names[:-1], "not-a-gene"]
    grn.tl.probe(toy, model=model, **arguments)
    grouped = {"groupby": "group"} if arguments else {}
    grn.tl.pert(toy, model=model, **grouped)
    grn.tl.attention(toy, model=model, **grouped)
    grn.tl.embedding(toy, model=model)
    back = reread(toy)
    for key in (*FEATURES, "X_planted"):
        assert same(toy.varm[key], back.varm[key]) and back.varm[key].dtype == np.float32
        assert same(toy.uns[key], back.uns[key])
    part = back[:, back.var_names[5:20]].copy()
    assert same(part.varm["vvp"], toy.varm["vvp"][5:20])
    seen = grn.get.features(back, key="vvp")
    assert seen.values.shape == toy.varm["vvp"].shape


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory", "pert", "attention", "embedding"])
@pytest.mark.parametrize("groupby", [None, "group"])
def test_files_keep_networks(planted, toy, reread, same, method, groupby):
    if method == "embedding" and groupby:
        pytest.skip("embeddings know no groups")
    params = {} if method in ("pert", "attention") else {"translator": None}
    toy.obs["group"] = toy.obs["group"].cat.rename_categories({"group_1": "T/B cell"})
    grn.tl.infer_network(toy, model=planted(), method=method, params=params, groupby=groupby)
    back = reread(toy)
    assert grn.Network.from_anndata(back).equals(grn.Network.from_anndata(toy))
    assert same(toy.uns["grn"]["params"], back.uns["grn"]["params"])
    assert same(toy.uns["grn"]["schema"], back.uns["grn"]["schema"])
    assert list(toy.uns["grn"]["edges"].columns[:3]) == ["source", "target", "weight"]


def flatten(value, path=""):
    if isinstance(value, dict):
        assert all(isinstance(key, str) for key in value), path
        for key, item in value.items():
            yield from flatten(item, f"{path}/{key}")
    else:
        yield path, value


def test_uns_holds_nothing_that_files_lose(planted, toy):
    model = planted()
    grn.tl.probe(toy, model=model)
    grn.tl.pert(toy, model=model, groupby="group")
    grn.tl.attention(toy, model=model)
    grn.tl.embedding(toy, model=model)
    grn.tl.infer_network(toy, model=model, method="pert", groupby="group")
    for path, value in flatten({k: v for k, v in toy.uns.items() if k != "truth"}):
        assert value is not None and not isinstance(value, list | tuple | set), path
        assert np.asarray(value).dtype.kind in "biufUSO", path
        if isinstance(value, np.ndarray):
            assert value.dtype.kind != "O", path
