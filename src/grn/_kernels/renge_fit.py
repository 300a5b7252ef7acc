"""Fits of RENGE from moments of blocks, their refits on drawn cells, and their score on blocks left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, minimize

from grn._core.rng import child
from grn._kernels.dynamics import (
    Array,
    BlockMoments,
    ParameterGradient,
    Parameters,
    SeriesLoss,
    blocks_of,
    explained,
    power_penalty,
)
from grn._kernels.renge import SMALL, Screen, Start, doses, moments, random_start, start_of

_MOST_DELAY, _MOST_SPEED = 10.0, 5.0
# fits of a trial need not be exact to be ranked
_TRIAL_ITERATIONS = 500


@dataclass(frozen=True)
class Setting:
    """Strength C and l1_ratio of the penalty, longest path, and whether to follow the original in every detail."""

    C: float
    l1_ratio: float
    n_k: int
    parity: bool = False
    max_iter: int = 3000


@dataclass(frozen=True)
class Fit:
    """Parameters of a fit, its loss with penalty, and whether the optimiser converged."""

    at: Parameters
    loss: float
    converged: bool


def penalty(network: Array, setting: Setting) -> tuple[float, Array]:
    """Penalty on the network and its derivative (G, G), with the sign as derivative of the absolute value."""
    l1 = setting.C * setting.l1_ratio * setting.n_k
    l2 = setting.C * (1.0 - setting.l1_ratio)
    squares, by_squares = power_penalty(network, setting.n_k)
    return l1 * float(np.abs(network).sum()) + l2 * squares, l2 * by_squares + l1 * np.sign(network)


def fit(blocks: BlockMoments, screen: Screen, setting: Setting, start: Start, *, unseen: Array | None = None) -> Fit:
    """Minimise the loss by L-BFGS-B.

    Parameters
    ----------
    blocks
        Moments of the cells to fit.
    screen
        Inputs and times.
    setting
        Penalty and longest path.
    start
        Where to start, and bounds.
    unseen
        Knock-outs without cells (S - 1, boolean): their delay becomes the mean of the others.

    Notes
    -----
    Unless in parity the network is written as the difference of two networks that are not negative. The absolute value
    is then their sum, the loss is smooth, and weights that the penalty presses out are exactly zero.
    """
    loss = SeriesLoss(blocks, screen.inputs, screen.observed, screen.times, setting.n_k)
    packing = _Packing(start.at, split=not setting.parity)
    value = _objective(loss, packing, setting)
    optimum = minimize(
        value,
        packing.vector(start.at),
        jac=True,
        method="L-BFGS-B",
        bounds=packing.bounds(start.most),
        options={"maxiter": setting.max_iter, "maxfun": 10 * setting.max_iter},
    )
    at = packing.parameters(optimum.x)
    if unseen is not None and unseen.any() and not unseen.all():
        alpha = np.where(unseen, at.alpha[~unseen].mean(), at.alpha)
        at = Parameters(at.network, at.level, alpha, at.beta, at.gamma)
    total = loss(with_control(at))[0] + penalty(at.network, setting)[0]
    return Fit(at, total, bool(optimum.success))


def with_control(at: Parameters) -> Parameters:
    """Put a delay for the control in front, which answers nothing."""
    return Parameters(at.network, at.level, np.concatenate([[0.0], at.alpha]), at.beta, at.gamma)


def _objective(loss: SeriesLoss, packing: _Packing, setting: Setting) -> Callable[[Array], tuple[float, Array]]:
    l1 = setting.C * setting.l1_ratio * setting.n_k
    l2 = setting.C * (1.0 - setting.l1_ratio)

    def value(vector: Array) -> tuple[float, Array]:
        at = packing.parameters(vector)
        error, by = loss(with_control(at))
        if packing.split:
            squares, by_squares = power_penalty(at.network, setting.n_k)
            paid, slope = l2 * squares + l1 * packing.size(vector), l2 * by_squares
        else:
            paid, slope = penalty(at.network, setting)
        return error + paid, packing.gradient(by, slope, l1)

    return value


class _Packing:
    """Parameters as one vector: the network without its diagonal (twice if split), levels, delays, speed, delay."""

    def __init__(self, like: Parameters, *, split: bool) -> None:
        self.n_genes, self.n_times = len(like.network), len(like.level)
        self.split = split
        self.off = ~np.eye(self.n_genes, dtype=bool)
        self.n_edges = int(self.off.sum())
        self.n_network = self.n_edges * (2 if split else 1)
        self.n = self.n_network + self.n_times * self.n_genes + len(like.alpha) + 2

    def vector(self, at: Parameters) -> Array:
        edges = at.network[self.off]
        parts = [np.maximum(edges, 0.0), np.maximum(-edges, 0.0)] if self.split else [edges]
        return np.concatenate([*parts, at.level.ravel(), at.alpha, [at.beta, at.gamma]])

    def size(self, vector: Array) -> float:
        return float(vector[: self.n_network].sum())

    def parameters(self, vector: Array) -> Parameters:
        edges = vector[: self.n_edges]
        if self.split:
            edges = edges - vector[self.n_edges : self.n_network]
        network = np.zeros((self.n_genes, self.n_genes))
        network[self.off] = edges
        end = self.n_network + self.n_times * self.n_genes
        level = vector[self.n_network : end].reshape(self.n_times, self.n_genes)
        return Parameters(network, level, vector[end:-2], float(vector[-2]), float(vector[-1]))

    def gradient(self, by: ParameterGradient, slope: Array, l1: float) -> Array:
        edges = (by.network + slope)[self.off]
        parts = [edges + l1, l1 - edges] if self.split else [edges]
        return np.concatenate([*parts, by.level.ravel(), by.alpha[1:], [by.beta, by.gamma]])

    def bounds(self, most: tuple[float, float]) -> Bounds:
        n_levels = self.n_times * self.n_genes
        n_delays = self.n - self.n_network - n_levels - 2
        sizes = [self.n_network, n_levels, n_delays, 2]
        low = np.repeat([0.0 if self.split else -most[0], -most[1], -_MOST_DELAY, SMALL], sizes)
        return Bounds(low, np.repeat([*most, _MOST_DELAY, _MOST_SPEED], sizes))


def refit(screen: Screen, setting: Setting, start: Start, seed: int, number: int) -> Array:
    """Network (G, G) of one bootstrap sample: cells drawn within their block.

    Efficiencies and doses are estimated anew, and the fit starts from ``start``. In parity the control stays,
    only expression is drawn while doses stay with their place, and the start is random.
    """
    random = child(seed, "renge", "bootstrap", str(number))
    drawn = Screen(
        screen.values[screen.drawn(random, controls=not setting.parity)], screen.sizes, screen.knocked, screen.times
    )
    if setting.parity:
        dose = doses(screen.values, screen)
        blocks = blocks_of(drawn.values, dose, screen.sizes)
        start = random_start(start_of(blocks, screen.knocked), random)
    else:
        blocks = moments(drawn)
    return fit(blocks, screen, setting, start).at.network


def scores(screen: Screen, blocks: BlockMoments, setting: Setting, folds: Array, starts: list[Start]) -> Array:
    """Share of variance explained in blocks left out, fold by fold (n_folds,).

    Parameters
    ----------
    screen, blocks
        Inputs, and moments of all cells.
    setting
        What is tried.
    folds
        Fold of every block (S, T).
    starts
        Start for every fold.
    """
    shares = []
    for fold, start in enumerate(starts):
        left = folds == fold
        unused = ((blocks.count > 0) & ~left)[1:].sum(axis=1) == 0
        at = fit(blocks.keep(~left), screen, setting, start, unseen=None if setting.parity else unused).at
        loss = SeriesLoss(blocks, screen.inputs, screen.observed, screen.times, setting.n_k)
        shares.append(explained(blocks.keep(left), screen.observed, at.level, loss.predict(with_control(at))))
    return np.array(shares)


@dataclass(frozen=True)
class Trial:
    """Scores of a point in the space of settings; ``fixed`` are those that are not searched for."""

    screen: Screen
    blocks: BlockMoments
    folds: Array
    starts: list[Start]
    fixed: dict[str, float]
    parity: bool

    def __call__(self, point: dict[str, float]) -> Array:
        """The scores, fold by fold."""
        at = {**self.fixed, **point}
        setting = Setting(at["C"], at["l1_ratio"], int(at["n_k"]), self.parity, _TRIAL_ITERATIONS)
        return scores(self.screen, self.blocks, setting, self.folds, self.starts)


def floor(screen: Screen, blocks: BlockMoments, folds: Array) -> float:
    """Score of the prediction that a knock-out changes nothing: the mean of every gene at every time."""
    shares = []
    for fold in range(int(folds.max()) + 1):
        left = folds == fold
        seen = blocks.keep(~left)
        weight = seen.count[..., None] * screen.observed[:, None]
        levels = (weight * seen.mean).sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0)
        shares.append(explained(blocks.keep(left), screen.observed, levels, np.zeros_like(blocks.mean)))
    return float(np.mean(shares))
