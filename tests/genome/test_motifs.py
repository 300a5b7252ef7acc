import gzip
import json

import numpy as np
import pytest

import grn
from grn import genome
from grn.errors import DataNotFoundError, GrnError, MotifError, ParameterError

SHARES = np.array([[0.7, 0.1, 0.1, 0.1], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

MOTIF MA1 JUN::FOS
letter-probability matrix: alength= 4 w= 3 nsites= 40 E= 0
 0.7 0.1 0.1 0.1
 0.0 1.0 0.0 0.0
 0.25 0.25 0.25 0.25
URL http://x

MOTIF second
letter-probability matrix: alength= 4 w= 1
1 0 0 0
"""
JASPAR = ">MA1.2\tJUN::FOS\nA  [ 28  0 10 ]\nC  [  4 40 10 ]\nG  [  4  0 10 ]\nT  [  4  0 10 ]\n"
PFM = ">MA1.2 Jun(var.2)\n28 0 10\n4 40 10\n4 0 10\n4 0 10\n"
HOMER = (
    ">ACN\tGATA1(Zf)/K562-GATA1-ChIP-Seq(GSE18829)/Homer\t5.1\n0.7\t0.1\t0.1\t0.1\n0\t1\t0\t0\n0.25\t0.25\t0.25\t0.25\n"
)
CB = ">cisbp__M1\n28 4 4 4\n0 40 0 0\n10 10 10 10\n>other\n1 2 3 4\n"
COUNTS = SHARES * 40


@pytest.mark.parametrize(
    ("name", "text", "sites", "factors"),
    [
        ("a.meme", MEME, 40, ("JUN", "FOS")),
        ("a.txt", MEME, 40, ("JUN", "FOS")),
        ("a.jaspar", JASPAR, 40, ("JUN", "FOS")),
        ("a.txt", JASPAR, 40, ("JUN", "FOS")),
        ("a.pfm", PFM, 40, ("Jun",)),
        ("a.motif", HOMER, 100, ("GATA1",)),
        ("a.cb", CB, 40, ()),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_matrix(tmp_path, name, text, sites, factors, packed):
    file = tmp_path / (name + ".gz" if packed else name)
    file.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    motifs = genome.read_motifs(file)
    np.testing.assert_allclose(motifs.counts[0], SHARES * sites)
    assert motifs.factors[0] == factors and motifs.consensus()[0] == "ACN"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "neither"),
        ("GATA1\n", "neither"),
        (">a\n1 2 3\n4 5 6\n", "shape|rows"),
        (">MA1\tx\nA [1 2]\nC [1 2]\nG [1 2]\n", "3 rows"),
        (">MA1\tx\nA [1 2]\nC [1 2]\nG [1 2]\nT [1 x]\n", "cannot be read as jaspar"),
        (">MA1\tx\nA [0 2]\nC [0 2]\nG [0 2]\nT [0 2]\n", "without any observation"),
        (">a\n1 2 3 -4\n", "negative"),
        (">a\n1 2 3 4\n>a\n1 2 3 4\n", "more than once"),
        ("MEME version 4\nMOTIF a\nnothing\n", "no line letter-probability"),
        ("MEME version 4\n", "no motif"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, says):
    file = tmp_path / "a.txt"
    file.write_text(text)
    with pytest.raises(MotifError, match=says):
        genome.read_motifs(file)


def test_no_file_no_text_no_format(tmp_path):
    with pytest.raises(DataNotFoundError):
        genome.read_motifs(tmp_path / "none.meme")
    (tmp_path / "a.meme").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MotifError, match="no text"):
        genome.read_motifs(tmp_path / "a.meme")
    packed = bytearray(gzip.compress(MEME.encode() * 50))
    packed[30:60] = bytes(30)
    (tmp_path / "b.meme.gz").write_bytes(packed)
    with pytest.raises(MotifError, match="no text"):
        genome.read_motifs(tmp_path / "b.meme.gz")
    with pytest.raises(ParameterError, match="transfac"):
        genome.read_motifs(tmp_path / "a.meme", format="transfac")


def test_log_odds_are_those_of_the_formula():
    motifs = genome.Motifs(("a",), (COUNTS,), (("X",),))
    q = np.array([0.3, 0.2, 0.2, 0.3])
    expected = np.log2((COUNTS + 2 * q) / ((40 + 2) * q))
    np.testing.assert_allclose(motifs.log_odds(q, pseudocount=2)[0], expected)
    for wrong in ([0.5, 0.5, 0, 0], [1, 1, 1, 1], [0.5, 0.5], list("ACGT"), [[1], [2, 3]], None):
        with pytest.raises(MotifError, match="sum to 1"):
            motifs.log_odds(wrong)
    with pytest.raises(ParameterError, match="pseudocount"):
        motifs.log_odds(q, pseudocount=0)


def test_motifs_are_chosen_by_name_and_by_factor(caplog):
    motifs = genome.Motifs(("a", "b", "c"), (COUNTS,) * 3, (("X", "Y"), ("Y",), ()))
    assert motifs.select(["c", "a"]).names == ("a", "c") and motifs.select(factors=["X"]).names == ("a",)
    assert motifs.to_frame().values.tolist() == [["a", "X"], ["a", "Y"], ["b", "Y"]]
    assert motifs.with_factors({"c": ["Z"]}).factors == ((), (), ("Z",))
    with pytest.raises(MotifError, match=r"'d'"):
        motifs.select(["d"])
    with pytest.raises(MotifError, match="no motif of"):
        motifs.select(factors=["Q"])
    with caplog.at_level("INFO", logger="grn"):
        motifs.with_factors({"c": ["Z"], "typo": ["Z"]})
    assert "1 of 2 names are no motifs" in caplog.text and "typo" in caplog.text
    with pytest.raises(MotifError, match="none of the motifs"):
        motifs.with_factors({"q": ["Z"]})
    with pytest.raises(ValueError, match="read-only"):
        motifs.counts[0][0, 0] = 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (((), (), ()), "no motifs"),
        ((("a",), (COUNTS,) * 2, ((),)), "as many of each"),
        ((("a", "a"), (COUNTS,) * 2, ((), ())), "more than once"),
        ((("a",), (COUNTS.T,), ((),)), "shape"),
        ((("a",), (["x"],), ((),)), "no numbers"),
        ((("a",), (COUNTS * np.nan,), ((),)), "negative or missing"),
    ],
)
def test_malformed_motifs_are_refused(arguments, says):
    with pytest.raises(MotifError, match=says):
        genome.Motifs(*arguments)


def test_jaspar_is_that_of_its_source(shared_dir):
    with gzip.open(shared_dir / "data" / "priors" / "jaspar2024_core_human_mouse.json.gz", "rt") as opened:
        listed = json.load(opened)
    motifs = genome.jaspar("any")
    assert motifs.names == tuple(sorted(listed))
    for name, counts in zip(motifs.names, motifs.counts, strict=True):
        np.testing.assert_allclose(counts, np.array([listed[name][base] for base in "ACGT"]).T)


def test_factors_are_genes_of_the_organism():
    human, mouse = grn.pp.motifs(), grn.pp.motifs(organism="mouse")
    of_human = dict(zip(human.names, human.factors, strict=True))
    of_mouse = dict(zip(mouse.names, mouse.factors, strict=True))
    assert of_human["MA0142.1"] == ("POU5F1", "SOX2") and of_mouse["MA0142.1"] == ("Pou5f1", "Sox2")
    assert of_human["MA0038.3"] == ("GFI1",) and of_mouse["MA0035.5"] == ("Gata1",)
    symbols = set(grn.genes.tables.symbols("human"))
    assert {factor for listed in human.factors for factor in listed} <= symbols
    assert sum(not listed for listed in human.factors) < 10 and sum(not listed for listed in mouse.factors) < 60


def test_old_names_are_replaced_and_strangers_left_out():
    motifs = genome.Motifs(("a", "b"), (COUNTS,) * 2, (("OCT4", "nonsense"), ("Trp53",)))
    assert genome.carry_factors(motifs, organism="human").factors == (("POU5F1",), ("TP53",))
    assert genome.carry_factors(motifs, organism="mouse").factors == (("Pou5f1",), ("Trp53",))
    assert grn.pp.motifs(motifs, organism="any").factors == motifs.factors
    with pytest.raises(MotifError, match=r"grn\.pp\.motifs\(path\)"):
        genome.carry_factors("a.meme", organism="human")
    with pytest.raises(MotifError, match="none of the factors"):
        genome.carry_factors(genome.Motifs(("a",), (COUNTS,), (("nonsense",),)), organism="human")


def test_motifs_without_factors_are_told(tmp_path, caplog):
    file = tmp_path / "a.cb"
    file.write_text(CB)
    with caplog.at_level("WARNING", logger="grn"):
        assert grn.pp.motifs(file).factors == ((), ())
    assert "with_factors" in caplog.text
    with pytest.raises(GrnError):
        grn.pp.motifs(file, organism="rat")
