"""SCENIC+ on objects: parity from end to end, planted truth, and what must not matter."""

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import grn
from grn.errors import ParameterError, RegionError, ResultNotFoundError
from grn.methods.scenicplus.eregulons import edge_table
from grn.methods.scenicplus.search_space import free_space

FAST = {"n_trees": 30, "max_rounds": 60, "min_targets": 3, "n_permutations": 100, "window": 60_000}


def toy(**sizes):
    mdata = grn.datasets.toy_multiome(**{"n_cells": 120, "n_regulators": 4, "n_targets": 20, **sizes})
    motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    return mdata


@pytest.fixture
def mdata():
    return toy()


def infer(mdata, **arguments):
    """What is written."""
    grn.tl.scenicplus(mdata, starts=mdata.uns["starts"], **{**FAST, **arguments})
    return mdata.uns["scenicplus"]


def plain(table, by=("source", "target")):
    """A table whose order and categories do not matter."""
    names = [name for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(names, object)).sort_values(list(by), ignore_index=True)


@pytest.fixture(scope="module")
def reference(shared_dir):
    return shared_dir / "reference" / "scenicplus"


@pytest.fixture(scope="module")
def original(reference):
    """What parity gives for the reference run."""
    genes = pd.read_csv(reference / "input_expression.csv.gz", index_col=0)
    regions = pd.read_csv(reference / "input_accessibility.csv.gz", index_col=0)
    rna = AnnData(genes.to_numpy(), obs=pd.DataFrame(index=genes.index), var=pd.DataFrame(index=genes.columns))
    atac = AnnData(regions.to_numpy(), obs=pd.DataFrame(index=genes.index), var=pd.DataFrame(index=regions.columns))
    bound = pd.read_csv(reference / "input_cistromes.csv.gz", index_col=0).stack()
    table = bound[bound > 0].rename_axis(["region", "source"]).reset_index()[["source", "region"]]
    space = pd.read_csv(reference / "input_search_space.csv")
    links = space.rename(columns={"Name": "region", "Gene": "gene", "Distance": "distance"})
    mdata = mudata.MuData({"rna": rna, "atac": atac})
    grn.tl.scenicplus(
        mdata,
        links=links,
        cistromes=table,
        sources=[f"TF{k}" for k in range(6)],
        parity=True,
        min_rho=0.03,
        quantiles=(0.85, 0.9),
        min_targets=5,
        values="log",
    )
    return mdata.uns["scenicplus"]


def test_parity_gives_the_eregulons_of_the_original(reference, original):
    theirs = pd.read_csv(reference / "eregulons.csv.gz")
    wanted = set(zip(theirs["TF"], theirs["region"], theirs["gene"], strict=True))
    ours = original["triplets"]
    triplets = set(zip(ours["source"], ours["region"], ours["target"], strict=True))
    assert len(triplets & wanted) / len(triplets | wanted) >= 0.95


def test_parity_gives_the_importances_of_the_original(reference, original):
    keys = {"TF": "source", "gene": "target"}
    ours = original["triplets"].astype({"source": str, "region": str, "target": str})
    genes = pd.read_csv(reference / "tf_to_gene.csv.gz").rename(columns={"TF": "source"})
    both = ours.merge(genes, on=["source", "target"])
    assert len(both) == len(ours)
    # values of an object have single precision, which breaks ties between equal splits of some genes in another way
    same = ~both["target"].isin(["G25"])
    np.testing.assert_allclose(both["importance_tf2g"][same], both["importance"][same], atol=1e-6)
    np.testing.assert_allclose(both["importance_tf2g"], both["importance"], atol=0.1)
    np.testing.assert_allclose(both["rho_tf2g"], both["rho"], atol=1e-6)
    theirs = pd.read_csv(reference / "eregulons.csv.gz").rename(columns=keys)
    both = ours.merge(theirs, on=["source", "region", "target"])
    np.testing.assert_allclose(both["rho_r2g"], both["rho_R2G"], atol=1e-6)
    off = np.abs(both["importance_r2g"] - both["importance_R2G"])
    assert off[~both["target"].isin(["G10", "G11"])].max() <= 1e-7
    assert off.max() < 5e-3


def test_order_of_genes_cells_and_regions_does_not_matter(mdata):
    first = infer(mdata)
    random = np.random.default_rng(0)
    cells = random.permutation(mdata.n_obs)
    rna = mdata["rna"][cells, random.permutation(mdata["rna"].n_vars)].copy()
    atac = mdata["atac"][cells, random.permutation(mdata["atac"].n_vars)].copy()
    moved = mudata.MuData({"rna": rna, "atac": atac})
    moved.uns["starts"] = mdata.uns["starts"].sample(frac=1, random_state=0)
    again = infer(moved)
    keys = ["source", "target", "region", "sign"]
    pd.testing.assert_frame_equal(
        plain(again["triplets"], keys), plain(first["triplets"], keys), check_exact=False, rtol=1e-6
    )
    pd.testing.assert_frame_equal(plain(again["edges"]), plain(first["edges"]), check_exact=False, rtol=1e-6)


def test_workers_and_another_call_change_nothing(mdata):
    first = infer(mdata)["triplets"]
    pd.testing.assert_frame_equal(infer(mdata, n_jobs=2)["triplets"], first)


def test_groups_are_fitted_by_themselves(mdata):
    every = infer(mdata, groupby="group")
    group = mdata["rna"].obs["group"].cat.categories[0]
    part = mdata[mdata["rna"].obs["group"] == group].copy()
    part.uns["starts"] = mdata.uns["starts"]
    alone = infer(part, groupby="group")
    keys = ["source", "target", "region", "sign"]
    mine = every["triplets"].query("group == @group")
    pd.testing.assert_frame_equal(plain(mine, keys), plain(alone["triplets"], keys), check_exact=False, rtol=1e-6)
    assert set(every["edges"]["group"]) == set(mdata["rna"].obs["group"])


def test_a_group_without_edges_keeps_its_other_tables(mdata):
    result = infer(mdata, groupby="group", min_targets=8)
    assert result["edges"]["group"].nunique() == 1
    assert set(result["region_gene"]["group"]) == set(mdata["rna"].obs["group"])


def test_edges_have_the_region_of_their_best_triplet(mdata):
    result = infer(mdata)
    edges, triplets = result["edges"], result["triplets"].astype({"source": str, "target": str})
    assert len(edges)
    best = triplets.sort_values("triplet_rank", kind="stable").drop_duplicates(["source", "target"])
    both = edges.astype({"source": str, "target": str}).merge(best, on=["source", "target"], suffixes=("", "_best"))
    assert len(both) == len(edges)
    assert (both["region"].astype(str) == both["region_best"].astype(str)).all()
    np.testing.assert_allclose(both["weight"].abs(), both["importance_tf2g"])
    assert (edges["direction"] == "motif").all()
    assert (np.sign(both["rho_tf2g"]) == both["sign"]).all()


def test_triplets_both_ways_tell_no_direction():
    pairs = [("A", "B"), ("B", "A"), ("A", "C")]
    triplets = pd.DataFrame(pairs, columns=["source", "target"]).assign(
        region="chr1:1-2", sign="+/+", importance_tf2g=[3.0, 2.0, 1.0], q=[0.1, 0.2, 0.3]
    )
    edges = edge_table(triplets).set_index(["source", "target"])["direction"]
    assert edges.loc[pairs].tolist() == ["none", "none", "motif"]


def test_triplets_are_bound_and_near(mdata):
    result = infer(mdata)
    triplets = result["triplets"].astype({"source": str, "region": str, "target": str})
    bound = result["tf_region"].astype(str)
    assert triplets.merge(bound[["source", "region"]], on=["source", "region"]).shape[0] == len(triplets)
    near = result["region_gene"].astype({"region": str, "target": str})
    assert near["distance"].abs().max() <= FAST["window"]
    np.testing.assert_allclose(near.groupby("target")["importance"].sum(), 1.0)
    assert triplets["triplet_rank"].min() == 1


def test_planted_triplets_come_first():
    mdata = toy(n_cells=400, n_regulators=6, n_targets=40)
    result = infer(mdata, n_trees=100, max_rounds=500)
    truth = set(map(tuple, mdata.uns["truth"][["source", "region", "target"]].astype(str).to_numpy()))
    triplets = result["triplets"].drop_duplicates(["source", "region", "target"])
    hit = np.array(
        [row in truth for row in map(tuple, triplets[["source", "region", "target"]].astype(str).to_numpy())]
    )
    top = len(hit) // 5
    assert hit[:top].mean() > 2 * hit[top:].mean()


def test_a_cistrome_that_is_given_takes_the_place_of_motifs(mdata):
    hits = grn.get.motif_hits(mdata["atac"])
    one = hits["source"].iloc[0]
    table = hits[hits["source"] == one][["source", "region"]].assign(extended=True)
    triplets = infer(mdata, cistromes=table, min_targets=1)["triplets"]
    assert set(triplets["source"]) <= {one}
    assert triplets["extended"].all()


def test_stored_cistromes_are_those_that_are_listed(mdata):
    hits = grn.get.motif_hits(mdata["atac"])
    table = hits[["source", "region"]].assign(extended=hits["score"] < hits["score"].median())
    sources = sorted(table["source"].unique())
    columns = pd.DataFrame([(s, e) for s in sources for e in (False, True)], columns=["source", "extended"])
    bound = set(table.itertuples(index=False, name=None))
    rows = [[(s, r, e) in bound for s, e in columns.to_numpy()] for r in mdata["atac"].var_names]
    mdata["atac"].varm["cistromes"] = sparse.csr_matrix(np.array(rows, dtype=np.int8))
    mdata["atac"].uns["cistromes"] = {"columns": columns}
    given = infer(mdata, cistromes=table, min_targets=1)["triplets"]
    pd.testing.assert_frame_equal(infer(mdata, cistromes="cistromes", min_targets=1)["triplets"], given)
    assert set(given["extended"]) == {True, False}


def test_a_score_that_is_missing_is_the_lowest(mdata):
    hits = grn.get.motif_hits(mdata["atac"])[["source", "region", "score"]]
    one = hits["source"].iloc[0]
    lacking = hits.assign(score=hits["score"].where(hits["source"] != one))
    ranked = infer(mdata, cistromes=lacking, min_targets=1)["triplets"]
    zero = infer(mdata, cistromes=lacking.fillna({"score": 0.0}), min_targets=1)["triplets"]
    pd.testing.assert_frame_equal(ranked, zero)
    assert one in set(ranked["source"]) and ranked["triplet_rank"].nunique() > len(ranked) / 2
    assert mdata.uns["scenicplus"]["edges"]["score"].between(0, 300).all()


def test_evidence_of_which_nothing_is_said_is_direct(mdata):
    table = grn.get.motif_hits(mdata["atac"])[["source", "region"]]
    given = infer(mdata, cistromes=table.assign(extended=None), min_targets=1)["triplets"]
    assert len(given) and not given["extended"].any()


def test_links_that_are_given_take_the_place_of_distances(mdata):
    space = grn.genome.link_genes(mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=9000, downstream=9000)
    grn.tl.scenicplus(mdata, links=space, **{**FAST, "min_targets": 1})
    by_table = mdata.uns["scenicplus"]["region_gene"]
    assert by_table["distance"].abs().max() <= 9000
    pd.testing.assert_frame_equal(infer(mdata, window=9000, min_targets=1)["region_gene"], by_table)


def test_the_window_ends_at_the_next_gene():
    starts = pd.DataFrame(
        {
            "chrom": ["chr1"] * 4,
            "position": [10_000, 10_500, 60_000, 400_000],
            "strand": ["+", "-", "+", "-"],
            "gene": ["a", "b", "c", "d"],
        }
    )
    space = free_space(starts, 150_000)
    assert space.loc["a"].tolist() == [150_000, 1000]
    assert space.loc["b"].tolist() == [49_500, 1000]
    assert space.loc["c"].tolist() == [49_500, 150_000]
    assert space.loc["d"].tolist() == [150_000, 150_000]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"mode": "slow"}, ParameterError, "mode"),
        ({"mode": "fast", "parity": True}, ParameterError, "no fast mode"),
        ({"quantiles": (), "per_gene": ()}, ParameterError, "no link would be strong"),
        ({"min_rho": 2}, ParameterError, "min_rho"),
        ({"per_gene": (0,)}, ParameterError, "per_gene"),
        ({"motifs": "other"}, ResultNotFoundError, "scan_motifs"),
        ({"links": "other"}, ResultNotFoundError, "link_regions"),
        ({"links": pd.DataFrame({"region": ["chr1:1-2"]})}, RegionError, "gene"),
        ({"links": pd.DataFrame({"region": ["chr1:1-2"], "gene": ["x"]})}, RegionError, "no link joins"),
        ({"cistromes": pd.DataFrame({"source": ["x"]})}, ParameterError, "source, region"),
        ({"cistromes": pd.DataFrame({"source": ["x"], "region": ["chr1:1-2"]})}, RegionError, "no regulator"),
        ({"quantiles": 0.9}, ParameterError, "quantiles=0.9; pass a list"),
        ({"per_gene": 5}, ParameterError, "per_gene=5; pass a list"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(mdata, arguments, error, words):
    before = set(mdata.uns), set(mdata["rna"].uns)
    with pytest.raises(error, match=words):
        infer(mdata, **arguments)
    assert (set(mdata.uns), set(mdata["rna"].uns)) == before


def test_scores_that_are_no_numbers_are_told(mdata):
    hits = grn.get.motif_hits(mdata["atac"])[["source", "region"]]
    for score in ("high", np.inf):
        with pytest.raises(ParameterError, match="no finite numbers"):
            infer(mdata, cistromes=hits.assign(score=score))


def test_without_chromatin_it_is_told(mdata):
    with pytest.raises(RegionError, match="MuData"):
        grn.tl.scenicplus(mdata["rna"], starts=mdata.uns["starts"])


def test_without_motifs_regulators_and_regions_of_genes_are_those_of_a_run_with_them(mdata):
    whole = infer(mdata, min_targets=1)
    del mdata["atac"].uns["motifs"], mdata["atac"].varm["motifs"]
    result = infer(mdata, motifs=None)
    pd.testing.assert_frame_equal(plain(result["region_gene"], ["region"]), plain(whole["region_gene"], ["region"]))
    assert result["triplets"].empty and result["modules"].empty and result["tf_region"].empty
    assert list(result["edges"].columns) == ["source", "target", "weight", "sign", "direction"]
    edges = plain(result["edges"]).set_index(["source", "target"])
    assert (edges["weight"] * edges["sign"] > 0).all()
    assert all(source != target for source, target in edges.index)
    triplets = whole["triplets"].astype({"source": str, "target": str}).query("source != target")
    pairs = triplets.drop_duplicates(["source", "target"]).set_index(["source", "target"])
    assert 0 < len(pairs) < len(edges)
    weight = edges["weight"].loc[pairs.index]
    np.testing.assert_allclose(weight.abs(), pairs["importance_tf2g"], rtol=1e-6)
    assert (np.sign(weight) == np.sign(pairs["rho_tf2g"])).all()


def test_without_motifs_groups_and_files_work(mdata, tmp_path):
    edges = infer(mdata, motifs=None, groupby="group")["edges"]
    assert set(edges["group"]) == {"group_1", "group_2"}
    del mdata.uns["genome"]
    mdata.write(tmp_path / "cells.h5mu")
    again = mudata.read_h5mu(tmp_path / "cells.h5mu").uns["scenicplus"]
    assert len(again["edges"]) == len(edges) and len(again["triplets"]) == 0


def test_modules_too_small_leave_no_edges(mdata):
    result = infer(mdata, min_targets=500)
    assert result["edges"].empty
    assert result["triplets"].empty


def test_results_survive_a_file(mdata, tmp_path):
    before = infer(mdata)["triplets"]
    del mdata.uns["genome"]
    mdata.write(tmp_path / "cells.h5mu")
    after = mudata.read_h5mu(tmp_path / "cells.h5mu").uns["scenicplus"]["triplets"]
    pd.testing.assert_frame_equal(after.astype(before.dtypes), before)


def test_fast_agrees_with_exact():
    mdata = toy(n_cells=400, n_targets=30)
    tables = {}
    for mode in ("exact", "fast"):
        table = infer(mdata, mode=mode, n_trees=200, max_rounds=500)["region_gene"]
        tables[mode] = table.astype({"region": str, "target": str}).set_index(["target", "region"])["importance"]
    both = pd.DataFrame(tables)
    assert both.groupby("target").apply(lambda part: part["exact"].corr(part["fast"], "spearman")).mean() > 0.85
