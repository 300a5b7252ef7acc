"""Labels of cells as text and as keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grn._core.labels import asked, key_of, keyed, label_of, labelled, texts, unique_cells
from grn.errors import CellNameError, GroupError

pieces = st.lists(st.sampled_from(["/", "\\", ".", "%", "%2F", "%00", "2", "F", "a", "_", " ", "é"]), max_size=6)


@given(pieces.map("".join), pieces.map("".join))
def test_keys_are_as_different_as_labels_and_lead_back(one, two):
    assert label_of(key_of(one)) == one
    assert (key_of(one) == key_of(two)) == (one == two)
    key = key_of(one)
    assert key and "/" not in key and "\\" not in key and not key.startswith(".")


def test_plain_labels_are_their_own_keys():
    for label in ("50% dose", "group_1", "L2_3", "1.5", "(0, 1]"):
        assert key_of(label) == label
    assert key_of("L2/3") == "L2%2F3"


def test_nested_dicts():
    value = {"alpha": {"L2/3": 1.0, "L2_3": 2.0}, "kind": "x"}
    assert keyed(value) == {"alpha": {"L2%2F3": 1.0, "L2_3": 2.0}, "kind": "x"}
    assert labelled(keyed(value)) == value


def test_text_of_labels():
    assert texts([1, 2, 1], "obs['x']") == ["1", "2", "1"]
    assert texts([True, False, np.True_], "obs['x']") == ["True", "False", "True"]
    assert texts([np.int64(3), 3, 1.5], "obs['x']") == ["3", "3", "1.5"]


@pytest.mark.parametrize(
    "labels",
    [[1, "1"], [True, 1], ["True", True], [1, 1.0], ["", "a"], [" ", "a"], ["a\n", "a"], ["a\x00"], ["\ud800"]],
)
def test_labels_that_cannot_be_told_apart_or_stored(labels):
    with pytest.raises(GroupError, match=r"obs\['x'\].*astype\(str\)"):
        texts(labels, "obs['x']")


def test_one_label_or_several():
    assert asked("abc") == ["abc"] and asked(1) == ["1"] and asked(["a", 2]) == ["a", "2"] and asked(True) == ["True"]


def test_names_of_cells():
    assert unique_cells(["b", "a"]) == ["b", "a"]
    with pytest.raises(CellNameError, match=r"2 names.*'a', 'b'.*obs_names_make_unique"):
        unique_cells(["a", "b", "b", "a", "c"])
