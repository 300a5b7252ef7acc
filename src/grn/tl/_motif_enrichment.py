"""Motifs that are enriched in sets of regions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._core.rng import RNGLike
from grn._object.modalities import on_regions
from grn.cistromes.enrichment import Thresholds, write_enrichment

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_regions
def motif_enrichment(
    adata: AnnData | MuData,
    *,
    atac: str = "atac",
    sets: str | Sequence[str] | Mapping[str, Iterable[str]] | pd.DataFrame = "region_sets",
    method: str | Sequence[str] = ("recovery", "differential"),
    top: float | None = None,
    depth: float = 0.05,
    min_nes: float = 3.0,
    max_qval: float = 0.05,
    min_log2fc: float = 1.0,
    min_score: float = 3.0,
    max_background: int = 500,
    match: Sequence[str] | None = None,
    key: str = "motifs",
    database: str | os.PathLike[str] | None = None,
    overlap: float = 0.4,
    key_added: str = "motif_enrichment",
    rng: RNGLike = 0,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find the motifs that are enriched in sets of regions, and the regions that bear them there.

    Both ways of SCENIC+ (Bravo González-Blas et al. 2023), from the scores of a scan, or from a database. A score below
    0, which says that a word is likelier by chance, counts as none.

    ``"recovery"``: every motif ranks all regions by score. With the place :math:`\rho` of a region, from 0, and the
    first T places, the area under the recovery curve of a set s of n regions and its normalised score are

    .. math:: \mathrm{AUC}_{sm} = \frac{1}{T\,n} \sum_{i \in s} \max(T - \rho_{im}, 0), \qquad
              \mathrm{NES}_{sm} = \frac{\mathrm{AUC}_{sm} - \mathrm{mean}_m}{\mathrm{sd}_m},

    mean and deviation being those over all motifs. Regions with the same score, such as all without a hit, have no
    order: places are expected ones, and nothing is drawn. The hits of an enriched motif are its leading edge, the
    regions of the set down to the place at which its recovery curve is farthest above mean + 2 sd of the curves of all
    motifs.

    ``"differential"``: scores (0 without a hit) of the set against those of background regions outside of it, by a
    two-sided rank-sum test with the rates of Benjamini and Hochberg over motifs; hits are all regions of the set with
    at least ``min_score``. Ratios are those of mean scores, with 0.01 bits added to both.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions, ``mdata["atac"]``, after :func:`grn.pp.scan_motifs`.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    sets
        Entry of ``uns`` that :func:`grn.tl.region_sets` wrote, or a list of entries, whose sets are then called
        ``entry:set``; or a dict from names to lists of regions; or a DataFrame ``set, region``. Regions are compared by
        chromosome, start and end; those that the object lacks are left out, which is said.
    method
        ``"recovery"``, ``"differential"``, or both.
    top
        Share of a ranking over which areas are taken. By default 0.5 %, but no fewer than 500 places, or a tenth of the
        ranking if that is less: the thousand regions of a small object need more than the first five.
    depth
        Share of a ranking that a leading edge may reach; at least ``top``.
    min_nes
        Least normalised score. Of M motifs none exceeds :math:`\sqrt{M - 1}`, so scan many.
    max_qval, min_log2fc
        Largest false discovery rate and least log2 ratio of the differential test.
    min_score
        Least score of a hit of the differential test, in bits.
    max_background
        Number of background regions.
    match
        Columns of ``var`` with numbers, such as GC content (:func:`grn.genome.gc_content`) or the number of cells:
        background regions are drawn with as many in each fifth of the values as the set has. None by default.
    key
        ``key_added`` of the scan; not read where there is a database.
    database
        Path of a cisTarget database of regions instead of a scan, in Feather of version 2: rankings
        (``*.regions_vs_motifs.rankings.feather``; ``"recovery"`` only) or scores (``*.scores.feather``), either way
        round. Sets become those of the regions of the database that overlap them, hits those regions of the object
        that overlap a hit. Rankings are as long as the database is; scores are ranked among the regions that overlap
        the object's. Whose motifs they are :func:`grn.tl.cistromes` reads from ``annotation=``.
    overlap
        Share of the shorter of two regions that both must have, for a database.
    key_added
        Name of what is written.
    rng
        Seed, generator or ``None``: of the background regions, drawn by their names.
    progress
        Show a progress bar; ``None`` asks ``grn.settings.progress``.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        Writes

        ``uns[key_added]["table"]``
            DataFrame with a row per set, method and motif, the enriched ones first: ``set``, ``method``, ``motif``,
            ``factors`` (of the motif), ``enriched``, ``n_hits``; ``auc``, ``nes`` (recovery); ``log2fc``, ``mean``,
            ``background`` (mean scores), ``pval``, ``qval`` (differential).
        ``uns[key_added]["factors"]``
            DataFrame ``motif, factor, extended``.
        ``varm[key_added]``
            hits (regions, rows of the table), CSR of 0 and 1.

    Raises
    ------
    ResultNotFoundError
        If there is no scan, or there are no sets, under these names.
    RegionError
        If names are no regions, a set has none that the object has, or all of them, or no region has a hit.
    MotifError
        If scores are NaN or infinite, or the file is no database of regions.
    DataNotFoundError
        If there is no such file.
    GroupError
        If two sets have one name.
    GeneNameError
        If names of the object cannot be stored or occur more than once.
    ParameterError
        If the object or another argument has a wrong type or value.

    Notes
    -----
    Cost: areas are one product of sparse matrices; leading edges take sets x motifs x the depth of the ranking, in
    blocks (``python benchmarks/motif_enrichment.py``). Regions x motifs stay sparse.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=grn.pp.motifs())
    >>> planted = mdata.uns["planted"]
    >>> sets = {"SPI1": planted.loc[planted["source"] == "SPI1", "region"]}
    >>> grn.tl.motif_enrichment(mdata["atac"], sets=sets)
    >>> table = mdata["atac"].uns["motif_enrichment"]["table"]
    >>> "SPI1" in set(table.loc[table["enriched"], "factors"])
    True
    """
    return write_enrichment(
        adata,
        sets=sets,
        method=method,
        thresholds=Thresholds(top, depth, min_nes, max_qval, min_log2fc, min_score),
        max_background=max_background,
        match=match,
        key=key,
        database=database,
        overlap=overlap,
        key_added=key_added,
        rng=rng,
        show=progress,
        copy=copy,
    )
