"""Arguments in their range: the same answer for every kind of number, and messages of one style."""

import math
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grn._core import checks
from grn.errors import ParameterError

NO_NUMBERS = [True, np.bool_(1), np.array(True), "3", b"3", None, Decimal(3), 3j, np.complex64(3), [3], np.array([3])]
WHOLE = [int, np.int8, np.int64, np.uint16, lambda n: np.array(n, dtype=np.int32)]
REAL = [int, float, Fraction, np.float16, np.float32, np.int64, np.longdouble, lambda n: np.array(n, dtype=np.float64)]


@given(n=st.integers(0, 100), least=st.none() | st.integers(0, 100), most=st.none() | st.integers(0, 100))
@pytest.mark.parametrize("kind", WHOLE)
def test_integers_of_every_kind_are_in_the_range_or_not(kind, n, least, most):
    inside = (least is None or n >= least) and (most is None or n <= most)
    if inside:
        found = checks.integer("n", kind(n), least=least, most=most)
        assert type(found) is int and found == n
    else:
        with pytest.raises(ParameterError, match=f"^n={n}|^n=array"):
            checks.integer("n", kind(n), least=least, most=most)


@given(n=st.integers(0, 100), least=st.none() | st.integers(0, 100), most=st.none() | st.integers(0, 100))
@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("open_", [True, False])
def test_numbers_of_every_kind_are_in_the_range_or_not(kind, open_, n, least, most):
    low, high = ({"above": least}, {"below": most}) if open_ else ({"least": least}, {"most": most})
    inside = (least is None or n >= least) and (most is None or n <= most) and not (open_ and n in (least, most))
    if inside:
        found = checks.number("x", kind(n), **low, **high)
        assert type(found) is float and found == n
    else:
        with pytest.raises(ParameterError, match=r"^x="):
            checks.number("x", kind(n), **low, **high)


@pytest.mark.parametrize("check", [checks.integer, checks.number])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_bools_text_and_lists_are_no_numbers(check, value):
    with pytest.raises(ParameterError, match=r"pass an integer|pass a finite number"):
        check("n", value)


def test_what_no_computer_counts_to_is_refused_unless_it_is_allowed():
    with pytest.raises(ParameterError, match=r"^n=1000000000000000000000; pass an integer from 1 to 2147483647"):
        checks.integer("n", 10**21, least=1)
    assert checks.integer("n", 10**21, least=1, most=None) == 10**21


@pytest.mark.parametrize("value", [1.0, np.float64(2), Fraction(4, 2), math.nan])
def test_numbers_with_a_point_are_no_integers(value):
    with pytest.raises(ParameterError, match=r"^n=.*pass a positive integer"):
        checks.integer("n", value, least=1)


@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_numbers_are_taken_only_where_they_are_meant(sign):
    for value in (sign * math.inf, np.float32(sign * math.inf), sign * 10**400):
        with pytest.raises(ParameterError, match="finite number"):
            checks.number("x", value)
        assert checks.number("x", value, finite=False) == sign * math.inf


@pytest.mark.parametrize("value", [math.nan, np.float32("nan"), np.array(math.nan)])
def test_nan_is_never_a_number(value):
    for finite in (True, False):
        with pytest.raises(ParameterError, match=r"^x=.*pass a"):
            checks.number("x", value, finite=finite)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "an integer"),
        ({"least": 1}, "a positive integer"),
        ({"least": 2}, "an integer of at least 2"),
        ({"least": 1, "most": 3}, "an integer from 1 to 3"),
        ({"most": 3}, "an integer up to 3"),
    ],
)
def test_what_is_expected_of_integers_is_said(limits, expected):
    with pytest.raises(ParameterError, match=f"^n='x'; pass {expected} or None\\.$"):
        checks.integer("n", "x", **limits, note=" or None")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "a finite number"),
        ({"finite": False}, "a number"),
        ({"least": 0}, "a finite number of at least 0"),
        ({"above": 0}, "a finite number above 0"),
        ({"least": 0, "most": 1}, "a number from 0 to 1"),
        ({"least": 0, "below": 1}, "a number from 0 to below 1"),
        ({"above": 0, "most": 1}, "a number above 0 and up to 1"),
        ({"above": 0, "below": 1}, "a number between 0 and 1"),
        ({"most": 1}, "a number up to 1"),
        ({"below": 1}, "a number below 1"),
    ],
)
def test_what_is_expected_of_numbers_is_said(limits, expected):
    with pytest.raises(ParameterError, match=f"^x='x'; pass {expected}, or None\\.$"):
        checks.number("x", "x", **limits, note=", or None")


@pytest.mark.parametrize(
    "value",
    [10**5000, -(10**5000), "x" * 10**6, list(range(10**5)), pd.DataFrame({"a": [1]})],
    ids=["large", "negative", "text", "list", "table"],
)
def test_messages_are_short_whatever_was_given(value):
    for check in (checks.integer, checks.number):
        with pytest.raises(ParameterError) as caught:
            check("n", value, least=8, most=9)
        assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_words_are_known_or_near_ones_are_named():
    assert type(checks.word("kind", np.str_("a"), ("a", "b"))) is str
    with pytest.raises(ParameterError, match=r"^kind='spearmann'; use one of pearson, spearman\. Did you mean 's"):
        checks.word("kind", "spearmann", ("pearson", "spearman"))
    for strange in (["a"], None, 1, {"a": 1}, np.array(["a", "b"])):
        with pytest.raises(ParameterError, match=r"^kind=.*use one of a, b"):
            checks.word("kind", strange, ("a", "b"))


def test_some_words_are_one_or_a_list():
    assert checks.words("roles", "a", ("a", "b")) == ["a"]
    assert checks.words("roles", ("b", "a", "b"), ("a", "b")) == ["b", "a"]
    for strange in ([], ["a", "c"], None, 3, [["a"]], "ab"):
        with pytest.raises(ParameterError, match=r"^roles=.*pass a list of some of a, b"):
            checks.words("roles", strange, ("a", "b"))


def test_names_are_a_list_and_no_single_string():
    listed = (["A", "B"], ("A", "B"), np.array(["A", "B"]), pd.Index(["A", "B"]), pd.Series(["A", "B"]), iter("AB"))
    for value in listed:
        assert checks.names("genes", value) == ["A", "B"]
    with pytest.raises(ParameterError, match=r"^genes='SPI1' is a single string; pass a list of genes, such as \['SP"):
        checks.names("genes", "SPI1", what="genes")
    with pytest.raises(ParameterError) as refused:
        checks.names("genes", "A" * 10_000)
    assert len(str(refused.value)) < 400
    for strange in (3, None, {"A": 1}, OrderedDict(A=1)):
        with pytest.raises(ParameterError, match=f"^genes has type {type(strange).__name__}; pass a list of names"):
            checks.names("genes", strange)


def test_jobs_are_a_number_all_cores_or_none():
    found = [checks.jobs(value) for value in (None, 1, np.int64(3), -1, np.int32(-1), np.array(-1))]
    assert found == [None, 1, 3, -1, -1, -1] and all(value is None or type(value) is int for value in found)
    for strange in (0, -2, True, 1.0, "2", np.bool_(1)):
        with pytest.raises(ParameterError, match=r"^n_jobs=.*pass a positive integer, -1 for all cores or None"):
            checks.jobs(strange)


def test_flags_and_dicts():
    assert checks.flag("show", np.bool_(0)) is False and checks.flag("show", value=True) is True
    for strange in (0, 1, None, "yes"):
        with pytest.raises(ParameterError, match=r"^show=.*pass True or False"):
            checks.flag("show", strange)
    assert checks.mapping("params", None, example="{}") == {}
    with pytest.raises(ParameterError, match=r"^params=\['a'\]; pass a dict by name, such as \{'a': 1\}"):
        checks.mapping("params", ["a"], example="{'a': 1}")
