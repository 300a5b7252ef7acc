import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

import grn
from grn.errors import GroupError, LayerError, ParameterError, RegionError


def sets_of(adata, key="region_sets"):
    table = adata.uns[key]["table"].astype({"set": str})
    return {name: set(part) for name, part in table.groupby("set")["region"]}


def test_planted_regions_are_those_of_their_label(adata, caplog):
    grn.tl.region_sets(adata, groupby="label")
    found, planted = sets_of(adata), {"a": set(adata.var_names[:40]), "b": set(adata.var_names[40:80])}
    assert found.keys() == planted.keys()
    assert all(planted[label] <= found[label] and len(found[label]) <= 42 for label in planted)
    assert "1 of 3 labels have no region of their own: c" in caplog.text
    table = adata.uns["region_sets"]["table"]
    assert (table["qval"] <= 0.05).all() and (table["log2fc"] >= 0.58).all()
    assert table.groupby("set", observed=True)["score"].apply(lambda s: s.is_monotonic_decreasing).all()
    assert table.columns.tolist() == ["set", "region", "score", "log2fc", "n_cells", "pval", "qval"]


def test_neither_order_nor_storage_matters(adata, tmp_path):
    grn.tl.region_sets(adata, groupby="label")
    expected = adata.uns.pop("region_sets")["table"]
    random = np.random.default_rng(0)
    moved = adata[random.permutation(adata.n_obs), random.permutation(adata.n_vars)].copy()
    moved.X = moved.X.toarray()
    grn.tl.region_sets(moved, groupby="label")
    pd.testing.assert_frame_equal(moved.uns["region_sets"]["table"], expected)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    grn.tl.region_sets(backed, groupby="label")
    pd.testing.assert_frame_equal(backed.uns["region_sets"]["table"], expected)


def test_counts_and_their_logarithms_are_open_alike(adata):
    grn.tl.region_sets(adata, groupby="label")
    expected = adata.uns["region_sets"]["table"]
    adata.layers["log"] = adata.X.copy()
    adata.layers["log"].data = np.log1p(3 * adata.X.data)
    grn.tl.region_sets(adata, groupby="label", layer="log", key_added="other")
    pd.testing.assert_frame_equal(adata.uns["other"]["table"], expected)


def test_the_strongest_of_each_label(adata):
    grn.tl.region_sets(adata, groupby="label", max_regions=5)
    few = adata.uns["region_sets"]["table"]
    grn.tl.region_sets(adata, groupby="label")
    all_of_them = adata.uns["region_sets"]["table"]
    assert few.groupby("set", observed=True).size().tolist() == [5, 5]
    for label in ("a", "b"):
        first = all_of_them.loc[all_of_them["set"] == label, "region"].head(5)
        assert few.loc[few["set"] == label, "region"].tolist() == first.tolist()


def test_cells_without_a_difference_have_no_sets(adata):
    adata.obs["label"] = np.random.default_rng(0).permutation(adata.obs["label"].to_numpy())
    with pytest.raises(RegionError, match="no region is open more often"):
        grn.tl.region_sets(adata, groupby="label")
    assert "region_sets" not in adata.uns


def test_it_survives_a_file_and_finds_columns_of_a_mudata(adata, tmp_path):
    rna = ad.AnnData(np.ones((adata.n_obs, 1), dtype=np.float32), obs=adata.obs[[]])
    labels = adata.obs.pop("label")
    mdata = MuData({"rna": rna, "peaks": adata})
    mdata.obs["label"] = labels
    grn.tl.region_sets(mdata, atac="peaks", groupby="label")
    assert "label" not in mdata["peaks"].obs
    mdata["peaks"].write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert sets_of(back) == sets_of(mdata["peaks"])
    copied = grn.tl.region_sets(mdata, atac="peaks", groupby="label", key_added="again", copy=True)
    assert "again" in copied["peaks"].uns and "again" not in mdata["peaks"].uns


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda a: a, {"groupby": "type"}, GroupError, "no column 'type'"),
        (lambda a: a[:40].copy(), {}, GroupError, "one label"),
        (lambda a: a, {"layer": "counts"}, LayerError, "counts"),
        (lambda a: a, {"max_qval": 0}, ParameterError, "max_qval"),
        (lambda a: a, {"min_log2fc": -1}, ParameterError, "min_log2fc"),
        (lambda a: a, {"max_regions": 0}, ParameterError, "max_regions"),
        (lambda a: a, {"atac": "peaks"}, ParameterError, "modality"),
    ],
)
def test_bad_input_is_told(adata, change, arguments, error, message):
    with pytest.raises(error, match=message):
        grn.tl.region_sets(change(adata), **{"groupby": "label", **arguments})


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_are_no_fragments_is_told(adata, value):
    adata.X = sparse.csr_matrix(np.full(adata.shape, value, dtype=np.float32))
    with pytest.raises(RegionError, match="expected fragments per cell"):
        grn.tl.region_sets(adata, groupby="label")


def test_names_that_are_genes_are_told(adata):
    adata.var_names = [f"GENE{k}" for k in range(adata.n_vars)]
    with pytest.raises(RegionError, match="names are no regions"):
        grn.tl.region_sets(adata, groupby="label")
