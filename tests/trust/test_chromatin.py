"""Edges of systems that read chromatin against permuted cells, and against the regions of other genes."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import CapabilityError
from grn.methods import METHODS, Method

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


def test_regions_go_to_genes_that_have_no_network(mdata):
    made = mdata.copy()
    silent, near_nothing = made["rna"].var_names[-2:]
    made["rna"].X[:, made["rna"].var_names.get_loc(silent)] = 0
    starts = made.uns["starts"].query("gene != @near_nothing")
    grn.tl.linger(made, starts=starts, **PARAMS["linger"])
    assert not {silent, near_nothing} & set(grn.get.edges(made, key="linger")["target"])
    asked = {"n_permutations": 3, "n_subsamples": 0, "params": {"starts": starts}}
    grn.tl.confidence(made, net="linger", permute="links", **asked)
    assert grn.get.edges(made, key="linger")["pval"].between(0, 1, inclusive="right").all()


def strong_layers(mdata):
    """First layers of bulk data that read regulators ten times as much as regions."""
    random = np.random.default_rng(0)
    near = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=60_000, downstream=60_000
    )
    layers = {}
    for gene, regions in near.groupby("gene")["region"]:
        regulators = [name for name in mdata.uns["regulators"] if name != gene]
        weights = random.normal(size=(64, len(regulators) + len(regions)))
        weights[:, : len(regulators)] *= 10
        layers[gene] = pd.DataFrame(weights, columns=[*regulators, *regions])
    return layers


def test_copies_of_regulators_are_held_near_bulk_as_these_are(mdata):
    made, bulk = mdata.copy(), strong_layers(mdata)
    starts = made.uns["starts"]
    grn.tl.linger(made, starts=starts, bulk=bulk, **PARAMS["linger"])
    asked = {"net": "linger", "params": {"starts": starts, "bulk": bulk}, "n_subsamples": 0}
    grn.tl.confidence(made, n_permutations=2, **asked)
    # were copies free of bulk, their weights would be far below those of all regulators
    assert grn.get.edges(made, key="linger")["pval"].median() > 0.2
    with pytest.raises(CapabilityError, match=r"has read no links.*permute='cells'"):
        grn.tl.confidence(made, n_permutations=2, permute="links", **asked)


@pytest.fixture
def counted():
    """A method that reads chromatin, and how often it was asked."""
    calls = []

    def fit(group):
        calls.append(group.name)
        group.chromatin.of_genes(group.chromatin.links())
        values = group.values()[:, [*group.targets, *group.sources]]
        return np.abs(np.corrcoef(values.T)[: len(group.targets), len(group.targets) :])

    kind = {"signed": False, "probability": False, "reference": "none", "needs": ("cells", "regions")}
    METHODS.add("counted", Method("counted", fit, "a test", **kind))
    yield calls
    METHODS._records.pop("counted")


def test_stored_repetitions_are_of_this_chromatin(mdata, counted, tmp_path):
    made = mdata.copy()
    names = made["atac"].var_names
    made["atac"].uns["links"] = {"table": pd.DataFrame({"region": names, "gene": made["rna"].var_names[0]})}
    grn.tl.infer_network(made, method="counted", targets=list(made["rna"].var_names))

    def n_fits():
        del counted[:]
        grn.tl.confidence(made, n_permutations=2, n_subsamples=1, top=5, permute="links", cache=tmp_path)
        return len(counted)

    assert n_fits() == 4
    assert n_fits() == 1
    made["atac"].uns["links"]["table"]["gene"] = made["rna"].var_names[1]
    assert n_fits() == 4
    made["atac"].X = made["atac"].X * 2
    assert n_fits() == 4
    made["atac"].varm["motifs"] = made["atac"].varm["motifs"] * 2
    assert n_fits() == 4
    assert n_fits() == 1
