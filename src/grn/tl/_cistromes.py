"""The regions of every transcription factor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from grn._core.logging import one_voice
from grn._object.modalities import on_regions
from grn.cistromes.cistromes import write_cistromes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


@one_voice
@on_regions
def cistromes(
    adata: AnnData | MuData,
    *,
    atac: str = "atac",
    annotation: str | os.PathLike[str] | pd.DataFrame | None = None,
    inferred: Sequence[str] = ("orthology",),
    min_regions: int = 1,
    key: str = "motif_enrichment",
    key_added: str = "cistromes",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Join the regions in which motifs of a transcription factor are enriched into its cistrome.

    The hits of every enriched motif go to its factors; the cistrome of a factor is their union over motifs, methods and
    sets of regions. Direct cistromes are those of motifs that are annotated to the factor itself. A factor that also
    has motifs which an ortholog or a similar motif brings has an extended cistrome, the union of all its motifs.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions, ``mdata["atac"]``, after :func:`grn.tl.motif_enrichment`.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    annotation
        Factors of motifs: DataFrame ``motif, factor`` and, if some pairs are inferred, ``extended``; or a table of
        cisTarget (``.tbl``, with ``#motif_id``, ``gene_name``, ``motif_similarity_qvalue``, ``orthologous_identity``,
        ``description``), as a path or a DataFrame. By default the factors of the motifs that were scanned, all direct.
    inferred
        What counts beside direct annotation in a table of cisTarget: ``"orthology"``, ``"similarity"`` (q-value up to
        0.001), both, or nothing (``()``).
    min_regions
        Fewest regions of a cistrome; smaller ones are left out.
    key
        ``key_added`` of the enrichment.
    key_added
        Name of what is written.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        Writes

        ``varm[key_added]``
            regions x cistromes, CSR int8 of 0 and 1.
        ``uns[key_added]["columns"]``
            DataFrame with a row per cistrome: ``source`` (factor), ``extended``, ``n_regions``.
        ``uns[key_added]["motifs"]``
            DataFrame ``set, method, motif, source, extended``: which motif brought what.

        :func:`grn.get.cistromes` makes a table ``source, region, extended`` of it.

    Raises
    ------
    ResultNotFoundError
        If there are no enriched motifs under that key.
    RegionError
        If no motif is enriched, or no cistrome is large enough.
    MotifError
        If the annotation is malformed, or no enriched motif has a factor.
    DataNotFoundError
        If there is no such file.
    GeneNameError
        If names of the object cannot be stored or occur more than once.
    ParameterError
        If the object or another argument has a wrong type or value.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=grn.pp.motifs())
    >>> planted = mdata.uns["planted"]
    >>> sets = {"SPI1": planted.loc[planted["source"] == "SPI1", "region"]}
    >>> grn.tl.motif_enrichment(mdata["atac"], sets=sets)
    >>> grn.tl.cistromes(mdata["atac"])
    >>> "SPI1" in set(grn.get.cistromes(mdata["atac"])["source"])
    True
    """
    return write_cistromes(
        adata,
        annotation=annotation,
        inferred=inferred,
        min_regions=min_regions,
        key=key,
        key_added=key_added,
        copy=copy,
    )
