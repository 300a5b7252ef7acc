"""Gene embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.probes.writing import write_gene_embeddings
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def embedding(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
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
    return write_gene_embeddings(inputs_of(adata, model=model), key=key_added, copy=copy)
