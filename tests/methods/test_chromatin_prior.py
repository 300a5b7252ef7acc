"""The base GRN of open chromatin, asked for by name: the same as made by hand, recorded, or refused."""

import pandas as pd
import pytest

import grn
from grn.errors import CapabilityError, CellNameError, RegionError, ResultNotFoundError


@pytest.fixture(scope="module")
def scanned():
    mdata = grn.datasets.toy_multiome(n_cells=120, n_regulators=4, n_targets=10)
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return mdata


@pytest.fixture
def linked(scanned):
    mdata = scanned.copy()
    grn.pp.link_regions(mdata, starts=mdata.uns["starts"], upstream=30_000, downstream=30_000, how="distance")
    return mdata


def fitted(mdata, **arguments):
    grn.tl.dictys(mdata, layer="counts", n_steps=20, n_regulators=2, **arguments)
    return grn.get.edges(mdata, key="dictys")


def test_the_mask_is_that_of_a_base_grn_made_by_hand(linked):
    by_hand = grn.pp.base_grn_from_regions(linked)
    mine = fitted(linked, base_grn=by_hand)
    assert linked.uns["dictys"]["params"]["base_grn"] == "given"
    for asked in ({}, {"base_grn": "regions"}):
        made = fitted(linked, **asked)
        pd.testing.assert_frame_equal(made, mine)
        assert linked.uns["dictys"]["params"]["base_grn"] == "regions"
    assert set(made["direction"]) == {"motif"} and made["region"].notna().all()
    assert len(mine) < len(fitted(linked, base_grn=None))
    assert "base_grn" in linked.uns["dictys"]["params"]["unset"]


def test_by_name_of_the_method_and_with_other_modalities(linked):
    mine = fitted(linked)
    linked.mod["peaks"] = linked.mod.pop("atac")
    pd.testing.assert_frame_equal(fitted(linked, atac="peaks"), mine)
    params = {"n_steps": 20, "n_regulators": 2}
    grn.tl.infer_network(linked, atac="peaks", method="dictys", layer="counts", params=params)
    pd.testing.assert_frame_equal(grn.get.edges(linked), mine)
    # without chromatin by that name all pairs are allowed
    assert len(fitted(linked)) > len(mine)


def test_expression_alone_allows_all_pairs(linked):
    adata = linked["rna"]
    grn.tl.dictys(adata, layer="counts", n_steps=20)
    assert len(adata.uns["dictys"]["edges"]) == 4 * 13
    with pytest.raises(RegionError, match="Pass a MuData"):
        grn.tl.dictys(adata, layer="counts", n_steps=20, base_grn="regions")


def test_a_regression_and_its_repetitions_take_the_name(linked):
    grn.tl.celloracle(linked, base_grn="regions", max_p=None, centrality=False)
    assert linked.uns["celloracle"]["params"]["base_grn"] == "regions"
    edges = grn.get.edges(linked, key="celloracle")
    grn.tl.confidence(linked, net="celloracle", n_permutations=5, n_subsamples=2, top=10)
    after = grn.get.edges(linked, key="celloracle")
    assert len(after) == len(edges) and after["qval"].notna().any()
    grn.tl.infer_network(linked, method="correlation", params={"base_grn": "regions"})
    pairs = grn.get.edges(linked)[["source", "target"]].astype(str)
    assert set(map(tuple, pairs.to_numpy())) <= set(
        map(tuple, grn.pp.base_grn_from_regions(linked)[["source", "target"]].astype(str).to_numpy())
    )


def test_repetitions_take_all_pairs_where_auto_found_no_chromatin(linked):
    adata = linked["rna"].copy()
    grn.tl.infer_network(adata, method="correlation", params={"base_grn": "auto"})
    assert adata.uns["grn"]["params"]["base_grn"] == "auto"
    grn.tl.confidence(adata, n_permutations=3, n_subsamples=0)
    assert grn.get.edges(adata)["qval"].notna().any()


def test_what_is_missing_is_said_with_the_call_that_makes_it(scanned, linked):
    bare = grn.datasets.toy_multiome(n_cells=30, n_regulators=3, n_targets=6)
    with pytest.raises(ResultNotFoundError, match=r"grn.pp.scan_motifs\(mdata\['atac'\].*base_grn=None"):
        fitted(bare)
    with pytest.raises(RegionError, match=r"do not tell the build.*base_grn_from_regions"):
        fitted(scanned)
    fewer = linked["atac"][:100].copy()
    linked.mod["atac"] = fewer
    with pytest.raises(CellNameError, match="base_grn_from_regions"):
        fitted(linked)


def test_repetitions_of_counts_are_refused(linked):
    fitted(linked)
    with pytest.raises(CapabilityError, match="reads raw counts"):
        grn.tl.confidence(linked, net="dictys", n_permutations=0, n_subsamples=2, top=10)


def test_what_can_run_knows_of_motif_hits(scanned):
    bare = grn.datasets.toy_multiome(n_cells=30, n_regulators=3, n_targets=6)
    bare["rna"].X = bare["rna"].layers["counts"]
    methods = grn.tl.suggest(bare).methods
    assert not methods.loc["dictys", "runs"] and "scan_motifs" in methods.loc["dictys", "missing"]
    counted = scanned.copy()
    counted["rna"].X = counted["rna"].layers["counts"]
    assert grn.tl.suggest(counted).methods.loc["dictys", "runs"]
