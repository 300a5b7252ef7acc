"""Response curves of probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grn import get
from grn._core.docs import document
from grn._core.entries import feature_entry
from grn._core.errors import GeneNameError, GroupError, ParameterError
from grn._core.settings import settings
from grn._object.modalities import from_mudata
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import line_colors
from grn.pl._edge_data import in_names, near
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import DrawnPanels, Output
from grn.pl._style import COLUMN_MM, FAINT, INK, MUTED, SMALL, TEXT, check_axes, settle, size_points, tidy

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

Pair = tuple[str, str]
# lines of one dash pattern
_SHADES = 7
# fewest targets of a source for a band, and its bounds in per cent
_FEWEST = 10
_BAND = (5, 95)
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))


@document(**OUTPUT, **COLORS)
@from_mudata
def response(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    pairs: Pair | Sequence[Pair],
    keys: str | Sequence[str] = ("vvp", "gradient_trajectory"),
    group: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
    palette: Mapping[str, str] | Sequence[str] | str | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> DrawnPanels:
    """Draw how a target responds to the virtual value of a source, one panel per probe.

    Perturbation curves (keys whose name holds no ``"gradient"``) are differences to the baseline and so pass
    through 0 at the baseline, drawn as an open marker; gradients have no such point, nor have probes
    of real cells (``context="mean"``). The baseline is ``uns[key]["params"]["baseline"]``, by default 0.
    Behind the lines lies, in the colour of the first pair of a source, what 90 % of all its targets do: a line within
    its band is nothing special. Features in a folder have bands where they fit into ``grn.settings.feature_budget``.

    Parameters
    ----------
    adata
        AnnData with probes in ``varm`` and ``uns``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    pairs
        A (source, target) pair, or several.
    keys
        Slots of the probes: one or several, one panel each.
    group
        One group of a probe computed with ``groupby``.
    ax
        Axes to draw on, one per key; ``None`` opens a figure 89 mm wide with the panels
        below each other. Names at the ends of lines are placed for the size it has now.
    palette
        Colours of the lines: a list, a dict by ``"SOURCE>TARGET"``, or the name of a colour map.
    %(figure)s

    Returns
    -------
    numpy.ndarray
        Axes, one per key. The line of a pair has the gid ``"SOURCE>TARGET"``, the band of a source, where it has at
        least 10 targets, ``"all:SOURCE"``.

    Raises
    ------
    ResultNotFoundError
        A key has not been computed.
    GeneNameError
        A gene is not among the sources or targets of a probe, or the model does not know it.
    ParameterError
        ``pairs`` is not made of pairs, or the number of axes differs from that of keys.
    GroupError
        A probe holds several groups and none was chosen.

    Examples
    --------
    >>> import anndata as ad, grn, numpy as np, pandas as pd
    >>> genes = ["SPI1", "LYZ", "CD79A"]
    >>> adata = ad.AnnData(np.ones((2, 3), dtype="float32"), var=pd.DataFrame(index=genes))
    >>> grid = np.array([-2.0, -1.0, 1.0, 2.0])
    >>> adata.varm["vvp"] = np.array([[[np.nan] * 4], [[-0.4, -0.3, 0.4, 0.5]], [[0.2, 0.1, -0.1, -0.1]]], dtype="float32")
    >>> adata.uns["vvp"] = {"sources": np.array(["SPI1"]), "grid": grid, "value_scale": "z-score", "params": {}}
    >>> axes = grn.pl.response(adata, pairs=[("SPI1", "LYZ"), ("SPI1", "CD79A")], keys="vvp")
    >>> [line.get_gid() for line in axes[0].lines if ">" in (line.get_gid() or "")]
    ['SPI1>LYZ', 'SPI1>CD79A']
    """  # noqa: E501
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    wanted = [(source, target) for source, target in (in_names(adata, pair) for pair in _pairs(pairs))]
    names = [keys] if isinstance(keys, str) else list(keys)
    panels = _panels(ax, len(names))
    colors = line_colors(palette, len(wanted), names=[f"{source}>{target}" for source, target in wanted])
    curves = [_curves(adata, name, wanted, group) for name in names]
    if panels is None:
        panels = output.column(COLUMN_MM, 14 + 42 * len(names), rows=len(names))
    for panel, name, curve in zip(panels, names, curves, strict=True):
        _draw(panel, name, wanted, curve, colors)
    scale = curves[-1].scale
    between = "\n" if len(scale) > 20 else " "
    panels[-1].set_xlabel(f"virtual value of the source{between}({scale})", fontsize=TEXT, color=INK)
    for panel, curve in zip(panels, curves, strict=True):
        _name_lines(panel, wanted, curve.values, colors)
    return output.finish(panels)


def _pairs(pairs: Pair | Sequence[Pair]) -> list[Pair]:
    listed = [pairs] if len(pairs) == 2 and all(isinstance(item, str) for item in pairs) else list(pairs)
    if not listed or not all(isinstance(p, Sequence) and not isinstance(p, str) and len(p) == 2 for p in listed):
        raise ParameterError(f"pairs={pairs!r}; pass (source, target) pairs, for instance [('SPI1', 'LYZ')].")
    return list(dict.fromkeys((str(source), str(target)) for source, target in listed))


def _panels(ax: object, count: int) -> np.ndarray | None:
    if not count:
        raise ParameterError("keys is empty; pass at least one, for instance keys='vvp'.")
    if ax is None:
        return None
    panels = np.empty(np.size(ax), dtype=object)
    panels[:] = np.ravel(np.array(ax, dtype=object))
    for panel in panels:
        check_axes(panel)
    if len(panels) != count:
        raise ParameterError(f"{len(panels)} axes were passed for {count} keys; pass one Axes per key.")
    return panels


@dataclass(frozen=True)
class _Curves:
    """Curves of all pairs from one probe.

    Parameters
    ----------
    grid
        Virtual values, ascending (K,).
    values
        Stored numbers (pairs, K).
    scale
        Name of the scale of the grid.
    baseline
        Value of all genes in the virtual cell; ``None`` when the probe started from real cells.
    bands
        Per source bounds of what most of its targets do (2, K).
    """

    grid: np.ndarray
    values: np.ndarray
    scale: str
    baseline: float | None
    bands: Mapping[str, np.ndarray]

    @property
    def anchor(self) -> float | None:
        """Value at which a perturbation changes nothing, unless it was measured."""
        measured = self.baseline is None or bool(np.isclose(self.grid, self.baseline).any())
        return None if measured else self.baseline

    @property
    def unit(self) -> str:
        """Name of the scale without what it was computed from."""
        return self.scale.split(" of ")[0]


def _curves(adata: AnnData, key: str, pairs: list[Pair], group: str | None) -> _Curves:
    names = get.features(adata, key=key, group=group, targets=[])  # labels only: a store may exceed the memory
    if names.groups is not None and len(set(names.groups)) > 1:
        listed = ", ".join(repr(name) for name in dict.fromkeys(names.groups))
        raise GroupError(f"{key!r} holds several groups; choose one with group=: {listed}.")
    for pair in pairs:
        for name, known, role in zip(pair, (names.sources, adata.var_names), ("source", "target"), strict=True):
            if name not in set(map(str, known)):
                raise GeneNameError(f"{name!r} is not a {role} of {key!r}." + near(name, map(str, known), genes=True))
    sources, targets = (list(dict.fromkeys(some)) for some in zip(*pairs, strict=True))
    features = get.features(adata, key=key, group=group, sources=sources, targets=targets)
    grid = np.asarray(features.grid, dtype=float)
    curves = [np.asarray(features.pair(*pair), dtype=float) for pair in pairs]
    for (source, target), curve in zip(pairs, curves, strict=True):
        if np.isnan(curve).all():
            raise GeneNameError(
                f"{key!r} has no values for {source!r} -> {target!r}: "
                "the model does not know one of them, or they are the same gene."
            )
    order = np.argsort(grid, kind="stable")
    params = feature_entry(adata, key).mapping("params")
    # of features in a folder not more is read than asked for
    whole = key in adata.varm or 4 * adata.n_vars * len(sources) * len(grid) <= settings.feature_budget
    return _Curves(
        grid=grid[order],
        values=np.array(curves)[:, order],
        scale=str(features.value_scale).replace("_", " "),
        baseline=params.number("baseline", 0.0) if params.text("context", "virtual") == "virtual" else None,
        bands=_bands(get.features(adata, key=key, group=group, sources=sources), order) if whole else {},
    )


def _bands(features: get.Features, order: np.ndarray) -> dict[str, np.ndarray]:
    """What 90 % of the targets of every source do, where there are enough of them."""
    bands = {}
    for number, source in enumerate(map(str, features.sources)):
        curves = np.asarray(features.values[:, number], dtype=float)[:, order]
        known = curves[np.isfinite(curves).all(axis=1)]
        if len(known) >= _FEWEST:
            bands[source] = np.percentile(known, _BAND, axis=0)
    return bands


def _draw(ax: Axes, key: str, pairs: list[Pair], curves: _Curves, colors: Sequence[Any]) -> None:
    ax.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
    if curves.baseline is not None:
        ax.axvline(curves.baseline, color=FAINT, linewidth=0.7, zorder=1)
    gradient = "gradient" in key
    anchor = None if gradient else curves.anchor
    _draw_bands(ax, pairs, curves, colors, anchor)
    for i, (source, target) in enumerate(pairs):
        x, y = curves.grid, curves.values[i]
        measured = np.arange(len(x))
        if anchor is not None:
            at = int(np.searchsorted(x, anchor))
            x, y, measured = np.insert(x, at, anchor), np.insert(y, at, 0.0), np.delete(np.arange(len(x) + 1), at)
        ax.plot(
            x,
            y,
            color=colors[i],
            linestyle=_DASHES[i // _SHADES % len(_DASHES)],
            linewidth=1.2,
            marker="o",
            markersize=2.8,
            markevery=measured.tolist(),
            gid=f"{source}>{target}",
            zorder=3,
        )
    if anchor is not None:
        hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.8}
        ax.plot([anchor], [0], "o", markersize=3.6, zorder=4, gid="baseline", **hollow)
    unit = curves.unit
    label = f"gradient of the target\n({unit} per {unit})" if gradient else f"change of the target\n({unit})"
    ax.set_ylabel(label, fontsize=TEXT, color=INK)
    tidy(ax)
    ax.locator_params(axis="y", nbins=5)
    ax.margins(x=0.03, y=0.08)


def _draw_bands(ax: Axes, pairs: list[Pair], curves: _Curves, colors: Sequence[Any], anchor: float | None) -> None:
    """Bands of all targets behind the lines, each once."""
    first = {source: colors[i] for i, (source, _) in reversed(list(enumerate(pairs)))}
    for source, (low, high) in curves.bands.items():
        x = curves.grid
        if anchor is not None:
            at = int(np.searchsorted(x, anchor))
            x, low, high = np.insert(x, at, anchor), np.insert(low, at, 0.0), np.insert(high, at, 0.0)
        ax.fill_between(x, low, high, color=first[source], alpha=0.13, linewidth=0, zorder=0, gid=f"all:{source}")
    if curves.bands:
        ax.set_title("bands: 90 % of all targets of the source", fontsize=SMALL, color=MUTED, loc="left", pad=3)


def _name_lines(ax: Axes, pairs: list[Pair], values: np.ndarray, colors: Sequence[Any]) -> None:
    """Write names at the right ends of lines, moved apart along y, tied to their line."""
    settle(ax)
    height = size_points(ax)[1]
    low, high = ax.get_ylim()
    ends = np.array([row[np.isfinite(row)][-1] for row in values])
    wanted = (ends - low) / (high - low) * height
    places = spread(wanted, gap=1.25 * SMALL, top=height)
    right = ax.get_xlim()[1]
    for i, (source, target) in enumerate(pairs):
        ax.annotate(
            f"{source} → {target}",
            (right, ends[i]),
            xytext=(10, places[i] - wanted[i]),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=colors[i],
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colors[i], "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def spread(wanted: np.ndarray, *, gap: float, top: float) -> np.ndarray:
    """Positions as near as possible to the wanted ones, at least ``gap`` apart (pool adjacent violators)."""
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []
    for rank, i in enumerate(order):
        blocks.append([float(wanted[i]) - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            total = blocks[-1][1] + count
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * count) / total, total]
    base = np.concatenate([np.full(int(count), mean) for mean, count in blocks])
    base = np.clip(base, 0, max(top - gap * (len(order) - 1), 0))
    placed = np.empty(len(order))
    placed[order] = base + gap * np.arange(len(order))
    return placed
