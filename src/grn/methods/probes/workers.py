"""Units of a plan on the workers of a dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from grn._core.cluster import each
from grn.methods.probes.plan import Plan, Unit


def run_units(plan: Plan, units: Sequence[Unit], sink: Any, client: Any) -> Iterator[Unit]:
    """Run units on the workers, and yield every unit as soon as the sink has its numbers.

    Parameters
    ----------
    plan
        The work; sent once to every worker.
    units
        Those to run.
    sink
        Where the numbers go. One with a true attribute ``remote`` is sent along, and workers write to it themselves;
        any other is written to here.
    client
        dask client.
    """
    remote = getattr(sink, "remote", False)
    # the model travels beside the plan, on the CPU
    shared = (replace(plan, model=None), sink if remote else None)  # type: ignore[arg-type]
    with closing(each(_run, plan.model, shared, units, client=client, ordered=False)) as found:
        for unit, cubes in found:
            if not remote:
                sink.write(unit, cubes)
            yield unit


def _run(model: Any, shared: tuple[Plan, Any], unit: Unit) -> Any:
    plan, sink = shared
    cubes = replace(plan, model=model).run(unit)
    if sink is None:
        return cubes
    sink.write(unit, cubes)
    return None
