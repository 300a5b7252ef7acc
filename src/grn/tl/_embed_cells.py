"""Cell embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.foundation.cell_writing import write_embedding
from grn.methods.inputs import inputs_of
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def embed_cells(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    readout: str | None = None,
    max_genes: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Embeddings of the cells, as the authors of a model read them.

    scGPT: the token of the cell, scaled to length 1. Geneformer: the mean of its genes in the second to last layer.
    GeneCompass: the token of the species. scPRINT: the mean of the tokens of the cell. ``mini``: factor scores, the
    ridge regression of the z-scores :math:`z` of a cell on the embeddings :math:`E` of its genes,

    .. math:: s = (E^\top E + R)^{-1} E^\top z

    Parameters
    ----------
    %(adata)s
    model
        Foundation model: a name from ``grn.models.available()``, a path, or a model with the capability ``"cells"``.
    readout
        Which embedding, one of ``model.cell_readouts``, by default the first: ``"cls"`` (scGPT, GeneCompass, Geneformer
        V2), ``"mean"`` (Geneformer, GeneCompass, scPRINT), ``"factors"`` (``mini``); of scPRINT also ``"classes"``, the
        mean of the tokens of its classes, and the token of one, such as ``"cell_type_ontology_term_id"``.
    max_genes
        Most genes shown of a cell; by default as many as the authors show: 1 199 (scGPT), 2 000 (scPRINT), all that
        fit (Geneformer, GeneCompass, ``mini``). Geneformer and GeneCompass take those of highest rank, scGPT and
        scPRINT those whose names have the smallest hashes, where their authors draw them at random.
    %(cells)s
    key_added
        Slot of the result; by default ``"X_"``, the name of the model and ``"_cells"``.
    %(run_cells)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``obsm[key_added]``
            float32 (n_obs, d); NaN for cells that express no gene the model knows.
        ``uns[key_added]``
            Dict: ``unknown`` (genes the model does not know) and ``params`` (every argument, the model's name and
            sha256, the package version).

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty, or two of them stand for one gene of the model.
    GeneOverlapError
        If the model knows none of the genes.
    CapabilityError
        If the model has no embedding of cells, as scGenePT and LPM; says what it offers.
    ExpressionError, LayerError
        If the values or the layer cannot be used, or no cell expresses a gene that the model knows.
    ParameterError
        If an argument is out of its range.

    Notes
    -----
    A model reads every cell by itself; only the z-scores of ``mini`` are those of all cells of the object. GeneCompass
    and scPRINT take counts: from log-normalised values a cell counts as one of 10 000. Cost: a pass over up to
    ``max_genes`` tokens per cell; memory for ``batch_size`` cells. Sources: the papers and code on the pages of the
    models.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()
    >>> grn.tl.embed_cells(adata)
    >>> adata.obsm["X_mini_cells"].shape
    (700, 128)
    """
    inputs = inputs_of(
        adata,
        model=model,
        layer=layer,
        use_raw=use_raw,
        values=values,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    )
    return write_embedding(inputs, readout=readout, max_genes=max_genes, key=key_added, copy=copy)
