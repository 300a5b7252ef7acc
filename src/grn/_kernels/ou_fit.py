"""Networks as steady states of linear stochastic processes, fitted to counts of many sets of cells at once.

The model of :mod:`grn._kernels.ou_cells` with the condition that the covariance S of the latent expression is the
stationary one of dx = -(r I - N)(x - level) dt + noise: minimised is

    KL(posterior, prior) - E log binomial + scale n / (4 G) |A S + S A^T - S0|_F^2,    A = r I - N

over N, r, level, S, S0 and the posterior, by Adam. All gradients are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from grn._core.checkpoints import Arrays, States
from grn._kernels.clipped_adam import ClippedAdam, moments_of
from grn._kernels.ou_cells import Counts, Local, Prior, Sums, expected, sampled
from grn._kernels.ou_start import Start
from grn._kernels.steady_state import Process, imbalance

# bounds of level, network and rate
LEVELS, WEIGHTS, RATES = (-20.0, 0.0), (-5.0, 5.0), (-10.0, 10.0)
# log share of a padded gene
_NOWHERE = -60.0
# steps between two looks at the objective, and looks that are compared
_LOOK, _LOOKS = 10, 20


@dataclass(frozen=True)
class Setting:
    """How the objective is minimised.

    Parameters
    ----------
    n_steps
        Most steps.
    tolerance
        A set is done when its objective falls by less than this per entry in 100 steps; ``None`` to take all steps.
    sampled
        Draw the posterior in every step, instead of taking expectations.
    scale
        Factor of the imbalance.
    rate, decay
        Of Adam.
    haste
        Rate of the posteriors, in units of ``rate``.
    """

    n_steps: int = 4000
    tolerance: float | None = 1e-5
    sampled: bool = False
    scale: float = 1e5
    rate: float = 0.01
    decay: float = 0.999
    haste: float = 5.0


@dataclass(frozen=True)
class Shape:
    """Who may regulate whom in B sets of G genes.

    Parameters
    ----------
    source
        Position of every regulator among the genes (B, T).
    mask
        Pairs of target and regulator, 0 or 1 (B, G, T); 0 where padded.
    factors
        1 for factors of the covariance, 0 for padding (B, q).
    """

    source: Tensor
    mask: Tensor
    factors: Tensor

    def take(self, sets: Tensor) -> Shape:
        """Some of the sets."""
        return Shape(self.source[sets], self.mask[sets], self.factors[sets])


@dataclass(frozen=True)
class Free:
    """Parameters without bounds, of B sets: what Adam moves."""

    level: Tensor
    network: Tensor
    rate: Tensor
    diagonal: Tensor
    factors: Tensor
    noise: Tensor
    noise_factors: Tensor
    effects: Tensor

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Names and tensors."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))

    def each(self, change: Callable[[Tensor], Tensor]) -> Free:
        """The same with every tensor changed."""
        return Free(**{name: change(value) for name, value in self.items()})


@dataclass(frozen=True)
class Fit:
    """Result for one set, without padding; arrays are float64.

    Parameters
    ----------
    network
        N (G, T), 0 outside the mask.
    rate
        r.
    level, diagonal, factors
        Mean (G,), d (G,) and F (G, q) of the latent log shares.
    noise, noise_factors
        d (G,) and F (G, p) of the noise.
    effects
        Effects of covariates (K, G).
    losses
        Steps and the three parts of the objective (looks, 4): step, prior, imbalance, counts.
    converged
        Whether it stopped before the last step.
    """

    network: np.ndarray
    rate: float
    level: np.ndarray
    diagonal: np.ndarray
    factors: np.ndarray
    noise: np.ndarray
    noise_factors: np.ndarray
    effects: np.ndarray
    losses: np.ndarray
    converged: bool


def _bounded(free: Tensor, bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A parameter within bounds, and its derivative."""
    low, high = bounds
    share = torch.sigmoid(free)
    return low + (high - low) * share, (high - low) * share * (1.0 - share)


def _unbounded(value: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return torch.logit(((value - low) / (high - low)).clamp(1e-6, 1.0 - 1e-6))


class _Objective:
    """The objective of B sets at their present parameters, and their derivatives."""

    def __init__(self, counts: Counts, shape: Shape, setting: Setting, constant: Tensor) -> None:
        self.counts, self.shape, self.setting, self.constant = counts, shape, setting, constant
        n_cells, n_genes = counts.cells.sum(dim=1), counts.genes.sum(dim=1)
        self.strength = setting.scale * n_cells / (4.0 * n_genes)
        self.entries = n_cells * n_genes

    def parameters(self, free: Free) -> tuple[Prior, Process, dict[str, Tensor]]:
        """Prior and process of the parameters, and the derivatives of those with bounds."""
        genes = self.counts.genes
        level, by_level = _bounded(free.level, LEVELS)
        network, by_network = _bounded(free.network, WEIGHTS)
        rate, by_rate = _bounded(free.rate, RATES)
        diagonal, noise = free.diagonal.exp(), free.noise.exp()
        level = torch.where(genes > 0, level, _NOWHERE)
        prior = Prior(level, torch.where(genes > 0, diagonal, 1.0), free.factors, free.effects)
        process = Process(
            network * self.shape.mask,
            self.shape.source,
            rate,
            diagonal * genes,
            free.factors,
            noise * genes,
            free.noise_factors,
        )
        slopes = {"level": by_level, "network": by_network, "rate": by_rate, "diagonal": diagonal, "noise": noise}
        return prior, process, slopes

    def step(
        self, free: Free, local: Local, adam: ClippedAdam, draws: torch.Generator | None, *, value: bool
    ) -> tuple[Free, Tensor | None]:
        """Derivatives by all parameters, the posteriors moved, and the parts of the objective (B, 3) if asked for."""
        prior, process, slopes = self.parameters(free)
        if draws is None:
            sums = expected(self.counts, local, prior, adam, value=value)
        else:
            sums = sampled(self.counts, local, prior, adam, draws)
        off = imbalance(process, self.shape.mask)
        by_prior = prior.gradient(sums)
        weight = self.strength[:, None]
        genes, factors = self.counts.genes, self.shape.factors[:, None]
        gradient = Free(
            level=by_prior.level * slopes["level"] * genes,
            network=off.network * weight[..., None] * slopes["network"] * self.shape.mask,
            rate=off.rate * self.strength * slopes["rate"],
            diagonal=(by_prior.diagonal + off.diagonal * weight) * slopes["diagonal"] * genes,
            factors=(by_prior.factors + off.factors * weight[..., None]) * factors * genes[..., None],
            noise=off.noise * weight * slopes["noise"] * genes,
            noise_factors=off.noise_factors * weight[..., None] * genes[..., None],
            effects=by_prior.effects * genes[:, None],
        )
        return gradient, self.parts(sums, process) if value else None

    def parts(self, sums: Sums, process: Process) -> Tensor:
        """Prior, imbalance and counts (B, 3) in double precision."""
        square = imbalance(process.double(), self.shape.mask.double()).square
        return torch.stack([sums.prior, square * self.strength.double(), sums.counts + self.constant], dim=1)


def _choices(counts: Counts) -> Tensor:
    """Minus the sum of the logarithms of binomial coefficients (B,)."""
    total = torch.zeros(len(counts.depth), dtype=torch.float64, device=counts.depth.device)
    for place, (count, depth) in enumerate(zip(counts.counts, counts.depth, strict=True)):
        for part, trials in zip(count.split(256), depth.split(256), strict=True):
            k, n = part.double(), trials.double()[:, None]
            logs = torch.lgamma(n + 1.0) - torch.lgamma(k + 1.0) - torch.lgamma(n - k + 1.0)
            total[place] -= (logs * counts.genes[place]).sum()
    return total


def fit(
    counts: Counts,
    shape: Shape,
    start: Start,
    setting: Setting,
    *,
    draws: torch.Generator | None = None,
    paired: bool = False,
    states: States | None = None,
) -> Iterator[tuple[int, Fit | None]]:
    """Fit B sets; gives the place and the fit of every set as soon as it is done, and ``(steps, None)`` on the way.

    Parameters
    ----------
    counts, shape, start
        The sets.
    setting
        How.
    draws
        Source of randomness for ``sampled``.
    paired
        Compute a single set twice: products of one matrix and of several are rounded in two ways, which the steps make
        large. Sets of one shape then have the same numbers in every batch, if cells, genes, regulators and factors are
        multiples of what a processor takes at a time, to which the method rounds them up.
    states
        Where the sets go on, all after the same number of steps or none, and where their states are kept on the way.
    """
    draws = draws if setting.sampled else None
    run = _Run(counts, shape, start, setting, paired=paired)
    if states is not None:
        for k, part in enumerate(states.parts):
            with part.state() as arrays:
                if arrays is not None:
                    run.restore(k, arrays, draws)
    while len(run.places):
        yield from run.advance(draws)
        if states is not None:
            states.offer(run.places, lambda k: run.state(k, draws))


class _Run:
    """Sets that are not done yet."""

    def __init__(self, counts: Counts, shape: Shape, start: Start, setting: Setting, *, paired: bool = False) -> None:
        self.setting, self.paired = setting, paired
        self.places = list(range(len(counts.depth)))
        if paired and len(self.places) == 1:
            twice = torch.zeros(2, dtype=torch.int64, device=counts.depth.device)
            counts, shape, start = counts.take(twice), shape.take(twice), start.take(twice)
        self.objective = _Objective(counts, shape, setting, _choices(counts))
        self.adam = ClippedAdam(setting.rate, setting.decay)
        self.local_adam = ClippedAdam(setting.haste * setting.rate, setting.decay)
        self.free = Free(
            level=_unbounded(start.level, LEVELS),
            network=_unbounded(start.network, WEIGHTS),
            rate=_unbounded(start.rate, RATES),
            diagonal=start.diagonal.log(),
            factors=start.factors * shape.factors[:, None],
            noise=start.diagonal.log(),
            noise_factors=start.noise_factors,
            effects=start.effects,
        ).each(Tensor.contiguous)  # products of transposed memory are rounded in another way
        self.moments = {name: moments_of(value) for name, value in self.free.items()}
        mean = torch.where(counts.genes > 0, start.level, _NOWHERE)[:, None] + counts.covariates @ start.effects
        spread = np.log(start.spread) * counts.genes[:, None].expand_as(counts.counts)
        self.local = Local(mean, spread.contiguous(), (moments_of(mean), moments_of(mean)))
        self.losses: list[list[np.ndarray]] = [[] for _ in self.places]

    def _tensors(self) -> dict[str, Tensor]:
        """Everything that steps change, of all sets."""
        out = dict(self.free.items())
        pairs = {**self.moments, "mean": self.local.moments[0], "log_sd": self.local.moments[1]}
        for name, (first, second) in pairs.items():
            out |= {f"{name} first": first, f"{name} second": second}
        return {**out, "local mean": self.local.mean, "local log_sd": self.local.log_sd}

    def state(self, k: int, draws: torch.Generator | None) -> Arrays:
        """Where the k-th set is, for :meth:`restore`."""
        arrays = {name: value[k].cpu().numpy() for name, value in self._tensors().items()}
        arrays["steps"] = np.array(self.adam.steps)
        arrays["rates"] = np.array([self.adam.rate, self.local_adam.rate])
        arrays["losses"] = np.array(self.losses[k]).reshape(-1, 4)
        return arrays if draws is None else {**arrays, "draws": draws.get_state().numpy()}

    def restore(self, k: int, arrays: Arrays, draws: torch.Generator | None) -> None:
        """Go on with the k-th set from a state, before any step."""
        for name, value in self._tensors().items():
            stored = torch.from_numpy(arrays[name])
            for place in (0, 1) if self.paired and len(self.places) == 1 else (k,):
                value[place].copy_(stored)
        for adam, rate in zip((self.adam, self.local_adam), arrays["rates"].tolist(), strict=True):
            adam.steps, adam.rate = int(arrays["steps"]), rate
        self.losses[k] = list(arrays["losses"])
        if draws is not None:
            draws.set_state(torch.from_numpy(arrays["draws"]))

    def advance(self, draws: torch.Generator | None) -> Iterator[tuple[int, Fit | None]]:
        """Take some steps, and give those sets that are done."""
        setting = self.setting
        for _ in range(min(_LOOK, setting.n_steps - self.adam.steps)):
            self.adam.advance()
            self.local_adam.advance()
            look = draws is not None or self.adam.steps % _LOOK in (0, 1)
            gradient, parts = self.objective.step(self.free, self.local, self.local_adam, draws, value=look)
            if parts is not None:
                self._note(parts.cpu().numpy())
            for name, value in self.free.items():
                self.adam.move(value, getattr(gradient, name), self.moments[name])
        yield self.adam.steps, None
        last = self.adam.steps >= setting.n_steps
        done = [last or self._flat(place) for place in range(len(self.places))]
        for place, over in enumerate(done):
            if over:
                yield self.places[place], self._result(place, converged=not last)
        if any(done):
            self._keep([place for place, over in enumerate(done) if not over])

    def _note(self, parts: np.ndarray) -> None:
        for place, values in enumerate(parts[: len(self.places)]):
            self.losses[place].append(np.array([self.adam.steps - 1, *values]))

    def _flat(self, place: int) -> bool:
        """Whether the objective of a set hardly falls any more: the mean of the last looks against those before."""
        if self.setting.tolerance is None:
            return False
        window = _LOOKS if not self.setting.sampled else _LOOK * _LOOKS
        values = np.array([parts[1:].sum() for parts in self.losses[place][-2 * window :]])
        if len(values) < 2 * window:
            return False
        fall = values[:window].mean() - values[window:].mean()
        return bool(fall < self.setting.tolerance * float(self.objective.entries[place]) * _LOOK * _LOOKS / 100.0)

    def _result(self, place: int, *, converged: bool) -> Fit:
        """Parameters of a set, without padding."""
        prior, process, _ = self.objective.parameters(self.free)
        genes = self.objective.counts.genes[place] > 0
        factors = self.objective.shape.factors[place] > 0
        arrays = {
            "network": process.network[place][genes],
            "level": prior.level[place][genes],
            "diagonal": process.diagonal[place][genes],
            "factors": process.factors[place][genes][:, factors],
            "noise": process.noise[place][genes],
            "noise_factors": process.noise_factors[place][genes],
            "effects": prior.effects[place][:, genes],
        }
        values = {name: value.detach().double().cpu().numpy() for name, value in arrays.items()}
        losses = np.array(self.losses[place])
        return Fit(rate=float(process.rate[place]), losses=losses, converged=converged, **values)

    def _keep(self, left: list[int]) -> None:
        """Go on with some of the sets."""
        self.places, self.losses = [self.places[k] for k in left], [self.losses[k] for k in left]
        if not left:
            return
        sets = torch.as_tensor(left * 2 if self.paired and len(left) == 1 else left, device=self.free.rate.device)
        before = self.objective
        counts, shape = before.counts.take(sets), before.shape.take(sets)
        self.objective = _Objective(counts, shape, self.setting, before.constant[sets])
        self.free = self.free.each(lambda value: value[sets])
        self.moments = {name: (pair[0][sets], pair[1][sets]) for name, pair in self.moments.items()}
        self.local = self.local.take(sets)
