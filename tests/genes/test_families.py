"""Families of genes by their symbols."""

import numpy as np
import pytest

from grn.errors import ParameterError
from grn.genes import families


def test_paralogues_share_a_stem_and_their_cluster_a_prefix():
    symbols = ["HOXA1", "HOXA9", "HOXB4", "STAT5A", "STAT5B", "GATA1"]
    assert families(symbols).tolist() == ["HOXA", "HOXA", "HOXB", "STAT", "STAT", "GATA"]
    assert families(symbols, kind="prefix").tolist() == ["HOX", "HOX", "HOX", "STA", "STA", "GAT"]


@pytest.mark.parametrize("kind", ["stem", "prefix"])
def test_names_that_number_a_catalogue_are_families_of_their_own(kind):
    symbols = ["CD4", "CD8A", "KIAA0100", "KIAA0101", "TMEM1", "TMEM2", "C1orf1", "C1orf2"]
    assert families(symbols, kind=kind).tolist() == [name.upper() for name in symbols]


def test_letter_case_and_order_tell_nothing():
    symbols = np.array(["Stat1", "STAT3", "Spi1", "SPIB", "T", "E2F1", "E2f3", "MYC", "NKX2-1", "NKX2-5"])
    order = np.random.default_rng(0).permutation(len(symbols))
    for kind in ("stem", "prefix"):
        labels = families(symbols, kind=kind)
        assert families(symbols[order], kind=kind).tolist() == labels[order].tolist()
        assert labels.tolist() == families([name.upper() for name in symbols], kind=kind).tolist()
        assert labels[-1] == labels[-2] and labels[0] == labels[1] and labels[2] != labels[6]


def test_an_unknown_kind_is_refused_with_what_there_is():
    with pytest.raises(ParameterError, match="stem"):
        families(["STAT1"], kind="life")


def test_regulators_of_one_domain_share_a_family_whatever_their_names():
    symbols = ["SPI1", "ETS1", "ELF3", "HOXA9", "CDX2", "PAX6", "HBB", "Fos", "FOSL1"]
    domains = families(symbols, kind="domain").tolist()
    assert domains[:3] == ["Ets-related factors"] * 3 and domains[6] == "HBB"
    assert domains[3] == domains[4] != domains[5] and domains[7] == domains[8]
    assert len(set(families(symbols))) == len(symbols)
