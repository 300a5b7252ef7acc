"""A base GRN from the regions of an object: motifs in them, and the genes they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import ParameterError, RegionError
from grn._core.logging import logger, one_voice
from grn._object.container import validate
from grn._object.modalities import is_mudata, modality
from grn._object.motif_hits import stored_hits
from grn.genome.hits import FactorHits
from grn.pp._motif_edges import motif_edges
from grn.pp._region_links import region_links
from grn.pp._settled import settled

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
def base_grn_from_regions(
    mdata: MuData | AnnData,
    *,
    links: pd.DataFrame | str | None = None,
    starts: pd.DataFrame | str = "auto",
    min_link: float | None = 0.8,
    max_p: float | None = 0.05,
    upstream: int = 1000,
    downstream: int = 100,
    hits: str = "motifs",
    min_score: float | None = None,
    rna: str = "rna",
    atac: str = "atac",
    organism: str = "auto",
    min_overlap: float = 0.1,
) -> pd.DataFrame:
    r"""Make a base GRN from open chromatin: regulators with a motif in the regions of a gene.

    CellOracle's recipe: the regions of a gene are those on its promoter, and those that go with it, by a
    co-accessibility of at least 0.8 or by the p-value of a correlation; a factor may regulate the gene if one of these
    regions has a motif of the factor.

    .. math:: \{(s, t) : \exists p \; \text{motif}_{sp} \ge \theta \text{ and } (p \text{ on the promoter of } t
              \text{ or linked to it})\}

    Parameters
    ----------
    mdata
        MuData whose regions have been scanned by :func:`grn.pp.scan_motifs`; or an AnnData of regions alone, when names
        of genes stay as they are in ``links`` or ``starts``.
    links
        Which genes regions belong to: a DataFrame ``region, gene[, distance, score]``, or the ``key_added`` of
        :func:`grn.pp.link_regions`. ``None`` takes what it left in ``uns["links"]`` of the regions; without that only
        regions on promoters count.
    starts
        Transcription starts, by which promoters are told where there are no links: from :func:`grn.genome.starts`, or
        ``"hg38"``, ``"hg19"`` or ``"mm10"``, which are checked against the regions, or ``"auto"``, which tells the
        build.
    min_link, max_p
        What a link has to have, unless the region is on the promoter: where links have p-values, as correlations of
        :func:`grn.pp.link_regions` do, one of at most ``max_p``; else a score of at least ``min_link``, whose default
        is CellOracle's for the co-accessibility of Cicero. Of links by distance with its default decay these are the
        ones within 5600 bases: pass ``min_link=None`` for all. Links without either all count, as do all with both
        ``None``. This is a list of candidates: a q-value would leave out most regions that act.
    upstream, downstream
        Promoter, in bases before and behind a transcription start.
    hits
        ``key_added`` of :func:`grn.pp.scan_motifs`.
    min_score
        Lowest score of a motif in bits, beside the p-value of the scan.
    rna, atac
        Modalities of ``mdata``.
    organism, min_overlap
        As in :func:`grn.pp.base_grn`: organism of the names in motifs and links, and the smallest accepted share of
        genes in common with ``mdata[rna]``. Not read without RNA.

    Returns
    -------
    DataFrame
        As :func:`grn.pp.base_grn` gives it, with evidence ``"motif"``: ``source, target, region``, ``score`` (bits, of
        the best motif of the source in the region), and beside that ``motif`` (its name), ``distance`` (of the region
        from the start of the gene, NaN where the links do not say it), ``promoter`` (whether it is there) and ``link``
        (score of the link, 1 on promoters). One row per triple.

    Raises
    ------
    ResultNotFoundError
        If no motifs have been looked for, or there are no links under that name.
    RegionError
        If there is no hit, no region has a gene, regions are malformed or of another build, or links are no links.
    NetworkError
        If no edge is left.
    GeneOverlapError
        If RNA and the table share too few genes.
    ParameterError, GeneNameError
        If the object or an argument has a wrong type or value.

    Notes
    -----
    The original scans with a threshold that 2 % of random genomic sequences of 200 bases pass and sums up scores of all
    places; here every place has an exact p-value (``pvalue=1e-4`` of the scan is 4 % of random sequences of 200 bases),
    and the best place counts. Cost: one row per triple, no matrix of factors and genes; 100 000 regions, a fifth of
    them on promoters, with 8.7 million hits give two million triples in 5 s and 1.3 GB (``python
    benchmarks/base_grn.py --part regions``).

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=60)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    >>> base = grn.pp.base_grn_from_regions(mdata, starts=mdata.uns["starts"])
    >>> base.columns.tolist()
    ['source', 'target', 'region', 'score', 'motif', 'distance', 'promoter', 'link']
    """
    if min_score is not None:
        checks.number("min_score", min_score, finite=False, note=" or None")
    checks.number("min_overlap", min_overlap, least=0, most=1)
    regions, cells = _modalities(mdata, rna, atac)
    where = f"mdata[{atac!r}]" if regions is not mdata else "adata"
    found, motifs = stored_hits(regions, hits, where=where)
    if not len(found.score):
        raise RegionError(
            f"varm[{hits!r}] of {where} has no hit of a motif that names a factor; scan with a larger pvalue, or say "
            "whose motifs they are: motifs.with_factors({'motif': ['GATA1'], ...})."
        )
    pairs = region_links(
        regions,
        links=links,
        starts=starts,
        upstream=upstream,
        downstream=downstream,
        min_link=min_link,
        max_p=max_p,
    )
    strong = _strong(found, min_score)
    edges = motif_edges(strong, pairs, regions=regions.var_names, motifs=motifs)
    if edges.empty:
        raise RegionError(
            f"none of the {pairs['row'].nunique()} regions with a gene has a hit"
            + ("" if min_score is None else f" of at least min_score={min_score} bits")
            + f"; {len(found.score)} hits are elsewhere. Pass more links, or scan with a larger pvalue."
        )
    facts: dict[str, object] = {
        "evidence": "motif",
        "self_loops": 0,
        "merged": 0,
        "below": len(found.score) - len(strong.score),
        "regions": int(pairs["row"].nunique()),
        "promoters": int(pairs.loc[pairs["promoter"], "row"].nunique()),
    }
    logger.info(
        "%d of %d regions have a gene, %d on its promoter", facts["regions"], regions.n_vars, facts["promoters"]
    )
    return settled(edges, facts, adata=cells, organism=organism, min_overlap=min_overlap)


def _modalities(mdata: Any, rna: str, atac: str) -> tuple[AnnData, AnnData | None]:
    """Regions, and cells with genes if there are any."""
    if isinstance(mdata, AnnData):
        validate(mdata, modality=atac)
        return mdata, None
    if not is_mudata(mdata):
        raise ParameterError(f"mdata has type {type(mdata).__name__}; expected a MuData, or an AnnData of regions.")
    chosen = [modality(mdata, name, argument=argument) for argument, name in (("atac", atac), ("rna", rna))]
    for name, part in zip((atac, rna), chosen, strict=True):
        validate(part, modality=name)
    return chosen[0], chosen[1]


def _strong(hits: FactorHits, min_score: float | None) -> FactorHits:
    if min_score is None:
        return hits
    keep = hits.score >= min_score
    parts = (np.asarray(part)[keep] for part in (hits.factor, hits.region, hits.motif, hits.score))
    return FactorHits(hits.factors, *parts)
