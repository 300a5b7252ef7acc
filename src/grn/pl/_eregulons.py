"""Regulators with their regions in groups of cells: a heat-map with dots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.docs import document
from grn._core.errors import NetworkError
from grn._core.logging import hint, logger, some
from grn._kernels.specificity import specificity
from grn.genome.regions import rows_of
from grn.pl._activity import specific
from grn.pl._colors import ABSENT, RISING, color_map
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._paired_cells import Cells, cells_of
from grn.pl._style import COLUMN_MM, INK, SMALL, TEXT, lay_flat, settle, size_points, tick_size, tidy
from grn.pl._triplets import triplet_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_CELL_MM = 4.4
_DARKEST = 0.45  # of the greys below the dots


@dataclass(frozen=True)
class Table:
    """What is drawn: numbers (k, n_groups) of eRegulons in groups.

    Parameters
    ----------
    expression
        Mean expression of the regulator, from 0 in its lowest group to 1 in its highest; NaN where RNA lacks it.
    accessibility
        Share of the accessibility that is in the regions, of the largest of its groups.
    specificity
        How specific the accessibility of the regions is for the group.
    """

    expression: pd.DataFrame
    accessibility: pd.DataFrame
    specificity: pd.DataFrame


@document(**OUTPUT, **COLORS)
def eregulons(
    mdata: MuData,
    *,
    groupby: str,
    network: pd.DataFrame | str = "scenicplus",
    rna: str = "rna",
    atac: str = "atac",
    n_regulons: int = 25,
    min_regions: int = 1,
    values: str = "auto",
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    r"""Draw eRegulons by groups of cells: expression of the regulator, accessibility and specificity of its regions.

    An eRegulon is a regulator with the regions and targets of one sign. The shade of a field is the mean expression of
    the regulator, from white in its lowest group to grey in its highest. The area of the dot is the share of the
    accessibility of the group that is in the regions, of the largest group. Its colour says how specific the regions
    are for the group (Suo et al. 2018): with p that share in every cell and q the indicator of the group, both with sum
    1 over cells,

    .. math:: 1 - \sqrt{\mathrm{JSD}(p, q)}

    Groups take their most specific eRegulons in turn until ``n_regulons`` are chosen; these are sorted by the group for
    which they are most specific.

    Parameters
    ----------
    mdata
        MuData with expression, and regions of the same cells.
    groupby
        Column of ``obs``, of the whole object or of a modality.
    network
        The key of a network with triplets, such as that of SCENIC+, or a table ``source, region, target`` and
        optionally ``sign``, a number or words such as ``+/-``. The regions of a regulator, sign by sign, are one row.
    rna, atac
        Names of the modalities.
    n_regulons
        Most eRegulons to draw.
    min_regions
        Fewest regions of an eRegulon.
    values
        What the expression is: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out.
    ax
        Axes to draw on; ``None`` opens a figure of 89 mm, wider for more than 6 groups.
    %(cmap)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        eRegulons in rows, with their numbers of regions (r) and genes (g), groups in columns. Fields of regulators that
        RNA lacks are white.

    Raises
    ------
    ResultNotFoundError
        There is no such network, or it names no regions.
    NetworkError
        No eRegulon has regions of the object.
    CellNameError
        The modalities have other cells.
    GroupError
        There is no such column, or some cells have no group.
    ExpressionError
        Expression cannot be used.
    ParameterError
        Another argument has a wrong type or value.

    Notes
    -----
    Shares of cells are as noisy as the counts that they are made of: with few regions or shallow cells, specificity
    tells less. It is larger for larger groups, which the choice of rows is not. Triplets of several groups (``groupby``
    of the method) are taken together.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> ax = grn.pl.eregulons(mdata, groupby="group", network=mdata.uns["truth"], n_regulons=4)
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['group_1', 'group_2']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    n_regulons = checks.integer("n_regulons", n_regulons, least=1)
    min_regions = checks.integer("min_regions", min_regions, least=1)
    shades = color_map(RISING if cmap is None else cmap)
    triplets = triplet_table(mdata, network, argument="network")
    cells = cells_of(mdata, rna=rna, atac=atac, groupby=groupby)
    table = _table(cells, _listed(triplets, cells, min_regions), n_regulons, values)
    rows, columns = table.specificity.shape
    ax = output.axes(max(COLUMN_MM, 62 + _CELL_MM * columns), max(62, 18 + _CELL_MM * rows))
    _draw(ax, table, shades)
    ax.set_xlabel(groupby, fontsize=TEXT, color=INK)
    return output.finish(ax)


def _listed(triplets: pd.DataFrame, cells: Cells, min_regions: int) -> pd.DataFrame:
    """Triplets with regions of the object: ``name`` of their eRegulon and ``row`` of their region."""
    rows = rows_of(triplets["region"], cells.chromatin.names)
    if (rows < 0).any():
        hint("%d of %d triplets have a region that is not in the object", int((rows < 0).sum()), len(rows))
    table = triplets.assign(row=rows)[rows >= 0]
    by = table.groupby(["source", "word"], sort=True)
    counted = pd.DataFrame({"regions": by["region"].nunique(), "genes": by["target"].nunique()}).reset_index()
    enough = counted["regions"] >= min_regions
    if not enough.any():
        raise NetworkError(
            f"none of {len(counted)} eRegulons has min_regions={min_regions} among the {len(cells.chromatin.names)} "
            "regions of the object; pass the object that the network was inferred from."
        )
    if not enough.all():
        hint("%d of %d eRegulons have fewer than %d regions", int((~enough).sum()), len(counted), min_regions)
    counted = counted[enough]
    size = [f"({regions}r, {genes}g)" for regions, genes in zip(counted["regions"], counted["genes"], strict=True)]
    counted["name"] = (counted["source"] + " " + counted["word"]).str.strip() + " " + size
    return table.merge(counted[["source", "word", "name"]], on=["source", "word"])


def _table(cells: Cells, listed: pd.DataFrame, most: int, values: str) -> Table:
    names = sorted(set(listed["name"]))
    labels = list(cells.groups.labels)
    matrix = cells.chromatin.regions.matrix
    pairs = listed[["name", "row"]].drop_duplicates()
    column = pd.Index(names).get_indexer(pairs["name"])
    part = sparse.csr_matrix((np.ones(len(pairs)), (pairs["row"], column)), shape=(matrix.shape[1], len(names)))
    inside = np.asarray((matrix @ part).todense())  # (n, k)
    totals = np.asarray(matrix.sum(axis=1), dtype=float)  # (n, 1)
    share = np.divide(inside, totals, out=np.zeros(inside.shape), where=totals > 0)[cells.chromatin.places]
    rss = specificity(share, cells.groups.codes, len(labels)).T  # (k, n_groups)
    alive = ~np.isnan(rss).all(axis=1)
    if not alive.all():
        hint("%d eRegulons are left out: their regions are closed in all cells", int((~alive).sum()))
    if not alive.any():
        raise NetworkError("the regions of all eRegulons are closed in all cells.")
    by_name = pd.DataFrame(rss, index=names, columns=labels)[alive]
    chosen = _in_order(by_name.loc[specific(by_name, most)])
    place = pd.Index(names).get_indexer(chosen.index)
    opened = np.asarray(cells.members @ inside) / np.maximum(np.asarray(cells.members @ totals), 1e-12)
    sources = listed.drop_duplicates("name").set_index("name")["source"][chosen.index].tolist()
    mean = cells.group_expression(sources, values).T  # (k, n_groups)
    lost = [source for source, row in zip(sources, mean, strict=True) if np.isnan(row).any()]
    if lost:
        hint("%d regulators were not measured in RNA: %s", len(lost), some(sorted(set(lost)), 5))
    low = mean.min(axis=1, keepdims=True)
    return Table(_of_largest(mean - low, chosen), _of_largest(opened.T[place], chosen), chosen)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by the group in which they are largest, the largest first."""
    values = table.fillna(-1.0).to_numpy()
    return table.iloc[np.lexsort([table.index.to_numpy(dtype=str), -values.max(axis=1), values.argmax(axis=1)])]


def _of_largest(values: np.ndarray, like: pd.DataFrame) -> pd.DataFrame:
    """Rows (k, n_groups) divided by their largest value."""
    top = values.max(axis=1, keepdims=True)
    return pd.DataFrame(values / np.where(top > 0, top, 1.0), index=like.index, columns=like.columns)


def _draw(ax: Axes, table: Table, shades: Colormap) -> None:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    rows, columns = table.specificity.shape
    greys = LinearSegmentedColormap.from_list("grn_greys", ["white", str(1 - _DARKEST)]).with_extremes(bad="white")
    field = np.ma.masked_invalid(table.expression.to_numpy())
    tiles = ax.pcolormesh(field, cmap=greys, norm=Normalize(0, 1), edgecolors=ABSENT, linewidth=0.5)
    ax.set_xlim(0, columns)
    ax.set_ylim(rows, 0)
    ax.set_xticks(np.arange(columns) + 0.5, table.specificity.columns, rotation=90)
    ax.set_yticks(np.arange(rows) + 0.5, table.specificity.index)
    tidy(ax, keep=())
    ax.tick_params(length=0, pad=2)
    numbers = table.specificity.to_numpy()
    norm = Normalize(float(np.nanmin(numbers)), float(np.nanmax(numbers)))
    places = _legends(ax)
    _bar(ax, places[0], (shades, norm), "specificity of its regions")
    _bar(ax, places[1], (tiles.cmap, tiles.norm), "expression of the regulator\n(lowest to highest group)")
    settle(ax)
    width, height = size_points(ax)
    largest = min(0.86 * min(width / columns, height / rows), 14.0)
    y, x = np.indices(numbers.shape) + 0.5
    size = (largest * np.sqrt(table.accessibility.to_numpy())) ** 2
    dots = ax.scatter(x.ravel(), y.ravel(), s=size.ravel(), c=numbers.ravel(), cmap=shades, norm=norm, linewidth=0,
                      zorder=3)  # fmt: skip
    dots.set_gid("accessibility")
    _sizes(places[2], largest)
    ax.tick_params(axis="x", labelsize=tick_size(width / columns))
    lay_flat(ax, width / columns)
    ax.tick_params(axis="y", labelsize=tick_size(height / rows))
    if min(width / columns, height / rows) < 4:
        logger.warning("%d x %d fields are too small for their dots on this axes; draw fewer.", rows, columns)


def _legends(ax: Axes) -> list[Axes]:
    """Places of three legends at the right, in millimetres from the upper corner."""
    from matplotlib.transforms import Affine2D, ScaledTranslation

    figure: Any = ax.figure
    corner = Affine2D().scale(1 / 25.4) + figure.dpi_scale_trans + ScaledTranslation(1, 1, ax.transAxes)
    boxes = ((3, -5.5, 22, 2), (3, -20.5, 22, 2), (3, -40, 22, 9))
    return [ax.inset_axes(box, transform=corner) for box in boxes]


def _bar(ax: Axes, place: Axes, scale: tuple[Colormap, Any], label: str) -> None:
    from matplotlib.cm import ScalarMappable

    cmap, norm = scale
    bar = ax.figure.colorbar(ScalarMappable(norm, cmap=cmap), cax=place, orientation="horizontal")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=SMALL, width=0.6, length=2, pad=2)
    bar.ax.locator_params(nbins=3)
    bar.ax.set_title(label, fontsize=SMALL, color=INK, loc="left", pad=3)


def _sizes(place: Axes, largest: float) -> None:
    """Dots of three sizes with what they stand for."""
    tidy(place, keep=())
    place.set(xticks=[], yticks=[], xlim=(0, 3), ylim=(0, 3))
    for number, share in enumerate((0.25, 0.5, 1.0)):
        place.scatter(number + 0.5, 1.9, s=share * largest**2, color=INK, linewidth=0)
        place.text(number + 0.5, 0.3, f"{share:g}", ha="center", va="center", fontsize=SMALL, color=INK)
    place.set_title(
        "accessibility of its regions\n(of the largest group)", fontsize=SMALL, color=INK, loc="left", pad=3
    )
