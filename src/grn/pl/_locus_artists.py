"""Artists of the picture of one locus: rows from top to bottom, in millimetres of a new figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.logging import hint, some
from grn.pl._locus_data import Locus
from grn.pl._network_artists import wedge_handler
from grn.pl._style import FAINT, INK, MUTED, SMALL, TEXT, settle, size_points, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRACK, _GAP, _REGIONS, _ARCS, _GENES = 7.0, 1.2, 2.2, 11.0, 10.0
# narrowest bar, and the distance of names side by side, in points
_NARROWEST, _LINE = 1.6, 6.6
_SHORTEST = 3.0  # an arc that is still one; of a region on the start the box alone has the colour
_LINK_NAMES = {1: "positive link", -1: "negative link", 0: "link"}


@dataclass(frozen=True)
class Rows:
    """Where rows lie, from the top at ``top`` to the axis at 0."""

    tracks: np.ndarray  # foot of the track of every group
    regions: float
    arcs: float
    genes: float
    top: float
    names: float  # foot of the names of regulators

    @classmethod
    def of(cls, n_groups: int, longest: int, *, arcs: bool) -> Rows:
        """Rows of a picture with some groups, names of regulators of some letters, and arcs or none."""
        genes = _GENES
        regions = genes + (_ARCS if arcs else 1.0)
        foot = regions + _REGIONS + _GAP
        tracks = foot + (_TRACK + _GAP) * np.arange(n_groups)[::-1]
        high = foot + (_TRACK + _GAP) * n_groups
        names = high + (3.0 if longest else 0.0)
        return cls(tracks, regions, regions - 0.4, genes, names + 1.45 * longest, names)


def prepare(ax: Axes, locus: Locus, rows: Rows, labels: Sequence[str]) -> float:
    """Set limits and the axis of positions; return how many bases a point has."""
    ax.set_autoscale_on(False)
    ax.set_xlim(*locus.span)
    ax.set_ylim(0, rows.top)
    tidy(ax, keep=("bottom",))
    ax.locator_params(axis="x", nbins=4)
    ax.set_xlabel(_unit(ax, locus), fontsize=TEXT, color=INK)
    ax.set_yticks(rows.tracks + _TRACK / 2, labels)
    ax.tick_params(axis="y", length=0, pad=4)
    settle(ax)
    return (locus.span[1] - locus.span[0]) / max(size_points(ax)[0], 1.0)


def _unit(ax: Axes, locus: Locus) -> str:
    """Label ticks in megabases, with as many digits as tell them apart."""
    step = float(np.diff(ax.get_xticks()[:2])[0])
    digits = next((d for d in range(6) if np.isclose(step * 10**d / 1e6, round(step * 10**d / 1e6), rtol=1e-6)), 6)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:.{digits}f}")
    return f"{locus.chrom} (Mb)"


def tracks(ax: Axes, locus: Locus, rows: Rows, colors: Sequence[Any], linked: np.ndarray, scale: float) -> None:
    """Bars of accessibility, one row per group, all on one scale; those of linked regions are stronger."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    left, right = _edges(locus, scale)
    top = float(locus.heights.max()) or 1.0
    for foot, heights, color in zip(rows.tracks, locus.heights, colors, strict=True):
        ax.hlines(foot, *locus.span, color=FAINT, linewidth=0.5, zorder=1)
        tall = foot + _TRACK * heights / top
        corners = [[(a, foot), (a, high), (b, high), (b, foot)] for a, b, high in zip(left, right, tall, strict=True)]
        shades = [to_rgba(color, 1.0 if strong else 0.45) for strong in linked]
        bars = PolyCollection(corners, facecolors=shades, linewidths=0, zorder=2)
        bars.set_gid("accessibility")
        ax.add_collection(bars, autolim=False)


def regions(ax: Axes, locus: Locus, rows: Rows, colors: Sequence[str], scale: float) -> None:
    """Boxes of the regions, in the colours of their links."""
    from matplotlib.collections import PolyCollection

    left, right = _edges(locus, scale)
    foot, high = rows.regions, rows.regions + 1.4
    boxes = [[(a, foot), (a, high), (b, high), (b, foot)] for a, b in zip(left, right, strict=True)]
    ax.add_collection(PolyCollection(boxes, facecolors=colors, linewidths=0, zorder=2, gid="regions"), autolim=False)


def _edges(locus: Locus, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Left and right ends of regions as they are drawn, none narrower than the eye sees."""
    middle = locus.regions.mean(axis=1).to_numpy()
    half = np.maximum(np.ptp(locus.regions.to_numpy(), axis=1), _NARROWEST * scale) / 2
    return middle - half, middle + half


def arcs(ax: Axes, locus: Locus, rows: Rows, links: pd.DataFrame, colors: Mapping[int, str], scale: float) -> None:
    """Arcs from regions to the nearest start of the gene, below the regions, the strongest in front."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points = locus.starts.loc[locus.starts["gene"] == locus.gene, "position"].to_numpy()
    middles = locus.regions.mean(axis=1).to_numpy()[links["place"]]
    ends = points[np.abs(points[None] - middles[:, None]).argmin(axis=1)]
    widths = line_widths(links["strength"].to_numpy())
    reach = max(float(np.abs(ends - middles).max(initial=0)), 1.0)
    deep = rows.arcs - rows.genes - 0.6
    for i in np.flatnonzero(np.abs(ends - middles) >= _SHORTEST * scale)[::-1]:
        depth = rows.arcs - deep * (0.25 + 0.75 * abs(ends[i] - middles[i]) / reach) * 4 / 3
        corners = [(middles[i], rows.arcs), (middles[i], depth), (ends[i], depth), (ends[i], rows.arcs)]
        name = locus.regions.index[links["place"].iloc[i]]
        ax.add_patch(PathPatch(
            Path(corners, [1, 4, 4, 4]), facecolor="none", edgecolor=colors[links["sign"].iloc[i]],
            linewidth=widths[i], zorder=2, gid=f"link:{name}",
        ))  # fmt: skip


def line_widths(strength: np.ndarray) -> np.ndarray:
    """Widths in points: from the weakest link to the strongest one."""
    low, high = strength.min(initial=np.inf), strength.max(initial=0)
    return 0.5 + 1.3 * ((strength - low) / (high - low) if high > low else np.full(len(strength), 0.4))


def genes(ax: Axes, locus: Locus, rows: Rows, scale: float) -> None:
    """Starts as bent arrows in the direction of transcription; names where there is room, the gene's own first."""
    own = (locus.starts["gene"] == locus.gene).to_numpy()
    for position in locus.starts.loc[own, "position"]:
        high = rows.tracks[0] + _TRACK
        ax.vlines(position, rows.genes - 2.2, high, color=FAINT, linewidth=0.6, linestyle=(0, (3, 2)), zorder=0)
    taken: list[tuple[float, float, float]] = []
    lost: list[str] = []
    middle = sum(locus.span) / 2
    table = locus.starts.assign(own=own, far=(locus.starts["position"] - middle).abs())
    arrows: dict[str, list[float]] = {}
    for start in table.sort_values(["own", "far", "gene"], ascending=[False, True, True]).itertuples():
        mine = start.gene == locus.gene
        others = arrows.setdefault(start.gene, [])
        alone = all(abs(start.position - other) > 9 * scale for other in others)
        others.append(start.position)
        _arrow(ax, start.position, "-+".index(start.strand) * 2 - 1, rows, scale, mine=mine, pointed=alone)
        if len(others) == 1 and not _name(ax, start, rows, scale, taken, mine=mine):
            lost.append(start.gene)
    if lost:
        hint("names of %d genes have no room: %s; a smaller window= shows them", len(lost), some(sorted(lost), 5))


def _arrow(ax: Axes, x: float, way: int, rows: Rows, scale: float, *, mine: bool, pointed: bool) -> None:
    """A start; one beside another start of its gene has no arrow of its own."""
    foot, high, long = rows.genes - 4.2, 2.0 if mine else 1.4, (8.0 if mine else 5.5) * scale
    ink, width = (INK, 0.9) if mine else (MUTED, 0.6)
    xs, ys = [x, x, x + way * long], [foot, foot + high, foot + high]
    style: dict[str, Any] = {"color": ink, "zorder": 3, "clip_on": False}
    n = 3 if pointed else 2
    ax.plot(xs[:n], ys[:n], linewidth=width, solid_joinstyle="miter", solid_capstyle="butt", **style)
    if pointed:
        marker = ">" if way > 0 else "<"
        size = 3.2 if mine else 2.2
        ax.plot(xs[2], ys[2], marker=marker, markersize=size, markeredgewidth=0, gid="start", **style)


def _name(ax: Axes, start: Any, rows: Rows, scale: float, taken: list[tuple[float, float, float]], *,
          mine: bool) -> bool:  # fmt: skip
    """Write a name in the first of two lines that has room for it."""
    size = TEXT if mine else SMALL - 0.5
    width = (0.7 if mine else 0.6) * size * len(start.gene) * scale + 4 * scale
    low, high = (ax.get_xlim()[0], ax.get_xlim()[1])
    x = float(np.clip(start.position, low + width / 2, high - width / 2))
    for line in (0, 1):
        y = rows.genes - 6.1 - 2.1 * line
        if all(line != other or x + width / 2 < a or x - width / 2 > b for other, a, b in taken):
            taken.append((line, x - width / 2, x + width / 2))
            ax.text(x, y, start.gene, ha="center", va="center", fontsize=size, fontstyle="italic", zorder=4,
                    fontweight="bold" if mine else "normal", color=INK if mine else MUTED, gid="gene")  # fmt: skip
            return True
    return False


def regulators(
    ax: Axes, locus: Locus, rows: Rows, table: pd.DataFrame, colors: Mapping[int, str], scale: float
) -> None:
    """Names of regulators above the regions they act through, spread where they would touch."""
    middles = locus.regions.mean(axis=1).to_numpy()
    table = table.sort_values(["place", "source"], kind="stable")
    anchors = middles[table["place"].to_numpy()]
    spots = spread(anchors, _LINE * scale, locus.span)
    high = rows.tracks[0] + _TRACK
    for spot, anchor, source, sign in zip(spots, anchors, table["source"], table["sign"], strict=True):
        ax.plot([anchor, anchor, spot, spot], [high + 0.2, high + 0.9, rows.names - 0.9, rows.names - 0.3], color=MUTED,
                linewidth=0.4, zorder=1)  # fmt: skip
        ax.text(spot, rows.names, source, rotation=90, ha="center", va="bottom", fontsize=SMALL, color=colors[sign],
                gid="regulator")  # fmt: skip


def spread(anchors: np.ndarray, gap: float, span: tuple[float, float]) -> np.ndarray:
    """Places (n,) of sorted things at least ``gap`` apart and within a span, as near to their anchors as can be."""
    n = len(anchors)
    if not n:
        return anchors
    gap = min(gap, (span[1] - span[0]) / n)
    free = anchors - gap * np.arange(n)  # which must rise: pools of those that do not are at their mean
    pools: list[list[float]] = []
    for value in free:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            second, first = pools.pop(), pools.pop()
            count = first[1] + second[1]
            pools.append([(first[0] * first[1] + second[0] * second[1]) / count, count])
    level = np.concatenate([np.full(int(count), value) for value, count in pools])
    low, high = span[0] + gap / 2, span[1] - gap / 2 - gap * (n - 1)
    spots: np.ndarray = np.clip(level, low, high) + gap * np.arange(n)
    return spots


def expression(ax: Axes, locus: Locus, rows: Rows, colors: Sequence[Any]) -> None:
    """Bars of the mean expression of the gene, beside the tracks."""
    if locus.expression is None:
        return
    foot, high = rows.tracks[-1], rows.tracks[0] + _TRACK
    side = ax.inset_axes((1.03, foot / rows.top, 0.17, (high - foot) / rows.top))
    side.barh(rows.tracks + _TRACK / 2, locus.expression, height=0.62 * _TRACK, color=list(colors), linewidth=0)
    side.set_ylim(foot, high)
    side.set_xlim(0, 1.05 * max(float(locus.expression.max()), 1e-12))
    tidy(side)
    side.set_yticks([])
    side.locator_params(axis="x", nbins=2)
    side.set_xlabel("expression", fontsize=SMALL, color=INK, labelpad=1)
    side.set_gid("expression")


def legend(ax: Axes, links: pd.DataFrame, colors: Mapping[int, str]) -> None:
    """What arcs mean, above the picture."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon

    present = [sign for sign in (1, -1, 0) if (links["sign"] == sign).any()]
    handles: list[Any] = [
        Line2D([], [], color=colors[sign], linewidth=1.2, label=_LINK_NAMES[sign]) for sign in present
    ]
    low, high, by = links["strength"].min(), links["strength"].max(), links.attrs["by"]
    if by is not None and high > low:
        name = {"rho": "|correlation|", "rho_r2g": "|correlation|"}.get(by, str(by).replace("_", " "))
        handles.append(Polygon([(0, 0)], color=MUTED, label=f"{name} {low:.2g}–{high:.2g}"))
    if handles:
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=SMALL, frameon=False,
            borderaxespad=0, borderpad=0.2, handlelength=1.6, handletextpad=0.5, columnspacing=1.2,
            handler_map={Polygon: wedge_handler()},
        )  # fmt: skip


def height_mm(rows: Rows) -> float:
    """Height of a new figure that gives every row its size."""
    return rows.top + 17
