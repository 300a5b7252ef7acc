"""Arrows on an embedding: where a simulated perturbation moves the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.docs import document
from grn._core.entries import UnsEntry
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._object.modalities import from_mudata
from grn.pl._cell_colors import bar, cell_values, group_colors, scale_of
from grn.pl._colors import RISING, color_map, color_scale
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._edge_data import near
from grn.pl._label_places import place_labels
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import DrawnPanels, Output
from grn.pl._panels import panels as make_panels
from grn.pl._simulate import check_table, record_of, title_of
from grn.pl._style import COLUMN_MM, FAINT, INK, PLATE, SMALL, TEXT, settle, size_points, tidy

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_TITLES = {
    "flow": "perturbation",
    "control": "negative control",
    "development": "development",
    "score": "score of the perturbation",
    "control_score": "score of the control",
}
_LENGTH = 1.6  # longest arrow, in steps of the grid
_MANY = 12  # groups that are still told apart


@document(**OUTPUT, **COLORS)
@from_mudata
def flow(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "simulation",
    panels: str | Sequence[str] | None = None,
    color: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    palette: Mapping[str, str] | Sequence[str] | str | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> DrawnPanels:
    """Draw where a simulated perturbation moves the cells, beside the negative control.

    Parameters
    ----------
    adata
        AnnData after :func:`grn.tl.simulate` with ``basis``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Name of the results.
    panels
        One panel or several: ``"flow"``, ``"control"`` (the same arrows after each cell's changes were shuffled over
        genes), and, after a simulation with ``pseudotime``, ``"development"`` (gradient of pseudotime), ``"score"``
        and ``"control_score"`` (inner products of flow and control with development). ``None`` draws both scores where
        there is pseudotime, else flow and control.
    color
        Column of ``obs`` that colours the cells; up to 12 groups are named on the map. Grey by default.
    ax
        Axes to draw on, one per panel; ``None`` opens a figure 89 mm wide.
    palette
        Colours of groups of cells: a list, a dict by group, or the name of a colour map. By default those that scanpy
        stored in ``uns[color + "_colors"]``, if any.
    cmap
        Colour map of cells by numbers, by name or as matplotlib has it; ``"viridis_r"`` by default. Scores are red
        where the flow follows development, blue where it goes against it.
    %(figure)s

    Returns
    -------
    numpy.ndarray
        Axes, one per panel. Arrows of flow and control have one scale. Red scores follow development, blue ones go
        against it; both have one scale.

    Raises
    ------
    ResultNotFoundError
        There is no flow under ``key``, or a panel needs ``pseudotime``.
    ParameterError
        A panel or a column does not exist, or the number of axes differs from that of panels.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> adata.obsm["X_pca"] = adata.X.toarray()[:, :2]
    >>> grn.Network(adata.uns["truth"]).write(adata)
    >>> grn.tl.simulate(adata, perturbation={"GATA1": 0}, basis="X_pca")
    >>> axes = grn.pl.flow(adata, color="group")
    >>> [panel.get_title() for panel in axes]
    ['GATA1=0: perturbation', 'negative control']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    shades = color_map(RISING if cmap is None else cmap)
    record = record_of(adata, key)
    wanted = _wanted(record, panels)
    grid = _grid(record, wanted, key)
    basis = record.mapping("params").text("basis")
    if basis not in adata.obsm:
        raise ResultNotFoundError(f"obsm has no {basis!r}, on which the flow was computed.")
    places = np.asarray(adata.obsm[basis], dtype=float)[:, :2]
    values = None if color is None else cell_values(adata, color)
    paint: Any = shades
    if isinstance(values, pd.Series):
        paint = group_colors(adata, str(color), values, palette)
    columns = min(len(wanted), 2)
    rows = -(-len(wanted) // columns)
    shape = (1, len(wanted)) if ax is not None else (rows, columns)
    barred = isinstance(values, np.ndarray) or any("score" in name for name in wanted)
    size = (COLUMN_MM, 8 + rows * _height(places, columns, barred=barred))
    axes = make_panels(output, shape, size_mm=size, expected=f"{len(wanted)} panels").ravel()
    for spare in axes[len(wanted) :]:
        spare.set_axis_off()
    title = title_of(record, 0)
    for panel, name in zip(axes, wanted, strict=False):
        _cells(panel, places, values, name, paint)
        _draw(panel, name, grid)
        _frame(panel, basis, title if name == wanted[0] else "", name)
    if isinstance(values, np.ndarray):
        colored = [panel for panel, name in zip(axes, wanted, strict=False) if "score" not in name]
        for panel in colored[:1]:
            bar(panel, scale_of(values, shades), str(color))
    elif values is not None:
        for panel in axes[: len(wanted)]:
            _name_groups(panel, places, values, paint)
    return output.finish(axes[: len(wanted)])


def _wanted(record: UnsEntry, panels: str | Sequence[str] | None) -> list[str]:
    """Names of the panels; arrows alone hide the cells, so scores come first where there are any."""
    if panels is None:
        grid = record.record.get("grid")
        scored = isinstance(grid, pd.DataFrame) and {"score", "control_score"} <= set(grid.columns)
        return ["score", "control_score"] if scored else ["flow", "control"]
    return [panels] if isinstance(panels, str) else list(panels)


def _grid(record: UnsEntry, wanted: list[str], key: str) -> pd.DataFrame:
    """The shown part of the grid, if it has all panels."""
    unknown = [name for name in wanted if name not in _TITLES]
    if unknown or not wanted:
        raise ParameterError(f"panels={wanted!r}; use some of {', '.join(_TITLES)}." + near(unknown or "", _TITLES))
    if "grid" not in record.record:
        raise ResultNotFoundError(f"uns[{key!r}] has no flow; run grn.tl.simulate(adata, basis='X_umap', ...).")
    grid = check_table(record, "grid", {"x": "number", "y": "number", "shown": "truth"})
    lacking = [name for name in wanted if name not in grid and f"{name}_x" not in grid]
    if lacking:
        raise ResultNotFoundError(f"{', '.join(lacking)} needs grn.tl.simulate(adata, pseudotime=...).")
    fields = [name for panel in ("flow", "control", "development") for name in (f"{panel}_x", f"{panel}_y")]
    used = [*(name for name in fields if name in grid), *(name for name in wanted if name in grid)]
    needed = ["flow_x", "flow_y", *(["score", "control_score"] if {"score", "control_score"} & set(wanted) else [])]
    return check_table(record, "grid", dict.fromkeys([*needed, *used], "number"))


def _height(places: np.ndarray, columns: int, *, barred: bool) -> float:
    """Height of a row of panels in millimetres that fits the shape of the map and a colour bar."""
    wide, high = np.ptp(places, axis=0)
    shape = float(np.clip(high / wide if wide else 1.0, 0.4, 1.3))
    return 9 + 10 * barred + (COLUMN_MM - 6) / columns * shape


def _cells(ax: Axes, places: np.ndarray, values: np.ndarray | pd.Series | None, name: str, paint: Any) -> None:
    size = float(np.clip(4000 / len(places), 0.5, 8))
    style: dict[str, Any] = {"s": size, "linewidth": 0, "zorder": 1, "rasterized": len(places) > 5000, "gid": "cells"}
    if values is None or "score" in name:
        ax.scatter(*places.T, c=FAINT, **style)
    elif isinstance(values, np.ndarray):
        ax.scatter(*places.T, c=values, cmap=paint, **style)
    else:
        codes = values.cat.codes.to_numpy()
        ax.scatter(*places.T, c=[paint[code] for code in codes], alpha=0.5, **style)


def _draw(ax: Axes, name: str, grid: pd.DataFrame) -> None:
    """Arrows of a panel; of a score, the field and the arrows it is made of."""
    shown = grid[grid["shown"].astype(bool)]
    step = float(np.diff(np.unique(grid["x"])).min())
    arrows = {"score": "flow", "control_score": "control"}.get(name, name)
    if arrows != name:
        _draw_field(ax, grid, name)
    scaling = arrows if arrows == "development" else "flow"
    longest = float(np.hypot(shown[f"{scaling}_x"], shown[f"{scaling}_y"]).max()) if len(shown) else 0.0
    if longest > 0:
        ax.quiver(
            shown["x"], shown["y"], shown[f"{arrows}_x"], shown[f"{arrows}_y"],
            angles="xy", scale_units="xy", scale=longest / (_LENGTH * step), width=0.006, headwidth=4, headlength=4.5,
            headaxislength=4, minlength=0.5, color=INK, zorder=3, gid=arrows,
        )  # fmt: skip


def _draw_field(ax: Axes, grid: pd.DataFrame, name: str) -> None:
    shown = grid["shown"].to_numpy(dtype=bool)
    cmap, norm = color_scale(grid.loc[shown, ["score", "control_score"]].to_numpy(), diverging=True)
    x, y = np.unique(grid["x"]), np.unique(grid["y"])
    field = np.ma.masked_where(~shown, grid[name].to_numpy()).reshape(len(y), len(x))
    image = ax.pcolormesh(x, y, field, cmap=cmap.with_extremes(bad=(0, 0, 0, 0)), norm=norm, zorder=2)
    bar(ax, image, "score (red: along development)")


def _frame(ax: Axes, basis: str, title: str, name: str) -> None:
    tidy(ax, keep=())
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal", adjustable="datalim")
    axis = basis.removeprefix("X_")
    ax.set_xlabel(f"{axis} 1", fontsize=SMALL, color=INK, loc="left")
    ax.set_ylabel(f"{axis} 2", fontsize=SMALL, color=INK, loc="bottom")
    ax.set_title(f"{title}: {_TITLES[name]}" if title else _TITLES[name], fontsize=TEXT, color=INK)


def _name_groups(ax: Axes, places: np.ndarray, values: pd.Series, paint: Sequence[Any]) -> None:
    """Names of the groups at their middle, moved so that none covers another."""
    names = list(values.cat.categories)
    if len(names) > _MANY:
        return
    settle(ax)
    codes = values.cat.codes.to_numpy()
    middle = np.array([np.median(places[codes == code], axis=0) for code in range(len(names))])
    width, height = size_points(ax)
    scale = 72 / ax.figure.get_figure(root=True).dpi
    origin = ax.transAxes.transform((0, 0))
    anchors = (ax.transData.transform(middle) - origin) * scale
    sizes = np.array([[0.58 * SMALL * len(name), 1.2 * SMALL] for name in names])
    order = np.argsort(-np.bincount(codes[codes >= 0], minlength=len(names)), kind="stable")
    centres, _ = place_labels(
        anchors, np.zeros(len(names)), sizes[order],
        lines=np.empty((0, 2)), page=(0.0, 0.0, width, height), owners=order,
    )  # fmt: skip
    for name, code, (x, y) in zip([names[i] for i in order], order, centres, strict=True):
        ax.text(
            x / width, y / height, name, transform=ax.transAxes, ha="center", va="center", fontsize=SMALL,
            color=paint[code], fontweight="bold", zorder=5,
            bbox=PLATE, gid="group",
        )  # fmt: skip
