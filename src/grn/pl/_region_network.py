"""A network of regulators, regions and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.logging import hint
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import sign_colors
from grn.pl._edge_data import check_genes, in_names
from grn.pl._network import check_size, open_axes, render
from grn.pl._network_artists import Picture
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, blank
from grn.pl._triplets import triplet_table

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData


@document(**OUTPUT, **COLORS)
def region_network(
    data: AnnData | MuData | pd.DataFrame,
    *,
    key: str = "scenicplus",
    focus: str | Sequence[str] | None = None,
    max_triplets: int = 30,
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
    """Draw regulators, the regions they act on, and the targets of these.

    As :func:`network`, with a small square for every region: an arrow from the regulator to the region, one from the
    region to the target. Red opens a region or activates the target, blue closes it or represses, grey is not known.

    Parameters
    ----------
    data
        AnnData or MuData with a network in ``uns[key]`` that has triplets, or a table ``source, region, target``.
    key
        Slot of the network; unused for a table.
    focus
        Regulator, target or several: only their triplets are drawn.
    max_triplets
        Most triplets to draw, the strongest: by ``triplet_rank``, else ``score`` or ``weight``, where the table has it.
    node_size_by
        ``"degree"``, ``"out_degree"``, ``"in_degree"`` (counts of drawn arrows) or ``"equal"``; regions are all alike.
    label
        Write names of genes. Those of regions are not written: :func:`locus` shows where they are.
    layout_seed
        Seed of the layout.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide, more for more than 45 nodes.
    %(sign_palette)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Every arrow is a ``FancyArrowPatch`` with gid ``"edge:SOURCE>REGION"`` or ``"edge:REGION>TARGET"``.

    Raises
    ------
    ResultNotFoundError
        There is no such network, or it names no regions.
    GeneNameError
        A focus gene is in no triplet.
    ParameterError
        The table lacks a column, or another argument has a wrong type or value.

    Notes
    -----
    The sign of a region on its target is that of ``region_sign``, of ``rho_r2g``, or the second of words such as
    ``+/-``; that of a regulator on a region follows from it and ``sign``, which is that of the regulator on the target.
    Where only ``sign`` is known, arrows to regions have it and those from regions are grey.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> triplets = pd.DataFrame({"source": ["SPI1", "CEBPB"], "region": "chr1:100-600", "target": "LYZ", "sign": "+/+"})
    >>> ax = grn.pl.region_network(triplets)
    >>> sorted(patch.get_gid() for patch in ax.patches)
    ['edge:CEBPB>chr1:100-600', 'edge:SPI1>chr1:100-600', 'edge:chr1:100-600>LYZ']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    colors = sign_colors(palette)
    max_triplets = checks.integer("max_triplets", max_triplets, least=1)
    layout_seed = checks.integer("layout_seed", layout_seed, least=0)
    checks.word("node_size_by", node_size_by, ("degree", "out_degree", "in_degree", "equal"))
    table = triplet_table(data, data if isinstance(data, pd.DataFrame) else key, argument="key")
    chosen = sorted(set(in_names(data, [focus] if isinstance(focus, str) else list(focus or []))))
    if chosen:
        check_genes(chosen, [*table["source"], *table["target"]], argument="focus")
        table = table[table["source"].isin(chosen) | table["target"].isin(chosen)]
    if table.empty:
        return output.finish(blank(output.axes(COLUMN_MM, 40, managed=False), "no triplets to draw"))
    if len(table) > max_triplets:
        hint("%d of %d triplets are drawn; max_triplets= allows more", max_triplets, len(table))
    arrows = _arrows(table.iloc[:max_triplets])
    picture = Picture.of(
        arrows, focus=chosen, node_size_by=node_size_by, colors=colors, regions=set(table["region"])
    )  # fmt: skip
    check_size(picture)
    ax = open_axes(output, len(picture.names))
    render(ax, picture, width_by="weight", label=label, seed=layout_seed)
    return output.finish(ax)


def _arrows(table: pd.DataFrame) -> pd.DataFrame:
    """Edges of regulators and regions, and of regions and targets, each once, as :class:`Picture` takes them."""
    sign, of_region = table["sign"].to_numpy(), table["region_sign"].to_numpy()
    first = pd.DataFrame({
        "source": table["source"], "target": table["region"], "sign": np.where(of_region != 0, sign * of_region, sign),
    })  # fmt: skip
    second = pd.DataFrame({"source": table["region"], "target": table["target"], "sign": of_region})
    both = pd.concat([first, second], ignore_index=True).drop_duplicates(["source", "target"])
    return both.assign(strength=1.0, width=1.0, points=True)
