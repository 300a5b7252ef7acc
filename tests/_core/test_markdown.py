"""Tables in Markdown."""

import pytest

from grn._core.markdown import markdown_row, markdown_table


def test_a_table_with_figures_at_the_right():
    text = markdown_table(["method", "AUPRC"], iter([["ridge", 0.5], ("|r|", "")]), figures=1)
    assert text.split("\n") == ["| method | AUPRC |", "|---|---:|", "| ridge | 0.5 |", r"| \|r\| |  |"]


@pytest.mark.parametrize("rows", [[], [["a", 1]]])
def test_every_line_has_the_columns_of_the_head(rows):
    lines = markdown_table(["x", "y"], rows).split("\n")
    assert len(lines) == 2 + len(rows) and {line.count("|") for line in lines} == {3}
    assert lines[0] == markdown_row(["x", "y"])
