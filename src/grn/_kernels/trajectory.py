"""What cells do along a trajectory: their average, who becomes whom, and the paths between."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

from grn._core.logging import progress
from grn._kernels.neighbours import nearest

# distances of a block of searches
SEARCHED = 20_000_000


def average_path(values: Any, time: np.ndarray, at: np.ndarray, bandwidth: float) -> np.ndarray:
    r"""Averages of cells around points in time, with Gaussian weights.

    .. math:: \bar x(t) = \sum_c w_c x_c \Big/ \sum_c w_c, \quad w_c = \exp\big(-(t_c - t)^2 / 2 h^2\big)

    Parameters
    ----------
    values
        Values (n, G), dense or sparse.
    time
        Time of the cells (n,).
    at
        Times to average at (T,).
    bandwidth
        The standard deviation h, above 0.

    Returns
    -------
    ndarray
        (T, G) float64. Far from all cells it is the value of the nearest. Cost: T n G operations.
    """
    return around(values, np.asarray(at, dtype=np.float64)[:, None] - time[None, :], bandwidth)


def around(values: Any, distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """Averages with Gaussian weights by the distances (T, n) of n cells, or windows, from T points, see above."""
    steps = -0.5 * np.square(distances / bandwidth)  # (T, n)
    weights = np.exp(steps - steps.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    if sparse.issparse(values):
        return np.asarray((sparse.csr_matrix(values).T @ weights.T).T, dtype=np.float64)
    averages: np.ndarray = weights @ np.asarray(values, dtype=np.float64)
    return averages


def match(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Partners of points by optimal transport: the sum of the Euclidean distances to them is the smallest possible.

    Parameters
    ----------
    source, target
        Coordinates (n, d) and (m, d).

    Returns
    -------
    ndarray
        The target of every source (n,), every target that of equally many sources, up to one. With n = m it is the
        exact transport between uniform weights, one to one. Where several are optimal it depends on the order of the
        points. Cost: the cube of the larger number at worst; memory 8 bytes times its square.
    """
    n, m = len(source), len(target)
    distances = cdist(source, target)  # (n, m)
    if n > m:
        copies = -(-n // m)
        distances = np.tile(distances, (1, copies))
        spare = copies * m - n
        if spare:  # the last copy of a target may stay free, the others may not
            free = np.full((spare, copies * m), np.inf)
            free[:, (copies - 1) * m :] = 0.0
            distances = np.concatenate([distances, free])
    partners: np.ndarray = linear_sum_assignment(distances)[1][:n] % m
    return partners


def spread_over(positions: np.ndarray, size: int) -> np.ndarray:
    """Positions repeated, or cut, to a number."""
    return np.resize(positions, size)


def chained(points: np.ndarray, bins: list[np.ndarray]) -> np.ndarray:
    """A path for every cell of the last bin, through one cell of each bin before.

    Parameters
    ----------
    points
        Coordinates of all cells (n, d).
    bins
        Positions of the cells of every bin, in the order of time.

    Returns
    -------
    ndarray
        Positions (cells of the last bin, number of bins): from the last bin backwards every cell is matched to one of
        the bin before, see :func:`match`.
    """
    paths = [np.arange(len(bins[-1]))]
    for earlier, later in zip(bins[-2::-1], bins[:0:-1], strict=True):
        paths.append(match(points[later], points[earlier])[paths[-1]])
    return np.column_stack([cells[path] for cells, path in zip(bins, paths[::-1], strict=True)])


def neighbour_graph(points: np.ndarray, k: int) -> sparse.csr_matrix:
    """Distances (n, n) between every point and its k nearest, each pair of neighbours in both directions.

    Points at the same place are neighbours at a stored distance of 0.
    """
    n = len(points)
    near = nearest(points, min(k, n - 1))  # (n, k)
    rows = np.repeat(np.arange(n), near.shape[1])
    columns = near.ravel().astype(np.int64)
    low, high = np.divmod(np.unique(np.minimum(rows, columns) * n + np.maximum(rows, columns)), n)
    lengths = np.linalg.norm(points[low] - points[high], axis=1)
    ends = (np.concatenate([low, high]), np.concatenate([high, low]))
    return sparse.csr_matrix((np.concatenate([lengths, lengths]), ends), shape=(n, n))


def shortest_paths(points: np.ndarray, pairs: np.ndarray, k: int) -> list[np.ndarray]:
    """Shortest paths between pairs of points, on the graph in which every point is joined to its k nearest.

    Parameters
    ----------
    points
        Coordinates (n, d).
    pairs
        Positions of the first and the last point of every path (P, 2).
    k
        Neighbours of a point; the graph is undirected.

    Returns
    -------
    list of ndarray
        Positions along every path, both ends included; empty where no path leads there. Cost: one search of Dijkstra
        per different first, or last, point, whichever are fewer, each n k log n operations; memory 12 n bytes for
        each of some thousand searches at a time.
    """
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    graph = neighbour_graph(np.asarray(points, dtype=np.float64), k)
    backwards = len(np.unique(pairs[:, 1])) < len(np.unique(pairs[:, 0]))
    first, last = pairs.T[::-1] if backwards else pairs.T
    roots, which = np.unique(first, return_inverse=True)
    paths: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(pairs)
    size = max(1, SEARCHED // len(points))
    for begin in progress(range(0, len(roots), size), desc="paths"):
        block = roots[begin : begin + size]
        _, before = dijkstra(graph, indices=block, return_predecessors=True)  # (roots, n)
        for pair in np.flatnonzero((which >= begin) & (which < begin + size)):
            path = _walked(before[which[pair] - begin], int(first[pair]), int(last[pair]))
            paths[pair] = path if backwards else path[::-1]
    return paths


def _walked(before: np.ndarray, root: int, point: int) -> np.ndarray:
    """Points from one back to the root of a search; empty where it did not come there."""
    path = [point]
    while path[-1] != root:
        if before[path[-1]] < 0:
            return np.empty(0, dtype=np.int64)
        path.append(int(before[path[-1]]))
    return np.array(path, dtype=np.int64)


def thinned(paths: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Paths cut to n points each, evenly spread, both ends among them.

    Returns
    -------
    points, chosen
        Points (P, n) of the paths that have so many, and which paths these are (P,).
    """
    chosen = np.array([i for i, path in enumerate(paths) if len(path) >= n], dtype=np.int64)
    parts = [paths[i][np.linspace(0, len(paths[i]) - 1, n).astype(np.int64)] for i in chosen]
    return np.array(parts, dtype=np.int64).reshape(-1, n), chosen
