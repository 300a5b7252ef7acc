"""Expression averaged over neighbours, computed when it is read."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ParameterError, ResultNotFoundError
from grn._kernels.neighbours import reading_order
from grn._kernels.scatter import BLOCK
from grn._object.expression import Expression

Pair = tuple[np.ndarray, np.ndarray]


class Smoothed:
    """Weighted averages of cells, read in pieces like :class:`Expression`.

    Parameters
    ----------
    expression
        Values of the cells.
    weights
        Weights (m, n_cells), CSR; row i makes the smoothed cell i. Metacells have fewer rows than there are cells.
    genes
        Positions of the genes to average; the values of others are 0. All by default.
    memory
        Bytes of averages to keep for the next look at the same cells.
    """

    def __init__(
        self, expression: Expression, weights: sparse.csr_matrix, *, genes: np.ndarray | None = None, memory: int = 0
    ) -> None:
        self._expression, self._weights, self._memory = expression, weights, memory
        self._genes = None if genes is None or len(genes) == expression.n_vars else genes
        self._kept: dict[bytes, np.ndarray] = {}
        self.n_cells, self.n_vars = weights.shape[0], expression.n_vars

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Values of some smoothed cells, float32 dense (k, n_vars); neighbours are read a block at a time."""
        index = np.asarray(index)
        index = (np.flatnonzero(index) if index.dtype == bool else index).astype(np.int64)
        averages = self._kept.get(index.tobytes())
        if averages is None:
            averages = self._averages(index)
            if averages.nbytes <= self._memory:
                self._memory -= averages.nbytes
                self._kept[index.tobytes()] = averages
        if self._genes is None:
            return averages.copy()
        out = np.zeros((len(index), self.n_vars), dtype=np.float32)
        out[:, self._genes] = averages
        return out

    def _averages(self, index: np.ndarray) -> np.ndarray:
        """Averages of the genes in question, float32 (k, G)."""
        used, part = _compact(self._weights[index].astype(np.float64))
        genes = slice(None) if self._genes is None else self._genes
        out = np.zeros((len(index), self.n_vars if self._genes is None else len(self._genes)))
        for start in range(0, len(used), BLOCK):
            out += part[:, start : start + BLOCK] @ self._expression.rows(used[start : start + BLOCK])[:, genes]
        return out.astype(np.float32)

    @cached_property
    def place(self) -> np.ndarray | None:
        """Rank of every smoothed cell among cells that share neighbours, for reading them together.

        ``None`` where a few blocks hold all cells, or smoothed cells are not cells.
        """
        rows, columns = self._weights.shape
        if rows != columns or rows <= 2 * BLOCK:
            return None
        place = np.empty(rows, dtype=np.int64)
        place[reading_order(self._weights)] = np.arange(rows)
        return place

    def moments(self, mask: np.ndarray | None = None) -> Pair:
        """Mean and population standard deviation per gene, float64 (n_vars,), over all cells or those of a mask."""
        cells = np.arange(self.n_cells) if mask is None else np.flatnonzero(mask)
        return moments_of(self.rows, cells, self.n_vars)


def moments_of(rows, cells: np.ndarray, n_vars: int) -> Pair:
    """Mean and population standard deviation (n_vars,) of cells that are read block by block."""
    shift, total, squares = None, np.zeros(n_vars), np.zeros(n_vars)
    for start in range(0, len(cells), BLOCK):
        block = np.asarray(rows(cells[start : start + BLOCK]), dtype=np.float64)
        shift = block.mean(axis=0) if shift is None else shift
        block -= shift
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    step = total / len(cells)
    return shift + step, np.sqrt(np.maximum(squares / len(cells) - step**2, 0.0))


def stored_weights(adata: AnnData, key: str) -> sparse.csr_matrix:
    """Weights that :func:`grn.pp.smooth` left in ``obsp[key]``."""
    if key not in adata.obsp:
        raise ResultNotFoundError(
            f"obsp has no {key!r}; it has {', '.join(adata.obsp) or 'nothing'}. Call grn.pp.smooth(adata, "
            f"key_added={key!r})."
        )
    weights = sparse.csr_matrix(adata.obsp[key])
    sums = np.asarray(weights.sum(axis=1)).ravel()
    if (weights.data < 0).any() or not np.allclose(sums, 1.0, atol=1e-4):
        raise ParameterError(
            f"obsp[{key!r}] holds no averaging weights: rows sum to {sums.min():.3g} to {sums.max():.3g}, expected 1 "
            "(an object cut to some cells after smoothing loses neighbours). Call grn.pp.smooth(adata)."
        )
    return weights


def _compact(part: sparse.csr_matrix) -> tuple[np.ndarray, sparse.csc_matrix]:
    """Cells that have a weight, and the weights of these cells alone."""
    used, columns = np.unique(part.indices, return_inverse=True)
    return used, sparse.csr_matrix((part.data, columns, part.indptr), shape=(part.shape[0], len(used))).tocsc()
