import contextlib
import os
import struct

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn import genome
from grn.errors import DataNotFoundError, GrnError, MissingDependencyError, ParameterError, RegionError
from grn.genome.sequences import build_of

GENOME = {"chr1": "ACGTNacgtn" * 7, "chr2": "TTTTTGGGGGCC", "MT": "ACGT"}


def fasta(path, width=9):
    lines = [
        line
        for name, text in GENOME.items()
        for line in (f">{name} more", *(text[i : i + width] for i in range(0, len(text), width)))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def two_bit(path):
    """The format by UCSC's description, with blocks of N and of lower case."""
    numbers = {"T": 0, "C": 1, "A": 2, "G": 3, "N": 0}
    head = struct.pack("<4I", 0x1A412743, 0, len(GENOME), 0)
    records, index = b"", b""
    offset = len(head) + sum(1 + len(name) + 4 for name in GENOME)
    for name, text in GENOME.items():
        index += bytes([len(name)]) + name.encode() + struct.pack("<I", offset + len(records))
        unknown = [i for i, base in enumerate(text) if base in "Nn"]
        small = [i for i, base in enumerate(text) if base.islower()]
        packed = bytearray()
        for start in range(0, len(text), 4):
            four = [numbers[base] for base in text[start : start + 4].upper()]
            four += [0] * (4 - len(four))
            packed.append(four[0] << 6 | four[1] << 4 | four[2] << 2 | four[3])
        blocks = b""
        for places in (unknown, small):
            blocks += struct.pack(f"<I{2 * len(places)}I", len(places), *places, *[1] * len(places))
        records += struct.pack("<I", len(text)) + blocks + struct.pack("<I", 0) + bytes(packed)
    path.write_bytes(head + index + records)
    return path


@pytest.fixture(params=["memory", "fasta", "2bit"])
def source(request, tmp_path):
    if request.param == "memory":
        return GENOME
    pytest.importorskip("pyfaidx" if request.param == "fasta" else "twobitreader")
    return fasta(tmp_path / "g.fa") if request.param == "fasta" else two_bit(tmp_path / "g.2bit")


def test_pieces_are_the_same_from_everywhere(source):
    with genome.Sequences(source) as sequences:
        assert sequences.lengths == {name: len(text) for name, text in GENOME.items()}
        for region, piece in (("chr1:3-23", GENOME["chr1"][3:23]), ("2:0-12", GENOME["chr2"]), ("chrM:1-3", "CG")):
            assert sequences.bases(region).upper() == piece.upper()
        table = genome.parse_regions(["chr1:3-23", "chr1:0-4"])
        first, second = sequences.coded(table)
        assert first.tolist() == [dict(zip("ACGTN", range(5), strict=True))[b] for b in GENOME["chr1"][3:23].upper()]
        assert second.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("region", "says"),
    [("chr9:1-2", "lacks, \\['chr9'\\]; it has \\['chr1'"), ("chr2:5-13", "chr2 has 12 bases.*another build")],
)
def test_regions_outside_are_refused(source, region, says):
    with genome.Sequences(source) as sequences, pytest.raises(RegionError, match=says):
        sequences.bases(region)


@pytest.mark.parametrize(
    ("build", "lengths"),
    [
        ("hg19", (249_250_621, 155_270_560)),
        ("hg38", (248_956_422, 156_040_895)),
        ("hs1", (248_387_328, 154_259_566)),
        ("mm9", (197_195_432, 166_650_296)),
        ("mm10", (195_471_971, 171_031_299)),
        ("mm39", (195_154_279, 169_476_592)),
    ],
)
def test_either_chromosome_tells_the_build(build, lengths):
    """Lengths as in the assembly reports of NCBI."""
    for name, length in zip(("1", "chrX"), lengths, strict=True):
        genome_of = genome.Sequences({name: "ACGT"})
        genome_of.lengths[name] = length
        assert build_of(genome_of) == build
    assert build_of(genome.Sequences(GENOME)) is None


@pytest.mark.parametrize("name", ["chrM", "M", "MT", "chrMT"])
def test_mitochondria_in_every_spelling(name):
    for region in ("chrM:1-3", "MT:1-3", "chrMT:1-3"):
        assert genome.Sequences({name: "ACGT"}).bases(region) == "CG"


def test_the_error_names_the_call_that_leaves_regions_out(tmp_path):
    adata = ad.AnnData(np.ones((1, 3)), var=pd.DataFrame(index=["1:0-9", "11:0-4", "GL1:2-3"]))
    motifs = genome.Motifs(("a",), (np.eye(4) * 50,), (("X",),))
    with pytest.raises(RegionError, match="lacks") as caught:
        grn.pp.scan_motifs(adata, sequences={"chr11": "ACGT"}, motifs=motifs)
    call = str(caught.value).split("leave them out: ")[1].removesuffix(".")
    scope = {"adata": adata, "grn": grn}
    exec(call, scope)
    assert scope["adata"].var_names.tolist() == ["11:0-4"]
    grn.pp.scan_motifs(scope["adata"], sequences={"chr11": "ACGT"}, motifs=motifs, pvalue=0.01)


def test_a_file_that_was_cut_off_is_refused(tmp_path):
    """Also where an index, or the table of contents, promises the whole."""
    pytest.importorskip("pyfaidx")
    path = fasta(tmp_path / "g.fa")
    with genome.Sequences(path):
        pass
    path.write_bytes(path.read_bytes()[:60])
    os.utime(path, (1, 1))
    with genome.Sequences(path) as sequences, pytest.raises(RegionError, match=r"g\.fa .*cut off"):
        sequences.bases("chr1:60-69")
    pytest.importorskip("twobitreader")
    path = two_bit(tmp_path / "g.2bit")
    path.write_bytes(path.read_bytes()[:-3])
    with genome.Sequences(path) as sequences, pytest.raises(RegionError, match=r"g\.2bit .*cut off"):
        sequences.bases("MT:0-3")
    with pytest.raises(RegionError, match="closed"):
        sequences.bases("chr1:0-3")


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("ending", ["fa", "2bit"])
def test_a_damaged_file_is_an_error_of_the_package(tmp_path, seed, ending):
    pytest.importorskip("pyfaidx")
    pytest.importorskip("twobitreader")
    path = (fasta if ending == "fa" else two_bit)(tmp_path / f"g.{ending}")
    random = np.random.default_rng(seed)
    damaged = bytearray(path.read_bytes())
    for place in random.integers(0, len(damaged), 4):
        damaged[place] = random.choice([0, 10, 62, 255])
    path.write_bytes(damaged[: len(damaged) - seed % 5 * 6])
    with contextlib.suppress(GrnError), genome.Sequences(path) as sequences:
        for name, length in sequences.lengths.items():
            sequences.bases(f"{name}:0-{length}")


def test_an_index_is_made_beside_the_file_or_elsewhere(tmp_path, monkeypatch):
    pytest.importorskip("pyfaidx")
    path = fasta(tmp_path / "g.fa")
    with genome.Sequences(path):
        pass
    assert (tmp_path / "g.fa.fai").exists()
    (tmp_path / "g.fa.fai").unlink()
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with genome.Sequences(path) as sequences:
        assert sequences.bases("chr2:4-7") == "TGG"
    assert [place.name for place in tmp_path.iterdir()] == ["g.fa"]


def test_a_file_that_changed_is_indexed_again(tmp_path):
    pytest.importorskip("pyfaidx")
    path = fasta(tmp_path / "g.fa")
    with genome.Sequences(path):
        pass
    fasta(path, width=5)
    os.utime(tmp_path / "g.fa.fai", (1, 1))
    with genome.Sequences(path) as sequences:
        assert sequences.bases("chr2:3-9") == "TTGGGG"


def test_what_is_no_genome_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataNotFoundError):
        genome.Sequences(tmp_path / "none.fa")
    for wrong in (5, {}, {"chr1": 3}):
        with pytest.raises(ParameterError, match="dict"):
            genome.Sequences(wrong)
    packed = tmp_path / "g.fa.gz"
    packed.write_bytes(b"x")
    with pytest.raises(ParameterError, match="gunzip"):
        genome.Sequences(packed)
    pytest.importorskip("pyfaidx")
    empty = tmp_path / "g.fa"
    empty.write_text("no fasta\n")
    with pytest.raises(RegionError, match="FASTA"):
        genome.Sequences(empty)
    pytest.importorskip("twobitreader")
    (tmp_path / "g.2bit").write_bytes(b"nothing at all here")
    with pytest.raises(RegionError, match="2bit"):
        genome.Sequences(tmp_path / "g.2bit")


def test_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyfaidx", None)
    with pytest.raises(MissingDependencyError, match=r"grn\[motif\]"):
        genome.Sequences(fasta(tmp_path / "g.fa"))


def test_lower_case_and_unknown_bases(source):
    motifs = genome.Motifs(("a",), (np.eye(4) * 50,), (("X",),))
    places = genome.motif_positions(["chr1:0-70"], sequences=source, motifs=motifs, pvalue=0.01)
    assert places["start"].tolist() == list(range(0, 70, 5))


@pytest.mark.parametrize("kind", ["dict", "fasta"])
def test_gc_content_is_that_of_known_bases(tmp_path, kind):
    if kind == "fasta":
        pytest.importorskip("pyfaidx")
    regions = ["chr1:0-5", "chr1:1-3", "chr2:0-12", "chr1:4-5", "chrM:0-4"]
    expected = [0.5, 1.0, 7 / 12, 0.5, 0.5]
    share = genome.gc_content(regions, sequences=GENOME if kind == "dict" else fasta(tmp_path / "a.fa"))
    np.testing.assert_allclose(share, expected)
    assert share.index.tolist() == regions
    with pytest.raises(RegionError, match="chr9"):
        genome.gc_content(["chr9:0-4"], sequences=GENOME)


def test_blocks_of_gc_content_do_not_matter(monkeypatch):
    regions = [f"chr1:{k}-{k + 7}" for k in range(40)]
    whole = genome.gc_content(regions, sequences=GENOME)
    monkeypatch.setattr("grn.genome.composition._BLOCK", 3)
    pd.testing.assert_series_equal(genome.gc_content(regions, sequences=GENOME), whole)
