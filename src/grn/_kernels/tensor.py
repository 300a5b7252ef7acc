"""Low-rank approximation of a stack of sparse networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class Factors(NamedTuple):
    """A sum of rank-one tensors.

    Parameters
    ----------
    weights
        Weight per component (R,).
    rows, columns, layers
        Factors (G, R), (G, R) and (K, R); columns have an absolute sum of 1.
    n_iter
        Passes over the three factors.
    converged
        Whether the residual had settled before the last pass allowed.
    """

    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    layers: np.ndarray
    n_iter: int
    converged: bool


def cp_als(
    layers: Sequence[sp.csr_array],
    *,
    columns: np.ndarray,
    depth: np.ndarray,
    max_iter: int = 1000,
    tol: float = 1e-5,
) -> Factors:
    r"""Fit a canonical polyadic decomposition by alternating least squares.

    .. math:: T_{ijk} \approx \sum_r \lambda_r a_{ir} b_{jr} c_{kr}

    Parameters
    ----------
    layers
        K sparse matrices (G, G).
    columns, depth
        Starts of b (G, R) and c (K, R); a is computed first and needs none.
    max_iter
        Most passes.
    tol
        Stop when the residual norm changes by less than ``tol`` times the norm of the stack.

    Returns
    -------
    Factors
        Cost per pass: two products of the stack with a (G, R) matrix. Memory: the stack, twice, and G R K.

    Notes
    -----
    Kolda and Bader 2009 (SIAM Review 51:455). Nothing dense of the size of the stack is made: the residual norm is
    that of the stack plus that of the fit minus twice their inner product.
    """
    n_layers, size = len(layers), layers[0].shape[0]
    by_row = sp.csr_array(sp.vstack(layers, format="csr"))
    by_column = sp.csr_array(sp.vstack([layer.T for layer in layers], format="csr"))
    norm = float(np.sqrt((by_row.data**2).sum()))
    rank = columns.shape[1]
    b, c = np.array(columns, dtype=np.float64), np.array(depth, dtype=np.float64)
    a, weights, last, n_iter, converged = np.zeros((size, rank)), np.zeros(rank), np.inf, 0, norm == 0.0
    if converged:
        return Factors(weights, a, b, c, n_iter=0, converged=True)
    seen = (by_row @ b).reshape(n_layers, size, rank)
    while n_iter < max_iter and not converged:
        n_iter += 1
        a, _ = _scaled(_least_squares(np.einsum("kir,kr->ir", seen, c), (b.T @ b) * (c.T @ c)))
        turned = (by_column @ a).reshape(n_layers, size, rank)
        b, _ = _scaled(_least_squares(np.einsum("kjr,kr->jr", turned, c), (a.T @ a) * (c.T @ c)))
        seen = (by_row @ b).reshape(n_layers, size, rank)
        products = np.einsum("kir,ir->kr", seen, a)
        c, weights = _scaled(_least_squares(products, (a.T @ a) * (b.T @ b)))
        inner = float((products * c).sum(axis=0) @ weights)
        fitted = float(weights @ ((a.T @ a) * (b.T @ b) * (c.T @ c)) @ weights)
        residual = np.sqrt(max(norm**2 + fitted - 2.0 * inner, 0.0))
        converged = bool(abs(residual - last) < tol * norm)
        last = residual
    return Factors(weights, a, b, c, n_iter, converged)


def mean_layer(factors: Factors) -> np.ndarray:
    """Mean over the layers of the fit (G, G), divided by its largest absolute value; zero for an empty fit."""
    mean: np.ndarray = (factors.rows * (factors.weights * factors.layers.mean(axis=0))) @ factors.columns.T
    top = np.abs(mean).max() if mean.size else 0.0
    return mean / top if top > 0.0 else mean


def directed(weights: np.ndarray, *, share: float = 0.75) -> np.ndarray:
    """Weaken the weaker direction of every pair to ``1 - share`` and set the diagonal to 0."""
    size = np.abs(weights)
    weaker = np.where(size >= size.T, weights, (1.0 - share) * weights)
    np.fill_diagonal(weaker, 0.0)
    return weaker


def _least_squares(products: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """``products @ gram^-1``; the smallest solution where components coincide."""
    try:
        solution: np.ndarray = np.linalg.solve(gram, products.T).T
    except np.linalg.LinAlgError:
        solution = products @ np.linalg.pinv(gram, hermitian=True)
    return solution


def _scaled(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns with an absolute sum of 1, and what they had; a column of zeros stays one."""
    size: np.ndarray = np.abs(factor).sum(axis=0)
    return factor / np.where(size > 0.0, size, 1.0), size
