"""Averages of cells that were put together, and the coordinates in which cells are near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from grn._kernels.matrix import open_matrix, pieces

# no value of a gene counts for more than so many standard deviations, as in scanpy's scale
_MOST = 10.0


def averages(matrix: Any, members: sparse.csr_matrix) -> Any:
    """Means over sets of cells, in pieces of bounded size.

    Parameters
    ----------
    matrix
        Cells x features (n, F), in memory or not.
    members
        Sets (m, n), 1 for every cell of a set.

    Returns
    -------
    csr_matrix or ndarray
        (m, F) float32, sparse where the matrix is. Sums are made in float64: those of counts are exact.
    """
    source = open_matrix(matrix)
    sizes = np.asarray(members.sum(axis=1), dtype=np.float64).ravel()
    members = members.astype(np.float64).tocsc()
    parts, total = [], None
    for piece in pieces(source):
        part = members[:, piece.rows] @ piece.values
        if source.axis == 1:
            parts.append((np.arange(source.shape[1])[piece.columns], part))
        else:
            total = part if total is None else total + part
    sums: Any = _side_by_side(parts) if parts else total
    if sparse.issparse(sums):
        return sparse.csr_matrix(sparse.diags_array(1.0 / sizes) @ sums).astype(np.float32)
    return (sums / sizes[:, None]).astype(np.float32)


def _side_by_side(parts: list[tuple[np.ndarray, Any]]) -> Any:
    """Columns that were read in pieces, in their order."""
    order = np.argsort(np.concatenate([columns for columns, _ in parts]), kind="stable")
    blocks = [block for _, block in parts]
    return sparse.hstack(blocks, format="csr")[:, order] if sparse.issparse(blocks[0]) else np.hstack(blocks)[:, order]


def scaled_components(table: sparse.csr_matrix, k: int) -> np.ndarray:
    """Coordinates (n, k) of cells on the first principal components of features of equal variance.

    Parameters
    ----------
    table
        Cells x features (n, F), sparse, of at least 0; each is divided by its standard deviation, and what is above 10
        then counts as 10. It is never made dense.
    k
        Number of components, below n and F.
    """
    from sklearn.decomposition import PCA

    table = sparse.csr_matrix(table, dtype=np.float64, copy=True)
    mean = np.asarray(table.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(table.multiply(table).mean(axis=0)).ravel() - mean**2, 0.0))
    table.data = np.minimum(table.data / np.where(spread > 0, spread, 1.0)[table.indices], _MOST)
    points: np.ndarray = PCA(k, svd_solver="arpack", random_state=0).fit_transform(table)
    return points
