"""Where the panels and rows of the benchmark figure stand, so that it fits a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from grn.pl._output import Output
from grn.pl._panels import panels
from grn.pl._style import COLUMN_MM, POINTS_PER_MM, SMALL, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# of a page between its margins
_PAGE_MM = (170.0, 220.0)
_LEGEND_MM, _AXIS_MM, _HEAD_MM, _LINE_MM = 14.0, 6.0, 9.0, 3.0
_PANEL_MM, _ALONE_MM = 21.0, 52.0
_PITCH_MM = (2.6, 3.4)


@dataclass(frozen=True)
class Row:
    """One row of the figure.

    Parameters
    ----------
    kind, method, backbone
        What identifies it in the table.
    label
        What is written beside it.
    """

    kind: str
    method: str
    backbone: str
    label: str


def row_places(rows: list[Row]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights of rows, from the top, and of the titles of their kinds."""
    places, titles, at = [], [], 0.0
    for i, row in enumerate(rows):
        if i == 0 or rows[i - 1].kind != row.kind:
            at += 0.35 if i else 0.0
            titles.append((at, row.kind))
            at += 1
        places.append(at)
        at += 1
    return places, titles


def benchmark_axes(
    output: Output, networks: Sequence[str], n_protocols: int, rows: list[Row], *, n_rows: float
) -> np.ndarray:
    """Axes of shape (networks, protocols), passed or in a new figure.

    In a new figure whichever are more, networks or protocols, stand side by side, so that a figure of many networks
    is wide rather than tall, in as many lines as the width asks for.

    Parameters
    ----------
    output
        What the caller wants.
    networks
        Names of the networks.
    n_protocols
        Number of protocols.
    rows
        Rows of a panel.
    n_rows
        Height of a panel in rows.
    """
    shape = (len(networks), n_protocols)
    expected = f"{shape[0]} networks x {shape[1]} protocols"
    if output.given is not None:
        return panels(output, shape, size_mm=_PAGE_MM, expected=expected)
    names = 4 + _widest([row.label.replace("_", " ") for row in rows], SMALL)
    least = max(_PANEL_MM, _widest([word for name in networks for word in f"{name},".split()], TEXT, weight="bold"))
    width = _PAGE_MM[0] if output.size is None else 25.4 * output.size[0]
    columns = int(np.clip((width - names) // least, 1, max(shape)))
    blocks = -(-max(shape) // columns)
    columns, lines = -(-max(shape) // blocks), blocks * min(shape)
    head = _HEAD_MM + _LINE_MM * (columns > 2)
    room = _PAGE_MM[1] - _LEGEND_MM - _AXIS_MM - lines * head
    pitch = float(np.clip(room / (lines * (n_rows + 0.3)), *_PITCH_MM))
    size = (
        max(COLUMN_MM, names + _ALONE_MM) if shape == (1, 1) else max(_PAGE_MM[0], names + least * columns),
        lines * (head + pitch * (n_rows + 0.3)) + _AXIS_MM,
    )
    made = panels(output, (lines, columns), size_mm=size, expected=expected)
    return _by_network(made, shape)


def _widest(words: Sequence[str], size: float, **font: str) -> float:
    """Width in mm of the widest of some words."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    paths = [TextPath((0, 0), word, size=size, prop=FontProperties(**font)) for word in words if word.strip()]
    return max((float(path.get_extents().width) for path in paths), default=0.0) / POINTS_PER_MM


def _by_network(made: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Axes of networks and protocols among those of a figure; others are removed."""
    across, down = max(shape), min(shape)
    columns = made.shape[1]
    # a block is what stands side by side, one line for each of the others
    found = np.array([[made[i // columns * down + j, i % columns] for j in range(down)] for i in range(across)])
    kept = set(found.flat)
    for ax in made.flat:
        if ax not in kept:
            ax.remove()
    return found if shape[0] > shape[1] else found.T


def is_named(ax: Axes, others: Sequence[Axes]) -> bool:
    """Whether no other axes at the left of this one has names that serve it too."""
    box = ax.get_position()
    for other in others:
        place = other.get_position()
        same = np.allclose((box.y0, box.y1), (place.y0, place.y1), atol=1e-3)
        if other.figure is ax.figure and same and place.x0 < box.x0 - 1e-3:
            return False
    return True


def is_lowest(ax: Axes, others: Sequence[Axes]) -> bool:
    """Whether no other axes stands below this one."""
    box = ax.get_position()
    places = [other.get_position() for other in others if other.figure is ax.figure]
    return not any(place.y1 < box.y0 and place.x0 < box.x1 and box.x0 < place.x1 for place in places)
