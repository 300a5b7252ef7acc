"""Names that stand for one gene have one key, whatever else is in the list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grn.bench._identity import keys
from grn.errors import ParameterError
from grn.genes import tables


def key(name, organism="human", match="ortholog"):
    return str(keys([name], organism=organism, match=match)[0])


def test_families_share_a_key_and_different_families_do_not(build):
    found = []
    for members in build.pool():
        names = {key(symbol, organism) for organism, symbol in members}
        assert len(names) == 1, members
        found += names
    assert len(set(found)) == len(build.pool())


def test_letter_case_makes_no_gene(build):
    for members in build.pool():
        for organism, symbol in members:
            assert key(symbol.upper(), organism) == key(symbol.lower(), organism) == key(symbol, organism)


@pytest.mark.parametrize(
    ("names", "organism"),
    [
        (["POU5F1", "OCT4", "oct4", "ENSG00000204531", "ENSG00000204531.3"], "human"),
        (["Pou5f1", "Oct4", "OCT4", "POU5F1"], "mouse"),
        (["Trp53", "TRP53", "trp53"], "mouse"),
    ],
)
def test_aliases_ids_and_spellings_of_one_gene_are_one(names, organism):
    assert len({key(name, organism) for name in names}) == 1
    assert len(set(keys(names, organism=organism))) == 1, "listed together they compete for nothing"


def test_letters_of_an_approved_symbol_outrank_an_alias_of_another_gene():
    assert tables.aliases("mouse")["ACAT2"] == ("Soat2",)
    assert key("ACAT2", "mouse") == key("Acat2", "mouse") == key("ACAT2") != key("Soat2", "mouse")


def test_the_two_organisms_meet():
    for mouse, human in (("Trp53", "TP53"), ("T", "TBXT"), ("Myc", "MYC"), ("Bmal1", "BMAL1")):
        assert key(mouse, "mouse") == key(human)
    assert key("T", "mouse") != key("TP53")


@given(st.lists(st.sampled_from(["POU5F1", "OCT4", "oct4", "GATA1", "gata1", "ERYF1", "nothing", "NOTHING", "SPI1"])))
@settings(max_examples=60, deadline=None)
def test_a_key_depends_on_its_name_alone(names):
    assert keys(names, organism="human").tolist() == [key(name) for name in names]


def test_unknown_names_are_told_by_their_letters():
    assert key("nothing") == key("Nothing") == key("NOTHING", "mouse") != key("nothing2")


def test_ambiguous_names_stay_themselves():
    assert key("3-alpha-HSD") not in {key("AKR1C4"), key("DHRS9")}


def test_symbols_are_compared_by_letters_only():
    assert key("Trp53", "mouse", "symbol") == "TRP53" != key("TP53", match="symbol")
    assert key("Gata1", "mouse", "symbol") == key("GATA1", match="symbol")
    assert key("OCT4", match="symbol") != key("POU5F1", match="symbol")


def test_kinds_of_input():
    assert keys([], organism="human").shape == (0,)
    assert keys(np.array(["GATA1"], dtype=object), organism="human").dtype.kind == "U"
    with pytest.raises(ParameterError, match="'letters'; use one of ortholog, symbol"):
        keys(["GATA1"], organism="human", match="letters")
    with pytest.raises(ParameterError, match="fly"):
        keys(["GATA1"], organism="fly")
