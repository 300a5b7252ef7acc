"""Scores of eRegulons, against AUCell by hand and decoupler's own call."""

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GroupError, NetworkError, RegionError, ResultNotFoundError


@pytest.fixture(scope="module")
def inferred():
    mdata = grn.datasets.toy_multiome(n_cells=150, n_regulators=4, n_targets=24)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    grn.tl.scenicplus(
        mdata, starts=mdata.uns["starts"], window=60_000, n_trees=30, min_targets=3, max_rounds=60, n_permutations=50
    )
    return mdata


@pytest.fixture
def mdata(inferred):
    return inferred.copy()


def test_scores_are_those_of_decoupler(mdata):
    import decoupler as dc

    grn.tl.eregulon_activity(mdata, min_targets=3)
    triplets = mdata.uns["scenicplus"]["triplets"].astype({"source": str, "target": str, "sign": str, "region": str})
    name = triplets["source"] + "_direct_" + triplets["sign"].str.replace("/", "")
    for side, column, part in (("genes", "target", mdata["rna"]), ("regions", "region", mdata["atac"])):
        counts = part.to_df(layer="counts" if side == "genes" else None)
        values = np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e4)
        net = pd.DataFrame({"source": name, "target": triplets[column], "weight": 1.0}).drop_duplicates()
        scores = dc.mt.aucell(values, net.sort_values(["source", "target"]), tmin=1)
        scores = scores[0] if isinstance(scores, tuple) else scores
        ours = mdata["rna"].obsm[f"eregulons_{side}"]
        assert ours.shape[1] > 1
        # ties are ordered in decoupler's way, which looks at the order of features
        both = [np.corrcoef(ours[column], scores[column])[0, 1] for column in ours if ours[column].std() > 0]
        assert np.mean(both) > 0.95


def test_the_table_counts_and_correlates(mdata):
    grn.tl.eregulon_activity(mdata, min_targets=3, groupby="group")
    rna = mdata["rna"]
    table = rna.uns["eregulons"]["table"].set_index("eregulon")
    genes, regions = rna.obsm["eregulons_genes"], rna.obsm["eregulons_regions"]
    assert list(table.index) == list(genes) == list(regions)
    triplets = mdata.uns["scenicplus"]["triplets"]
    for name, row in table.iterrows():
        mine = triplets[(triplets["source"] == row["source"]) & (triplets["sign"] == row["sign"])]
        assert row["n_genes"] == mine["target"].nunique() >= 3
        assert row["n_regions"] == mine["region"].nunique()
        if genes[name].std() > 0 and regions[name].std() > 0:
            assert row["rho"] == pytest.approx(np.corrcoef(genes[name], regions[name])[0, 1], abs=1e-4)
    specificity = rna.uns["eregulons"]["specificity"]
    assert len(specificity) == 2 * len(table)
    assert specificity["rss_genes"].dropna().between(0.16, 1).all()


def test_the_order_of_cells_genes_and_regions_does_not_matter(mdata):
    grn.tl.eregulon_activity(mdata, min_targets=3)
    random = np.random.default_rng(0)
    rows = random.permutation(mdata.n_obs)
    moved = mudata.MuData(
        {
            "rna": mdata["rna"][rows, random.permutation(mdata["rna"].n_vars)].copy(),
            "atac": mdata["atac"][random.permutation(mdata.n_obs), random.permutation(mdata["atac"].n_vars)].copy(),
        }
    )
    moved.uns["scenicplus"] = mdata.uns["scenicplus"]
    grn.tl.eregulon_activity(moved, min_targets=3)
    for side in ("genes", "regions"):
        first, again = (m["rna"].obsm[f"eregulons_{side}"] for m in (mdata, moved))
        pd.testing.assert_frame_equal(again.loc[first.index], first, rtol=1e-5)


def test_blocks_of_cells_change_nothing(mdata, monkeypatch):
    grn.tl.eregulon_activity(mdata, min_targets=3)
    before = mdata["rna"].obsm["eregulons_regions"].copy()
    monkeypatch.setattr("grn.regulators.eregulons._VALUES", 2000)
    grn.tl.eregulon_activity(mdata, min_targets=3)
    pd.testing.assert_frame_equal(mdata["rna"].obsm["eregulons_regions"], before)


@pytest.mark.filterwarnings("error:Forward slashes")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_scores_survive_a_file(mdata, tmp_path, form):
    grn.tl.eregulon_activity(mdata, min_targets=3, groupby="group")
    before, path = mdata["rna"], tmp_path / f"cells.{form}"
    getattr(before, f"write_{form}")(path)
    after = getattr(ad, f"read_{form}")(path)
    for side in ("genes", "regions"):
        pd.testing.assert_frame_equal(after.obsm[f"eregulons_{side}"], before.obsm[f"eregulons_{side}"])
    assert after.uns["eregulons"]["table"]["eregulon"].tolist() == list(before.obsm["eregulons_genes"])


def test_filters(mdata):
    grn.tl.eregulon_activity(mdata, min_targets=3)
    table = mdata["rna"].uns["eregulons"]["table"]
    limit = float(table["rho"].median())
    grn.tl.eregulon_activity(mdata, min_targets=3, min_rho=limit)
    fewer = mdata["rna"].uns["eregulons"]["table"]
    assert fewer["eregulon"].tolist() == table.loc[table["rho"] >= limit, "eregulon"].tolist()
    grn.tl.eregulon_activity(mdata, min_targets=1, top=2)
    assert (mdata["rna"].uns["eregulons"]["table"]["n_regions"] <= 2).all()


def test_what_cannot_be_scored_is_told(mdata):
    with pytest.raises(NetworkError, match="min_targets=500"):
        grn.tl.eregulon_activity(mdata, min_targets=500)
    with pytest.raises(NetworkError, match="min_rho"):
        grn.tl.eregulon_activity(mdata, min_targets=3, min_rho=1)
    with pytest.raises(ResultNotFoundError, match="scenicplus"):
        grn.tl.eregulon_activity(mdata, key="other")
    with pytest.raises(GroupError):
        grn.tl.eregulon_activity(mdata, min_targets=3, groupby="no")
    triplets = mdata.uns["scenicplus"]["triplets"]
    mdata.uns["scenicplus"]["triplets"] = triplets.assign(group="a")
    with pytest.raises(GroupError, match="groups"):
        grn.tl.eregulon_activity(mdata, min_targets=3)
    assert "eregulons" not in mdata["rna"].uns
    mdata["rna"].uns["scenicplus"] = {"triplets": triplets}
    with pytest.raises(RegionError, match="MuData"):
        grn.tl.eregulon_activity(mdata["rna"], min_targets=3)
