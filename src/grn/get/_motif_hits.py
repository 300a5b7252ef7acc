"""Which transcription factors have a motif in which regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core.errors import ResultNotFoundError
from grn._core.logging import one_voice
from grn._object.container import check_type

if TYPE_CHECKING:
    from anndata import AnnData


@one_voice
def motif_hits(adata: AnnData, *, key: str = "motifs") -> pd.DataFrame:
    """List which transcription factor has a motif in which region.

    Parameters
    ----------
    adata
        Object after :func:`grn.pp.scan_motifs`.
    key
        Its ``key_added``.

    Returns
    -------
    DataFrame
        ``source`` (factor), ``region``, ``score`` (bits, of its best motif there), ``motif`` (that one), sorted by
        source, then in the order of the regions of the object. With the genes of a region it is a base GRN:
        ``hits.merge(links, on="region").rename(columns={"gene": "target"})`` goes into :func:`grn.pp.base_grn`.

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
    stored = adata.uns.get(key)
    if key not in adata.varm or not isinstance(stored, Mapping) or "factors" not in stored:
        raise ResultNotFoundError(f"varm[{key!r}] holds no motif hits; call grn.pp.scan_motifs(adata, ...) first.")
    best = adata.varm[key].tocoo()
    names = np.asarray(stored["names"], dtype=object).astype(str)
    hits = pd.DataFrame({"row": best.row, "motif": names[best.col], "score": best.data.astype(np.float64)})
    table = hits.merge(stored["factors"].astype(str), on="motif").rename(columns={"factor": "source"})
    table = table.iloc[np.lexsort([table["motif"], -table["score"], table["row"], table["source"]])]
    table = table.drop_duplicates(["source", "row"])
    return pd.DataFrame(
        {
            "source": table["source"].to_numpy(),
            "region": adata.var_names.to_numpy(dtype=object)[table["row"]],
            "score": table["score"].to_numpy(),
            "motif": table["motif"].to_numpy(),
        }
    )
