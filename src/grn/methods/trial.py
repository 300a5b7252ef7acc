"""How long a method will take on an object, from short trials on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grn._core.errors import GrnError
from grn._core.once import silently
from grn._core.rng import sample_names
from grn.methods.inputs import Inputs
from grn.methods.record import Method
from grn.methods.runner import run

# cells of a trial, and the seconds after which no larger one is made
CELLS, PATIENCE = 500, 1.0


def seconds_of(inputs: Inputs, record: Method, params: Mapping[str, Any]) -> float:
    """Seconds that a method is expected to take; NaN for those whose time follows neither passes nor targets.

    Probes of a model are timed as :func:`grn.tl.estimate_cost` does. Methods that are called group by group and divide
    their work into targets are fitted to some cells, with more and more targets until it takes a second; what another
    target costs, and what is spent whatever their number, make up the time of all, in proportion to the cells.
    """
    try:
        with silently():
            if record.reads_model and not record.family:
                return _of_passes(inputs, record)
            if record.by_group and record.uses_client:
                return _of_targets(inputs, record, params)
    except GrnError:
        return math.nan
    return math.nan


def _of_passes(inputs: Inputs, record: Method) -> float:
    from grn.methods.probes.cost import FEATURES, cost_of  # which loads torch

    features = [name for name in record.features if name in FEATURES]
    if record.columns:
        features = ["gradient_trajectory"]
    if not features:
        return math.nan
    cost = cost_of(inputs, features, grid=None, background="fixed", context="virtual", calibrate=True)
    return cost.seconds


def _of_targets(inputs: Inputs, record: Method, params: Mapping[str, Any]) -> float:
    cells = np.array(sample_names(inputs.cell_names.tolist(), CELLS, inputs.task.seed))
    names = inputs.names[inputs.positions(inputs.task.targets, "targets")]
    drawn = [str(names[at]) for at in sample_names(list(map(str, names)), len(names), inputs.task.seed)]
    sizes = [1, 1, 2]  # the first compiles what is compiled, and does not count
    taken = [_timed(inputs, cells, record, params, drawn[:size]) for size in sizes]
    while taken[-1] < PATIENCE and sizes[-1] < len(drawn):
        sizes.append(min(4 * sizes[-1], len(drawn)))
        taken.append(_timed(inputs, cells, record, params, drawn[: sizes[-1]]))
    each = max((taken[-1] - taken[-2]) / (sizes[-1] - sizes[-2]), 0.0)
    return (taken[-1] + each * (len(drawn) - sizes[-1])) * max(inputs.n_cells / len(cells), 1.0)


def _timed(inputs: Inputs, cells: np.ndarray, record: Method, params: Mapping[str, Any], targets: list[str]) -> float:
    small = inputs.of_cells(cells, replace(inputs.task, model=None, targets=targets, groupby=None))
    began = time.perf_counter()
    run(small, record, params, report=False)
    return time.perf_counter() - began
