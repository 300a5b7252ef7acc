"""One HTML file out of its parts: nothing in it comes from elsewhere, and what users named is data, never markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib.resources import files
from typing import Any

LIBRARY = "cytoscape.min.js"
# in the order in which they are put together
MODULES = (
    "data.js", "filters.js", "layout.js", "drawn.js", "labels.js", "graph.js", "table.js", "tables.js", "details.js",
    "curves.js", "exports.js", "controls.js", "keyboard.js", "main.js",
)  # fmt: skip
_ASSETS = files("grn.pl._explorer") / "assets"


def page(content: dict[str, Any], *, title: str) -> str:
    """The page of a network.

    Parameters
    ----------
    content
        What the scripts read.
    title
        Title of the page.
    """
    library = _asset(LIBRARY)
    script = '(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in MODULES) + "\n})();"
    parts = {
        "title": html.escape(title),
        "policy": _policy(library, script),
        "style": _asset("explorer.css"),
        "data": embedded(content),
        "library": library,
        "script": script,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset("template.html"))


def embedded(content: Any) -> str:
    """JSON that no parser of HTML sees an end or a beginning in, whatever genes are called."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    """What the browser may do for this page: run these scripts, and ask nobody for anything."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
