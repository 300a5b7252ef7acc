"""How much of a score is the degree of the genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.errors import ParameterError
from grn._kernels.ties import merged
from grn.pl._colors import LINES
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import chosen as chosen_colors
from grn.pl._edge_data import near
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import DrawnPanels, Output
from grn.pl._panels import panels
from grn.pl._style import COLUMN_MM, FAINT, INK, SMALL, TEXT, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEEDED = ("source", "target", "label", "score")
_ROLES = {"regulator": ("source", "out-degree"), "target": ("target", "in-degree")}
_LOOKS: dict[str, dict[str, Any]] = {
    "all": {"linewidth": 1.1},
    "negatives": {"linewidth": 0.9, "linestyle": (0, (3, 1.2))},
}
_DOT: dict[str, Any] = {"marker": "o", "markersize": 3.4, "markeredgecolor": "white", "markeredgewidth": 0.5}
# a range of degrees from here on is drawn on a logarithmic scale
_WIDE = 30
_FEW = 5


@document(**OUTPUT, **COLORS)
def degree_bias(
    scores: pd.DataFrame,
    *,
    roles: str | Sequence[str] = ("regulator", "target"),
    n_bins: int = 8,
    ax: Axes | Sequence[Axes] | np.ndarray | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> DrawnPanels:
    r"""Draw the mean score rank of genes against their degree, for regulators and for targets.

    Scores are ranked over all pairs, ties sharing their mean rank, and scaled to 0 (lowest) .. 1 (highest). A point
    is one gene: the mean rank of the pairs it is in, against the number of positive pairs it is in. The lines join
    medians of genes of similar degree, with quartiles, and Spearman's :math:`\rho` of all genes is written above.

    A good score also ranks hubs high when they hold a larger share of positives. The dashed line and the second
    :math:`\rho` therefore use ranks averaged over the negatives of a gene: there no right answer favours a hub, and
    what rises is bias.

    Parameters
    ----------
    scores
        Scored pairs, one row each: ``source``, ``target``, ``label`` (1 for an edge, 0 for none), ``score``, as
        :func:`grn.bench.scored_pairs` and :func:`grn.bench.score_edges` return them.
    roles
        ``"regulator"`` (out-degree), ``"target"`` (in-degree), or both; one panel each.
    n_bins
        Most bins of the medians, equally wide on the scale that is drawn; those with few genes join the next.
    ax
        Axes to draw on, one per role; ``None`` opens a figure 89 mm wide with the panels side by side.
    palette
        Colours of the genes, of the medians of all pairs and of those of negatives, in this order, or a dict with some
        of ``"genes"``, ``"all"``, ``"negatives"``.
    %(figure)s

    Returns
    -------
    numpy.ndarray
        Axes, one per role. The scale of degrees is logarithmic, with 0 kept, when they reach 30.

    Raises
    ------
    ParameterError
        A column is missing, a label is not 0 or 1, a score is not finite, a pair occurs twice, there is no
        positive, or an argument has a wrong value.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> pairs = pd.DataFrame({"source": ["A", "A", "A", "B", "B", "B"], "target": list("XYZXYZ"),
    ...                       "label": [1, 1, 0, 1, 0, 0], "score": [0.9, 0.8, 0.7, 0.6, 0.2, 0.1]})
    >>> axes = grn.pl.degree_bias(pairs, roles="regulator")
    >>> axes[0].get_xlabel()
    'out-degree of the regulator'
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    colors = chosen_colors(palette, {"genes": LINES[0], "all": LINES[1], "negatives": INK})
    table = _checked(scores)
    n_bins = checks.integer("n_bins", n_bins, least=1)
    chosen = _chosen(roles)
    expected = f"{len(chosen)} roles"
    axes = panels(output, (1, len(chosen)), size_mm=(COLUMN_MM, 54), expected=expected)[0]
    for role, place in zip(chosen, axes, strict=True):
        column, name = _ROLES[role]
        genes = _per_gene(table, column)
        _draw(place, genes, colors, n_bins=n_bins)
        _say(place, role, genes, colors)
        place.set_xlabel(f"{name} of the {role}", fontsize=TEXT, color=INK)
    axes[0].set_ylabel("mean score rank", fontsize=TEXT, color=INK)
    return output.finish(axes)


def _checked(scores: pd.DataFrame) -> pd.DataFrame:
    """Pairs with their rank, sorted by name."""
    if not isinstance(scores, pd.DataFrame):
        raise ParameterError(f"scores is a {type(scores).__name__}; pass a DataFrame with {', '.join(_NEEDED)}.")
    missing = [name for name in _NEEDED if name not in scores.columns]
    if missing:
        hint = near(missing[0], scores.columns.difference(_NEEDED))
        raise ParameterError(f"The pairs have no column {missing[0]!r}; {', '.join(_NEEDED)} are needed.{hint}")
    table = scores[list(_NEEDED)].reset_index(drop=True)
    for name in ("label", "score"):
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ParameterError(f"Column {name!r} holds {table[name].dtype}; numbers are needed.")
        table[name] = table[name].astype(float)
    if not table["label"].isin([0.0, 1.0]).all():
        strange = table.loc[~table["label"].isin([0.0, 1.0]), "label"].iloc[0]
        raise ParameterError(f"Column 'label' holds {strange:g}; 1 (an edge) or 0 (none) is needed.")
    unscored = int((~np.isfinite(table["score"])).sum())
    if unscored:
        raise ParameterError(
            f"{unscored} of {len(table)} scores are not finite; drop them: scores[np.isfinite(scores['score'])]."
        )
    _once(scores)
    if not table["label"].any():
        raise ParameterError("No pair is labelled 1; degrees are counted on positive pairs.")
    table[["source", "target"]] = table[["source", "target"]].astype(str)
    scores = pd.Series(merged(table["score"].to_numpy()), index=table.index)
    table["rank"] = (scores.rank() - 1) / max(len(table) - 1, 1)
    return table.sort_values(["source", "target"])


def _once(scores: pd.DataFrame) -> None:
    """Raise if a pair occurs twice, as when tables of two kinds of negatives are joined."""
    double = int(scores.duplicated(["source", "target"]).sum())
    kinds = sorted(set(scores["negatives"].astype(str))) if "negatives" in scores else []
    if double and len(kinds) > 1:
        raise ParameterError(
            f"{double} pairs occur again, as there are negatives of {len(kinds)} kinds ({', '.join(kinds)}); "
            f"choose one: scores[scores['negatives'] == {kinds[0]!r}]."
        )
    if double:
        raise ParameterError(
            f"{double} pairs occur again; keep one row per pair: scores.drop_duplicates(['source', 'target'])."
        )


def _chosen(roles: str | Sequence[str]) -> list[str]:
    return checks.words("roles", roles, _ROLES)


def _per_gene(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Degree, mean rank, and mean rank among negatives of every gene in one role."""
    groups, negatives = table.groupby(column), table[table["label"] == 0].groupby(column)
    columns = {"degree": groups["label"].sum(), "all": groups["rank"].mean(), "negatives": negatives["rank"].mean()}
    return pd.DataFrame(columns)


def _rho(genes: pd.DataFrame, column: str) -> float:
    """Spearman's correlation with the degree; NaN when one side does not vary."""
    # means of equal ranks must stay tied whatever their rounding
    both = genes[["degree", column]].dropna().round(12).rank()
    if len(both) < 3 or (both.nunique() < 2).any():
        return float("nan")
    return float(np.corrcoef(both["degree"], both[column])[0, 1])


def _draw(ax: Axes, genes: pd.DataFrame, colors: Mapping[str, Any], *, n_bins: int) -> None:
    ax.axhline(0.5, color=FAINT, linewidth=0.7, zorder=1)
    size = float(np.clip(220 / np.sqrt(len(genes)), 4, 14))
    style: dict[str, Any] = {"facecolor": colors["genes"], "edgecolor": "none", "alpha": 0.3, "zorder": 2}
    ax.scatter(genes["degree"], genes["all"], s=size, **style, gid="genes")
    top = float(genes["degree"].max())
    for column, look in _LOOKS.items():
        middle = _bins(genes[["degree", column]].dropna(), n_bins, logarithmic=top >= _WIDE)
        if column == "all":
            ax.vlines(middle["degree"], middle["low"], middle["high"], color=colors[column], linewidth=1.0, zorder=3,
                      gid="quartiles")  # fmt: skip
        look = {"color": colors[column], **look, **_DOT, "zorder": 4, "gid": f"medians:{column}"}
        ax.plot(middle["degree"], middle["middle"], **look)
    tidy(ax)
    ax.set_ylim(-0.03, 1.03)
    if top >= _WIDE:
        _logarithmic(ax, top, low=float(genes["degree"].min()))
    else:
        ax.margins(x=0.06)
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=6)


def _bins(genes: pd.DataFrame, count: int, *, logarithmic: bool) -> pd.DataFrame:
    """Median degree, and quartiles of ranks, of genes of similar degree; bins with few genes join the next one."""
    degree, rank = genes["degree"].to_numpy(), genes.iloc[:, 1].to_numpy()
    scale = np.log1p(degree) if logarithmic else degree
    if not len(scale):
        return pd.DataFrame(columns=["degree", "low", "middle", "high"])
    edges = np.linspace(scale.min(), scale.max(), count + 1)[1:-1]
    group = np.searchsorted(edges, scale, side="right")
    least = int(np.clip(len(scale) // count, 1, _FEW))
    rows, waiting = [], np.zeros(len(scale), dtype=bool)
    for number in range(count):
        waiting |= group == number
        rest = int((group > number).sum())
        if waiting.sum() >= least and (rest >= least or not rest):
            rows.append([np.median(degree[waiting]), *np.quantile(rank[waiting], [0.25, 0.5, 0.75])])
            waiting[:] = False
    return pd.DataFrame(rows, columns=["degree", "low", "middle", "high"])


def _logarithmic(ax: Axes, top: float, *, low: float) -> None:
    """A logarithmic scale on which 0 has a place of its own."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.set_xlim(-0.3 if low < 1 else 0.8 * low, top * 1.3)
    tens = 10.0 ** np.arange(0, np.ceil(np.log10(top * 1.3)))
    ax.xaxis.set_major_locator(FixedLocator([0.0, *tens]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(FixedLocator([k * ten for ten in tens for k in range(2, 10)]))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(which="minor", width=0.4, length=1.5, color=INK)


def _say(ax: Axes, role: str, genes: pd.DataFrame, colors: Mapping[str, Any]) -> None:
    """Write how many genes there are and how their rank follows their degree."""
    from matplotlib.lines import Line2D

    names = {"all": "all pairs", "negatives": "negatives only"}
    handles = [
        Line2D(
            [],
            [],
            color=colors[column],
            **look,
            **_DOT,
            label=f"{names[column]}: ρ = {_number(_rho(genes, column))}",
        )
        for column, look in _LOOKS.items()
    ]
    style: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "borderaxespad": 0, "borderpad": 0.2,
                             "handlelength": 1.8, "handletextpad": 0.5, "labelspacing": 0.3}  # fmt: skip
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.01), **style)
    ax.set_title(f"{len(genes):,} {role}{'s' if len(genes) > 1 else ''}", fontsize=TEXT, color=INK, loc="left", pad=22,
                 fontweight="bold")  # fmt: skip


def _number(rho: float) -> str:
    return f"{rho:.2f}".replace("-", "−") if np.isfinite(rho) else "undefined"
