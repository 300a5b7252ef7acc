"""Gene embeddings."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from grn._core.docs import document
from grn._core.errors import GeneOverlapError
from grn._core.logging import one_voice
from grn._object.container import check_target, target, validate
from grn.methods.environment import provenance
from grn.methods.probes.embedding import gene_embeddings, pairing
from grn.models import FoundationModel, load
from grn.network.schema import storable
from grn.tl._snippets import SNIPPETS


@one_voice
@document(**SNIPPETS)
def embedding(
    adata: AnnData,
    *,
    model: str | FoundationModel = "mini",
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Gene embeddings of a model; the pair feature E_i + E_j is formed on demand by ``grn.get.embedding``.

    Parameters
    ----------
    %(adata)s
    model
        Foundation model: a name from ``grn.models.available()``, a path, or a model.
    key_added
        Slot of the result; ``"X_" + name of the model`` by default.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``varm[key_added]``
            float32 (n_vars, d); NaN for genes the model does not know.
        ``uns[key_added]``
            Dict: ``unknown`` (genes the model does not know), ``pair`` (``"sum"``, or ``"halves"`` where a model has
            one table for sources and one for targets: the first half of i beside the second of j) and ``params``.

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty.
    GeneOverlapError
        If the model knows none of the genes.
    CapabilityError
        If the model has no embeddings.

    Notes
    -----
    Cost: one look-up per gene. Source: the baseline "Emb" of arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.embedding(adata)
    >>> grn.get.embedding(adata, pairs=[("SPI1", "LYZ")]).shape
    (1, 128)
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    loaded = load(model)
    values = gene_embeddings(adata, loaded)
    known = ~np.isnan(values).all(axis=1)
    if not known.any():
        raise GeneOverlapError(
            f"{loaded.name!r} knows none of the {adata.n_vars} genes; call grn.pp.align_genes(adata) to map the names."
        )
    out = target(adata, copy=copy)
    key = f"X_{loaded.name}" if key_added is None else key_added
    out.varm[key] = values
    out.uns[key] = {
        "unknown": np.asarray(adata.var_names[~known], dtype=str),
        "pair": pairing(loaded),
        "params": storable({"function": "embedding", **provenance(loaded), "n_unknown": int((~known).sum())}),
    }
    return out if copy else None
