"""What is read out of a trained neural ODE on a graph: attention, errors without a source, and effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn._core.logging import progress
from grn._kernels.graph_ode import Graph, Parameters
from grn._kernels.graph_ode_fit import Course
from grn._kernels.graph_ode_train import Windows, bytes_per_window

# how far a history is moved up and down, in standard deviations
SHIFT = 0.1


@dataclass(frozen=True)
class Trained:
    """A model and the windows it is read on.

    Parameters
    ----------
    parameters, graph, n_steps
        The model.
    windows
        Histories, and what followed.
    first
        First point of a course that stands for a prediction.
    memory
        Bytes that windows computed together may take.
    """

    parameters: Parameters
    graph: Graph
    n_steps: int
    windows: Windows
    first: int = 1
    memory: int = 512 * 2**20

    def parts(self, histories: Tensor | None = None, graph: Graph | None = None) -> Iterator[tuple[slice, Course]]:
        """Courses of some windows at a time, with other histories or another graph if wanted."""
        values = self.windows.histories if histories is None else histories
        room = max(1, self.memory // bytes_per_window(self.parameters, self.windows, self.n_steps))
        for start in range(0, len(values), room):
            rows = slice(start, min(start + room, len(values)))
            yield rows, Course(self.parameters, graph or self.graph, values[rows], self.n_steps)

    def predictions(self) -> np.ndarray:
        """Values (W, P, G) that follow the histories."""
        parts = [course.values[:, self.first :] for _, course in self.parts()]
        return torch.cat(parts).cpu().numpy()

    def attention(self, edges: tuple[np.ndarray, np.ndarray], evaluation: int) -> np.ndarray:
        """Attention (W, E) of edges, given as targets and sources, at one evaluation of the drift of every window."""
        target, source = (torch.as_tensor(side) for side in edges)
        parts = [course.attention(evaluation)[:, target, source] for _, course in self.parts()]
        return torch.cat(parts).cpu().numpy()


def importance(trained: Trained, sources: np.ndarray) -> np.ndarray:
    """By how much the squared error of every gene grows without a source (G, G), row = target.

    The edges of one source are cut, attention goes to the others of every target, and the courses are computed anew.
    Zero where a gene has no such edge.
    """
    n_genes = trained.windows.histories.shape[2]
    allowed = trained.graph.allowed.cpu().numpy()
    before = _errors(trained, None)
    grown = np.zeros((n_genes, n_genes))
    for source in progress(sources, total=len(sources), desc="importance"):
        without = allowed.copy()
        without[:, source] = False
        graph = Graph(without, trained.parameters.vector)
        grown[:, source] = np.where(allowed[:, source], _errors(trained, graph) - before, 0.0)
    return grown


def effects(trained: Trained, sources: np.ndarray, *, shift: float = SHIFT) -> np.ndarray:
    """Change of the last predicted value of every gene per unit of the history of a source (G, G), row = target.

    A central difference, averaged over windows: the whole history of the source is moved up and down. Paths through
    other genes within the prediction count too.
    """
    histories = trained.windows.histories
    n_genes = histories.shape[2]
    changes = np.zeros((n_genes, n_genes))
    for source in progress(sources, total=len(sources), desc="effects"):
        ends = []
        for amount in (shift, -shift):
            moved = histories.clone()
            moved[:, :, source] += amount
            total = histories.new_zeros(n_genes, dtype=torch.float64)
            for _, course in trained.parts(moved):
                total += course.values[:, -1].double().sum(dim=0)
            ends.append(total.cpu().numpy())
        changes[:, source] = (ends[0] - ends[1]) / (2.0 * shift * len(histories))
    return changes


def _errors(trained: Trained, graph: Graph | None) -> np.ndarray:
    """Mean squared error of every gene (G,)."""
    futures = trained.windows.futures
    total = futures.new_zeros(futures.shape[2], dtype=torch.float64)
    for rows, course in trained.parts(graph=graph):
        apart = course.values[:, trained.first : trained.first + futures.shape[1]] - futures[rows]
        total += apart.square().sum(dim=(0, 1)).double()
    errors: np.ndarray = (total / (len(futures) * futures.shape[1])).cpu().numpy()
    return errors


def free_run(
    parameters: Parameters, graph: Graph, start: Tensor, n: int, n_steps: int, held: Tensor | None = None
) -> Tensor:
    """Values (B, n, G) that follow histories (B, L, G) when the model goes on from what it has said itself.

    Parameters
    ----------
    parameters, graph
        The model.
    start
        Histories.
    n
        Number of points.
    n_steps
        Points that are predicted from one history; then a new one is made of the last L points.
    held
        Values (B, n, G) that genes are held at instead, NaN for genes that are free.
    """
    length, values, moving = start.shape[1], start, None
    if held is not None:
        moving = torch.isnan(held[:, 0]).to(start.dtype)[:, :, None]  # (B, G, 1)
    while values.shape[1] < length + n:
        course = Course(parameters, graph, values[:, -length:], n_steps, moving=moving)
        there = values.shape[1] - length
        new = course.values[:, 1 : 1 + n - there]
        if held is not None:
            fixed = held[:, there : there + new.shape[1]]
            new = torch.where(torch.isnan(fixed), new, fixed)
        values = torch.cat([values, new], dim=1)
    return values[:, length:]
