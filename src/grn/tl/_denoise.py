"""Counts without noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.foundation.cell_writing import write_denoised
from grn.methods.inputs import inputs_of
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def denoise(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel,
    genes: Sequence[str] | None = None,
    depth_factor: float = 4.0,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "denoised",
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Expected counts of cells that are measured more deeply, as scPRINT predicts them.

    With :math:`a_j` the score of gene :math:`j` among the genes :math:`J` shown, :math:`x` the counts of the cell and
    :math:`f` the factor,

    .. math:: \mu_j = f \sum_{k \in J} x_k \; \frac{e^{a_j}}{\sum_{k \in J} e^{a_k}}

    is the mean of the zero-inflated negative binomial distribution, without its zeros. The depth that the model is
    told is :math:`f` times that of the cell.

    Parameters
    ----------
    %(adata)s
    model
        A model with the capability ``"denoise"``: a path, or a model (scPRINT).
    genes
        Genes to show and to denoise (list of ``var_names``); by default all that the model knows or, where these are
        more than it takes, those of highest mean expression. The authors show the most variable ones:
        ``genes=adata.var_names[adata.var["highly_variable"]]``.
    depth_factor
        How much deeper than the cell; 1 for its own depth. The authors take 4.
    %(cells)s
    key_added
        Slot of the result.
    %(run_cells)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``layers[key_added]``
            float32 (n_obs, n_vars); NaN for genes that were not shown, and for cells that express none of them.
        ``uns[key_added]``
            Dict: ``genes`` (those shown), ``unknown`` (genes the model does not know) and ``params`` (every argument,
            the model's name and sha256, the package version).

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty, or two of them stand for one gene of the model.
    GeneOverlapError
        If the model knows none of the genes.
    CapabilityError
        If the model does not denoise; says what it offers.
    ExpressionError, LayerError
        If the values or the layer cannot be used, or no cell expresses a gene that is shown.
    ParameterError
        If an argument is out of its range, ``genes`` are more than the model takes, or the layer is larger than
        ``grn.settings.feature_budget``.

    Notes
    -----
    Kalfon et al. 2025, doi 10.1038/s41467-025-58699-1. Means of one cell depend on which genes are shown with them:
    do not mix calls. Pass counts: from log-normalised values a cell counts as one of 10 000. Cost: a pass over the
    genes per cell; memory for a dense layer of float32.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=20, n_regulators=3, n_targets=8)
    >>> ids = [gene for gene in grn.pp.align_genes(adata, copy=True).var["grn_ensembl"] if gene]
    >>> model = grn.models.untrained("scprint", genes=ids)
    >>> grn.tl.denoise(adata, model=model)
    >>> adata.layers["denoised"].shape == adata.shape
    True
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
    return write_denoised(inputs, genes=genes, depth_factor=depth_factor, key=key_added, copy=copy)
