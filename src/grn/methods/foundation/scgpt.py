"""Networks as the authors of scGPT read them from it: similar gene embeddings, and ranked attention.

Source: Cui et al., Nature Methods 2024, and the tutorials of their repository.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.cluster import each
from grn._core.device import rows_per_batch
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import progress
from grn.methods.edges import to_network
from grn.methods.foundation.scgpt_ranks import mean_ranks
from grn.methods.genes import PairGenes, panels
from grn.methods.inputs import Inputs
from grn.methods.probes.base_cells import refuse_groups
from grn.methods.probes.embedding import gene_embeddings
from grn.methods.probes.plan import cells_per_pass
from grn.methods.record import METHODS, Method, Task
from grn.models import Panel
from grn.models.scgpt import ScGPT
from grn.network import Network

SOURCE = "Cui et al. 2024, doi 10.1038/s41592-024-02201-0"


def fit_embedding(inputs: Inputs, *, threshold: float | None = None) -> Network:
    r"""Cosine similarity of the normed gene embeddings; undirected, without cells.

    .. math:: w_{ij} = \max\Bigl(0, \frac{g_i \cdot g_j}{\|g_i\| \|g_j\|}\Bigr), \quad
        g = \mathrm{LayerNorm}(E)

    Parameters
    ----------
    inputs
        Model and genes. Groups are refused, as no cell is read.
    threshold
        Pairs of a lower cosine are left out; the authors use 0.4 and 0.5. ``None`` keeps all pairs.

    Returns
    -------
    Network
        Unsigned; ``score`` is the cosine itself, which may be negative. A pair of two sources is
        listed both ways.
    """
    if inputs.task.groupby is not None:
        refuse_groups(inputs.task.groupby)
    _check_threshold(threshold)
    genes = inputs.pairs
    table = gene_embeddings(inputs)  # (n_vars, d)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosine = _only_pairs(unit @ unit[genes.sources].T, genes)  # (n_vars, S)
    if threshold is not None:
        cosine[cosine < threshold] = np.nan
    params = {"threshold": threshold}
    columns = {"weight": np.maximum(cosine, 0.0), "score": cosine}
    return to_network(inputs.names, genes.sources, [("", columns)], params=params, signed=False)


def fit_attention(
    inputs: Inputs, *, max_cells: int | None = 32, attention_layer: int = -1, control: str | None = None
) -> Network:
    """Raw attention scores of one layer, ranked within rows, then within columns, averaged over heads and cells.

    Parameters
    ----------
    inputs
        Model, genes, cells, groups. The genes presented are the sources and targets, those not expressed included.
    max_cells
        Cells averaged, per group; drawn by the hash of their names. ``None`` takes all, as the authors do.
    attention_layer
        Layer whose scores are read, counted from 0; -1 is the last.
    control
        Name of a group: the others are compared with it. The weight is then the mean rank of the group minus that of
        the control where it grew, and 0 where it did not; ``score`` is the difference itself.

    Returns
    -------
    Network
        Unsigned: more attention does not say whether the source activates or represses.
    """
    block = _block(inputs.task.model.sizes["layers"], attention_layer)
    reader = _Reader(inputs, block, inputs.drawn(max_cells))
    if control is not None:
        _check_control(control, inputs.task, reader.cells)
    matrices = reader.matrices()
    parts = []
    for group, weight in matrices.items():
        if control is None:
            parts.append((group, {"weight": weight}))
        elif group != control:
            change = weight - matrices[control]
            parts.append((group, {"weight": np.maximum(change, 0.0), "score": change}))
    params = {"max_cells": max_cells, "attention_layer": block, "control": control}
    return to_network(inputs.names, reader.genes.sources, parts, params=params, signed=False)


class _Reader:
    """Reads mean ranks of the pairs asked for, group by group."""

    def __init__(self, inputs: Inputs, block: int, cells: dict[str, np.ndarray]) -> None:
        self.task, self.block, self.cells = inputs.task, block, cells
        self.genes, self.expression = inputs.pairs, inputs.expression
        self.known = np.flatnonzero(self.genes.ids != "")
        self.names = self.genes.ids[self.known].tolist()

    def matrices(self) -> dict[str, np.ndarray]:
        """Mean ranks (n_vars, S) by group; NaN where unknown and on self pairs."""
        slot = {row: i for i, row in enumerate(self.genes.sources)}
        shape = (len(self.genes.ids), len(self.genes.sources))
        out = {group: np.full(shape, np.nan, dtype=np.float32) for group in self.cells}
        parts = [(group, part) for group in self.cells for part in panels(self.task.model, self.genes)]
        sizes = [self._batch(panel) for _, (panel, _, _) in parts]
        work = [
            (i, self.cells[group][start : start + size])
            for i, ((group, _), size) in enumerate(zip(parts, sizes, strict=True))
            for start in range(0, len(self.cells[group]), size)
        ]
        tasks = self._tasks([(parts[i][1][0], rows) for i, rows in work])
        sums = each(_sum_of_ranks, self.task.model, self.block, tasks, client=self.task.client)
        done = zip(progress(work, desc="scgpt_attention", show=self.task.show), sums, strict=True)
        for i, batches in groupby(done, key=lambda pair: pair[0][0]):
            group, (_, src, tgt) = parts[i]
            total = sum(ranks.astype(np.float64) for _, (_, ranks) in batches)
            out[group][np.ix_(tgt, [slot[r] for r in src])] = total / len(self.cells[group])
        return {group: _only_pairs(matrix, self.genes) for group, matrix in out.items()}

    def _tasks(self, work: list[tuple[Panel, np.ndarray]]) -> Iterator[tuple[Panel, Tensor]]:
        """Panels, and the cells (C, n) to read with each."""
        column = {gene: i for i, gene in enumerate(self.names)}
        for panel, rows in work:
            values = self.task.model.encode_cells(self.expression.rows(rows)[:, self.known], self.names)
            yield panel, values[:, [column[gene] for gene in panel.genes]].cpu()

    def _batch(self, panel: Panel) -> int:
        asked = cells_per_pass(self.task, panel)
        if self.task.batch_size is not None:
            return asked
        pair = 40 * (1 + len(panel)) ** 2  # scores of one head, their two orders, the sum over heads
        return rows_per_batch(pair, self.task.memory_budget, limit=asked)


def _sum_of_ranks(model: ScGPT, block: int, batch: tuple[Panel, Tensor]) -> np.ndarray:
    """Ranks (R, S), summed over cells; the cell token is ranked with the genes and left out afterwards."""
    panel, values = batch
    with torch.no_grad():
        ranks = mean_ranks(*model.queries_keys(panel, values, block))[:, 1:, 1:]  # (C, n, n)
        total: np.ndarray = ranks[:, panel.tgt_pos][:, :, panel.src_pos].sum(0).cpu().numpy()
    return total


def _only_pairs(matrix: np.ndarray, genes: PairGenes) -> np.ndarray:
    """The matrix (n_vars, S) with NaN for rows that are no targets and for self pairs."""
    is_target = np.zeros(len(matrix), dtype=bool)
    is_target[genes.targets] = True
    matrix[~is_target] = np.nan
    matrix[genes.sources, np.arange(len(genes.sources))] = np.nan
    return matrix


def _block(n: int, layer: int) -> int:
    return checks.integer("attention_layer", layer, least=-n, most=n - 1, note=", -1 for the last layer") % n


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None:
        checks.number("threshold", threshold, least=-1, most=1, note=", a cosine such as 0.4, or None")


def _check_control(control: str, task: Task, cells: dict[str, np.ndarray]) -> None:
    if task.groupby is None:
        raise ParameterError(f"control={control!r} names a group; pass groupby= as well.")
    if control not in cells or len(cells) < 2:
        raise GroupError(
            f"control={control!r} must be one of at least two groups of obs[{task.groupby!r}]: {', '.join(cells)}."
        )


_RECIPES = (
    Method(
        "scgpt_embedding",
        fit_embedding,
        "scGPT: cosine similarity of gene embeddings, undirected",
        signed=False,
        probability=False,
        needs=("model",),
        reference=SOURCE,
        family="scgpt",
        system="scGPT",
        year=2024,
        inputs="foundation model",
        cost="none",
        licence="MIT (code)",
        page="models/scgpt",
    ),
    Method(
        "scgpt_attention",
        fit_attention,
        "scGPT: attention scores of one layer, ranked by row and column",
        signed=False,
        probability=False,
        needs=("model", "cells"),
        reference=SOURCE,
        family="scgpt",
        uses_client=True,
        system="scGPT",
        year=2024,
        inputs="foundation model, RNA",
        cost="a pass per cell",
        licence="MIT (code)",
        page="models/scgpt",
    ),
)
for _recipe in _RECIPES:
    METHODS.add(_recipe.name, _recipe)
