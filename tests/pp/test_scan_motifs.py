import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn import genome
from grn._kernels import motif_scores
from grn.errors import MotifError, ParameterError, RegionError, ResultNotFoundError
from grn.genome import scan

BASES = np.array(list("ACGT"))


def text(n, seed):
    return "".join(BASES[np.random.default_rng(seed).integers(0, 4, n)])


@pytest.fixture(scope="module")
def motifs():
    chosen = ["MA0035.5", "MA0080.7", "MA0102.5", "MA0140.3", "MA0139.2"]
    listed = grn.pp.motifs()
    return listed.select([name for name in chosen if name in listed.names])


@pytest.fixture
def chromosomes():
    return {"chr1": text(3000, 1), "chr2": text(2000, 2)}


def peaks(chromosomes, width=250):
    names = [f"{c}:{s}-{s + width}" for c, bases in chromosomes.items() for s in range(0, len(bases) - width, width)]
    return ad.AnnData(sparse.csr_matrix((2, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))


def test_matrices_are_those_of_all_places(chromosomes, motifs):
    adata = peaks(chromosomes)
    grn.pp.scan_motifs(adata, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    places = genome.motif_positions(adata.var_names, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    best = places.groupby(["region", "motif"])["score"].agg(["max", "size"])
    expected = np.zeros((2, adata.n_vars, len(motifs)))
    for (region, motif), (score, count) in best.iterrows():
        expected[:, adata.var_names.get_loc(region), motifs.names.index(motif)] = score, count
    np.testing.assert_allclose(adata.varm["motifs"].toarray(), expected[0], rtol=1e-6)
    np.testing.assert_array_equal(adata.varm["motifs_count"].toarray(), expected[1])
    assert len(places) > 30 and (places["pvalue"] <= 1e-3 * (1 + 1e-9)).all()


def test_places_are_where_the_words_are(chromosomes, motifs):
    places = genome.motif_positions(peaks(chromosomes).var_names, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    prepared = scan.prepare(motifs, pvalue=1e-3)
    for _, place in places.sample(30, random_state=0).iterrows():
        matrix = prepared.matrices[motifs.names.index(place["motif"])]
        word = motif_scores.encode(chromosomes[place["chrom"]][place["start"] : place["end"]])
        word = word if place["strand"] == "+" else 3 - word[::-1]
        assert matrix[np.arange(len(word)), word].sum() * motif_scores.STEP == pytest.approx(place["score"])


def test_hits_do_not_depend_on_order_blocks_or_company(chromosomes, motifs, monkeypatch):
    adata = peaks(chromosomes)
    grn.pp.scan_motifs(adata, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    order = np.random.default_rng(0).permutation(adata.n_vars)[:9]
    part = adata[:, order].copy()
    del part.varm["motifs"], part.varm["motifs_count"], part.uns["motifs"]
    monkeypatch.setattr(scan, "_BLOCK", 300)
    monkeypatch.setattr(scan, "WIDTHS", ((0, 9),))
    grn.pp.scan_motifs(part, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    for key in ("motifs", "motifs_count"):
        assert (part.varm[key] != adata.varm[key][order]).nnz == 0


def test_lightmotif_finds_the_same(chromosomes):
    lightmotif = pytest.importorskip("lightmotif")
    motifs = grn.pp.motifs()
    motifs = motifs.select(motifs.names[::40])
    prepared = scan.prepare(motifs)
    places = genome.motif_positions(["chr1:0-3000"], sequences=chromosomes, motifs=motifs)
    ours = {(m, s): x for m, s, x in places[["motif", "start", "score"]].itertuples(index=False)}
    theirs = {}
    striped = lightmotif.stripe(chromosomes["chr1"])
    for name, matrix, least in zip(motifs.names, prepared.matrices, prepared.thresholds, strict=True):
        for strand in (matrix, matrix[::-1, ::-1]):
            columns = {base: strand[:, k].astype(float).tolist() for k, base in enumerate("ACGT")}
            for hit in lightmotif.scan(lightmotif.ScoringMatrix(columns), striped, threshold=float(least)):
                theirs[name, hit.position] = max(hit.score, theirs.get((name, hit.position), -np.inf))
    assert theirs.keys() == ours.keys() and len(ours) > 5
    assert all(theirs[place] == pytest.approx(score / motif_scores.STEP) for place, score in ours.items())


def test_a_motif_too_short_for_the_pvalue_has_its_best_word(caplog):
    short = genome.Motifs(("a",), (np.eye(4)[[0, 0, 2]] * 50,), (("X",),))
    with caplog.at_level("INFO", logger="grn"):
        places = genome.motif_positions(["chr1:0-12"], sequences={"chr1": "TTAAGTTCTTTC"}, motifs=short, pvalue=1e-4)
    assert places[["start", "strand"]].values.tolist() == [[2, "+"], [7, "-"]]
    assert "too short" in caplog.text
    np.testing.assert_allclose(places["pvalue"], 0.29**2 * 0.21)


def test_what_is_stored_survives_a_file(chromosomes, motifs, tmp_path):
    adata = peaks(chromosomes)
    copied = grn.pp.scan_motifs(adata, sequences=chromosomes, motifs=motifs, key_added="m", copy=True)
    assert "m" not in adata.varm
    copied.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(grn.get.motif_hits(back, key="m"), grn.get.motif_hits(copied, key="m"))
    assert back.uns["m"]["params"]["pvalue"] == 1e-4 and (back.uns["m"]["pvalues"] <= 1e-4).sum() >= 3


def test_the_table_has_the_best_motif_of_each_factor(chromosomes, motifs):
    adata = peaks(chromosomes)
    grn.pp.scan_motifs(adata, sequences=chromosomes, motifs=motifs, pvalue=1e-3)
    table = grn.get.motif_hits(adata)
    assert not table.duplicated(["source", "region"]).any() and {"GATA1", "TAL1", "SPI1"} <= set(table["source"])
    best = adata.varm["motifs"].toarray()
    for source, region, score, motif in table.itertuples(index=False):
        columns = [k for k, listed in enumerate(motifs.factors) if source in listed]
        row = best[adata.var_names.get_loc(region)]
        assert row[columns].max() == score == row[motifs.names.index(motif)]
    links = genome.link_genes(
        adata.var_names,
        starts=pd.DataFrame({"chrom": ["chr1"], "position": [900], "strand": ["+"], "gene": ["KLF1"]}),
        upstream=500,
        downstream=500,
    )
    prior = grn.pp.base_grn(table.merge(links, on="region").rename(columns={"gene": "target"}))
    assert set(prior["target"]) == {"KLF1"} and {"source", "region", "score"} <= set(prior)


def test_peaks_and_a_genome_of_different_builds(chromosomes, motifs):
    starts = genome.starts("hg19")
    starts = starts[(starts["chrom"] == "chr1") & (starts["position"] < 12_000_000)]
    names = ("chr1:" + (starts["position"] - 200).astype(str) + "-" + (starts["position"] + 50).astype(str)).unique()
    adata = ad.AnnData(sparse.csr_matrix((2, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    sequences = genome.Sequences({"chr1": chromosomes["chr1"] * 4001})
    sequences.lengths["chr1"] = 248_956_422
    with pytest.raises(RegionError, match=r"genome is hg38.*likely of hg19"):
        grn.pp.scan_motifs(adata, sequences=sequences, motifs=motifs)
    assert not adata.uns
    sequences.lengths["chr1"] = 249_250_621
    grn.pp.scan_motifs(adata, sequences=sequences, motifs=motifs)
    assert "motifs" in adata.varm


def test_errors(chromosomes, motifs):
    adata = peaks(chromosomes)
    with pytest.raises(ParameterError, match="atac"):
        grn.pp.scan_motifs(adata, atac="peaks", sequences=chromosomes, motifs=motifs)
    with pytest.raises(ResultNotFoundError, match="scan_motifs"):
        grn.get.motif_hits(adata)
    with pytest.raises(ResultNotFoundError, match="scan_motifs"):
        grn.get.motif_hits(grn.datasets.toy_multiome(n_cells=4, n_targets=2))
    with pytest.raises(RegionError, match="masked"):
        masked = {name: "N" * len(bases) for name, bases in chromosomes.items()}
        grn.pp.scan_motifs(adata, sequences=masked, motifs=motifs)
    with pytest.raises(MotifError, match=r"grn\.pp\.motifs\(path\)"):
        grn.pp.scan_motifs(adata, sequences=chromosomes, motifs="jaspar")
    with pytest.raises(RegionError, match="no regions"):
        grn.pp.scan_motifs(grn.datasets.toy(n_cells=10), sequences=chromosomes, motifs=motifs)
    assert not adata.varm and not adata.uns
