"""Metacells: means over near cells of one group, in expression and accessibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from grn._core.logging import logger
from grn._kernels.scatter import BLOCK, Rows
from grn._kernels.smooth import anchors, metacells, principal
from grn._object.chromatin import Chromatin

COMPONENTS = 15
VARIABLE = 2000
# accessibility of a metacell is cut here, as in the original program
CAP = 100.0
# share of its square below which the variance of a region is rounding
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Metacells:
    """Means of cells.

    Parameters
    ----------
    weights
        Share of every cell in every metacell (m, n).
    group
        Code of the group of every metacell (m,).
    names
        Names of the metacells (m,), by which they are drawn.
    """

    weights: sparse.csr_matrix
    group: np.ndarray
    names: Sequence[str]

    def expression(self, rows: Rows, genes: np.ndarray) -> np.ndarray:
        """Mean expression (m, len(genes)) float32."""
        total = np.zeros((self.weights.shape[0], len(genes)))
        columns = self.weights.tocsc()
        for start in range(0, self.weights.shape[1], BLOCK):
            cells = np.arange(start, min(start + BLOCK, self.weights.shape[1]))
            total += columns[:, cells] @ rows(cells)[:, genes].astype(np.float64)
        return total.astype(np.float32)

    def accessibility(self, matrix: sparse.csr_matrix, regions: np.ndarray) -> sparse.csc_matrix:
        """Mean accessibility (m, len(regions)) float32, at most ``CAP``."""
        means = self.weights.astype(np.float64) @ matrix[:, regions]
        means.data = np.minimum(means.data, CAP)
        return means.astype(np.float32).tocsc()


def accessibility_of(chromatin: Chromatin, cells: np.ndarray) -> sparse.csr_matrix:
    """Accessibility (n, R) of cells: log1p of counts; values that are no counts are taken as they are."""
    matrix = sparse.csr_matrix(chromatin.rows(cells), dtype=np.float32)
    if (matrix.data == np.rint(matrix.data)).all():
        np.log1p(matrix.data, out=matrix.data)
    else:
        logger.info("linger: accessibility holds no counts and is taken as it is")
    return matrix


def make_metacells(
    rows: Rows,
    matrix: sparse.csr_matrix,
    groups: Sequence[tuple[str, np.ndarray]],
    names: np.ndarray,
    spread: np.ndarray,
    *,
    size: int,
    number: int | None,
    seed: int,
) -> Metacells:
    """Draw cells of every group by name and average each with the cells of its group that are nearest to it.

    Near is by 15 principal components of expression and as many of accessibility, both with a total variance of 1.

    Parameters
    ----------
    rows
        Gives expression (k, n_vars) of cells by position.
    matrix
        Accessibility (n, R).
    groups
        Names of the groups and positions of their cells.
    names
        Names of the cells (n,).
    spread
        Standard deviation of the genes over all cells (n_vars,), 0 for genes that are left out.
    size
        Cells per metacell; 1 for cells as they are.
    number
        Metacells per group; ``None`` for the root of the number of its cells and one more.
    seed
        Seed of the draw.
    """
    n = len(names)
    if size == 1:
        cells = np.concatenate([members for _, members in groups])
        cells = cells[np.argsort(names[cells], kind="stable")]
        code = np.full(n, -1)
        for position, (_, members) in enumerate(groups):
            code[members] = position
        weights = sparse.csr_matrix((np.ones(len(cells), np.float32), (np.arange(len(cells)), cells)), (len(cells), n))
        return Metacells(weights, code[cells], names[cells].tolist())
    order = np.argsort(names, kind="stable")
    points = _coordinates(rows, matrix, order, spread)  # (n, d), cells by name
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    parts, code, chosen = [], [], []
    for position, (_, members) in enumerate(groups):
        cells = np.sort(place[members])
        listed = names[order[cells]].tolist()
        starts = np.sort(anchors(listed, number, seed))
        part = metacells(points[cells], starts, min(size, len(cells))).tocoo()
        parts.append(sparse.csr_matrix((part.data, (part.row, order[cells[part.col]])), (len(starts), n)))
        code += [position] * len(starts)
        chosen += [listed[start] for start in starts]
    return Metacells(sparse.vstack(parts, format="csr"), np.array(code), chosen)


def _coordinates(rows: Rows, matrix: sparse.csr_matrix, order: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Coordinates (n, d) of cells, in this order, by expression and accessibility."""
    n = len(order)
    varying = np.flatnonzero(spread > 0)
    genes = np.sort(varying[np.argsort(-spread[varying], kind="stable")[:VARIABLE]])
    scale = np.where(spread > 0, spread, 1.0)
    parts = []
    if len(genes):
        k = min(COMPONENTS, len(genes), n - 1)
        parts.append(principal(lambda cells: rows(order[cells]) / scale, np.arange(n), genes, k))
    seen = np.flatnonzero(matrix.getnnz(axis=0) >= max(2, n // 200))
    if len(seen) > 1:
        parts.append(_components(_part(matrix, order, seen), min(COMPONENTS, len(seen) - 1, n - 1)))
    totals = [np.sqrt(part.var(axis=0).sum()) for part in parts]
    return np.concatenate([part / total for part, total in zip(parts, totals, strict=True) if total > 0], axis=1)


def _part(matrix: sparse.csr_matrix, cells: np.ndarray, regions: np.ndarray) -> sparse.csr_matrix:
    """Some regions of cells in a given order, float64, a block at a time: all cells step by step would be copies.

    In single precision, rounding would choose among neighbours that are nearly as near.
    """
    size = int(matrix.getnnz(axis=0)[regions].sum())
    values, columns = np.empty(size), np.empty(size, dtype=np.int32)
    bounds, end = np.zeros(len(cells) + 1, dtype=np.int64), 0
    for start in range(0, len(cells), BLOCK):
        block = matrix[cells[start : start + BLOCK]][:, regions]
        values[end : end + block.nnz], columns[end : end + block.nnz] = block.data, block.indices
        bounds[start + 1 : start + 1 + block.shape[0]] = end + block.indptr[1:]
        end += block.nnz
    return sparse.csr_matrix((values, columns, bounds), shape=(len(cells), len(regions)))


def _components(share: sparse.csr_matrix, k: int) -> np.ndarray:
    """Coordinates (n, k) on the first principal components of accessibility per unit of depth; ``share`` is changed."""
    from sklearn.decomposition import PCA
    from sklearn.utils.sparsefuncs import inplace_row_scale, mean_variance_axis

    depth = np.asarray(share.sum(axis=1)).ravel()
    inplace_row_scale(share, np.divide(depth.mean(), depth, out=np.zeros_like(depth), where=depth > 0))
    mean, variance = mean_variance_axis(share, axis=0)
    if not (variance > _ROUNDING * (variance + mean**2)).any():
        return np.zeros((share.shape[0], k))
    coordinates: np.ndarray = PCA(k, svd_solver="arpack", copy=False, random_state=0).fit_transform(share)
    return coordinates
