"""Links of regions with the genes they may act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.accessibility import Accessibility
from grn._object.container import check_target, target
from grn._object.expression import reads_of
from grn._object.modalities import is_mudata
from grn._object.values import expression
from grn.genome import parse_regions
from grn.genome.neighbourhood import starts_for
from grn.network.schema import storable
from grn.pp._link_evidence import Cells
from grn.pp._link_pairs import Sides, given_pairs, near_pairs, sides_of, with_distances
from grn.pp._link_table import Columns, correlated, of_genes, of_promoters, ordered

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

KINDS = ("correlation", "coaccess", "distance", "table")


@one_voice
def link_regions(
    mdata: MuData | AnnData,
    *,
    how: str = "correlation",
    table: pd.DataFrame | None = None,
    rna: str = "rna",
    atac: str = "atac",
    starts: pd.DataFrame | str = "auto",
    upstream: int = 150_000,
    downstream: int = 150_000,
    decay: float = 25_000,
    layer: str | None = None,
    values: str = "auto",
    atac_layer: str | None = None,
    groupby: str | None = None,
    within: str | None = None,
    min_cells: int = 5,
    null: str | None = "trans",
    rng: RNGLike = 0,
    key_added: str = "links",
    progress: bool | None = None,
    copy: bool = False,
) -> MuData | AnnData | None:
    r"""Link regions of open chromatin to the genes they may act on.

    Every pair of a region and a gene whose start is near is a link, with its distance and a score, by ``how``:

    - ``"correlation"``: over cells, of the accessibility of the region and the expression of the gene. The score is
      :math:`|\rho|`, Pearson's correlation of log-normalised values.
    - ``"coaccess"``: over cells, of the accessibility of the region and that of a region on the promoter of the gene,
      of several the one with the largest :math:`|\rho|`, which is the score. Genes without such a region have no link.
    - ``"distance"``: :math:`\exp(-|d| / \text{decay})`, without a look at the cells.
    - ``"table"``: yours.

    The null of both correlations are regions of other chromosomes, which cannot act on the gene in cis but share with
    those near it whatever makes cells differ: types of cells, depth, phase. Of every gene the correlations with about
    1000 such regions, in ten strata of regions that are open in as many cells, have a mean and a standard deviation,
    and p-values compare a link with all of the background of all genes:

    .. math:: z_{rg} = \frac{\rho_{rg} - m_{sg}}{\sigma_{sg}}, \qquad
              p_{rg} = \frac{1 + \#\{|z_0| \ge |z_{rg}|\}}{1 + N}

    Parameters
    ----------
    mdata
        MuData with genes in ``mdata["rna"]`` and regions of the same cells in ``mdata["atac"]`` (``var_names`` such as
        ``chr1:100-600``). For all but ``how="correlation"`` an AnnData of regions alone will do, then links are to all
        genes of ``starts``.
    how
        ``"correlation"``, ``"coaccess"``, ``"distance"`` or ``"table"``.
    table
        Links of yours: ``region`` and ``gene``, and ``distance`` and ``score`` (at least 0) where you have them;
        otherwise distances come from ``starts``, and scores are 1. Only with ``how="table"``.
    rna, atac
        Names of the modalities.
    starts
        Transcription starts, as :func:`grn.genome.starts` gives them, with names of genes as in ``mdata["rna"]``; or
        ``"hg38"``, ``"hg19"`` or ``"mm10"``, which :func:`grn.genome.check_build` compares with the regions, or
        ``"auto"``, which tells the build from them.
    upstream, downstream
        How far before and behind the start of a gene a region may lie, in bases.
    decay
        Bases over which the score of ``how="distance"`` falls to 1/e.
    layer
        Layer with the expression; ``None`` reads ``X``.
    values
        What the expression is: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
    atac_layer
        Layer with the accessibility; ``None`` reads ``X``. Whole numbers are log-normalised, all else is taken as it
        is, such as TF-IDF.
    groupby
        Column of ``obs``: correlate within every group of cells apart; the table has a column ``group``.
    within
        Column of ``obs``: correlate deviations from the means of its groups (types of cells, donors, batches), of all
        cells together. Differences between groups then count for nothing.
    min_cells
        Fewest cells in which a region is open and a gene seen for a correlation; rarer ones have no link.
    null
        ``"trans"``, or ``None`` for no p-values.
    rng
        Seed by which regions of the null are drawn, keyed by their names.
    key_added
        Name of what is written.
    progress
        Show a progress bar; ``None`` asks ``grn.settings.progress``.
    copy
        Return a changed copy instead of changing ``mdata``.

    Returns
    -------
    MuData, AnnData or None
        Writes into the regions, ``mdata["atac"].uns[key_added]``,

        ``table``
            DataFrame along the genome: ``region``, ``gene``, ``distance`` (bases from the start of the gene, 0 where
            the region covers it, negative before it, positive behind it, in the direction of transcription), ``score``
            (at least 0); for correlations ``rho``, ``zscore``, ``pval``, ``qval`` (Benjamini-Hochberg over the links,
            of a group); with ``"coaccess"`` ``promoter`` (that region: where it is the region itself, which is no test,
            ``qval`` is ``pval``); with ``groupby`` ``group``.
        ``params``
            every argument, and numbers of links, genes and regions.

        :func:`grn.get.region_links` filters it.

    Raises
    ------
    RegionError
        If names are no regions or occur twice, are of another build, are near no gene, hold NaN, negative values or
        only zeros, or are too few on other chromosomes for the null.
    CellNameError
        If the cells of the modalities are not the same.
    GeneOverlapError
        If no gene has a start, or genes of ``table`` are unknown.
    GeneNameError
        If names of genes cannot be stored or occur more than once.
    ExpressionError, LayerError
        If the expression cannot be used, or there is no such layer; or no pair is seen in ``min_cells`` cells.
    GroupError
        If a column is missing, or a group has fewer than 10 cells.
    ParameterError
        If the object or another argument has a wrong type or value.

    Notes
    -----
    Pearson's and not Spearman's correlation: it finds planted links as well, and is made of sums over cells, so that
    they are read once, a block at a time, and no matrix is held or densified. P-values are counted among z-scores of
    genes and regions that are seen in as many cells, and those of ``"coaccess"`` multiplied by the number of promoter
    regions of the gene. A link says that both go together, not that one acts on the other. See :doc:`/regions` for what
    each kind is worth.

    Cost: the stored values of the regions near a gene, for every gene, and those of the background for all genes.
    Memory: that of one block of cells, of the links, and of 1000 numbers per gene; 50 000 cells x 100 000 regions x
    3000 genes from a file take about 1 GB (``python benchmarks/region_links.py``).

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=200)
    >>> grn.pp.link_regions(mdata, starts=mdata.uns["starts"], upstream=30_000, downstream=30_000)
    >>> mdata["atac"].uns["links"]["table"].columns.tolist()
    ['region', 'gene', 'distance', 'score', 'rho', 'zscore', 'pval', 'qval']
    """
    _check(how, table, groupby, within, null)
    upstream, downstream = (
        checks.integer(name, value, least=0) for name, value in (("upstream", upstream), ("downstream", downstream))
    )
    decay = checks.number("decay", decay, above=0)
    min_cells = checks.integer("min_cells", min_cells, least=1)
    seed = seed_of(rng)
    sides = sides_of(mdata, rna=rna, atac=atac, how=how)
    _check_copy(mdata, sides, copy=copy, key=key_added)
    regions = parse_regions(sides.atac.var_names)
    if how == "table":
        links, build = _given(table, regions, sides, starts)
    else:
        starts, build = starts_for(regions, starts)
        links = near_pairs(regions, sides.rna, starts, upstream=upstream, downstream=downstream)
    with reads_of() as reads:
        if how == "distance":
            links = links.assign(score=np.exp(-links["distance"].abs() / decay))
        elif how != "table":
            columns = _columns(how, links, regions, starts, sides, layer, values)
            links = correlated(
                columns,
                regions,
                Accessibility(sides.atac, atac_layer),
                _cells(sides, groupby or within),
                by_group=groupby is not None,
                min_cells=min_cells,
                seed=None if null is None else seed,
            )
    params = {
        "method": "link_regions", "how": how, "rna": rna, "atac": atac, "starts": build, "upstream": upstream,
        "downstream": downstream, "decay": decay, "layer": layer, "values": values, "atac_layer": atac_layer,
        "groupby": groupby, "within": within, "min_cells": min_cells, "null": null, "rng": seed,
    }  # fmt: skip
    return _written(mdata, atac, key_added, ordered(links, regions), params | reads.told, copy=copy)


def _check(how: str, table: object, groupby: str | None, within: str | None, null: str | None) -> None:
    checks.word("how", how, KINDS)
    if (table is not None) != (how == "table"):
        raise ParameterError(
            "table= and how='table' go together: a table of links is taken as it is, all else is computed; pass both, "
            f"or neither (how={how!r}, table {'missing' if table is None else 'given'})."
        )
    if groupby is not None and within is not None:
        raise ParameterError(
            f"groupby={groupby!r} and within={within!r} were both given; pass groupby for links of every group, or "
            "within for links of all cells in spite of groups."
        )
    if null is not None:
        checks.word("null", null, ("trans",), note=", or None for no p-values")


def _check_copy(mdata: Any, sides: Sides, *, copy: bool, key: str) -> None:
    checks.flag("copy", copy)
    check_target(sides.atac, copy=copy, key=key)
    if copy and is_mudata(mdata) and mdata.isbacked:
        raise ParameterError(
            "mdata is read from a file, of which copy=True makes none; read it into memory: "
            f"mudata.read_h5mu({str(mdata.filename)!r})."
        )


def _given(
    table: object, regions: pd.DataFrame, sides: Sides, starts: pd.DataFrame | str
) -> tuple[pd.DataFrame, str | None]:
    """Links of the user's, with distances and scores."""
    links, build = given_pairs(table, regions, sides.rna), None
    if "distance" not in links:
        starts, build = starts_for(regions, starts)
        links = with_distances(links, regions, starts)
    return (links if "score" in links else links.assign(score=1.0)), build


def _columns(
    how: str,
    links: pd.DataFrame,
    regions: pd.DataFrame,
    starts: pd.DataFrame,
    sides: Sides,
    layer: str | None,
    values: str,
) -> Columns:
    """What the accessibility of regions is correlated with."""
    if how == "coaccess" or sides.rna is None:
        return of_promoters(links, regions, starts)
    read = expression(sides.rna, layer=layer, values=values)
    return of_genes(links, regions, starts, sides.rna.var_names, read)


def _cells(sides: Sides, column: str | None) -> Cells:
    """Cells by the groups of a column, or all as one group."""
    if column is None:
        return Cells(("",), np.zeros(len(sides.places), dtype=np.int64), sides.places)
    return Cells(*sides.codes(column), sides.places)


def _written(
    mdata: Any, atac: str, key: str, links: pd.DataFrame, params: dict[str, Any], *, copy: bool
) -> MuData | AnnData | None:
    """Write links into the regions, or into those of a copy."""
    sizes = {f"n_{name}s": links[name].nunique() for name in ("region", "gene")}
    logger.info("%d links of %d regions and %d genes", len(links), *sizes.values())
    entry = {"table": links, "params": storable(params | {"n_links": len(links)} | sizes)}
    if not is_mudata(mdata):
        result = target(mdata, copy=copy)
        result.uns[key] = entry
    else:
        result = mdata.copy() if copy else mdata
        result.mod[atac].uns[key] = entry
    return result if copy else None
