import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import DataNotFoundError, MotifError, ParameterError, RegionError, ResultNotFoundError

CISTARGET = """#motif_id\tmotif_name\tgene_name\tmotif_similarity_qvalue\tsimilar_motif_id\torthologous_identity\t\
orthologous_gene_name\tdescription
M0\tM0\tA\t0\tNone\t1\tNone\tgene is directly annotated
M0\tM0\tORTH\t0\tNone\t0.8\tAorth\tgene is orthologous to Aorth in M. musculus (identity = 80%) which is directly \
annotated for motif
M0\tM0\tSIM\t0.0001\tM9\t1\tNone\tmotif similar to M9; which is directly annotated
M0\tM0\tFAR\t0.1\tM8\t1\tNone\tmotif similar to M8; which is directly annotated
M1\tM1\tA\t0\tNone\t0.7\tAorth\tgene is orthologous to Aorth
M1\tM1\tB\t0\tNone\t1\tNone\tgene is directly annotated
"""


@pytest.fixture
def enriched(adata, sets):
    grn.tl.motif_enrichment(adata, sets=sets)
    return adata


def hits(adata, motif):
    table = adata.uns["motif_enrichment"]["table"]
    rows = np.flatnonzero((table["motif"] == motif) & table["enriched"])
    return set(adata.var_names[adata.varm["motif_enrichment"][:, rows].toarray().any(axis=1)])


def cistromes(adata):
    table = grn.get.cistromes(adata)
    return {(s, bool(e)): set(part) for (s, e), part in table.groupby(["source", "extended"])["region"]}


def test_the_cistrome_of_a_factor_is_the_union_over_its_motifs_methods_and_sets(enriched):
    grn.tl.cistromes(enriched)
    m0, m1 = hits(enriched, "M0"), hits(enriched, "M1")
    assert cistromes(enriched) == {("A", False): m0 | m1, ("B", False): m1}
    stored = enriched.uns["cistromes"]
    assert stored["columns"]["n_regions"].tolist() == [len(m0 | m1), len(m1)]
    assert enriched.varm["cistromes"].shape == (enriched.n_vars, 2) and set(enriched.varm["cistromes"].data) == {1}
    assert stored["motifs"].columns.tolist() == ["set", "method", "motif", "source", "extended"]


def test_the_table_is_sorted_by_source_and_region(enriched):
    grn.tl.cistromes(enriched)
    table = grn.get.cistromes(enriched)
    assert table.columns.tolist() == ["source", "region", "extended"] and table["extended"].dtype == bool
    place = enriched.var_names.get_indexer(table["region"])
    assert (np.lexsort([place, table["extended"], table["source"]]) == np.arange(len(table))).all()


@pytest.mark.parametrize("form", ["path", "table"])
def test_orthologs_and_similar_motifs_extend_cistromes(enriched, tmp_path, form):
    path = tmp_path / "motifs.tbl"
    path.write_text(CISTARGET)
    given = path if form == "path" else pd.read_csv(path, sep="\t")
    m0, m1 = hits(enriched, "M0"), hits(enriched, "M1")
    direct = {("A", False): m0, ("B", False): m1}
    by_ortholog = {("A", True): m0 | m1, ("ORTH", True): m0}
    for inferred, expected in [
        ((), direct),
        (("orthology",), direct | by_ortholog),
        (("similarity",), direct | {("SIM", True): m0}),
        (("orthology", "similarity"), direct | by_ortholog | {("SIM", True): m0}),
    ]:
        grn.tl.cistromes(enriched, annotation=given, inferred=inferred)
        assert cistromes(enriched) == expected


def test_a_table_of_pairs_annotates_and_a_pair_known_both_ways_is_direct(enriched):
    pairs = pd.DataFrame({"motif": ["M0", "M0", "M1"], "factor": ["X", "X", "Y"], "extended": [True, False, True]})
    grn.tl.cistromes(enriched, annotation=pairs)
    assert cistromes(enriched) == {("X", False): hits(enriched, "M0"), ("Y", True): hits(enriched, "M1")}
    grn.tl.cistromes(enriched, annotation=pairs[["motif", "factor"]])
    assert {extended for _, extended in cistromes(enriched)} == {False}


def test_a_pair_of_which_nothing_is_said_is_direct(enriched):
    pairs = pd.DataFrame({"motif": ["M0", "M1"], "factor": ["X", "Y"], "extended": [True, None]})
    grn.tl.cistromes(enriched, annotation=pairs)
    assert set(cistromes(enriched)) == {("X", True), ("Y", False)}


def test_small_cistromes_are_left_out(enriched, caplog):
    grn.tl.cistromes(enriched)
    n_a, n_b = enriched.uns["cistromes"]["columns"]["n_regions"]
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.cistromes(enriched, min_regions=int(n_b) + 1)
    assert enriched.uns["cistromes"]["columns"]["source"].tolist() == ["A"] and n_a > n_b
    assert f"1 of 2 cistromes have fewer than {n_b + 1} regions: B" in caplog.text
    with pytest.raises(RegionError, match=f"the largest has {n_a}"):
        grn.tl.cistromes(enriched, min_regions=int(n_a) + 1)


def test_a_small_cistrome_of_a_factor_with_a_large_one_is_told(enriched, caplog):
    pairs = pd.DataFrame({"motif": ["M0", "M1"], "factor": ["A", "A"], "extended": [True, False]})
    direct, extended = len(hits(enriched, "M1")), len(hits(enriched, "M0") | hits(enriched, "M1"))
    assert direct < extended
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.cistromes(enriched, annotation=pairs, min_regions=extended)
    assert enriched.uns["cistromes"]["columns"]["extended"].tolist() == [True]
    assert f"1 of 2 cistromes have fewer than {extended} regions: A" in caplog.text


def test_the_path_of_an_annotation_is_recorded(enriched, tmp_path):
    path = tmp_path / "motifs.tbl"
    path.write_text(CISTARGET)
    grn.tl.cistromes(enriched, annotation=path)
    assert enriched.uns["cistromes"]["params"]["annotation"] == str(path)


def test_motifs_without_a_factor_are_told(enriched, caplog):
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.cistromes(enriched, annotation=pd.DataFrame({"motif": ["M0"], "factor": ["A"]}))
    assert "1 of 2 enriched motifs have no factor: M1" in caplog.text


@pytest.mark.parametrize(
    ("annotation", "error", "message"),
    [
        (pd.DataFrame({"a": [1]}), MotifError, "expected motif, factor"),
        (pd.DataFrame({"motif": [None], "factor": ["A"]}), MotifError, "no pair"),
        (pd.DataFrame({"motif": ["other"], "factor": ["A"]}), MotifError, "none of the 2 enriched motifs"),
        ("nowhere.tbl", DataNotFoundError, "nowhere.tbl"),
        (3, ParameterError, "int"),
    ],
)
def test_bad_annotations_are_told(enriched, annotation, error, message):
    with pytest.raises(error, match=message):
        grn.tl.cistromes(enriched, annotation=annotation)
    assert "cistromes" not in enriched.uns and "cistromes" not in enriched.varm


def test_what_is_missing_is_told(adata, sets):
    with pytest.raises(ResultNotFoundError, match="motif_enrichment"):
        grn.tl.cistromes(adata)
    with pytest.raises(ResultNotFoundError, match=r"grn\.tl\.cistromes"):
        grn.get.cistromes(adata)
    grn.tl.motif_enrichment(adata, sets=sets, min_nes=1000, min_log2fc=1000)
    with pytest.raises(RegionError, match="no enriched motif"):
        grn.tl.cistromes(adata)
    with pytest.raises(ParameterError, match="inferred"):
        grn.tl.cistromes(adata, annotation=pd.DataFrame({"motif": [], "factor": []}), inferred=["guess"])
    for wrong in (None, 3, ["guess"]):
        with pytest.raises(ParameterError, match="inferred"):
            grn.tl.cistromes(adata, inferred=wrong)
