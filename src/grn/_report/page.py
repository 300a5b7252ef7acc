"""One HTML file out of its sections, which asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from grn._report.markup import Markup, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def section(name: str, heading: str, *parts: Any) -> Markup:
    """A section that the list of contents leads to."""
    return tag("section", tag("h2", heading), *parts, id=name)


def page(title: str, lead: str, sections: Sequence[tuple[str, str, Sequence[Any]]], foot: str) -> str:
    """The whole page.

    Parameters
    ----------
    title
        Its title.
    lead
        One sentence below it.
    sections
        Name, heading and parts of every section, in order.
    foot
        What stands at its end.
    """
    style = (files("grn._report") / "assets" / "report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="grn"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        Markup(f"<style>\n{style}</style>"),
    )
    links = (tag("li", tag("a", heading, href=f"#{name}")) for name, heading, _ in sections)
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("p", lead, class_="lead")),
        tag("nav", tag("ol", *links), **{"aria-label": "Contents"}),
        tag("main", *(section(name, heading, *parts) for name, heading, parts in sections)),
        tag("footer", tag("p", foot)),
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n{body}\n</html>\n'
