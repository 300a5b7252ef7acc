import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from grn._core.errors import ParameterError
from grn._object.values import expression
from grn.datasets import pbmc68k, tfs, toy
from grn.genes import regulators, resolve
from grn.pp import check_expression


def test_pbmc_is_log_normalised_and_complete():
    adata = pbmc68k()
    assert adata.shape == (700, 765) and sparse.issparse(adata.X)
    assert check_expression(adata).kind == "log"
    assert "bulk_labels" in adata.obs and {"X_pca", "X_umap"} <= set(adata.obsm)


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_tfs_list_the_regulators(organism):
    table = tfs(organism)
    assert set(table["symbol"]) == regulators(organism) and table["symbol"].is_monotonic_increasing
    assert (table["sources"] != "").all()
    assert table["ensembl"].str.match("ENS").mean() > 0.8


def test_tfs_of_another_organism_are_refused():
    with pytest.raises(ParameterError, match="fly"):
        tfs("fly")


def test_toy_has_real_genes_and_consistent_values():
    adata = toy(n_cells=60)
    assert adata.shape == (60, 48)
    assert (resolve(adata.var_names)["how"] == "exact").all()
    assert adata.var["is_regulator"].tolist() == [True] * 8 + [False] * 40
    np.testing.assert_allclose(
        expression(adata, layer="counts").rows(np.arange(60)), adata.X.toarray(), rtol=1e-5, atol=1e-6
    )
    assert set(adata.obs["group"]) == {"group_1", "group_2"}


def test_toy_recovers_its_truth():
    adata = toy()
    truth = adata.uns["truth"]
    assert list(truth.columns) == ["source", "target", "weight", "sign"]
    assert (np.sign(truth["weight"]) == truth["sign"]).all() and set(truth["sign"]) == {-1.0, 1.0}
    assert not truth.duplicated(["source", "target"]).any()
    assert set(truth["target"]) == set(adata.var_names[8:]) and set(truth["source"]) <= set(adata.var_names[:8])
    table = pd.DataFrame(adata.X.toarray(), columns=adata.var_names)
    cor = table.corr().to_numpy()
    where = {name: i for i, name in enumerate(adata.var_names)}
    planted = np.array([cor[where[s], where[t]] for s, t in zip(truth["source"], truth["target"], strict=True)])
    assert (np.sign(planted) == truth["sign"]).mean() > 0.9
    others = np.abs(cor[:8, 8:]).sum() - np.abs(planted).sum()
    assert np.abs(planted).mean() > 2 * others / (8 * 40 - len(truth))


def test_toy_is_deterministic_and_keyed_by_gene():
    first, again, other = toy(n_cells=30), toy(n_cells=30), toy(n_cells=30, rng=1)
    assert (first.layers["counts"] != again.layers["counts"]).nnz == 0
    assert (first.layers["counts"] != other.layers["counts"]).nnz > 0
    pd.testing.assert_frame_equal(first.uns["truth"], again.uns["truth"])
    fewer = toy(n_cells=30, n_targets=5)
    shared = list(fewer.var_names)
    assert (first[:, shared].layers["counts"] != fewer.layers["counts"]).nnz == 0


def test_toy_options():
    assert (toy(n_cells=20, signed=False).uns["truth"]["sign"] == 1).all()
    dense, sparser = toy(n_cells=50), toy(n_cells=50, dropout=0.5)
    assert sparser.layers["counts"].nnz < 0.6 * dense.layers["counts"].nnz
    kept = sparser.layers["counts"].toarray()
    assert ((kept == 0) | (kept == dense.layers["counts"].toarray())).all()
    assert list(toy(n_cells=24, n_groups=12).obs["group"].cat.categories[-3:]) == ["group_10", "group_11", "group_12"]
    assert toy(n_cells=5, n_regulators=20, n_targets=1, n_groups=1).var["is_regulator"].sum() == 20


def test_toy_survives_a_file(tmp_path):
    adata = toy(n_cells=10, n_targets=4)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.uns["truth"]["weight"], adata.uns["truth"]["weight"])


@pytest.mark.parametrize(
    "options",
    [
        {"n_cells": 0},
        {"n_targets": 1.5},
        {"n_groups": 400},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"n_regulators": 10**6},
        {"rng": -1},
        {"rng": "a"},
    ],
)
def test_toy_refuses_bad_numbers(options):
    with pytest.raises(ParameterError):
        toy(**options)
