"""One locus: open chromatin of groups of cells, the start of a gene, and what links them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.logging import hint
from grn.genome.regions import rows_of
from grn.pl import _locus_artists as artists
from grn.pl._colors import SIGN_COLORS
from grn.pl._locus_data import Locus, arcs_of, links_of, locus_of, span_of, starts_for
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._paired_cells import Cells, Groups, cells_of, group_colors
from grn.pl._style import COLUMN_MM, FAINT, INK, TEXT
from grn.pl._triplets import triplet_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


@document(**OUTPUT)
def locus(
    mdata: MuData,
    *,
    gene: str,
    groupby: str | None = None,
    rna: str = "rna",
    atac: str = "atac",
    links: pd.DataFrame | str | None = "links",
    network: pd.DataFrame | str | None = None,
    starts: pd.DataFrame | None = None,
    build: str = "hg38",
    window: int | None = None,
    n_regulators: int = 20,
    values: str = "auto",
    ax: Axes | None = None,
    palette: Mapping[str, str] | Sequence[str] | str | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    """Draw the open chromatin around a gene in groups of cells, and the regions linked to it.

    Every group is a row of bars, one per region, all rows on one scale. Below them are the regions, arcs from those
    that are linked to the gene to its start, and the starts of all genes, with arrows in the direction of
    transcription. Regulators that act on the gene are written above their regions. Beside the rows is the mean
    expression of the gene.

    Parameters
    ----------
    mdata
        MuData with expression, and regions of the same cells.
    gene
        The gene, as ``starts`` names it.
    groupby
        Column of ``obs``, of the whole object or of a modality; ``None`` draws all cells as one row.
    rna, atac
        Names of the modalities.
    links
        Links of regions and genes: the key under which :func:`grn.pp.link_regions` wrote them, or a table with
        ``region`` and ``gene``. Arcs are red or blue by the sign of its column ``rho``, or of ``score`` where that has
        negative values, and as wide as it is large; grey without signs. ``None`` draws the regions of ``network``.
    network
        Regulators with regions: the key of a network such as that of SCENIC+, or a table of triplets ``source, region,
        target``. Names are red where the regulator activates the gene and blue where it represses it, by the column
        ``sign``.
    starts
        Transcription starts, as :func:`grn.genome.starts` gives them; ``None`` takes those of ``build``.
    build
        Genome, which is compared with the regions: ``"hg38"``, ``"hg19"`` or ``"mm10"``. Not read with ``starts``.
    window
        Bases to draw on both sides of the start; by default as far as linked regions lie, from 10 000
        to 250 000, and 50 000 without any.
    n_regulators
        Most names of regulators to write, those of the strongest triplets.
    values
        What the expression is: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out.
    ax
        Axes to draw on; ``None`` opens a figure 89 mm wide.
    palette
        Colours of the groups: a list, a dict by group, or the name of a colour map. By default those that scanpy stored
        in ``uns[groupby + "_colors"]``, if any.
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Positions are bases. Every arc is a patch with gid ``"link:REGION"``.

    Raises
    ------
    GeneNameError
        The gene has no start.
    RegionError
        Regions are of another build, or none is near the gene.
    ResultNotFoundError
        There are no such links, or no such network with regions.
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
    Accessibility of counts is the sum over the cells of a group in a region, per 10 000 of their sum in all regions;
    values that are no whole numbers are averaged. Expression is the mean of log1p of counts per 10 000. Bars show
    peaks, not coverage base by base, which the object does not hold. Where arcs or names leave the window, or genes
    have no room for their names, a hint says how many.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> starts, truth = mdata.uns["starts"], mdata.uns["truth"]
    >>> gene = truth["target"].iloc[0]
    >>> links = grn.genome.link_genes(mdata["atac"].var_names, starts=starts, upstream=30_000, downstream=30_000)
    >>> ax = grn.pl.locus(mdata, gene=gene, groupby="group", links=links, network=truth, starts=starts)
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['group_1', 'group_2']
    """
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    n_regulators = checks.integer("n_regulators", n_regulators, least=1)
    if window is not None:
        window = checks.integer("window", window, least=1)
    cells = cells_of(mdata, rna=rna, atac=atac, groupby=groupby)
    colors = group_colors(cells.groups, palette)
    table = starts_for(gene, cells, starts, build)
    triplets = None if network is None else _of_gene(triplet_table(mdata, network, argument="network"), gene)
    arcs = _arcs(gene, cells, links, triplets)
    linked = cells.chromatin.table.iloc[arcs["row"]]
    middles = linked.loc[linked["chrom"] == table["chrom"].iloc[0], ["start", "end"]].mean(axis=1).to_numpy()
    points = table.loc[table["gene"] == gene, "position"].to_numpy()
    span = span_of(points, middles, window)
    shown = locus_of(gene, cells, table, span, values)
    arcs = _within(arcs, cells, shown, "links")
    names = _regulators(triplets, cells, shown, n_regulators)
    rows = artists.Rows.of(len(colors), names["source"].str.len().max() if len(names) else 0, arcs=len(arcs) > 0)
    ax = output.axes(COLUMN_MM, artists.height_mm(rows))
    _draw(ax, shown, rows, cells.groups, colors, arcs, names)
    return output.finish(ax)


def _of_gene(triplets: pd.DataFrame, gene: str) -> pd.DataFrame:
    mine = triplets[triplets["target"] == gene]
    if mine.empty:
        hint("the network has no region by which a regulator acts on %s", gene)
    return mine


def _arcs(gene: str, cells: Cells, links: pd.DataFrame | str | None, triplets: pd.DataFrame | None) -> pd.DataFrame:
    if links is not None:
        return links_of(gene, cells, links)
    if triplets is None:
        return arcs_of(pd.DataFrame({"region": pd.Series(dtype=str)}), cells, by=())
    return arcs_of(triplets, cells, by=("rho_r2g",))


def _within(table: pd.DataFrame, cells: Cells, shown: Locus, what: str) -> pd.DataFrame:
    """Rows whose region is drawn, with its ``place`` among those."""
    regions = cells.chromatin.table.iloc[table["row"]]
    place = shown.regions.index.get_indexer(regions.index)
    elsewhere = (regions["chrom"] != shown.chrom).to_numpy()
    beyond = (place < 0) & ~elsewhere
    if elsewhere.any():
        hint("%d of %d %s of %s are on other chromosomes", int(elsewhere.sum()), len(place), what, shown.gene)
    if beyond.any():
        hint("%d of %d %s of %s are beyond %s:%d-%d; a larger window= shows them",
             int(beyond.sum()), len(place), what, shown.gene, shown.chrom, *shown.span)  # fmt: skip
    made = table.assign(place=place)[place >= 0]
    made.attrs = table.attrs
    return made


def _regulators(triplets: pd.DataFrame | None, cells: Cells, shown: Locus, most: int) -> pd.DataFrame:
    """Names to write, ``source, sign, place``: the strongest of those that are drawn."""
    if triplets is None or triplets.empty:
        return pd.DataFrame(
            {"source": pd.Series(dtype=str), "sign": pd.Series(dtype=int), "place": pd.Series(dtype=int)}
        )
    rows = rows_of(triplets["region"], cells.chromatin.names)
    table = _within(triplets.assign(row=rows)[rows >= 0], cells, shown, "triplets")
    table = table.drop_duplicates(["source", "place"])
    if len(table) > most:
        hint("%d of %d names of regulators are written, those of the strongest triplets; n_regulators= allows more",
             most, len(table))  # fmt: skip
    return table.iloc[:most][["source", "sign", "place"]]


def _draw(ax: Axes, shown: Locus, rows: artists.Rows, groups: Groups, colors: list[Any], arcs: pd.DataFrame,
          names: pd.DataFrame) -> None:  # fmt: skip
    artists.expression(ax, shown, rows, colors)
    scale = artists.prepare(ax, shown, rows, groups.labels)
    boxes = np.full(len(shown.regions), FAINT, dtype=object)
    boxes[names["place"].to_numpy(dtype=int)] = INK
    boxes[arcs["place"].to_numpy(dtype=int)] = arcs["sign"].map(SIGN_COLORS)
    linked = boxes != FAINT
    artists.tracks(ax, shown, rows, colors, linked if linked.any() else ~linked, scale)
    artists.regions(ax, shown, rows, list(boxes), scale)
    artists.arcs(ax, shown, rows, arcs, SIGN_COLORS, scale)
    artists.genes(ax, shown, rows, scale)
    artists.regulators(ax, shown, rows, names, {**SIGN_COLORS, 0: INK}, scale)
    artists.legend(ax, arcs, SIGN_COLORS)
    top = shown.heights.max()
    number = f"{top:.0f}" if top >= 10 else f"{top:.2g}"
    note = f"{shown.gene}: accessibility up to {number} {shown.unit}"
    ax.set_title(note, fontsize=TEXT, color=INK, loc="left", pad=12 if len(arcs) else 4)
