"""Motifs of transcription factors, and in which regions of an object they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import RegionError
from grn._core.logging import logger, one_voice
from grn._core.names import check_key
from grn._object.container import check_target, target, validate
from grn._object.modalities import on_regions
from grn.genome import Motifs, Sequences, carry_factors, check_build, jaspar, parse_regions, read_motifs
from grn.genome.scan import GENOMIC, hit_matrices, no_hits, prepare, threshold_pvalues
from grn.genome.sequences import Source, build_of, opened
from grn.genome.tables import BUILDS

if TYPE_CHECKING:
    from mudata import MuData


def motifs(source: str | os.PathLike[str] | Motifs = "jaspar", *, organism: str = "human") -> Motifs:
    """Get motifs whose transcription factors are genes of one organism.

    Parameters
    ----------
    source
        ``"jaspar"`` (JASPAR 2024 CORE of human and mouse, in the package), the path of a file in the format of MEME,
        JASPAR, Homer or cluster-buster, or :class:`grn.genome.Motifs`.
    organism
        ``"human"`` or ``"mouse"``: factors of the other one are carried over by orthologs, as
        :func:`grn.genome.carry_factors` does it. ``"any"`` leaves them as they are, for other organisms.

    Returns
    -------
    Motifs
        Those of the source.

    Raises
    ------
    ParameterError
        If ``organism`` is unknown.
    DataNotFoundError
        If there is no such file.
    MotifError
        If the file is malformed, or no factor is a gene of the organism.

    Examples
    --------
    >>> import grn.pp
    >>> grn.pp.motifs("jaspar")
    Motifs(872 motifs of 743 factors)
    >>> grn.pp.motifs("jaspar", organism="mouse").select(factors=["Gata1"]).names
    ('MA0035.5', 'MA0140.3')
    """
    checks.word("organism", organism, ("human", "mouse", "any"))
    if isinstance(source, str) and source == "jaspar":
        return jaspar(organism)
    collection = source if isinstance(source, Motifs) else read_motifs(source)
    named = any(collection.factors)
    if named and organism != "any":
        collection = carry_factors(collection, organism=organism)
    if not named:
        logger.warning("the motifs name no factors; say whose they are: motifs.with_factors({'motif': ['GATA1'], ...})")
    return collection


@one_voice
@on_regions
def scan_motifs(
    adata: AnnData | MuData,
    *,
    atac: str = "atac",
    sequences: Source | Sequences,
    motifs: Motifs,
    pvalue: float = 1e-4,
    background: Sequence[float] = GENOMIC,
    pseudocount: float = 1.0,
    key_added: str = "motifs",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Find the motifs in all regions of an object.

    A word scores the sum of the log-odds of its bases, in bits, against a background of independent bases. A place is a
    hit of a motif if its score, on either strand, is one that a random word reaches with a chance of at most
    ``pvalue``; the chance is computed exactly, by dynamic programming. Scores are sums of log-odds that were rounded to
    0.01 bits, so that a score of L columns is within :math:`0.005\,L` bits of that without rounding.

    Motifs of six or seven columns, as JASPAR has had them since its flanks were trimmed, may have no word as rare as
    ``pvalue``: then only the best word is a hit (which a hint counts), and ``uns`` tells its chance.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions such as ``chr1:100-600``: ``mdata["atac"]``.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    sequences
        The genome on which regions were called: the path of a FASTA or .2bit file, a dict from chromosomes to bases, or
        :class:`grn.genome.Sequences`. Lower case counts as upper case; words with anything but A, C, G, T are no hit.
    motifs
        From :func:`grn.pp.motifs`.
    pvalue
        Chance at which a random word reaches the threshold on one strand.
    background
        Share of A, C, G and T in random words; both strands are made alike. By default those of the human and mouse
        genome, whatever the regions are, so that the hits of a region do not depend on the others.
    pseudocount
        Further observations per column of a motif, which follow the background.
    key_added
        Name of what is written.
    progress
        Show a progress bar; ``None`` asks ``grn.settings.progress``.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        Writes, sparse (regions, motifs),

        ``varm[key_added]``
            best score of a hit in bits (CSR float32), nothing where there is none.
        ``varm[key_added + "_count"]``
            number of places with a hit (CSR int32).
        ``uns[key_added]``
            ``names``, ``thresholds`` (bits) and ``pvalues`` (their chances) of the motifs, ``factors`` (DataFrame
            ``motif, factor``), ``params``.

        :func:`grn.get.motif_hits` makes a table of it.

    Raises
    ------
    RegionError
        If names are no regions, are not in the sequences, or nothing was found; or if the genome is of one build, by
        the length of its chromosomes, and the regions of another, by :func:`grn.genome.check_build`.
    MotifError
        If ``motifs`` are none, or the background is malformed.
    ParameterError
        If the object or another argument has a wrong type or value.
    GeneNameError
        If names of the object cannot be stored or occur more than once.
    DataNotFoundError
        If there is no such file.
    MissingDependencyError
        If the file needs a package of ``grn[motif]`` that is not installed.

    Notes
    -----
    Cost: 100 000 regions of 500 bases and all 872 motifs take one to two minutes of one core
    (``python benchmarks/motif_scan.py``). Memory is that of the hits and of a million bases.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=20)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    >>> mdata["atac"].varm["motifs"].shape == (mdata["atac"].n_vars, len(motifs))
    True
    """
    validate(adata, modality="atac")
    check_key(key_added)
    check_target(adata, copy=copy, key=key_added)
    prepared = prepare(motifs, pvalue=pvalue, background=background, pseudocount=pseudocount)
    table = parse_regions(adata.var_names)
    with opened(sequences) as source:
        _check_build(table, source)
        best, count = hit_matrices(table, source, prepared, show=progress)
    if not count.nnz:
        raise no_hits(table, motifs, pvalue)
    result = target(adata, copy=copy)
    result.varm[key_added] = best
    result.varm[f"{key_added}_count"] = count
    result.uns[key_added] = {
        "names": np.array(motifs.names, dtype=object),
        "thresholds": prepared.bits(prepared.thresholds),
        "pvalues": threshold_pvalues(prepared),
        "factors": motifs.to_frame().astype("category"),
        "params": {
            "method": "scan_motifs",
            "pvalue": float(pvalue),
            "background": prepared.background,
            "pseudocount": float(pseudocount),
            "n_motifs": len(motifs),
            "n_hits": int(count.sum()),
        },
    }
    logger.info(
        "%d motifs: %d hits in %d of %d regions", len(motifs), count.sum(), (count.getnnz(axis=1) > 0).sum(), len(table)
    )
    return result if copy else None


def _check_build(table: pd.DataFrame, source: Sequences) -> None:
    """Refuse regions of another build than the genome, where both can be told."""
    build = build_of(source)
    if build not in BUILDS:
        return
    try:
        check_build(table, build=build)
    except RegionError as error:
        raise RegionError(f"the genome is {build}, by the length of its chromosomes; {error}") from error
