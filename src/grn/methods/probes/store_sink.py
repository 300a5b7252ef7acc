"""A store as the place where the numbers of finished units go; any number of processes may write to it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grn._core import store
from grn._core.errors import ResultNotFoundError
from grn._core.logging import logger
from grn.methods.probes.base_cells import BaseCells
from grn.methods.probes.plan import Plan, Unit
from grn.methods.probes.readings import background_of

_NAMED = 5


class StoreSink:
    """Features in a folder, see :mod:`grn._core.store`.

    Small enough to travel with every task: what it keeps is the folder and what names the chunks in it. Sources are
    in the order of :attr:`Plan.order`, so that those of a unit stand side by side.

    Parameters
    ----------
    path
        Folder, new or with a store of the same work.
    plan
        The work.
    identity
        What else the numbers depend on, as JSON; ``genes`` (names of the rows of the object) at least.

    Raises
    ------
    ParameterError
        If the folder holds something else, or a store of other work; says what differs.
    """

    remote = True

    def __init__(self, path: str | Path, plan: Plan, identity: Mapping[str, Any]) -> None:
        self.path = Path(path).absolute()
        self.manifest, self.chunk = manifest(plan, identity), sources_per_chunk(plan)
        self.sha256 = store.create(self.path, self.manifest)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "manifest": {}}  # those who write need to know the folder and the chunks only

    def done(self, unit: Unit) -> bool:
        """See ``Sink``; every chunk is read, and what is damaged is told and not done."""
        damage = store.damage(self.path, unit.index, self.manifest, place=(unit.start, unit.stop, unit.group))
        if damage:
            names = self.manifest["sources"][unit.start : unit.stop]
            of = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            logger.warning("%s is damaged in unit %d, of %s (%s); made again", self.path, unit.index, of, damage)
        return damage is None

    def write(self, unit: Unit, cubes: Mapping[str, np.ndarray]) -> None:
        """See :class:`~grn.methods.probes.execution.Sink`: the unit counts as done once its numbers are on the disk."""
        store.write(self.path, unit.index, cubes, start=unit.start, group=unit.group, chunk=self.chunk)

    def finish(self) -> str:
        """Close the store and return the hash of its manifest.

        Raises
        ------
        ResultNotFoundError
            If a unit is missing.
        """
        units = self.manifest["units"]
        lost = [i for i in range(units) if store.unit_of(self.path, i) is None]
        if lost:
            raise ResultNotFoundError(
                f"{len(lost)} of {units} parts of the store {self.path} are missing; run the same call again."
            )
        store.finish(self.path, self.sha256)
        return self.sha256


def manifest(plan: Plan, identity: Mapping[str, Any]) -> dict[str, Any]:
    """All that the numbers of a plan depend on, as JSON."""
    model, names = plan.model, list(identity["genes"])
    return {
        **identity,
        "layout": store.LAYOUT,
        "genes": names,
        "gene_ids": [str(gene) for gene in plan.genes.ids],
        "sources": [names[row] for row in plan.order],
        "groups": list(plan.cells.names),
        "model": model.name,
        "model_sha256": model.sha256,
        "value_scale": model.value_scale.name,
        "baseline": float(model.value_scale.baseline),
        "features": list(plan.reading.features),
        "grid": [float(point) for point in plan.reading.points],
        "background": background_of(plan.reading),
        "base_cells": fingerprint(plan.cells),
        "units": len(plan.units),
        "chunk": sources_per_chunk(plan),
        "work_sha256": _work(plan),
    }


def sources_per_chunk(plan: Plan) -> int:
    """The widest chunk of which every unit is a whole number: a unit, unless a set of panels ends with a short one."""
    starts = math.gcd(*(unit.start for unit in plan.units))
    return starts or max(unit.stop for unit in plan.units)


def fingerprint(cells: BaseCells) -> str:
    """Hash of the measurements behind base cells, ``"virtual"`` without any.

    Rounded to single precision, in which models read them: sums of cells in other blocks differ by less.
    """
    if cells.reference is None:
        return "virtual"
    digest = hashlib.sha256("\n".join(cells.names).encode())
    parts = (cells.reference.mean, cells.reference.std, cells.reference.total, *cells.means, *cells.totals)
    for part in parts:
        digest.update(b"none" if part is None else np.ascontiguousarray(part, dtype="<f4").tobytes())
    return digest.hexdigest()


def _work(plan: Plan) -> str:
    """Hash of the units and of the panels every number is read from."""
    units = [(u.index, u.group, u.stride, u.start, u.stop) for u in plan.units]
    panels = [(first, [(panel.genes, panel.targets) for panel, _ in blocks]) for first, blocks in plan.strides]
    return hashlib.sha256(json.dumps([units, panels]).encode()).hexdigest()
