"""Tables in Markdown, for reports and pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[object], rows: Iterable[Iterable[object]], *, figures: int = 0) -> str:
    """A table in Markdown.

    Parameters
    ----------
    head
        Titles of the columns.
    rows
        Their cells.
    figures
        Number of columns, counted from the last, that are aligned to the right.
    """
    rule = "|" + "---|" * (len(head) - figures) + "---:|" * figures
    return "\n".join([markdown_row(head), rule, *map(markdown_row, rows)])


def markdown_row(cells: Iterable[object]) -> str:
    """A row of a table in Markdown; bars in cells do not divide them."""
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"
