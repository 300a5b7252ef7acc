"""Attention of targets to sources, averaged over real cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grn._core.cluster import each
from grn._core.device import rows_per_batch
from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn._object.values import expression
from grn.methods.draw import draw_cells
from grn.methods.genes import PairGenes, pair_genes, panels
from grn.methods.probes.base_cells import encode
from grn.methods.probes.features import PairFeatures, Request
from grn.models import FoundationModel, Moments, Panel
from grn.models.protocol import need, virtual_cell


def attention(adata, request: Request, *, max_cells: int, seed: int) -> PairFeatures:
    """Attention from target (query) to source (key) per layer and head, mean over cells.

    Cells are drawn by the hash of their names, at most ``max_cells`` per group. Without cells the virtual
    baseline cell is read.
    """
    need(request.model, "attention", "the attention probe")
    genes = pair_genes(adata, request.model, request.sources, request.targets, request.order)
    names, cells = _cells(adata, request, max_cells, seed)
    slot = {row: i for i, row in enumerate(genes.sources)}
    out: np.ndarray | None = None
    m = 0
    work = [(g, part) for part in panels(request.model, genes) for g in range(len(names))]
    tasks = _tasks(request, genes, cells, work)
    found = each(_mean_attention, request.model, None, tasks, client=request.client)
    for (group, (_, src, tgt)), (_, block) in zip(
        progress(work, desc="attention", show=request.show), found, strict=True
    ):
        if out is None:
            m = block.shape[-1]
            out = np.full((adata.n_vars, len(genes.sources), m * len(names)), np.nan, dtype=np.float32)
        out[np.ix_(tgt, [slot[r] for r in src], range(group * m, (group + 1) * m))] = block
    if out is None:
        raise ParameterError("there is no pair of genes to read; pass sources and targets known to the model.")
    out[genes.sources, np.arange(len(genes.sources))] = np.nan
    return PairFeatures(out, genes.sources, np.arange(m, dtype=np.float32), names, genes, "attention")


def _cells(adata, request: Request, max_cells: int, seed: int) -> tuple[tuple[str, ...], list]:
    """Group names and, per group, rows of log-normalised expression with the moments of the data set."""
    if adata.n_obs == 0 and request.groupby is None:
        return ("",), [None]
    values = expression(adata, layer=request.layer, use_raw=request.use_raw, values=request.values)
    reference = Moments(*values.moments())
    drawn = draw_cells(adata, request.groupby, max_cells, seed)
    # all groups at once: a matrix that is stored by genes is then read once
    ends = np.cumsum([len(rows) for rows in drawn.values()])[:-1]
    found = np.split(values.rows(np.concatenate(list(drawn.values()))), ends)
    totals = [values.totals(rows) for rows in drawn.values()]
    return tuple(drawn), [(rows, replace(reference, total=t)) for rows, t in zip(found, totals, strict=True)]


def _step(request: Request, panel: Panel) -> int:
    """Cells whose maps (layers x heads x n x n) fit the memory budget."""
    sizes = getattr(request.model, "sizes", {})
    maps = int(sizes.get("layers", 4)) * int(sizes.get("heads", 2))
    return rows_per_batch(8 * maps * len(panel) ** 2, request.memory_budget, limit=max(1, request.batch(panel) // 4))


def _tasks(request: Request, genes: PairGenes, cells: list, work: list) -> Iterator[tuple[Panel, Tensor, int]]:
    """Panels, the cells (C, n) to read with each, and how many at a time."""
    column = {gene: i for i, gene in enumerate(genes.ids) if gene}
    for group, (panel, _, _) in work:
        if cells[group] is None:
            values = virtual_cell(request.model, panel)[None]
        else:
            rows, reference = cells[group]
            values = encode(request.model, rows, reference, column, panel)
        yield panel, values.cpu(), _step(request, panel)


def _mean_attention(model: FoundationModel, _: Any, task: tuple[Panel, Tensor, int]) -> np.ndarray:
    panel, values, step = task
    total = seen = torch.zeros(())
    with torch.no_grad():
        for part in values.to(getattr(model, "device", values.device)).split(step):
            maps = model.attention(panel, part)[..., panel.tgt_pos, :][..., panel.src_pos]
            # a model of ranks has no attention between genes that a cell does not express
            total = total.to(maps.device) + maps.nan_to_num(0.0).sum(0)
            seen = seen.to(maps.device) + maps.isfinite().sum(0)
    if not total.dim():
        raise ParameterError("a group without cells cannot be read.")
    return (total / seen).flatten(0, 1).permute(1, 2, 0).cpu().numpy()
