"""Probabilities of edges against the share of edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn import bench
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._core.rng import RNGLike
from grn.pl._colors import LINES, chosen
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, FAINT, INK, SMALL, TEXT, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@document(**OUTPUT, **COLORS)
def reliability(
    pairs: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    n_bins: int = 10,
    n_boot: int = 200,
    rng: RNGLike = 0,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the share of edges among pairs against the probability that a method gives them.

    On the diagonal a probability is what it says. Below it the method is too sure of edges, above it too careful. A
    point stands for as many pairs as any other of its line, its bar is a 95 %% interval over regulators, and the legend
    gives the mean distance from the diagonal. See :func:`grn.bench.reliability`, also for what becomes of a
    probability where edges are rarer.

    Parameters
    ----------
    pairs
        Scored pairs as :func:`grn.bench.scored_pairs` returns them, or several such tables by name.
    n_bins
        Points of a line.
    n_boot
        Replicates behind the intervals; none are drawn with 0.
    rng
        Seed of these.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    palette
        Colours of the tables, in their order, or a dict by name.
    %(figure)s

    Returns
    -------
    Axes
        The line of a table has the gid ``"reliability:NAME"``.

    Raises
    ------
    ParameterError
        There is no table, a column is missing, a label is not 0 or 1, or a number is no probability.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> p = np.linspace(0.01, 0.99, 200)
    >>> label = np.random.default_rng(0).random(200) < p
    >>> pairs = pd.DataFrame({"source": list("ABCD") * 50, "label": label.astype(int), "probability": p})
    >>> ax = grn.pl.reliability(pairs, n_bins=4)
    >>> ax.get_xlabel()
    'probability'
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    tables = {"": pairs} if isinstance(pairs, pd.DataFrame) else pairs
    if not isinstance(tables, Mapping) or not tables:
        raise ParameterError(
            f"pairs is {'empty' if isinstance(tables, Mapping) else f'a {type(pairs).__name__}'}; pass a DataFrame of "
            "scored pairs, or a dict of them by name."
        )
    colors = chosen(palette, {name: LINES[i % len(LINES)] for i, name in enumerate(tables)})
    curves = {name: bench.reliability(table, n_bins=n_bins, n_boot=n_boot, rng=rng) for name, table in tables.items()}
    place = output.axes(COLUMN_MM, 84)
    place.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=1)
    for name, curve in curves.items():
        _draw(place, name, curve, colors[name])
    tidy(place)
    place.set_xlim(-0.02, 1.02)
    place.set_ylim(-0.02, 1.02)
    place.set_xlabel("probability", fontsize=TEXT, color=INK)
    place.set_ylabel("share of edges", fontsize=TEXT, color=INK)
    style: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "borderaxespad": 0.2, "handlelength": 1.6}
    place.legend(loc="upper left", labelspacing=0.3, **style)
    return output.finish(place)


def _draw(ax: Axes, name: str, curve: pd.DataFrame, color: str) -> None:
    """A line with its intervals."""
    gap = float(np.average((curve["share"] - curve["probability"]).abs(), weights=curve["n"]))
    label = f"{name}: {gap:.3f} off" if name else f"{gap:.3f} off on average"
    at = curve["probability"].to_numpy()
    if curve["low"].notna().any():
        ax.vlines(at, curve["low"], curve["high"], color=color, linewidth=0.9, alpha=0.7, zorder=2)
    look = {"marker": "o", "markersize": 3.2, "markeredgecolor": "white", "markeredgewidth": 0.4, "linewidth": 1.1}
    ax.plot(at, curve["share"].to_numpy(), color=color, label=label, zorder=3, gid=f"reliability:{name}", **look)
