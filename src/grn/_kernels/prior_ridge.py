r"""Ridge regression of many targets in which every regulator has a penalty of its own, by how likely its edge is.

Genes are standardised. For one target with correlations R among the regulators (S, S) and r with them (S,), minimised
is the mean squared residual plus :math:`\alpha \sum_i \beta_i^2 / d_i`, where the shares :math:`d_i` are 1 on average
over the regulators that the target may have. This is the mode of a normal prior :math:`\beta_i \sim N(0, \sigma^2 d_i /
(n \alpha))`, and the likelihood without the coefficients, :math:`y \sim N(0, \sigma^2 (I + X D X' / (n \alpha)))`, says
which :math:`\alpha` and which shares the cells support.

All of it is done with :math:`M = Z D Z'`, where :math:`R = Z'Z` and Z (r, S) has as many rows as R has rank: at most
the number of cells less one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from grn._core.blocks import HERE, Workers, in_blocks
from grn._kernels.arrays import Arrays, arrays_on

# exponents of the prior probability that are tried; 0 is ridge
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
# penalties tried, as multiples of regulators per cell
_GRID = 10.0 ** np.linspace(-3, 3, 61)
# log evidence that a prior must gain over none: a Bayes factor of 20
LEAST_GAIN = float(np.log(20.0))
# numbers a block of systems may hold; part of no result
_VALUES = 1_000_000
# trials in a row without a better one, after which stronger priors are not tried
_PATIENCE = 2


@dataclass(frozen=True)
class Regressions:
    """Targets on regulators, standardised.

    Parameters
    ----------
    gram
        Correlations of the regulators (S, S).
    cross
        Correlations of regulators with targets (S, T).
    allowed
        Regulators that a target may have (T, S).
    count
        Number of cells.
    """

    gram: np.ndarray
    cross: np.ndarray
    allowed: np.ndarray
    count: int

    def of(self, targets: np.ndarray) -> Regressions:
        """Those of some targets."""
        return Regressions(self.gram, self.cross[:, targets], self.allowed[targets], self.count)


@dataclass(frozen=True)
class Penalty:
    """How regulators are penalised: by ``alpha`` over the share that ``strength`` makes of their probability.

    Parameters
    ----------
    alpha
        Penalty of an edge of average share.
    strength
        Exponent of the prior probability; 0 for no prior.
    gain
        Log evidence over that without a prior, each at its best alpha; NaN where no prior was compared with none.
    """

    alpha: float
    strength: float
    gain: float


def shares(probability: np.ndarray, allowed: np.ndarray, strength: float) -> np.ndarray:
    """Prior variance of every edge (T, S), 1 on average over the regulators of a target; 0 where not allowed.

    Parameters
    ----------
    probability
        Prior probability of every edge (T, S), above 0.
    allowed
        Regulators that a target may have (T, S).
    strength
        Exponent of the probability.
    """
    raw = np.where(allowed, probability**strength, 0.0)
    number = np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    mean = raw.sum(axis=1, keepdims=True) / number
    relative: np.ndarray = raw / np.where(mean > 0, mean, 1.0)
    return relative


def choose(
    data: Regressions,
    probability: np.ndarray,
    *,
    alpha: float | None = None,
    strength: float | None = None,
    device: str | None = None,
    workers: Workers = HERE,
) -> Penalty:
    """Penalty and strength of the prior of most evidence, summed over targets.

    Parameters
    ----------
    data
        The targets whose evidence counts.
    probability
        Prior probability of every edge (T, S), above 0.
    alpha, strength
        Given ones stay.
    device
        Torch device that decomposes and solves; ``None`` computes with numpy.
    workers
        Who computes where there is no device; changes speed only.

    Returns
    -------
    Penalty
        Strength 0 unless the prior gains :data:`LEAST_GAIN`. Cost: for every strength tried one eigen-decomposition
        per target, of as many rows as there are regulators or cells, whichever are fewer.
    """
    size = data.allowed.sum(axis=1).mean() if data.allowed.size else 1.0
    grid = _GRID * max(float(size), 1.0) / data.count if alpha is None else np.array([alpha])
    factor, sides = _factor(data, arrays_on(device))
    best: dict[float, tuple[float, float]] = {}  # log evidence and its alpha, by strength
    for power in STRENGTHS if strength is None else (strength,):
        share = shares(probability, data.allowed, power)
        evidence = _log_evidence(data, factor, sides, share, grid, device, workers)
        at = int(np.argmax(evidence))
        best[power] = float(evidence[at]), float(grid[at])
        values = [value for value, _ in best.values()]
        if len(values) - 1 - int(np.argmax(values)) >= _PATIENCE:
            break
    if strength is not None:
        return Penalty(best[strength][1], float(strength), np.nan)
    supported = max(best, key=lambda power: best[power][0])
    gain = best[supported][0] - best[0.0][0]
    if gain < LEAST_GAIN:
        supported = 0.0
    return Penalty(best[supported][1], supported, gain)


def solve(
    data: Regressions, share: np.ndarray, alpha: float, *, device: str | None = None, workers: Workers = HERE
) -> tuple[np.ndarray, np.ndarray]:
    r"""Coefficients, and what the prior leaves possible beyond them.

    Parameters
    ----------
    data
        Targets and regulators.
    share
        Prior variance of every edge (T, S), see :func:`shares`.
    alpha
        Penalty.
    device
        Torch device that decomposes and solves; ``None`` computes with numpy.
    workers
        Who computes where there is no device; changes speed only.

    Returns
    -------
    coefficient
        Posterior means (T, S), 0 where not allowed.
    excess
        Posterior variance of a coefficient less the one that it would have as the least likely regulator of its target
        (T, S), from what the cells say of it: :math:`1 / (1 / v_i + h_i) - 1 / (1 / v_0 + h_i)`. 0 everywhere without
        a prior. Cost: one system of r equations and S right-hand sides per target.
    """
    factor, sides = _factor(data, arrays_on(device))
    coefficient, excess = np.zeros(share.shape), np.zeros(share.shape)
    parts = _parts(data, len(factor))
    blocks = ((share[part], sides[:, part], data.cross[:, part], data.allowed[part]) for part in parts)
    work = partial(_solved, alpha=alpha, count=data.count, device=device)
    solved = in_blocks(work, factor, blocks, workers if device is None else HERE, total=len(parts))
    for part, (mean, beyond) in zip(parts, solved, strict=True):
        coefficient[part], excess[part] = mean, beyond
    return coefficient, excess


def _solved(
    factor: Any,
    block: tuple[np.ndarray, Any, np.ndarray, np.ndarray],
    *,
    alpha: float,
    count: int,
    device: str | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of some targets and what is possible beyond them (k, S), from Z (r, S)."""
    (share, sides, cross, allowed), where = block, arrays_on(device)  # (k, S), (r, k), (S, k), (k, S)
    likely, einsum = where.put(share), where.xp.einsum
    systems = _products(factor, likely) + alpha * where.eye(len(factor))
    right = where.xp.broadcast_to(factor, (len(likely), *factor.shape))
    inside = where.xp.linalg.solve(systems, right)  # (k, r, S)
    coefficient = where.take(likely * einsum("krs,rk->ks", inside, sides))
    # alpha times the diagonal of the inverse of D^1/2 R D^1/2 + alpha
    free = where.take(1.0 - likely * einsum("krs,rs->ks", inside, factor))
    left = (1.0 - np.einsum("ks,sk->k", coefficient, cross)).clip(0.0, 1.0)
    noise = (left / (count * alpha))[:, None]
    return coefficient, _excess(noise, free.clip(1e-12, 1.0), share, allowed)


def _excess(noise: np.ndarray, free: np.ndarray, share: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Posterior variance (k, S) beyond that of the least likely regulator of every target."""
    least = np.where(allowed, share, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    least = np.where(np.isfinite(least), least, 0.0)
    # with v = d free: 1 / v = (1 + h) / d, where the cells' information h is (1 / free - 1)
    other = least * share / (share + least * (1.0 / free - 1.0) + (share == 0))
    beyond: np.ndarray = np.where(share > least, noise * (share * free - other), 0.0)
    return beyond.clip(0.0)


def _factor(data: Regressions, where: Arrays) -> tuple[Any, Any]:
    """Z (r, S) with R = Z'Z, and q (r, T) with r = Z'q."""
    values, vectors = where.xp.linalg.eigh(where.put(data.gram))
    limit = len(values) * np.finfo(np.float64).eps * max(where.take(values).max(initial=0.0), 1.0)
    nonzero = values > limit
    root = where.xp.sqrt(values[nonzero])[:, None]
    turned = vectors[:, nonzero].T
    return turned * root, (turned @ where.put(data.cross)) / root


def _products(factor: Any, share: Any) -> Any:
    """Z D Z' (k, r, r) of some targets."""
    return (factor[None] * share[:, None, :]) @ factor.T


def _log_evidence(
    data: Regressions,
    factor: Any,
    sides: Any,
    share: np.ndarray,
    grid: np.ndarray,
    device: str | None = None,
    workers: Workers = HERE,
) -> np.ndarray:
    r"""Sum over targets of the log evidence at every penalty, up to a constant.

    The noise is integrated out under its scale-free prior: :math:`-\tfrac{n-1}2 \log(1 - c'(G + \alpha)^{-1} c) -
    \tfrac12 \log |I + G / \alpha|` with :math:`G = D^{1/2} R D^{1/2}`, :math:`c = D^{1/2} r`.
    """
    parts = _parts(data, len(factor))
    blocks = ((share[part], sides[:, part]) for part in parts)
    work = partial(_evidence_of, count=data.count, grid=grid, device=device)
    done = in_blocks(work, factor, blocks, workers if device is None else HERE, total=len(parts))
    total: np.ndarray = np.sum(list(done), axis=0)
    return total


def _evidence_of(
    factor: Any, block: tuple[np.ndarray, Any], *, count: int, grid: np.ndarray, device: str | None
) -> np.ndarray:
    """The sum over some targets, of shares (k, S) and sides (r, k)."""
    (share, sides), where = block, arrays_on(device)
    values, vectors = where.xp.linalg.eigh(_products(factor, where.put(share)))
    squares = where.take(where.xp.einsum("krs,rk->ks", vectors, sides) ** 2)
    values = where.take(values).clip(0.0)  # (k, r)
    logs = np.empty(len(grid))
    for place, alpha in enumerate(grid):
        explained = (squares * values / (values + alpha)).sum(axis=1)
        left = (1.0 - explained).clip(np.finfo(np.float64).eps)
        logs[place] = -0.5 * ((count - 1) * np.log(left).sum() + np.log1p(values / alpha).sum())
    return logs


def _parts(data: Regressions, rank: int) -> list[slice]:
    """Blocks of targets that depend on nothing but the sizes."""
    step = max(1, _VALUES // (max(rank, 1) * (max(rank, 1) + 2 * len(data.gram))))
    n_targets = data.cross.shape[1]
    return [slice(start, min(start + step, n_targets)) for start in range(0, n_targets, step)]
