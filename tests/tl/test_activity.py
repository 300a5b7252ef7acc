"""Activities per group of cells: the same as decoupler on each group with its own network."""

import anndata as ad
import decoupler as dc
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn.errors import GroupError, LayerError, NetworkError, ParameterError, ResultNotFoundError

GENES = [f"G{i:02d}" for i in range(30)]
TFS = ["TF1", "TF2"]


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    X = rng.gamma(1.0, size=(24, 32)).astype(np.float32)
    made = ad.AnnData(X, var=pd.DataFrame(index=[*TFS, *GENES]))
    made.obs_names = [f"cell{i}" for i in range(24)]
    made.obs["type"] = pd.Categorical(np.where(np.arange(24) % 3, "T", "B"))
    return made


def edges(seed: int, n: int = 10) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame({"source": tf, "target": rng.choice(GENES, n, replace=False), "weight": rng.normal(size=n)})
        for tf in TFS
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def grouped(adata):
    table = pd.concat([edges(1).assign(group="T"), edges(2).assign(group="B")], ignore_index=True)
    grn.Network(table, params={"groupby": "type"}).write(adata)
    return adata


def by_hand(adata, table, method="ulm", tmin=5):
    part = adata[:, sorted(adata.var_names)].copy()  # permutations depend on the order of genes
    getattr(dc.mt, method)(part, net=table[["source", "target", "weight"]], tmin=tmin, empty=False)
    return part.obsm[f"score_{method}"].to_numpy()


@pytest.mark.parametrize("method", ["ulm", "waggr"])
def test_without_groups_it_is_one_call_of_decoupler(adata, method):
    grn.Network(edges(1)).write(adata)
    grn.tl.activity(adata, method=method)
    scores = adata.obsm[f"score_{method}"]
    np.testing.assert_allclose(scores.to_numpy(), by_hand(adata, edges(1), method), rtol=1e-4, atol=1e-5)
    assert list(scores.columns) == TFS and list(scores.index) == list(adata.obs_names)


def test_every_group_is_scored_with_its_own_network(grouped):
    grn.tl.activity(grouped)
    for group, seed in (("T", 1), ("B", 2)):
        mine = (grouped.obs["type"] == group).to_numpy()
        wanted = by_hand(grouped[mine].copy(), edges(seed))
        np.testing.assert_allclose(grouped.obsm["score_ulm"].to_numpy()[mine], wanted, rtol=1e-4, atol=1e-5)
    assert np.isfinite(grouped.obsm["padj_ulm"].to_numpy()).all()
    ax = grn.pl.activity(grouped, groupby="type")
    assert sorted(tick.get_text() for tick in ax.get_yticklabels()) == TFS


def test_order_of_cells_and_genes_does_not_matter(grouped):
    shuffled = grouped[::-1, ::-1].copy()
    grn.tl.activity(grouped)
    grn.tl.activity(shuffled)
    again = shuffled.obsm["score_ulm"].loc[grouped.obs_names]
    np.testing.assert_allclose(again.to_numpy(), grouped.obsm["score_ulm"].to_numpy(), atol=1e-5)


def test_sparse_counts_are_normalised(grouped):
    counts = grouped.copy()
    counts.X = sparse.csr_matrix(np.random.default_rng(3).poisson(2.0, grouped.shape).astype(np.float32))
    logged = counts.copy()
    logged.X = np.log1p(counts.X.toarray() / counts.X.sum(axis=1).A1[:, None] * 1e4)
    logged.layers["counts"] = counts.X
    grn.tl.activity(counts)
    grn.tl.activity(logged)
    np.testing.assert_allclose(counts.obsm["score_ulm"], logged.obsm["score_ulm"], atol=1e-3)
    grn.tl.activity(logged, layer="counts", key_added="mine")
    np.testing.assert_allclose(counts.obsm["score_ulm"], logged.obsm["mine"], atol=1e-3)
    assert "mine_padj" in logged.obsm


def test_regulators_without_targets_and_cells_without_networks_have_no_score(adata, caplog):
    table = pd.concat([edges(1).assign(group="T"), edges(2, 3).assign(group="B")], ignore_index=True)
    grn.Network(table.query("source == 'TF1' or group == 'T'"), params={"groupby": "type"}).write(adata)
    grn.tl.activity(adata)
    is_b = (adata.obs["type"] == "B").to_numpy()
    assert np.isnan(adata.obsm["score_ulm"].to_numpy()[is_b]).all() and "no regulator has 5 targets" in caplog.text
    grn.tl.activity(adata, min_targets=3)
    assert np.isnan(adata.obsm["score_ulm"].loc[is_b, "TF2"]).all()
    assert np.isfinite(adata.obsm["score_ulm"].loc[:, "TF1"]).all()
    grn.pl.activity(adata, groupby="type", n_sources=1)
    caplog.clear()
    grn.Network(edges(1).assign(group="T"), params={"groupby": "type"}).write(adata)
    grn.tl.activity(adata)
    assert "8 of 24 cells have no network" in caplog.text


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_files_and_provenance(grouped, tmp_path, kind):
    grn.tl.activity(grouped, top_per_source=8)
    getattr(grouped, f"write_{kind}")(tmp_path / "a")
    back = getattr(ad, f"read_{kind}")(tmp_path / "a")
    pd.testing.assert_frame_equal(back.obsm["score_ulm"], grouped.obsm["score_ulm"])
    params = back.uns["score_ulm"]["params"]
    assert (params["method"], params["key"], params["groupby"], params["top_per_source"]) == ("ulm", "grn", "type", 8)
    assert params["decoupler_version"] == dc.__version__ and "layer" in params["unset"]
    assert params["n_regulators"] == {"T": 2, "B": 2}


def test_filters_and_methods_without_weights(grouped, caplog):
    few = grouped.copy()
    grn.tl.activity(few, top_per_source=6)
    cut = grn.get.edges(grouped, group="T", top_per_source=6)
    mine = (few.obs["type"] == "T").to_numpy()
    wanted = by_hand(few[mine].copy(), cut)
    np.testing.assert_allclose(few.obsm["score_ulm"].to_numpy()[mine], wanted, rtol=1e-4, atol=1e-5)
    assert "without weights" not in caplog.text
    grn.tl.activity(few, method="ora")
    assert "without weights" in caplog.text and "score_ora" in few.obsm


def test_bad_input(adata, grouped):
    with pytest.raises(ParameterError, match=r"decoupler has no method 'ulmm'.*'ulm'"):
        grn.tl.activity(grouped, method="ulmm")
    with pytest.raises(ResultNotFoundError, match="'other'"):
        grn.tl.activity(grouped, key="other")
    with pytest.raises(LayerError):
        grn.tl.activity(grouped, layer="none")
    with pytest.raises(NetworkError, match="has 11 targets"):
        grn.tl.activity(grouped, min_targets=11)
    with pytest.raises(NetworkError, match="probability"):
        grn.tl.activity(grouped, min_probability=0.5)
    with pytest.raises(ParameterError, match="min_targets"):
        grn.tl.activity(grouped, min_targets=0)
    grouped.obs["other"] = "x"
    with pytest.raises(GroupError, match="pass the groupby"):
        grn.tl.activity(grouped, groupby="other")
    table = grn.get.edges(grouped)
    grn.Network(table).write(grouped, "silent")
    with pytest.raises(GroupError, match="does not say by which column"):
        grn.tl.activity(grouped, key="silent")
    grn.tl.activity(grouped, key="silent", groupby="type")
    grn.Network(edges(1)).write(grouped, "plain")
    with pytest.raises(GroupError, match="has no groups"):
        grn.tl.activity(grouped, key="plain", groupby="type")
    assert set(grouped.obsm) == {"score_ulm", "padj_ulm"}
