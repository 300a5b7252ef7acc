"""Ridge regression of many targets on one set of regulators, each without itself, from one factorisation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from grn._core.blocks import HERE, Workers, in_blocks
from grn._kernels.arrays import arrays_on
from grn._kernels.ridge import blocks, plain_ridge

# penalties tried by cross-validation, as multiples of regulators per cell
_GRID = 10.0 ** np.linspace(-3, 2, 21)


def multi_ridge(
    gram: np.ndarray, cross: np.ndarray, own: np.ndarray, alpha: float, *, device: str | None = None
) -> np.ndarray:
    r"""Ridge coefficients of every target on all regulators but itself.

    With :math:`P = (R + \alpha I)^{-1}` a target outside the regulators has :math:`\beta = P r`; a target that is
    regulator j has :math:`\beta_i = -P_{ij} / P_{jj}`, the solution without row and column j.

    Parameters
    ----------
    gram
        Correlations of the regulators (S, S).
    cross
        Correlations of regulators with targets (S, T).
    own
        Position of every target among the regulators (T,), -1 for none.
    alpha
        Penalty, above 0: minimised is the mean squared residual of standardised values plus
        ``alpha * sum(beta**2)``.
    device
        Torch device that solves; ``None`` computes with numpy.

    Returns
    -------
    ndarray
        Standardised coefficients (S, T), 0 for a target on itself. Cost: one factorisation of S^3 and S^2 T.
    """
    where = arrays_on(device)
    solve = where.definite(where.put(gram) + alpha * where.eye(len(gram)))
    coefficients = where.take(solve(where.put(cross)))
    regulators = own >= 0
    if regulators.any():
        inverse = where.take(solve(where.eye(len(gram))))
        places = own[regulators]
        coefficients[:, regulators] = -inverse[:, places] / np.diag(inverse)[places]
        coefficients[places, np.flatnonzero(regulators)] = 0.0
    return coefficients


def masked_ridge(
    gram: np.ndarray,
    cross: np.ndarray,
    allowed: Sequence[np.ndarray],
    alpha: float,
    *,
    device: str | None = None,
    workers: Workers = HERE,
) -> np.ndarray:
    """Ridge coefficients (S, T) of every target on the regulators listed for it; 0 elsewhere.

    Parameters
    ----------
    gram, cross, alpha, device
        As in :func:`multi_ridge`.
    allowed
        Positions of the regulators of every target.
    workers
        Who computes where there is no device; changes speed only.
    """
    coefficients = np.zeros(cross.shape)
    if sum(map(len, allowed)):
        targets = np.repeat(np.arange(len(allowed)), [len(part) for part in allowed])
        values = plain_ridge(gram, cross, allowed, alpha, device=device, workers=workers)
        coefficients[np.concatenate(allowed), targets] = values
    return coefficients


def choose_alpha(
    gram: np.ndarray,
    cross: np.ndarray,
    own: np.ndarray,
    count: int,
    allowed: Sequence[np.ndarray] | None = None,
    *,
    device: str | None = None,
    workers: Workers = HERE,
) -> float:
    """Penalty of least generalised cross-validation error (Golub, Heath and Wahba 1979), summed over targets.

    Parameters
    ----------
    gram, cross, own, device
        As in :func:`multi_ridge`.
    count
        Number of cells.
    allowed
        Positions of the regulators of every target; all but itself by default.
    workers
        Who computes where targets have regulators of their own and there is no device; changes speed only.

    Returns
    -------
    float
        One of 21 penalties. Cost: one eigendecomposition and S^2 T operations, or one small one per target.
    """
    size = len(gram) if allowed is None else max(1.0, float(np.mean([len(part) for part in allowed])))
    grid = _GRID * size / count
    where = arrays_on(device)
    if allowed is None:
        values, vectors = where.xp.linalg.eigh(where.put(gram))
        values = where.take(values).clip(0.0)
        squares = where.take(((vectors.T @ where.put(cross[:, own < 0])) ** 2).sum(1))
        own_squares = np.square(where.take(vectors)[own[own >= 0]])
        errors = _errors(values, squares, int((own < 0).sum()), count, grid)
        errors = errors + _own_errors(values, own_squares, count, grid)
    else:
        todo = list(blocks(allowed))
        parts = ((sets, cross[sets[:, :, None], members[:, None, :]]) for sets, members in todo)
        work = partial(_errors_of_sets, count=count, grid=grid, device=device)
        who = workers if device is None else HERE
        errors = sum(in_blocks(work, gram, parts, who, total=len(todo)), np.zeros(len(grid)))
    return float(grid[np.argmin(errors)])


def _errors_of_sets(
    gram: np.ndarray,
    block: tuple[np.ndarray, np.ndarray],
    *,
    count: int,
    grid: np.ndarray,
    device: str | None,
) -> np.ndarray:
    """Sum of the error at every penalty over targets with regulators (k, p), from their correlations (k, p, r)."""
    (sets, side), where = block, arrays_on(device)
    values, vectors = where.xp.linalg.eigh(where.put(gram[sets[:, :, None], sets[:, None, :]]))
    turned = where.xp.einsum("kpq,kpr->kqr", vectors, where.put(side))
    values, squares = where.take(values).clip(0.0), where.take((turned**2).sum(-1))
    parts = zip(values, squares, strict=True)
    total: np.ndarray = np.sum([_errors(*part, side.shape[-1], count, grid) for part in parts], axis=0)
    return total


def _errors(values: np.ndarray, squares: np.ndarray, n_targets: int, count: int, grid: np.ndarray) -> np.ndarray:
    """Sum over targets of the error at every penalty.

    From the eigenvalues (S,) and the squares (S,) of the targets in their basis, summed over targets.
    """
    penalised = grid[:, None] + values
    # residual variance of a standardised target: 1 - sum_k c_k^2 (d_k + 2 a) / (d_k + a)^2
    left = n_targets - ((penalised + grid[:, None]) / penalised**2) @ squares
    return _validated(left.clip(0.0), (values / penalised).sum(axis=1), count)


def _own_errors(values: np.ndarray, squares: np.ndarray, count: int, grid: np.ndarray) -> np.ndarray:
    """The same for targets that are regulators, each without itself, from its squared coordinates (n, S)."""
    errors = np.zeros(len(grid))
    for k, alpha in enumerate(grid):
        shrunk = 1.0 / (values + alpha)
        diagonal, second = squares @ shrunk, squares @ shrunk**2
        left = (1.0 / diagonal - alpha * second / diagonal**2).clip(0.0)
        used = len(values) - 1 - alpha * (shrunk.sum() - second / diagonal)
        errors[k] = _validated(left, used, count).sum()
    return errors


def _validated(left: np.ndarray, used: np.ndarray, count: int) -> np.ndarray:
    """Residual variance over the squared share of free cells; infinite when no cell is free."""
    free = 1.0 - (used + 1.0) / count
    return np.where(free > 1e-6, left / np.where(free > 1e-6, free, 1.0) ** 2, np.inf)
