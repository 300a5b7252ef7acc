"""scPRINT's own network: attention of mean queries to mean keys over the cells of a group.

Every cell is read with the same genes and its own depth. Queries and keys of each gene are averaged over cells, and
attention is computed once from these means, per layer and head; see Kalfon et al. 2025.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from grn._core import checks
from grn._core.cluster import each
from grn._core.errors import ParameterError
from grn._core.logging import hint, logger, progress
from grn.methods.edges import to_network
from grn.methods.foundation.scprint_heads import MeanProjections, choose_heads, mean_map
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.methods.probes.plan import cells_per_pass
from grn.methods.probes.training_pairs import labelled_pairs
from grn.methods.record import METHODS, Method, Task
from grn.models import Moments, Panel
from grn.network import Network

HEADS = ("mean", "select")


def fit(
    inputs: Inputs,
    *,
    heads: str = "mean",
    labels: pd.DataFrame | None = None,
    max_cells: int = 256,
    max_genes: int | None = None,
    threshold: float | None = None,
) -> Network:
    """Infer a network.

    Parameters
    ----------
    inputs
        Model (scPRINT), genes and cells; one network per group of ``task.groupby``.
    heads
        ``"mean"``: all heads of all layers. ``"select"``: the heads that ``labels`` choose in each group.
    labels
        Known edges for ``heads="select"``: columns ``source`` and ``target`` in ``var_names`` and optionally
        ``label``, 1 or 0; without it every other pair of a labelled source counts as no edge. Do not judge the
        network by edges that chose its heads.
    max_cells
        Cells read per group, drawn by the hash of their names.
    max_genes
        Genes presented together, at most the model's; see Notes.
    threshold
        Attention below counts as 0; ``None`` is 1 / number of genes presented, ``0`` keeps all.

    Notes
    -----
    The genes presented are the sources and targets of the task. If no targets were asked for and all genes are too
    many, the sources stay and the genes of highest mean expression fill the rest, the same for all groups.
    """
    _check(inputs.task, heads, labels, max_cells, max_genes, threshold)
    shown = _present(inputs, max_genes)
    drawn = inputs.drawn(max_cells)
    n_presented = len(shown.panel)
    level = 1.0 / n_presented if threshold is None else float(threshold)
    params: dict[str, object] = {
        "heads": heads,
        "max_cells": max_cells,
        "threshold": level,
        "n_presented": n_presented,
    }
    chosen: dict[str, np.ndarray] = {}
    parts = []
    for group, mean in _read(inputs, shown, drawn):
        use = None if labels is None else _choose(inputs, shown, labels, mean)
        if use is not None:
            n_heads = mean.shape[3]
            chosen[group or "all"] = np.stack([use // n_heads, use % n_heads], axis=1)
        parts.append((group, {"weight": shown.matrix(mean_map(mean, use), level)}))
    _tell(parts, level)
    if chosen:
        params["selected_heads"] = chosen
    return to_network(inputs.names, shown.sources, parts, params=params, signed=False)


@dataclass(frozen=True)
class _Shown:
    """The genes presented: their panel, and where it stands in the object and among the tokens."""

    panel: Panel
    columns: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    n_vars: int
    n_cell: int

    def matrix(self, attention: np.ndarray, level: float) -> np.ndarray:
        """Weights (n_vars, S) from attention (n_cell + n, n_cell + n); NaN for pairs that were not read."""
        out = np.full((self.n_vars, len(self.sources)), np.nan)
        block = attention[self.n_cell + self.panel.tgt_pos.numpy()][:, self.n_cell + self.panel.src_pos.numpy()]
        out[self.targets] = np.where(block < level, 0.0, block)
        out[self.sources, np.arange(len(self.sources))] = np.nan
        return out

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Token of every row of the object as a target (0 where it is none), and of every source."""
        queries = np.zeros(self.n_vars, dtype=np.int64)
        queries[self.targets] = self.n_cell + self.panel.tgt_pos.numpy()
        return queries, self.n_cell + self.panel.src_pos.numpy()


def _present(inputs: Inputs, max_genes: int | None) -> _Shown:
    task, genes = inputs.task, inputs.pairs
    model = task.model
    limit = model.max_genes if max_genes is None else max_genes
    targets = genes.targets
    n = len({*genes.sources, *targets})
    if n > limit and (task.targets is not None or len(genes.sources) > limit):
        raise ParameterError(
            f"{len(genes.sources)} sources and {len(targets)} targets are {n} genes; at most {limit} are presented "
            "together. Pass fewer sources= or targets=, or let scPRINT see more: "
            "grn.models.load(..., params={'max_genes': ...})."
        )
    if n > limit:
        targets = _fill(genes, inputs.expression.moments()[0], limit)
        hint(
            "scprint_attention: %d of %d genes are presented, the sources and those of highest mean expression; pass "
            "targets= to choose",
            limit,
            n,
        )
    ids = genes.ids
    panel = model.panel([ids[r] for r in genes.sources], [ids[r] for r in targets])
    row = {gene: r for r, gene in enumerate(ids) if gene}
    columns = np.array([row[gene] for gene in panel.genes])
    return _Shown(panel, columns, genes.sources, targets, len(inputs.names), model.n_cell_tokens)


def _fill(genes: PairGenes, mean: np.ndarray, limit: int) -> np.ndarray:
    """Targets such that no more than ``limit`` genes are presented, those of highest mean first, ties by name."""
    ranked = sorted(genes.targets.tolist(), key=lambda r: (-mean[r], genes.ids[r]))
    sources = set(genes.sources.tolist())
    others = [r for r in ranked if r not in sources][: limit - len(sources)]
    presented = sources | set(others)
    return np.array([r for r in genes.targets.tolist() if r in presented], dtype=np.int64)


def _read(inputs: Inputs, shown: _Shown, drawn: dict[str, np.ndarray]) -> Iterator[tuple[str, torch.Tensor]]:
    """Mean queries and keys (L, n_cell + n, 2, H, D) of one group after the other."""
    task, values, panel = inputs.task, inputs.expression, shown.panel
    size = cells_per_pass(task, panel)
    nothing = np.zeros(len(panel))

    def cells_of(rows: np.ndarray) -> list[tuple[Tensor, Tensor | None]]:
        parts = []
        for part in (rows[i : i + size] for i in range(0, len(rows), size)):
            total = values.totals(part)
            counts = task.model.encode_cells(
                values.rows(part)[:, shown.columns], panel.genes, reference=Moments(nothing, nothing, total)
            )
            parts.append((counts.cpu(), None if total is None else torch.as_tensor(total, dtype=torch.float32)))
        return parts

    # one bar: over the groups on a cluster, over the cells of every group here
    show, inner = (False, task.show) if task.client is None else (task.show, False)
    results = each(_mean, task.model, (panel, inner), (cells_of(rows) for rows in drawn.values()), client=task.client)
    names = progress(list(drawn), desc="scprint_attention", show=show)
    for group, (_, mean) in zip(names, results, strict=True):
        yield group, mean


def _mean(model, shared: tuple[Panel, bool | None], cells: list[tuple[Tensor, Tensor | None]]) -> Tensor:
    """Mean queries and keys of a group, from counts and depths of its cells, batch by batch."""
    panel, show = shared
    means = MeanProjections()
    with torch.no_grad():
        for counts, depth in progress(cells, desc="scprint_attention", show=show):
            means.add(model.projections(panel, counts, depth=depth))
    return means.mean()


def _tell(parts: list[tuple[str, dict[str, np.ndarray]]], level: float) -> None:
    silent = [group for group, columns in parts if not np.nansum(columns["weight"])]
    if silent:
        logger.warning(
            "scprint_attention: no pair%s reaches the threshold %.3g, so all weights are 0; pass "
            "params={'threshold': 0} to rank them",
            f" of {', '.join(silent)}" if silent[0] else "",
            level,
        )


def _choose(inputs: Inputs, shown: _Shown, labels: pd.DataFrame, mean: torch.Tensor) -> np.ndarray:
    names = inputs.names
    usable = np.zeros((shown.n_vars, len(shown.sources)), dtype=bool)
    usable[shown.targets] = True
    usable[shown.sources, np.arange(len(shown.sources))] = False
    pairs = labelled_pairs(labels, names, names[shown.sources], usable, negatives="all", seed=inputs.task.seed)
    return choose_heads(mean, *shown.places(), pairs)


def _check(task: Task, heads: str, labels: object, max_cells: object, max_genes: object, threshold: object) -> None:
    checks.word("heads", heads, HEADS)
    if (labels is None) == (heads == "select"):
        raise ParameterError(
            "heads='select' needs labels=, a DataFrame with source and target."
            if labels is None
            else f"labels= was given with heads={heads!r}; pass heads='select' to use them."
        )
    checks.integer("max_cells", max_cells, least=1)
    if max_genes is not None:
        most = task.model.max_genes
        more = f": more only if {task.model.name!r} is loaded with params={{'max_genes': ...}}"
        checks.integer("max_genes", max_genes, least=2, most=most, note=more)
    if threshold is not None:
        checks.number("threshold", threshold, least=0, below=1, note=", or None for 1 / number of genes")


METHODS.add(
    "scprint_attention",
    Method(
        "scprint_attention",
        fit,
        "scPRINT's recipe: attention of mean queries to mean keys over the cells of a group",
        signed=False,
        probability=False,
        needs=("model", "cells"),
        reference="Kalfon et al. 2025, doi 10.1038/s41467-025-58699-1",
        family="scprint",
        uses_client=True,
        system="scPRINT",
        year=2025,
        inputs="foundation model, RNA",
        cost="a pass per cell",
        licence="GPL-3.0 (code)",
        page="models/scprint",
    ),
)
