"""Regulators along a trajectory: how many genes they act on as time goes by, and which change most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.entries import entry_of
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.near import did_you_mean
from grn._object.modalities import from_mudata
from grn.pl._colors import color_scale, line_colors
from grn.pl._edge_data import check_genes
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, SMALL, TEXT, tidy

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_VALUES = {"log_degree": "log2(active targets + 1)", "degree": "active targets", "strength": "sum of absolute weights"}
_SHAPES = ("terminal", "transient", "switching", "peak")


@document(**OUTPUT)
@from_mudata
def regulon_dynamics(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    genes: Sequence[str] | None = None,
    key: str = "dictys",
    lineage: str | None = None,
    value: str = "log_degree",
    expression: bool = True,
    top: int = 5,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | str | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw how many genes regulators act on along a lineage, and their expression.

    Parameters
    ----------
    adata
        AnnData after :func:`grn.tl.dictys` with ``trajectory``.
    rna
        Modality of the MuData that holds the cells; read only where ``adata`` is one.
    genes
        Regulators; by default those whose number of targets changes most.
    key
        Slot of the network.
    lineage
        Lineage of the trajectory; the first by default.
    value
        ``"log_degree"``, ``"degree"`` or ``"strength"``, columns of ``uns[key]["degrees"]``.
    expression
        Draw the mean log share of every regulator as well, dashed, on an axis of its own.
    top
        Number of regulators without ``genes``.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    palette
        Colours of the regulators: a list, a dict by name, or the name of a colour map.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Every regulator is a line with its name as label.

    Raises
    ------
    ResultNotFoundError
        There is no network along a trajectory under ``key``.
    GeneNameError, ParameterError
        A regulator, the lineage or the value does not exist.

    Examples
    --------
    >>> import grn
    >>> import numpy as np
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8, n_groups=1)
    >>> adata.obs["pseudotime"] = np.linspace(0, 2, 60)
    >>> grn.pp.trajectory(adata, pseudotime="pseudotime")
    >>> along = {"trajectory": "trajectory", "window_cells": 30, "window_overlap": 15, "top_share": 0.3}
    >>> grn.tl.dictys(adata, layer="counts", n_steps=5, **along)
    >>> grn.pl.regulon_dynamics(adata).get_xlabel()
    'pseudotime'
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    checks.word("value", value, _VALUES)
    checks.flag("expression", expression)
    top = checks.integer("top", top, least=1)
    table = _of_lineage(_table(adata, key, "degrees"), lineage)
    table = table.assign(source=table["source"].astype(str))
    if genes is None:
        spread = table.groupby("source")[value].agg(lambda column: column.max() - column.min())
        names = list(spread.sort_values(ascending=False, kind="stable").index[:top])
    else:
        names = checks.names("genes", genes, what="regulators")
        check_genes(names, table["source"].unique(), argument="genes")
    colors = line_colors(palette, len(names), names=names)
    axes = output.axes(COLUMN_MM, 60)
    second = axes.twinx() if expression else None
    for name, color in zip(names, colors, strict=True):
        rows = table[table["source"] == name].sort_values("t", kind="stable")
        axes.plot(rows["t"], rows[value], color=color, linewidth=1.2, label=name)
        if second is not None:
            second.plot(rows["t"], rows["expression"], color=color, linewidth=0.8, linestyle="--")
    axes.set_xlabel("pseudotime", fontsize=TEXT)
    axes.set_ylabel(_VALUES[value], fontsize=TEXT)
    tidy(axes)
    if second is not None:
        second.set_ylabel("mean log share (dashed)", fontsize=TEXT)
        tidy(second, keep=("right", "bottom"))
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=3)
    return output.finish(axes)


@document(**OUTPUT)
@from_mudata
def dynamic_drivers(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "dictys",
    lineage: str | None = None,
    by: str = "terminal",
    top: int = 15,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the regulators whose number of targets changes most along a lineage, as a heat map over time.

    Parameters
    ----------
    adata
        AnnData after :func:`grn.tl.dictys` with ``trajectory``.
    rna
        Modality of the MuData that holds the cells; read only where ``adata`` is one.
    key
        Slot of the network.
    lineage
        Lineage of the trajectory; the first by default.
    by
        ``"terminal"`` or ``"transient"``: the regulators with the largest of these, in absolute value, are shown, the
        rising ones first.
    top
        Number of regulators.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    cmap
        Colour map, by name or as matplotlib has it.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        A row per regulator, a column per window: the change of log2(active targets + 1) since the first window.

    Raises
    ------
    ResultNotFoundError
        There is no network along a trajectory under ``key``.
    ParameterError
        The lineage or ``by`` does not exist.

    Examples
    --------
    >>> import grn
    >>> import numpy as np
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8, n_groups=1)
    >>> adata.obs["pseudotime"] = np.linspace(0, 2, 60)
    >>> grn.pp.trajectory(adata, pseudotime="pseudotime")
    >>> along = {"trajectory": "trajectory", "window_cells": 30, "window_overlap": 15, "top_share": 0.3}
    >>> grn.tl.dictys(adata, layer="counts", n_steps=5, **along)
    >>> grn.pl.dynamic_drivers(adata, top=2).get_xlabel()
    'pseudotime'
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    checks.word("by", by, _SHAPES[:2])
    n = checks.integer("top", top, least=1)
    degrees = _of_lineage(_table(adata, key, "degrees"), lineage)
    shapes = _of_lineage(_table(adata, key, "regulator_curves"), lineage)
    score = shapes.assign(source=shapes["source"].astype(str)).set_index("source")[by].astype(float)
    strongest = score.reindex(score.abs().sort_values(ascending=False, kind="stable").index)[:n]
    names = list(strongest.sort_values(ascending=False, kind="stable").index)
    grid = degrees.assign(source=degrees["source"].astype(str)).pivot(
        index="source", columns="window", values="log_degree"
    )
    time = degrees.drop_duplicates("window").set_index("window")["t"].astype(float).sort_values(kind="stable")
    values = grid.loc[names, time.index].to_numpy(dtype=float)
    values = values - values[:, :1]
    shades, scale = color_scale(values, diverging=True, cmap=cmap)
    axes = output.axes(COLUMN_MM, 24 + 4.5 * len(names))
    image = axes.imshow(values, aspect="auto", cmap=shades, norm=scale, interpolation="nearest")
    axes.set_yticks(range(len(names)), names, fontsize=SMALL)
    places = np.unique(np.linspace(0, len(time) - 1, 5).round().astype(int))
    axes.set_xticks(places, [f"{time.iloc[place]:.2g}" for place in places])
    axes.set_xlabel("pseudotime", fontsize=TEXT)
    tidy(axes, keep=())
    colors = axes.figure.colorbar(image, ax=axes)
    colors.set_label("change of log2\n(targets + 1)", fontsize=SMALL)
    colors.ax.tick_params(labelsize=SMALL)
    return output.finish(axes)


def _table(adata: AnnData, key: str, name: str) -> pd.DataFrame:
    call = f"grn.tl.dictys(adata, trajectory=..., key_added={key!r})"
    table = entry_of(adata, key, what="network", call=call).record.get(name)
    if not isinstance(table, pd.DataFrame):
        raise ResultNotFoundError(f"uns[{key!r}] holds no network along a trajectory; run {call} first.")
    return table


def _of_lineage(table: pd.DataFrame, lineage: str | None) -> pd.DataFrame:
    known = list(dict.fromkeys(table["lineage"].astype(str)))
    chosen = known[0] if lineage is None else lineage
    if chosen not in known:
        raise ParameterError(
            f"lineage={lineage!r}; the lineages are {', '.join(map(repr, known))}.{did_you_mean(str(lineage), known)}"
        )
    return table[table["lineage"].astype(str) == chosen]
