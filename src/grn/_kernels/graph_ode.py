"""A neural ODE on a graph of genes: short histories in, attention over regulators and the course that follows out.

Written out step by step, with all that the gradient needs, as thousands of small tensors in automatic differentiation
take longer than the numbers in them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from grn._core.rng import child

HIDDEN, WIDTH = 16, 64
# slope of the leaky rectifier below zero, and length of a step between two points of a series
LEAK, STEP = 0.2, 0.1
# evaluations of the drift per step: those of Kutta's 3/8 rule
STAGES = 4


def shapes(hidden: int = HIDDEN, width: int = WIDTH) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters; they are shared by all genes."""
    return {
        "encoder.input": (4 * hidden, 1),
        "encoder.state": (4 * hidden, hidden),
        "encoder.input_bias": (4 * hidden,),
        "encoder.state_bias": (4 * hidden,),
        "attention.weight": (hidden, hidden),
        "attention.source": (hidden,),
        "attention.target": (hidden,),
        "attention.bias": (hidden,),
        "drift.0.weight": (width, hidden),
        "drift.0.bias": (width,),
        "drift.1.weight": (width, width),
        "drift.1.bias": (width,),
        "drift.2.weight": (hidden, width),
        "drift.2.bias": (hidden,),
        "decoder.0.weight": (hidden, hidden),
        "decoder.0.bias": (hidden,),
        "decoder.1.weight": (1, hidden),
        "decoder.1.bias": (1,),
    }


class Parameters:
    """Parameters by name, in one vector, so that one step moves all of them.

    Parameters
    ----------
    like
        Tensor whose type and device are taken.
    hidden, width
        Size of the state of a gene, and of the layers of the drift.
    """

    def __init__(self, like: Tensor, hidden: int = HIDDEN, width: int = WIDTH) -> None:
        self.hidden, self.width = hidden, width
        wanted = shapes(hidden, width)
        sizes = [int(np.prod(shape)) for shape in wanted.values()]
        self.vector = like.new_zeros(sum(sizes))
        parts = torch.split(self.vector, sizes)
        self.parts = {name: part.view(shape) for part, (name, shape) in zip(parts, wanted.items(), strict=True)}

    def __getitem__(self, name: str) -> Tensor:
        """One of the parameters, a view of the vector."""
        return self.parts[name]

    @classmethod
    def of(cls, values: Mapping[str, np.ndarray], like: Tensor) -> Parameters:
        """Parameters with given values."""
        hidden, width = np.shape(values["attention.weight"])[0], np.shape(values["drift.1.weight"])[0]
        parameters = cls(like, hidden, width)
        for name, part in parameters.parts.items():
            part.copy_(torch.as_tensor(np.asarray(values[name])).view(part.shape))
        return parameters

    def like(self) -> Parameters:
        """Zeros of the same shape."""
        return Parameters(self.vector, self.hidden, self.width)

    def arrays(self) -> dict[str, np.ndarray]:
        """Values by name, copied."""
        return {name: part.detach().cpu().numpy().copy() for name, part in self.parts.items()}


def random_start(seed: int, hidden: int = HIDDEN, width: int = WIDTH) -> dict[str, np.ndarray]:
    """Parameters drawn as is usual for their layers, each by its own name."""
    values = {}
    for name, shape in shapes(hidden, width).items():
        random = child(seed, "ritini", "start", name)
        if name == "attention.bias":
            values[name] = np.zeros(shape)
            continue
        if name.startswith("attention"):  # Glorot
            bound = np.sqrt(6.0 / (2 * hidden if len(shape) == 2 else hidden + 1))
        else:
            bound = 1.0 / np.sqrt(width if name.startswith(("drift.1", "drift.2")) else hidden)
        values[name] = random.uniform(-bound, bound, shape)
    return values


class Graph:
    """Which genes may act on which.

    Parameters
    ----------
    allowed
        Mask (G, G), row = target, column = source; nothing on the diagonal.
    like
        Tensor whose type and device are taken.
    """

    def __init__(self, allowed: np.ndarray, like: Tensor) -> None:
        mask = torch.as_tensor(np.asarray(allowed, dtype=bool), device=like.device)
        self.allowed = mask
        self.orphans = ~mask.any(dim=1)  # (G,)
        # added to scores before the softmax; rows without any source are taken out after it
        barred = ~mask & ~self.orphans[:, None]
        self.barrier = like.new_zeros(mask.shape).masked_fill_(barred, float("-inf"))
        self.keep = (~self.orphans).to(like.dtype)[:, None] if bool(self.orphans.any()) else None  # (G, 1)
        self.n_edges = int(mask.sum())


class Encoder:
    """State of a gene after its history: a long short-term memory that all genes share.

    Parameters
    ----------
    parameters
        Weights.
    histories
        Values (B, L, G).
    """

    def __init__(self, parameters: Parameters, histories: Tensor) -> None:
        self.parameters = parameters
        batch, length, n_genes = histories.shape
        hidden = parameters.hidden
        self.values = histories.transpose(0, 1).reshape(length, batch * n_genes, 1)  # (L, N, 1)
        bias = parameters["encoder.input_bias"] + parameters["encoder.state_bias"]
        self.gates = torch.addcmul(bias, self.values, parameters["encoder.input"][:, 0])  # (L, N, 4H)
        self.memory = histories.new_zeros(length + 1, batch * n_genes, hidden)
        self.state = torch.zeros_like(self.memory)
        self.shown = torch.empty_like(self.memory[1:])  # tanh of the memory
        back = parameters["encoder.state"].T
        for t in range(length):
            gates = self.gates[t]
            if t:
                gates.addmm_(self.state[t], back)
            change = gates[:, 2 * hidden : 3 * hidden].tanh()
            gates.sigmoid_()
            gates[:, 2 * hidden : 3 * hidden] = change
            enter, leave, _, out = gates.split(hidden, dim=1)
            memory = torch.mul(leave, self.memory[t], out=self.memory[t + 1]).addcmul_(enter, change)
            torch.tanh(memory, out=self.shown[t])
            torch.mul(out, self.shown[t], out=self.state[t + 1])
        self.last = self.state[-1].view(batch, n_genes, hidden)

    def backward(self, back: Tensor, gradient: Parameters) -> None:
        """Add to the gradient what comes back to the last state (B, G, H)."""
        hidden, length = self.parameters.hidden, len(self.gates)
        slopes = self.gates * (1 - self.gates)  # (L, N, 4H)
        change = slice(2 * hidden, 3 * hidden)
        slopes[:, :, change] = 1 - self.gates[:, :, change].square()
        to_gates = torch.empty_like(self.gates)
        to_state = back.reshape(-1, hidden)
        to_memory = torch.zeros_like(to_state)
        for t in reversed(range(length)):
            enter, leave, change_t, out = self.gates[t].split(hidden, dim=1)
            parts = to_gates[t].split(hidden, dim=1)
            through = torch.ops.aten.tanh_backward(to_state * out, self.shown[t])
            to_memory = to_memory + through
            torch.mul(to_memory, change_t, out=parts[0])
            torch.mul(to_memory, self.memory[t], out=parts[1])
            torch.mul(to_memory, enter, out=parts[2])
            torch.mul(to_state, self.shown[t], out=parts[3])
            to_gates[t].mul_(slopes[t])
            to_memory = to_memory * leave
            to_state = to_gates[t] @ self.parameters["encoder.state"]
        flat = to_gates.view(-1, 4 * hidden)
        total = flat.sum(dim=0)
        gradient["encoder.input_bias"].add_(total)
        gradient["encoder.state_bias"].add_(total)
        gradient["encoder.input"].addmm_(flat.T, self.values.reshape(-1, 1))
        gradient["encoder.state"].addmm_(flat.T, self.state[:-1].reshape(-1, hidden))


class Dropout:
    """Random masks of features and of attention, drawn anew at every evaluation of the drift.

    Parameters
    ----------
    share
        Share that is set to zero; the rest is enlarged.
    generator
        Source of randomness.
    """

    def __init__(self, share: float, generator: torch.Generator) -> None:
        self.share, self.generator = share, generator

    def draw(self, like: Tensor) -> Tensor:
        """A mask of the shape of a tensor."""
        kept = torch.rand(like.shape, generator=self.generator, dtype=like.dtype, device=self.generator.device)
        return (kept >= self.share).to(like.device, like.dtype).div_(1.0 - self.share)


class Drift:
    """Evaluations of the slope of all states, each kept for the gradient.

    Parameters
    ----------
    parameters, graph
        Weights, and who may act on whom.
    n
        Number of evaluations.
    shape
        Number of windows and of genes.
    dropout
        ``None`` for none.
    """

    # factor of slopes (B, G, 1), 0 for genes that are held; not for training
    moving: Tensor | None = None

    def __init__(
        self, parameters: Parameters, graph: Graph, n: int, shape: tuple[int, int], dropout: Dropout | None = None
    ) -> None:
        self.parameters, self.graph, self.dropout = parameters, graph, dropout
        batch, n_genes = shape
        hidden, width = parameters.hidden, parameters.width
        new = parameters.vector.new_empty
        self.features = new(n, batch, n_genes, hidden)
        # projected states, their score as a source and that as a target
        self.projected = new(n, batch, n_genes, hidden + 2)
        self.attention = new(n, batch, n_genes, n_genes)
        self.message = new(n, batch, n_genes, hidden)
        self.first, self.second = new(n, batch, n_genes, width), new(n, batch, n_genes, width)
        weight = parameters["attention.weight"]
        ends = torch.stack([parameters["attention.source"], parameters["attention.target"]])  # (2, H)
        self.into = torch.cat([weight, ends @ weight])  # (H + 2, H)
        self.masks: list[tuple[Tensor, Tensor]] = []

    def __call__(self, i: int, state: Tensor) -> Tensor:
        """Slopes (B, G, H) of states, as evaluation number ``i``."""
        features = self.features[i]
        features.copy_(state)
        if self.dropout is not None:
            masks = self.dropout.draw(features), self.dropout.draw(self.attention[i])
            self.masks.append(masks)
            features.mul_(masks[0])
        projected = torch.matmul(features, self.into.T, out=self.projected[i])
        hidden = self.parameters.hidden
        torch.softmax(self.scores(i).add_(self.graph.barrier), dim=2, out=self.attention[i])
        if self.graph.keep is not None:
            self.attention[i].mul_(self.graph.keep)
        used = self.attention[i] if self.dropout is None else self.attention[i] * self.masks[i][1]
        message = torch.baddbmm(self.parameters["attention.bias"], used, projected[:, :, :hidden], out=self.message[i])
        message.tanh_()
        first = self._layer(message, "drift.0", self.first[i]).tanh_()
        second = self._layer(first, "drift.1", self.second[i]).tanh_()
        slope = torch.nn.functional.linear(second, self.parameters["drift.2.weight"], self.parameters["drift.2.bias"])
        return slope if self.moving is None else slope.mul_(self.moving)

    def _layer(self, inputs: Tensor, name: str, out: Tensor) -> Tensor:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        torch.addmm(bias, inputs.view(-1, inputs.shape[2]), weight.T, out=out.view(-1, out.shape[2]))
        return out

    def scores(self, i: int) -> Tensor:
        """Leaky scores (B, G, G) of all pairs, row = target."""
        hidden = self.parameters.hidden
        projected = self.projected[i]
        pairs = projected[:, :, hidden][:, None, :] + projected[:, :, hidden + 1][:, :, None]
        return torch.nn.functional.leaky_relu_(pairs, LEAK)
