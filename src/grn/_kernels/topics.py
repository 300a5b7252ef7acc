"""Topics of open regions: non-negative factors of TF-IDF values, and the regions that make a topic up."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy import sparse


class Topics(NamedTuple):
    """Shares of topics in cells (n, K), of regions in topics (R, K), and whether the factors had converged."""

    cells: np.ndarray
    regions: np.ndarray
    converged: bool


def tf_idf(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    r"""Weights of open regions in cells: :math:`1/n_c \cdot \log(1 + N/n_r)` where r is open in c, as float32.

    Parameters
    ----------
    matrix
        Cells x regions (N, R); a region is open where something above 0 is stored. Changed.
    """
    matrix.data = (matrix.data > 0).astype(np.float32)
    matrix.eliminate_zeros()
    of_cell = np.diff(matrix.indptr)
    of_region = np.bincount(matrix.indices, minlength=matrix.shape[1])
    inverse = np.log1p(matrix.shape[0] / np.maximum(of_region, 1)).astype(np.float32)
    matrix.data = inverse[matrix.indices] / np.repeat(np.maximum(of_cell, 1), of_cell).astype(np.float32)
    return matrix


def factorise(values: sparse.csr_matrix, n_topics: int, *, seed: int, max_iter: int) -> Topics:
    """Non-negative matrix factorisation; topics with the largest share of all values first.

    Parameters
    ----------
    values
        Cells x regions (n, R), not negative.
    n_topics
        Number of topics K.
    seed
        Of the randomised decomposition with which factors begin.
    max_iter
        Most rounds of coordinate descent.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(n_topics, init="nndsvda", random_state=seed, max_iter=max_iter, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cells = model.fit_transform(values).astype(np.float64)
    regions = model.components_.T.astype(np.float64)  # (R, K)
    size = regions.sum(axis=0)
    cells, regions = cells * size, regions / np.where(size > 0, size, 1)
    order = np.argsort(-cells.sum(axis=0), kind="stable")
    cells, regions = cells[:, order], regions[:, order]
    total = cells.sum(axis=1, keepdims=True)
    return Topics(cells / np.where(total > 0, total, 1), regions, model.n_iter_ < max_iter)


def otsu(values: np.ndarray) -> float:
    """Lowest of the high values: the cut into two groups with the largest variance between them (Otsu 1979).

    Over all cuts between sorted values, not the bins of a histogram.
    """
    ordered = np.sort(values)
    n = len(ordered)
    if n < 2 or ordered[0] == ordered[-1]:
        return float(ordered[0])
    low = np.arange(1, n)
    sums = np.cumsum(ordered)
    gap = (sums[-1] - sums[:-1]) / (n - low) - sums[:-1] / low
    between = low * (n - low) * gap**2
    between[ordered[1:] == ordered[:-1]] = -1.0  # no cut within ties
    return float(ordered[between.argmax() + 1])
