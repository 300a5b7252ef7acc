"""Small neural networks of many genes, trained at once: regulators and regions in, expression of one gene out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

HIDDEN = (64, 16)
STEPS, RATE, DECAY, PENALTY = 100, 0.01, 0.01, 0.01
# the constants of Adam
_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8


class Activation(NamedTuple):
    """A function in place, and the product of what comes back with its derivative, written in its value, in place."""

    value: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


_BACK = torch.ops.aten
ACTIVATIONS = {
    "relu": Activation(torch.relu_, lambda back, h: _BACK.threshold_backward.grad_input(back, h, 0, grad_input=back)),
    "sigmoid": Activation(torch.sigmoid_, lambda back, h: _BACK.sigmoid_backward.grad_input(back, h, grad_input=back)),
    "tanh": Activation(torch.tanh_, lambda back, h: _BACK.tanh_backward.grad_input(back, h, grad_input=back)),
}


@dataclass(frozen=True)
class Features:
    """What B networks read of n cells: the same p regulators for all, and r columns for each gene.

    Parameters
    ----------
    shared
        Columns of all genes (n, p); p may be 0.
    each
        Columns of each gene (B, n, r), padded with zeros.
    """

    shared: Tensor
    each: Tensor

    @property
    def width(self) -> int:
        """Number of inputs of a network, p + r."""
        return self.shared.shape[1] + self.each.shape[2]

    def cells(self, rows: Tensor) -> Features:
        """The same of some cells."""
        return Features(self.shared[rows], self.each[:, rows])

    def dot(self, weights: Tensor, bias: Tensor, out: Tensor) -> Tensor:
        """Products with weights (B, H, p + r), plus a bias (B, H), into ``out`` (B, n, H)."""
        p = self.shared.shape[1]
        out.copy_(bias[:, None].expand_as(out)).baddbmm_(self.each, weights[:, :, p:].mT)
        return out.baddbmm_(self.shared.expand(len(weights), -1, -1), weights[:, :, :p].mT) if p else out

    def dot_back(self, back: Tensor, out: Tensor) -> None:
        """Products of the columns of ``back`` (B, n, H) with the inputs, into ``out`` (B, H, p + r)."""
        p = self.shared.shape[1]
        if not p:
            torch.bmm(back.mT, self.each, out=out)
            return
        out[:, :, :p] = torch.bmm(back.mT, self.shared.expand(len(back), -1, -1))
        out[:, :, p:] = torch.bmm(back.mT, self.each)


class Weights:
    """Parameters of B networks in one vector, so that one step moves all of them.

    Parameters
    ----------
    n_genes, width
        Number of networks and of inputs.
    like
        Tensor whose type and device are taken.
    """

    def __init__(self, n_genes: int, width: int, like: Tensor) -> None:
        first, second = HIDDEN
        shapes = [(first, width), (first,), (second, first), (second,), (1, second), (1,)]
        sizes = [n_genes * int(np.prod(shape)) for shape in shapes]
        self.vector = like.new_zeros(sum(sizes))
        parts = torch.split(self.vector, sizes)
        views = [part.view(n_genes, *shape) for part, shape in zip(parts, shapes, strict=True)]
        # (B, 64, width), (B, 64), (B, 16, 64), (B, 16), (B, 1, 16), (B, 1)
        self.W1, self.b1, self.W2, self.b2, self.W3, self.b3 = self.parts = tuple(views)

    def like(self) -> Weights:
        """Zeros of the same shape."""
        return Weights(self.W1.shape[0], self.W1.shape[2], self.vector)


@dataclass(frozen=True)
class Bulk:
    """First layers of networks trained on bulk data, and how to stay near them.

    Parameters
    ----------
    weights
        First layers (B, 64, p + r), zero where there is none.
    importance
        Weight of every squared difference (B, 64, p + r), with which the penalty is
        ``strength * sum(importance * (W1 - weights)**2)``; ``None`` for ``-strength * sum(W1 * weights)``.
    strength
        Factor of the term.
    """

    weights: Tensor
    importance: Tensor | None = None
    strength: float = 0.1

    def add(self, W1: Tensor, gradient: Tensor) -> Tensor:
        """Add the derivative, and give the term per gene (B,)."""
        if self.importance is None:
            gradient.sub_(self.weights, alpha=self.strength)
            return -self.strength * (W1 * self.weights).sum(dim=(1, 2))
        apart = W1 - self.weights
        pulled = self.importance * apart
        gradient.add_(pulled, alpha=2 * self.strength)
        return self.strength * (pulled * apart).sum(dim=(1, 2))


@dataclass(frozen=True)
class Manifold:
    r"""The term tr(W1 L W1ᵀ), L the normalised Laplacian of a graph between regulators and regions.

    Parameters
    ----------
    affinity
        Weights of the graph (B, a, b) between the first a inputs and the next b, divided by the roots of the degrees of
        both ends.
    present
        Inputs (B, a + b) that count with their squared norm: 1 or 0.
    strength
        Factor of the term.
    """

    affinity: Tensor
    present: Tensor
    strength: float = 1.0

    def add(self, W1: Tensor, gradient: Tensor) -> Tensor:
        """Add the derivative, and give the term per gene (B,)."""
        a = self.affinity.shape[1]
        smooth = W1 * self.present[:, None]
        smooth[:, :, :a] -= torch.bmm(W1[:, :, a:], self.affinity.mT)
        smooth[:, :, a:] -= torch.bmm(W1[:, :, :a], self.affinity)
        gradient.add_(smooth, alpha=2 * self.strength)
        return self.strength * (smooth * W1).sum(dim=(1, 2))


def affinity_of(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Parts of a :class:`Manifold`: affinity (B, a, b) over roots of degrees, and the inputs (B, a + b) with a degree.

    Parameters
    ----------
    weights
        Weights of the graph (B, a, b), none negative.
    """
    first, second = weights.sum(dim=2), weights.sum(dim=1)
    roots = [torch.where(degree > 0, degree, 1.0).sqrt() for degree in (first, second)]
    scaled = weights / roots[0][:, :, None] / roots[1][:, None, :]
    return scaled, (torch.cat([first, second], dim=1) > 0).to(weights.dtype)


def random_start(random: np.random.Generator, width: int) -> list[np.ndarray]:
    """Parameters of one network with ``width`` inputs: uniform within 1 / sqrt(number of inputs of the layer)."""
    parts = []
    sizes = (width, *HIDDEN, 1)
    for n_in, n_out in pairwise(sizes):
        bound = 1 / np.sqrt(n_in)
        parts += [random.uniform(-bound, bound, (n_out, n_in)), random.uniform(-bound, bound, n_out)]
    return parts


def original_start(width: int, seed: int = 42) -> list[np.ndarray]:
    """Parameters of one network as torch makes them after its seed was set: those of the original program."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = (width, *HIDDEN, 1)
        layers = [torch.nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes)]
    return [part.detach().numpy() for layer in layers for part in (layer.weight, layer.bias)]


class Room:
    """Places for what a pass computes, which are used again in the next: hidden layers and what comes back to them."""

    def __init__(self, features: Features) -> None:
        shape = features.each.shape[:2]
        self.first, self.second = (features.each.new_empty(*shape, size) for size in HIDDEN)  # (B, n, 64), (B, n, 16)
        self.to_first, self.to_second = torch.empty_like(self.first), torch.empty_like(self.second)


def output(features: Features, weights: Weights, activation: str, room: Room) -> Tensor:
    """Output of the networks (B, n); hidden layers stay in ``room``."""
    value = ACTIVATIONS[activation].value
    value(features.dot(weights.W1, weights.b1, room.first))
    second = room.second.copy_(weights.b2[:, None].expand_as(room.second))
    value(second.baddbmm_(room.first, weights.W2.mT))
    return torch.baddbmm(weights.b3[:, None], second, weights.W3.mT)[:, :, 0]


def predict(features: Features, weights: Weights, activation: str) -> Tensor:
    """Expression (B, n) of the genes in the cells."""
    return output(features, weights, activation, Room(features))


def slopes(features: Features, weights: Weights, activation: str) -> Tensor:
    """Derivative of the output by every input in every cell (B, n, p + r)."""
    through, room = ACTIVATIONS[activation].back, Room(features)
    output(features, weights, activation, room)
    back = through(room.to_second.copy_(weights.W3.expand_as(room.second)), room.second)
    return torch.bmm(through(torch.bmm(back, weights.W2, out=room.to_first), room.first), weights.W1)


def train(
    features: Features,
    target: Tensor,
    weights: Weights,
    *,
    activation: str = "relu",
    steps: int = STEPS,
    penalty: float = PENALTY,
    extra: tuple[Bulk | Manifold, ...] = (),
) -> Tensor:
    r"""Minimise the squared error of each gene over all cells, by Adam, and change ``weights`` to where it ends.

    .. math:: \frac1n \sum_c (f(x_c) - y_c)^2 + \lambda \sum_l (\|W_l\|_1 + \|b_l\|_1) + \text{extra}

    Parameters
    ----------
    features
        Inputs of n cells.
    target
        Expression (B, n).
    weights
        Where to start.
    activation
        ``"relu"``, ``"sigmoid"`` or ``"tanh"``.
    steps
        Number of steps.
    penalty
        Factor of the norms. That of a matrix is the induced norm, the largest absolute sum of a column, as in the
        original program.
    extra
        Terms on the first layer.

    Returns
    -------
    Tensor
        Loss (steps, B) before every step. What a network becomes depends neither on the others nor on their number, if
        that is two at least: products of a single matrix are rounded otherwise, and where a ReLU bends that is seen.
    """
    gradient, room = weights.like(), Room(features)
    pull = weights.like() if extra else gradient
    mean, square = torch.zeros_like(weights.vector), torch.zeros_like(weights.vector)
    losses = target.new_empty(steps, len(target))
    for step in range(1, steps + 1):
        loss = _error(features, target, weights, gradient, activation, room)
        if extra:
            pull.vector.zero_()
        # single sums in the order in which automatic differentiation adds them: rounding decides where a ReLU bends
        for term in extra[::-1]:
            loss += term.add(weights.W1, pull.W1)
        for part, slot in zip(weights.parts, pull.parts, strict=True):
            loss += penalty * _norm(part, slot, penalty)
        if extra:
            gradient.vector.add_(pull.vector)
        _adam(weights.vector, gradient.vector, mean, square, step)
        losses[step - 1] = loss
    return losses


def _error(
    features: Features, target: Tensor, weights: Weights, gradient: Weights, activation: str, room: Room
) -> Tensor:
    """Mean squared error (B,); its derivatives are written into ``gradient``."""
    through = ACTIVATIONS[activation].back
    error = output(features, weights, activation, room) - target
    back = (2 / target.shape[1]) * error[:, :, None]  # (B, n, 1)
    torch.bmm(back.mT, room.second, out=gradient.W3)
    torch.sum(back, dim=1, out=gradient.b3)
    back = through(torch.mul(back, weights.W3, out=room.to_second), room.second)
    torch.bmm(back.mT, room.first, out=gradient.W2)
    torch.sum(back, dim=1, out=gradient.b2)
    back = through(torch.bmm(back, weights.W2, out=room.to_first), room.first)
    features.dot_back(back, gradient.W1)
    torch.sum(back, dim=1, out=gradient.b1)
    return error.square().mean(dim=1)


def _norm(part: Tensor, gradient: Tensor, penalty: float) -> Tensor:
    """Norm (B,) of a matrix (B, h, w) or a bias (B, h); its derivative is added, that of the first of equal columns."""
    if part.ndim == 2:
        gradient.add_(part.sign(), alpha=penalty)
        return part.abs().sum(dim=1)
    largest, column = part.abs().sum(dim=1).max(dim=1)
    place = column[:, None, None].expand(-1, part.shape[1], 1)
    gradient.scatter_add_(2, place, part.gather(2, place).sign_().mul_(penalty))
    return largest


def _adam(vector: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int) -> None:
    gradient.add_(vector, alpha=DECAY)
    mean.lerp_(gradient, 1 - _FIRST)
    square.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
    size = torch.sqrt(square, out=gradient).div_((1 - _SECOND**step) ** 0.5).add_(_SMALL)
    vector.addcdiv_(mean, size, value=-RATE / (1 - _FIRST**step))
