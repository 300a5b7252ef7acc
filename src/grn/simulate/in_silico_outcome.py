"""What an in-silico perturbation leaves: tables, and numbers per cell or per gene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn.simulate.flagged import Responses, responses
from grn.simulate.in_silico import CellEmbedder, GeneSets, Shifts, shifts_of
from grn.simulate.start_cells import StartCells, States

if TYPE_CHECKING:
    from grn._object.expression import Expression
    from grn.models import Panel


@dataclass(frozen=True)
class Outcome:
    """Results of one call.

    Parameters
    ----------
    tables
        By name: ``effects``, and with a goal ``states``.
    cells
        Numbers per cell (n_obs, sets), float32: shift, and with a goal the shift to it.
    genes
        Predicted changes (n_vars, sets, groups), float32, of a model that is shown flags.
    groups
        Names of the groups, empty without.
    """

    tables: dict[str, pd.DataFrame]
    cells: list[np.ndarray] = field(default_factory=list)
    genes: np.ndarray | None = None
    groups: tuple[str, ...] = ()


def embedded(
    reader: CellEmbedder, sets: GeneSets, cells: StartCells, states: States, mode: str, *, show: bool | None
) -> Outcome:
    """How far embeddings of cells move; see :func:`grn.tl.in_silico_perturbation`."""
    shifts = shifts_of(reader, sets, cells, mode, show=show)
    tables = {"effects": _effects(shifts, sets, states)}
    n_cells = reader.cells.inputs.n_cells
    numbers = [_per_cell(shifts.moved, shifts.rows, n_cells)]
    if states.goal is not None:
        tables["states"] = _states(shifts, sets, cells)
        goal = {group: toward[0] for group, toward in shifts.toward.items()}
        numbers.append(_per_cell(goal, shifts.rows, n_cells))
    return Outcome(tables, numbers, groups=_named(cells))


def flagged(
    model: Any,
    values: Expression,
    sets: GeneSets,
    cells: StartCells,
    batch: Callable[[Panel], int],
    *,
    show: bool | None,
) -> Outcome:
    """What a model predicts of all genes when a set is flagged as perturbed."""
    found = responses(model, values, sets, cells.groups, batch, show=show)
    return Outcome({"effects": _responses(found, sets)}, genes=found.change, groups=_named(cells))


def _named(cells: StartCells) -> tuple[str, ...]:
    return tuple(group for group in cells.groups if group)


def _effects(shifts: Shifts, sets: GeneSets, states: States) -> pd.DataFrame:
    """One row per group and perturbation; those that move cells most, or most towards the goal, first."""
    frames = []
    for group, moved in shifts.moved.items():
        frame = _summary(moved, sets.names)
        frame.insert(2, "n_genes", [len(rows) for rows in sets.rows.values()])
        if states.goal is not None:
            goal = _summary(shifts.toward[group][0], sets.names)
            frame["goal_shift"], frame["goal_sd"] = goal["shift"], goal["sd"]
        if group:
            frame.insert(0, "group", group)
        key = frame["goal_shift" if states.goal is not None else "shift"].to_numpy()
        frames.append(frame.iloc[np.lexsort((frame["perturbation"], -key))])
    return pd.concat(frames, ignore_index=True)


def _states(shifts: Shifts, sets: GeneSets, cells: StartCells) -> pd.DataFrame:
    """One row per group, state and perturbation."""
    frames = []
    for group, toward in shifts.toward.items():
        for state, values in zip(cells.states, toward, strict=True):
            frame = _summary(values, sets.names)
            frame.insert(0, "state", state)
            if group:
                frame.insert(0, "group", group)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _summary(values: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Number of cells, mean and standard deviation of values (sets, cells)."""
    there = np.isfinite(values)
    count = there.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, values, 0.0).sum(axis=1) / count
        squares = np.where(there, np.square(values - mean[:, None]), 0.0).sum(axis=1)
        deviation = np.sqrt(squares / (count - 1))
    deviation[count < 2] = np.nan
    return pd.DataFrame({"perturbation": list(names), "n_cells": count, "shift": mean, "sd": deviation})


def _per_cell(values: dict[str, np.ndarray], rows: dict[str, np.ndarray], n_cells: int) -> np.ndarray:
    """Values (sets, cells) of the groups as a table of all cells (n_cells, sets), float32; NaN for cells not read."""
    n_sets = len(next(iter(values.values())))
    table = np.full((n_cells, n_sets), np.nan, dtype=np.float32)
    for group, own in values.items():
        table[rows[group]] = own.T
    return table


def _responses(found: Responses, sets: GeneSets) -> pd.DataFrame:
    """One row per group and set, with the root mean square of the predicted changes; the largest first."""
    frames = []
    for i, (group, count) in enumerate(found.cells.items()):
        size = np.sqrt(np.nanmean(np.square(found.change[:, :, i].astype(np.float64)), axis=0))
        columns = {
            "perturbation": sets.names,
            "n_cells": count,
            "n_genes": [len(rows) for rows in sets.rows.values()],
            "shift": size,
        }
        frame = pd.DataFrame(columns)
        if group:
            frame.insert(0, "group", group)
        frames.append(frame.iloc[np.lexsort((frame["perturbation"], -size))])
    return pd.concat(frames, ignore_index=True)
