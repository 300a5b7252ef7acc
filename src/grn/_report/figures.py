"""Figures of a report, drawn by ``grn.pl`` and put into the page as SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from grn._core.errors import GrnError
from grn._core.logging import logger
from grn._report.markup import Markup, tag

# figures are made for a column of a journal; a screen is read from further away
_LARGER = 1.55


def figure(draw: Callable[[], Any], *, alt: str, caption: str) -> Markup:
    """A figure with its caption, or a sentence that says why it is missing.

    Parameters
    ----------
    draw
        Gives a Figure of matplotlib.
    alt
        What it shows, for those who do not see it.
    caption
        What stands below.
    """
    try:
        picture = _svg(draw)
    except GrnError as error:
        logger.warning("left a figure out of the report (%s): %s", alt, error)
        return tag("p", f"This figure could not be drawn: {error}", class_="missing")
    return tag("figure", _image(picture, alt), tag("figcaption", caption))


def _svg(draw: Callable[[], Any]) -> tuple[bytes, float]:
    """A figure as SVG with the same bytes each time, and its width in points."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    # the style and the open figures of the user stay as they are
    with mpl.style.context("default"), mpl.rc_context({"svg.hashsalt": "grn", "svg.fonttype": "path"}):
        drawn = draw()
        try:
            place = io.BytesIO()
            drawn.savefig(place, format="svg", metadata={"Date": None, "Creator": None})
            return place.getvalue(), drawn.get_figwidth() * 72
        finally:
            plt.close(drawn)


def _image(picture: tuple[bytes, float], alt: str) -> Markup:
    content, width = picture
    address = f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
    return tag("img", src=address, alt=alt, width=round(width * _LARGER))
