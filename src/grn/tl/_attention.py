"""Attention probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.inputs import inputs_of
from grn.methods.probes.attention import attention as read_attention
from grn.methods.probes.writing import run_probe
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def attention(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    groupby: str | None = None,
    max_cells: int = 32,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "attention",
    rng: RNGLike = 0,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Attention that target j pays to regulator i, per layer and head, averaged over real cells.

    .. math:: e_{ij}[l, h] = \frac{1}{|C|} \sum_{c \in C} A^{(l, h)}(c)_{ji}

    Row j is the query (the target), column i the key (the source). Without cells (0 x genes) the virtual baseline
    cell is read.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    %(order)s
    groupby
        Column of ``obs``: averages per group, in category order.
    max_cells
        Cells averaged, per group; drawn by the hash of their names, so that their order does not matter.
    %(cells)s
    key_added
        Slot of the result.
    rng
        Seed of the draw of cells.
    %(run)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``varm[key_added]``
            float32 (n_vars targets, n_sources, layers x heads), group-major when grouped; ``grid`` numbers the
            heads. NaN for genes the model does not know and on self pairs.
        %(uns)s

    Raises
    ------
    %(raises)s
    ExpressionError, LayerError, GroupError
        If the expression values, the layer or the groups cannot be used.

    Notes
    -----
    Cost: one pass per cell, with the attention matrices (layers x heads x n x n) held. A baseline: the literature
    finds attention little better than chance at telling regulation.

    Source: the baseline "Attn" of arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> model = grn.models.untrained("scgpt", genes=list(adata.var_names), layers=2, heads=2)
    >>> grn.tl.attention(adata, model=model, sources=["SPI1"], max_cells=4)
    >>> adata.varm["attention"].shape
    (4, 1, 4)
    """
    seed = seed_of(rng)
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
        seed=seed,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
    )
    arguments, params = {"max_cells": max_cells, "order": order}, {"context": "mean", "seed": seed}
    slots = {"attention": key_added}
    return run_probe(inputs, read_attention, slots, arguments=arguments, copy=copy, params=params)
