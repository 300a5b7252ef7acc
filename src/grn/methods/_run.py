"""Running a plan: here or on a cluster, into memory or into a store."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from grn._core.logging import progress
from grn.methods._plan import Plan, Unit

Cubes = dict[str, np.ndarray]


class Sink(Protocol):
    """Where the numbers of finished units go."""

    def done(self, unit: Unit) -> bool:
        """Whether the unit was finished before."""

    def write(self, unit: Unit, cubes: Cubes) -> None:
        """Keep the features (n_vars, s, M) of a unit."""


class ArraySink:
    """Cubes in memory, sources in the order asked for.

    Parameters
    ----------
    plan
        The work; its size is that of the cubes.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._slot = {row: i for i, row in enumerate(plan.genes.sources)}
        shape = (len(plan.genes.ids), len(plan.genes.sources), plan.n_points * len(plan.cells.names))
        self.cubes = {name: np.full(shape, np.nan, dtype=np.float32) for name in plan.reading.features}

    def done(self, unit: Unit) -> bool:
        """See :class:`Sink`; nothing was."""
        return False

    def write(self, unit: Unit, cubes: Cubes) -> None:
        """See :class:`Sink`."""
        columns = [self._slot[row] for row in self.plan.order[unit.start : unit.stop]]
        m = self.plan.n_points
        for name, block in cubes.items():
            self.cubes[name][:, columns, unit.group * m : (unit.group + 1) * m] = block


def run(plan: Plan, sink: Sink, *, client: Any = None, show: bool | None = None) -> None:
    """Run what the sink does not have yet."""
    sizes = {unit.index: unit.stop - unit.start for unit in plan.units}
    todo = [unit for unit in plan.units if not sink.done(unit)]
    bar = progress(range(sum(sizes[unit.index] for unit in todo)), desc="+".join(plan.reading.features), show=show)
    for unit in todo:
        sink.write(unit, plan.run(unit))
        for _ in range(sizes[unit.index]):
            next(bar, None)
    next(bar, None)
