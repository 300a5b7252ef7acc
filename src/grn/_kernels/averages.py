"""Averages of cells that were put together, and the coordinates in which cells are near each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from grn._core.logging import progress
from grn._kernels import matrix as matrix_pieces
from grn._kernels.matrix import open_matrix, pieces, take
from grn._kernels.matrix_parts import positions

# no value of a gene counts for more than so many standard deviations, as in scanpy's scale
_MOST = 10.0
# entries that cells read at a time would have if all of theirs were stored, in units of a piece
_TIMES = 16


def averages(matrix: Any, members: sparse.csr_matrix) -> Any:
    """Means over sets of cells, some sets at a time; of a matrix that is stored by features, some features at a time.

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
    members = sparse.csr_matrix(members, dtype=np.float64)
    sizes = np.diff(members.indptr)
    if source.axis == 1:
        parts = [(piece.columns, _means(members, piece.values, sizes)) for piece in pieces(source)]
        order = np.argsort(np.concatenate([positions(columns) for columns, _ in parts]), kind="stable")
        blocks = [block for _, block in parts]
        return sparse.hstack(blocks).tocsr()[:, order] if sparse.issparse(blocks[0]) else np.hstack(blocks)[:, order]
    most = max(1, _TIMES * matrix_pieces.VALUES // max(1, source.shape[1]))
    blocks = []
    for start, stop in progress(list(_spans(members.indptr, most)), desc="averaging cells"):
        part = members[start:stop]
        cells, columns = np.unique(part.indices, return_inverse=True)
        own = sparse.csr_matrix((part.data, columns, part.indptr), shape=(stop - start, len(cells)))
        blocks.append(_means(own, take(source, cells), sizes[start:stop]))
    return sparse.vstack(blocks, format="csr") if sparse.issparse(blocks[0]) else np.concatenate(blocks)


def _means(members: sparse.csr_matrix, values: Any, sizes: np.ndarray) -> Any:
    """Means of sets (m, F), float32."""
    sums = members @ values
    if not sparse.issparse(sums):
        return (sums / sizes[:, None]).astype(np.float32)
    return sparse.csr_matrix(sparse.diags_array(1.0 / sizes) @ sums, dtype=np.float32)


def _spans(ends: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of sets with up to ``most`` cells, at least one set each, by the cells before every set (m + 1,)."""
    start = 0
    while start < len(ends) - 1:
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + most, side="right")) - 1)
        yield start, stop
        start = stop


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
