"""How far networks agree, as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.docs import document
from grn._core.logging import logger
from grn.get.scored import agreement_table, read_scored
from grn.pl._colors import ABSENT, color_scale
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, INK, MUTED, POINTS_PER_MM, SMALL, TEXT, settle, size_points, tick_size, tidy

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

_CELL_MM, _BAR_MM = 14.0, 18.0
# mean width of a character, as a part of the font size
_CHARACTER = 0.52
_LINES = 2.4


@document(**OUTPUT, **COLORS)
def compare_models(
    adata: AnnData,
    *,
    keys: Sequence[str] | Mapping[str, str] | None = None,
    top: int = 100,
    group: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    r"""Draw how far networks of several models or methods agree, one cell per two networks.

    Below the diagonal is Spearman's correlation of absolute weights over the pairs that both networks scored, with
    their number ``n``. Above it is how many of the strongest edges the two share, with what chance gives: two networks
    that say nothing about each other share about that many. On the diagonal is the number of edges.
    The numbers are those of :func:`grn.get.agreement`, which defines them.

    Parameters
    ----------
    adata
        AnnData with networks in ``uns``, each inferred with a ``key_added`` of its own.
    keys
        Entries of ``uns``, or a dict of labels and entries, in the order to be drawn; ``None`` takes all networks of
        the object.
    top
        Number of strongest edges above the diagonal.
    group
        One group of networks inferred with ``groupby``; networks without groups stand for each. ``None`` takes every
        pair from the group in which it is strongest.
    ax
        Axes to draw on; ``None`` opens a figure of 89 mm, wider for many networks or long names.
    cmap
        Colour map of the correlations, by name or as matplotlib has it; ``"RdBu_r"`` by default, red above 0. Shared
        edges are green.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Cells that cannot be compared are grey: less than three pairs in common, or no pair of genes.

    Raises
    ------
    ResultNotFoundError
        The object holds no network under a key.
    GroupError
        No network has that group.
    ParameterError
        There are fewer than two networks, or ``top`` is not a positive integer.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 4)), var=pd.DataFrame(index=["SPI1", "CD14", "LYZ", "CD3E"]))
    >>> edges = pd.DataFrame({"source": "SPI1", "target": ["CD14", "LYZ", "CD3E"], "weight": [3.0, 2.0, 1.0]})
    >>> grn.Network(edges).write(adata, "vvp")
    >>> grn.Network(edges.assign(weight=[2.0, 3.0, 1.0])).write(adata, "pert")
    >>> ax = grn.pl.compare_models(adata, keys=["vvp", "pert"], top=1)
    >>> ax.texts[-1].get_text()
    '0 of 1\nchance 0.33'
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    correlation = color_scale(np.ones(1), diverging=True, cmap=cmap)
    networks = read_scored(adata, keys, group)
    table = agreement_table(networks, top)
    labels = [net.label for net in networks]
    sizes = {net.label: net.n_edges for net in networks}
    n, room = len(labels), _text_mm(max(labels, key=len))
    wide = max(COLUMN_MM, _BAR_MM + room + _CELL_MM * n)
    upright = room > (wide - _BAR_MM - room) / n
    ax = output.axes(wide, _BAR_MM + max(40.0, 10.0 * n) + (room if upright else 3.0))
    _draw(ax, table, labels, sizes, top, correlation)
    return output.finish(ax)


def _text_mm(text: str) -> float:
    return len(text) * SMALL * _CHARACTER / POINTS_PER_MM


def _draw(ax: Axes, table: pd.DataFrame, labels: list[str], sizes: Mapping[str, int], top: int,
          correlation: tuple[Colormap, Normalize]) -> None:  # fmt: skip
    n = len(labels)
    at = {label: i for i, label in enumerate(labels)}
    overlap = _pale_to_dark()
    colors = np.empty((n, n, 4))
    texts: dict[tuple[int, int], str] = {}
    for i, label in enumerate(labels):
        colors[i, i] = _color(np.nan, correlation)
        texts[i, i] = f"{sizes[label]:,}\nedges"
    for row in table.to_dict("records"):
        i, j = at[row["network_a"]], at[row["network_b"]]
        colors[j, i], colors[i, j] = _color(row["spearman"], correlation), _color(row["overlap"], overlap)
        texts[j, i], texts[i, j] = _correlation_text(row), _overlap_text(row)
    ax.pcolormesh(colors, edgecolors="white", linewidth=1.0)
    ax.set_xlim(0, n)
    ax.set_ylim(n, 0)
    ax.set_yticks(np.arange(n) + 0.5, labels)
    ax.set_xticks(np.arange(n) + 0.5, labels)
    tidy(ax, keep=())
    ax.tick_params(length=0, pad=2)
    _bar(ax, overlap, f"shared of the strongest {top:,}", location="right")
    _bar(ax, correlation, "Spearman of absolute weights", location="bottom")
    _write(ax, texts, colors, labels)


def _pale_to_dark() -> tuple[Colormap, Normalize]:
    """Greens from 0 to 1: nothing in common is to look like nothing."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    shades = mpl.colormaps["Greens"](np.linspace(0, 0.95, 256))
    return LinearSegmentedColormap.from_list("grn_Greens", shades).with_extremes(bad=ABSENT), Normalize(0, 1)


def _color(value: float, scale: tuple[Colormap, Normalize]) -> tuple[float, ...]:
    cmap, norm = scale
    return tuple(cmap(np.ma.masked_invalid([norm(value)]))[0])


def _correlation_text(row: Mapping[str, Any]) -> str:
    value = "–" if np.isnan(row["spearman"]) else f"{row['spearman']:.2f}".replace("-", "−")
    return f"{value}\nn = {row['n_common']:,}"


def _overlap_text(row: Mapping[str, Any]) -> str:
    if np.isnan(row["overlap"]):
        return "–"
    return f"{_short(row['shared'])} of {min(row['top_a'], row['top_b'])}\nchance {_short(row['expected'])}"


def _short(value: float) -> str:
    """A count that may have a part, in few characters."""
    whole = round(value)
    if abs(value - whole) < 1e-9 or value >= 10:
        return f"{whole:,}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}" if value >= 0.01 else "<0.01"


def _bar(ax: Axes, scale: tuple[Colormap, Normalize], label: str, *, location: str) -> None:
    from matplotlib.cm import ScalarMappable

    cmap, norm = scale
    bar = ax.figure.colorbar(
        ScalarMappable(norm, cmap), ax=ax, location=location, fraction=0.05, aspect=25, pad=0.03, shrink=0.9
    )
    bar.set_label(label, fontsize=TEXT, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2, pad=2)
    bar.ax.locator_params(nbins=5)


def _write(ax: Axes, texts: Mapping[tuple[int, int], str], colors: np.ndarray, labels: Sequence[str]) -> None:
    """Put the numbers into the cells and the names beside them, in sizes that fit."""
    n = len(labels)
    for (row, column), text in texts.items():
        ink = MUTED if row == column else _ink(colors[row, column])
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", linespacing=1.1, fontsize=SMALL, color=ink)
    settle(ax)
    width = size_points(ax)[0] / n
    if max(map(len, labels)) * SMALL * _CHARACTER > width:
        ax.tick_params(axis="x", labelrotation=90)
        settle(ax)
    width, height = (points / n for points in size_points(ax))
    longest = max(len(line) for text in texts.values() for line in text.split("\n"))
    size = min(width / (longest * _CHARACTER), height / _LINES)
    for text in ax.texts:
        text.set_fontsize(tick_size(size))
    ax.tick_params(axis="y", labelsize=tick_size(height))
    ax.tick_params(axis="x", labelsize=tick_size(width))
    if size < 3.5:
        logger.warning("%d networks are too many for the numbers on these axes; draw fewer or enlarge them.", n)


def _ink(color: np.ndarray) -> str:
    """Black or white, whichever can be read on a colour."""
    light = np.dot(color[:3], (0.299, 0.587, 0.114))
    return INK if light > 0.5 else "white"
