"""Attention of targets to sources, averaged over real cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grn._core.cluster import each
from grn._core.device import rows_per_batch
from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn.methods.genes import PairGenes, panels
from grn.methods.inputs import Inputs
from grn.methods.probes.base_cells import encode
from grn.methods.probes.features import PairFeatures
from grn.methods.probes.plan import cells_per_pass
from grn.methods.record import Task
from grn.models import FoundationModel, Moments, Panel
from grn.models.protocol import need, virtual_cell


def attention(inputs: Inputs, *, max_cells: int, order: Sequence[str] | None = None) -> PairFeatures:
    """Attention from target (query) to source (key) per layer and head, mean over cells.

    Cells are drawn by the hash of their names, at most ``max_cells`` per group. Without cells the virtual
    baseline cell is read.
    """
    task = inputs.task
    need(task.model, "attention", "the attention probe")
    genes = inputs.pairs_in(order)
    names, cells = _cells(inputs, max_cells)
    slot = {row: i for i, row in enumerate(genes.sources)}
    cube: np.ndarray | None = None
    m = 0
    work = [(g, part) for part in panels(task.model, genes) for g in range(len(names))]
    readings = each(_mean_attention, task.model, None, _readings(task, genes, cells, work), client=task.client)
    for (group, (_, src, tgt)), (_, maps) in zip(
        progress(work, desc="attention", show=task.show), readings, strict=True
    ):
        if cube is None:
            m = maps.shape[-1]
            cube = np.full((len(inputs.names), len(genes.sources), m * len(names)), np.nan, dtype=np.float32)
        cube[np.ix_(tgt, [slot[r] for r in src], range(group * m, (group + 1) * m))] = maps
    if cube is None:
        raise ParameterError("there is no pair of genes to read; pass sources and targets known to the model.")
    cube[genes.sources, np.arange(len(genes.sources))] = np.nan
    return PairFeatures(cube, genes.sources, np.arange(m, dtype=np.float32), names, genes, "attention")


def _cells(inputs: Inputs, max_cells: int) -> tuple[tuple[str, ...], list]:
    """Group names and, per group, rows of log-normalised expression with the moments of the data set."""
    if inputs.n_cells == 0 and inputs.task.groupby is None:
        return ("",), [None]
    values = inputs.expression
    reference = Moments(*values.moments())
    drawn = inputs.drawn(max_cells)
    # all groups at once: a matrix that is stored by genes is then read once
    ends = np.cumsum([len(rows) for rows in drawn.values()])[:-1]
    blocks = np.split(values.rows(np.concatenate(list(drawn.values()))), ends)  # (cells of the group, n_vars) each
    depths = [values.totals(rows) for rows in drawn.values()]
    return tuple(drawn), [(X, replace(reference, total=depth)) for X, depth in zip(blocks, depths, strict=True)]


def _step(task: Task, panel: Panel) -> int:
    """Cells whose maps (layers x heads x n x n) fit the memory budget."""
    sizes = getattr(task.model, "sizes", {})
    maps = int(sizes.get("layers", 4)) * int(sizes.get("heads", 2))
    limit = max(1, cells_per_pass(task, panel) // 4)
    return rows_per_batch(8 * maps * len(panel) ** 2, task.memory_budget, limit=limit)


def _readings(task: Task, genes: PairGenes, cells: list, work: list) -> Iterator[tuple[Panel, Tensor, int]]:
    """Panels, the cells (C, n) to read with each, and how many at a time."""
    column = {gene: i for i, gene in enumerate(genes.ids) if gene}
    for group, (panel, _, _) in work:
        if cells[group] is None:
            values = virtual_cell(task.model, panel)[None]
        else:
            X, reference = cells[group]
            values = encode(task.model, X, reference, column, panel)
        yield panel, values.cpu(), _step(task, panel)


def _mean_attention(model: FoundationModel, _: Any, reading: tuple[Panel, Tensor, int]) -> np.ndarray:
    panel, values, step = reading
    total = seen = torch.zeros(())
    with torch.no_grad():
        for part in values.to(getattr(model, "device", values.device)).split(step):
            maps = model.attention(panel, part)[..., panel.tgt_pos, :][..., panel.src_pos]
            # a model of ranks has no attention between genes that a cell does not express
            total = total.to(maps.device) + maps.nan_to_num(0.0).sum(0)
            seen = seen.to(maps.device) + maps.isfinite().sum(0)
    if not total.dim():
        raise ParameterError("a group without cells cannot be read.")
    # (L, H, T, S) -> (T, S, L * H)
    return (total / seen).flatten(0, 1).permute(1, 2, 0).cpu().numpy()
