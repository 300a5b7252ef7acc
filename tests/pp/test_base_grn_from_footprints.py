"""Base GRNs from footprints: binding, links and the strongest of them against the reference of Dictys; odd tables."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import GeneOverlapError, NetworkError, ParameterError, RegionError
from grn.methods.dictys.mask import strongest
from grn.pp._base_grn_from_footprints import binding, linked

STARTS = pd.DataFrame(
    {
        "gene": ["KLF1", "TAL1", "GATA1"],
        "chrom": ["chr1", "chr1", "chr2"],
        "position": [10_000, 400_000, 10_000],
        "strand": ["+", "-", "+"],
    }
)
FOOTPRINTS = pd.DataFrame(
    {
        "source": ["SPI1", "SPI1", "KLF1", "SPI1"],
        "region": ["chr1:9000-9020", "chr1:390000-390020", "chr1:9000-9020", "chr3:5-25"],
        "score": [2.0, 3.0, 1.0, 9.0],
    }
)


@pytest.fixture
def reference(shared_dir):
    folder = shared_dir / "reference" / "dictys"

    def read(name, **how):
        return pd.read_csv(folder / f"{name}.tsv.gz", sep="\t", **how)

    return read


def test_links_are_those_of_the_original(reference):
    bound = binding(reference("link_wellington", index_col=0), reference("link_homer", index_col=0))
    wanted = reference("link_binding").rename(columns={"TF": "source", "loc": "region"})
    # the original takes motifs of two regulators apart one step later
    wanted = wanted.assign(source=wanted["source"].str.split(",")).explode("source")
    both = bound.merge(wanted, on=["source", "region"], how="outer")
    assert len(bound) == len(wanted)
    np.testing.assert_allclose(both["score_x"], both["score_y"], atol=1e-8)
    links = linked(bound, reference("link_tssdist").rename(columns={"dist": "distance"}))
    table = reference("link_linking", index_col=0).stack()
    table = table[np.isfinite(table)]
    got = links.set_index(["source", "target"])["score"]
    assert set(got.index) == set(table.index)
    np.testing.assert_allclose(got[table.index], table, atol=1e-8)
    scores = links.pivot(index="target", columns="source", values="score")
    chosen = strongest(scores.fillna(-np.inf).to_numpy(), scores.columns.to_numpy(), 3)
    listed = reference("link_binlinking", index_col=0).stack()
    theirs = table[listed[listed].index].groupby(level=1)
    # TF3 and TF4 have one motif and so one score, of which the original takes either
    for target, values in theirs:
        ours = scores.to_numpy()[scores.index.get_loc(target)][chosen[scores.index.get_loc(target)]]
        np.testing.assert_allclose(sorted(ours), sorted(values), atol=1e-8)


def test_the_strongest_footprint_near_a_gene_counts():
    base = grn.pp.base_grn_from_footprints(FOOTPRINTS, starts=STARTS)
    per_base = np.log(10) / 1e6
    table = base.set_index(["source", "target"])
    # footprint 2 of SPI1 is stronger at both genes, in spite of its distance from KLF1
    assert table.loc[("SPI1", "TAL1"), "score"] == pytest.approx(3.0 - per_base * 9981)
    assert table.loc[("SPI1", "KLF1"), "score"] == pytest.approx(3.0 - per_base * 380_000)
    assert set(table["region"]) == {"chr1:390000-390020", "chr1:9000-9020"}
    # no gene regulates itself, and none is near the footprint on chromosome 3
    assert set(table.index) == {("SPI1", "TAL1"), ("SPI1", "KLF1"), ("KLF1", "TAL1")}
    near = grn.pp.base_grn_from_footprints(FOOTPRINTS, starts=STARTS, window=50_000)
    assert near.set_index(["source", "target"]).loc[("SPI1", "KLF1"), "region"] == "chr1:9000-9020"
    pd.testing.assert_frame_equal(base, grn.pp.base_grn_from_footprints(FOOTPRINTS[::-1], starts=STARTS))


def test_strengths_and_motif_scores():
    strengths = pd.DataFrame([[np.e, 1.0], [0.0, 2.0]], ["chr1:9000-9020", "chr1:100-120"], ["SPI1,MYB_a", "MYB_b"])
    motifs = pd.DataFrame([[1.0, np.e**2], [5.0, -1.0]], strengths.index, strengths.columns)
    base = grn.pp.base_grn_from_footprints(strengths, motifs=motifs, starts=STARTS, window=1000)
    distance = np.log(10) / 1e6 * 981
    got = base.set_index(["source", "target"])["score"]
    assert got.round(6).to_dict() == pytest.approx(
        {("MYB", "KLF1"): round(2 - distance, 6), ("SPI1", "KLF1"): round(1 - distance, 6)}
    )


def test_it_goes_into_dictys_and_speaks_of_the_genes_of_an_object():
    adata = grn.datasets.toy(n_cells=60, n_regulators=4, n_targets=4)
    assert {"SPI1", "TAL1", "KLF1"} <= set(adata.var_names)
    base = grn.pp.base_grn_from_footprints(FOOTPRINTS, starts=STARTS, adata=adata, min_overlap=0)
    grn.tl.dictys(adata, base_grn=base, layer="counts", n_steps=5, n_regulators=1)
    edges = adata.uns["dictys"]["edges"].astype({"source": str, "target": str})
    assert set(zip(edges["source"], edges["target"], strict=True)) == {("SPI1", "TAL1"), ("SPI1", "KLF1")}


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"footprints": {}}, ParameterError, "footprints has type dict"),
        ({"motifs": "jaspar"}, ParameterError, "motifs has type str"),
        ({"footprints": FOOTPRINTS.drop(columns="region")}, NetworkError, "lacks region"),
        ({"footprints": FOOTPRINTS.assign(score=np.nan)}, NetworkError, "4 scores that are no finite numbers"),
        ({"footprints": FOOTPRINTS[:0]}, NetworkError, "no row"),
        ({"footprints": FOOTPRINTS.assign(source=None)}, NetworkError, "4 missing values"),
        ({"footprints": FOOTPRINTS.assign(region="here")}, RegionError, "here"),
        ({"footprints": FOOTPRINTS.assign(region="chr3:5-25")}, RegionError, "chr3"),
        ({"footprints": FOOTPRINTS[2:3], "window": 2000}, RegionError, "start of a gene of another name"),
        ({"motifs": pd.DataFrame(1.0, ["chr1:1-2"], ["SPI1"])}, NetworkError, "other, or repeated, names"),
        ({"window": -1}, ParameterError, "window=-1"),
        ({"adata": grn.datasets.toy(n_cells=5, n_regulators=1, n_targets=3)}, GeneOverlapError, "the object has"),
    ],
)
def test_what_is_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        grn.pp.base_grn_from_footprints(**{"footprints": FOOTPRINTS, "starts": STARTS, **arguments})
