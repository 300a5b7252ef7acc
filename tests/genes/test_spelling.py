"""Letter case of mouse symbols that were written in capitals."""

from collections import Counter

import pandas as pd
import pytest

from grn.genes import tables
from grn.genes.spelling import restore, spelled


def test_symbols_get_their_letter_case_back():
    found = restore(["SPI1", "OCT4", "HN1", "OTHERGENE1", "1110004F10RIK", "Gata1"], "mouse")
    assert found == {
        "SPI1": "Spi1",  # matches one symbol
        "OCT4": "Pou5f1",  # matches one alias of one gene
        "HN1": "HN1",  # alias of several genes
        "OTHERGENE1": "OTHERGENE1",
        "1110004F10RIK": "1110004F10Rik",
        "Gata1": "Gata1",
    }


@pytest.mark.parametrize("names", [["SPI1", "SFPI1"], ["SFPI1", "SPI1"]])
def test_a_symbol_outranks_an_alias(names):
    assert restore(names, "mouse") == {"SPI1": "Spi1", "SFPI1": "SFPI1"}
    assert restore(["SFPI1"], "mouse") == {"SFPI1": "Spi1"}


def test_two_aliases_of_one_gene_both_stay():
    assert restore(["SFPI1", "TCFPU1"], "mouse") == {"SFPI1": "SFPI1", "TCFPU1": "TCFPU1"}


def test_no_two_names_become_one():
    names = {name.upper() for name in (*tables.symbols("mouse"), *tables.aliases("mouse"))}
    found = restore(names, "mouse")
    assert len(names) > 50_000 and len(set(found.values())) == len(names)
    assert sum(new != name for name, new in found.items()) > 20_000


@pytest.mark.parametrize(
    ("dataset", "counts"),
    [
        ("mDC", (1177, 113, 31)),
        ("mESC", (1441, 18, 161)),
        ("mHSC-E", (1174, 21, 9)),
        ("mHSC-GM", (1104, 13, 15)),
        ("mHSC-L", (659, 6, 27)),
    ],
)
def test_real_names_are_found_as_the_page_on_data_says(shared_dir, dataset, counts):
    table = pd.read_parquet(shared_dir / "data" / "beeline" / "genes.parquet")
    names = set(table.loc[table["dataset"] == dataset, "gene"])
    how = Counter(spelled(name, "mouse")[1] for name in names)
    assert (how["symbol"] + how["case"], how["alias"], how[""]) == counts
    found = restore(names, "mouse")
    assert len(set(found.values())) == len(names)
    assert sum(new == name for name, new in found.items()) == how["symbol"] + how[""], "no two names collide"
