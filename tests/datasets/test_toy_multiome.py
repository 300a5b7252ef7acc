import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

import grn
from grn.errors import ParameterError


@pytest.fixture(scope="module")
def mdata():
    return grn.datasets.toy_multiome()


def normal(adata):
    counts = adata.to_df()
    return np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e3)


def correlations(first, second):
    together = np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :]
    return pd.DataFrame(together, index=first.columns, columns=second.columns)


def test_what_is_in_it(mdata):
    truth, genome = mdata.uns["truth"], mdata.uns["genome"]
    rna, atac = mdata["rna"], mdata["atac"]
    assert rna.shape == (600, 48) and atac.shape == (600, 200) and list(rna.obs_names) == list(atac.obs_names)
    table = grn.genome.parse_regions(atac.var_names)
    assert (table[["chrom", "start", "end"]].to_numpy() == atac.var[["chrom", "start", "end"]].to_numpy()).all()
    assert len(grn.genome.overlaps(atac.var_names, other=atac.var_names)) == atac.n_vars
    assert all(set(bases) == set("ACGT") for bases in genome.values())
    assert (truth["sign"] == truth["source_sign"] * truth["region_sign"]).all()
    assert set(truth["target"]) <= set(mdata.uns["starts"]["gene"]) and set(truth["source"]) == set(
        mdata.uns["regulators"]
    )
    acting = set(zip(truth["source"], truth["region"], strict=True))
    planted = set(map(tuple, mdata.uns["planted"].to_numpy()))
    assert acting < planted and 0.3 < len(acting) / len(planted) < 0.7
    one_group = truth.groupby(["region", "source"])["group"].nunique() == 1
    assert 0.1 < one_group.mean() < 0.6


def test_it_is_the_same_again_and_another_with_another_seed(mdata):
    again, other = grn.datasets.toy_multiome(), grn.datasets.toy_multiome(rng=1)
    for modality in ("rna", "atac"):
        assert (again[modality].X != mdata[modality].X).nnz == 0
    assert again.uns["genome"] == mdata.uns["genome"] != other.uns["genome"]
    pd.testing.assert_frame_equal(again.uns["truth"], mdata.uns["truth"])


def test_a_region_is_closed_outside_its_groups(mdata):
    truth = mdata.uns["truth"]
    groups = truth.groupby("region")["group"].agg(lambda listed: set(listed))
    alone = [region for region, listed in groups.items() if len(listed) == 1]
    mean = mdata["atac"].to_df().groupby(mdata["atac"].obs["group"], observed=True).mean()
    higher = [mean[region].idxmax() in groups[region] for region in alone]
    assert len(alone) > 10 and np.mean(higher) > 0.8


def test_signs_are_those_of_the_counts(mdata):
    one = mdata["rna"].obs["group"] == "group_1"
    genes, regions = normal(mdata["rna"])[one], normal(mdata["atac"])[one]
    truth = mdata.uns["truth"].query("group == 'group_1'")
    of_source, of_region = correlations(genes[mdata.uns["regulators"]], regions), correlations(regions, genes)
    signs = [(of_source.loc[t.source, t.region] * t.source_sign, of_region.loc[t.region, t.target] * t.region_sign)
             for t in truth.itertuples()]  # fmt: skip
    assert (np.array(signs) > 0).mean(axis=0).min() > 0.8


def test_motifs_links_and_correlation_find_the_truth_better_than_either(mdata):
    """Regulator-region: motif and correlation; region-gene: distance and correlation."""
    rna, atac = mdata["rna"], mdata["atac"].copy()
    regulators, truth = list(mdata.uns["regulators"]), mdata.uns["truth"]
    motifs = grn.pp.motifs().select(factors=regulators)
    grn.pp.scan_motifs(atac, sequences=mdata.uns["genome"], motifs=motifs)
    hits = grn.get.motif_hits(atac).pivot(index="source", columns="region", values="score")
    hits = hits.reindex(index=regulators, columns=atac.var_names).fillna(0.0)
    follows = correlations(normal(rna)[regulators], normal(atac)).abs()
    true = set(zip(truth["source"], truth["region"], strict=True))
    label = np.array([[(s, r) in true for r in atac.var_names] for s in regulators]).ravel()
    score = {
        name: average_precision_score(label, values.to_numpy().ravel())
        for name, values in {"motif": hits, "correlation": follows, "both": follows * (hits > 0)}.items()
    }
    assert score["motif"] > 2 * label.mean()
    assert score["both"] > score["motif"] + 0.15 and score["both"] > score["correlation"] + 0.05

    links = grn.genome.link_genes(atac.var_names, starts=mdata.uns["starts"], upstream=60_000, downstream=60_000)
    of_gene = correlations(normal(atac), normal(rna))
    weight = np.abs([of_gene.loc[r, g] for r, g in zip(links["region"], links["gene"], strict=True)])
    near = 1 / (1 + links["distance"].abs().to_numpy() / 10_000)
    pairs = set(zip(truth["region"], truth["target"], strict=True))
    label = np.array([pair in pairs for pair in zip(links["region"], links["gene"], strict=True)])
    assert label.sum() == len(pairs)
    distance, correlation, both = (average_precision_score(label, s) for s in (near, weight, near * weight))
    assert distance > 2 * label.mean() and both > distance + 0.15 and both > correlation + 0.05


def test_a_file_keeps_it(tmp_path, mdata):
    import mudata

    small = grn.datasets.toy_multiome(n_cells=12, n_regulators=2, n_targets=4, dropout=0.2)
    small.write(tmp_path / "a.h5mu")
    back = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert dict(back.uns["genome"]) == small.uns["genome"]
    assert back.uns["truth"].astype(str).equals(small.uns["truth"].astype(str))


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_cells": 0},
        {"n_groups": 7, "n_cells": 6},
        {"n_regulators": 10_000},
        {"dropout": 1.0},
        {"specific": 2},
        {"regions_per_gene": 0},
        {"regions_per_gene": 13},
    ],
)
def test_numbers_out_of_range(arguments):
    with pytest.raises(ParameterError, match=next(iter(arguments))):
        grn.datasets.toy_multiome(**arguments)


def test_many_regions_find_room():
    mdata = grn.datasets.toy_multiome(n_cells=4, n_targets=12, regions_per_gene=12)
    assert mdata["atac"].n_vars == 144
    assert len(grn.genome.overlaps(mdata["atac"].var_names, other=mdata["atac"].var_names)) == 144
