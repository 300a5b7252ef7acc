"""A network as a matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.logging import logger
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import color_scale
from grn.pl._edge_data import edge_table, numeric_column
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import (
    COLUMN_MM,
    INK,
    POINTS_PER_MM,
    SMALL,
    TEXT,
    blank,
    lay_flat,
    settle,
    size_points,
    tick_size,
    tidy,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from grn.network import Network

_CELL_MM = 2.5


@document(**OUTPUT, **COLORS)
def heatmap(
    data: AnnData | Network | pd.DataFrame,
    *,
    key: str = "grn",
    group: str | None = None,
    n_sources: int = 20,
    n_targets: int = 40,
    value: str = "weight",
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw regulators (columns) by targets (rows) in clustered order.

    The regulators with the largest sum of absolute values are shown, then the targets with the
    largest sum over these. Rows and columns are ordered by average linkage on
    Euclidean distances, pairs without an edge counting as 0, with optimal leaf order.

    Parameters
    ----------
    data
        AnnData with a network in ``uns[key]``, a :class:`~grn.Network`, or an edge
        table with columns ``source``, ``target`` and ``weight``.
    key
        Slot of the network in ``adata.uns``; unused for other input.
    group
        One group of a network inferred with ``groupby``. ``None`` takes every pair
        from the group in which it is strongest.
    n_sources
        Most regulators to draw.
    n_targets
        Most targets to draw.
    value
        Numeric column of the edges: ``"weight"``, ``"probability"``, ``"score"``, ...
    ax
        Axes to draw on; ``None`` opens a figure of 89 mm, wider for more than 22 regulators.
    %(cmap)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Values with a sign use a scale symmetric around 0, red above and blue below;
        values without one run from 0 upwards. Pairs without an edge are light grey.

    Raises
    ------
    ParameterError
        ``value`` is not a numeric column, or a count is not a positive integer.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> edges = pd.DataFrame({"source": ["SPI1", "SPI1", "PAX5"], "target": ["LYZ", "CD79A", "CD79A"],
    ...                       "weight": [0.9, -0.6, 0.8]})
    >>> ax = grn.pl.heatmap(edges)
    >>> sorted(tick.get_text() for tick in ax.get_xticklabels())
    ['PAX5', 'SPI1']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    n_sources, n_targets = (
        checks.integer("n_sources", n_sources, least=1),
        checks.integer("n_targets", n_targets, least=1),
    )
    table = edge_table(data, key=key, group=group)
    table = table.assign(shown=numeric_column(table, value, argument="value")).dropna(subset="shown")
    if table.empty:
        return output.finish(blank(output.axes(COLUMN_MM, 40), "no edges to draw"))
    matrix = _matrix(table, n_sources, n_targets)
    diverging = bool((table["shown"] < 0).any())
    scale = color_scale(matrix.to_numpy(), diverging=diverging, cmap=cmap)
    rows, columns = matrix.shape
    ax = output.axes(max(COLUMN_MM, 34 + _CELL_MM * columns), max(40, 22 + _CELL_MM * rows))
    draw_matrix(ax, matrix, scale, label=value.replace("_", " "))
    ax.set_xlabel("regulator", fontsize=TEXT, color=INK)
    ax.set_ylabel("target", fontsize=TEXT, color=INK)
    for text in ax.get_yticklabels():
        text.set_fontstyle("italic")
    if matrix.isna().to_numpy().any():
        _absent_note(ax, scale[0])
    return output.finish(ax)


def _matrix(table: pd.DataFrame, n_sources: int, n_targets: int) -> pd.DataFrame:
    """Targets by regulators in drawing order, NaN where there is no edge."""
    table = table[table["source"].isin(_largest(table, "source", n_sources))]
    table = table[table["target"].isin(_largest(table, "target", n_targets))]
    matrix = table.pivot(index="target", columns="source", values="shown").sort_index(axis=0).sort_index(axis=1)
    filled = matrix.fillna(0.0).to_numpy()
    return matrix.iloc[leaf_order(filled), leaf_order(filled.T)]


def _largest(table: pd.DataFrame, column: str, count: int) -> list[str]:
    total = table["shown"].abs().groupby(table[column]).sum().reset_index()
    return list(total.sort_values(["shown", column], ascending=[False, True])[column].iloc[:count])


def leaf_order(matrix: np.ndarray) -> np.ndarray:
    """Order of rows that puts similar ones side by side."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(matrix) < 3:
        return np.arange(len(matrix))
    order: np.ndarray = leaves_list(linkage(matrix, method="average", optimal_ordering=True))
    return order


def draw_matrix(ax: Axes, matrix: pd.DataFrame, scale: tuple[Colormap, Normalize], *, label: str) -> None:
    """Draw a labelled matrix with cell borders and a colour bar."""
    cmap, norm = scale
    rows, columns = matrix.shape
    image = ax.pcolormesh(
        np.ma.masked_invalid(matrix.to_numpy(dtype=float)),
        cmap=cmap,
        norm=norm,
        edgecolors="white",
        linewidth=0.5 if max(rows, columns) <= 60 else 0,
    )
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)
    ax.set_xticks(np.arange(columns) + 0.5, matrix.columns, rotation=90)
    ax.set_yticks(np.arange(rows) + 0.5, matrix.index)
    tidy(ax, keep=())
    ax.tick_params(length=0, pad=2)
    bar = ax.figure.colorbar(image, ax=ax, shrink=min(1.0, 16 / rows), aspect=14, pad=0.02, anchor=(0, 1))
    bar.set_label(label, fontsize=TEXT, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2, pad=2)
    bar.ax.locator_params(nbins=5)
    settle(ax)
    width, height = size_points(ax)
    ax.tick_params(axis="x", labelsize=tick_size(width / columns))
    lay_flat(ax, width / columns)
    ax.tick_params(axis="y", labelsize=tick_size(height / rows))
    if min(width / columns, height / rows) < 1.4 * POINTS_PER_MM:
        logger.warning("%d x %d cells are too small for their labels on this axes; draw fewer.", rows, columns)


def _absent_note(ax: Axes, cmap: Colormap) -> None:
    from matplotlib.patches import Patch

    ax.legend(
        handles=[Patch(facecolor=cmap.get_bad(), label="no edge")],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0,
        borderpad=0.3,
        handlelength=1,
        handleheight=1,
        handletextpad=0.5,
    )
