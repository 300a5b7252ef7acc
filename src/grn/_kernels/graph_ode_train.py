"""Training of the neural ODE on a graph by Adam, step by step, with the best epoch kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn._core.checkpoints import Arrays, States
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


class _Training:
    """Adam on the vector of all parameters, its falling rate, and the best vector so far."""

    def __init__(self, vector: Tensor, schedule: Schedule) -> None:
        self.vector, self.dropout = vector, _dropout(schedule)
        self.gradient = torch.zeros_like(vector)
        vector.grad = self.gradient
        self.optimizer = torch.optim.Adam([vector], lr=schedule.rate)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=FACTOR, patience=PATIENCE)
        self.best, self.kept = np.inf, vector.clone()
        self.curve: list[np.ndarray] = []

    def end_epoch(self, means: np.ndarray) -> None:
        """Note the loss, change the rate, and keep the best vector."""
        self.curve.append(means)
        self.plateau.step(float(means[0]))
        if means[0] < self.best:
            self.best = float(means[0])
            self.kept.copy_(self.vector)

    def state(self) -> Arrays:
        """Where training is, for :meth:`restore`."""
        tensors = {"vector": self.vector, "kept": self.kept, **self.optimizer.state[self.vector]}
        if self.dropout is not None:
            tensors["draws"] = self.dropout.generator.get_state()
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        schedule = {name: np.array(value) for name, value in self._schedule().items()}
        return {**arrays, **schedule, "curve": np.array(self.curve), "best": np.array(self.best)}

    def _schedule(self) -> dict[str, float]:
        """What the rate depends on."""
        plateau = self.plateau
        rate = float(self.optimizer.param_groups[0]["lr"])
        return {"rate": rate, "lowest": float(plateau.best), "bad": float(plateau.num_bad_epochs)}

    @torch.no_grad()
    def restore(self, arrays: Arrays) -> None:
        """Go on from a state, before the first epoch."""
        self.vector.copy_(torch.from_numpy(arrays["vector"]))
        self.kept.copy_(torch.from_numpy(arrays["kept"]))
        adam = {name: torch.from_numpy(arrays[name]) for name in ("step", "exp_avg", "exp_avg_sq")}
        moments = {name: value if name == "step" else value.to(self.vector) for name, value in adam.items()}
        self.optimizer.state[self.vector].update(moments)
        self.optimizer.param_groups[0]["lr"] = float(arrays["rate"])
        self.plateau.best, self.plateau.num_bad_epochs = float(arrays["lowest"]), int(arrays["bad"])
        self.best, self.curve = float(arrays["best"]), list(arrays["curve"])
        self.plateau.last_epoch = len(self.curve)
        if self.dropout is not None:
            self.dropout.generator.set_state(torch.from_numpy(arrays["draws"]))


def train(
    parameters: Parameters,
    graph: Graph,
    windows: Windows,
    aims: Aims,
    schedule: Schedule,
    n_steps: int,
    states: States | None = None,
) -> np.ndarray:
    """Train parameters in place, and leave them as they were after the best epoch.

    With ``states`` training goes on after an epoch, and its state is kept on the way.

    Returns
    -------
    ndarray
        Per epoch the loss and its three terms (n_epochs, 4): prediction, cross-entropy with the prior, entropy of
        attention; means over steps.
    """
    vector = parameters.vector
    training = _Training(vector, schedule)
    if states is not None:
        with states.parts[0].state() as arrays:
            if arrays is not None:
                training.restore(arrays)
    size = len(windows) if schedule.batch_size is None else min(schedule.batch_size, len(windows))
    room = max(1, schedule.memory // bytes_per_window(parameters, windows, n_steps))
    for epoch in progress(range(schedule.n_epochs), desc="ritini"):
        if epoch < len(training.curve):
            continue
        steps = []
        for rows in _batches(len(windows), size, schedule, epoch):
            terms, gradient = _step(parameters, graph, windows, aims, rows, room, n_steps, training.dropout)
            training.gradient.copy_(gradient)
            training.optimizer.step()
            steps.append(torch.cat([total(terms, aims)[None], terms]))
        training.end_epoch(torch.stack(steps).double().mean(dim=0).cpu().numpy())
        if states is not None:
            states.offer([0], lambda _: training.state())
    vector.copy_(training.kept)
    vector.grad = None
    return np.array(training.curve).reshape(-1, 4)


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
