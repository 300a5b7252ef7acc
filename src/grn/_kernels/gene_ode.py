"""A differential equation of genes that regulate each other, fitted to paths of cells, several starts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grn._core.checkpoints import Arrays, States
from grn._core.logging import progress
from grn._kernels.edge_product import Edges
from grn._kernels.ode import Drift, integrate

FITS = ("path", "flow_matching")


class Parameters(NamedTuple):
    """Weights of edges (K, E), bias (K, G) and rate of decay (K, G) of K networks."""

    weights: Tensor
    bias: Tensor
    decay: Tensor


class Standard(NamedTuple):
    """Mean and spread (G,) of expression, in which weights and bias are trained, and decay by its logarithm.

    The equation is the same; but all weights of a target would else move together to make up for its bias.
    """

    mean: Tensor
    spread: Tensor

    def raw(self, at: Parameters, edges: Edges) -> Parameters:
        """What is trained: weights per spread of the source, bias at the mean, logarithm of decay."""
        bias = at.bias + edges.product(at.weights)(self.mean.expand(len(at.bias), 1, -1))[:, 0]
        return Parameters(at.weights * self.spread[edges.source], bias, at.decay.log())

    def natural(self, raw: Parameters, edges: Edges) -> Parameters:
        """The parameters of the equation."""
        weights = raw.weights / self.spread[edges.source]
        bias = raw.bias - edges.product(weights)(self.mean.expand(len(raw.bias), 1, -1))[:, 0]
        return Parameters(weights, bias, raw.decay.exp())


def drift(at: Parameters, edges: Edges) -> Drift:
    """Slopes sigmoid(x W + b) - decay x of expression (K, n, G), whatever the time."""
    product, bias, decay = edges.product(at.weights), at.bias[:, None], at.decay[:, None]
    return lambda _, x: torch.sigmoid(product(x) + bias) - decay * x


@dataclass(frozen=True)
class Solver:
    """How the equation is solved: arguments of :func:`grn._kernels.ode.integrate`."""

    method: str = "rk4"
    step: float = 1.0
    rtol: float = 1e-7
    atol: float = 1e-9

    def __call__(self, slopes: Drift, state: Tensor, times: np.ndarray) -> Tensor:
        """States (T, ...) at times (T,)."""
        step = self.step if self.method == "rk4" else None
        return integrate(slopes, state, times, method=self.method, step=step, rtol=self.rtol, atol=self.atol)


@dataclass(frozen=True)
class Training:
    """How networks are trained.

    Parameters
    ----------
    n_epochs, learning_rate
        Rounds over all paths, and the rate of Adam.
    n_paths
        Paths per step.
    fit
        ``"path"``: the solution from the first cell is compared with all cells of a path. ``"flow_matching"``: from a
        random time to a later one, with the path between its cells taken as straight.
    noise
        Standard deviation of what is added to the states where ``"flow_matching"`` starts.
    whole
        Leave out the paths of a round that do not make up a whole step, as the original does.
    """

    n_epochs: int
    learning_rate: float
    n_paths: int
    fit: str = "path"
    noise: float = 0.0
    whole: bool = False


class Round(NamedTuple):
    """An order of the paths (K, P) for every network, and random numbers (K, P, 2) and seeds (K,) for its steps."""

    order: np.ndarray
    uniform: np.ndarray
    seeds: np.ndarray


class Trained(NamedTuple):
    """Networks, and their mean loss per round (K, n_epochs)."""

    at: Parameters
    losses: np.ndarray


def train(
    values: Tensor,
    paths: Tensor,
    edges: Edges,
    start: Parameters,
    training: Training,
    solver: Solver,
    rounds: Callable[[int], Round],
    standard: Standard | None = None,
    states: States | None = None,
) -> Trained:
    """Fit networks by Adam to paths of cells.

    Parameters
    ----------
    values
        Expression of cells (n, G).
    paths
        Positions of the cells of every path (P, L), at times 0 to L - 1.
    edges
        Which weights there are.
    start
        Where the networks start.
    training, solver
        How.
    rounds
        Order and random numbers of a round.
    standard
        Train in these units; ``None`` trains the parameters of the equation, with decay that may fall below zero.
    states
        Where training goes on after a round, and where its state is kept on the way; networks are one part.

    Returns
    -------
    Trained
        Networks are trained at once and do not see each other.
    """
    begin = start if standard is None else standard.raw(start, edges)
    raw = Parameters(*(part.detach().clone().requires_grad_() for part in begin))

    def natural() -> Parameters:
        return raw if standard is None else standard.natural(raw, edges)

    optimiser = torch.optim.Adam(raw, lr=training.learning_rate)
    loss_of = _path_loss if training.fit == "path" else _flow_loss
    losses: list[Tensor] = []
    if states is not None:
        with states.parts[0].state() as arrays:
            if arrays is not None:
                losses += _restore(arrays, raw, optimiser)
    with torch.enable_grad():
        for epoch in progress(range(training.n_epochs), desc="flecs"):
            if epoch < len(losses):
                continue
            drawn = rounds(epoch)
            order = torch.as_tensor(drawn.order, device=paths.device)
            noise = [torch.Generator().manual_seed(int(seed)) for seed in drawn.seeds]
            told = []
            for chosen in _steps(order, training):
                cells = values[paths[torch.gather(order, 1, chosen)]]  # (K, B, L, G)
                slopes = drift(natural(), edges)
                uniform = torch.as_tensor(drawn.uniform).to(values)
                uniform = torch.stack([of[i] for of, i in zip(uniform, chosen, strict=True)])  # (K, B, 2)
                loss = loss_of(slopes, cells, uniform, noise, training, solver)  # (K,)
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()
                told.append(loss.detach())
            losses.append(torch.stack(told).mean(dim=0))
            if states is not None:
                states.offer([0], lambda _: _state(raw, optimiser, losses))
    at = Parameters(*(part.detach() for part in natural()))
    shape = (training.n_epochs, len(start.bias))
    return Trained(at, np.asarray(torch.stack(losses).cpu() if losses else np.empty(shape)).T)


def _state(raw: Parameters, optimiser: torch.optim.Adam, losses: list[Tensor]) -> Arrays:
    """Where training is, for :func:`_restore`."""
    arrays = {"losses": torch.stack(losses)}
    for name, value in zip(raw._fields, raw, strict=True):
        arrays |= {name: value.detach(), **{f"{name} {what}": of for what, of in optimiser.state[value].items()}}
    return {name: value.cpu().numpy() for name, value in arrays.items()}


@torch.no_grad()
def _restore(arrays: Arrays, raw: Parameters, optimiser: torch.optim.Adam) -> list[Tensor]:
    """Put parameters and the moments of Adam where they were; the losses so far."""
    for name, value in zip(raw._fields, raw, strict=True):
        value.copy_(torch.from_numpy(arrays[name]))
        for what in ("step", "exp_avg", "exp_avg_sq"):
            stored = torch.from_numpy(arrays[f"{name} {what}"])
            optimiser.state[value][what] = stored if what == "step" else stored.to(value)
    return list(torch.from_numpy(arrays["losses"]).to(raw.bias))


def _steps(order: Tensor, training: Training) -> list[Tensor]:
    """Columns of an order that are taken together, the same for all networks (K, B)."""
    n_networks, n_paths = order.shape
    steps = torch.arange(n_paths, device=order.device).split(training.n_paths)
    if training.whole and len(steps) > 1 and len(steps[-1]) < training.n_paths:
        steps = steps[:-1]
    return [step.expand(n_networks, -1) for step in steps]


def _path_loss(
    slopes: Drift, cells: Tensor, uniform: Tensor, noise: list[torch.Generator], training: Training, solver: Solver
) -> Tensor:
    """Mean squared error of the course from the first cell, over all cells of a path."""
    states = solver(slopes, cells[:, :, 0], np.arange(cells.shape[2]))  # (L, K, B, G)
    return (states - cells.permute(2, 0, 1, 3)).square().mean(dim=(0, 2, 3))


def _flow_loss(
    slopes: Drift, cells: Tensor, uniform: Tensor, noise: list[torch.Generator], training: Training, solver: Solver
) -> Tensor:
    """Mean squared error at a random time of the course that starts at an earlier one, near the path."""
    last = cells.shape[2] - 1
    times = uniform.sort(dim=2).values * last  # (K, B, 2)
    first, second = (_between(cells, times[:, :, i]) for i in (0, 1))
    # drawn by the processor, so that every device sees the same
    shift = [torch.randn(part.shape, generator=of) for part, of in zip(first, noise, strict=True)]
    near = first + training.noise * torch.stack(shift).to(first)
    span = (times[:, :, 1] - times[:, :, 0])[:, :, None]  # (K, B, 1)
    # time runs from 0 to 1 for all, in steps that are none longer than the solver's
    unit = replace(solver, step=solver.step / last)
    course = unit(lambda t, x: span * slopes(t, x), near, np.array([0.0, 1.0]))
    return (course[-1] - second).square().mean(dim=(1, 2))


def _between(cells: Tensor, times: Tensor) -> Tensor:
    """Expression (K, B, G) at times (K, B) on straight lines between the cells of paths (K, B, L, G)."""
    left = times.floor().long().clamp(max=cells.shape[2] - 2)
    index = left[:, :, None, None].expand(-1, -1, 1, cells.shape[3])
    before, after = (torch.gather(cells, 2, index + shift)[:, :, 0] for shift in (0, 1))
    share = (times - left)[:, :, None]
    return before + share * (after - before)
