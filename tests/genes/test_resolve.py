import time

import numpy as np
import pytest

from grn._core.errors import GeneNameError, ParameterError
from grn.genes import detect_organism, resolve, tables


def one(name, **options):
    return resolve([name], **{"organism": "human", **options}).iloc[0]


@pytest.mark.parametrize(
    ("name", "symbol", "how"),
    [
        ("TP53", "TP53", "exact"),
        ("ENSG00000141510", "TP53", "ensembl"),
        ("ENSG00000141510.18", "TP53", "ensembl"),
        ("MLL", "KMT2A", "alias"),
        ("ARNTL", "BMAL1", "alias"),
        ("SEPT2", "SEPTIN2", "alias"),
        ("TCEB1", "ELOC", "alias"),
        ("OCT4", "POU5F1", "alias"),
        ("C1ORF112", "C1orf112", "alias"),
    ],
)
def test_human_names(name, symbol, how):
    row = one(name)
    assert (row.symbol, row.how, row.status) == (symbol, how, "kept")
    assert row.ensembl == tables.symbols("human")[symbol]


@pytest.mark.parametrize("name", ["tp53", "Gata1", "ENSG99999999999", "ENSG0000014151", "", " TP53", "SEPT21"])
def test_other_names_are_lost(name):
    row = one(name)
    assert (row.symbol, row.ensembl, row.status, row.how) == ("", "", "lost", "none")


def test_an_alias_of_several_genes_is_ambiguous_and_names_them():
    row = one("OCT3")
    assert row.status == "ambiguous" and row.symbol == "" and "POU5F1" in row.candidates.split("|")


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["TP53", "ENSG00000141510", "P53"], [True, False, False]),
        (["P53", "ENSG00000141510.2"], [False, True]),
        (["TP53", "TP53"], [False, False]),
        (["ENSG00000141510.1", "ENSG00000141510.2", "P53"], [False, False, False]),
        (["BCC7", "P53"], [False, False]),
        (["ENSG00000182378.15", "ENSG00000182378.15_PAR_Y"], [True, False]),
    ],
)
def test_rank_decides_between_names_of_one_gene(names, kept):
    table = resolve(names, organism="human")
    assert (table.status == "kept").tolist() == kept
    assert (table.status != "lost").all()
    assert all(table.candidates[np.logical_not(kept)] != "")


def test_mouse_goes_by_ortholog_and_not_by_letter_case():
    table = resolve(["Trp53", "Gata1", "ENSMUSG00000022346.3", "TP53"], organism="mouse", orthologs="syntenic")
    assert table.symbol.tolist() == ["TP53", "GATA1", "MYC", ""]
    assert table.how.tolist() == ["ortholog", "ortholog", "ortholog", "none"]
    assert table.native.tolist()[:3] == ["Trp53", "Gata1", "Myc"]
    assert table.ensembl[0] == "ENSG00000141510"


def test_several_orthologs_are_ambiguous_by_default():
    strict = resolve(["Myc", "Pou5f1"], organism="mouse")
    assert strict.status.tolist() == ["ambiguous", "ambiguous"]
    assert strict.candidates.tolist() == ["MYC", "POU5F1|POU5F1B"]
    assert resolve(["Bmyc", "Myc"], organism="mouse", orthologs="syntenic").symbol.tolist() == ["", "MYC"]


def test_a_mouse_gene_without_ortholog_is_lost_but_known():
    row = one("Abca14", organism="mouse")
    assert (row.status, row.how, row.symbol, row.native) == ("lost", "none", "", "Abca14")


def test_of_two_mouse_genes_with_one_ortholog_that_of_its_name_is_meant():
    pairs = tables.orthologs()
    other = next(name for name, found in pairs.items() if found == (("HMGA1", "one2one", found[0].syntenic),))
    table = resolve([other, "Hmga1"], organism="mouse")
    assert table["symbol"].tolist() == ["", "HMGA1"]
    assert table["status"].tolist() == ["ambiguous", "kept"]


CAPITALS = ["GAPDH", "HHEX", "GM10045", "1700001C02RIK", "H2-AA", "TRP53", "TRP63", "ZFP36L1", "OCT4"]


def test_mouse_symbols_in_capitals_get_their_letter_case_back_and_it_is_said(caplog):
    table = resolve(CAPITALS, organism="mouse", orthologs="syntenic").set_index("name")
    assert table.loc[["GAPDH", "HHEX", "TRP53", "TRP63"], "native"].tolist() == ["Gapdh", "Hhex", "Trp53", "Trp63"]
    assert table.loc[["GAPDH", "HHEX", "TRP53", "TRP63"], "symbol"].tolist() == ["GAPDH", "HHEX", "TP53", "TP63"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "in capitals" in caplog.text and "1700001C02RIK as " in caplog.text
    assert resolve(CAPITALS)["symbol"].tolist() == resolve(CAPITALS, organism="mouse")["symbol"].tolist()


def test_human_names_called_mouse_keep_their_letter_case(caplog):
    table = resolve(["GAPDH", "HHEX", "TP53", "ZNF263", "HLA-A", "GM2A"], organism="mouse")
    assert (table["status"] == "lost").all() and not caplog.records


def test_capitals_of_mouse_and_human_are_told_apart():
    assert detect_organism(CAPITALS) == "mouse"
    assert detect_organism(["GAPDH", "HHEX", "TP53", "TP63", "ZNF263", "HLA-A", "GM2A"]) == "human"


@pytest.mark.slow
def test_every_data_set_is_told_as_it_is_and_in_capitals(shared_dir):
    h5py = pytest.importorskip("h5py")
    for path in sorted((shared_dir / "data" / "expression").glob("[hm][uo][mu][as][ne]*.h5ad")):
        with h5py.File(path) as file:
            names = list(file["var"][file["var"].attrs["_index"]].asstr()[:])
        organism = path.name.split("_")[0]
        assert detect_organism(names) == organism, path.name
        assert detect_organism([name.upper() for name in names]) == organism, path.name


def test_order_does_not_matter():
    names = [*list(tables.symbols("human"))[:300], *list(tables.aliases("human"))[::400], "x"]
    order = np.random.default_rng(0).permutation(len(names))
    straight = resolve(names, organism="human")
    shuffled = resolve([names[i] for i in order], organism="human")
    assert straight.iloc[order].reset_index(drop=True).equals(shuffled)


def test_twenty_thousand_names_in_half_a_second():
    names = [*list(tables.symbols("human"))[:12_000], *list(tables.aliases("human"))[:8_000]]
    resolve(names[:5], organism="human")
    start = time.perf_counter()
    assert len(resolve(names, organism="human")) == 20_000
    assert time.perf_counter() - start < 2.0, "0.1 s on an idle machine"


def test_bad_arguments():
    with pytest.raises(ParameterError, match=r"\['TP53'\]"):
        resolve("TP53")
    with pytest.raises(ParameterError, match="'yeast'"):
        resolve(["TP53"], organism="yeast")
    with pytest.raises(ParameterError, match="'upper'"):
        resolve(["TP53"], orthologs="upper")
    with pytest.raises(ParameterError, match="int"):
        resolve(3)


def test_organism_is_told_from_names():
    assert detect_organism(["TP53", "GATA1", "nonsense"]) == "human"
    assert detect_organism(["Trp53", "Gata1"]) == "mouse"
    assert detect_organism(["ENSMUSG00000059552.4"]) == "mouse"
    assert detect_organism(["MLL", "ARNTL"]) == "human"
    assert resolve(["Trp53", "Gata1"]).symbol.tolist() == ["TP53", "GATA1"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["gene1", "gene2"], "gene1"),
        (["ENSRNOG00000010756"], "ENSRNOG"),
        ([], "no gene names"),
        (["TP53", "GATA1", "Trp53", "Gata1"], "mixed"),
        (["GRCh38_TP53", "mm10_Trp53"], "neither"),
    ],
)
def test_other_organisms_are_refused_with_examples(names, words):
    with pytest.raises(GeneNameError, match=words):
        detect_organism(names)
