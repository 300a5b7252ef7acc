"""How a change of some genes travels through a linear network: step by step, along paths, to the steady state."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigs, splu

# up to this size all eigenvalues of a feedback loop are computed, above it only the largest
DENSE = 600


def propagate(
    values: np.ndarray,
    genes: np.ndarray,
    start: np.ndarray,
    coefficients: Any,
    *,
    steps: int,
    pin_moved_only: bool = False,
) -> np.ndarray:
    r"""Repeat ``change <- change @ coefficients``, hold the perturbed genes, and keep expression from 0 upwards.

    Parameters
    ----------
    values
        Expression (k, G).
    genes
        Positions of the perturbed genes (P,).
    start
        Their change (k, P).
    coefficients
        Sparse (G, G), regulators in rows: change of the target per unit of the regulator.
    steps
        Number of repeats.
    pin_moved_only
        Hold a gene only in cells in which it was moved (``start != 0``).

    Returns
    -------
    ndarray
        Change of all genes (k, G), float64. Cost: ``steps`` sparse products, k x edges each.
    """
    change = np.zeros(values.shape)
    change[:, genes] = start
    held = start != 0 if pin_moved_only else np.ones(start.shape, dtype=bool)
    forward = sparse.csr_array(coefficients).T.tocsr()
    for _ in range(steps):
        change = np.ascontiguousarray((forward @ change.T).T)
        change[:, genes] = np.where(held, start, change[:, genes])
        np.maximum(change, -values, out=change)
    return change


def held(coefficients: Any, genes: np.ndarray) -> Any:
    """The network in which nothing regulates ``genes`` any more, as an intervention has it."""
    keep = np.ones(coefficients.shape[0])
    keep[genes] = 0.0
    cut = sparse.csr_array(coefficients) @ sparse.dia_array((keep[None], [0]), shape=coefficients.shape)
    return sparse.csr_array(cut)


def path_series(coefficients: Any, genes: np.ndarray, *, length: int) -> np.ndarray:
    r"""Rows ``genes`` of :math:`\sum_{j=0}^{K} N^j`: what one unit of each does along all paths of up to K edges.

    Parameters
    ----------
    coefficients
        Sparse N (G, G), regulators in rows.
    genes
        Rows wanted (P,).
    length
        Longest path K.

    Returns
    -------
    ndarray
        (P, G), float64.
    """
    forward = sparse.csr_array(coefficients).T.tocsr()
    term = np.zeros((coefficients.shape[0], len(genes)))
    term[genes, np.arange(len(genes))] = 1.0
    total = term.copy()
    for _ in range(length):
        term = forward @ term
        total += term
    return np.ascontiguousarray(total.T)


def steady_state(coefficients: Any, genes: np.ndarray) -> np.ndarray:
    r"""Rows ``genes`` of :math:`(I - N)^{-1}`, by one sparse factorisation.

    The limit of :func:`path_series`; it exists when :func:`spectral_radius` is below 1, which the caller checks.

    Parameters
    ----------
    coefficients
        Sparse N (G, G), regulators in rows.
    genes
        Rows wanted (P,).

    Returns
    -------
    ndarray
        (P, G), float64.
    """
    size = coefficients.shape[0]
    wanted = np.zeros((size, len(genes)))
    wanted[genes, np.arange(len(genes))] = 1.0
    matrix = sparse.csc_matrix(sparse.eye_array(size) - sparse.csr_array(coefficients).T)
    rows: np.ndarray = splu(matrix).solve(wanted)
    return np.ascontiguousarray(rows.T)


def spectral_radius(coefficients: Any) -> float:
    """Largest absolute eigenvalue: of the feedback loops, since a network without any has none but 0."""
    matrix = sparse.csr_array(coefficients).copy()
    matrix.eliminate_zeros()
    count, label = connected_components(matrix, directed=True, connection="strong")
    sizes = np.bincount(label, minlength=count)
    single = sizes[label] == 1
    largest = float(np.abs(matrix.diagonal()[single]).max(initial=0.0))
    for part in np.flatnonzero(sizes > 1):
        inside = np.flatnonzero(label == part)
        largest = max(largest, _radius(matrix[inside][:, inside]))
    return largest


def _radius(block: Any) -> float:
    if block.shape[0] > DENSE:
        # a fixed start vector, so that the answer is the same every time
        try:
            eigenvalues = eigs(block, k=1, v0=np.ones(block.shape[0]), maxiter=5000, return_eigenvectors=False)
            return float(np.abs(eigenvalues).max())
        except ArpackNoConvergence:
            pass
    return float(np.abs(np.linalg.eigvals(block.toarray())).max())
