import gzip
import hashlib
import json
import re
from importlib.resources import files

import pytest

from grn._core.errors import ParameterError
from grn.genes import regulators, tables, versions

DATA = files("grn.genes").joinpath("data")


def test_tables_are_small_and_match_their_checksums():
    facts = json.loads(DATA.joinpath("tables.json").read_text())["tables"]
    packed = {name: DATA.joinpath(f"{name}.tsv.gz").read_bytes() for name in facts}
    assert sum(map(len, packed.values())) < 1_300_000
    for name, raw in packed.items():
        text = gzip.decompress(raw)
        assert hashlib.sha256(text).hexdigest() == facts[name]["sha256"]
        assert text.count(b"\n") - 1 == facts[name]["rows"]
        assert raw[4:8] == b"\0\0\0\0", "the gzip header holds a time"


@pytest.mark.parametrize("organism", tables.ORGANISMS)
def test_approved_symbols_are_never_aliases(organism):
    symbols, aliases = tables.symbols(organism), tables.aliases(organism)
    assert not symbols.keys() & aliases.keys()
    assert {gene for found in aliases.values() for gene in found} <= symbols.keys()


def test_ids_are_unique_and_clones_are_left_out():
    symbols = tables.symbols("human")
    assert len(tables.ensembl_ids("human")) == len(symbols)
    assert all(re.fullmatch(r"ENSG\d{11}", ensembl) for ensembl in symbols.values())
    assert not [name for name in symbols if name.startswith("ENSG") or name == "Y_RNA"]


def test_orthologs_lead_to_approved_human_symbols():
    found = {pair.symbol for pairs in tables.orthologs().values() for pair in pairs}
    assert found <= tables.symbols("human").keys()
    assert tables.orthologs()["Trp53"] == (("TP53", "one2one", True),)


@pytest.mark.parametrize("mouse", ["Gapdh", "Hhex", "Hmgb1", "Ldha", "Hmga1", "Cldn4"])
def test_genes_of_one_name_are_orthologs_though_the_source_lacks_them(mouse):
    assert tables.orthologs()[mouse] == ((mouse.upper(), "name", False),)


def test_no_mouse_gene_with_the_name_of_a_human_gene_is_without_ortholog():
    upper = {symbol.upper() for symbol in tables.symbols("human")}
    alone = [name for name in tables.symbols("mouse") if name.upper() in upper and name not in tables.orthologs()]
    taken = {pair.symbol.upper() for pairs in tables.orthologs().values() for pair in pairs}
    assert not [name for name in alone if name.upper() not in taken]


def test_a_former_name_stands_for_the_gene_renamed_with_its_ortholog():
    assert tables.aliases("mouse")["Acpp"] == ("Acp3",)
    assert tables.orthologs()["Atp5g1"] == (("ATP5MC1", "name", False),)
    assert "Mup1" not in tables.aliases("mouse"), "an alias of another human gene is no former name"


def test_regulators_use_the_symbols_of_their_organism():
    human, mouse = regulators("human"), regulators("mouse")
    assert {"TP53", "GATA1", "TBXT", "BMAL1"} <= human
    assert {"Trp53", "Gata1", "Bmal1"} <= mouse
    assert not {"ARNTL", "T", "Trp53"} & human
    assert len(human) > 1600 and len(mouse) > 1600
    assert len(human - tables.symbols("human").keys()) < 10


def test_unknown_organism_is_named():
    with pytest.raises(ParameterError, match="'yeast'"):
        regulators("yeast")


def test_versions_can_be_stored():
    assert set(versions()) == {"version", *json.loads(DATA.joinpath("tables.json").read_text())["tables"]}
    assert all(isinstance(value, str) for value in versions().values())
