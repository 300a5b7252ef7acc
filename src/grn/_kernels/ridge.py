"""Ridge regression of many targets, each on regulators of its own, from centred products of the cells.

All functions solve ``min_b |y - X b|^2 + alpha |b|^2`` with an intercept that is not penalised; with products
``S = X'X`` and ``c = X'y`` of centred values that is ``b = (S + alpha I)^-1 c``. Targets that share their regulators
share one factorisation; the others are solved in batches of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg import solve as solve_one

from grn._core.blocks import HERE, Workers, in_blocks
from grn._core.logging import progress
from grn._kernels.arrays import arrays_on
from grn._kernels.scatter import BLOCK, Rows, blocks_of

# systems above this size are factorised one by one, by Cholesky; below it, calls cost more than the arithmetic
SMALL = 48
# numbers a batch of systems may hold
VALUES = 4_000_000

Draw = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of all targets on their regulators, target after target.

    Parameters
    ----------
    mean, variance
        Mean and variance of a coefficient (E,): over bags, or of its posterior.
    pvalue
        Two-sided probability of such a mean where the coefficient is zero (E,).
    """

    mean: np.ndarray
    variance: np.ndarray
    pvalue: np.ndarray


def plain_ridge(
    inner: np.ndarray,
    cross: np.ndarray,
    regulators: Sequence[np.ndarray],
    alpha: float,
    *,
    device: str | None = None,
    workers: Workers = HERE,
) -> np.ndarray:
    """Ridge coefficients of all targets on their regulators, target after target (E,).

    Parameters
    ----------
    inner, cross
        Centred products among regulators (T, T), and of regulators with targets (T, G).
    regulators
        Rows of the regulators of every target (G of them).
    alpha
        Penalty, above 0.
    device
        Torch device that solves; ``None`` computes with numpy.
    workers
        Who computes where there is no device; changes speed only.
    """
    starts = _starts(regulators)
    values = np.empty(starts[-1])
    todo = list(blocks(regulators))
    parts = ((sets, cross[sets[:, :, None], members[:, None, :]]) for sets, members in todo)
    who = workers if device is None else HERE
    done = in_blocks(partial(_plain, alpha=alpha, device=device), inner, parts, who, total=len(todo))
    for (sets, members), solved in zip(todo, done, strict=True):
        values[_slots(starts, members, sets.shape[1])] = solved
    return values


def _plain(inner: np.ndarray, block: tuple[np.ndarray, np.ndarray], *, alpha: float, device: str | None) -> np.ndarray:
    """Coefficients (k, p, r) of a block from its products with its targets."""
    sets, side = block  # (k, p), (k, p, r)
    return _solved(inner[sets[:, :, None], sets[:, None, :]], side, alpha, device)


def bag_products(
    rows: Rows,
    cells: np.ndarray,
    regulators: np.ndarray,
    targets: np.ndarray,
    counts: np.ndarray,
    centre: np.ndarray,
) -> np.ndarray:
    """Centred products of regulators with targets in every bag of cells.

    Parameters
    ----------
    rows
        Gives the values (k, n_vars) of some cells.
    cells
        Positions of the cells (n,).
    regulators, targets
        Columns of the regulators (T,) and the targets (G,).
    counts
        How often every bag holds every cell (B, n).
    centre
        Values near the means (n_vars,), taken off first so that large means do not drown small variances.

    Returns
    -------
    ndarray
        ``sum_c w_c (x_c - m)(y_c - m)'`` with the means of the bag, (B, T, G) float64. Cost: B n T G operations.
    """
    products = np.zeros((len(counts), len(regulators), len(targets)))
    left, right = np.zeros((len(counts), len(regulators))), np.zeros((len(counts), len(targets)))
    counts = np.asarray(counts, dtype=np.float64)
    for start, block in zip(range(0, len(cells), BLOCK), blocks_of(rows, cells, BLOCK), strict=True):
        part = slice(start, start + BLOCK)
        left_part = block[:, regulators] - centre[regulators]
        two = block[:, targets] - centre[targets]
        left += counts[:, part] @ left_part
        right += counts[:, part] @ two
        for bag, weight in enumerate(counts[:, part]):
            products[bag] += (left_part * weight[:, None]).T @ two
    total = counts.sum(axis=1)[:, None]
    products -= (left / total)[:, :, None] * right[:, None, :]
    return products


def bagging_ridge(
    inner: np.ndarray,
    cross: np.ndarray,
    regulators: Sequence[np.ndarray],
    draw: Draw,
    alpha: float,
    *,
    workers: Workers = HERE,
) -> Coefficients:
    """Ridge coefficients over bags of cells and random subsets of the regulators.

    Parameters
    ----------
    inner
        Centred products of the regulators among each other in every bag (B, T, T).
    cross
        Those of the regulators with the targets (B, T, G).
    regulators
        Rows of the regulators of every target (G of them).
    draw
        Gives for the regulators (p,) of a target the places (B, m) in that list which every bag uses.
    alpha
        Penalty, above 0.
    workers
        Who computes; changes speed only.

    Returns
    -------
    Coefficients
        Mean and variance over the bags that drew the regulator; p-values of a t-test of the bag coefficients against
        zero, 1 where fewer than two bags drew it. Cost: B solves of m x m per set of regulators.
    """
    starts = _starts(regulators)
    coefficients = Coefficients(np.zeros(starts[-1]), np.zeros(starts[-1]), np.ones(starts[-1]))

    todo = list(blocks(regulators, bags=len(inner)))
    parts = (
        (sets, cross[:, sets[:, :, None], members[:, None, :]], np.stack([draw(rows) for rows in sets]))
        for sets, members in todo
    )
    done = in_blocks(partial(_bagged, alpha=alpha), inner, parts, workers, total=len(todo))
    for (sets, members), values in zip(todo, progress(done, total=len(todo), desc="regressions"), strict=True):
        slots = _slots(starts, members, sets.shape[1])
        coefficients.mean[slots], coefficients.variance[slots], coefficients.pvalue[slots] = values
    return coefficients


def _bagged(
    inner: np.ndarray, block: tuple[np.ndarray, np.ndarray, np.ndarray], *, alpha: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and p-value (k, p, r) of a block, from its products with its targets and the places it draws."""
    sets, side, places = block  # (k, p), (B, k, p, r), (k, B, m)
    return _t_test(_over_bags(inner, side, sets, places, alpha))


def open_bagging_ridge(
    inner: np.ndarray, cross: np.ndarray, own: np.ndarray, scale: np.ndarray, places: np.ndarray, alpha: float
) -> Coefficients:
    r"""Bagging ridge where every target may have every regulator but itself: one factorisation per bag.

    With :math:`P = (S + \alpha I)^{-1}` on the regulators of a bag, a target outside has :math:`\beta = P c`; one that
    is regulator j has :math:`\beta_i = -P_{ij} / P_{jj}`, the solution without row and column j.

    Parameters
    ----------
    inner, cross
        Centred products in every bag as in :func:`bagging_ridge`, of scaled regulators.
    own
        Row of every target among the regulators (G,), -1 for none.
    scale
        What a target that is a regulator was divided by as a regulator (G,).
    places
        Regulators that every bag uses (B, m).
    alpha
        Penalty, above 0.

    Returns
    -------
    Coefficients
        As :func:`bagging_ridge`, for all regulators of a target in order, itself left out. Cost: B solves of m x m and
        B m^2 G operations; memory three matrices (T, G).
    """
    shape = cross.shape[1:]
    mean, squares, n = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    bags = zip(inner, cross, places, strict=True)
    for square, wide, rows in progress(bags, total=len(places), desc="bags"):
        factor = cho_factor(square[np.ix_(rows, rows)] + alpha * np.eye(len(rows)), check_finite=False)
        solution = cho_solve(factor, wide[rows], check_finite=False)
        at = np.full(shape[0] + 1, -1)
        at[rows] = np.arange(len(rows))
        inside = np.flatnonzero(at[own] >= 0)
        spot = at[own[inside]]
        inverse = cho_solve(factor, np.eye(len(rows)), check_finite=False)
        solution[:, inside] = -inverse[:, spot] / inverse[spot, spot] * scale[inside]
        drawn = np.ones(solution.shape, dtype=bool)
        drawn[spot, inside] = False
        n[rows] += drawn
        step = np.where(drawn, solution - mean[rows], 0.0)
        mean[rows] += step / np.maximum(n[rows], 1)
        squares[rows] += step * np.where(drawn, solution - mean[rows], 0.0)
    other = np.ones(shape, dtype=bool)
    other[own[own >= 0], np.flatnonzero(own >= 0)] = False
    return Coefficients(*(part.T[other.T] for part in _tested(mean, squares, n)))


def bayesian_ridge(
    inner: np.ndarray,
    cross: np.ndarray,
    squares: np.ndarray,
    n_cells: int,
    regulators: Sequence[np.ndarray],
    *,
    workers: Workers = HERE,
) -> Coefficients:
    """Bayesian ridge: penalty and noise of every target by evidence maximisation.

    Parameters
    ----------
    inner, cross
        Centred products among regulators (T, T), and of regulators with targets (T, G).
    squares
        Centred sum of squares of every target (G,).
    n_cells
        Number of cells.
    regulators
        Rows of the regulators of every target (G of them).
    workers
        Who computes; changes speed only.

    Returns
    -------
    Coefficients
        Posterior mean and variance; p-values of a normal posterior. The updates of MacKay (1992) with the priors,
        start and stop of scikit-learn's ``BayesianRidge``. Cost: one eigen-decomposition per set of regulators.
    """
    starts = _starts(regulators)
    coefficients = Coefficients(np.zeros(starts[-1]), np.zeros(starts[-1]), np.ones(starts[-1]))
    todo = list(blocks(regulators))
    parts = ((sets, cross[sets[:, :, None], members[:, None, :]], squares[members]) for sets, members in todo)
    done = in_blocks(partial(_bayesian, n_cells=n_cells), inner, parts, workers, total=len(todo))
    for (sets, members), values in zip(todo, progress(done, total=len(todo), desc="regressions"), strict=True):
        mean, variance = values
        slots = _slots(starts, members, sets.shape[1])
        coefficients.mean[slots], coefficients.variance[slots] = mean, variance
        coefficients.pvalue[slots] = 2 * special.ndtr(-np.abs(mean) / np.sqrt(variance))
    return coefficients


def _bayesian(
    inner: np.ndarray, block: tuple[np.ndarray, np.ndarray, np.ndarray], *, n_cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and variance (k, p, r) of a block, from its products with its targets and their squares."""
    sets, side, squares = block  # (k, p), (k, p, r), (k, r)
    values, vectors = np.linalg.eigh(inner[sets[:, :, None], sets[:, None, :]])
    turned = vectors.transpose(0, 2, 1) @ side
    return _evidence(np.maximum(values, 0.0), vectors, turned, squares, n_cells)


def blocks(regulators: Sequence[np.ndarray], *, bags: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Group targets by what they share.

    Yields regulator sets (k, p) and the places (k, r) of the targets that have each: one set and its many targets, or
    many sets of one size with one target each. Targets without regulators are left out.
    """
    shared: dict[bytes, list[int]] = {}
    for place, rows in enumerate(regulators):
        if len(rows):
            shared.setdefault(np.asarray(rows, dtype=np.int64).tobytes(), []).append(place)
    single: dict[int, list[int]] = {}
    for key, members in shared.items():
        rows = np.frombuffer(key, dtype=np.int64)
        if len(members) == 1:
            single.setdefault(len(rows), []).append(members[0])
            continue
        step = max(1, VALUES // (bags * len(rows)))
        for start in range(0, len(members), step):
            yield rows[None], np.array(members[start : start + step])[None]
    for size, places in single.items():
        step = max(1, VALUES // (size * (size + bags)))
        for start in range(0, len(places), step):
            part = places[start : start + step]
            yield np.stack([regulators[i] for i in part]).astype(np.int64), np.array(part)[:, None]


def _starts(regulators: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(rows) for rows in regulators], dtype=np.int64)]).astype(np.int64)


def _slots(starts: np.ndarray, members: np.ndarray, size: int) -> np.ndarray:
    """Places (k, p, r) of the coefficients of a block in the flat result."""
    slots: np.ndarray = starts[members][:, None, :] + np.arange(size)[None, :, None]
    return slots


def _solved(inner: np.ndarray, cross: np.ndarray, alpha: float, device: str | None = None) -> np.ndarray:
    """Solve (k, p, p) systems with r right-hand sides each; ``inner`` is overwritten."""
    size = inner.shape[-1]
    if device is not None:
        where = arrays_on(device)
        return where.take(where.definite(where.put(inner) + alpha * where.eye(size))(where.put(cross)))
    inner[:, np.arange(size), np.arange(size)] += alpha
    if size <= SMALL:
        return np.linalg.solve(inner, cross)
    return np.stack([solve_one(a, b, assume_a="pos", check_finite=False) for a, b in zip(inner, cross, strict=True)])


def _over_bags(inner: np.ndarray, cross: np.ndarray, sets: np.ndarray, places: np.ndarray, alpha: float) -> np.ndarray:
    """Coefficients (B, k, p, r) of a block in every bag; NaN where the bag did not draw the regulator."""
    n_bags, (k, size), r = len(inner), sets.shape, cross.shape[-1]
    values = np.full((n_bags, k, size, r), np.nan)
    chosen = np.take_along_axis(sets[:, None, :], places, axis=2).transpose(1, 0, 2)
    at = places.transpose(1, 0, 2)[..., None]  # (B, k, m, 1)
    step = max(1, VALUES // (k * size * (size + r)))
    for start in range(0, n_bags, step):
        some = slice(start, start + step)
        bag = np.arange(n_bags)[some, None, None, None]
        rows = chosen[some, :, :, None]
        part = inner[bag, rows, chosen[some, :, None, :]]
        side = np.take_along_axis(cross[some], at[some], axis=2)
        m = part.shape[-1]
        solved = _solved(part.reshape(-1, m, m), side.reshape(-1, m, r), alpha).reshape(side.shape)
        np.put_along_axis(values[some], at[some], solved, axis=2)
    return values


def _t_test(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and p-value along the first axis, where NaN is not drawn."""
    drawn = ~np.isnan(values)
    n = drawn.sum(axis=0)
    mean = np.where(drawn, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(drawn, (values - mean) ** 2, 0.0).sum(axis=0)
    return _tested(mean, squares, n)


def _tested(mean: np.ndarray, squares: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and p-value from means, sums of squared deviations and numbers."""
    variance = squares / np.maximum(n - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / np.sqrt(variance / np.maximum(n, 1))
        pvalue = 2 * special.stdtr(n - 1, -np.abs(t))
    return mean, variance, np.where((n < 2) | np.isnan(pvalue), 1.0, pvalue)


def _evidence(
    values: np.ndarray, vectors: np.ndarray, turned: np.ndarray, squares: np.ndarray, n_cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and variance (k, p, r) in the eigenbasis of the products; every target stops on its own."""
    prior, limit, rounds = 1e-6, 1e-3, 300
    eigen = values[:, :, None]
    noise = 1.0 / (squares / n_cells + np.finfo(np.float64).eps)
    weight = np.ones_like(noise)
    active = np.ones(noise.shape, dtype=bool)
    before = np.zeros_like(turned)
    for turn in range(rounds):
        inside = turned / (eigen + (weight / noise)[:, None, :])
        posterior = vectors @ inside
        error = np.maximum(squares + ((eigen * inside - 2 * turned) * inside).sum(axis=1), 0.0)
        scaled = noise[:, None, :] * eigen
        fitted = (scaled / (weight[:, None, :] + scaled)).sum(axis=1)
        weight = np.where(active, (fitted + 2 * prior) / ((posterior**2).sum(axis=1) + 2 * prior), weight)
        noise = np.where(active, (n_cells - fitted + 2 * prior) / (error + 2 * prior), noise)
        if turn:
            active &= np.abs(before - posterior).sum(axis=1) >= limit
        if not active.any():
            break
        before = posterior
    spread = 1.0 / (eigen + (weight / noise)[:, None, :])
    return vectors @ (turned * spread), (vectors**2) @ spread / noise[:, None, :]
