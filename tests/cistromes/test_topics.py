import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.errors import CellNameError, GeneNameError, ParameterError, RegionError


def topics_of(adata):
    table = adata.uns["topics"]["table"].astype({"set": str})
    return {name: set(part) for name, part in table.groupby("set")["region"]}


def test_regions_that_are_open_together_are_a_topic(adata):
    grn.tl.topics(adata, n_topics=3, max_regions=40)
    planted = [set(adata.var_names[:40]), set(adata.var_names[40:80])]
    for regions in planted:
        assert max(len(regions & found) for found in topics_of(adata).values()) >= 36
    shares = adata.obsm["X_topics"]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    labels = adata.obs["label"].to_numpy()
    own = [shares[labels == label].mean(axis=0).argmax() for label in ("a", "b")]
    assert own[0] != own[1]


def test_the_sets_are_the_regions_above_the_threshold(adata):
    from grn._kernels.topics import otsu

    grn.tl.topics(adata, n_topics=3)
    shares = adata.varm["topics"]
    for number in range(3):
        share = shares[:, number]
        assert topics_of(adata)[f"topic_{number + 1}"] == set(adata.var_names[share >= np.float32(otsu(share))])
    table = adata.uns["topics"]["table"]
    assert table.groupby("set", observed=True)["score"].apply(lambda s: s.is_monotonic_decreasing).all()


def test_neither_order_nor_storage_matters_and_the_seed_is_kept(adata, tmp_path):
    grn.tl.topics(adata, n_topics=4)
    expected, cells = adata.uns["topics"], pd.DataFrame(adata.obsm["X_topics"], index=adata.obs_names)
    assert expected["params"]["rng"] == 0
    random = np.random.default_rng(0)
    for matrix in (sparse.csc_matrix, np.asarray, lambda x: sparse.csr_matrix(3 * x)):
        moved = adata[random.permutation(adata.n_obs), random.permutation(adata.n_vars)].copy()
        del moved.uns["topics"]
        moved.X = matrix(moved.X.toarray())
        grn.tl.topics(moved, n_topics=4)
        pd.testing.assert_frame_equal(moved.uns["topics"]["table"], expected["table"])
        np.testing.assert_array_equal(moved.obsm["X_topics"], cells.loc[moved.obs_names])
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    grn.tl.topics(backed, n_topics=4, key_added="again")
    pd.testing.assert_frame_equal(backed.uns["again"]["table"], expected["table"])


def test_topics_are_sets_for_the_enrichment(adata):
    grn.tl.topics(adata, n_topics=3, max_regions=40)
    grn.tl.region_sets(adata, groupby="label")
    grn.tl.motif_enrichment(adata, sets=["topics", "region_sets"])
    table = adata.uns["motif_enrichment"]["table"]
    found = table[table["enriched"]].astype({"set": str, "motif": str})
    assert {"M0", "M1"} <= set(found.loc[found["set"].str.startswith("topics:"), "motif"])
    assert {("region_sets:a", "M0"), ("region_sets:b", "M1")} <= set(zip(found["set"], found["motif"], strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n_topics": 0}, "n_topics"), ({"n_topics": 121}, "120 cells"), ({"max_iter": 0}, "max_iter"),
     ({"max_regions": 0}, "max_regions")],
)  # fmt: skip
def test_bad_arguments_are_told(adata, arguments, message):
    with pytest.raises(ParameterError, match=message):
        grn.tl.topics(adata, **{"n_topics": 3, **arguments})


def test_bad_objects_are_told(adata, caplog):
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.topics(adata, n_topics=3, max_iter=1)
    assert "had not settled after 1 rounds" in caplog.text
    closed = adata.copy()
    closed.X = sparse.csr_matrix(adata.shape, dtype=np.float32)
    with pytest.raises(RegionError, match="no value is above zero"):
        grn.tl.topics(closed, n_topics=3)
    twice = adata.copy()
    twice.obs_names = ["cell"] * adata.n_obs
    with pytest.raises(CellNameError):
        grn.tl.topics(twice, n_topics=3)
    twice = adata.copy()
    twice.var_names = [adata.var_names[0]] * adata.n_vars
    with pytest.raises(GeneNameError):
        grn.tl.topics(twice, n_topics=3)
