"""A model's own perturbation input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.probes.response import perturbation_response as read_response
from grn.methods.probes.writing import run_probe
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def perturbation_response(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    context: str = "virtual",
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "perturbation_response",
    store: str | Path | None = None,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Response to a perturbation that the model was trained to predict.

    .. math:: e_{ij} = M(v, \text{perturbed } i)_j - M(v)_j

    Only models with an input for perturbations offer it: scGenePT sets the perturbation flag of gene i, LPM replaces
    the control by the intervention on i. What a perturbation does (knock-down, knock-out, activation) is what it did
    in the model's training data; expression values are not changed.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    context
        ``"virtual"``: all genes at the virtual baseline. ``"mean"``: at their mean real expression.
    groupby
        Column of ``obs``; with ``context="mean"`` the response is read at the mean cell of each group.
    %(cells)s
    key_added
        Slot of the result.
    %(far)s
    %(run)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``varm[key_added]``
            float32 (n_vars targets, n_sources, 1), or one entry per group, or per context of ``lpm``, along the last
            axis. NaN for genes the model does not know and on self pairs.
        %(uns)s

    Raises
    ------
    %(raises)s
    %(raises_far)s
    ExpressionError, LayerError, GroupError
        With ``context="mean"``, if the expression values, the layer or the groups cannot be used.

    Notes
    -----
    Cost: n_sources + 1 forward passes per group or context.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> model = grn.models.untrained("scgenept", genes=adata.var_names)
    >>> grn.tl.perturbation_response(adata, model=model, sources=["SPI1"])
    >>> adata.varm["perturbation_response"].shape
    (4, 1, 1)
    """
    inputs = inputs_of(
        adata,
        model=model,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        batch_size=batch_size,
        client=client,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    )
    slots, arguments = {"perturbation_response": key_added}, {"context": context}
    return run_probe(inputs, read_response, slots, arguments=arguments, store=store, copy=copy)
