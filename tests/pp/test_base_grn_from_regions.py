import mudata
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import GeneOverlapError, NetworkError, ParameterError, RegionError, ResultNotFoundError

KEYS = ["source", "target", "region"]


def scanned(**sizes):
    mdata = grn.datasets.toy_multiome(**{"n_cells": 30, "n_regulators": 4, "n_targets": 12, **sizes})
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return mdata


@pytest.fixture(scope="module")
def shared():
    return scanned()


@pytest.fixture
def mdata(shared):
    return shared.copy()


def near(mdata, window=60_000):
    starts = mdata.uns["starts"]
    return grn.genome.link_genes(mdata["atac"].var_names, starts=starts, upstream=window, downstream=window)


def triples(table):
    return set(table[KEYS].astype(str).itertuples(index=False, name=None))


def by_merging(mdata, links):
    """The same by pandas, in the genes of the object."""
    table = grn.get.motif_hits(mdata["atac"]).merge(links, on="region").rename(columns={"gene": "target"})
    genes = set(mdata["rna"].var_names)
    return table[table["source"].isin(genes) & table["target"].isin(genes) & (table["source"] != table["target"])]


def test_regions_on_promoters_by_starts(mdata):
    table = grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])
    links = near(mdata)
    links = links[links["distance"].between(-1000, 100)]
    expected = by_merging(mdata, links)
    assert triples(table) == triples(expected) and len(table) == len(expected) > 5
    assert table["promoter"].all() and (table["link"] == 1).all() and table["distance"].between(-1000, 100).all()
    both = table.merge(expected, on=KEYS, suffixes=("", "_expected"))
    np.testing.assert_allclose(both["score"], both["score_expected"])
    assert (both["motif"].astype(str) == both["motif_expected"].astype(str)).all()
    facts = table.attrs["base_grn"]
    assert facts["evidence"] == "motif" and facts["lost_targets"] == [] and facts["promoters"] == facts["regions"]
    bare = mdata.uns["starts"].assign(chrom=mdata.uns["starts"]["chrom"].str.removeprefix("chr"))
    assert triples(grn.pp.base_grn_from_regions(mdata, starts=bare)) == triples(table)


def test_links_beside_promoters_count_from_min_link_on(mdata):
    links = near(mdata).assign(score=lambda t: np.where(t["gene"] == t["gene"].min(), 0.8, 0.79))
    strong = (links["score"] >= 0.8) | links["distance"].between(-1000, 100)
    table = grn.pp.base_grn_from_regions(mdata, links=links)
    assert triples(table) == triples(by_merging(mdata, links[strong]))
    assert set(table["link"]) == {0.8, 1.0} and set(table.loc[table["promoter"], "link"]) == {1.0}
    every = grn.pp.base_grn_from_regions(mdata, links=links, min_link=None)
    assert triples(every) == triples(by_merging(mdata, links)) > triples(table)
    # links without scores all count
    plain = grn.pp.base_grn_from_regions(mdata, links=links[["region", "gene"]])
    assert triples(plain) == triples(every) and plain["distance"].isna().all() and plain["link"].isna().all()


def test_links_with_p_values_count_by_them(mdata):
    links = near(mdata).assign(score=0.1, pval=lambda t: np.where(t["gene"] == t["gene"].min(), 0.05, 0.06))
    strong = (links["pval"] <= 0.05) | links["distance"].between(-1000, 100)
    table = grn.pp.base_grn_from_regions(mdata, links=links)
    assert triples(table) == triples(by_merging(mdata, links[strong]))
    every = grn.pp.base_grn_from_regions(mdata, links=links, max_p=0.06)
    assert triples(every) == triples(by_merging(mdata, links)) > triples(table)
    by_score = grn.pp.base_grn_from_regions(mdata, links=links, max_p=None)
    assert by_score["promoter"].all()
    assert triples(grn.pp.base_grn_from_regions(mdata, links=links, max_p=None, min_link=None)) == triples(every)


def test_links_that_were_stored_are_read(mdata):
    links = near(mdata).assign(score=0.9)
    mdata["atac"].uns["links"] = {"table": links, "params": {}}
    mdata["atac"].uns["others"] = {"table": links.head(20), "params": {}}
    assert triples(grn.pp.base_grn_from_regions(mdata)) == triples(by_merging(mdata, links))
    assert triples(grn.pp.base_grn_from_regions(mdata, links="others")) == triples(by_merging(mdata, links.head(20)))


@pytest.mark.parametrize("how", ["correlation", "coaccess", "distance"])
def test_links_of_link_regions_are_read(how):
    mdata = scanned(n_cells=100)
    starts = mdata.uns["starts"]
    grn.pp.link_regions(mdata, how=how, starts=starts, upstream=30_000, downstream=30_000, null="trans")
    table = grn.pp.base_grn_from_regions(mdata)
    links = mdata["atac"].uns["links"]["table"]
    strong = links["score"] >= 0.8 if how == "distance" else links["pval"] <= 0.05
    strong |= links["distance"].between(-1000, 100)
    assert triples(table) == triples(by_merging(mdata, links[strong].astype({"region": str, "gene": str})))
    assert not table["promoter"].all()


def test_order_and_spelling_of_regions_and_links_do_not_matter(mdata):
    links = near(mdata).assign(score=0.9)
    table = grn.pp.base_grn_from_regions(mdata, links=links)
    turned = mdata["atac"][:, ::-1].copy()
    other = links.sample(frac=1, random_state=0).assign(region=lambda t: t["region"].str.replace(":", "-"))
    twice = pd.concat([other, other.assign(score=0.85)])
    again = grn.pp.base_grn_from_regions(turned, links=twice)
    again = grn.pp.base_grn(again, adata=mdata["rna"])
    pd.testing.assert_frame_equal(again.drop(columns="region"), table[["source", "target", "score"]], check_names=False)
    assert triples(again) == triples(table)


def test_regions_alone_keep_the_names_of_genes(mdata):
    table = grn.pp.base_grn_from_regions(mdata["atac"], starts=mdata.uns["starts"])
    assert "organism" not in table.attrs["base_grn"]
    assert triples(table) >= triples(grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"]))


def test_scores_can_be_cut(mdata):
    whole = grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])
    least = float(whole["score"].median())
    part = grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"], min_score=least)
    assert triples(part) == triples(whole[whole["score"] >= least]) and part.attrs["base_grn"]["below"] > 0
    with pytest.raises(RegionError, match="min_score"):
        grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"], min_score=99)


def test_objects_are_unchanged(mdata):
    before = mdata.copy()
    grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])
    for name in ("rna", "atac"):
        assert list(mdata[name].uns) == list(before[name].uns) and list(mdata[name].varm) == list(before[name].varm)


def test_without_hits_or_with_none(mdata):
    starts = mdata.uns["starts"]
    with pytest.raises(ResultNotFoundError, match=r"scan_motifs\(mdata\['atac'\]"):
        grn.pp.base_grn_from_regions(mdata, starts=starts, hits="others")
    mdata["atac"].varm["motifs"] = mdata["atac"].varm["motifs"][:, :2]
    with pytest.raises(ResultNotFoundError, match="2 columns"):
        grn.pp.base_grn_from_regions(mdata, starts=starts)


def test_empty_hits_and_motifs_without_factors(mdata):
    mdata["atac"].varm["motifs"] = mdata["atac"].varm["motifs"] * 0
    mdata["atac"].varm["motifs"].eliminate_zeros()
    with pytest.raises(RegionError, match="no hit"):
        grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])


def test_hits_in_other_regions_only(mdata):
    links = near(mdata)
    hits = mdata["atac"].varm["motifs"].tolil()
    row = mdata["atac"].var_names.get_loc(links["region"].iloc[0])
    hits[row] = 0
    mdata["atac"].varm["motifs"] = hits.tocsr()
    with pytest.raises(RegionError, match="1 regions with a gene has a hit"):
        grn.pp.base_grn_from_regions(mdata, links=links.head(1))


def test_a_wrong_build_is_named(mdata):
    starts = grn.genome.starts("hg19").iloc[::40]
    names = (
        starts["chrom"] + ":" + (starts["position"] - 100).astype(str) + "-" + (starts["position"] + 100).astype(str)
    )
    names = names.drop_duplicates().tolist()[: mdata["atac"].n_vars]
    atac = mdata["atac"][:, : len(names)].copy()
    atac.var_names = names
    assert len(grn.pp.base_grn_from_regions(atac, starts="hg19")) > 0
    assert triples(grn.pp.base_grn_from_regions(atac)) == triples(grn.pp.base_grn_from_regions(atac, starts="hg19"))
    with pytest.raises(RegionError, match=r"likely of hg19.*starts='hg38'"):
        grn.pp.base_grn_from_regions(atac, starts="hg38")
    with pytest.raises(RegionError, match="do not tell the build"):
        grn.pp.base_grn_from_regions(mdata)


def test_regions_without_a_gene(mdata):
    far = mdata.uns["starts"].assign(position=lambda t: t["position"] + 10**7)
    with pytest.raises(RegionError, match="no region is within 1000 bases"):
        grn.pp.base_grn_from_regions(mdata, starts=far)
    links = near(mdata)
    with pytest.raises(RegionError, match="joins a region"):
        grn.pp.base_grn_from_regions(mdata, links=links.assign(gene=""))
    with pytest.raises(RegionError, match="joins a region"):
        grn.pp.base_grn_from_regions(mdata, links=links.assign(region="chr9:5-25"))


def test_links_left_out_are_told(mdata, caplog):
    links = near(mdata)
    other = pd.concat([links, links.head(3).assign(gene=np.nan), links.head(2).assign(region="chr9:5-25")])
    table = grn.pp.base_grn_from_regions(mdata, links=other)
    assert triples(table) == triples(by_merging(mdata, links))
    assert "5 of " in caplog.text and "left out" in caplog.text


def test_all_links_too_weak(mdata):
    links = near(mdata).assign(score=0.3)
    links = links[links["distance"].abs() > 2000]
    with pytest.raises(RegionError, match=r"the highest score is 0\.3"):
        grn.pp.base_grn_from_regions(mdata, links=links)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"links": pd.DataFrame({"region": ["a"], "target": ["b"]})}, RegionError, "lacks gene"),
        ({"links": pd.DataFrame({"region": [], "gene": []})}, RegionError, "no rows"),
        ({"links": "none"}, ResultNotFoundError, "link_regions"),
        ({"links": 3}, RegionError, "DataFrame"),
        ({"starts": "hg20"}, ParameterError, "hg20"),
        ({"atac": "peaks"}, ParameterError, "no modality 'peaks'"),
        ({"rna": "genes"}, ParameterError, "no modality 'genes'"),
        ({"min_link": "a"}, ParameterError, "min_link"),
        ({"max_p": 2}, ParameterError, "max_p"),
        ({"min_score": True}, ParameterError, "min_score"),
        ({"upstream": -1}, ParameterError, "upstream"),
        ({"min_overlap": 2}, ParameterError, "min_overlap"),
    ],
)
def test_bad_arguments(mdata, wrong, error, match):
    arguments = {"starts": mdata.uns["starts"], **wrong}
    with pytest.raises(error, match=match):
        grn.pp.base_grn_from_regions(mdata, **arguments)


def test_links_whose_numbers_are_none(mdata):
    with pytest.raises(RegionError, match="no numbers"):
        grn.pp.base_grn_from_regions(mdata, links=near(mdata).assign(score="strong"))


def test_genes_of_another_organism(mdata):
    mdata["rna"].var_names = [f"AT{i}G01010" for i in range(mdata["rna"].n_vars)]
    with pytest.raises((GeneOverlapError, NetworkError)):
        grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])


def test_motifs_of_another_organism_than_the_genes(mdata):
    mouse = {"rna": mdata["rna"].copy(), "atac": mdata["atac"]}
    genes = grn.genome.starts("mm10")["gene"].unique()
    mouse["rna"].var_names = genes[: mdata["rna"].n_vars]
    starts = mdata.uns["starts"].assign(gene=genes[: len(mdata.uns["starts"])])
    with pytest.raises(NetworkError, match=r"sources are no gene.*organism='mouse'"):
        grn.pp.base_grn_from_regions(mudata.MuData(mouse), starts=starts, organism="mouse")


def test_no_object(mdata):
    with pytest.raises(ParameterError, match="MuData"):
        grn.pp.base_grn_from_regions(mdata["rna"].to_df())
