"""Training of the neural ODE on a graph by Adam, step by step, with the best epoch kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn._core.logging import progress
from grn._core.rng import child
from grn._kernels.graph_ode import STAGES, Dropout, Graph, Parameters
from grn._kernels.graph_ode_fit import Aims, Course, loss, total

# epochs without improvement after which the rate is halved
PATIENCE, FACTOR = 10, 0.5


@dataclass(frozen=True)
class Windows:
    """Short pieces of series.

    Parameters
    ----------
    histories
        Values (W, L, G) that are given.
    futures
        Values (W, P, G) that are to follow.
    """

    histories: Tensor
    futures: Tensor

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.histories)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Parameters
    ----------
    n_epochs, rate
        Passes over all windows, and the first rate of Adam.
    batch_size
        Windows per step of Adam; ``None`` for all of them.
    dropout
        Share of features and of attention that is left out at every evaluation.
    shuffle
        Draw the order of windows anew in every epoch.
    seed
        Of order and dropout.
    memory
        Bytes that windows computed together may take; steps do not depend on it.
    """

    n_epochs: int = 200
    rate: float = 1e-2
    batch_size: int | None = None
    dropout: float = 0.0
    shuffle: bool = True
    seed: int = 0
    memory: int = 512 * 2**20


def train(
    parameters: Parameters, graph: Graph, windows: Windows, aims: Aims, schedule: Schedule, n_steps: int
) -> np.ndarray:
    """Train parameters in place, and leave them as they were after the best epoch.

    Returns
    -------
    ndarray
        Per epoch the loss and its three terms (n_epochs, 4): prediction, cross-entropy with the prior, entropy of
        attention; means over steps.
    """
    vector = parameters.vector
    vector.grad = torch.zeros_like(vector)
    optimizer = torch.optim.Adam([vector], lr=schedule.rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=FACTOR, patience=PATIENCE)
    dropout = _dropout(schedule)
    size = len(windows) if schedule.batch_size is None else min(schedule.batch_size, len(windows))
    room = max(1, schedule.memory // bytes_per_window(parameters, windows, n_steps))
    curve, best, kept = [], np.inf, vector.clone()
    for epoch in progress(range(schedule.n_epochs), desc="ritini"):
        steps = []
        for rows in _batches(len(windows), size, schedule, epoch):
            terms, gradient = _step(parameters, graph, windows, aims, rows, room, n_steps, dropout)
            vector.grad.copy_(gradient)
            optimizer.step()
            steps.append(torch.cat([total(terms, aims)[None], terms]))
        means = torch.stack(steps).double().mean(dim=0).cpu().numpy()
        curve.append(means)
        plateau.step(float(means[0]))
        if means[0] < best:
            best = float(means[0])
            kept.copy_(vector)
    vector.copy_(kept)
    vector.grad = None
    return np.array(curve).reshape(-1, 4)


def _step(
    parameters: Parameters,
    graph: Graph,
    windows: Windows,
    aims: Aims,
    rows: Tensor,
    room: int,
    n_steps: int,
    dropout: Dropout | None,
) -> tuple[Tensor, Tensor]:
    """Terms of the loss (3,) and gradient of one step, of as many windows at a time as there is room for."""
    terms, gradient = aims.prior.new_zeros(3), torch.zeros_like(parameters.vector)
    for part in torch.split(rows, room):
        course = Course(parameters, graph, windows.histories[part], n_steps, dropout=dropout)
        of_part, to_values, to_attention = loss(course, windows.futures[part], aims, len(rows))
        gradient += course.backward(to_values, to_attention).vector
        terms += of_part
    return terms, gradient


def _dropout(schedule: Schedule) -> Dropout | None:
    if not schedule.dropout:
        return None
    drawn = int(child(schedule.seed, "ritini", "dropout").integers(2**62))
    return Dropout(schedule.dropout, torch.Generator().manual_seed(drawn))


def _batches(n: int, size: int, schedule: Schedule, epoch: int) -> Iterator[Tensor]:
    """Rows of the windows of every step of an epoch."""
    order = np.arange(n)
    if schedule.shuffle and size < n:
        order = child(schedule.seed, "ritini", "order", str(epoch)).permutation(n)
    for start in range(0, n, size):
        yield torch.as_tensor(order[start : start + size])


def bytes_per_window(parameters: Parameters, windows: Windows, n_steps: int) -> int:
    """Bytes that a window takes on its way there and back."""
    n_genes, length = windows.histories.shape[2], windows.histories.shape[1]
    hidden, width = parameters.hidden, parameters.width
    per_evaluation = n_genes * (n_genes + 4 * width + 8 * hidden)
    size = STAGES * n_steps * per_evaluation + n_genes * length * 14 * hidden + 6 * n_genes**2
    return size * parameters.vector.element_size()
