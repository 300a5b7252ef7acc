"""What a simulated perturbation does to genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.entries import UnsEntry, entry_of
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError
from grn._object.container import check_type
from grn._object.modalities import from_mudata
from grn.pl._colors import ACTIVATE, REPRESS, UNSIGNED, chosen, color_map, color_scale
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._edge_data import near
from grn.pl._heatmap import draw_matrix
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, INK, SMALL, TEXT, blank, tidy

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_CELL_MM = 3.2


@document(**OUTPUT, **COLORS)
@from_mudata
def simulate(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    key: str = "simulation",
    n_genes: int = 20,
    group: str | None = None,
    dose: int = 0,
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the genes that respond most to a simulated perturbation, without the perturbed ones.

    Parameters
    ----------
    adata
        AnnData after :func:`grn.tl.simulate`.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    key
        Name of the results.
    n_genes
        Most genes to draw, by the largest absolute mean effect in any of the groups shown.
    group
        One group: its genes as lollipops. ``None`` draws all groups side by side, or lollipops if there is only one.
    dose
        Number of the dose, from 0.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide, wider for more than 15 groups.
    palette
        Colours of the lollipops of genes that rise and of those that fall, in this order, or a dict with some of these:
        ``{"rise": "crimson"}``. Red and blue by default.
    cmap
        Colour map of the matrix of groups, by name or as matplotlib has it; ``"RdBu_r"`` by default.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Red rises, blue falls. Filled dots and bold names are genes that a perturbed one regulates itself; the lines
        through dots are the standard deviation over cells.

    Raises
    ------
    ResultNotFoundError
        There is no simulation under ``key``.
    GroupError
        The group does not exist.
    ParameterError
        ``adata`` is no AnnData, or a number is out of range.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> grn.Network(adata.uns["truth"]).write(adata)
    >>> grn.tl.simulate(adata, perturbation={"GATA1": 0}, n_propagation=1)
    >>> ax = grn.pl.simulate(adata, n_genes=3)
    >>> len(ax.get_yticklabels())
    3
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    rise, fall = chosen(palette, {"rise": ACTIVATE, "fall": REPRESS}).values()
    colors = {1: rise, -1: fall, 0: UNSIGNED}
    if cmap is not None:
        color_map(cmap)
    n_genes = checks.integer("n_genes", n_genes, least=1)
    record = record_of(adata, key)
    table = _chosen(record.record["effects"], group, checks.integer("dose", dose, least=0))
    title = title_of(record, dose)
    table = table[~table["perturbed"].astype(bool)]
    if table.empty:
        return output.finish(blank(output.axes(COLUMN_MM, 40), f"{title}: no gene responds"))
    strength = table["effect"].abs().groupby(table["gene"].astype(str)).max().reset_index()
    genes = strength.sort_values(["effect", "gene"], ascending=[False, True])["gene"].iloc[:n_genes]
    shown = table[table["gene"].isin(genes)]
    groups = list(dict.fromkeys(table["group"].astype(str)))
    count = f"{len(genes)} strongest of {len(strength)} genes" if len(strength) > len(genes) else f"{len(genes)} genes"
    if len(groups) == 1:
        where = "" if groups[0] == "all" else f" in {groups[0]}"
        ax = output.axes(COLUMN_MM, 24 + 3.6 * len(shown))
        return output.finish(_lollipops(ax, shown, f"{title}{where}: {count}", colors))
    return output.finish(_matrix(output, shown, groups, f"{title}: {count}", cmap))


_EFFECTS = {"gene": None, "group": None, "dose": "number", "effect": "number", "sd": "number", "perturbed": "truth",
            "direct": "truth"}  # fmt: skip


def record_of(adata: AnnData, key: str) -> UnsEntry:
    """The entry of ``uns`` that a simulation wrote."""
    check_type(adata)
    call = f"grn.tl.simulate(adata, perturbation={{...}}, key_added={key!r})"
    entry = entry_of(adata, key, what="simulation", call=call)
    if not isinstance(entry.record.get("effects"), pd.DataFrame):
        raise ResultNotFoundError(f"uns has no simulation {key!r}; run {call}.")
    check_table(entry, "effects", _EFFECTS)
    return entry


def check_table(entry: UnsEntry, name: str, columns: Mapping[str, str | None]) -> pd.DataFrame:
    """A table of an entry, if it has the columns, of the right kind."""
    table = entry.record.get(name)
    if not isinstance(table, pd.DataFrame) or not table.columns.is_unique:
        raise entry.damaged(f"{name!r} is no table")
    for column, kind in columns.items():
        if column not in table:
            raise entry.damaged(f"the table {name!r} has no column {column!r}")
        numeric = pd.api.types.is_numeric_dtype(table[column]) and not pd.api.types.is_complex_dtype(table[column])
        if kind == "number" and (not numeric or not np.isfinite(table[column].to_numpy(dtype=float)).all()):
            raise entry.damaged(f"column {column!r} of {name!r} holds no finite numbers")
        if kind == "truth" and not pd.api.types.is_bool_dtype(table[column]):
            raise entry.damaged(f"column {column!r} of {name!r} is neither true nor false")
    return table


def title_of(entry: UnsEntry, dose: int) -> str:
    """What was done in a dose."""
    doses = entry.mapping("params").names("doses")
    if dose >= len(doses):
        raise entry.damaged(f"it names {len(doses)} doses and has more")
    return str(doses[dose])


def _chosen(effects: pd.DataFrame, group: str | None, dose: int) -> pd.DataFrame:
    doses = int(effects["dose"].max()) + 1 if len(effects) else 1
    if dose >= doses:
        raise ParameterError(f"dose={dose}; the simulation has {doses} doses, numbered from 0.")
    table = effects[effects["dose"] == dose]
    if group is None:
        return table
    rows = table[table["group"].astype(str) == group]
    if rows.empty:
        raise GroupError(f"the simulation has no group {group!r}." + near(group, table["group"]))
    return rows


def _lollipops(ax: Axes, shown: pd.DataFrame, title: str, by_sign: Mapping[int, str]) -> Axes:
    from matplotlib.lines import Line2D

    rows = np.arange(len(shown))
    effect, spread = shown["effect"].to_numpy(), shown["sd"].to_numpy()
    direct = shown["direct"].to_numpy(dtype=bool)
    colors = np.array([by_sign[int(np.sign(value))] for value in effect])
    ax.hlines(rows, 0, effect, colors=colors, linewidth=1.4, zorder=2)
    ax.hlines(rows, effect - spread, effect + spread, colors=colors, linewidth=0.6, zorder=2)
    ax.scatter(effect, rows, s=20, c=np.where(direct, colors, "white"), edgecolors=colors, linewidth=1.0, zorder=3)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=1)
    ax.set_yticks(rows, shown["gene"], fontstyle="italic")
    ax.set_ylim(len(shown) - 0.4, -0.6)
    tidy(ax, keep=("bottom",))
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(axis="y", length=0, pad=5)
    ax.set_xlabel("mean change of expression", fontsize=TEXT, color=INK)
    ax.set_title(title, fontsize=TEXT, color=INK, loc="left", pad=12)
    names = {True: "direct target", False: "further downstream"}
    handles = [
        Line2D([], [], color=INK, marker="o", markersize=4, linewidth=0, label=label, markerfacecolor=face)
        for kind, label, face in ((True, names[True], INK), (False, names[False], "white"))
        if (direct == kind).any()
    ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0,
        borderpad=0.2,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    return ax


def _matrix(output: Output, shown: pd.DataFrame, groups: list[str], title: str, cmap: str | Colormap | None) -> Axes:
    wide = shown.pivot(index="gene", columns="group", values="effect").reindex(columns=groups).fillna(0.0)
    mean = wide.mean(axis=1).rename("mean").reset_index().sort_values(["mean", "gene"], ascending=[False, True])
    wide = wide.loc[mean["gene"]]
    rows, columns = wide.shape
    ax = output.axes(max(COLUMN_MM, 44 + _CELL_MM * columns), max(45, 26 + _CELL_MM * rows))
    draw_matrix(ax, wide, color_scale(wide.to_numpy(), diverging=True, cmap=cmap), label="mean change")
    direct = set(shown.loc[shown["direct"].astype(bool), "gene"])
    for text in ax.get_yticklabels():
        text.set_fontstyle("italic")
        text.set_fontweight("bold" if text.get_text() in direct else "normal")
    ax.set_title(title, fontsize=TEXT, color=INK, loc="left")
    return ax
