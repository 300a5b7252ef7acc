"""Networks from the perturbation flag of scGenePT: what it predicts when regulator i is perturbed.

The model's authors publish no network; they predict expression after a perturbation from that of a control cell. Here
that prediction is made for every regulator and compared with the prediction for no perturbation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn._core.cluster import each
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import progress
from grn.methods.edges import to_network
from grn.methods.genes import panels
from grn.methods.inputs import Inputs
from grn.methods.probes.plan import SOURCES_PER_UNIT, cells_per_pass
from grn.methods.record import METHODS, Method, Task
from grn.models import Panel
from grn.models.scgenept import ScGenePT
from grn.network import Network


def fit(inputs: Inputs, *, control: Mapping[str, str] | None = None, max_cells: int | None = 16) -> Network:
    r"""Mean predicted effect of perturbing the source, over cells.

    .. math:: w_{ij} = \frac{1}{|C|} \sum_{c \in C} M(x_c, f_i = 1)_j - M(x_c, f = 0)_j

    Parameters
    ----------
    inputs
        Model, genes, cells, groups. The genes presented are the sources and targets, those not expressed included.
    control
        Column of ``obs`` and its value for the cells to start from, such as ``{"perturbation": "control"}``; ``None``
        takes all cells.
    max_cells
        Cells averaged, per group; drawn by the hash of their names. ``None`` takes all.

    Returns
    -------
    Network
        Directed and signed. The weight is the change of log expression that follows the perturbation the model was
        trained on: after activation (Norman) a positive weight means that the source raises the target, after
        knock-down (Adamson) that it lowers it.
    """
    task, cells, genes = inputs.task, _drawn(inputs, control, max_cells), inputs.pairs
    slot = {row: i for i, row in enumerate(genes.sources)}
    effects = {group: np.full((len(inputs.names), len(slot)), np.nan, dtype=np.float32) for group in cells}
    parts = panels(task.model, genes)
    places = [(tgt, np.array([slot[row] for row in src])) for _, src, tgt in parts]
    for place in places:
        for effect in effects.values():
            effect[np.ix_(*place)] = 0.0
    shown = [panel for panel, *_ in parts]
    steps = _steps(inputs, shown, cells)
    total = sum(1 for _ in _pieces(task, shown, cells))
    results = each(_changes, task.model, shown, steps, client=task.client)
    for step, changes in progress(results, total=total, desc="scgenept_response", show=task.show):
        tgt, slots = places[step.part]
        effects[step.group][np.ix_(tgt, slots[step.sources])] += changes.T
    columns = []
    for group, effect in effects.items():
        effect /= len(cells[group])
        effect[genes.sources, np.arange(len(slot))] = np.nan
        columns.append((group, {"weight": effect, "sign": np.where(effect == 0, np.nan, np.sign(effect))}))
    params = {"max_cells": max_cells, "control": None if control is None else dict(control)}
    return to_network(inputs.names, genes.sources, columns, params=params, signed=True)


@dataclass(frozen=True, eq=False)
class _Step:
    """Some cells (c, n) of a group, some sources of a panel."""

    group: str
    part: int
    sources: slice
    values: Tensor


def _pieces(
    task: Task, shown: Sequence[Panel], cells: Mapping[str, np.ndarray]
) -> Iterator[tuple[int, str, slice, slice]]:
    """Number of the panel, group, places of cells and of sources; cells change less often than sources."""
    for i, panel in enumerate(shown):
        size = cells_per_pass(task, panel)
        for group, rows in cells.items():
            for start in range(0, len(rows), size):
                for first in range(0, len(panel.src_pos), SOURCES_PER_UNIT):
                    yield i, group, slice(start, start + size), slice(first, first + SOURCES_PER_UNIT)


def _steps(inputs: Inputs, shown: Sequence[Panel], cells: Mapping[str, np.ndarray]) -> Iterator[_Step]:
    task, column = inputs.task, {gene: i for i, gene in enumerate(inputs.pairs.ids) if gene}
    for i, group, part, sources in _pieces(task, shown, cells):
        if sources.start == 0:
            panel = shown[i]
            X = inputs.expression.rows(cells[group][part])[:, [column[gene] for gene in panel.genes]]  # (c, n)
            encoded = task.model.encode_cells(X, panel.genes).cpu()
        yield _Step(group, i, sources, encoded)


def _changes(model: ScGenePT, shown: Sequence[Panel], step: _Step) -> np.ndarray:
    """Response (s, R) to the flag of every source, summed over the cells."""
    panel, values = shown[step.part], step.values.to(model.device)
    with torch.no_grad():
        none = torch.zeros_like(values)
        origin = model.respond_flag(panel, values, none)
        changes = []
        for position in panel.src_pos[step.sources].tolist():
            flags = none.clone()
            flags[:, position] = 1.0
            changes.append((model.respond_flag(panel, values, flags) - origin).sum(0))
    return torch.stack(changes).cpu().numpy()


def _drawn(inputs: Inputs, control: Mapping[str, str] | None, max_cells: int | None) -> dict[str, np.ndarray]:
    """Rows of the cells to start from, by group; every group must have some."""
    drawn = inputs.drawn(max_cells, among=_controls(inputs, control))
    for name, rows in drawn.items():
        if len(rows) == 0 and control is not None:
            where = f"group {name!r} of obs[{inputs.task.groupby!r}]" if name else "the object"
            raise GroupError(f"{where} has no cell with {control!r}; leave such groups out, or pass control=None.")
    return drawn


def _controls(inputs: Inputs, control: Mapping[str, str] | None) -> np.ndarray:
    """Mask of the cells to start from."""
    if control is None:
        return np.ones(inputs.n_cells, dtype=bool)
    if not isinstance(control, Mapping) or len(control) != 1:
        raise ParameterError(
            f"control={control!r}; pass one column of obs and its value: {{'perturbation': 'control'}}."
        )
    ((column, value),) = control.items()
    names, codes = inputs.labels(column)
    return np.array([name == str(value) for name in names])[codes]


METHODS.add(
    "scgenept_response",
    Method(
        "scgenept_response",
        fit,
        "scGenePT: mean predicted effect of perturbing the source",
        signed=True,
        probability=False,
        direction="response",
        needs=("model", "cells"),
        reference="Istrate et al. 2024, doi 10.1101/2024.10.23.619972",
        family="scgenept",
        uses_client=True,
        system="scGenePT",
        year=2024,
        inputs="foundation model, RNA",
        cost="a pass per cell and source",
        licence="MIT (code)",
        page="models/scgenept",
    ),
)
