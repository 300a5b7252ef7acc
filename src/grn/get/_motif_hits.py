"""Which transcription factors have a motif in which regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from grn._core.logging import one_voice
from grn._object.container import check_type
from grn._object.modalities import from_mudata
from grn._object.motif_hits import stored_hits

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@one_voice
@from_mudata
def motif_hits(adata: AnnData | MuData, *, atac: str = "atac", key: str = "motifs") -> pd.DataFrame:
    """List which transcription factor has a motif in which region.

    Parameters
    ----------
    adata
        Object after :func:`grn.pp.scan_motifs`.
    atac
        Modality of the MuData that holds the regions; read only where ``adata`` is one.
    key
        Its ``key_added``.

    Returns
    -------
    DataFrame
        ``source`` (factor), ``region``, ``score`` (bits, of its best motif there), ``motif`` (that one), sorted by
        source, then in the order of the regions of the object. :func:`grn.pp.base_grn_from_regions` makes a base GRN of
        the same hits.

    Raises
    ------
    ResultNotFoundError
        If no motifs have been looked for under that key.
    ParameterError
        If the object has another type.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=20)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    >>> grn.get.motif_hits(mdata["atac"]).columns.tolist()
    ['source', 'region', 'score', 'motif']
    """
    check_type(adata, modality="atac")
    hits, names = stored_hits(adata, key)
    return pd.DataFrame(
        {
            "source": hits.factors[hits.factor],
            "region": adata.var_names.to_numpy(dtype=object)[hits.region],
            "score": hits.score,
            "motif": names[hits.motif],
        }
    )
