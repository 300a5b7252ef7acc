"""Running a plan: here or on a cluster, into memory or into a store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from grn._core.logging import logger, progress
from grn.methods.probes.plan import Plan, Unit

Cubes = dict[str, np.ndarray]

# seconds from which a run is announced
LONG = 600


class Sink(Protocol):
    """Where the numbers of finished units go; ``remote`` if other processes may write to it and it outlives them."""

    remote: bool

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

    remote = False

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
    """Run what the sink does not have yet; on the workers of a dask cluster if there is a client."""
    checked = progress(plan.units, desc="checking the store", show=show) if sink.remote else plan.units
    todo = [unit for unit in checked if not sink.done(unit)]
    if len(todo) < len(plan.units):
        logger.info("%d of %d parts were finished before", len(plan.units) - len(todo), len(plan.units))
    name, left = "+".join(plan.reading.features), sum(unit.stop - unit.start for unit in todo)
    bar = progress(range(left), desc=name, show=show)
    start = time.perf_counter()
    for i, unit in enumerate(_finished(plan, todo, sink, client)):
        size = unit.stop - unit.start
        left -= size
        if i == 0:
            _tell_time(name, (time.perf_counter() - start) / size * left, left, client, resumes=sink.remote)
        for _ in range(size):
            next(bar, None)
    next(bar, None)


def _finished(plan: Plan, todo: Sequence[Unit], sink: Sink, client: Any) -> Iterator[Unit]:
    """Units as soon as the sink has their numbers."""
    if client is not None:
        from grn.methods.probes.workers import run_units

        yield from run_units(plan, todo, sink, client)
        return
    for unit in todo:
        sink.write(unit, plan.run(unit))
        yield unit


def _tell_time(name: str, seconds: float, left: int, client: Any, *, resumes: bool) -> None:
    """Say how long a long run will take, once its first unit is done, and how it can be interrupted."""
    if client is not None:
        seconds /= max(1, len(client.nthreads()))
    if seconds < LONG:
        return
    how = (
        "if it is interrupted, the same call goes on from the store"
        if resumes
        else "an interruption loses everything, unless features go to a store: grn.tl.probe(adata, store='folder')"
    )
    logger.warning("%s: about %s more for %d regulators and groups; %s", name, duration(seconds), left, how)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.2g} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 72 * 60 else f"{minutes / 60 / 24:.1f} days"
