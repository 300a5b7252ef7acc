"""A network as nodes and arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn import get
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn.pl import _draw
from grn.pl._data import check_genes, edge_table, numeric_column
from grn.pl._labels import place_labels
from grn.pl._layout import Rectangle, place_nodes
from grn.pl._select import around, strongest
from grn.pl._style import COLUMN_MM, blank, check_axes, check_count, new_axes, settle, size_points

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from grn.network import Network

_SIZES = ("degree", "out_degree", "in_degree", "strength", "equal")


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
) -> Axes:
    """Draw the strongest edges of a network, or those around chosen genes.

    Arrows are activation (blue), bars are repression (red), plain grey lines have no
    known sign; undirected networks have lines only. Diamonds with upright names regulate
    at least one gene in the picture, circles with italic names are targets only; focus
    genes wear an orange ring. Labels touch neither each other nor a node; one without
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
        Most edges to draw.
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
    Nodes are placed by stress majorisation, at a cost of the cube of the genes drawn.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1", "PAX5"], "target": ["LYZ", "PAX5", "CD79A"],
    ...                       "weight": [0.9, -0.6, 0.8]})
    >>> ax = grn.pl.network(edges, focus="SPI1")
    >>> sorted(patch.get_gid() for patch in ax.patches)
    ['edge:SPI1>LYZ', 'edge:SPI1>PAX5']
    """
    check_axes(ax)
    limits = {"max_edges": check_count("max_edges", max_edges), "max_genes": check_count("max_genes", max_genes)}
    hops = check_count("hops", hops)
    if node_size_by not in _SIZES:
        raise ParameterError(f"node_size_by={node_size_by!r} is unknown; use one of {', '.join(_SIZES)}.")
    directed = get.network(data, key=key).directed
    table = _ranked(edge_table(data, key=key, group=group), width_by, directed=directed)
    chosen = [focus] if isinstance(focus, str) else sorted(set(focus or []))
    if chosen:
        check_genes(chosen, [*table["source"], *table["target"]], argument="focus")
        shown = around(table, chosen, hops=hops, **limits)
    else:
        shown = strongest(table, **limits)
    if shown.empty:
        return blank(new_axes(COLUMN_MM, 40, managed=False)[0] if ax is None else ax, "no edges to draw")
    picture = _draw.Picture.of(shown, focus=chosen, node_size_by=node_size_by, directed=directed)
    ax = _open(len(picture.names)) if ax is None else ax
    _render(ax, picture, width_by=width_by, label=label, seed=layout_seed)
    return ax


def _ranked(table: pd.DataFrame, width_by: str, *, directed: bool) -> pd.DataFrame:
    size = np.abs(numeric_column(table, width_by, argument="width_by"))
    table = table.assign(width=np.nan_to_num(size))
    table = table.sort_values(["width", "strength", "source", "target"], ascending=[False, False, True, True])
    if not directed:
        ends = np.sort(table[["source", "target"]].to_numpy(dtype=str), axis=1)
        table = table[~pd.DataFrame(ends).duplicated().to_numpy()]
    return table


def _open(n_genes: int) -> Axes:
    area = COLUMN_MM**2 * max(1.0, n_genes / 45)
    width = min(np.sqrt(area), 2.05 * COLUMN_MM)
    height = area / width if n_genes > 12 else 0.75 * width
    ax: Axes = new_axes(width, min(height, 240), managed=False)[0]
    ax.set_position((0, 0, 1, 1))
    return ax


def _render(ax: Axes, picture: _draw.Picture, *, width_by: str, label: bool, seed: int) -> None:
    ax.set_axis_off()
    settle(ax)
    width, height = size_points(ax)
    ax.set_autoscale_on(False)
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    strip = _draw.legend(ax, picture, width_by=width_by)
    page: Rectangle = (3, strip + 5, max(width - 6, 10), max(height - strip - 8, 10))
    texts = _draw.label_texts(ax, picture) if label else []
    sizes = _draw.text_sizes(ax, texts) if label else np.zeros((len(picture.names), 2))
    radii = picture.radii
    boxes = np.stack([np.maximum(sizes[:, 0], 2 * radii) + 6, sizes[:, 1] + 2 * radii + 7], axis=1)
    where = place_nodes(picture.names, picture.ends, page=page, boxes=boxes, radii=radii, seed=seed)
    _draw.edges(ax, picture, where)
    _draw.nodes(ax, picture, where)
    if not label:
        return
    order = np.lexsort((np.arange(len(radii)), -picture.degree, ~picture.in_focus))
    lines = _draw.sampled_edges(picture, where)
    centres, free = place_labels(where, radii, sizes, lines=lines, page=page, rank=order)
    _draw.put_labels(ax, texts, centres, free, where, radii)
    if not free.all():
        hidden = ", ".join(picture.names[i] for i in np.flatnonzero(~free)[:5])
        logger.warning(
            "%d of %d labels had no room (%s%s); use a larger axes or a smaller max_genes.",
            (~free).sum(), len(free), hidden, ", ..." if (~free).sum() > 5 else "",
        )  # fmt: skip
