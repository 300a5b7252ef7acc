"""Inks, sizes and axes shared by all figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from grn._core.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, FAINT, FOCUS = "#1A1A1A", "#6B6B6B", "#C8C8C8", "#E69F00"
SMALL, TEXT = 6.0, 7.0
# behind names on a picture; an outline around letters would make them shapes in files for print
PLATE = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "boxstyle": "square,pad=0.04"}
POINTS_PER_MM = 72 / 25.4
COLUMN_MM = 89.0


def new_axes(width_mm: float, height_mm: float, *, rows: int = 1, managed: bool = True) -> np.ndarray:
    """Open a figure of a size in millimetres with a column of axes that share x."""
    import matplotlib.pyplot as plt

    size = (width_mm / 25.4, height_mm / 25.4)
    figure, axes = plt.subplots(
        rows, 1, figsize=size, sharex=True, squeeze=False, layout="constrained" if managed else None
    )
    if managed:
        figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    return axes[:, 0]


def check_axes(ax: object) -> None:
    """Raise unless ``ax`` is a matplotlib Axes or None."""
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise ParameterError(f"ax has type {type(ax).__name__}; pass a matplotlib Axes or None for a new figure.")


def tidy(ax: Axes, *, keep: tuple[str, ...] = ("left", "bottom")) -> None:
    """Small ticks, thin spines, only those spines that carry a scale."""
    ax.grid(visible=False)
    for side, spine in ax.spines.items():
        spine.set_visible(side in keep)
        spine.set_linewidth(0.6)
        spine.set_color(INK)
    ax.tick_params(labelsize=SMALL, width=0.6, length=2.5, pad=2, color=INK, labelcolor=INK)


def blank(ax: Axes, message: str) -> Axes:
    """Leave an axes without a frame that says why it is empty."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, message, transform=ax.transAxes, ha="center", va="center", fontsize=TEXT, color=MUTED)
    return ax


def settle(ax: Axes) -> None:
    """Run the layout engine of the figure, so that the size of the axes is the one it will be drawn with."""
    figure = ax.figure.get_figure(root=True)
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()


def size_points(ax: Axes) -> tuple[float, float]:
    """Width and height of an axes in points."""
    figure = ax.figure.get_figure(root=True)
    box = ax.get_window_extent()
    return box.width * 72 / figure.dpi, box.height * 72 / figure.dpi


def lay_flat(ax: Axes, points_per_cell: float) -> None:
    """Lay the names below columns flat where every one of them fits below its own."""
    labels = [label for label in ax.get_xticklabels() if label.get_text()]
    longest = max((label.get_window_extent().height for label in labels), default=0.0)  # they stand upright
    if longest * 72 / ax.figure.get_figure(root=True).dpi <= 0.9 * points_per_cell:
        ax.tick_params(axis="x", labelrotation=0)


def tick_size(points_per_cell: float, *, least: float = 4.0) -> float:
    """Font size of tick labels that do not touch each other."""
    return float(np.clip(points_per_cell * 0.95, least, SMALL))
