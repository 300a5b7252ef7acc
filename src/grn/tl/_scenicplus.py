"""SCENIC+: eRegulons from expression, open chromatin and motifs of the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inference import infer
from grn.methods.record import MIN_CELLS_SEEN
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def scenicplus(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    links: str | pd.DataFrame | None = None,
    starts: pd.DataFrame | None = None,
    window: int = 150_000,
    up_to_genes: bool = False,
    cistromes: str | pd.DataFrame | None = None,
    motifs: str | None = "motifs",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    mode: str = "exact",
    max_rounds: int = 5000,
    n_trees: int = 500,
    min_rho: float = 0.05,
    quantiles: Sequence[float] = (0.85, 0.9, 0.95),
    per_gene: Sequence[int] = (5, 10, 15),
    per_region: Sequence[int] = (),
    min_targets: int = 10,
    n_permutations: int = 1000,
    max_cells: int | None = None,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "scenicplus",
    rng: RNGLike = 0,
    client: Any = None,
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Infer eRegulons with SCENIC+: a regulator, the regions it binds and the genes that these tell of.

    1. **Regulators of a gene.** Boosted trees predict a gene from all regulators, as GRNBoost2 does; their importance,
       and Pearson's correlation. Every regulator is also its own first target.
    2. **Regions of a gene.** ``n_trees`` boosted trees predict it from the openness of the regions near it; their
       importance, which sums to 1, and Spearman's correlation.
    3. **Modules.** Links of positive and of negative correlation apart, those are strong that are above a quantile of
       the importances of their gene, or among the largest of it. Of these, a regulator's are links whose region it
       binds.
    4. **Enrichment.** The genes that a regulator correlates with, positively or negatively, ranked by importance
       s: the genes of a module must lie at the top. With places :math:`p_1 < \dots < p_k` among N,

       .. math:: ES = \max_i \Big(\frac{\sum_{j \le i} s_{p_j}}{\sum_j s_{p_j}} - \frac{p_i - i}{N - k}\Big), \qquad
                 NES = \frac{ES}{\text{mean of } ES \text{ of random sets of } k}

       Kept are links to genes up to the maximum, the leading edge, of modules with a positive NES.
    5. **eRegulons.** Modules of a regulator with the same evidence and signs, put together. Triplets are ranked by the
       order statistics of three ranks: importance of the regulator, of the region, and score of the motif.

    Parameters
    ----------
    adata
        MuData with counts or log-normalised expression in ``mdata["rna"]`` and openness of regions of the same cells in
        ``mdata["atac"]``. Whole numbers are log-normalised, all else is taken as it is; metacells or smoothed openness
        tell more than the zeros and ones of single cells.
    rna
        Modality of the MuData that holds the cells and genes.
    atac
        Modality of the MuData that holds open chromatin, whose ``var_names`` are regions such as ``chr1:100-600``.
    links
        Which regions may act on which genes: a table ``region, gene`` and, if known, ``distance``, or a key of
        ``mdata["atac"].uns`` with links of :func:`grn.pp.link_regions`. By default those under ``"links"``, or, if
        ``starts`` is given, all pairs within ``window``.
    starts
        Transcription starts, as :func:`grn.genome.starts` gives them. Not read with ``links``.
    window
        Most bases between a region and the start of a gene, with ``starts``.
    up_to_genes
        Whether the window ends at the next start of another gene, though never within 1000 bases.
    cistromes
        Which regions a regulator binds: a table ``source, region``, with ``extended`` (whether the evidence is that of
        an ortholog or a similar motif) and ``score`` if you have them (a missing one counts as the lowest), or the key
        of those that :func:`grn.tl.cistromes` left with the regions. By default all motif hits.
    motifs
        Key of motif hits in ``mdata["atac"]``, by :func:`grn.pp.scan_motifs`. Not read with ``cistromes``. ``None``,
        for cells without a genome sequence: steps 1 and 2 alone, see below.
    sources
        Regulators (list of ``var_names``); the marked or known ones by default.
    targets
        Targets (list of ``var_names``); all genes by default. Rankings are of these genes: few of them leave little for
        an enrichment.
    groupby
        Column of ``obs``: eRegulons of every group by itself. SCENIC+ is meant for all cells at once, whose
        differences it reads.
    mode
        ``"exact"``: all splits (scikit-learn). ``"fast"``: histograms of 32 bins, many times faster on thousands
        of cells.
    max_rounds
        Most trees of regulators per target; boosting stops when cells out of bag are no longer predicted better.
    n_trees
        Trees of regions per target.
    min_rho
        Smallest absolute correlation of a region or a regulator with a gene.
    quantiles, per_gene, per_region
        What makes a link strong: quantiles of the importances of its gene, numbers of links per gene and per region.
        Each makes a module of its own.
    min_targets
        Fewest targets of a module.
    n_permutations
        Random sets behind NES and p-values.
    max_cells
        Most cells per group that trees see, drawn by name.
    min_cells
        Fewest cells of a group in which a gene must be above zero. 0 for no limit, as with ``parity``.
    parity
        Follow the original program: one seed for all trees, genes, cells and regions in the order of the object and the
        table, openness as stored, and a rule to stop that compares different cells. Exact mode only.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of trees and random sets, keyed by names.
    %(client)s
    n_jobs
        Workers; -1 for all cores. Changes speed only.
    %(cache)s
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into the given one.

    Returns
    -------
    AnnData, MuData or None
        ``None``, or the copy. Writes into ``mdata``

        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` (importance of the regulator, times the sign of its correlation),
            ``sign``, ``region`` (of the best triplet), ``score`` (:math:`-\log_{10} Q` of the order statistic of that
            triplet), ``n_regions``, ``direction``, with ``groupby`` ``group``; without edges of a gene to itself.
        ``uns[key_added]["triplets"]``
            DataFrame ``source, region, target, importance_tf2g, rho_tf2g, importance_r2g, rho_r2g, triplet_rank`` (1 is
            best), ``sign`` (``+/-``: of the regulator, then of the region on the target), ``extended``, ``rules`` (how
            many chose it), ``group``. Self-regulation is listed.
        ``uns[key_added]["modules"]``
            DataFrame ``source, extended, sign, rule, n_links, n_targets, nes, pval, qval, group``.
        ``uns[key_added]["region_gene"]``, ``["tf_region"]``
            All links with ``importance``, ``rho`` and ``distance``; all regions of regulators.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument and numbers of links and triplets; the layout.

        With ``motifs=None`` and no cistromes there are no eRegulons: ``edges`` are the regulators of every gene by step
        1, ``source, target, weight, sign, direction``, as far as they correlate above ``min_rho``, without a region,
        ``region_gene`` is as above, and the other tables are empty.

    Raises
    ------
    RegionError
        If there is no chromatin, no link or no bound region of what is in the object.
    ResultNotFoundError
        If links or motif hits are asked for that are not there.
    CellNameError
        If the modalities have other cells.
    ParameterError
        If an argument is out of its range.
    ExpressionError, LayerError, GroupError, GeneNameError, GeneOverlapError
        If values, groups or genes cannot be used.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    Source: Bravo González-Blas et al. 2023, Nature Methods, doi 10.1038/s41592-023-01938-4. p-values compare with
    random genes and are no error rates of triplets. Cost: trees per target and step; memory the values of one block,
    the stored openness, and the regions of one gene per worker. Nothing depends on the order of genes, regions or
    cells, but with ``parity``.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=80, n_regulators=4, n_targets=16)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    >>> grn.tl.scenicplus(mdata, starts=mdata.uns["starts"], window=60_000, n_trees=20, min_targets=2)
    >>> mdata.uns["scenicplus"]["triplets"].columns[:3].tolist()
    ['source', 'region', 'target']
    """
    params = {
        "links": links,
        "starts": starts,
        "window": window,
        "up_to_genes": up_to_genes,
        "cistromes": cistromes,
        "motifs": motifs,
        "mode": mode,
        "max_rounds": max_rounds,
        "n_trees": n_trees,
        "min_rho": min_rho,
        "quantiles": quantiles,
        "per_gene": per_gene,
        "per_region": per_region,
        "min_targets": min_targets,
        "n_permutations": n_permutations,
        "max_cells": max_cells,
        "min_cells": min_cells,
        "parity": parity,
    }
    return infer(
        adata,
        "scenicplus",
        params=params,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        key=key_added,
        seed=seed_of(rng),
        client=client,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
        copy=copy,
    )
