"""Ridge regression of many targets on one set of regulators, each without itself, from one factorisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# penalties tried by cross-validation, as multiples of regulators per cell
_GRID = 10.0 ** np.linspace(-3, 2, 21)


def multi_ridge(gram: np.ndarray, cross: np.ndarray, own: np.ndarray, alpha: float) -> np.ndarray:
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

    Returns
    -------
    ndarray
        Standardised coefficients (S, T), 0 for a target on itself. Cost: one factorisation of S^3 and S^2 T.
    """
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(gram + alpha * np.eye(len(gram)))
    coefficients: np.ndarray = cho_solve(factor, cross)
    regulators = own >= 0
    if regulators.any():
        inverse = cho_solve(factor, np.eye(len(gram)))
        places = own[regulators]
        coefficients[:, regulators] = -inverse[:, places] / np.diag(inverse)[places]
        coefficients[places, np.flatnonzero(regulators)] = 0.0
    return coefficients


def masked_ridge(gram: np.ndarray, cross: np.ndarray, allowed: Sequence[np.ndarray], alpha: float) -> np.ndarray:
    """Ridge coefficients (S, T) of every target on the regulators listed for it; 0 elsewhere.

    Parameters
    ----------
    gram, cross, alpha
        As in :func:`multi_ridge`.
    allowed
        Positions of the regulators of every target.
    """
    coefficients = np.zeros(cross.shape)
    for t, part in enumerate(allowed):
        if len(part):
            square = gram[np.ix_(part, part)] + alpha * np.eye(len(part))
            coefficients[part, t] = np.linalg.solve(square, cross[part, t])
    return coefficients


def choose_alpha(
    gram: np.ndarray, cross: np.ndarray, own: np.ndarray, count: int, allowed: Sequence[np.ndarray] | None = None
) -> float:
    """Penalty of least generalised cross-validation error (Golub, Heath and Wahba 1979), summed over targets.

    Parameters
    ----------
    gram, cross, own
        As in :func:`multi_ridge`.
    count
        Number of cells.
    allowed
        Positions of the regulators of every target; all but itself by default.

    Returns
    -------
    float
        One of 21 penalties. Cost: one eigendecomposition and S^2 T operations, or one small one per target.
    """
    size = len(gram) if allowed is None else max(1.0, float(np.mean([len(part) for part in allowed])))
    grid = _GRID * size / count
    if allowed is None:
        errors = _errors(gram, cross[:, own < 0], count, grid) + _own_errors(gram, own[own >= 0], count, grid)
    else:
        parts = [(gram[np.ix_(part, part)], cross[part, t : t + 1]) for t, part in enumerate(allowed) if len(part)]
        errors = sum((_errors(square, side, count, grid) for square, side in parts), np.zeros(len(grid)))
    return float(grid[np.argmin(errors)])


def _errors(gram: np.ndarray, cross: np.ndarray, count: int, grid: np.ndarray) -> np.ndarray:
    """Sum over targets of the error at every penalty."""
    values, vectors = np.linalg.eigh(gram)
    values = values.clip(0.0)
    squares = np.square(vectors.T @ cross)
    penalised = grid[:, None] + values
    # residual variance of a standardised target: 1 - sum_k c_k^2 (d_k + 2 a) / (d_k + a)^2
    left = cross.shape[1] - ((penalised + grid[:, None]) / penalised**2) @ squares.sum(axis=1)
    return _validated(left.clip(0.0), (values / penalised).sum(axis=1), count)


def _own_errors(gram: np.ndarray, own: np.ndarray, count: int, grid: np.ndarray) -> np.ndarray:
    """The same for targets that are regulators, each without itself."""
    values, vectors = np.linalg.eigh(gram)
    values, squares = values.clip(0.0), np.square(vectors[own])
    errors = np.zeros(len(grid))
    for k, alpha in enumerate(grid):
        shrunk = 1.0 / (values + alpha)
        diagonal, second = squares @ shrunk, squares @ shrunk**2
        left = (1.0 / diagonal - alpha * second / diagonal**2).clip(0.0)
        used = len(gram) - 1 - alpha * (shrunk.sum() - second / diagonal)
        errors[k] = _validated(left, used, count).sum()
    return errors


def _validated(left: np.ndarray, used: np.ndarray, count: int) -> np.ndarray:
    """Residual variance over the squared share of free cells; infinite when no cell is free."""
    free = 1.0 - (used + 1.0) / count
    return np.where(free > 1e-6, left / np.where(free > 1e-6, free, 1.0) ** 2, np.inf)
