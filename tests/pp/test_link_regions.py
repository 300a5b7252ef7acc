import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control
from sklearn.metrics import average_precision_score

import grn
from grn._kernels import matrix
from grn.errors import (
    CellNameError,
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    GroupError,
    LayerError,
    ParameterError,
    RegionError,
    ResultNotFoundError,
)
from grn.pp import _link_evidence

NEAR = {"upstream": 30_000, "downstream": 30_000}
HOW = ("distance", "correlation", "coaccess")


@pytest.fixture(scope="module")
def simulated():
    mdata = grn.datasets.toy_multiome(n_cells=300)
    mdata["rna"].X = mdata["rna"].layers["counts"]
    return mdata


@pytest.fixture
def mdata(simulated):
    return simulated.copy()


def link(mdata, how="correlation", **arguments):
    """The links, as strings."""
    given = {"starts": mdata.uns.get("starts", "auto")} | NEAR | arguments
    grn.pp.link_regions(mdata, how=how, **given)
    return grn.get.region_links(mdata)


def log_normal(counts):
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)


def values(mdata):
    return [log_normal(np.asarray(m.to_df(), dtype=float)) for m in (mdata["atac"], mdata["rna"])]


def expected_rho(mdata, links, group=None):
    x, y = values(mdata)
    if group is not None:
        x, y = (v - pd.DataFrame(v).groupby(group).transform("mean").to_numpy() for v in (x, y))
    i = mdata["atac"].var_names.get_indexer(links["region"])
    j = mdata["rna"].var_names.get_indexer(links["gene"])
    return np.array([np.corrcoef(x[:, a], y[:, b])[0, 1] for a, b in zip(i, j, strict=True)])


def test_pairs_and_distances_are_those_of_link_genes(mdata):
    links = link(mdata, "distance", decay=10_000)
    starts = mdata.uns["starts"]
    expected = grn.genome.link_genes(mdata["atac"].var_names, starts=starts, **NEAR)
    both = links.merge(expected, on=["region", "gene"], suffixes=("", "_expected"))
    assert len(both) == len(links) == len(expected) > 200
    np.testing.assert_array_equal(both["distance"], both["distance_expected"])
    np.testing.assert_allclose(links["score"], np.exp(-links["distance"].abs() / 10_000))


def test_correlations_are_pearsons_of_log_normal_values(mdata):
    links = link(mdata)
    np.testing.assert_allclose(links["rho"], expected_rho(mdata, links), atol=1e-6)
    np.testing.assert_allclose(links["score"], links["rho"].abs())
    assert links["qval"].ge(links["pval"] * (1 - 1e-12)).all() and links["pval"].between(0, 1).all()


def test_within_groups_differences_of_groups_count_for_nothing(mdata):
    group = mdata["rna"].obs["group"].to_numpy()
    links = link(mdata, within="group")
    np.testing.assert_allclose(links["rho"], expected_rho(mdata, links, group), atol=1e-6)


def test_by_group_every_group_is_as_if_alone(mdata):
    links = link(mdata, groupby="group")
    assert list(mdata["atac"].uns["links"]["table"]["group"].cat.categories) == ["group_1", "group_2"]
    for name in ("group_1", "group_2"):
        part = mdata[mdata["rna"].obs["group"] == name].copy()
        alone = link(part)
        mine = links[links["group"] == name].drop(columns="group").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone, rtol=1e-6)


def test_coaccess_is_with_the_promoter_that_goes_along_most(mdata):
    links = link(mdata, "coaccess")
    x, _ = values(mdata)
    r = pd.DataFrame(np.corrcoef(x.T), index=mdata["atac"].var_names, columns=mdata["atac"].var_names)
    promoters = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=1000, downstream=100
    ).groupby("gene")["region"]
    promoters = promoters.apply(list)
    assert set(links["gene"]) == set(promoters.index)
    for region, gene, rho, promoter in links[["region", "gene", "rho", "promoter"]].itertuples(index=False):
        best = r.loc[region, promoters[gene]].abs()
        assert promoter in promoters[gene] and abs(rho) == pytest.approx(best.max(), abs=1e-6)
    own = links[links["region"] == links["promoter"]]
    assert len(own) > 20 and np.allclose(own["rho"], 1.0)
    others = links[links["region"] != links["promoter"]]
    np.testing.assert_allclose(others["qval"], false_discovery_control(others["pval"]))


def test_planted_links_are_found_better_than_by_distance(simulated):
    truth = simulated.uns["truth"]
    acting = set(zip(truth["region"], truth["target"], strict=True))
    areas = {}
    for name, arguments in {"distance": {"how": "distance"}, "all": {}, "within": {"within": "group"}}.items():
        links = link(simulated.copy(), **arguments)
        label = [pair in acting for pair in zip(links["region"], links["gene"], strict=True)]
        areas[name] = average_precision_score(label, links["score"])
    assert areas["within"] > areas["all"] + 0.1 > areas["distance"] + 0.2


def test_pvalues_hold_where_groups_differ_and_no_region_acts(simulated):
    """Cells are exchanged within groups: regions and genes still differ between them."""
    shares = []
    for seed in range(3):
        mdata = grn.datasets.toy_multiome(n_cells=300, rng=seed)
        group, order = mdata["rna"].obs["group"].to_numpy(), np.arange(300)
        random = np.random.default_rng(seed)
        for label in np.unique(group):
            order[group == label] = random.permutation(order[group == label])
        mdata["atac"].X = mdata["atac"].X[order]
        shares.append((link(mdata, layer="counts")["pval"] < 0.05).mean())
    assert 0.02 < np.mean(shares) < 0.08


@pytest.mark.parametrize("how", HOW)
def test_order_of_cells_regions_and_genes_does_not_matter(mdata, how):
    expected = link(mdata, how)
    random = np.random.default_rng(0)
    rna, atac = mdata["rna"], mdata["atac"]
    cells = random.permutation(rna.n_obs)
    other = mudata.MuData(
        {
            "rna": rna[cells][:, random.permutation(rna.n_vars)].copy(),
            "atac": atac[random.permutation(atac.n_obs)][:, random.permutation(atac.n_vars)].copy(),
        }
    )
    found = link(other, how, starts=mdata.uns["starts"].sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-8)


@pytest.mark.parametrize("how", HOW[1:])
def test_blocks_and_formats_do_not_matter(mdata, how, monkeypatch):
    expected = link(mdata, how, groupby="group")
    monkeypatch.setattr(_link_evidence, "_DENSE", 800)
    monkeypatch.setattr(_link_evidence, "_STORED", 900)
    monkeypatch.setattr(matrix, "VALUES", 500)
    for change in (sparse.csc_matrix, sparse.csr_matrix.toarray):
        mdata["atac"].X = change(sparse.csr_matrix(mdata["atac"].X))
        pd.testing.assert_frame_equal(link(mdata, how, groupby="group"), expected, rtol=1e-8)


@pytest.mark.parametrize("how", HOW)
def test_a_file_gives_the_same_and_keeps_the_links(mdata, how, tmp_path):
    expected = link(mdata, how, groupby="group" if how != "distance" else None)
    mdata.write_h5mu(tmp_path / "a.h5mu")
    back = mudata.read_h5mu(tmp_path / "a.h5mu")
    pd.testing.assert_frame_equal(grn.get.region_links(back), expected)
    assert back["atac"].uns["links"]["params"]["how"] == how
    backed = mudata.read_h5mu(tmp_path / "a.h5mu", backed="r")
    again = link(backed, how, groupby="group" if how != "distance" else None, key_added="links")
    pd.testing.assert_frame_equal(again, expected, rtol=1e-8)
    with pytest.raises(ParameterError, match="read_h5mu"):
        grn.pp.link_regions(backed, how=how, starts=back.uns["starts"], copy=True)


def test_regions_alone_are_linked_to_all_genes(mdata):
    atac, starts = mdata["atac"], mdata.uns["starts"]
    more = pd.concat([starts, starts.assign(gene="other_" + starts["gene"])])
    copied = grn.pp.link_regions(atac, how="distance", starts=more, copy=True, key_added="far", **NEAR)
    assert "far" not in atac.uns and set(copied.uns["far"]["table"]["gene"]) >= {starts["gene"][0]}
    assert copied.uns["far"]["table"]["gene"].str.startswith("other_").sum() > 200
    grn.pp.link_regions(atac, how="coaccess", starts=starts, **NEAR)
    alone = grn.get.region_links(atac)
    pd.testing.assert_frame_equal(alone, link(mdata, "coaccess"))
    with pytest.raises(ParameterError, match="MuData"):
        grn.pp.link_regions(atac, starts=starts)
    with pytest.raises(ParameterError, match="type int"):
        grn.pp.link_regions(3, how="distance")


def test_a_copy_leaves_the_object_as_it_was(mdata):
    copied = grn.pp.link_regions(mdata, starts=mdata.uns["starts"], copy=True, **NEAR)
    assert "links" not in mdata["atac"].uns and isinstance(copied["atac"].uns["links"]["table"], pd.DataFrame)
    params = copied["atac"].uns["links"]["params"]
    assert params["n_links"] == len(copied["atac"].uns["links"]["table"])
    assert (params["values"], params["starts"]) == ("counts", "given")


@pytest.mark.parametrize("how", HOW[1:])
def test_progress_is_shown_or_not(mdata, how, capsys):
    for wanted in (True, False):
        capsys.readouterr()
        with grn.settings.override(progress=not wanted):
            link(mdata, how, progress=wanted)
        assert ("it/s" in capsys.readouterr().err) is wanted


def test_names_of_modalities_and_layers(mdata):
    expected = link(mdata)
    atac = mdata["atac"]
    atac.layers["open"], atac.X = atac.X, sparse.csr_matrix(atac.shape, dtype=np.float32)
    other = mudata.MuData({"gex": mdata["rna"], "peaks": atac})
    grn.pp.link_regions(
        other, rna="gex", atac="peaks", atac_layer="open", layer="counts", starts=mdata.uns["starts"], **NEAR
    )
    pd.testing.assert_frame_equal(grn.get.region_links(other, atac="peaks"), expected, rtol=1e-6)
    with pytest.raises(ParameterError, match="peaks"):
        grn.pp.link_regions(other, rna="gex", starts=mdata.uns["starts"])
    with pytest.raises(LayerError, match="open"):
        grn.pp.link_regions(other, rna="gex", atac="peaks", atac_layer="close", starts=mdata.uns["starts"])


def test_values_that_are_no_counts_are_taken_as_they_are(mdata):
    counts = link(mdata)
    atac = mdata["atac"]
    atac.X = sparse.csr_matrix(log_normal(atac.X.toarray()))
    pd.testing.assert_frame_equal(link(mdata), counts, rtol=1e-3)


def test_a_table_of_links_is_taken(mdata):
    near = grn.genome.link_genes(mdata["atac"].var_names, starts=mdata.uns["starts"], **NEAR)
    table = near[["region", "gene"]].iloc[::7]
    links = link(mdata, "table", table=table)
    both = links.merge(near, on=["region", "gene"], suffixes=("", "_expected"))
    assert len(both) == len(links) == len(table) and (links["score"] == 1).all()
    np.testing.assert_array_equal(both["distance"], both["distance_expected"])
    whole = table.assign(distance=-5, score=np.arange(len(table)), note="x")
    links = link(mdata, "table", table=whole, starts="auto")
    assert links.columns.tolist() == ["region", "gene", "distance", "score"] and (links["distance"] == -5).all()
    assert sorted(links["score"]) == list(range(len(table)))


def test_regions_of_a_table_may_be_spelled_otherwise(mdata):
    near = grn.genome.link_genes(mdata["atac"].var_names, starts=mdata.uns["starts"], **NEAR)[["region", "gene"]]
    expected = link(mdata, "table", table=near)
    other = near.assign(region=near["region"].str.replace("[:-]", "_", regex=True))
    pd.testing.assert_frame_equal(link(mdata, "table", table=other), expected)
    with pytest.raises(ParameterError, match="repeat a link"):
        link(mdata, "table", table=pd.concat([near, other]))


def test_a_file_by_regions_is_read_and_the_cost_is_told(mdata, tmp_path, caplog):
    expected = link(mdata)
    mdata["atac"].X = mdata["atac"].X.tocsc()
    mdata.write_h5mu(tmp_path / "a.h5mu")
    backed = mudata.read_h5mu(tmp_path / "a.h5mu", backed="r")
    with caplog.at_level("WARNING", logger="grn"):
        pd.testing.assert_frame_equal(link(backed, starts=mdata.uns["starts"]), expected, rtol=1e-8)
    assert "stored by regions" in caplog.text


def test_links_between_chromosomes_have_no_distance(mdata, caplog):
    starts, names = mdata.uns["starts"], mdata["atac"].var_names
    gene = starts.loc[starts["chrom"] == "chr2", "gene"].iloc[0]
    with caplog.at_level("WARNING", logger="grn"):
        links = link(mdata, "table", table=pd.DataFrame({"region": [names[0]], "gene": [gene]}))
    assert links["distance"].isna().all() and "no distance" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to_dict(), "DataFrame"),
        (lambda t: t.rename(columns={"region": "peak"}), "lacks the columns region"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(gene=[None, *t["gene"][1:]]), "no region or no gene"),
        (lambda t: pd.concat([t, t]), "repeat a link"),
        (lambda t: t.assign(region="chr9:1-2").head(1), r"not in adata\.var_names"),
        (lambda t: t.assign(gene="nobody").head(1), "not in the var_names of RNA"),
        (lambda t: t.assign(score=np.nan), "'score' of table holds"),
        (lambda t: t.assign(score=-1.0), "at least 0"),
        (lambda t: t.assign(distance="far"), "'distance' of table holds 'far'"),
    ],
)
def test_a_malformed_table_is_told(mdata, change, message):
    table = grn.genome.link_genes(mdata["atac"].var_names, starts=mdata.uns["starts"], **NEAR).head(4)
    with pytest.raises((ParameterError, RegionError, GeneOverlapError), match=message):
        link(mdata, "table", table=change(table[["region", "gene"]]))
    assert "links" not in mdata["atac"].uns


def test_rare_regions_and_genes_have_no_link_and_are_counted(mdata, caplog):
    everything = link(mdata, min_cells=1)
    atac = mdata["atac"]
    closed, rare = everything["region"].unique()[[3, 8]]
    x = atac.X.tolil()
    x[:, atac.var_names.get_loc(closed)] = 0
    x[:, atac.var_names.get_loc(rare)] = 0
    x[:4, atac.var_names.get_loc(rare)] = 1
    atac.X = x.tocsr()
    with caplog.at_level("INFO", logger="grn"):
        links = link(mdata)
    assert not set(links["region"]) & {closed, rare} and "have no link" in caplog.text
    assert links[["rho", "pval", "qval"]].notna().all(axis=None)
    assert len(everything) - len(links) == everything["region"].isin([closed, rare]).sum()
    assert rare in set(link(mdata, min_cells=4)["region"])
    with pytest.raises(ExpressionError, match="min_cells"):
        link(mdata, min_cells=1000, null=None)


def test_chromosomes_with_and_without_prefix(mdata):
    expected = link(mdata)
    mdata["atac"].var_names = mdata["atac"].var_names.str.removeprefix("chr")
    bare = mdata.uns["starts"].assign(chrom=mdata.uns["starts"]["chrom"].str.removeprefix("chr"))
    for starts in (mdata.uns["starts"], bare):
        links = link(mdata, starts=starts)
        assert links["region"].tolist() == expected["region"].str.removeprefix("chr").tolist()
    names = [name if k % 2 else f"chr{name}" for k, name in enumerate(mdata["atac"].var_names)]
    mdata["atac"].var_names = names
    with pytest.raises(RegionError, match="two ways"):
        link(mdata)


def test_a_wrong_build_is_told():
    starts = grn.genome.starts("hg19").iloc[::60].drop_duplicates("gene")
    names = [f"{c}:{p - 250}-{p + 250}" for c, p in zip(starts["chrom"], starts["position"], strict=True)]
    cells = [f"c{k}" for k in range(20)]
    random = np.random.default_rng(0)
    mdata = mudata.MuData(
        {
            "rna": ad.AnnData(random.poisson(2.0, (20, len(starts))).astype(float)),
            "atac": ad.AnnData(random.poisson(2.0, (20, len(starts))).astype(float)),
        }
    )
    for modality, named in (("rna", starts["gene"]), ("atac", names)):
        mdata.mod[modality].obs_names, mdata.mod[modality].var_names = cells, list(named)
    with pytest.raises(RegionError, match="likely of hg19"):
        grn.pp.link_regions(mdata, starts="hg38")
    with pytest.raises(GeneOverlapError, match="none of"):
        grn.pp.link_regions(mdata, starts=starts.assign(gene="ENSG" + starts["gene"]))
    grn.pp.link_regions(mdata)
    assert mdata["atac"].uns["links"]["params"]["starts"] == "hg19"
    assert (grn.get.region_links(mdata, max_distance=0)["distance"] == 0).sum() >= len(starts)


def test_malformed_objects_are_told(mdata):
    starts, atac, rna = mdata.uns["starts"], mdata["atac"], mdata["rna"]

    def fails(error, match, **modalities):
        changed = mudata.MuData({"rna": rna.copy(), "atac": atac.copy()} | modalities)
        with pytest.raises(error, match=match):
            grn.pp.link_regions(changed, starts=starts, **NEAR)
        assert "links" not in changed["atac"].uns

    broken = atac.copy()
    broken.X[0, 0] = np.nan
    fails(RegionError, "1 NaN", atac=broken)
    broken.X[0, 0] = -1
    fails(RegionError, "1 negative", atac=broken)
    empty = atac.copy()
    empty.X = empty.X * 0
    fails(RegionError, "only zeros", atac=empty)
    noisy = rna.copy()
    noisy.X = noisy.X.astype(float)
    noisy.X[0, 0] = np.nan
    fails(ExpressionError, "NaN", rna=noisy)
    twice = atac.copy()
    twice.var_names = [twice.var_names[1], *twice.var_names[1:]]
    with pytest.raises(GeneNameError, match="more than once"):
        grn.pp.link_regions(twice, how="distance", starts=starts)
    spelled = atac.copy()
    spelled.var_names = [spelled.var_names[1].replace(":", "-"), *spelled.var_names[1:]]
    fails(RegionError, "more than once", atac=spelled)
    named = atac.copy()
    named.var_names = [f"peak{k}" for k in range(named.n_vars)]
    fails(RegionError, "no regions", atac=named)
    far = atac.copy()
    far.var_names = [f"chr1:{10**8 + 500 * k}-{10**8 + 500 * k + 100}" for k in range(far.n_vars)]
    fails(RegionError, "widen the window", atac=far)
    strangers = atac.copy()
    strangers.obs_names = [f"x{k}" for k in range(strangers.n_obs)]
    fails(CellNameError, "no cell of RNA", atac=strangers)
    fails(CellNameError, "in both", atac=atac[5:].copy())
    fails(RegionError, "null=None", atac=atac[:, atac.var["chrom"] == "chr1"].copy())


def test_one_chromosome_is_linked_without_a_null(mdata):
    part = mudata.MuData({"rna": mdata["rna"], "atac": mdata["atac"][:, mdata["atac"].var["chrom"] == "chr1"].copy()})
    links = link(part, starts=mdata.uns["starts"], null=None)
    assert links.columns.tolist() == ["region", "gene", "distance", "score", "rho"]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"how": "correlations"}, ParameterError, "Did you mean 'correlation'"),
        ({"how": "table"}, ParameterError, "table="),
        ({"table": pd.DataFrame()}, ParameterError, "table="),
        ({"upstream": -1}, ParameterError, "upstream"),
        ({"decay": 0}, ParameterError, "decay"),
        ({"null": "cells"}, ParameterError, "null"),
        ({"min_cells": 0}, ParameterError, "min_cells"),
        ({"groupby": "group", "within": "group"}, ParameterError, "within"),
        ({"groupby": "nothing"}, GroupError, "nothing"),
        ({"within": "cell"}, GroupError, "fewer than 10"),
        ({"key_added": "a/b"}, ParameterError, "key_added"),
        ({"starts": pd.DataFrame({"gene": ["A"]})}, ParameterError, "lacks chrom"),
        ({"starts": "hg37"}, ParameterError, "starts='hg37'"),
    ],
)
def test_arguments_are_checked(mdata, arguments, error, match):
    mdata["rna"].obs["cell"] = mdata["rna"].obs_names
    given = {"starts": mdata.uns["starts"]} | NEAR | arguments
    with pytest.raises(error, match=match):
        grn.pp.link_regions(mdata, **given)
    assert "links" not in mdata["atac"].uns


def test_columns_of_the_whole_object_or_the_regions_are_groups(mdata):
    expected = link(mdata, within="group")
    label = mdata["rna"].obs.pop("group")
    mdata["atac"].obs["line"] = mdata["atac"].obs.pop("group")
    mdata.obs = pd.DataFrame({"type": label}, index=mdata.obs_names)
    for name in ("type", "line"):
        pd.testing.assert_frame_equal(link(mdata, within=name), expected)


def test_the_null_is_drawn_by_the_seed(mdata, monkeypatch):
    monkeypatch.setattr(_link_evidence, "_BACKGROUND", 60)
    first, again, other = (link(mdata, rng=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    np.testing.assert_array_equal(first["rho"], other["rho"])
    assert (first["zscore"] != other["zscore"]).mean() > 0.9


class TestReading:
    def test_filters(self, mdata):
        links = link(mdata, groupby="group")
        get = grn.get.region_links
        genes = links["gene"].unique()[:2].tolist()
        assert set(get(mdata, genes=genes)["gene"]) == set(genes)
        assert set(get(mdata, group="group_1")["group"]) == {"group_1"}
        assert (get(mdata, max_q=0.2)["qval"] <= 0.2).all() and 0 < len(get(mdata, max_q=0.2)) < len(links)
        assert len(get(mdata, min_score=0.2)) == (links["score"] >= 0.2).sum()
        assert len(get(mdata, max_distance=500)) == (links["distance"].abs() <= 500).sum()
        assert len(get(mdata, sign=-1)) == (links["rho"] < 0).sum()
        top = get(mdata, top_per_gene=2)
        assert (top.groupby(["gene", "group"]).size() == 2).all()
        best = links.groupby(["gene", "group"])["score"].max()
        np.testing.assert_allclose(top.groupby(["gene", "group"])["score"].max(), best)

    def test_regions_that_were_sliced_away_are_left_out(self, mdata):
        link(mdata)
        part = mdata["atac"][:, :50].copy()
        assert set(grn.get.region_links(part)["region"]) <= set(part.var_names)

    def test_errors(self, mdata):
        with pytest.raises(ResultNotFoundError, match="link_regions"):
            grn.get.region_links(mdata)
        link(mdata, "distance")
        for arguments, match in [
            ({"max_q": 0.1}, "qval"),
            ({"sign": 1}, "rho"),
            ({"group": "a"}, "groupby"),
            ({"genes": "A"}, "single string"),
            ({"top_per_gene": 0}, "top_per_gene"),
        ]:
            with pytest.raises(ParameterError, match=match):
                grn.get.region_links(mdata, **arguments)
        with pytest.raises(ParameterError, match="sign=2"):
            grn.get.region_links(mdata, sign=2)
        mdata["atac"].uns["links"] = {"table": 3}
        with pytest.raises(ResultNotFoundError, match="damaged"):
            grn.get.region_links(mdata)
        with pytest.raises(ParameterError, match="modality"):
            grn.get.region_links(mdata, atac="peaks")


@pytest.mark.slow
def test_real_cells_are_linked_whole(shared_dir):
    folder = shared_dir / "data" / "multiome"
    mdata = mudata.MuData({n: ad.read_h5ad(folder / f"human_snareseq_lines_{n}.h5ad") for n in ("rna", "atac")})
    grn.pp.link_regions(mdata, starts="hg38")
    links = grn.get.region_links(mdata)
    assert len(links) > 50_000 and links["gene"].nunique() > 5_000
    assert 0.04 < (links["pval"] < 0.05).mean() < 0.08
