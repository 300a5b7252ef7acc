"""From planted sequences to cistromes: what is found is where it was planted, beyond what hits alone tell."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import roc_auc_score

import grn

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mdata():
    mdata = grn.datasets.toy_multiome(n_cells=800, n_targets=400, n_groups=3, rng=2)
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=grn.pp.motifs())
    grn.tl.region_sets(mdata, groupby="group")
    grn.tl.motif_enrichment(mdata, min_log2fc=0.5)
    return mdata


def more_often_than_by_chance(mdata, regions, source):
    planted = mdata.uns["planted"]
    mine, chosen, n = set(planted.loc[planted["source"] == source, "region"]), set(regions), mdata["atac"].n_vars
    both = len(mine & chosen)
    square = [[both, len(chosen) - both], [len(mine) - both, n - len(chosen) - len(mine) + both]]
    return fisher_exact(square, alternative="greater")[1] < 1e-3


@pytest.mark.parametrize("method", ["recovery", "differential"])
def test_motifs_are_enriched_where_they_are_frequent(mdata, method):
    stored = mdata["atac"].uns["motif_enrichment"]
    table = stored["table"].astype({"set": str, "method": str, "motif": str})
    table = table[table["method"] == method].merge(stored["factors"].astype(str), on="motif")
    table["score"] = table["nes"] if method == "recovery" else -np.log10(table["pval"]) * np.sign(table["log2fc"])
    best = table.groupby(["set", "factor"])[["score", "enriched"]].max()
    sets = mdata["atac"].uns["region_sets"]["table"].astype({"set": str}).groupby("set")["region"]
    pairs = [(name, source) for name in sets.groups for source in mdata.uns["regulators"]]
    label = np.array([more_often_than_by_chance(mdata, sets.get_group(name), source) for name, source in pairs])
    assert 2 <= label.sum() < len(label) / 2
    assert roc_auc_score(label, best.loc[pairs, "score"]) > 0.95
    enriched = best.loc[pairs, "enriched"].to_numpy(dtype=bool)
    assert (enriched & label).any() and not (enriched & ~label).any()


def test_cistromes_are_more_precise_than_hits_and_accessibility(mdata):
    grn.tl.cistromes(mdata)
    regulators, truth = set(mdata.uns["regulators"]), mdata.uns["truth"]
    acting = set(zip(truth["source"], truth["region"], strict=True))
    hits = grn.get.motif_hits(mdata["atac"])
    opened = hits[hits["region"].isin(set(mdata["atac"].uns["region_sets"]["table"]["region"]))]

    def precision(table: pd.DataFrame) -> float:
        mine = table[table["source"].isin(regulators)]
        assert len(mine) > 50
        return np.mean([pair in acting for pair in zip(mine["source"], mine["region"], strict=True)])

    assert precision(grn.get.cistromes(mdata)) > precision(opened) + 0.2 > precision(hits) + 0.3
