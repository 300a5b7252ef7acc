"""Both probes in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.names import check_key
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
def probe(
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
    key_added: str = "",
    store: str | Path | None = None,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Virtual value perturbation and gradient trajectory on one grid, for the price of the latter.

    A dual pass computes the response beside its derivative, so nothing is done twice. The numbers are those of
    :func:`grn.tl.vvp` and :func:`grn.tl.gradient_trajectory` on the same grid and background.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    %(order)s
    grid
        Values on the model's value scale (K,); the model's gradient grid by default.
    %(background)s
    context
        ``"virtual"``: all other genes at the virtual baseline. ``"mean"``: at their mean real expression (needs
        ``background="fixed"``). On a z-score scale, as that of ``mini``, the mean of all cells is the virtual baseline
        itself; groups differ.
    groupby
        Column of ``obs``; with ``context="mean"`` the features are read at the mean cell of each group.
    %(cells)s
    key_added
        Prefix of the slots ``vvp`` and ``gradient_trajectory``.
    %(far)s
    %(run)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes ``varm`` and ``uns`` under ``key_added + "vvp"`` and
        ``key_added + "gradient_trajectory"``, as the two functions do.

    Raises
    ------
    %(raises)s
    %(raises_far)s
    ExpressionError, LayerError, GroupError
        With ``context="mean"``, if the expression values, the layer or the groups cannot be used.

    Notes
    -----
    Cost: n_sources x K dual passes, each about three forward passes of a transformer and two of ``mini``; with
    ``background="unknown"`` a forward pass for every source besides.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> grn.tl.probe(adata, sources=["SPI1"])
    >>> sorted(adata.varm)
    ['gradient_trajectory', 'vvp']
    """
    if key_added != "":
        check_key(key_added)
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
    slots = {name: key_added + name for name in ("vvp", "gradient_trajectory")}
    arguments = {"grid": grid, "background": background, "context": context, "order": order}
    params = {"gradient_kind": inputs.task.model.gradient_kind}
    return run_probe(inputs, features.both, slots, arguments=arguments, store=store, copy=copy, params=params)
