"""Figures of several panels: new ones, or axes that were passed."""

from __future__ import annotations

import numpy as np

from grn._core.errors import ParameterError
from grn.pl._output import Output
from grn.pl._style import check_axes


def panels(output: Output, shape: tuple[int, int], *, size_mm: tuple[float, float], expected: str) -> np.ndarray:
    """Axes of a shape, passed or in a new figure.

    Parameters
    ----------
    output
        What the caller wants, with the axes that were passed: one Axes, several in any nesting, or None.
    shape
        Rows and columns.
    size_mm
        Width and height of a new figure, unless the caller wants others.
    expected
        What the panels are, for the error when their number does not fit: ``"2 networks x 1 protocols"``.
    """
    if output.given is not None:
        return _given(output.given, shape, expected)
    import matplotlib.pyplot as plt

    size = (size_mm[0] / 25.4, size_mm[1] / 25.4) if output.size is None else output.size
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    return np.asarray(axes)


def _given(ax: object, shape: tuple[int, int], expected: str) -> np.ndarray:
    axes = np.ravel(np.array(ax, dtype=object))
    for place in axes:
        check_axes(place)
        if place is None:
            raise ParameterError("ax holds None; pass one matplotlib Axes per panel, or ax=None for a new figure.")
    if len(axes) != shape[0] * shape[1]:
        raise ParameterError(f"{len(axes)} axes were passed for {expected}; pass one Axes per panel.")
    return axes.reshape(shape)
