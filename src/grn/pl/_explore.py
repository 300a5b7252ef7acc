"""A network as a page for the browser, to search, filter and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn import get
from grn._core import checks
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._core.files import output_file, written
from grn._core.logging import logger, one_voice
from grn.get.visible import visible
from grn.network import Network
from grn.network.filters import Names
from grn.network.provenance import in_words
from grn.network.schema import holder
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import line_colors, sign_colors
from grn.pl._explorer.content import edge_content
from grn.pl._explorer.curves import curve_content
from grn.pl._explorer.page import page

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

MOST_EDGES = 20_000


@one_voice
@document(**COLORS)
def explore(
    data: AnnData | MuData | Network | pd.DataFrame,
    *,
    file: str | Path = "network.html",
    key: str = "grn",
    group: Names = None,
    max_edges: int | None = None,
    max_drawn: int = 300,
    curves: Sequence[str] | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    title: str | None = None,
    show: bool = False,
) -> Path:
    """Write a network as one page for the browser, to search, filter, compare groups and export.

    The page is a single file that asks nobody for anything, so it can be mailed or kept beside the data. Its picture
    begins with the strongest edges; filters, tables and exports cover all edges of the page. Arrows are drawn as in
    :func:`grn.pl.network`: only where the network says what tells a direction.

    Parameters
    ----------
    data
        AnnData or MuData with a network in ``uns[key]``, a :class:`~grn.Network`, or an edge table with columns
        ``source``, ``target`` and ``weight``.
    file
        File to write, ``.html``.
    key
        Slot of the network in ``adata.uns``; unused for other input.
    group
        One group or several of a network inferred with ``groupby``; ``None`` takes all.
    max_edges
        Write only this many edges, those with the largest absolute weights; the log and the page say of how many.
        ``None`` takes all, which must be at most 20 000.
    max_drawn
        Edges of the first picture, the strongest; the reader of the page can draw more.
    curves
        Slots of probes whose curves are shown with an edge. ``None`` takes ``"vvp"`` and ``"gradient_trajectory"``
        where ``adata.varm`` has them, ``[]`` none.
    %(sign_palette)s
    title
        Title of the page; by default it names the method of the network.
    show
        Open the page in the default browser.

    Returns
    -------
    pathlib.Path
        The file. The same input gives the same bytes.

    Raises
    ------
    ResultNotFoundError
        The object holds no network under ``key``, or no features under one of ``curves``.
    GroupError
        The network has no such group.
    ParameterError
        The network has more edges than a page holds, or none, or an argument is out of range.
    StorageError
        Nothing can be written there; a file of that name is then as before.

    Notes
    -----
    5 000 edges with eight columns are a file of about 1.5 MB, of which 0.5 MB are cytoscape.js
    (MIT licence), which draws the picture. The content security policy of the page forbids every connection.

    Examples
    --------
    >>> import grn, pandas as pd, tempfile
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1", "PAX5"], "target": ["LYZ", "PAX5", "CD79A"],
    ...                       "weight": [0.9, -0.6, 0.8]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = grn.pl.explore(edges, file=f"{folder}/network.html")
    ...     path.name, path.stat().st_size > 100_000
    ('network.html', True)
    """
    path = output_file(file, name="file")
    if path.suffix.lower() not in {".html", ".htm"}:
        raise ParameterError(f"file={str(file)!r} does not end in .html; pass file='network.html'.")
    checks.flag("show", show)
    max_drawn = checks.integer("max_drawn", max_drawn, least=1)
    if max_edges is not None:
        max_edges = checks.integer("max_edges", max_edges, least=1, most=MOST_EDGES)
    if curves is not None:
        curves = checks.names("curves", curves, what="slots of probes")
    colors = sign_colors(palette)
    net = visible(get.network(data, key=key, group=group), data, key)
    total = len(net)
    net = _limited(net, max_edges)
    heading = _title(net) if title is None else str(title)
    content = {
        "title": heading,
        "total": total,
        "max_drawn": max_drawn,
        "colors": {str(sign): _hex(color) for sign, color in sorted(colors.items())},
        "group_colors": [_hex(color) for color in line_colors(None, max(1, len(net.groups)))],
        "summary": repr(net),
        "provenance": in_words(net.params),
        **edge_content(net),
        "curves": curve_content(_owner(data, key), net, curves),
    }
    text = page(content, title=heading)
    with written(path, name="file") as place:
        place.write_text(text, encoding="utf-8", newline="\n")
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return path


def _limited(net: Network, max_edges: int | None) -> Network:
    """The strongest edges of the network, as many as asked for; what is left out is said."""
    if not len(net):
        raise ParameterError("the network has no edges to show; look at its filters, or at grn.get.edges(adata).")
    if max_edges is None and len(net) > MOST_EDGES:
        raise ParameterError(
            f"the network has {len(net)} edges, a page holds {MOST_EDGES}; pass max_edges=5000 (--max-edges 5000) for "
            "the strongest, group= for one group, or a part of it: "
            "grn.pl.explore(grn.get.network(adata).filter(top_per_target=5))."
        )
    if max_edges is None or len(net) <= max_edges:
        return net
    order = np.lexsort((np.arange(len(net)), -net.edges["weight"].abs().to_numpy()))
    edges = net.edges.iloc[np.sort(order[:max_edges])]
    kind = {"directed": None if "direction" in edges else net.directed, "signed": net.signed, "tested": net.tested}
    part = Network(edges, genes=net.genes, params=net.params, **kind)
    logger.warning("the page holds the %d strongest of %d edges (max_edges=%d)", max_edges, len(net), max_edges)
    return part


def _owner(data: Any, key: str) -> Any:
    """The object that may hold probes beside the network; None for what is no object."""
    return holder(data, key) if hasattr(data, "uns") else None


def _title(net: Network) -> str:
    method = net.params.get("method")
    return f"Network by {method}" if isinstance(method, str) and method else "Network"


def _hex(color: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)
