"""Courses of all genes when some are held at a value: what a fitted model says of knock-outs.

The paper describes interventions, the released program has none: this is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from grn._core.errors import ParameterError
from grn._kernels.graph_ode import Graph, Parameters
from grn._kernels.graph_ode_readings import free_run
from grn.methods.fits import Follow
from grn.methods.knockout import Course, Question


@dataclass(frozen=True)
class Model:
    """A model as it was stored.

    Parameters
    ----------
    parameters, graph
        Weights, and who may act on whom.
    mean, spread
        What values are centred and divided by (G,).
    history, n_steps
        Points of a history, and steps that are predicted from it.
    """

    parameters: Parameters
    graph: Graph
    mean: np.ndarray
    spread: np.ndarray
    history: int
    n_steps: int

    @classmethod
    def of(cls, fit: Mapping[str, Any]) -> Model:
        """The model of a fit."""
        like = torch.zeros(())
        return cls(
            Parameters.of(fit, like),
            Graph(np.asarray(fit["allowed"]), like),
            np.asarray(fit["mean"], dtype=np.float64),
            np.asarray(fit["spread"], dtype=np.float64),
            int(fit["history"]),
            int(fit["n_steps"]),
        )

    def run(self, start: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Values (B, n, G) after histories (B, L, G); genes that are held have values (B, n, G), others NaN."""
        first, fixed = (self._scaled(values) for values in (start, held))
        values = free_run(self.parameters, self.graph, first, held.shape[1], self.n_steps, fixed)
        run: np.ndarray = values.double().numpy() * self.spread + self.mean
        return run

    def _scaled(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor((values - self.mean) / self.spread, dtype=torch.float32)


@torch.no_grad()
def knockout(fit: Mapping[str, Any], params: Mapping[str, Any], question: Question) -> dict[str, Course]:
    """Expression, or its change, along every lineage after knock-outs; see :func:`grn.tl.predict_knockout`.

    The model runs freely from the first history of a lineage, once with the genes of a knock-out held at their observed
    path and once at what is left of it; the difference is added to the path that was observed.
    """
    question.refuse("RiTINI", "max_steps")
    model = Model.of(fit)
    bounds = np.asarray(fit["bounds"], dtype=np.int64)
    names = np.asarray(fit["lineages"], dtype=str)
    courses = {}
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        times, path = (np.asarray(fit[part], dtype=np.float64)[start:end] for part in ("times", "values"))
        change = _changes(model, path, question)  # (K, T, G)
        asked = times if question.times is None else question.times
        _check_times(asked, times, str(name))
        values = change if question.difference else path + change
        courses["" if len(names) == 1 else str(name)] = Course(asked, _between(values, times, asked))
    return courses


def _changes(model: Model, path: np.ndarray, question: Question) -> np.ndarray:
    """Change (K, T, G) of the path of a lineage after every knock-out."""
    length, n_sets = model.history, len(question.sets)
    start = np.repeat(path[None, :length], 2 * n_sets, axis=0)  # (2 K, L, G): controls, then knock-outs
    held = np.full((2 * n_sets, len(path) - length, path.shape[1]), np.nan)
    for k, knocked in enumerate(question.sets):
        for row, share in ((k, 1.0), (n_sets + k, 1.0 - question.dose)):
            start[row][:, knocked] *= share
            held[row][:, knocked] = path[length:, knocked] * share
    run = np.concatenate([start, model.run(start, held)], axis=1)
    change: np.ndarray = run[n_sets:] - run[:n_sets]
    for k, knocked in enumerate(question.sets):
        change[k][:, knocked] = -question.dose * path[:, knocked]
    return change


def _check_times(asked: np.ndarray, times: np.ndarray, lineage: str) -> None:
    outside = asked[(asked < times[0]) | (asked > times[-1])]
    if len(outside):
        raise ParameterError(
            f"times={outside[0]:g} is outside lineage {lineage!r}, which goes from {times[0]:g} to {times[-1]:g}."
        )


def _between(values: np.ndarray, times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Values (K, T, G) at other times, on straight lines between those that are known."""
    right = np.clip(np.searchsorted(times, asked), 1, len(times) - 1)
    share = ((asked - times[right - 1]) / (times[right] - times[right - 1]))[:, None]
    between: np.ndarray = values[:, right - 1] * (1.0 - share) + values[:, right] * share
    return between


def response(fit: Mapping[str, Any], params: Mapping[str, Any], *, steps: int) -> dict[str, Follow]:
    """Change of cells in which genes are held at other values, after some points of the path.

    The history of a cell is the cell itself, at rest.
    """
    model = Model.of(fit)

    @torch.no_grad()
    def follow(values: np.ndarray, genes: np.ndarray, start: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        moved = values.copy()
        moved[:, genes] += start
        ends = []
        for cells in (values, moved):
            history = np.repeat(cells[:, None], model.history, axis=1)
            held = np.full((len(cells), steps, cells.shape[1]), np.nan)
            held[:, :, genes] = cells[:, None, genes]
            ends.append(model.run(history, held)[:, -1])
        change: np.ndarray = ends[1] - ends[0]
        change[:, genes] = start
        return change

    return {"": follow}
