"""Truncated power series of a network with blocked genes, and how well they explain blocks of cells.

An input x (one gene pushed by a dose, or several) spreads through a network A (row = target, column = regulator), while
the genes that an experiment holds fixed pass nothing on::

    v_0 = A x,   v_j = A (p * v_{j-1}),   answer at a time = sum_j w_j v_j

The answers are linear in the dose. So the squared error of all cells that share an input and a time follows from six
numbers per gene of that block (:class:`BlockMoments`), exactly, however many cells there are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

Array = np.ndarray


@dataclass(frozen=True)
class BlockMoments:
    """Moments of the cells of every (input, time) block: S inputs, T times, G genes.

    Parameters
    ----------
    count
        Cells (S, T); 0 for a block that does not exist.
    dose
        Mean dose (S, T).
    spread
        Centred squares of the dose (S, T).
    mean
        Mean expression (S, T, G).
    cross
        Centred products of dose and expression (S, T, G).
    square
        Centred squares of expression (S, T, G).
    """

    count: Array
    dose: Array
    spread: Array
    mean: Array
    cross: Array
    square: Array

    def keep(self, chosen: Array) -> BlockMoments:
        """The same blocks with those that are not chosen (S, T, boolean) emptied."""
        tables = (getattr(self, field.name) for field in fields(self))
        return BlockMoments(*(np.where(chosen if t.ndim == 2 else chosen[..., None], t, 0.0) for t in tables))


def blocks_of(values: Array, dose: Array, sizes: Array) -> BlockMoments:
    """Moments of cells that lie block after block.

    Parameters
    ----------
    values
        Expression (n, G), cells of block (0, 0) first, then (0, 1), ...
    dose
        Dose of every cell (n,).
    sizes
        Number of cells of every block (S, T); zeros allowed.

    Returns
    -------
    BlockMoments
        In float64. Cost: O(n G).
    """
    flat = sizes.ravel()
    n = np.maximum(flat, 1)
    code = np.repeat(np.arange(len(flat)), flat)
    mean_dose = sums(dose[:, None], flat) / n[:, None]
    mean = sums(values, flat) / n[:, None]
    off_dose, off = dose[:, None] - mean_dose[code], values - mean[code]
    spread, cross, square = (sums(part, flat) for part in (off_dose**2, off_dose * off, off**2))
    shape = (*sizes.shape, -1)
    return BlockMoments(
        sizes.astype(np.float64),
        mean_dose.reshape(sizes.shape),
        spread.reshape(sizes.shape),
        mean.reshape(shape),
        cross.reshape(shape),
        square.reshape(shape),
    )


def sums(values: Array, sizes: Array) -> Array:
    """Sum the rows (n, G) of consecutive blocks with the given sizes (B,), zeros allowed; float64 (B, G)."""
    out = np.zeros((len(sizes), values.shape[1]))
    there = sizes > 0
    if there.any():
        starts = (np.cumsum(sizes) - sizes)[there]
        out[there] = np.add.reduceat(np.asarray(values, dtype=np.float64), starts, axis=0)
    return out


def series_terms(matrix: Array, inputs: Array, passes: Array, depth: int) -> Array:
    """Terms v_0 ... v_{depth-1} of the series.

    Parameters
    ----------
    matrix
        Network (G, G), row = target.
    inputs
        One input per row (S, G).
    passes
        1 where a gene passes a change on under an input, 0 where it is held (S, G).
    depth
        Number of terms: the longest path that counts.

    Returns
    -------
    ndarray
        (S, depth, G). Cost: ``depth * S * G^2``.
    """
    out = np.empty((len(inputs), depth, len(matrix)))
    out[:, 0] = inputs @ matrix.T
    for j in range(1, depth):
        out[:, j] = (passes * out[:, j - 1]) @ matrix.T
    return out


def series_gradient(matrix: Array, inputs: Array, passes: Array, terms: Array, by_terms: Array) -> Array:
    """Derivative with respect to the network (G, G), given that with respect to the terms (S, depth, G)."""
    depth = terms.shape[1]
    total = np.zeros_like(matrix)
    by_term = by_terms[:, depth - 1]
    for j in range(depth - 1, 0, -1):
        total += by_term.T @ (passes * terms[:, j - 1])
        by_term = by_terms[:, j - 1] + passes * (by_term @ matrix)
    return np.asarray(total + by_term.T @ inputs)


def path_weights(alpha: Array, beta: float, gamma: float, times: Array, depth: int) -> Array:
    """How far paths of every length have come: sigma(alpha_s + beta t - gamma j), shape (S, T, depth)."""
    return np.asarray(expit(alpha[:, None, None] + beta * times[:, None] - gamma * np.arange(depth)))


def power_penalty(matrix: Array, depth: int) -> tuple[float, Array]:
    """Sum of the squared Frobenius norms of A, A^2, ..., A^depth, and its derivative (G, G)."""
    powers = [matrix]
    for _ in range(depth - 1):
        powers.append(powers[-1] @ matrix)
    value = float(sum((power**2).sum() for power in powers))
    total = np.zeros_like(matrix)
    by_power = 2.0 * powers[-1]
    for power in powers[-2::-1]:
        total += power.T @ by_power
        by_power = 2.0 * power + by_power @ matrix.T
    return value, total + by_power


@dataclass(frozen=True)
class Parameters:
    """Network A (G, G), levels b (T, G), delays alpha (S,), speed beta and delay gamma per step of a path."""

    network: Array
    level: Array
    alpha: Array
    beta: float
    gamma: float


@dataclass(frozen=True)
class ParameterGradient:
    """Derivatives in the shapes of :class:`Parameters`."""

    network: Array
    level: Array
    alpha: Array
    beta: float
    gamma: float


class SeriesLoss:
    """Weighted squared error of the series over blocks of cells, without looking at cells again.

    Parameters
    ----------
    blocks
        Moments of the cells.
    inputs
        One input of unit dose per row (S, G); zeros for the control.
    observed
        1 where the expression of a gene counts under an input, 0 where it does not (S, G). The same genes pass on.
    times
        Times (T,).
    depth
        Longest path.

    Notes
    -----
    A cell at time t counts 1 / n_t, with n_t the cells of that time. Cost of a look: ``S G (T depth + depth G)``.
    """

    def __init__(self, blocks: BlockMoments, inputs: Array, observed: Array, times: Array, depth: int) -> None:
        self.inputs, self.observed, self.times, self.depth = inputs, observed, times, depth
        cells = blocks.count.sum(axis=0)
        share = (blocks.count > 0) / np.where(cells > 0, cells, 1.0)
        weight = share[..., None] * observed[:, None]
        self._mean, self._dose = blocks.mean, blocks.dose[..., None]
        self._count = weight * blocks.count[..., None]
        self._cross = weight * blocks.cross
        self._spread = weight * blocks.spread[..., None]
        self._least = float((weight * blocks.square).sum())

    def __call__(self, at: Parameters) -> tuple[float, ParameterGradient]:
        """Error and its derivatives."""
        terms = series_terms(at.network, self.inputs, self.observed, self.depth)
        weights = path_weights(at.alpha, at.beta, at.gamma, self.times, self.depth)
        answer = weights @ terms
        off = self._mean - at.level - self._dose * answer
        pull = self._count * off
        # within a block: what is left of E - dose * answer around its mean
        inner = self._spread * answer
        value = self._least + float((pull * off).sum() + ((inner - 2.0 * self._cross) * answer).sum())
        by_answer = 2.0 * (inner - self._cross - self._dose * pull)
        by_terms = weights.transpose(0, 2, 1) @ by_answer
        by_weights = by_answer @ terms.transpose(0, 2, 1) * weights * (1.0 - weights)
        network = series_gradient(at.network, self.inputs, self.observed, terms, by_terms)
        return value, ParameterGradient(
            network,
            -2.0 * pull.sum(axis=0),
            by_weights.sum(axis=(1, 2)),
            float((by_weights * self.times[:, None]).sum()),
            -float((by_weights * np.arange(self.depth)).sum()),
        )

    def predict(self, at: Parameters) -> Array:
        """Answers to a unit dose (S, T, G), without the levels."""
        terms = series_terms(at.network, self.inputs, self.observed, self.depth)
        return np.asarray(path_weights(at.alpha, at.beta, at.gamma, self.times, self.depth) @ terms)


def explained(blocks: BlockMoments, observed: Array, levels: Array, answer: Array) -> float:
    """Share of the variance of the observed cells that a prediction explains.

    The baseline is the mean of every gene over all cells of the blocks, unobserved ones included.

    Parameters
    ----------
    blocks
        Moments of the cells, S inputs and T times.
    observed
        1 where a gene counts under an input (S, G).
    levels
        Expression without input (T, G).
    answer
        Answers to a unit dose (S, T, G).
    """
    there = (blocks.count > 0)[..., None]
    count = blocks.count[..., None]
    centre = (count * blocks.mean).sum(axis=(0, 1)) / count.sum()
    off = blocks.mean - levels - blocks.dose[..., None] * answer
    inner = blocks.square - 2.0 * blocks.cross * answer + blocks.spread[..., None] * answer**2
    weight = there * observed[:, None]
    left = float((weight * (count * off**2 + inner)).sum())
    total = float((weight * (count * (blocks.mean - centre) ** 2 + blocks.square)).sum())
    return 1.0 - left / total if total > 0 else 0.0
