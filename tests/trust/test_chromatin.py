"""Edges of systems that read chromatin against permuted cells, and against the regions of other genes."""

import pandas as pd
import pytest

import grn

PARAMS = {
    "scenicplus": {"window": 60_000, "n_trees": 20, "min_targets": 2, "n_permutations": 50, "mode": "fast"},
    "linger": {"window": 60_000, "n_epochs": 20},
}


@pytest.fixture(scope="module")
def mdata():
    made = grn.datasets.toy_multiome(n_cells=150, n_regulators=4, n_targets=20, dropout=0.0)
    motifs = grn.pp.motifs().select(factors=made.uns["regulators"])
    grn.pp.scan_motifs(made["atac"], sequences=made.uns["genome"], motifs=motifs)
    for method, params in PARAMS.items():
        starts = made.uns["starts"]
        grn.tl.infer_network(made, method=method, key_added=method, params={**params, "starts": starts})
    return made


@pytest.mark.parametrize("method", PARAMS)
@pytest.mark.parametrize("permute", ["cells", "links"])
def test_edges_get_a_p_value(mdata, method, permute):
    params = {"starts": mdata.uns["starts"]}
    asked = {"net": method, "params": params, "n_permutations": 2, "n_subsamples": 1, "permute": permute, "top": 5}
    changed = grn.tl.confidence(mdata, **asked, copy=True)
    edges = grn.get.edges(changed, key=method)
    assert edges["pval"].between(0, 1, inclusive="right").all() and edges["pval"].nunique() > 2
    assert edges["stability"].notna().all()
    before, keys = grn.get.edges(mdata, key=method), ["source", "target", "region"]
    pd.testing.assert_frame_equal(edges[keys], before[keys])
    assert set(changed.uns[method]) == set(mdata.uns[method])


def test_a_regulator_that_was_asked_for_and_has_no_edges_is_there_again(mdata):
    hits = grn.get.motif_hits(mdata["atac"])
    asked = sorted(hits["source"].unique())[:3]
    bound = hits.loc[hits["source"].isin(asked[:2]), ["source", "region"]]
    given = {"starts": mdata.uns["starts"], "cistromes": bound}
    params = {**PARAMS["scenicplus"], **given}
    grn.tl.infer_network(mdata, method="scenicplus", sources=asked, key_added="some", params=params)
    assert set(grn.get.edges(mdata, key="some")["source"]) < set(asked)
    grn.tl.confidence(mdata, net="some", params=given, n_permutations=2, n_subsamples=1, top=5)
    assert grn.get.edges(mdata, key="some")["pval"].between(0, 1, inclusive="right").all()


@pytest.mark.parametrize("method", PARAMS)
def test_networks_of_both_are_networks(mdata, method):
    grn.tl.regulons(mdata, key=method, key_added=f"{method}_regulons", min_targets=1)
    assert grn.get.regulons(mdata, key=f"{method}_regulons")
    grn.tl.consensus(mdata, nets=list(PARAMS), key_added="both")
    assert len(grn.get.edges(mdata, key="both"))
