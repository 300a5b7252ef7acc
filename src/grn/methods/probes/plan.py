"""A probe as independent units of work: a few sources of one group each, the same numbers wherever they run."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass

import numpy as np
import torch

from grn._core import checks
from grn._core.device import rows_per_batch
from grn.methods.genes import PairGenes, strides
from grn.methods.probes.base_cells import BaseCells
from grn.methods.probes.readings import Reading, bytes_per_gene
from grn.methods.record import Task
from grn.models import FoundationModel, Panel

# enough that the pass without a change, one per unit and panel, costs next to nothing; few enough to divide work
SOURCES_PER_UNIT = 16
# more cells make a pass no faster, on two cores from 2 on, and take memory in proportion
_CELLS_PER_PASS = 8


@dataclass(frozen=True)
class Unit:
    """Some sources of one group.

    Parameters
    ----------
    index
        Number of the unit in its plan.
    group
        Number of the group.
    stride
        Which set of panels the sources belong to.
    start, stop
        Where the sources stand in :attr:`Plan.order`.
    """

    index: int
    group: int
    stride: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is needed to run a probe away from the object; it can be pickled.

    Parameters
    ----------
    model, reading, cells, genes
        The model, what is read of it, the base cells, the genes of the object.
    order
        Rows of the object that are sources, in the order of the model's vocabulary (S,).
    strides
        Per set of sources where it starts in ``order`` and its panels, each with the rows of its targets.
    units
        The work.
    batch_size, memory_budget
        Virtual cells per pass, or bytes to decide it from.
    """

    model: FoundationModel
    reading: Reading
    cells: BaseCells
    genes: PairGenes
    order: np.ndarray
    strides: Sequence[tuple[int, Sequence[tuple[Panel, np.ndarray]]]]
    units: Sequence[Unit]
    batch_size: int | None
    memory_budget: int

    @property
    def n_points(self) -> int:
        """Numbers per pair and group, for one feature."""
        return len(self.reading.points)

    def run(self, unit: Unit) -> dict[str, np.ndarray]:
        """Features (n_vars, s, M) float32 of the sources of a unit, by name; NaN where unknown and on self pairs."""
        first, panels = self.strides[unit.stride]
        names, m = self.reading.features, self.n_points
        rows = self.order[unit.start : unit.stop]
        shape = (len(self.genes.ids), len(rows), len(names) * m)
        out = np.full(shape, np.nan, dtype=np.float32)
        with torch.no_grad():
            for panel, targets in panels:
                columns = panel.src_pos[unit.start - first : unit.stop - first]
                batch = batch_of(self.model, panel, self.batch_size, self.memory_budget)
                block = self.reading(self.model, panel, self.cells, unit.group, columns, batch)
                out[targets] = block.transpose(0, 1).cpu().numpy()
        out[rows, np.arange(len(rows))] = np.nan
        return {name: out[:, :, i * m : (i + 1) * m] for i, name in enumerate(names)}


def plan(
    model: FoundationModel,
    reading: Reading,
    cells: BaseCells,
    genes: PairGenes,
    *,
    batch_size: int | None,
    memory_budget: int,
) -> Plan:
    """Divide a probe into units; how depends on the genes, the model and the probe only."""
    check_batch(batch_size)
    order: list[int] = []
    panel_sets: list[tuple[int, list[tuple[Panel, np.ndarray]]]] = []
    units: list[Unit] = []
    for sources, panels in strides(model, genes):
        first = len(order)
        size = _unit_size(model, reading, [panel for panel, _ in panels], len(sources), len(genes.ids))
        for start in range(first, first + len(sources), size):
            stop = min(start + size, first + len(sources))
            units += [Unit(len(units) + g, g, len(panel_sets), start, stop) for g in range(len(cells.names))]
        panel_sets.append((first, panels))
        order += sources.tolist()
    rows = np.array(order, dtype=np.int64)
    return Plan(model, reading, cells, genes, rows, panel_sets, units, batch_size, memory_budget)


def batch_of(
    model: FoundationModel, genes: Sized, batch_size: int | None, memory_budget: int, *, limit: int = _CELLS_PER_PASS
) -> int:
    """Cells, real or virtual, per pass over some genes."""
    if batch_size is not None:
        return min(int(batch_size), _MOST)
    return rows_per_batch(bytes_per_gene(model) * len(genes), memory_budget, limit=limit)


def cells_per_pass(task: Task, genes: Sized) -> int:
    """Cells, real or virtual, that a task reads per pass over some genes."""
    check_batch(task.batch_size)
    return batch_of(task.model, genes, task.batch_size, task.memory_budget)


# torch counts in 64 bits
_MOST = 2**62


def check_batch(batch_size: int | None) -> None:
    """Refuse what is no number of cells."""
    if batch_size is not None:
        # torch counts in 64 bits, and a batch is no larger than what there is
        checks.integer("batch_size", batch_size, least=1, most=None, note=" or None")


def _unit_size(model: FoundationModel, reading: Reading, panels: Sequence[Panel], n_sources: int, n_vars: int) -> int:
    """Sources per unit; a reading may ask for more, where it has all of them from the same passes."""
    asked = getattr(reading, "unit_size", None)
    size: int | None = None if asked is None else asked(model, panels, n_sources, n_vars)
    return SOURCES_PER_UNIT if size is None else size
