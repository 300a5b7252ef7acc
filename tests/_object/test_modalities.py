"""A MuData goes wherever an AnnData does."""

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._object.chromatin import SLOT
from grn.errors import CapabilityError, CellNameError, GroupError, ParameterError, RegionError
from grn.methods import METHODS, Method


@pytest.fixture
def mdata() -> mudata.MuData:
    made = grn.datasets.toy_multiome(n_cells=60, n_regulators=3, n_targets=6)
    for key in list(made.uns):
        if key != "truth":
            del made.uns[key]
    return made


def correlated(group):
    """Weights (T, S) of a method that reads regions: how often a target's cells have open chromatin."""
    open_regions = np.asarray(group.chromatin.rows(group.members).sum(axis=1)).ravel()
    values = group.values()
    return np.corrcoef(values[:, group.targets].T, open_regions)[:-1, -1:] * np.ones((1, len(group.sources)))


@pytest.fixture
def of_regions():
    METHODS.add("of_regions", Method(
        "of_regions", correlated, "a test", signed=True, probability=False, reference="none",
        needs=("cells", "regions"),
    ))  # fmt: skip
    yield "of_regions"
    METHODS._records.pop("of_regions")


def state(mdata):
    """What of an object a call may change."""
    parts = {"": mdata, **mdata.mod}
    slots = ("uns", "obsm", "varm", "layers", "obsp", "varp")
    held = {(name, slot): sorted(getattr(part, slot, None) or {}) for name, part in parts.items() for slot in slots}
    return {**held, **{(name, "obs"): list(part.obs) for name, part in parts.items()}}


def test_networks_go_to_the_whole_object_and_features_to_the_modality(mdata):
    grn.tl.vvp(mdata)
    assert "vvp" in mdata["rna"].varm and "vvp" in mdata["rna"].uns and "vvp" not in mdata.uns
    grn.tl.infer_network(mdata, method="ridge")
    assert "grn" in mdata.uns and "grn" not in mdata["rna"].uns
    alone = grn.tl.infer_network(mdata["rna"], method="ridge", copy=True)
    pd.testing.assert_frame_equal(grn.get.edges(mdata), grn.get.edges(alone))


def test_networks_of_the_whole_object_are_read_and_kept_there(mdata):
    grn.tl.infer_network(mdata, method="correlation")
    grn.tl.confidence(mdata, n_permutations=3, n_subsamples=2)
    assert "qval" in grn.get.edges(mdata)
    grn.tl.regulons(mdata)
    grn.tl.activity(mdata, min_targets=1)
    assert "regulons" in mdata.uns and "regulons" not in mdata["rna"].uns
    assert grn.get.regulons(mdata)
    assert sorted(mdata["rna"].uns) == ["activity"] or "activity" not in mdata.uns


def test_a_network_of_the_modality_stays_where_it_is(mdata):
    grn.tl.infer_network(mdata["rna"], method="correlation")
    grn.tl.confidence(mdata, n_permutations=2, n_subsamples=2)
    assert "qval" in mdata["rna"].uns["grn"]["edges"] and "grn" not in mdata.uns
    assert "qval" in grn.get.edges(mdata)


def test_of_two_networks_of_one_name_that_of_the_whole_object_is_meant(mdata):
    grn.tl.infer_network(mdata["rna"], method="correlation")
    before = mdata["rna"].uns["grn"]
    grn.tl.infer_network(mdata["rna"], method="ridge", key_added="second")
    mdata.uns["grn"] = mdata["rna"].uns.pop("second")
    grn.tl.rank_regulators(mdata)
    assert mdata["rna"].uns["grn"] is before
    assert mdata.uns["grn"]["params"]["method"] == "ridge"


def test_a_column_of_the_whole_object_names_groups(mdata):
    mdata["rna"].obs.drop(columns="group", inplace=True)
    grn.tl.infer_network(mdata, method="correlation", groupby="group")
    assert set(grn.get.edges(mdata)["group"]) == {"group_1", "group_2"}
    assert "group" not in mdata["rna"].obs
    with pytest.raises(GroupError, match="'cluster'"):
        grn.tl.infer_network(mdata, method="correlation", groupby="cluster")


def test_a_copy_is_a_mudata(mdata):
    before = state(mdata)
    changed = grn.tl.infer_network(mdata, method="correlation", copy=True)
    assert state(mdata) == before
    assert isinstance(changed, mudata.MuData) and len(grn.get.edges(changed))


def test_a_view_becomes_an_object_of_its_own(mdata, of_regions):
    part = mdata[mdata.obs["group"] == "group_1"]
    before = state(part)
    grn.tl.infer_network(part, method=of_regions)
    grn.tl.vvp(part)
    after = state(part)
    changed = {slot for slot in after if after[slot] != before[slot] and slot != ("", "obs")}  # mudata fills these
    assert changed == {("", "uns"), ("rna", "uns"), ("rna", "varm")}
    assert "grn" in part.uns and list(part["rna"].uns) == ["vvp"] and "grn" not in mdata.uns


def test_what_a_modality_holds_is_read_of_the_whole_object(mdata):
    grn.tl.vvp(mdata)
    grn.pp.align_genes(mdata)
    before = state(mdata)
    source = mdata["rna"].var_names[mdata["rna"].var["is_regulator"]][0]
    assert grn.get.features(mdata, key="vvp").values.shape == grn.get.features(mdata["rna"], key="vvp").values.shape
    assert len(grn.get.gene_report(mdata)) == mdata["rna"].n_vars
    assert grn.pl.response(mdata, pairs=(source, mdata["rna"].var_names[-1]), keys="vvp") is not None
    assert state(mdata) == before


def test_a_method_reads_regions_in_the_order_of_the_cells(mdata, of_regions):
    grn.tl.infer_network(mdata, method=of_regions)
    edges = grn.get.edges(mdata)
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    turned = mudata.MuData({"rna": mdata["rna"].copy(), "atac": mdata["atac"][order].copy()})
    grn.tl.infer_network(turned, method=of_regions)
    pd.testing.assert_frame_equal(grn.get.edges(turned), edges)
    shuffled = mudata.MuData({"rna": mdata["rna"][order].copy(), "atac": mdata["atac"].copy()})
    grn.tl.infer_network(shuffled, method=of_regions)
    pd.testing.assert_frame_equal(grn.get.edges(shuffled), edges, rtol=1e-5)
    assert SLOT not in mdata["rna"].obsm and SLOT not in mdata["rna"].uns and SLOT not in mdata.uns


def test_groups_and_repetitions_take_their_regions_along(mdata, of_regions):
    grn.tl.infer_network(mdata, method=of_regions, groupby="group")
    edges = grn.get.edges(mdata)
    part = mdata[mdata.obs["group"] == "group_1"].copy()
    grn.tl.infer_network(part, method=of_regions)
    mine = edges[edges["group"] == "group_1"].drop(columns="group")
    keys = ["source", "target"]
    text = dict.fromkeys(keys, str)
    both = mine.astype(text).merge(grn.get.edges(part).astype(text), on=keys)
    np.testing.assert_allclose(both["weight_x"], both["weight_y"], rtol=1e-5)
    grn.tl.confidence(mdata, n_permutations=2, n_subsamples=3, top=5)
    assert grn.get.edges(mdata)[["stability", "qval"]].notna().all().all()


def with_motif(group):
    """Correlation (T, S) with regulators that have a motif in a region, which a permuted copy has as well."""
    hits, factors = group.chromatin.hits()
    bound = factors["factor"][factors["motif"].isin(np.array(["one", "two"])[hits.getnnz(axis=0) > 0])]
    values = group.values()
    weights = np.corrcoef(values[:, [*group.targets, *group.sources]].T)[: len(group.targets), len(group.targets) :]
    return np.where(np.isin(group.names[group.sources], bound), weights, np.nan)


def test_permuted_regulators_have_the_motifs_of_the_real_ones(mdata):
    first, second = mdata["rna"].var_names[mdata["rna"].var["is_regulator"]][:2]
    atac = mdata["atac"]
    atac.varm["motifs"] = sparse.csr_matrix(np.eye(atac.n_vars, 2, dtype=np.float32))
    factors = pd.DataFrame({"motif": ["one", "two"], "factor": [first, second]})
    atac.uns["motifs"] = {"names": np.array(["one", "two"], dtype=object), "factors": factors}
    record = Method(
        "with_motif", with_motif, "a test", signed=True, probability=False, reference="none", needs=("cells", "regions")
    )
    METHODS.add("with_motif", record)
    try:
        grn.tl.infer_network(mdata, method="with_motif")
        edges = grn.get.edges(mdata)
        assert set(edges["source"]) == {first, second}
        grn.tl.confidence(mdata, n_permutations=20, n_subsamples=0)
    finally:
        METHODS._records.pop("with_motif")
    edges = grn.get.edges(mdata)
    # without motifs the copies have no edges, and every p-value is the smallest there is
    assert edges["pval"].nunique() > 3
    assert edges["pval"].max() > 0.3


def linked_motifs(group):
    """Number (T, S) of regions of a target with a motif of the regulator."""
    hits, factors = group.chromatin.hits()
    table = group.chromatin.of_genes(group.chromatin.links())
    near = pd.crosstab(table["gene"], table["region"]).reindex(
        index=group.names[group.targets], columns=group.chromatin.names, fill_value=0
    )
    owns = pd.crosstab(factors["motif"], factors["factor"]).reindex(
        index=["one", "two"], columns=group.names[group.sources], fill_value=0
    )
    return near.to_numpy(float) @ hits.toarray() @ owns.to_numpy(float)


def test_links_are_exchanged_between_genes(mdata):
    names = mdata["rna"].var_names
    factors, targets = names[mdata["rna"].var["is_regulator"]][:2], names[~mdata["rna"].var["is_regulator"]]
    atac = mdata["atac"]
    strong = np.zeros((atac.n_vars, 2), dtype=np.float32)
    strong[:4, 0] = 1  # all motifs of the first factor are near one gene
    strong[::5, 1] = 1  # those of the second are spread
    atac.varm["motifs"] = sparse.csr_matrix(strong)
    by_motif = pd.DataFrame({"motif": ["one", "two"], "factor": list(factors)})
    atac.uns["motifs"] = {"names": np.array(["one", "two"], dtype=object), "factors": by_motif}
    genes = [targets[min(i // 5, len(targets) - 1)] for i in range(atac.n_vars)]
    atac.uns["links"] = {"table": pd.DataFrame({"region": atac.var_names, "gene": genes, "distance": 0, "score": 1.0})}
    kind = {"signed": False, "probability": False, "reference": "none", "needs": ("cells", "regions")}
    METHODS.add("linked_motifs", Method("linked_motifs", linked_motifs, "a test", **kind))
    try:
        grn.tl.infer_network(mdata, method="linked_motifs")
        with pytest.raises(CapabilityError, match="permute='cells'"):
            grn.tl.infer_network(mdata, method="correlation", key_added="other")
            grn.tl.confidence(mdata, net="other", permute="links")
        grn.tl.confidence(mdata, n_permutations=30, n_subsamples=0, permute="links", standardise=False)
        first = grn.get.edges(mdata)
        order = np.random.default_rng(0).permutation(atac.n_vars)
        turned = mudata.MuData({"rna": mdata["rna"].copy(), "atac": atac[:, order].copy()})
        grn.tl.infer_network(turned, method="linked_motifs")
        grn.tl.confidence(turned, n_permutations=30, n_subsamples=0, permute="links", standardise=False)
    finally:
        METHODS._records.pop("linked_motifs")
    pd.testing.assert_frame_equal(grn.get.edges(turned), first)
    pval = first.set_index(["source", "target"])["pval"]
    assert pval[factors[0], targets[0]] == pval.min() < 0.25
    assert pval.drop((factors[0], targets[0])).min() > 0.5
    assert mdata.uns["grn"]["params"]["confidence"]["permute"] == "links"


def test_a_file_read_in_pieces_gives_the_same(mdata, of_regions, tmp_path):
    grn.tl.infer_network(mdata, method=of_regions)
    edges = grn.get.edges(mdata)
    del mdata.uns["grn"]
    mdata.write_h5mu(tmp_path / "cells.h5mu")
    backed = mudata.read_h5mu(tmp_path / "cells.h5mu", backed=True)
    grn.tl.infer_network(backed, method=of_regions)
    pd.testing.assert_frame_equal(grn.get.edges(backed), edges)
    with pytest.raises(ParameterError, match="read_h5mu"):
        grn.tl.infer_network(backed, method=of_regions, copy=True)


def test_a_network_with_regions_survives_a_file(mdata, of_regions, tmp_path):
    grn.tl.infer_network(mdata, method=of_regions)
    mdata.write_h5mu(tmp_path / "cells.h5mu")
    again = mudata.read_h5mu(tmp_path / "cells.h5mu")
    pd.testing.assert_frame_equal(grn.get.edges(again), grn.get.edges(mdata))


def test_what_has_no_regions_is_refused_with_the_call(mdata, of_regions):
    with pytest.raises(RegionError, match="MuData"):
        grn.tl.infer_network(mdata["rna"], method=of_regions)
    with pytest.raises(RegionError, match="rna= and atac="):
        grn.tl.infer_network(mdata, method=of_regions, atac="peaks")
    with pytest.raises(RegionError, match=r"no modality 'ata'; there are: 'rna', 'atac'\. Did you mean 'atac'"):
        grn.tl.infer_network(mdata, method=of_regions, atac="ata")
    with pytest.raises(RegionError, match=r"no modality \['atac'\]"):
        grn.tl.infer_network(mdata, method=of_regions, atac=["atac"])


def test_an_object_may_be_named(mdata):
    grn.tl.infer_network(adata=mdata["rna"], method="correlation")
    grn.tl.infer_network(adata=mdata, method="correlation", key_added="second")
    assert len(grn.get.edges(mdata)) == len(grn.get.edges(mdata, key="second"))
    with pytest.raises(TypeError, match="adata"):
        grn.tl.infer_network(method="correlation")


def test_names_of_modalities(mdata):
    with pytest.raises(ParameterError, match=r"'rna', 'atac'.*Did you mean 'rna'"):
        grn.tl.vvp(mdata, rna="rn")
    with pytest.raises(ParameterError, match="leave it out"):
        grn.tl.vvp(mdata["rna"], rna="gex")
    for name in (["rna"], None, 3):
        with pytest.raises(ParameterError, match="modality"):
            grn.tl.vvp(mdata, rna=name)
    with pytest.raises(ParameterError, match="leave it out"):
        grn.tl.vvp(mdata["rna"], rna=np.array(["rna", "gex"]))


def test_a_column_of_cells_that_share_a_name_is_refused(mdata):
    rna = mdata["rna"].copy()
    del rna.obs["group"]
    rna.obs_names = [*rna.obs_names[:1], *rna.obs_names[:-1]]
    twice = mudata.MuData({"rna": rna})
    twice.obs["label"] = ["a", "b"] * (rna.n_obs // 2)
    before = state(twice)
    with pytest.raises(CellNameError, match=r"1 names of cells .* mdata.obs\['label'\]"):
        grn.tl.infer_network(twice, method="correlation", groupby="label")
    assert state(twice) == before


def unpaired(mdata, names):
    atac = mdata["atac"].copy()
    atac.obs_names = names
    return mudata.MuData({"rna": mdata["rna"], "atac": atac})


def test_cells_that_are_not_paired_are_refused_by_methods_that_pair_them(mdata, of_regions):
    names = [f"nucleus_{i}" for i in range(mdata.n_obs)]
    other = unpaired(mdata, names)
    before = state(other)
    with pytest.raises(CellNameError, match="metacells"):
        grn.tl.infer_network(other, method=of_regions)
    assert state(other) == before
    grn.tl.infer_network(other, method="correlation")
    half = unpaired(mdata, [*mdata.obs_names[:30], *names[30:]])
    with pytest.raises(CellNameError, match="30 are in both"):
        grn.tl.infer_network(half, method=of_regions)


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_accessibility_that_is_none_is_refused(mdata, of_regions, value):
    X = mdata["atac"].X.toarray()
    X[0, 0] = value
    mdata["atac"].X = X
    with pytest.raises(RegionError, match="negative, NaN or infinite"):
        grn.tl.infer_network(mdata, method=of_regions)


def test_regions_without_a_name_are_refused(mdata, of_regions):
    mdata["atac"].var_names = [f"peak_{i}" for i in range(mdata["atac"].n_vars)]
    before = state(mdata)
    with pytest.raises(RegionError, match="peak_0"):
        grn.tl.infer_network(mdata, method=of_regions)
    assert state(mdata) == before


def test_an_interruption_gives_back_what_was_lent(mdata, monkeypatch):
    before = state(mdata)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(grn.tl._infer, "infer", stop)
    with pytest.raises(KeyboardInterrupt):
        grn.tl.infer_network(mdata, method="correlation")
    assert state(mdata) == before


def test_figures_and_tables_read_a_mudata(mdata):
    grn.tl.infer_network(mdata, method="correlation")
    assert len(grn.get.edges(mdata, sources=grn.get.network(mdata).regulators[:1]))
    assert grn.pl.network(mdata) is not None
