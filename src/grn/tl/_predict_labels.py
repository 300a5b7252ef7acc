"""Labels of cells, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.foundation.cell_writing import write_labels
from grn.methods.inputs import inputs_of
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def predict_labels(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel,
    classes: Sequence[str] | None = None,
    max_genes: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "pred",
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Cell type, disease, assay, ethnicity, sex and organism of every cell, as scPRINT predicts them.

    A classifier reads the token of its class; the probability of a label is the softmax of its score,

    .. math:: p_l = \frac{e^{s_l}}{\sum_k e^{s_k}}

    and the label of highest probability is predicted. Labels are those of the ontologies in the checkpoint
    (``"CL:0000236"``); the groups of labels that it knows besides are not predicted.

    Parameters
    ----------
    %(adata)s
    model
        A model with the capability ``"labels"``: a path, or a model (scPRINT).
    classes
        Classes to predict, from ``model.labels``; all by default. Classes whose labels the checkpoint does not name
        are not among them.
    max_genes
        Most genes shown of a cell, 2 000 by default: those it expresses, then others, by the hash of their names,
        where the authors draw them at random.
    %(cells)s
    key_added
        Start of the names of the results.
    %(run_cells)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes for every class, with ``slot = key_added + "_" + class``,

        ``obs[slot]``
            The predicted label, categorical; missing for cells that express no gene the model knows.
        ``obs[slot + "_probability"]``
            Its probability, float32.
        ``obsm[slot]``
            Probabilities of all labels, float32 (n_obs, labels).
        ``uns[key_added]``
            Dict: ``labels`` (by class, the columns of ``obsm[slot]``), ``unknown`` (genes the model does not know) and
            ``params`` (every argument, the model's name and sha256, the package version).

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty, or two of them stand for one gene of the model.
    GeneOverlapError
        If the model knows none of the genes.
    CapabilityError
        If the model predicts no labels, or its checkpoint names none; says what it offers.
    ExpressionError, LayerError
        If the values or the layer cannot be used, or no cell expresses a gene that the model knows.
    ParameterError
        If an argument is out of its range, or the probabilities are larger than ``grn.settings.feature_budget``.

    Notes
    -----
    Kalfon et al. 2025, doi 10.1038/s41467-025-58699-1. A probability is the model's own, not calibrated on your data.
    Pass counts: from log-normalised values a cell counts as one of 10 000. Cost: a pass over up to ``max_genes``
    tokens per cell.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:20, :50].copy()
    >>> ids = [gene for gene in grn.pp.align_genes(adata, copy=True).var["grn_ensembl"] if gene]
    >>> model = grn.models.untrained("scprint", genes=ids)
    >>> grn.tl.predict_labels(adata, model=model, classes=["sex_ontology_term_id"])
    >>> adata.obs["pred_sex_ontology_term_id"].cat.categories.tolist()
    ['sex 0', 'sex 1']
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
    return write_labels(inputs, classes=classes, max_genes=max_genes, key=key_added, copy=copy)
