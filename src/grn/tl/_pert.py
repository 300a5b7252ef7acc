"""Zero-out perturbation of the real mean cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.probes import features
from grn.methods.probes.writing import run_probe
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def pert(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "pert",
    store: str | Path | None = None,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""In-silico deletion: what the prediction for j loses when i is silenced in the mean real cell.

    .. math:: e_{ij} = M(\bar x)_j - M(\bar x, g_i \leftarrow 0)_j

    :math:`\bar x` is the mean expression of all cells, or of each group; "silenced" means an expression of zero
    counts, expressed on the model's value scale. Positive values say that i raises j.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    %(order)s
    groupby
        Column of ``obs``: one mean cell per group, in category order.
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
            float32 (n_vars targets, n_sources, 1), or one entry per group along the last axis. NaN for genes the
            model does not know and on self pairs.
        %(uns)s

    Raises
    ------
    %(raises)s
    %(raises_far)s
    ExpressionError, LayerError
        If there are no cells, or the values are scaled, negative or NaN.
    GroupError
        If a group is missing or too small.

    Notes
    -----
    Cost: n_sources + 1 forward passes per group. This is the usual read-out of published models, kept as a
    baseline: the literature finds it little better than chance. A gene that is not expressed in a group has nothing
    to lose there, and its features are 0.

    Source: the baseline "Pert" of arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.pert(adata, sources=["SPI1"], groupby="bulk_labels")
    >>> adata.varm["pert"].shape[-1] == adata.obs["bulk_labels"].nunique()
    True
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
    arguments, params = {"order": order}, {"context": "mean"}
    return run_probe(
        inputs, features.pert, {"pert": key_added}, arguments=arguments, store=store, copy=copy, params=params
    )
