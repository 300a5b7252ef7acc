"""An in-silico perturbation: what was asked for, and the tables and numbers per cell or per gene that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.errors import ParameterError
from grn._core.names import check_key
from grn._object.container import check_target, target, validate
from grn._object.expression import reads_of
from grn.methods.foundation.cell_readings import shown_cells
from grn.methods.inputs import Inputs, inputs_of
from grn.methods.probes.plan import cells_per_pass
from grn.methods.provenance import provenance
from grn.models import FoundationModel
from grn.models.protocol import PERTURBATIONS, need
from grn.network.schema import storable
from grn.simulate.flagged import Responses, responses
from grn.simulate.in_silico import CellEmbedder, GeneSets, Shifts, sets_of, shifts_of
from grn.simulate.start_cells import StartCells, States, start_cells, states_of

if TYPE_CHECKING:
    from anndata import AnnData

    from grn._object.expression import Expression
    from grn.models import Panel

KIND = "in_silico_perturbation"


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


@dataclass(frozen=True, kw_only=True)
class InSilicoPerturbation:
    """What is asked for; :func:`grn.tl.in_silico_perturbation` says what every field means."""

    model: str | FoundationModel
    genes: Sequence[str | Sequence[str]] | None
    mode: str
    state_key: str | None
    start_state: str | None
    goal_state: str | None
    alt_states: Sequence[str] | None
    groupby: str | None
    max_cells: int | None
    readout: str | None
    max_genes: int | None
    layer: str | None
    use_raw: bool
    values: str
    cells_added: str | None
    key_added: str
    seed: int
    batch_size: int | None
    device: str
    n_jobs: int | None
    progress: bool | None

    def write(self, adata: AnnData, *, copy: bool) -> AnnData | None:
        """Perturb cells of an object and write what the model says, into it or into a copy."""
        checks.word("mode", self.mode, (*PERTURBATIONS, "flag"))
        validate(adata)
        check_target(adata, copy=copy, key=self.key_added)
        if self.cells_added is not None:
            check_key(self.cells_added, "cells_added")
        states = states_of(self.state_key, self.start_state, self.goal_state, self.alt_states)
        if self.mode == "flag":
            self._check_flag()
        inputs = self._inputs(adata)
        task = inputs.task
        if self.mode != "flag":
            need(task.model, "cells", f"in_silico_perturbation(mode={self.mode!r})")
        sets = sets_of(adata, task.model, self.genes)
        cells = start_cells(adata, states, self.groupby, self.max_cells, self.seed)
        with torch_threads(task.n_jobs), reads_of() as reads:
            if self.mode == "flag":
                size = partial(cells_per_pass, task)
                outcome = flagged(task.model, inputs.expression, sets, cells, size, show=task.show)
            else:
                reader = CellEmbedder(shown_cells(inputs, max_genes=self.max_genes), self.readout)
                outcome = embedded(reader, sets, cells, states, self.mode, show=task.show)
        out = target(adata, copy=copy)
        given = {name: value for name, value in vars(self).items() if name not in ("model", "seed")}
        params = {**given, **reads.told, **provenance(task.model), "rng": self.seed}
        params["genes"] = None if self.genes is None else sets.names
        self._store(out, outcome, sets.names, params)
        return out if copy else None

    def _check_flag(self) -> None:
        """Refuse arguments about embeddings of cells where genes are predicted."""
        names = ("goal_state", "readout", "max_genes", "cells_added")
        given = [name for name in names if getattr(self, name) is not None]
        if given:
            raise ParameterError(
                f"mode='flag' predicts genes and reads no embedding of cells, so {', '.join(given)} means nothing to "
                "it."
            )

    def _inputs(self, adata: AnnData) -> Inputs:
        return inputs_of(
            adata,
            model=self.model,
            groupby=self.groupby,
            layer=self.layer,
            use_raw=self.use_raw,
            values=self.values,
            batch_size=self.batch_size,
            device=self.device,
            n_jobs=self.n_jobs,
            progress=self.progress,
        )

    def _store(self, adata: AnnData, outcome: Outcome, names: list[str], params: Mapping[str, Any]) -> None:
        """Store everything, replacing what an earlier call left under the key."""
        key, earlier = self.key_added, adata.uns.get(self.key_added)
        if isinstance(earlier, Mapping) and earlier.get("kind") == KIND and key in adata.varm:
            del adata.varm[key]
        entry: dict[str, Any] = {"kind": KIND, "perturbations": np.array(names, dtype=str), "params": storable(params)}
        if outcome.groups:
            entry["groups"] = np.array(outcome.groups, dtype=str)
        if outcome.genes is not None:
            adata.varm[key] = outcome.genes
        if self.cells_added is not None:
            for ending, numbers in zip(("", "_goal"), outcome.cells, strict=False):
                adata.obsm[f"{self.cells_added}{ending}"] = numbers
        adata.uns[key] = entry | outcome.tables


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
    predicted = responses(model, values, sets, cells.groups, batch, show=show)
    return Outcome({"effects": _responses(predicted, sets)}, genes=predicted.change, groups=_named(cells))


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
    for group, numbers in values.items():
        table[rows[group]] = numbers.T
    return table


def _responses(predicted: Responses, sets: GeneSets) -> pd.DataFrame:
    """One row per group and set, with the root mean square of the predicted changes; the largest first."""
    frames = []
    for i, (group, count) in enumerate(predicted.cells.items()):
        size = np.sqrt(np.nanmean(np.square(predicted.change[:, :, i].astype(np.float64)), axis=0))
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
