"""Virtual value perturbation."""

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
def vvp(
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
    key_added: str = "vvp",
    store: str | Path | None = None,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Virtual value perturbation: what the model predicts for j when i takes other values.

    .. math:: e_{ij}[p] = M(v, g_i \leftarrow v_p)_j - M(v, g_i \leftarrow v_b)_j

    All genes sit at the model's virtual baseline :math:`v_b`, or are unknown to it; the regulator i takes each value
    :math:`v_p` of the grid. No measurement is used, so an object without cells (0 x genes) will do, and the same pair
    of genes among the same genes has the same features in every data set.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    %(order)s
    grid
        Values v_p on the model's value scale (M,); the model's own grid of 8 by default.
    %(background)s
    context
        ``"virtual"``: all genes at v_b. ``"mean"``: the other genes at their mean real expression (needs
        ``background="fixed"``). On a z-score scale, as that of ``mini``, the mean of all cells is the virtual baseline
        itself; groups differ.
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
            float32 (n_vars targets, n_sources, M), or groups x M along the last axis, group-major. NaN for genes
            the model does not know and on self pairs.
        %(uns)s

    Raises
    ------
    %(raises)s
    %(raises_far)s
    ExpressionError, LayerError, GroupError
        With ``context="mean"``, if the expression values, the layer or the groups cannot be used.

    Notes
    -----
    Cost: n_sources x M + 1 forward passes over the panel of sources and targets, per group; n_sources x (M + 1) with
    ``background="unknown"``, which are shorter where a model leaves out what it is not shown. If the panel exceeds
    the model's limit, sources and targets are divided into blocks in the model's vocabulary order and every pair is
    read from the panel of its two blocks. The genes of a panel are the context of every prediction: another choice
    of ``targets`` changes the numbers a little.

    Source: arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.vvp(adata, sources=["SPI1"])
    >>> adata.varm["vvp"].shape
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
    return run_probe(inputs, features.vvp, {"vvp": key_added}, arguments=arguments, store=store, copy=copy)
