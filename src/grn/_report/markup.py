"""HTML in which what users named is text, never markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

_EMPTY = frozenset({"img", "br", "meta", "link"})
_THIN = "\u202f"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element; what is no Markup is escaped, None is left out.

    Parameters
    ----------
    name
        Name of the element.
    children
        What it holds, in order.
    attributes
        Its attributes; ``class_`` and ``for_`` for those that Python has words for.
    """
    given = "".join(f' {key.rstrip("_")}="{html.escape(str(value))}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(parts: Iterable[Any]) -> Markup:
    """Parts one after the other."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(str(part)) for part in parts if part is not None)
    )


def shown(value: Any) -> str:
    """A value as a cell of a table has it."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}".replace(",", _THIN).replace("-", "−")
    if isinstance(value, float | np.floating):
        size = abs(value)
        text = (
            f"{value:.2e}"
            if size and (size >= 1e5 or size < 1e-3)
            else f"{value:.3g}"
            if size < 100
            else f"{value:.0f}"
        )
        return text.replace("-", "−")
    return str(value)


def table(frame: pd.DataFrame, *, caption: str, genes: Sequence[str] = ()) -> Markup:
    """A table that scrolls where the page is narrow.

    Parameters
    ----------
    frame
        Its columns with their heads.
    caption
        What it shows.
    genes
        Columns whose words are names of genes.
    """
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name].dtype) for name in frame.columns}
    kind = {name: "figure" if numeric[name] else "gene" if name in genes else "word" for name in frame.columns}
    head = tag("tr", *(tag("th", name, scope="col", class_=kind[name]) for name in frame.columns))
    rows = (
        tag("tr", *(tag("td", shown(value), class_=kind[name]) for name, value in zip(frame.columns, row, strict=True)))
        for row in zip(*(frame[name].tolist() for name in frame.columns), strict=True)
    )
    body = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *rows))
    return tag("div", body, class_="scroll", tabindex="0", role="region", **{"aria-label": caption})


def pairs(rows: Iterable[tuple[Any, Any]]) -> Markup:
    """Names and what they stand for."""
    return tag("dl", *(part for name, value in rows for part in (tag("dt", name), tag("dd", value))))


def listed(names: Iterable[Any], limit: int = 12) -> str:
    """Names in a sentence, the first of many."""
    texts = [str(name) for name in names]
    more = f" and {shown(len(texts) - limit)} more" if len(texts) > limit else ""
    return (", ".join(texts[:limit]) + more) or "none"
