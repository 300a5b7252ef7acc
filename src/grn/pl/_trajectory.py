"""Cells on their trajectory, on an embedding or along its tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._object.modalities import from_mudata
from grn._object.trajectory import KEY, Trajectory, trajectory_of
from grn.pl._cell_colors import bar, cell_values, group_colors, scale_of
from grn.pl._colors import RISING, color_map
from grn.pl._edge_data import near
from grn.pl._label_places import place_labels
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, FAINT, INK, PLATE, SMALL, settle, size_points, tidy
from grn.pl._trajectory_lines import Lines, along_tree, on_embedding

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_HEIGHT_MM, _LANE_MM = 70.0, 14.0


@document(**OUTPUT)
@from_mudata
def trajectory(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = KEY,
    basis: str | None = None,
    color: str | None = None,
    windows: Sequence[float] | None = None,
    label: bool = True,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | str | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw cells, nodes and edges of a trajectory.

    Parameters
    ----------
    adata
        AnnData after :func:`grn.pp.trajectory`.
    rna
        Modality of the MuData that holds the cells; read only where ``adata`` is one.
    key
        Slot of the trajectory.
    basis
        Coordinates in ``obsm``, such as ``"X_umap"``, on which edges run through the average of the cells near them.
        By default the tree itself is drawn, with time from left to right and cells scattered about their edges.
    color
        Column of ``obs`` that colours the cells, such as ``"trajectory_edge"``; by default their time. Cells off the
        trajectory are light grey, and missing in the tree.
    windows
        Moving windows to mark as well: number of cells, cells that neighbours share, and, if it is limited, the most
        distance between them: ``(200, 150)``, ``(200, 150, 0.1)``.
    label
        Write the names of the nodes.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    palette
        Colours of groups of cells: a list, a dict by group, or the name of a colour map. By default those that scanpy
        stored in ``uns[color + "_colors"]``, if any.
    cmap
        Colour map of cells by numbers, by name or as matplotlib has it; ``"viridis_r"`` by default.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Every edge is a line with gid ``"edge:NAME"``; cells, nodes and windows have these words as gid.

    Raises
    ------
    ResultNotFoundError
        There is no trajectory under ``key``, or no ``basis``.
    ParameterError
        A column does not exist, or windows are impossible.

    Notes
    -----
    A point of an edge lies at the average of all cells, with Gaussian weights by their distance along the tree and a
    standard deviation of 4 %% of its longest way: lines are a guide to the eye, of which nothing is computed.

    Examples
    --------
    >>> import grn
    >>> import numpy as np
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> adata.obs["pseudotime"] = np.linspace(0, 2, 60)
    >>> grn.pp.trajectory(adata, pseudotime="pseudotime", lineages="group")
    >>> ax = grn.pl.trajectory(adata, color="group", windows=(20, 10))
    >>> [line.get_gid() for line in ax.lines]
    ['edge:root>group_1', 'edge:root>group_2']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    shades = color_map(RISING if cmap is None else cmap)
    checks.flag("label", label)
    tree = trajectory_of(adata, key)
    values = cell_values(adata, f"{key}_time" if color is None else color)
    paint: Any = shades
    if isinstance(values, pd.Series):
        paint = group_colors(adata, str(color), values, palette)
    points = None if basis is None else _coordinates(adata, basis)
    lines = along_tree(tree) if points is None else on_embedding(tree, points)
    marks = None if windows is None else _windows(tree, windows)
    high = _HEIGHT_MM if points is not None else 24 + _LANE_MM * len(tree.lineages)
    axes = output.axes(COLUMN_MM, high)
    shown = np.arange(len(tree.edge)) if points is not None else tree.by_name
    _cells(axes, lines.cells, shown, tree, values, paint)
    _edges(axes, tree, lines)
    if marks is not None:
        at = np.array([lines.at(int(edge), float(place)) for edge, place in zip(marks.edge, marks.place, strict=True)])
        axes.scatter(*at.T, s=9, facecolor="white", edgecolor=INK, linewidth=0.6, zorder=4, gid="windows")
    _frame(axes, basis, lines)
    if isinstance(values, np.ndarray):
        bar(axes, scale_of(values, shades), "time" if color is None else color)
    else:
        _legend(axes, values, paint, below=0.1 if basis is not None else 0.3)
    if label:
        _names(axes, tree, lines)
    return output.finish(axes)


def _coordinates(adata: AnnData, basis: str) -> np.ndarray:
    if not isinstance(basis, str) or basis not in adata.obsm:
        raise ResultNotFoundError(
            f"obsm has no {checks.shown(basis)} (basis=); it has {', '.join(adata.obsm) or 'nothing'}."
            + near(str(basis), adata.obsm)
        )
    points = np.asarray(adata.obsm[basis], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points[:, :2]).all():
        raise ParameterError(f"obsm[{basis!r}] has shape {points.shape} or holds NaN; expected two finite columns.")
    return points[:, :2]


def _windows(tree: Trajectory, windows: Sequence[float]) -> Any:
    """The windows that were asked for."""
    if isinstance(windows, str) or not isinstance(windows, Sequence | np.ndarray) or len(windows) not in (2, 3):
        raise ParameterError(
            f"windows={checks.shown(windows)}; pass the number of cells, how many neighbours share, and, if there is a "
            "limit, the most distance: windows=(200, 150)."
        )
    return tree.windows(*windows)  # type: ignore[arg-type]


def _cells(ax: Axes, places: np.ndarray, shown: np.ndarray, tree: Trajectory, values: Any, paint: Any) -> None:
    size = float(np.clip(4000 / max(1, len(places)), 0.5, 8))
    style: dict[str, Any] = {"s": size, "linewidth": 0, "rasterized": len(places) > 5000}
    known = np.isfinite(values) if isinstance(values, np.ndarray) else np.ones(len(places), dtype=bool)
    off = shown[(tree.edge[shown] < 0) | ~known[shown]]
    on = shown[(tree.edge[shown] >= 0) & known[shown]]
    ax.scatter(*places[off].T, c=FAINT, zorder=0.5, gid="off", **style)
    if isinstance(values, np.ndarray):
        finite = values[np.isfinite(values)]
        limits = {"vmin": finite.min(), "vmax": finite.max()} if len(finite) else {}
        ax.scatter(*places[on].T, c=values[on], cmap=paint, zorder=1, gid="cells", **limits, **style)
    else:
        codes = values.cat.codes.to_numpy()
        ax.scatter(*places[on].T, c=[paint[code] for code in codes[on]], alpha=0.6, zorder=1, gid="cells", **style)


def _edges(ax: Axes, tree: Trajectory, lines: Lines) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.6, foreground="white")]
    for name, path in zip(tree.edges["edge"], lines.paths, strict=True):
        style = {"linewidth": 1.2, "solid_capstyle": "round", "path_effects": halo}
        ax.plot(*path.T, color=INK, zorder=2, gid=f"edge:{name}", **style)
    ax.scatter(*lines.nodes.T, s=18, color=INK, edgecolor="white", linewidth=0.6, zorder=3, gid="nodes")


def _names(ax: Axes, tree: Trajectory, lines: Lines) -> None:
    """Names of the nodes beside them, so that none covers another; leaves and the root choose first."""
    settle(ax)
    width, height = size_points(ax)
    scale = 72 / ax.figure.get_figure(root=True).dpi
    origin = ax.transAxes.transform((0, 0))
    nodes, along = ((ax.transData.transform(p) - origin) * scale for p in (lines.nodes, np.concatenate(lines.paths)))
    inner = np.isin(tree.nodes[1:], tree.edges["start"].to_numpy())
    order = np.argsort(np.append(False, inner), kind="stable")
    sizes = np.array([[0.58 * SMALL * len(tree.nodes[i]), 1.2 * SMALL] for i in order])
    page = (-6.0, -6.0, width + 12.0, height + 12.0)
    centres, _ = place_labels(nodes, np.full(len(nodes), 2.5), sizes, lines=along, page=page, owners=order)
    for node, (x, y) in zip(order, centres, strict=True):
        ax.text(
            x / width, y / height, tree.nodes[node], transform=ax.transAxes, ha="center", va="center", fontsize=SMALL,
            color=INK, zorder=5, bbox=PLATE, gid="name",
        )  # fmt: skip


def _frame(ax: Axes, basis: str | None, lines: Lines) -> None:
    if basis is None:
        tidy(ax, keep=("bottom",))
        ax.set_yticks([])
        ax.set_xlabel("time", fontsize=SMALL, color=INK)
        ax.set_ylim(lines.nodes[:, 1].min() - 0.5, lines.nodes[:, 1].max() + 0.6)
        ax.margins(x=0.06)
        return
    tidy(ax, keep=())
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal", adjustable="datalim")
    axis = basis.removeprefix("X_")
    ax.set_xlabel(f"{axis} 1", fontsize=SMALL, color=INK, loc="left")
    ax.set_ylabel(f"{axis} 2", fontsize=SMALL, color=INK, loc="bottom")


def _legend(ax: Axes, values: pd.Series, paint: Sequence[Any], *, below: float) -> None:
    """Groups below the axes, as far as they can be told apart."""
    from matplotlib.lines import Line2D

    names = list(map(str, values.cat.categories))
    if len(names) > 12:
        return
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=3, color=color, label=name)
        for name, color in zip(names, paint, strict=False)
    ]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -below), ncols=min(len(names), 4), fontsize=SMALL,
        frameon=False, handletextpad=0.2, columnspacing=1.0,
    )  # fmt: skip
