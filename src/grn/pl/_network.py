"""A network as nodes and arrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn import get
from grn._core import checks
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn.network.direction import as_drawn
from grn.pl import _network_artists
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import sign_colors
from grn.pl._edge_data import check_genes, edge_table, in_names, numeric_column
from grn.pl._label_places import place_labels
from grn.pl._layout import Rectangle, place_nodes
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._select import around, strongest
from grn.pl._style import COLUMN_MM, blank, settle, size_points

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from grn.network import Network

MOST_EDGES, MOST_GENES, MOST_LABELS = 5000, 3000, 200
_SIZES = ("degree", "out_degree", "in_degree", "strength", "equal")


@document(**OUTPUT, **COLORS)
def network(
    data: AnnData | Network | pd.DataFrame,
    *,
    key: str = "grn",
    group: str | None = None,
    focus: str | Sequence[str] | None = None,
    hops: int = 1,
    max_edges: int = 60,
    max_genes: int = 50,
    width_by: str = "weight",
    node_size_by: str = "degree",
    label: bool = True,
    layout_seed: int = 0,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the strongest edges of a network, or those around chosen genes.

    So that one hub does not crowd out all others, a regulator has at first a sixth of ``max_edges``, or 10 if that is
    more, and further edges only where those of others leave room; around chosen genes the strongest are drawn as they
    come.

    Closed arrows are activation (red), bars are repression (blue), open arrows have no
    known sign (grey). Plain lines, in the colour of their sign, have no known direction:
    all edges of an undirected network, and those of which the column ``direction`` says
    ``"none"``, each pair once. The legend says what tells the direction of the others.
    Diamonds with upright names are regulators in the picture, circles with italic names
    are targets only; focus genes wear an orange ring. Labels touch neither each other nor a node; one without
    room is left out and reported at warning level.

    Parameters
    ----------
    data
        AnnData with a network in ``uns[key]``, a :class:`~grn.Network`, or an edge
        table with columns ``source``, ``target`` and ``weight``.
    key
        Slot of the network in ``adata.uns``; unused for other input.
    group
        One group of a network inferred with ``groupby``. ``None`` draws every pair
        with the group in which it is strongest.
    focus
        Gene or genes the picture is about. ``None`` draws the strongest edges.
    hops
        Steps from the focus genes, along edges of either direction.
    max_edges
        Most edges to draw, the strongest first.
    max_genes
        Most genes to draw.
    width_by
        Column that ranks edges and sets line widths by its absolute value:
        ``"weight"``, ``"probability"`` or another numeric column.
    node_size_by
        ``"degree"``, ``"out_degree"``, ``"in_degree"`` (counts of drawn edges),
        ``"strength"`` (sum of absolute weights of drawn edges) or ``"equal"``.
    label
        Write gene names.
    layout_seed
        Seed of the layout. The picture depends on it and on the edges, not on their order.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide, more for more than 45 genes.
        Labels are placed for the size the axes has now; set sizes before.
    %(sign_palette)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Data coordinates are points on the page. Every edge is a ``FancyArrowPatch`` with gid
        ``"edge:SOURCE>TARGET"``, every label a text with gid ``"label:GENE"``.

    Raises
    ------
    GeneNameError
        A focus gene is not in the network.
    ParameterError
        A limit is not a positive integer, or ``width_by`` or ``node_size_by`` is unknown.

    Notes
    -----
    Up to 150 genes are placed by stress majorisation of all distances in the graph, more by that of the distances to
    150 of them, at a cost that grows with edges and genes. Edges keep clear of foreign nodes in small pictures only.
    5 000 edges of 3 000 genes are the most that is drawn; of more than 200 genes the most connected have names.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1", "PAX5"], "target": ["LYZ", "PAX5", "CD79A"],
    ...                       "weight": [0.9, -0.6, 0.8]})
    >>> ax = grn.pl.network(edges, focus="SPI1")
    >>> sorted(patch.get_gid() for patch in ax.patches)
    ['edge:SPI1>LYZ', 'edge:SPI1>PAX5']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    colors = sign_colors(palette)
    limits = {
        "max_edges": checks.integer("max_edges", max_edges, least=1),
        "max_genes": checks.integer("max_genes", max_genes, least=1),
    }
    hops = checks.integer("hops", hops, least=1)
    layout_seed = checks.integer("layout_seed", layout_seed, least=0)
    checks.word("node_size_by", node_size_by, _SIZES)
    directed = get.network(data, key=key).directed
    table = _ranked(edge_table(data, key=key, group=group), width_by, directed=directed)
    chosen = sorted(set(in_names(data, [focus] if isinstance(focus, str) else list(focus or []))))
    if chosen:
        check_genes(chosen, [*table["source"], *table["target"]], argument="focus")
        shown = around(table, chosen, hops=hops, **limits)
    else:
        shown = strongest(table, **limits)
    if shown.empty:
        return output.finish(blank(output.axes(COLUMN_MM, 40, managed=False), "no edges to draw"))
    picture = _network_artists.Picture.of(shown, focus=chosen, node_size_by=node_size_by, colors=colors)
    check_size(picture)
    ax = open_axes(output, len(picture.names))
    render(ax, picture, width_by=width_by, label=label, seed=layout_seed)
    return output.finish(ax)


def _ranked(table: pd.DataFrame, width_by: str, *, directed: bool) -> pd.DataFrame:
    size = np.abs(numeric_column(table, width_by, argument="width_by"))
    table = table.assign(width=np.nan_to_num(size))
    table = table.sort_values(["width", "strength", "source", "target"], ascending=[False, False, True, True])
    drawn, points = as_drawn(table.drop(columns="group", errors="ignore"), directed=directed)
    return drawn.assign(points=points)


def check_size(picture: _network_artists.Picture) -> None:
    """Refuse what no page shows and no patience waits for."""
    n_edges, n_genes = len(picture.ends), len(picture.names)
    if n_edges > MOST_EDGES or n_genes > MOST_GENES:
        raise ParameterError(
            f"{n_edges} edges of {n_genes} genes are more than can be drawn, which is {MOST_EDGES} edges of "
            f"{MOST_GENES} genes; pass a smaller max_edges= or max_genes=, or focus=, or write the network for "
            "Cytoscape: network.to_graphml(path)."
        )


def open_axes(output: Output, n_genes: int) -> Axes:
    area = COLUMN_MM**2 * max(1.0, n_genes / 45)
    width = min(np.sqrt(area), 2.05 * COLUMN_MM)
    height = area / width if n_genes > 12 else 0.75 * width
    ax = output.axes(width, min(height, 240), managed=False)
    if output.given is None:
        ax.set_position((0, 0, 1, 1))
    return ax


def render(ax: Axes, picture: _network_artists.Picture, *, width_by: str, label: bool, seed: int) -> None:
    ax.set_axis_off()
    settle(ax)
    width, height = size_points(ax)
    ax.set_autoscale_on(False)
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    strip = _network_artists.legend(ax, picture, width_by=width_by)
    page: Rectangle = (3, strip + 5, max(width - 6, 10), max(height - strip - 8, 10))
    radii = picture.radii
    # those that choose a place first; a page has no room for more
    order = np.lexsort((np.arange(len(radii)), -picture.degree, ~picture.in_focus))
    order = order[~picture.region[order]][: MOST_LABELS if label else 0]
    texts = _network_artists.label_texts(ax, picture, order)
    sizes = np.zeros((len(picture.names), 2))
    if len(order):
        sizes[order] = _network_artists.text_sizes(ax, texts)
    boxes = np.stack([np.maximum(sizes[:, 0], 2 * radii) + 6, sizes[:, 1] + 2 * radii + 7], axis=1)
    where = place_nodes(picture.names, picture.ends, page=page, boxes=boxes, radii=radii, seed=seed)
    _network_artists.edges(ax, picture, where)
    _network_artists.nodes(ax, picture, where)
    if not label:
        return
    lines = _network_artists.sampled_edges(picture, where)
    placed = place_labels(where, radii, sizes[order], lines=lines, page=page, owners=order)
    _network_artists.put_labels(ax, texts, *placed, where[order], radii[order])
    named = {name for name, region in zip(picture.names, picture.region, strict=True) if not region}
    hidden = sorted(named - {picture.names[i] for i in order[placed[1]]})
    if hidden:
        logger.warning(
            "%d of %d labels had no room (%s%s); use a larger axes or a smaller max_genes.",
            len(hidden), len(named), ", ".join(hidden[:5]), ", ..." if len(hidden) > 5 else "",
        )  # fmt: skip
