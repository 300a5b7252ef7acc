"""Artists of the benchmark figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn.pl._benchmark_layout import Row, benchmark_axes, is_lowest, is_named, row_places
from grn.pl._benchmark_titles import fold, title_panels
from grn.pl._colors import LINES
from grn.pl._output import Output
from grn.pl._style import INK, MUTED, SMALL, TEXT, settle, size_points, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC_NAMES = {
    "auprc": "AUPRC",
    "auroc": "AUROC",
    "auprc_ratio": "AUPRC / prevalence",
    "auprc_regulator": "AUPRC within regulator",
    "auprc_target": "AUPRC within target",
    "auprc_residual": "AUPRC without node effects",
    "auprc_rewired": "AUPRC on rewired edges",
    "auprc_direction": "AUPRC against reversed edges",
    "driver_percentile": "percentile of the known driver",
    "direction": "share of directions right",
    "early_precision_ratio": "early precision / prevalence",
}
KIND_COLORS = {"method": LINES[0], "ablation": LINES[2], "floor": "#5F5F5F", "oracle": LINES[3]}
_KIND_TITLES = {"method": "methods", "ablation": "ablations", "floor": "floors", "oracle": "oracles"}
_PUBLISHED = LINES[1]
_GUIDE = "#EBEBEB"
_ALONE, _TOGETHER = ("o", "s", "D", "P", "X", "*", "d"), ("^", "v", "<", ">")
_SMALL_MARK, _LARGE_MARK = 2.5, 4.4
# points from one tick to the next
_TICK = 15.0
# means stand above the middle of their row and single data sets below it, so that neither hides the other
_MEAN_AT, _TESTS_AT, _MOST = -0.17, 0.27, 9.0


@dataclass(frozen=True)
class NetworkFigures:
    """Numbers of one network under one protocol.

    Parameters
    ----------
    names
        Network, protocol and what else is written above the panel.
    units
        Unit of every test data set.
    points
        Per row of the figure: ``value``, ``low``, ``high``, ``published``, ``complete``.
    tests
        One line per small mark: ``row``, ``test``, ``value``.
    floor, chance
        Places of the two lines; NaN for none.
    """

    names: tuple[str, ...]
    units: dict[str, str]
    points: pd.DataFrame
    tests: pd.DataFrame
    floor: float
    chance: float


def draw(
    numbers: list[list[NetworkFigures]],
    rows: list[Row],
    *,
    label: str,
    output: Output,
    colors: Mapping[str, Any],
) -> np.ndarray:
    """Draw all panels and return their axes."""
    flat = [panel for line in numbers for panel in line]
    places, titles = row_places(rows)
    networks = [line[0].names[0] for line in numbers]
    axes = benchmark_axes(output, networks, len(numbers[0]), rows, n_rows=places[-1] + 1)
    drawn = list(axes.flat)
    units = {test: unit for panel in flat for test, unit in panel.units.items()}
    marks = _marks(units)
    low, high = _limits(flat)
    shown = [is_named(place, drawn) for place in drawn]
    for place, named in zip(drawn, shown, strict=True):
        place.set_xlim(low, high)
        place.set_ylim(places[-1] + 0.7, -0.6)
        _names(place, rows, places, titles, colors, shown=named)
    settle(axes[0, 0])
    for place in drawn:
        _scale(place, label if output.given is not None or is_lowest(place, drawn) else "")
    title_panels(drawn, [panel.names for panel in flat], [panel.units for panel in flat])
    _legend(axes, _handles(flat, marks, colors), grow=output.given is None and output.size is None)
    settle(axes[0, 0])
    # in a tall axes a mean and its data sets stay close to each other
    apart = min(1.0, _MOST * (places[-1] + 1.3) / size_points(axes[0, 0])[1])
    for panel, place in zip(flat, drawn, strict=True):
        _panel(place, panel, rows, places, marks, apart, colors)
        _note_floor(place, panel, colors)
    return axes


def _marks(units: dict[str, str]) -> dict[str, str]:
    """Marker of every data set: triangles for those that share a unit; dots when there are too many."""
    shared = {unit for unit in units.values() if list(units.values()).count(unit) > 1}
    groups = ([t for t in sorted(units) if units[t] not in shared], [t for t in sorted(units) if units[t] in shared])
    pools = (_ALONE, _TOGETHER) if shared else (_ALONE[:3] + _TOGETHER + _ALONE[3:], ())
    if any(len(group) > len(pool) for group, pool in zip(groups, pools, strict=True)):
        return dict.fromkeys(sorted(units), "o")
    # those that share a unit come last
    return {test: mark for group, pool in zip(groups, pools, strict=True)
            for test, mark in zip(group, pool, strict=False)}  # fmt: skip


def _limits(panels: list[NetworkFigures]) -> tuple[float, float]:
    """One scale for all panels, so that protocols can be compared."""
    parts = [panel.points[name].to_numpy() for panel in panels for name in ("value", "low", "high", "published")]
    parts += [panel.tests["value"].to_numpy() for panel in panels]
    parts += [np.array([panel.floor, panel.chance]) for panel in panels]
    values = np.concatenate(parts)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.05 * (high - low) or 0.05
    return low - pad, high + pad


def _panel(
    ax: Axes,
    panel: NetworkFigures,
    rows: list[Row],
    places: list[float],
    marks: dict[str, str],
    apart: float,
    colors: Mapping[str, Any],
) -> None:
    """Draw the points and lines of a panel."""
    ax.hlines(places, 0, 1, transform=ax.get_yaxis_transform(), color=_GUIDE, linewidth=0.5, zorder=0)
    if panel.tests.empty:
        ax.text(0.5, 0.5, "no values", transform=ax.transAxes, ha="center", va="center", fontsize=TEXT, color=MUTED)
    if np.isfinite(panel.chance):
        ax.axvline(panel.chance, color=MUTED, linewidth=0.7, linestyle=(0, (1, 1.6)), zorder=1, gid="chance")
    if np.isfinite(panel.floor):
        ax.axvline(panel.floor, color=colors["floor"], linewidth=0.9, zorder=1, gid="floor")
    several = len(panel.units) > 1
    # in a narrow panel a full mark would hide the interval
    mark = float(np.clip(size_points(ax)[0] / 25, 3.2, _LARGE_MARK))
    if several:
        _small(ax, panel, rows, np.array(places) + apart * _TESTS_AT, marks, colors)
    for row, middle, point in zip(rows, places, panel.points.itertuples(), strict=True):
        place = middle + apart * _MEAN_AT * several
        color = colors[row.kind]
        if np.isfinite(point.low) and np.isfinite(point.high):
            line: dict[str, Any] = {"color": color, "linewidth": 1.1, "solid_capstyle": "butt", "zorder": 3}
            ax.plot([point.low, point.high], [place, place], **line, gid=f"interval:{row.label}")
        if np.isfinite(point.value):
            style = _large(color, complete=point.complete, size=mark)
            ax.plot([point.value], [place], **style, zorder=4, gid=f"mean:{row.label}")
        if not panel.tests.empty and not np.isfinite([point.value, point.published]).any():
            nothing = {"transform": ax.get_yaxis_transform(), "fontsize": SMALL, "color": MUTED, "va": "center"}
            ax.text(0.01, middle, "no value", **nothing, gid=f"none:{row.label}")
        if np.isfinite(point.published):
            ax.plot([point.published], [place], **_published(), zorder=5, gid=f"published:{row.label}")


def _small(
    ax: Axes,
    panel: NetworkFigures,
    rows: list[Row],
    heights: np.ndarray,
    marks: dict[str, str],
    by_kind: Mapping[str, Any],
) -> None:
    for test, mine in panel.tests.groupby("test"):
        colors = [by_kind[rows[i].kind] for i in mine["row"]]
        ax.scatter(
            mine["value"],
            heights[mine["row"]],
            s=_SMALL_MARK**2,
            marker=marks[str(test)],
            facecolor="none",
            edgecolor=colors,
            linewidth=0.45,
            alpha=0.75,
            zorder=2,
            gid=f"test:{test}",
        )


def _large(color: str, *, complete: bool, size: float = _LARGE_MARK) -> dict[str, Any]:
    face = color if complete else "white"
    edge = "white" if complete else color
    return {"marker": "o", "markersize": size, "markerfacecolor": face, "markeredgecolor": edge,
            "markeredgewidth": 0.5 if complete else 0.9, "linestyle": ""}  # fmt: skip


def _published() -> dict[str, Any]:
    return {"marker": "D", "markersize": 4.2, "markerfacecolor": "none", "markeredgecolor": _PUBLISHED,
            "markeredgewidth": 0.9, "linestyle": ""}  # fmt: skip


def _names(
    ax: Axes, rows: list[Row], places: list[float], titles: list[tuple[float, str]], colors: Mapping[str, Any],
    *, shown: bool,
) -> None:  # fmt: skip
    named = [(at, row.label.replace("_", " "), "") for at, row in zip(places, rows, strict=True)]
    entries = sorted([*((at, _KIND_TITLES[kind], kind) for at, kind in titles), *named])
    ax.set_yticks([at for at, _, _ in entries], [name for _, name, _ in entries])
    tidy(ax, keep=("bottom",))
    ax.tick_params(axis="y", length=0, pad=3, labelleft=shown)
    # hidden labels are not returned
    for text, (_, _, kind) in zip(ax.get_yticklabels(), entries if shown else [], strict=True):
        if kind:
            text.set(color=colors[kind], fontweight="bold")


def _scale(ax: Axes, label: str) -> None:
    """Ticks and the name of the x axis, as many and as many lines as there is room for."""
    ax.locator_params(axis="x", nbins=int(np.clip(size_points(ax)[0] // _TICK, 2, 6)))
    name = ax.set_xlabel(label, fontsize=TEXT, color=INK)
    name.set_text("\n".join(fold(name, label, ax.get_window_extent().width)))


def _handles(panels: list[NetworkFigures], marks: dict[str, str], colors: Mapping[str, Any]) -> list[list[Any]]:
    """Entries of the legend: what marks mean, and which data sets there are."""
    from matplotlib.lines import Line2D

    several = any(len(panel.units) > 1 for panel in panels)
    points = pd.concat([panel.points for panel in panels])
    bar: dict[str, Any] = {**_large(INK, complete=True), "linewidth": 1.1, "color": INK}
    name = "mean" if several else "value"
    if points["low"].notna().any():
        bar, name = bar | {"linestyle": "-"}, f"{name}, 95 % interval"
    handles = [Line2D([], [], **bar, label=name)]
    if not points["complete"].all():
        handles.append(Line2D([], [], **_large(INK, complete=False), label="mean of fewer data sets"))
    if points["published"].notna().any():
        handles.append(Line2D([], [], **_published(), label="published" + (" (mean where given)" if several else "")))
    if any(np.isfinite(panel.floor) for panel in panels):
        handles.append(Line2D([], [], color=colors["floor"], linewidth=0.9, label="best floor"))
    if any(np.isfinite(panel.chance) for panel in panels):
        handles.append(Line2D([], [], color=MUTED, linewidth=0.7, linestyle=(0, (1, 1.6)), label="chance"))
    if not several:
        return [handles]
    hollow: dict[str, Any] = {"linestyle": "", "markersize": _SMALL_MARK + 0.8, "markerfacecolor": "none",
                              "markeredgecolor": INK, "markeredgewidth": 0.5}  # fmt: skip
    named = {"one data set": "o"} if len(set(marks.values())) == 1 else marks
    return [handles, [Line2D([], [], marker=mark, label=test, **hollow) for test, mark in named.items()]]


def _grid(groups: list[list[Any]], lines: int) -> tuple[list[Any], int]:
    """Entries down the columns of a legend in which every group starts a new column, and the number of columns."""
    from matplotlib.lines import Line2D

    entries: list[Any] = []
    for group in groups:
        blanks = -len(group) % lines
        entries += [*group, *(Line2D([], [], linestyle="", label=" ") for _ in range(blanks))]
    return entries, len(entries) // lines


def _legend(axes: np.ndarray, groups: list[list[Any]], *, grow: bool) -> None:
    """Put the legend below the panels, in as few lines as fit; let the figure grow by its height."""
    figure, bottom = axes[0, 0].figure, axes[-1, 0]
    managed = figure.get_layout_engine() is not None
    whole = managed and set(figure.axes) == set(axes.flat)
    style: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "borderaxespad": 0.3, "handlelength": 1.8,
                             "handletextpad": 0.5, "columnspacing": 1.4, "labelspacing": 0.4}  # fmt: skip
    style |= {"loc": "outside lower center"} if whole else _below(bottom)
    # a legend wider than its axes would push other axes away
    room = figure.bbox.width if whole else bottom.bbox.width if managed else axes[-1, -1].bbox.x1 - bottom.bbox.x0
    most = max(map(len, groups))
    for lines in range(1, most + 1):
        handles, columns = _grid(groups, lines)
        box = (figure if whole else bottom).legend(handles=handles, ncols=columns, **style)
        extent = box.get_window_extent()
        if lines == most or extent.width <= 0.98 * room:
            break
        box.remove()
    if grow:
        figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def _below(ax: Axes) -> dict[str, Any]:
    """Place of a legend below the name of the x axis, whatever becomes of the size of the axes."""
    from matplotlib.transforms import ScaledTranslation

    settle(ax)
    figure = ax.figure.get_figure(root=True)
    down = (ax.xaxis.get_tightbbox().y0 - ax.bbox.y0) / figure.dpi
    place = ax.transAxes + ScaledTranslation(0, down, figure.dpi_scale_trans)
    return {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": place}


def _note_floor(ax: Axes, panel: NetworkFigures, colors: Mapping[str, Any]) -> None:
    """Write the value of the floor beside its line, in the row of the first title, where there are no points."""
    if not np.isfinite(panel.floor):
        return
    left, right = ax.get_xlim()
    room = min(0.75, 1 - 2.6 * SMALL / size_points(ax)[0])
    on_right = panel.floor < left + room * (right - left)
    ax.annotate(
        f"{panel.floor:.2f}",
        (panel.floor, 0),
        xytext=(2 if on_right else -2, 0),
        textcoords="offset points",
        ha="left" if on_right else "right",
        va="center",
        fontsize=SMALL,
        color=colors["floor"],
        gid="floor value",
    )
