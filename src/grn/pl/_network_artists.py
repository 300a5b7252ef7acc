"""Artists of the network figure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn.network.direction import NONE, WORDS
from grn.pl._colors import SIGN_NAMES
from grn.pl._style import FOCUS, INK, MUTED, PLATE, SMALL, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_BEND = 0.22
_HEADS = {
    1: "-|>,head_length=0.42,head_width=0.2",
    -1: "|-|,widthA=0,widthB=0.3",
    0: "->,head_length=0.4,head_width=0.2",
}
_PLAIN = "-"
_REGULATOR, _TARGET, _REGION = "#3C3C3C", "#FFFFFF", "#B8B8B8"
_REGION_RADIUS = 2.2


@dataclass(frozen=True)
class Picture:
    """What is drawn: genes by name, edges weakest first.

    Parameters
    ----------
    names
        Genes, sorted.
    ends
        Positions of source and target, shape (m, 2).
    signs
        1, -1 or 0 per edge.
    strengths
        Value behind the line width of every edge.
    widths
        Line widths in points.
    curved
        Edges whose reverse is drawn too.
    radii
        Radii of nodes in points.
    degree
        Drawn edges per gene.
    regulator
        Genes at the start of a drawn edge that points somewhere, or at an end of one that is between two regulators.
    in_focus
        Genes the user asked for.
    font
        Size of labels in points.
    points
        Edges that point from a regulator to a target.
    told_by
        What tells the direction of edges, in words; ``None`` where the network does not say.
    colors
        Colour per sign.
    region
        Nodes that are regions of a genome, drawn small and without a name.
    """

    names: list[str]
    ends: np.ndarray
    signs: np.ndarray
    strengths: np.ndarray
    widths: np.ndarray
    curved: np.ndarray
    radii: np.ndarray
    degree: np.ndarray
    regulator: np.ndarray
    in_focus: np.ndarray
    font: float
    points: np.ndarray
    told_by: tuple[str, ...] | None
    colors: Mapping[int, str]
    region: np.ndarray

    @classmethod
    def of(
        cls,
        shown: pd.DataFrame,
        *,
        focus: list[str],
        node_size_by: str,
        colors: Mapping[int, str],
        regions: Collection[str] = (),
    ) -> Picture:
        """Build the picture of an edge table with columns ``sign``, ``strength``, ``width`` and ``points``."""
        shown = shown.iloc[::-1]
        names = sorted({*shown["source"], *shown["target"]})
        at = {name: i for i, name in enumerate(names)}
        ends = np.array([[at[s], at[t]] for s, t in zip(shown["source"], shown["target"], strict=True)])
        pairs = {(a, b) for a, b in ends.tolist()}
        size, points = shown["width"].to_numpy(), shown["points"].to_numpy()
        told_by = tuple(word for word in WORDS if (shown["direction"] == word).any()) if "direction" in shown else None
        # what points nowhere is between two regulators, where the network says that nothing tells its direction
        starts = np.append(ends[points, 0], ends[~points].ravel() if told_by else [])
        counts = {
            "out_degree": np.bincount(ends[:, 0], minlength=len(names)),
            "in_degree": np.bincount(ends[:, 1], minlength=len(names)),
            "strength": sum(np.bincount(ends[:, i], shown["strength"], minlength=len(names)) for i in (0, 1)),
        }
        counts["degree"] = counts["out_degree"] + counts["in_degree"]
        basis = counts.get(node_size_by, np.ones(len(names)))
        region = np.array([name in regions for name in names])
        radii = 2.6 + 2.9 * np.sqrt(np.asarray(basis) / max(float(np.max(basis)), 1e-12))
        return cls(
            names=names,
            ends=ends,
            signs=shown["sign"].to_numpy(),
            strengths=size,
            widths=(0.5 + 1.5 * _relative(size)) * float(np.clip(np.sqrt(80 / len(shown)), 0.5, 1)),
            curved=np.array([(b, a) in pairs and a != b for a, b in ends.tolist()]),
            radii=np.where(region, _REGION_RADIUS, radii),
            degree=counts["degree"],
            regulator=np.isin(np.arange(len(names)), starts) & ~region,
            in_focus=np.isin(names, focus),
            font=TEXT if len(names) <= 30 else SMALL,
            points=points,
            told_by=told_by,
            colors=colors,
            region=region,
        )

    def head(self, sign: int, *, points: bool) -> str:
        """Arrow style of an edge with a sign."""
        return _HEADS[sign] if points else _PLAIN


def _relative(size: np.ndarray) -> np.ndarray:
    low, high = float(size.min()), float(size.max())
    return (size - low) / (high - low) if high > low else np.full(len(size), 0.5)


def edges(ax: Axes, picture: Picture, where: np.ndarray) -> None:
    """Draw edges, trimmed at the borders of their nodes."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    for i, (source, target) in enumerate(picture.ends):
        width, sign = picture.widths[i], int(picture.signs[i])
        head = 7 + 2.5 * width if sign < 0 else 5 + 4 * width
        if source != target:
            # on a short edge the head must leave some shaft
            visible = np.hypot(*(where[target] - where[source])) - picture.radii[[source, target]].sum() - 2
            head = min(head, max(1.4 * visible, 4.0))
        style: dict[str, Any] = {
            "arrowstyle": picture.head(sign, points=bool(picture.points[i])),
            "mutation_scale": head,
            "linewidth": width,
            "color": picture.colors[sign],
            "joinstyle": "miter",
            "capstyle": "butt",
            "zorder": 2,
            "gid": f"edge:{picture.names[source]}>{picture.names[target]}",
        }
        if source == target:
            patch = FancyArrowPatch(path=Path(_loop(picture, where, source), [1, 4, 4, 4]), **style)
        else:
            patch = FancyArrowPatch(
                tuple(where[source]),
                tuple(where[target]),
                connectionstyle=f"arc3,rad={_BEND * picture.curved[i]}",
                shrinkA=picture.radii[source] + 0.6,
                shrinkB=picture.radii[target] + 1.2 + 0.6 * width,
                **style,
            )
        # add_patch would measure the path of each for limits that are fixed
        ax.add_artist(patch)


def _loop(picture: Picture, where: np.ndarray, node: int) -> np.ndarray:
    """Control points of a loop on the side of a node where the widest gap between its edges is."""
    touching = picture.ends[(picture.ends == node).any(axis=1)]
    others = touching[touching != node]
    angle = np.pi / 2
    if len(others):
        away = where[others] - where[node]
        angles = np.sort(np.arctan2(away[:, 1], away[:, 0]))
        gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
        angle = angles[gaps.argmax()] + gaps.max() / 2
    radius = picture.radii[node]
    turns = angle + np.array([-0.75, -0.7, 0.7, 0.75])
    reach = radius + np.array([0.8, 14.0, 14.0, 2.2])
    return where[node] + reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)


def sampled_edges(picture: Picture, where: np.ndarray) -> np.ndarray:
    """Points along the drawn edges, about every 3 points and denser at their heads, shape (k, 2)."""
    points = []
    for (source, target), curved in zip(picture.ends, picture.curved, strict=True):
        if source == target:
            start, first, second, stop = _loop(picture, where, source)
            t = np.linspace(0, 1, 8)[:, None]
            points.append(
                (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * first + 3 * t**2 * (1 - t) * second + t**3 * stop
            )
            continue
        start, stop = where[source], where[target]
        span = stop - start
        length = float(np.hypot(*span))
        control = (start + stop) / 2 + _BEND * curved * np.array([span[1], -span[0]])
        head = 1 - (picture.radii[target] + np.arange(1.0, 8.0)) / max(length, 16.0)
        t = np.append(np.linspace(0.05, 0.95, max(3, int(length / 3))), head)[:, None]
        points.append((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * stop)
    return np.concatenate(points)


def nodes(ax: Axes, picture: Picture, where: np.ndarray) -> None:
    """Draw regulators as dark diamonds and targets as white circles; focus genes get a ring."""
    for mask, marker, face, growth, gid in (
        (~picture.regulator & ~picture.region, "o", _TARGET, 1.0, "targets"),
        (picture.region, "s", _REGION, 0.9, "regions"),
        (picture.regulator, "D", _REGULATOR, 0.82, "regulators"),
    ):
        if not mask.any():
            continue
        drawn = ax.scatter(
            *where[mask].T,
            s=(2 * growth * picture.radii[mask]) ** 2 * (1.0 if marker == "o" else 0.78),
            marker=marker,
            facecolor=face,
            edgecolor=[FOCUS if f else _REGULATOR for f in picture.in_focus[mask]],
            linewidth=np.where(picture.in_focus[mask], 1.8, 0.8),
            zorder=3,
        )
        drawn.set_gid(gid)


def label_texts(ax: Axes, picture: Picture, which: np.ndarray) -> list[Text]:
    """Write labels of some genes at the origin, to be measured and moved."""
    return [
        ax.text(
            0,
            0,
            picture.names[i],
            fontsize=picture.font,
            fontstyle="normal" if picture.regulator[i] else "italic",
            fontweight="bold" if picture.regulator[i] else "normal",
            color=INK,
            ha="center",
            va="center",
            bbox=PLATE,
            zorder=5,
            gid=f"label:{picture.names[i]}",
        )
        for i in which
    ]


def text_sizes(ax: Axes, texts: list[Text]) -> np.ndarray:
    """Extents of texts in points, shape (n, 2)."""
    figure = ax.figure.get_figure(root=True)
    boxes = [text.get_window_extent() for text in texts]
    return np.array([[box.width, box.height] for box in boxes]) * 72 / figure.dpi


def put_labels(
    ax: Axes, texts: list[Text], centres: np.ndarray, free: np.ndarray, where: np.ndarray, radii: np.ndarray
) -> None:
    """Move labels to their places, remove those without one, tie distant ones to their node."""
    if not texts:
        return
    sizes = text_sizes(ax, texts)
    for i, text in enumerate(texts):
        if not free[i]:
            text.remove()
            continue
        text.set_position(tuple(centres[i]))
        near = np.clip(where[i], centres[i] - sizes[i] / 2, centres[i] + sizes[i] / 2)
        away = near - where[i]
        gap = float(np.hypot(*away))
        if gap > radii[i] + 4.5:
            begin = where[i] + away / gap * radii[i]
            ax.plot(*np.stack([begin, near]).T, color=MUTED, linewidth=0.4, zorder=1.5)


def legend(ax: Axes, picture: Picture, *, width_by: str) -> float:
    """Draw the legend at the foot of the axes and return the height it takes in points."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Polygon

    handles = _edge_handles(picture)
    low, high = picture.strengths.min(), picture.strengths.max()
    if high > low:
        name = "|weight|" if width_by == "weight" else width_by.replace("_", " ")
        handles.append(Polygon([(0, 0)], color=MUTED, label=f"{name} {_short(low)}–{_short(high)}"))
    style: dict[str, Any] = {"linestyle": "", "markeredgecolor": _REGULATOR, "markeredgewidth": 0.8}
    if picture.regulator.any():
        handles.append(Line2D([], [], marker="D", markersize=5, markerfacecolor=_REGULATOR, label="regulator", **style))
    if picture.region.any():
        handles.append(Line2D([], [], marker="s", markersize=4, markerfacecolor=_REGION, label="region", **style))
    if not (picture.regulator | picture.region).all():
        name = "target" if picture.regulator.any() else "gene"
        handles.append(Line2D([], [], marker="o", markersize=6, markerfacecolor=_TARGET, label=name, **style))
    if picture.in_focus.any():
        style |= {"markeredgecolor": FOCUS, "markeredgewidth": 1.8}
        handles.append(Line2D([], [], marker="o", markersize=6, markerfacecolor=_TARGET, label="focus", **style))
    return _place_legend(ax, handles)


def _edge_handles(picture: Picture) -> list[Any]:
    """What lines and heads mean, and what tells the direction of those with a head."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch

    def line(label: str, sign: int, *, points: bool) -> FancyArrowPatch:
        style = picture.head(sign, points=points)
        return FancyArrowPatch((0, 0), (1, 0), arrowstyle=style, color=picture.colors[sign], linewidth=1.2, label=label)

    some_point = bool(picture.points.any())
    signs = [sign for sign in (1, -1, 0) if (picture.signs == sign).any()]
    handles: list[Any] = [line(SIGN_NAMES[sign], sign, points=some_point) for sign in signs]
    if not picture.points.all() and (some_point or picture.told_by):
        handles.append(line("no direction", 0, points=False))
    words = [word for word in picture.told_by or () if word != NONE]
    if words:
        handles.append(Line2D([], [], linestyle="", label=f"direction by {', '.join(words)}"))
    return handles


def _place_legend(ax: Axes, handles: list[Any]) -> float:
    from matplotlib.patches import FancyArrowPatch, Polygon

    width = size = 0.0
    for columns in range(len(handles), 0, -1):
        box = ax.legend(
            handles=handles,
            loc="lower center",
            ncols=columns,
            fontsize=SMALL,
            frameon=False,
            borderaxespad=0.3,
            handlelength=2.2,
            handletextpad=0.5,
            columnspacing=1.4,
            labelspacing=0.4,
            handler_map={FancyArrowPatch: _arrow_handler(), Polygon: wedge_handler()},
        )
        figure = ax.figure.get_figure(root=True)
        extent = box.get_window_extent()
        width, size = extent.width, extent.height * 72 / figure.dpi
        if width <= ax.get_window_extent().width:
            break
    return size


def _arrow_handler() -> Any:
    from matplotlib.legend_handler import HandlerPatch
    from matplotlib.patches import FancyArrowPatch

    def draw(legend: Any, orig_handle: Any, xdescent: float, ydescent: float, width: float, height: float,
             fontsize: float) -> FancyArrowPatch:  # fmt: skip
        middle = (height - ydescent) / 2
        return FancyArrowPatch((0, middle), (width, middle), shrinkA=0, shrinkB=0)

    class Handler(HandlerPatch):
        def create_artists(self, legend: Any, orig_handle: Any, *box: Any) -> list[Any]:
            arrow, trans = draw(legend, orig_handle, *box[:5]), box[5]
            arrow.set_arrowstyle(orig_handle.get_arrowstyle())
            arrow.set_mutation_scale(9)
            arrow.set(color=orig_handle.get_edgecolor(), linewidth=1.2, transform=trans)
            return [arrow]

    return Handler()


def wedge_handler() -> Any:
    from matplotlib.legend_handler import HandlerPatch
    from matplotlib.patches import Polygon

    def draw(legend: Any, orig_handle: Any, xdescent: float, ydescent: float, width: float, height: float,
             fontsize: float) -> Polygon:  # fmt: skip
        middle = (height - ydescent) / 2
        return Polygon([(0, middle - 0.25), (width, middle - 1.2), (width, middle + 1.2), (0, middle + 0.25)])

    return HandlerPatch(patch_func=draw)


def _short(value: float) -> str:
    return f"{value:.2g}"
