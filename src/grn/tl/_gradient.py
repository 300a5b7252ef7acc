"""Gradient trajectory."""

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
def gradient_trajectory(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    grid: Sequence[float] | None = None,
    background: str = "fixed",
    context: str = "virtual",
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "gradient_trajectory",
    store: str | Path | None = None,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Gradient trajectory: how steeply the prediction for j follows the value of i, along a path of i.

    .. math:: e_{ij}[t] = \partial M(v, g_i \leftarrow v_t)_j / \partial v_i

    The derivative is exact, by forward-mode automatic differentiation: one dual pass gives all targets of a
    regulator at one point. Finite differences are never used.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    %(order)s
    grid
        Values v_t on the model's value scale (T,); the model's own grid of 8 by default.
    background
        ``"fixed"``: the other genes stay at the baseline while i moves. ``"moving"``: all genes are at v_t.
        ``"unknown"``: the model is shown gene i alone; for models that can be (capability ``"unknown"``), whose pages
        say what that means.
    context
        ``"virtual"``: the baseline is the model's virtual value. ``"mean"``: the mean real cell (needs
        ``background="fixed"``). On a z-score scale, as that of ``mini``, the mean of all cells is the virtual
        baseline itself; groups differ.
    groupby
        Column of ``obs``; with ``context="mean"`` the features are read at the mean cell of each group.
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
            float32 (n_vars targets, n_sources, T), or groups x T along the last axis, group-major. Unit: change of
            the predicted value per unit of the regulator's value. NaN for unknown genes and on self pairs.
        %(uns)s

    Raises
    ------
    %(raises)s
    %(raises_far)s
    ExpressionError, LayerError, GroupError
        With ``context="mean"``, if the expression values, the layer or the groups cannot be used.

    Notes
    -----
    Cost: n_sources x T dual passes, each about three forward passes of a transformer and two of ``mini``; reverse mode
    would take one backward pass per pair and point. Larger panels than the model takes are divided as in
    :func:`grn.tl.vvp`.

    Source: arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.gradient_trajectory(adata, sources=["SPI1"])
    >>> adata.varm["gradient_trajectory"].shape
    (4, 1, 8)
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
    arguments = {"grid": grid, "background": background, "context": context, "order": order}
    params = {"gradient_kind": inputs.task.model.gradient_kind}
    slots = {"gradient_trajectory": key_added}
    probe = features.gradient_trajectory
    return run_probe(inputs, probe, slots, arguments=arguments, store=store, copy=copy, params=params)
