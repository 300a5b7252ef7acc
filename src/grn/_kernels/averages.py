"""Averages of cells that were put together, and the coordinates in which cells are near each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from grn._core.logging import progress
from grn._kernels import matrix as matrix_pieces
from grn._kernels.matrix import open_matrix, pieces, take
from grn._kernels.matrix_parts import Source, positions

# no value of a gene counts for more than so many standard deviations, as in scanpy's scale
_MOST = 10.0
# entries that cells read at a time would have if all of theirs were stored, in units of a piece
_TIMES = 16
# sums of sets that share no cell that are held at a time
_SUMS = 2**26


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
    if source.axis == 0 and 2 * members.nnz > members.shape[1] and np.bincount(members.indices).max() == 1:
        return _of_partition(source, members, sizes)
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


def _of_partition(source: Source, members: sparse.csr_matrix, sizes: np.ndarray) -> Any:
    """Means of sets that share no cell: cells are read in the order in which they are stored, once for many sets."""
    set_of = np.full(source.shape[0], -1)
    set_of[members.indices] = np.repeat(np.arange(len(sizes)), sizes)
    step = max(1, _SUMS // max(1, source.shape[1]))
    blocks, is_sparse = [], False
    for start in progress(range(0, len(sizes), step), desc="averaging cells"):
        sums = np.zeros((min(step, len(sizes) - start), source.shape[1]))
        wanted = (set_of >= start) & (set_of < start + len(sums))
        for piece in pieces(source, wanted):
            is_sparse = sparse.issparse(piece.values)
            sets, rows = np.unique(set_of[piece.rows] - start, return_inverse=True)
            cells = sparse.csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), (len(sets), len(rows)))
            part = cells @ piece.values
            if is_sparse:
                part = part.tocoo()
                sums[sets[part.row], part.col] += part.data
            else:
                sums[sets] += part
        sums /= sizes[start : start + len(sums), None]
        block = sums.astype(np.float32)
        blocks.append(sparse.csr_matrix(block) if is_sparse else block)
    return sparse.vstack(blocks, format="csr") if is_sparse else np.concatenate(blocks)


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
    return ScaledAxes.of(table, k).points(table)


@dataclass(frozen=True)
class ScaledAxes:
    """Principal axes of features of equal variance, see :func:`scaled_components`.

    Parameters
    ----------
    spread
        Standard deviation of every feature (F,), 1 for constant ones.
    mean
        Mean of every scaled feature (F,).
    axes
        Axes (F, k).
    """

    spread: np.ndarray
    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, table: sparse.csr_matrix, k: int) -> ScaledAxes:
        """Those of some cells (n, F)."""
        from sklearn.decomposition import PCA

        table = sparse.csr_matrix(table, dtype=np.float64)
        mean = np.asarray(table.mean(axis=0)).ravel()
        spread = np.sqrt(np.maximum(np.asarray(table.multiply(table).mean(axis=0)).ravel() - mean**2, 0.0))
        spread = np.where(spread > 0, spread, 1.0)
        fit = PCA(k, svd_solver="arpack", random_state=0).fit(_scaled(table, spread))
        return cls(spread, fit.mean_, fit.components_.T)

    def points(self, table: sparse.csr_matrix) -> np.ndarray:
        """Coordinates (n, k) of cells (n, F), of those that the axes were found in or of others."""
        coordinates: np.ndarray = _scaled(table, self.spread) @ self.axes - self.mean @ self.axes
        return coordinates


def _scaled(table: sparse.csr_matrix, spread: np.ndarray) -> sparse.csr_matrix:
    table = sparse.csr_matrix(table, dtype=np.float64)
    values = np.minimum(table.data / spread[table.indices], _MOST)
    return sparse.csr_matrix((values, table.indices, table.indptr), shape=table.shape)
