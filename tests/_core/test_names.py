"""Names that files keep."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grn._core.errors import ParameterError
from grn._core.names import check_key, unstorable

BROKEN = ["A\x00", "A\nB", "A\tB", "\ud800", "A\udc00B", "A\uffff", "\ufffe", "A\u2028B", "A\x85", "\x7f"]


def test_broken_names_are_found_among_good_ones():
    good = ["SPI1", "HLA-A & <B>", "Gène", "基因", "🧬", "=1+1", "a/b", " x "]
    assert unstorable(good) == []
    assert unstorable([good[0], *BROKEN, *good]) == BROKEN


def test_halves_of_a_pair_in_two_names_do_not_heal():
    assert unstorable(["A\ud83e", "\uddecB"]) == ["A\ud83e", "\uddecB"]


@settings(max_examples=200, derandomize=True)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\ufffe\uffff")))
def test_what_passes_survives_utf8_lines_and_xml(name):
    import xml.etree.ElementTree as ET
    from xml.sax.saxutils import escape

    assert unstorable([name]) == []
    assert name.encode().decode() == name and len(name.splitlines()) <= 1
    assert (ET.fromstring(f"<a>{escape(name)}</a>").text or "") == name


def test_sixty_thousand_names_cost_nothing():
    names = [f"ENSG{i:011d}" for i in range(60_000)]
    start = time.perf_counter()
    assert unstorable(names) == []
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("key", ["", "  ", "a/b", "/", ".", "..", None, 3, ["a"], "a\x00", "\ud800", "a\nb"])
def test_keys_that_files_cannot_keep(key):
    with pytest.raises(ParameterError, match="layer_added"):
        check_key(key, "layer_added")


@pytest.mark.parametrize("key", ["grn", "a b", "L2/3".replace("/", "_"), "a.b", "ñ"])
def test_other_keys_pass(key):
    check_key(key)
