"""Which regions belong to which transcription factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from grn._core.logging import one_voice
from grn._object.cistromes import cistrome_table
from grn._object.container import check_type
from grn._object.modalities import from_mudata

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@from_mudata
def cistromes(adata: AnnData | MuData, *, atac: str = "atac", key: str = "cistromes") -> pd.DataFrame:
    """List the regions of every transcription factor.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are regions, ``mdata["atac"]``, after :func:`grn.tl.cistromes`.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    key
        Its ``key_added``.

    Returns
    -------
    DataFrame
        ``source`` (factor), ``region`` and ``extended``: false for regions of motifs that are annotated to the factor
        itself, true for those of all its motifs, also of those that an ortholog or a similar motif brings. Sorted by
        source, direct ones first, then in the order of the regions of the object.

    Raises
    ------
    ResultNotFoundError
        If there are no cistromes under that key.
    ParameterError
        If the object has another type.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=100)
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=grn.pp.motifs())
    >>> grn.tl.region_sets(mdata["atac"], groupby="group")
    >>> grn.tl.motif_enrichment(mdata["atac"])
    >>> grn.tl.cistromes(mdata["atac"])
    >>> grn.get.cistromes(mdata["atac"]).columns.tolist()
    ['source', 'region', 'extended']
    """
    check_type(adata, modality="atac")
    return cistrome_table(adata, key)
