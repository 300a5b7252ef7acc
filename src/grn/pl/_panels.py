"""Figures of several panels: new ones, or axes that were passed."""

from __future__ import annotations

import numpy as np

from grn._core.errors import ParameterError
from grn.pl._style import check_axes


def panels(
    ax: object, shape: tuple[int, int], *, size_mm: tuple[float, float], figsize: object, expected: str
) -> np.ndarray:
    """Axes of a shape, passed or in a new figure.

    Parameters
    ----------
    ax
        What the user passed: one Axes, several in any nesting, or None.
    shape
        Rows and columns.
    size_mm
        Width and height of a new figure.
    figsize
        What the user wants instead, in inches; None for ``size_mm``.
    expected
        What the panels are, for the error when their number does not fit: ``"2 networks x 1 protocols"``.
    """
    if ax is not None:
        return _given(ax, shape, figsize, expected)
    import matplotlib.pyplot as plt

    size = (size_mm[0] / 25.4, size_mm[1] / 25.4) if figsize is None else _inches(figsize)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    return np.asarray(axes)


def _inches(figsize: object) -> tuple[float, float]:
    try:
        width, height = (float(side) for side in figsize)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        width = height = float("nan")
    if not (np.isfinite([width, height]).all() and min(width, height) > 0):
        raise ParameterError(f"figsize={figsize!r}; pass width and height in inches, for instance (7, 5).")
    return width, height


def _given(ax: object, shape: tuple[int, int], figsize: object, expected: str) -> np.ndarray:
    if figsize is not None:
        raise ParameterError("figsize is the size of a new figure; pass either ax or figsize.")
    found = np.ravel(np.array(ax, dtype=object))
    for place in found:
        check_axes(place)
        if place is None:
            raise ParameterError("ax holds None; pass one matplotlib Axes per panel, or ax=None for a new figure.")
    if len(found) != shape[0] * shape[1]:
        raise ParameterError(f"{len(found)} axes were passed for {expected}; pass one Axes per panel.")
    return found.reshape(shape)
