"""Neighbours of cells and the sparse weights that average over them."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import eigh

from grn._core.logging import progress
from grn._core.rng import sample_names
from grn._kernels.neighbours import QUERIES, nearest
from grn._kernels.scatter import BLOCK, Rows, scatter


def balanced(near: np.ndarray, k: int, limit: int, names: np.ndarray | None = None) -> np.ndarray:
    """Choose k of the listed neighbours of every cell so that no cell is chosen too often.

    Cells choose in turn, those that are listed most often first and among equals the last name first; each takes its
    nearest neighbours that still are free.

    Parameters
    ----------
    near
        Listed neighbours (n, sight), nearest first; ``sight`` is at least k.
    k
        Neighbours to choose.
    limit
        How often a cell may be chosen.
    names
        Names that order cells listed equally often; by default their positions.

    Returns
    -------
    ndarray
        Positions (n, k), the cell itself in the place of neighbours that were not to be had. Cost: n sight.
    """
    n = len(near)
    place = np.arange(n) if names is None else np.argsort(np.argsort(names, kind="stable"), kind="stable")
    listed = np.zeros(n, dtype=np.int64)
    for start in range(0, n, QUERIES):
        listed += np.bincount(near[start : start + QUERIES].ravel(), minlength=n)
    left = np.full(n, limit)
    chosen = np.repeat(np.arange(n, dtype=near.dtype)[:, None], k, axis=1)
    for cell in np.lexsort((place, listed))[::-1]:
        row = near[cell]
        free = row[left[row] > 0][:k]
        left[free] -= 1
        chosen[cell, : len(free)] = free
    return chosen


def averaging(chosen: np.ndarray) -> sparse.csr_matrix:
    """Weights that average a cell with its neighbours.

    Parameters
    ----------
    chosen
        Neighbours (n, k); the cell itself stands for a missing one.

    Returns
    -------
    csr_matrix
        (n, n) float32: 1 / (1 + number of neighbours) for the cell and for each of them; rows sum to 1.
    """
    n, k = chosen.shape
    columns = np.empty((n, k + 1), dtype=np.int32)
    columns[:, 0] = np.arange(n)
    columns[:, 1:] = chosen
    keep = columns != columns[:, :1]
    keep[:, 0] = True
    return _rows(columns.ravel() if keep.all() else columns[keep], keep.sum(axis=1), n)


def anchors(names: list[str], number: int | None, seed: int) -> np.ndarray:
    """Positions (m,) of the cells that metacells start from, drawn by name.

    Parameters
    ----------
    names
        Names of the cells.
    number
        How many; ``None`` for one more than the root of the number of cells, but no more than there are.
    seed
        Seed of the draw.
    """
    wanted = int(np.sqrt(len(names))) + 1 if number is None else number
    return np.array(sample_names(names, wanted, seed), dtype=np.int64)


def metacells(points: np.ndarray, anchors: np.ndarray, k: int) -> sparse.csr_matrix:
    """Weights that make one cell out of each anchor and its nearest neighbours.

    Parameters
    ----------
    points
        Coordinates (n, d).
    anchors
        Positions of the anchors (m,).
    k
        Cells per metacell, the anchor included; at most n.

    Returns
    -------
    csr_matrix
        (m, n) float32 with k entries 1 / k per row. Cells may belong to several metacells or to none.
    """
    anchors = np.asarray(anchors)
    near = nearest(points, k - 1, anchors) if k > 1 else np.empty((len(anchors), 0), dtype=np.int32)
    return _rows(np.column_stack([anchors, near]).ravel(), np.full(len(anchors), k), len(points))


def _rows(columns: np.ndarray, sizes: np.ndarray, n: int) -> sparse.csr_matrix:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    values = np.repeat((1.0 / sizes).astype(np.float32), sizes)
    weights = sparse.csr_matrix((values, columns, starts), shape=(len(sizes), n))
    weights.sort_indices()
    return weights


def principal(
    rows: Rows, cells: np.ndarray, genes: np.ndarray, k: int, learned: np.ndarray | None = None
) -> np.ndarray:
    """Coordinates of cells on the first principal components of some genes.

    Parameters
    ----------
    rows
        Gives the values (c, n_vars) of some cells.
    cells
        Positions of the cells (n,).
    genes
        Columns to use (G,).
    k
        Number of components, at most G.
    learned
        Positions of the cells whose components they are (m,); all by default.

    Returns
    -------
    ndarray
        (n, k) float64, most variance first; the sign of a component is arbitrary. Cost: m G^2 and n G k operations and
        the eigenvectors of a G x G matrix; no cells x genes matrix is made.
    """
    sums = scatter(rows, cells if learned is None else learned, genes)
    top = [len(genes) - k, len(genes) - 1]
    axes = eigh(sums.products, subset_by_index=top, check_finite=False)[1][:, ::-1]
    starts = progress(range(0, len(cells), BLOCK), desc="components")
    parts = [(rows(cells[i : i + BLOCK])[:, genes] - sums.mean) @ axes for i in starts]
    return np.concatenate(parts)
