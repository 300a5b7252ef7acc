"""Training of the neural ODE on a graph: courses of windows, the loss, and its gradient written out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from grn._kernels.graph_ode import LEAK, STAGES, STEP, Drift, Dropout, Encoder, Graph, Parameters

_ATEN = torch.ops.aten
# where binary_cross_entropy of torch cuts a logarithm, and its derivative
_LOG_FLOOR, _SLOPE_FLOOR = -100.0, 1e-12
# what the original keeps logarithms of attention above
_SMALL = 1e-12


@dataclass(frozen=True)
class Aims:
    """What the loss asks for.

    Parameters
    ----------
    prior
        Edges (G, G) that attention is drawn to, 1 or 0, row = target.
    graph, entropy
        Weights of the cross-entropy between attention and prior, and of the entropy of attention.
    first
        First point of a course that is compared: 0 for the state at its start, 1 for the point after it.
    """

    prior: Tensor
    graph: float = 3e-4
    entropy: float = 5e-4
    first: int = 1


class Course:
    """What follows the histories of some windows, kept for the gradient.

    Parameters
    ----------
    parameters, graph
        Weights, and who may act on whom.
    histories
        Values (B, L, G).
    n_steps
        Number of steps after the history.
    dropout
        ``None`` for none.
    moving
        Factor of slopes (B, G, 1), 0 for genes that are held where they are; no gradient then.
    """

    def __init__(
        self,
        parameters: Parameters,
        graph: Graph,
        histories: Tensor,
        n_steps: int,
        *,
        dropout: Dropout | None = None,
        moving: Tensor | None = None,
    ) -> None:
        self.parameters, self.graph, self.n_steps = parameters, graph, n_steps
        batch, _, n_genes = histories.shape
        self.encoder = Encoder(parameters, histories)
        self.drift = Drift(parameters, graph, STAGES * n_steps, (batch, n_genes), dropout)
        self.drift.moving = moving
        self.states = histories.new_empty(n_steps + 1, batch, n_genes, parameters.hidden)
        self.states[0] = self.encoder.last
        for step in range(n_steps):
            self.states[step + 1] = kutta(self.drift, STAGES * step, self.states[step])
        flat = self.states.view(-1, parameters.hidden)
        self.inner = torch.addmm(parameters["decoder.0.bias"], flat, parameters["decoder.0.weight"].T).tanh_()
        values = torch.addmm(parameters["decoder.1.bias"], self.inner, parameters["decoder.1.weight"].T)
        # values (B, S + 1, G) at the end of the history and after every step
        self.values = values.view(n_steps + 1, batch, n_genes).transpose(0, 1)

    def attention(self, evaluation: int) -> Tensor:
        """Attention (B, G, G) of one evaluation, row = target; the last has number -1."""
        return self.drift.attention[evaluation]

    def backward(self, to_values: Tensor, to_attention: Tensor | None) -> Parameters:
        """Gradient, from what comes back to the values (B, S + 1, G) and to the attention of the last evaluation."""
        parameters, gradient = self.parameters, self.parameters.like()
        back = to_values.transpose(0, 1).reshape(-1, 1)
        gradient["decoder.1.bias"].add_(back.sum(dim=0))
        gradient["decoder.1.weight"].addmm_(back.T, self.inner)
        inner = _ATEN.tanh_backward(back * parameters["decoder.1.weight"], self.inner)
        gradient["decoder.0.bias"].add_(inner.sum(dim=0))
        gradient["decoder.0.weight"].addmm_(inner.T, self.states.view(-1, parameters.hidden))
        to_states = (inner @ parameters["decoder.0.weight"]).view(self.states.shape)
        way = _Back(self.drift)
        to_state = to_states[-1]
        for step in reversed(range(self.n_steps)):
            extra = to_attention if step == self.n_steps - 1 else None
            to_state = to_states[step] + _kutta_back(way, STAGES * step, to_state, extra)
        way.add_to(gradient)
        self.encoder.backward(to_state, gradient)
        return gradient


def kutta(drift: Drift, i: int, state: Tensor) -> Tensor:
    """State after a step of Kutta's 3/8 rule, with evaluations ``i`` to ``i + 3``."""
    first = drift(i, state)
    second = drift(i + 1, torch.add(state, first, alpha=STEP / 3))
    third = drift(i + 2, torch.add(state + STEP * second, first, alpha=-STEP / 3))
    fourth = drift(i + 3, torch.add(state, first - second + third, alpha=STEP))
    return torch.add(state, first + 3 * (second + third) + fourth, alpha=STEP / 8)


def _kutta_back(way: _Back, i: int, back: Tensor, to_attention: Tensor | None) -> Tensor:
    """What comes back to the state before a step, given what comes back to that after it."""
    to_fourth = back * (STEP / 8)
    fourth = way(i + 3, to_fourth, to_attention)
    to_third = torch.add(3 * to_fourth, fourth, alpha=STEP)
    third = way(i + 2, to_third)
    to_second = torch.add(3 * to_fourth, third - fourth, alpha=STEP)
    second = way(i + 1, to_second)
    to_first = torch.add(to_fourth, fourth + (second - third) / 3, alpha=STEP)
    return back + way(i, to_first) + second + third + fourth


class _Back:
    """The way back through evaluations of the drift; parameters get their share at the end, all evaluations at once."""

    def __init__(self, drift: Drift) -> None:
        self.drift = drift
        self.to_slope = torch.empty_like(drift.features)
        self.to_second, self.to_first = torch.empty_like(drift.second), torch.empty_like(drift.first)
        self.to_message = torch.empty_like(drift.message)
        self.to_projected = torch.empty_like(drift.projected)

    def __call__(self, i: int, back: Tensor, to_attention: Tensor | None = None) -> Tensor:
        """What comes back to the state of evaluation ``i``, given what comes back to its slopes and its attention."""
        drift, parameters = self.drift, self.drift.parameters
        hidden = parameters.hidden
        self.to_slope[i] = back
        through = _ATEN.tanh_backward
        second = through(back @ parameters["drift.2.weight"], drift.second[i])
        self.to_second[i] = second
        first = through(second @ parameters["drift.1.weight"], drift.first[i])
        self.to_first[i] = first
        message = through(first @ parameters["drift.0.weight"], drift.message[i])
        self.to_message[i] = message
        attention, masks = drift.attention[i], drift.masks[i] if drift.masks else None
        used = attention if masks is None else attention * masks[1]
        to_used = torch.bmm(message, drift.projected[i][:, :, :hidden].mT)
        if masks is not None:
            to_used.mul_(masks[1])
        if to_attention is not None:
            to_used.add_(to_attention)
        pairs = drift.scores(i)
        scores = _ATEN._softmax_backward_data(to_used, attention, 2, attention.dtype)
        scores = _ATEN.leaky_relu_backward(scores, pairs, LEAK, self_is_result=True)
        projected = self.to_projected[i]
        torch.bmm(used.mT, message, out=projected[:, :, :hidden])
        torch.sum(scores, dim=1, out=projected[:, :, hidden])
        torch.sum(scores, dim=2, out=projected[:, :, hidden + 1])
        state = projected @ drift.into
        return state if masks is None else state.mul_(masks[0])

    def add_to(self, gradient: Parameters) -> None:
        """Add to the gradient of the parameters of the drift."""
        drift, parameters = self.drift, self.drift.parameters
        hidden = parameters.hidden
        layers = (
            ("drift.2", self.to_slope, drift.second),
            ("drift.1", self.to_second, drift.first),
            ("drift.0", self.to_first, drift.message),
        )
        for name, back, inputs in layers:
            flat = back.view(-1, back.shape[3])
            gradient[f"{name}.bias"].add_(flat.sum(dim=0))
            gradient[f"{name}.weight"].addmm_(flat.T, inputs.view(-1, inputs.shape[3]))
        gradient["attention.bias"].add_(self.to_message.view(-1, hidden).sum(dim=0))
        into = self.to_projected.view(-1, hidden + 2).T @ drift.features.view(-1, hidden)  # (H + 2, H)
        ends = torch.stack([parameters["attention.source"], parameters["attention.target"]])
        gradient["attention.weight"].add_(into[:hidden]).addmm_(ends.T, into[hidden:])
        of_ends = into[hidden:] @ parameters["attention.weight"].T  # (2, H)
        gradient["attention.source"].add_(of_ends[0])
        gradient["attention.target"].add_(of_ends[1])


def loss(course: Course, future: Tensor, aims: Aims, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Terms of the loss (3,) of some of n windows, each divided by n, and what comes back to values and attention.

    Parameters
    ----------
    course
        What the model says of windows.
    future
        Values (B, P, G) to compare with those from point ``aims.first`` on.
    aims
        Weights of the terms.
    n
        Number of windows of the step that these are a part of.
    """
    graph, attention = course.graph, course.attention(-1)
    _, points, n_genes = future.shape
    size = n * points * n_genes
    apart = course.values[:, aims.first : aims.first + points] - future
    to_values = torch.zeros_like(course.values)
    to_values[:, aims.first : aims.first + points] = apart * (2.0 / size)
    prior, other = aims.prior, 1.0 - aims.prior
    logs = attention.log().clamp_(min=_LOG_FLOOR)
    rest = (1.0 - attention).log_().clamp_(min=_LOG_FLOOR)
    cross = -(prior * logs + other * rest).sum() / (n * n_genes**2)
    slope = (attention - prior) / (attention * (1.0 - attention)).clamp_(min=_SLOPE_FLOOR)
    to_attention = slope * (aims.graph / (n * n_genes**2))
    logs = attention.clamp(min=_SMALL).log_()
    edges = n * max(1, graph.n_edges)
    spread = -(attention * logs).sum() / edges
    to_attention -= (aims.entropy / edges) * (logs + (attention > _SMALL))
    terms = torch.stack([apart.square().sum() / size, cross, spread])
    return terms, to_values, to_attention.mul_(graph.allowed)


def total(terms: Tensor, aims: Aims) -> Tensor:
    """The loss, from its terms."""
    return terms[0] + aims.graph * terms[1] + aims.entropy * terms[2]
