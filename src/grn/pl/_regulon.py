"""The strongest targets of one regulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn.pl._colors import SIGN_NAMES, sign_colors
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._edge_data import check_genes, edge_table, in_names
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, INK, MUTED, SMALL, TEXT, blank, tidy

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from grn.network import Network


@document(**OUTPUT, **COLORS)
def regulon(
    data: AnnData | Network | pd.DataFrame,
    *,
    source: str,
    key: str = "grn",
    group: str | None = None,
    n_targets: int = 20,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the strongest targets of a regulator as lollipops.

    Parameters
    ----------
    data
        AnnData with a network in ``uns[key]``, a :class:`~grn.Network`, or an edge
        table with columns ``source``, ``target`` and ``weight``.
    source
        The regulator.
    key
        Slot of the network in ``adata.uns``; unused for other input.
    group
        One group of a network inferred with ``groupby``. ``None`` takes every pair
        from the group in which it is strongest.
    n_targets
        Most targets to draw, by absolute weight.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    %(sign_palette)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        The strongest target is on top. Red is activation, blue repression, grey a sign
        that is not known; probabilities, when the table has them, stand at the right.

    Raises
    ------
    GeneNameError
        ``source`` regulates nothing in the network.
    ParameterError
        ``n_targets`` is not a positive integer.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> edges = pd.DataFrame({"source": "SPI1", "target": ["LYZ", "CD79A", "FCN1"], "weight": [0.9, -0.4, 0.6]})
    >>> ax = grn.pl.regulon(edges, source="SPI1", n_targets=2)
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['LYZ', 'FCN1']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    colors = sign_colors(palette)
    n_targets = checks.integer("n_targets", n_targets, least=1)
    table = edge_table(data, key=key, group=group)
    if table.empty:
        return output.finish(blank(output.axes(COLUMN_MM, 40), "no edges to draw"))
    source = in_names(data, [source])[0]
    check_genes([source], table["source"], argument="source")
    mine = table[table["source"] == source]
    shown = mine.iloc[:n_targets]
    ax = output.axes(COLUMN_MM, 20 + 3.6 * len(shown))
    _lollipops(ax, shown, colors)
    _probabilities(ax, shown)
    count = f"{len(shown)} strongest of {len(mine)}" if len(mine) > len(shown) else f"all {len(mine)}"
    ax.set_title(f"{source}: {count} targets", fontsize=TEXT, color=INK, loc="left", pad=12)
    return output.finish(ax)


def _lollipops(ax: Axes, shown: pd.DataFrame, by_sign: Mapping[int, str]) -> None:
    from matplotlib.lines import Line2D

    rows = np.arange(len(shown))
    weights, colors = shown["weight"].to_numpy(), [by_sign[sign] for sign in shown["sign"]]
    ax.hlines(rows, 0, weights, colors=colors, linewidth=1.4, zorder=2)
    ax.scatter(weights, rows, s=20, c=colors, linewidth=0, zorder=3, clip_on=False)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    ax.set_yticks(rows, shown["target"], fontstyle="italic")
    ax.set_ylim(len(shown) - 0.4, -0.6)
    reach = 1.08 * max(float(np.abs(weights).max()), 1e-12)
    ax.set_xlim(-reach if (weights < 0).any() else 0, reach if (weights > 0).any() else 0)
    tidy(ax, keep=("bottom",))
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(axis="y", length=0, pad=5)
    ax.set_xlabel("weight", fontsize=TEXT, color=INK)
    present = [sign for sign in (1, -1, 0) if (shown["sign"] == sign).any()]
    style: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1.4}
    handles = [Line2D([], [], color=by_sign[sign], label=SIGN_NAMES[sign], **style) for sign in present]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0,
        borderpad=0.2,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.2,
    )


def _probabilities(ax: Axes, shown: pd.DataFrame) -> None:
    if "probability" not in shown.columns:
        return
    place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "fontsize": SMALL, "color": MUTED}
    for row, probability in enumerate(shown["probability"]):
        text = f"{probability:.2f}" if np.isfinite(probability) else "–"
        ax.text(1.11, row, text, ha="right", va="center", gid="probability", **place)
    place["transform"] = ax.transAxes
    ax.text(1.11, 1.005, "probability", ha="right", va="bottom", **place)
