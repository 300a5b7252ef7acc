"""Nearest points, exactly or nearly, and the order in which their graph is read fastest."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from grn._core.logging import progress

# points whose neighbours are looked up at a time
QUERIES = 2048
# neighbours looked at beyond those asked for, and the share of the size of the points by which distances differ that
# are different: closer ones are ties, as coordinates are rounded
BEYOND = 8
ROUNDING = 1e-7


def nearest(points: np.ndarray, k: int, queries: np.ndarray | None = None) -> np.ndarray:
    """The k nearest other points of every point, nearest first.

    Parameters
    ----------
    points
        Coordinates (n, d).
    k
        Number of neighbours, below n.
    queries
        Positions of the points to look up (m,); all by default.

    Returns
    -------
    ndarray
        Positions (m, k) int32, by Euclidean distance, equal ones by position; the point itself left out. Cost: m n d
        operations at worst; memory m k numbers of 4 bytes.
    """
    from sklearn.neighbors import NearestNeighbors

    queries = np.arange(len(points)) if queries is None else np.asarray(queries)
    wide = min(k + 1 + BEYOND, len(points))
    tie = ROUNDING * float(np.sqrt(np.square(points).sum(axis=1).mean())) or 1.0
    search = NearestNeighbors(n_neighbors=wide).fit(points)
    nearby = np.empty((len(queries), k), dtype=np.int32)
    for start in progress(range(0, len(queries), QUERIES), desc="neighbours"):
        own = queries[start : start + QUERIES]
        distances, near = search.kneighbors(points[own])
        steps = np.rint(distances / tie)
        # where the last ones looked at tie with those asked for, others may tie with them too
        open_end = np.flatnonzero((steps[:, -1] <= steps[:, min(k, wide - 1)]) & (wide < len(points)))
        near = np.take_along_axis(near, np.lexsort((near, steps), axis=1), axis=1)
        part = _without_own(near, own, k)
        for row in open_end:
            far = np.rint(np.linalg.norm(points - points[own[row]], axis=1) / tie)
            part[row] = _without_own(np.argsort(far, kind="stable")[None], own[[row]], k)[0]
        nearby[start : start + QUERIES] = part
    return nearby


def nearly_nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Nearly all of the k nearest other points of every point, nearest first, in less than quadratic time.

    A graph of random neighbours is improved through neighbours of neighbours (pynndescent, by one thread: with several
    the result depends on their number). Points that end with too few are compared with all others.

    Parameters
    ----------
    points
        Coordinates (n, d).
    k
        Number of neighbours, below n.

    Returns
    -------
    ndarray
        Positions (n, k) int32, by Euclidean distance in single precision, equal ones by position. Depends on the order
        of the points. Memory: n (3 k + 300) numbers of 4 bytes.
    """
    from pynndescent import NNDescent

    wide = min(k + 1, len(points))
    with warnings.catch_warnings():
        # points with too few are looked up below
        warnings.filterwarnings("ignore", message="Failed to correctly find")
        graph = NNDescent(points.astype(np.float32), n_neighbors=wide, random_state=0, n_jobs=1)
        near, distances = graph.neighbor_graph
    del graph
    nearby = np.empty((len(points), k), dtype=np.int32)
    for start in range(0, len(points), QUERIES):
        own = np.arange(start, min(start + QUERIES, len(points)))
        order = np.lexsort((near[own], distances[own]), axis=1)
        part = _without_own(np.take_along_axis(near[own], order, axis=1), own, k)
        # fewer are marked by -1
        short = np.flatnonzero((near[own] < 0).any(axis=1))
        if len(short):
            part[short] = nearest(points, k, own[short])
        nearby[own] = part
    return nearby


def reading_order(weights: sparse.csr_matrix, *, entries: int = 8) -> np.ndarray:
    """Order of the rows of a graph in which rows that stand together share most of their neighbours.

    Parameters
    ----------
    weights
        Graph (n, n), CSR.
    entries
        Mean number of entries per row to look at.

    Returns
    -------
    ndarray
        Positions (n,), by the algorithm of Cuthill and McKee on evenly spaced entries. Cost: n ``entries``.
    """
    step = max(1, weights.nnz // (entries * weights.shape[0]))
    columns = weights.indices[::step]
    part = (np.ones(len(columns), dtype=np.int8), columns, -(-weights.indptr // step))
    order: np.ndarray = reverse_cuthill_mckee(sparse.csr_matrix(part, shape=weights.shape))
    return order


def _without_own(near: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """The k first neighbours of points that are listed among their own neighbours."""
    # among identical points the search may list others and not the point itself: then the last one goes
    keep = near != own[:, None]
    keep[keep.all(axis=1), -1] = False
    first: np.ndarray = near[keep].reshape(len(own), -1)[:, :k]
    return first
