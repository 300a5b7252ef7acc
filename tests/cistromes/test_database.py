import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather

import grn
from grn.cistromes import database
from grn.errors import DataNotFoundError, MotifError, ParameterError, RegionError


def scores(adata):
    """Distinct scores of all regions, the hits above all others."""
    dense = adata.varm["motifs"].toarray().astype(np.float64)
    return dense + np.random.default_rng(9).random(dense.shape) * 0.1 * (dense == 0)


def write(path, values, regions, motifs, *, by_region=True, index=None):
    """A database as cisTarget lays it out: the names of the rows are the last column."""
    table = pd.DataFrame(values.T if by_region else values, columns=regions if by_region else motifs)
    table[index or ("motifs" if by_region else "regions")] = motifs if by_region else regions
    feather.write_feather(table, path)
    return path


def rankings(values):
    return np.argsort(np.argsort(-values, axis=0, kind="stable"), axis=0).astype(np.int32)


MOTIFS = [f"M{k}" for k in range(30)]


@pytest.fixture
def ranked(adata, tmp_path):
    return write(tmp_path / "a.regions_vs_motifs.rankings.feather", rankings(scores(adata)), adata.var_names, MOTIFS)


def table_of(adata):
    table = adata.uns["motif_enrichment"]["table"]
    return table.astype({"set": str, "method": str, "motif": str, "factors": str}).drop(columns="factors")


def test_rankings_give_what_scores_give_that_have_their_order(adata, sets, ranked):
    grn.tl.motif_enrichment(adata, sets=sets, database=ranked, method="recovery")
    by_file, hits = table_of(adata), adata.varm["motif_enrichment"]
    adata.varm["motifs"] = scores(adata)
    grn.tl.motif_enrichment(adata, sets=sets, method="recovery")
    pd.testing.assert_frame_equal(by_file, table_of(adata))
    assert (hits != adata.varm["motif_enrichment"]).nnz == 0 and hits.nnz > 40


@pytest.mark.parametrize("by_region", [True, False])
def test_scores_of_a_file_are_those_of_a_scan(adata, sets, tmp_path, by_region, monkeypatch):
    monkeypatch.setattr(database, "_AT_ONCE", 1)
    grn.tl.motif_enrichment(adata, sets=sets)
    expected, hits = table_of(adata), adata.varm["motif_enrichment"]
    dense = adata.varm["motifs"].toarray()
    path = write(tmp_path / "a.scores.feather", dense, adata.var_names, MOTIFS, by_region=by_region)
    grn.tl.motif_enrichment(adata, sets=sets, database=path)
    pd.testing.assert_frame_equal(table_of(adata), expected)
    assert (hits != adata.varm["motif_enrichment"]).nnz == 0


def test_regions_are_compared_by_overlap(adata, sets, tmp_path, caplog):
    grn.tl.motif_enrichment(adata, sets=sets, method="recovery", top=0.1)
    expected, hits = table_of(adata), adata.varm["motif_enrichment"]
    parts = grn.genome.parse_regions(adata.var_names)
    moved = (
        parts["chrom"] + ":" + (parts["start"] + 250).astype(str) + "-" + (parts["end"] + 250).astype(str)
    ).tolist()
    path = write(tmp_path / "a.scores.feather", adata.varm["motifs"].toarray(), moved, MOTIFS)
    grn.tl.motif_enrichment(adata, sets=sets, database=path, method="recovery", top=0.1)
    pd.testing.assert_frame_equal(table_of(adata), expected)
    assert (hits != adata.varm["motif_enrichment"]).nnz == 0
    with pytest.raises(RegionError, match="no region overlaps"):
        grn.tl.motif_enrichment(adata, sets=sets, database=path, overlap=0.6)
    part = write(tmp_path / "b.scores.feather", adata.varm["motifs"].toarray()[:300], moved[:300], MOTIFS)
    with caplog.at_level("INFO", logger="grn"):
        grn.tl.motif_enrichment(adata, sets=sets, database=part)
    assert "100 of 400 regions overlap none of the database" in caplog.text


def test_places_are_among_all_regions_of_the_database(adata, sets, tmp_path):
    """Regions of the database that the object lacks keep their places."""
    values = scores(adata)
    more = [f"chr7:{k}-{k + 100}" for k in range(0, 40_000, 100)]
    better = np.vstack([values, np.full((400, 30), 1000.0) + np.arange(400)[:, None]])
    path = write(tmp_path / "a.rankings.feather", rankings(better), [*adata.var_names, *more], MOTIFS)
    grn.tl.motif_enrichment(adata, sets=sets, database=path, method="recovery")
    assert (table_of(adata)["auc"] == 0).all() and table_of(adata)["nes"].isna().all()


def test_cistromes_take_the_annotation_of_the_database(adata, sets, ranked):
    grn.tl.motif_enrichment(adata, sets=sets, database=ranked, method="recovery")
    with pytest.raises(MotifError, match="annotation="):
        grn.tl.cistromes(adata)
    grn.tl.cistromes(adata, annotation=pd.DataFrame({"motif": ["M0", "M1"], "factor": ["A", "B"]}))
    assert set(grn.get.cistromes(adata)["source"]) == {"A", "B"}


def test_wrong_files_are_told(adata, sets, tmp_path, ranked):
    def call(path, **arguments):
        grn.tl.motif_enrichment(adata, sets=sets, database=path, **{"method": "recovery", **arguments})

    with pytest.raises(DataNotFoundError, match=r"nowhere\.feather"):
        call(tmp_path / "nowhere.feather")
    text = tmp_path / "text.feather"
    text.write_text("no database")
    with pytest.raises(MotifError, match="no Feather file"):
        call(text)
    old = tmp_path / "old.feather"
    old.write_bytes(b"FEA1 and so on")
    with pytest.raises(MotifError, match="version 1"):
        call(old)
    values, names = adata.varm["motifs"].toarray(), list(adata.var_names)
    with pytest.raises(MotifError, match="expected a database of regions"):
        call(write(tmp_path / "genes.feather", values, names, MOTIFS, by_region=False, index="genes"))
    with pytest.raises(RegionError, match="no regions"):
        call(write(tmp_path / "names.feather", values, [f"GENE{k}" for k in range(400)], MOTIFS))
    with pytest.raises(MotifError, match="holds no numbers"):
        call(write(tmp_path / "words.feather", values.astype(str).astype(object), names, MOTIFS))
    values[3, 3] = np.nan
    with pytest.raises(MotifError, match="1 values that are NaN"):
        call(write(tmp_path / "nan.feather", values, names, MOTIFS))
    with pytest.raises(MotifError, match="places below 0"):
        call(write(tmp_path / "negative.feather", rankings(values) - 1, names, MOTIFS))
    with pytest.raises(ParameterError, match="needs scores"):
        call(ranked, method=["recovery", "differential"])
    with pytest.raises(ParameterError, match="match="):
        call(ranked, match=[])
    with pytest.raises(ParameterError, match="overlap"):
        call(ranked, overlap=0)
    with pytest.raises(ParameterError, match="int"):
        call(3)
    assert pa.ipc.open_file(str(ranked)).schema.names[-1] == "motifs"
    assert "motif_enrichment" not in adata.uns
