"""A benchmark table as points with intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core.docs import document
from grn._core.errors import ParameterError
from grn.pl._benchmark_draw import KIND_COLORS, METRIC_NAMES, NetworkFigures, draw
from grn.pl._benchmark_layout import Row
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import chosen
from grn.pl._edge_data import near
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import DrawnPanels, Output

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("method", "test", "network", "protocol", "metric", "value")
_NUMBERS = ("value", "low", "high", "floor", "published", "prevalence")
_KINDS = ("method", "ablation", "floor", "oracle")
_ORDER = {
    "network": ("string", "non-specific", "specific", "lofgof"),
    "protocol": ("paper", "strict"),
    # the order of the paper's table; other names follow in the order of the alphabet
    "method": (
        *("random", "pert", "attn", "attention", "emb", "embedding", "vvp", "gdt", "gradient", "ens", "ensemble"),
        "universal",
    ),
}
# within small groups of pairs a random score has more than the prevalence, so other metrics have no such line
_PREVALENCE = ("auprc", "auprc_residual", "auprc_rewired")
_CHANCE = {
    **dict.fromkeys(("auprc_ratio", "early_precision_ratio"), 1.0),
    **dict.fromkeys(("auroc", "auprc_direction", "direction"), 0.5),
    "driver_percentile": 50.0,
}


@document(**OUTPUT, **COLORS)
def benchmark(
    table: pd.DataFrame,
    *,
    metric: str = "auprc",
    protocols: str | Sequence[str] | None = None,
    tests: str | Sequence[str] | None = None,
    networks: str | Sequence[str] | None = None,
    methods: str | Sequence[str] | None = None,
    pairs: str = "all",
    ax: Axes | Sequence[Axes] | np.ndarray | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> DrawnPanels:
    r"""Draw how well methods did: one panel per network and protocol.

    Networks stand in rows and protocols in columns, or the other way round where there are more networks; what is wider
    than the figure goes on in another line. A new figure of several panels is 170 mm wide; six networks, two protocols
    and 25 methods take less than 220 mm of height. All panels have one scale.

    Small marks are test data sets. The large point is the mean over independent units: data sets that share a
    ``unit``, as the three mHSC lineages do, are averaged first and count once. Its bar is a 95 % interval: that of
    the table for one data set, else :math:`\bar v \pm \sqrt{\sum_u d_u^2} / U` with :math:`d_u` the distance of
    unit :math:`u` to its bound, which takes the :math:`U` units for independent and the data sets inside a
    unit for fully dependent. It tells how exact the scores are, not how much data sets differ.

    The vertical line is the mean, over units, of the best floor of each data set; the dotted one is chance, where a
    metric has a known one. The open diamond is the mean of the published numbers that exist, which may be fewer data
    sets.

    Parameters
    ----------
    table
        Results as :func:`grn.bench.run` returns them. ``method``, ``test``, ``network``, ``protocol``, ``metric``
        and ``value`` are needed; ``pairs``, ``kind``, ``backbone``, ``unit``, ``low``, ``high``, ``floor``,
        ``published`` and ``prevalence`` are used where they exist.
    metric
        Which metric to draw.
    protocols
        Which protocols, in this order; default: all.
    tests
        Which test data sets; default: all.
    networks
        Which reference networks, in this order; default: all.
    methods
        Which rows, in this order within methods, ablations and floors; default: all.
    pairs
        ``"all"`` pairs, or those of ``"different families"``.
    ax
        Axes to draw on, one per panel, network by network; ``None`` opens a figure, 89 mm wide for one panel if names
        are short. In a figure of several axes the legend hangs below the first panel of the last network.
    palette
        Colours of methods, ablations, floors and oracles, in this order, or a dict with some of ``"method"``,
        ``"ablation"``, ``"floor"``, ``"oracle"``.
    %(figure)s

    Returns
    -------
    numpy.ndarray
        Axes of shape (networks, protocols), wherever they stand. The point of a method has the gid ``"mean:METHOD"``,
        open when the method lacks data sets that the panel shows.

    Raises
    ------
    ParameterError
        A column is missing, a name is not in the table, nothing is left to draw, one point has several rows
        (two sizes, say), or axes and panels differ in number.

    Examples
    --------
    >>> import grn, pandas as pd
    >>> table = pd.DataFrame({"method": ["vvp", "degree"], "kind": ["method", "floor"], "test": "hHEP",
    ...                       "network": "STRING", "protocol": "paper", "metric": "auprc",
    ...                       "value": [0.61, 0.70], "low": [0.58, 0.66], "high": [0.64, 0.73], "floor": 0.70})
    >>> axes = grn.pl.benchmark(table)
    >>> [tick.get_text() for tick in axes[0, 0].get_yticklabels()]
    ['methods', 'vvp', 'floors', 'degree']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    colors = chosen(palette, KIND_COLORS)
    figures = _of_pairs(_checked(table), pairs)
    choice = _selected(figures, metric, protocols=protocols, tests=tests, networks=networks, methods=methods)
    rows = _rows(choice.cells, choice.methods)
    panels = [[_panel(choice.cells, net, protocol, rows) for protocol in choice.protocols] for net in choice.networks]
    label = METRIC_NAMES.get(metric, metric.replace("_", " "))
    return output.finish(draw(panels, rows, label=label, output=output, colors=colors))


@dataclass(frozen=True)
class _Choice:
    """Rows of the table to draw, and the order of what they name.

    Parameters
    ----------
    cells
        One row per method, test, network and protocol.
    networks, protocols, methods
        Names in the order of panels and rows.
    """

    cells: pd.DataFrame
    networks: list[str]
    protocols: list[str]
    methods: list[str]


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that are drawn, optional ones filled in, names as text and numbers as numbers."""
    if not isinstance(table, pd.DataFrame):
        raise ParameterError(f"table is a {type(table).__name__}; pass the DataFrame that grn.bench.run returns.")
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ParameterError(
            f"The table has no column {missing[0]!r}; {', '.join(_NEEDED)} are needed."
            + near(missing[0], table.columns.difference(_NEEDED))
        )
    figures = table.reset_index(drop=True)
    for name in _NUMBERS:
        if name in figures and not pd.api.types.is_numeric_dtype(figures[name]) and figures[name].notna().any():
            raise ParameterError(f"Column {name!r} holds {figures[name].dtype}; numbers are needed.")
        figures[name] = figures[name].astype(float) if name in figures else np.nan
    for name, default in (("kind", "method"), ("backbone", ""), ("unit", figures["test"]), ("pairs", "all")):
        figures[name] = figures[name].astype(object).fillna(default) if name in figures else default
    for name in (*_NEEDED[:-1], "kind", "backbone", "unit", "pairs"):
        figures[name] = figures[name].astype(str)
    strange = sorted(set(figures["kind"]) - set(_KINDS))
    if strange:
        raise ParameterError(f"kind={strange[0]!r} is not one of {', '.join(_KINDS)}.")
    return figures


def _of_pairs(figures: pd.DataFrame, pairs: str) -> pd.DataFrame:
    """Rows about these pairs."""
    if len(figures):
        _names(figures, "pairs", [pairs], argument="pairs")
    return figures[figures["pairs"] == pairs]


def _selected(
    table: pd.DataFrame,
    metric: str,
    *,
    protocols: str | Sequence[str] | None,
    tests: str | Sequence[str] | None,
    networks: str | Sequence[str] | None,
    methods: str | Sequence[str] | None,
) -> _Choice:
    if table.empty:
        raise ParameterError("The table has no rows; nothing to draw.")
    _names(table, "metric", [metric], argument="metric")
    table = table[table["metric"] == metric]
    orders = {}
    for name, wanted in (("protocol", protocols), ("network", networks), ("test", tests), ("method", methods)):
        orders[name] = _names(table, name, wanted, argument=f"{name}s")
    for name, order in orders.items():
        table = table[table[name].isin(order)]
    table = table[np.isfinite(table["value"])]
    if table.empty:
        asked = "; ".join(f"{name}s {', '.join(order)}" for name, order in orders.items())
        raise ParameterError(f"No row has a value of {metric!r} for this choice ({asked}); widen it.")
    _once(table)
    table = table.sort_values(["network", "protocol", "kind", "method", "backbone", "test"])
    present = {name: [item for item in order if (table[name] == item).any()] for name, order in orders.items()}
    return _Choice(table, present["network"], present["protocol"], present["method"])


def _names(table: pd.DataFrame, column: str, wanted: str | Sequence[str] | None, *, argument: str) -> list[str]:
    """The names asked for, or all of them in the usual order."""
    usual = _ORDER.get(column, ())

    def rank(name: str) -> tuple[int, str, str]:
        folded = name.casefold()
        first = folded if column != "method" else re.split("[^a-z]", folded)[0]
        return usual.index(first) if first in usual else len(usual), folded, name

    known = sorted(set(table[column]), key=rank)
    if wanted is None:
        return known
    asked = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    if not asked:
        raise ParameterError(f"{argument} is empty; pass None for all of {', '.join(known)}.")
    for name in asked:
        if name not in known:
            close = near(name, known)
            hint = close if "Did you mean" in close else ""
            raise ParameterError(
                f"{argument}: {name!r} is not in the table; it has {', '.join(map(repr, known))}.{hint}"
            )
    return list(dict.fromkeys(asked))


def _once(table: pd.DataFrame) -> None:
    """Raise if one point of the figure would stand for several rows."""
    keys = ["kind", "method", "backbone", "test", "network", "protocol"]
    double = table[table.duplicated(keys, keep=False)]
    if double.empty:
        return
    same = double.sort_values(keys).groupby(keys, sort=False).get_group(tuple(double.sort_values(keys).iloc[0][keys]))
    differ = [c for c in ("train", "size", "negatives", "seeds", *same.columns) if c in same and c not in keys]
    differ = [c for c in differ if same[c].astype(str).nunique() > 1]
    what = (
        f"{same['method'].iloc[0]!r} on {same['test'].iloc[0]}, {same['network'].iloc[0]}, {same['protocol'].iloc[0]}"
    )
    if not differ:
        raise ParameterError(f"{what} occurs {len(same)} times; pass table.drop_duplicates().")
    values = sorted({str(value) for value in same[differ[0]]})
    raise ParameterError(
        f"{what} has {len(same)} rows that differ in {differ[0]!r} ({', '.join(values)}); "
        f"keep one, for instance table[table[{differ[0]!r}] == {same[differ[0]].iloc[0]!r}]."
    )


def _rows(cells: pd.DataFrame, order: list[str]) -> list[Row]:
    """Rows from the top: by kind, then in the order of methods; backbones are named where a method has several."""
    rows = []
    for kind in _KINDS:
        of_kind = cells[cells["kind"] == kind]
        for method in order:
            backbones = sorted(set(of_kind.loc[of_kind["method"] == method, "backbone"]))
            for backbone in backbones:
                suffix = f" · {backbone}" if len(backbones) > 1 and backbone else ""
                rows.append(Row(kind, method, backbone, method + suffix))
    return rows


def _panel(cells: pd.DataFrame, network: str, protocol: str, rows: list[Row]) -> NetworkFigures:
    here = cells[(cells["network"] == network) & (cells["protocol"] == protocol)]
    units = {test: str(group["unit"].iloc[0]) for test, group in here.groupby("test")}
    per_test = here.groupby(["unit", "test"])[["floor", "prevalence"]].mean()
    lines = per_test.groupby("unit").mean().mean()
    metric = str(here["metric"].iloc[0]) if len(here) else ""
    fallback = float(lines["prevalence"]) if metric in _PREVALENCE else float("nan")
    points = []
    for row in rows:
        mine = here[(here[["kind", "method", "backbone"]] == [row.kind, row.method, row.backbone]).all(axis=1)]
        points.append(_mean(mine, n_tests=len(units)))
    names = here["test"].to_numpy()
    where = {(row.kind, row.method, row.backbone): i for i, row in enumerate(rows)}
    at = [where[key] for key in zip(here["kind"], here["method"], here["backbone"], strict=True)]
    return NetworkFigures(
        names=(network, protocol, *sorted(set(here["pairs"]) - {"all"})),
        units=units,
        points=pd.DataFrame(points, columns=["value", "low", "high", "published", "complete"]),
        tests=pd.DataFrame({"row": at, "test": names, "value": here["value"].to_numpy()}).sort_values(["test", "row"]),
        floor=float(lines["floor"]),
        chance=_CHANCE.get(metric, fallback),
    )


def _mean(mine: pd.DataFrame, *, n_tests: int) -> tuple[float, float, float, float, bool]:
    """Mean over units with its interval, the mean published number, and whether all data sets are there."""
    if mine.empty:
        return (np.nan, np.nan, np.nan, np.nan, True)
    columns = ["value", "low", "high"]
    # a unit without an interval for one data set has none
    unit = mine.groupby("unit")[columns].agg(lambda values: values.mean(skipna=False))
    published = float(mine.groupby("unit")["published"].mean().mean())
    value = float(unit["value"].mean())
    if len(unit) == 1:
        return value, float(unit["low"].iloc[0]), float(unit["high"].iloc[0]), published, len(mine) == n_tests
    down = np.clip(unit["value"] - unit["low"], 0, None).to_numpy()
    up = np.clip(unit["high"] - unit["value"], 0, None).to_numpy()
    low, high = value - np.sqrt((down**2).sum()) / len(unit), value + np.sqrt((up**2).sum()) / len(unit)
    return value, float(low), float(high), published, len(mine) == n_tests
