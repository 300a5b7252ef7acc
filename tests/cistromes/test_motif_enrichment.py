import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import grn
from grn.cistromes.background import Background, strata
from grn.cistromes.enrichment import Thresholds, places
from grn.errors import GroupError, MotifError, ParameterError, RegionError, ResultNotFoundError


def table_of(adata, method=None, name=None, key="motif_enrichment"):
    table = adata.uns[key]["table"].astype({"set": str, "method": str, "motif": str, "factors": str})
    keep = np.ones(len(table), dtype=bool)
    if method is not None:
        keep &= (table["method"] == method).to_numpy()
    if name is not None:
        keep &= (table["set"] == name).to_numpy()
    return table[keep]


def hits_of(adata, row):
    return set(adata.var_names[adata.varm["motif_enrichment"][:, [row]].toarray().ravel() > 0])


@pytest.mark.parametrize("method", ["recovery", "differential"])
def test_planted_motifs_are_enriched_in_their_sets(adata, sets, method):
    grn.tl.motif_enrichment(adata, sets=sets, method=method)
    table = table_of(adata)
    enriched = table[table["enriched"]]
    assert dict(zip(enriched["set"], enriched["motif"], strict=True)) == {"first": "M0", "second": "M1"}
    assert enriched["factors"].tolist() == ["A", "A, B"]
    for row, name in zip(enriched.index, enriched["set"], strict=True):
        hits = hits_of(adata, row)
        bearing = {r for r, s in zip(adata.var_names, adata.varm["motifs"][:, [int(enriched.loc[row, "motif"][1:])]]
                                     .toarray().ravel(), strict=True) if s > 0}  # fmt: skip
        assert hits <= set(sets[name]) & bearing and len(hits) == table.loc[row, "n_hits"] > 20
    assert (table.loc[~table["enriched"], "n_hits"] == 0).all()


def test_the_recovery_is_that_of_its_formula(adata, sets):
    grn.tl.motif_enrichment(adata, sets=sets, method="recovery", top=0.1)
    scores = adata.varm["motifs"].toarray().astype(float)
    area = np.zeros(30)
    for motif in range(30):
        ordered = -np.sort(-scores[:, motif])
        for row in range(40):
            ties = np.flatnonzero(ordered == scores[row, motif])
            area[motif] += np.maximum(40 - ties, 0).mean() / (40 * 40)
    table = table_of(adata, name="first").set_index("motif").loc[[f"M{k}" for k in range(30)]]
    np.testing.assert_allclose(table["auc"], area)
    np.testing.assert_allclose(table["nes"], (area - area.mean()) / area.std())


def test_the_difference_is_that_of_scipy(adata, sets):
    grn.tl.motif_enrichment(adata, sets=sets, method="differential", max_background=10**6)
    scores = adata.varm["motifs"].toarray().astype(float)
    inside, outside = scores[:40], scores[40:]
    both = zip(inside.T, outside.T, strict=True)
    pval = np.array([stats.mannwhitneyu(x, y, method="asymptotic").pvalue for x, y in both])
    table = table_of(adata, name="first").set_index("motif").loc[[f"M{k}" for k in range(30)]]
    np.testing.assert_allclose(table["pval"], pval)
    np.testing.assert_allclose(table["qval"], stats.false_discovery_control(pval))
    np.testing.assert_allclose(table["mean"], inside.mean(axis=0))
    np.testing.assert_allclose(
        table["log2fc"], np.log2((inside.mean(axis=0) + 0.01) / (outside.mean(axis=0) + 0.01)), atol=1e-9
    )


def test_no_order_matters_and_the_seed_does(adata, sets):
    def found(data, **arguments):
        grn.tl.motif_enrichment(data, sets=sets, max_background=100, **arguments)
        table = table_of(data)
        listed = [hits_of(data, row) for row in table.index[table["enriched"]]]
        return table, listed

    table, listed = found(adata)
    random = np.random.default_rng(0)
    order, motifs = random.permutation(adata.n_vars), random.permutation(30)
    moved = adata[:, order].copy()
    moved.varm["motifs"] = moved.varm["motifs"][:, motifs]
    moved.uns["motifs"]["names"] = moved.uns["motifs"]["names"][motifs]
    again, hits = found(moved)
    pd.testing.assert_frame_equal(again, table)
    assert hits == listed
    other, _ = found(adata, rng=1)
    pd.testing.assert_frame_equal(
        other[other["method"] == "recovery"].dropna(axis=1), table[table["method"] == "recovery"].dropna(axis=1)
    )
    assert not other["background"].equals(table["background"])


def test_a_set_does_not_depend_on_the_others(adata, sets):
    grn.tl.motif_enrichment(adata, sets=sets)
    both = table_of(adata, name="second").reset_index(drop=True)
    grn.tl.motif_enrichment(adata, sets={"second": sets["second"]})
    pd.testing.assert_frame_equal(table_of(adata).reset_index(drop=True), both)


def test_sets_can_be_named_in_many_ways(adata, sets):
    grn.tl.motif_enrichment(adata, sets=sets)
    expected = table_of(adata).drop(columns="set")
    long = pd.DataFrame([(name, region) for name, rows in sets.items() for region in rows], columns=["set", "region"])
    spelled = {name: [region.replace(":", "-") for region in rows] for name, rows in sets.items()}
    adata.uns["mine"] = {"table": long.astype("category")}
    for given in (long, spelled, "mine", ["mine"]):
        grn.tl.motif_enrichment(adata, sets=given)
        pd.testing.assert_frame_equal(table_of(adata).drop(columns="set"), expected)
    assert set(table_of(adata)["set"]) == {"mine:first", "mine:second"}


def test_regions_that_the_object_lacks_are_told_and_left_out(adata, sets, caplog):
    grn.tl.motif_enrichment(adata, sets=sets)
    expected = table_of(adata)
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.motif_enrichment(adata, sets={**sets, "first": [*sets["first"], "chr9:1-5", "chr9:9-15"]})
    assert "2 regions of the sets are not in var_names" in caplog.text
    pd.testing.assert_frame_equal(table_of(adata), expected)


@pytest.mark.parametrize(
    ("sets", "error", "message"),
    [
        ("region_sets", ResultNotFoundError, "grn.tl.region_sets"),
        ({}, RegionError, "no sets"),
        ({"a": []}, RegionError, "'a' has no regions"),
        ({"a": ["chr9:1-5"]}, RegionError, "none of the 1 regions of set 'a'"),
        ({"a": ["GATA1"]}, RegionError, "no regions"),
        ({"a": "chr1:0-500"}, ParameterError, "pass a list"),
        ({1: ["chr1:0-500"], "1": ["chr1:0-500"]}, GroupError, "told apart"),
        (3, ParameterError, "int"),
        (pd.DataFrame({"name": ["a"]}), ParameterError, "expected set, region"),
    ],
)
def test_bad_sets_are_told(adata, sets, error, message):
    before = set(adata.uns)
    with pytest.raises(error, match=message):
        grn.tl.motif_enrichment(adata, sets=sets)
    assert set(adata.uns) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "homer"}, "method"),
        ({"top": 0}, "top"),
        ({"depth": 2}, "depth"),
        ({"max_background": 1}, "max_background"),
        ({"match": ["gc"]}, "match"),
        ({"match": "gc"}, "single string"),
        ({"min_nes": float("nan")}, "min_nes"),
    ],
)
def test_bad_arguments_are_told(adata, sets, arguments, message):
    with pytest.raises(ParameterError, match=message):
        grn.tl.motif_enrichment(adata, sets=sets, **arguments)


def test_bad_scores_are_told(adata, sets):
    scores = adata.varm["motifs"].copy()
    adata.varm["motifs"].data[3] = np.nan
    with pytest.raises(MotifError, match="1 scores that are NaN"):
        grn.tl.motif_enrichment(adata, sets=sets)
    adata.varm["motifs"] = sparse.csr_matrix(scores.shape, dtype=np.float32)
    with pytest.raises(RegionError, match="no hit of any motif"):
        grn.tl.motif_enrichment(adata, sets=sets)
    adata.varm["motifs"] = scores[:, :4]
    with pytest.raises(ResultNotFoundError, match="4 columns"):
        grn.tl.motif_enrichment(adata, sets=sets)
    del adata.varm["motifs"]
    with pytest.raises(ResultNotFoundError, match="scan_motifs"):
        grn.tl.motif_enrichment(adata, sets=sets)


def test_scores_below_zero_are_no_hits(adata, sets):
    low = adata.copy()
    at = np.arange(low.varm["motifs"].nnz) % 3 == 0
    low.varm["motifs"].data[at] *= -1
    adata.varm["motifs"].data[at] = 0
    for data in (adata, low):
        grn.tl.motif_enrichment(data, sets=sets)
    pd.testing.assert_frame_equal(table_of(adata), table_of(low))


def test_a_single_motif_has_no_normalised_score_but_a_difference(adata, sets, caplog):
    adata.varm["motifs"] = adata.varm["motifs"][:, :1]
    adata.uns["motifs"]["names"] = adata.uns["motifs"]["names"][:1]
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.motif_enrichment(adata, sets=sets)
    assert "of 1 motifs none can reach a normalised score of 3" in caplog.text
    table = table_of(adata, name="first").set_index("method")
    assert np.isnan(table.loc["recovery", "nes"]) and not table.loc["recovery", "enriched"]
    assert table.loc["differential", "enriched"]


def test_a_set_of_all_regions_has_no_background(adata):
    everything = {"all": adata.var_names}
    with pytest.raises(RegionError, match="no background"):
        grn.tl.motif_enrichment(adata, sets=everything)
    grn.tl.motif_enrichment(adata, sets=everything, method="recovery")
    assert len(table_of(adata)) == 30


def test_background_is_matched_by_columns(adata, sets):
    random = np.random.default_rng(0)
    adata.var["gc"] = random.random(adata.n_vars)
    adata.var.loc[sets["first"], "gc"] = 0.9 + 0.1 * random.random(40)
    names, rows = adata.var_names.to_numpy(dtype=object).astype(str), np.arange(40)

    def background(match):
        return Background.of(names, strata(adata.var, match), max_background=50, seed=0)

    free = background(None).draw("first", rows)
    alike = background(["gc"]).draw("first", rows)
    assert len(free) == 50 and not set(free) & set(rows)
    gc = adata.var["gc"].to_numpy()
    assert gc[alike].min() > np.quantile(gc, 0.59) > gc[free].min()
    adata.var.loc[adata.var_names[0], "gc"] = np.nan
    with pytest.raises(ParameterError, match="no finite numbers"):
        background(["gc"])


@pytest.mark.parametrize(
    ("n", "top", "expected"),
    [(200, None, (20, 20)), (1000, None, (100, 100)), (100_000, None, (500, 5000)), (10**6, None, (5000, 50_000)),
     (1000, 0.005, (5, 50)), (3, 0.005, (1, 1))],
)  # fmt: skip
def test_number_of_places(n, top, expected):
    assert places(Thresholds(top, 0.05, 3, 0.05, 1, 3), n) == expected


def test_it_survives_a_file_and_a_subset(adata, sets, tmp_path):
    copied = grn.tl.motif_enrichment(adata, sets=sets, copy=True)
    assert "motif_enrichment" not in adata.uns
    copied.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(table_of(back), table_of(copied))
    assert (back.varm["motif_enrichment"] != copied.varm["motif_enrichment"]).nnz == 0
    grn.tl.cistromes(back)
    part = copied[:, :50].copy()
    grn.tl.cistromes(part)
    whole = grn.get.cistromes(back)
    pd.testing.assert_frame_equal(
        grn.get.cistromes(part), whole[whole["region"].isin(part.var_names)].reset_index(drop=True)
    )
