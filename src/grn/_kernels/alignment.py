"""A network and its perturbed copy in one embedding: how far every gene moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigs, eigsh

_DENSE = 1200  # rows up to which a dense decomposition is faster
_COUPLING = 0.9
_ZERO = 1e-8
# twins lie in a space of unit vectors; what is closer than this differs by rounding only
_ROUNDING = 1e-12


class Alignment(NamedTuple):
    """What an alignment gives.

    Parameters
    ----------
    distances
        Distance of every gene from its copy (G,).
    eigenvalues
        Those of the dimensions used (d,), rising.
    gap
        Distance to the next eigenvalue; near zero the dimensions are not unique.
    complex_pair
        Whether a dimension is the real part of a complex vector, which depends on the solver.
    """

    distances: np.ndarray
    eigenvalues: np.ndarray
    gap: float
    complex_pair: bool


def perturbed(weights: sp.csr_array, genes: Sequence[int], *, agonist: Sequence[bool]) -> sp.csr_array:
    """Copy in which rows (out-edges) of some genes are 0 or, for an agonist, their positive weights 1."""
    changed = weights.copy()
    for gene, strengthens in zip(genes, agonist, strict=True):
        part = changed.data[changed.indptr[gene] : changed.indptr[gene + 1]]
        part[:] = np.where(part > 0, 1.0, part) if strengthens else 0.0
    changed.eliminate_zeros()
    return changed


def align(weights: sp.csr_array, changed: sp.csr_array, *, n_dims: int = 2, symmetric: bool = True) -> Alignment:
    r"""Embed the genes of two networks jointly and measure how far twins lie apart.

    Both networks, raised by 1, are the blocks of a graph in which every gene is tied to its twin by 0.9 times the
    mean sum of weights of a gene. Dimensions are eigenvectors of its Laplacian with the smallest eigenvalues after 0.

    Parameters
    ----------
    weights, changed
        Sparse (G, G) without diagonal, weights of at least -1.
    n_dims
        Number of dimensions.
    symmetric
        Use :math:`(W + W^T)/2`, whose eigenvectors are real and orthogonal. If false, the Laplacian of the directed
        weights with their column sums, and the real parts of its vectors.

    Returns
    -------
    Alignment
        Distances do not depend on the signs of the vectors nor on turns among them. Cost: some hundred products with
        the sparse weights above 600 genes; below, a dense decomposition of (2 G, 2 G).
    """
    if not abs(weights - changed).sum() > 0.0:
        return Alignment(np.zeros(weights.shape[0]), np.zeros(n_dims), np.inf, complex_pair=False)
    pair = (weights + weights.T) / 2.0, (changed + changed.T) / 2.0
    coupling = _COUPLING * (weights.sum() + changed.sum() + 2.0 * weights.shape[0] ** 2) / (2.0 * weights.shape[0])
    if symmetric:
        embedded = _symmetric(sp.csr_array(pair[0]), sp.csr_array(pair[1]), coupling, n_dims)
    else:
        embedded = _directed(weights, changed, coupling, n_dims)
    moved = np.where(embedded.distances > _ROUNDING, embedded.distances, 0.0)
    return embedded._replace(distances=moved)


def scores(weights: sp.csr_array, distances: np.ndarray, *, n_hop: int = 2) -> np.ndarray:
    r"""Effect of every gene as a target (G,), from the distances that its perturbation caused.

    With :math:`e_g = d_g |\sum_j w_{gj}| / k_g` (k the number of out-edges; 0 if there is none) and
    :math:`h_g = \sum_{j: w_{gj} \ne 0} (d_j |w_{gj}| + e_j)`, two hops score :math:`e_t + h_t` (:math:`d_t` instead of
    :math:`e_t` for a gene without out-edges) and three add :math:`\sum_{j: w_{tj} \ne 0} h_j`. One hop scores
    :math:`\sum_g d_g`, the same for every target.

    Parameters
    ----------
    weights
        The network as it was (G, G).
    distances
        From :func:`align` (G,).
    n_hop
        1, 2 or 3.
    """
    if n_hop == 1:
        return np.full(len(distances), distances.sum())
    degree = np.diff(weights.indptr)
    spread = distances * np.abs(weights.sum(axis=1)) / np.maximum(degree, 1)
    present = sp.csr_array((np.ones(weights.nnz), weights.indices, weights.indptr), shape=weights.shape)
    reached = abs(weights) @ distances + present @ spread
    effects = np.where(degree > 0, spread, distances) + reached
    if n_hop == 3:
        effects = effects + present @ reached
    return np.asarray(effects)


def _symmetric(weights: sp.csr_array, changed: sp.csr_array, coupling: float, n_dims: int) -> Alignment:
    """Sums and differences of twins as coordinates: distances are read off without cancellation."""
    size = weights.shape[0]
    mean, half = (_laplacian(weights + changed) / 2.0, _laplacian(weights - changed) / 2.0)
    above = 2.0 * coupling + 2.0 * size  # moves the constant vector, whose eigenvalue is 0, out of the way

    def apply(vector: np.ndarray) -> np.ndarray:
        total, difference = vector[:size], vector[size:]
        first = mean @ total + size * total + (above / size - 1.0) * total.sum() + half @ difference
        second = mean @ difference + (size + 2.0 * coupling) * difference - difference.sum() + half @ total
        return np.concatenate([first, second])

    wanted = min(n_dims + 1, 2 * size)
    if 2 * size <= _DENSE:
        values, vectors = scipy.linalg.eigh(np.stack([apply(row) for row in np.eye(2 * size)]))
        values, vectors = values[:wanted], vectors[:, :wanted]
    else:
        operator = LinearOperator((2 * size, 2 * size), matvec=apply, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=2 * size)
        values, vectors = eigsh(operator, k=wanted, which="SA", v0=start, ncv=max(60, 4 * wanted), maxiter=20_000)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    gap = float(values[n_dims] - values[n_dims - 1]) if wanted > n_dims else np.inf
    distances = np.sqrt(2.0) * np.linalg.norm(vectors[size:, :n_dims], axis=1)
    return Alignment(distances, values[:n_dims], gap, complex_pair=False)


def _laplacian(weights: sp.csr_array) -> sp.csr_array:
    return sp.csr_array(sp.diags_array(weights.sum(axis=0)) - weights)


def _directed(weights: sp.csr_array, changed: sp.csr_array, coupling: float, n_dims: int) -> Alignment:
    size, wanted = weights.shape[0], 2 * n_dims
    first, second = (_laplacian(part) + size * sp.eye_array(size) for part in (weights, changed))

    def apply(vector: np.ndarray) -> np.ndarray:
        one, two = vector[:size], vector[size:]
        pull = coupling * (one - two)
        return np.concatenate([first @ one - one.sum() + pull, second @ two - two.sum() - pull])

    if 2 * size <= _DENSE:
        values, vectors = np.linalg.eig(np.stack([apply(row) for row in np.eye(2 * size)], axis=1))
    else:
        operator = LinearOperator((2 * size, 2 * size), matvec=apply, dtype=np.float64)
        start = np.random.default_rng(0).normal(size=2 * size)
        values, vectors = eigs(operator, k=wanted, which="SR", v0=start, ncv=80, maxiter=20_000)
    order = np.argsort(values.real, kind="stable")[:wanted]
    order = order[values.real[order] > _ZERO]
    gap = float(values.real[order[n_dims]] - values.real[order[n_dims - 1]]) if len(order) > n_dims else np.inf
    order = order[:n_dims]
    points = vectors[:, order].real
    points = points / np.linalg.norm(points, axis=0)
    distances = np.linalg.norm(points[:size] - points[size:], axis=1)
    return Alignment(distances, values.real[order], gap, bool((np.abs(values.imag[order]) > 0).any()))
