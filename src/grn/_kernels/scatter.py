"""Means and centred products of cells that come in blocks: what linear regressions need of the cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from grn._kernels.ahead import ahead

Rows = Callable[[np.ndarray], np.ndarray]

# cells read at a time: enough for matrix products to run at full speed, small beside the products themselves
BLOCK = 4096


def blocks_of(rows: Rows, cells: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """Values (k, n_vars) of the cells in turn, ``step`` of them at a time; the next are read ahead."""
    return ahead(rows, [cells[start : start + step] for start in range(0, len(cells), step)])


def gathered(rows: Rows, cells: np.ndarray, genes: np.ndarray | None = None) -> np.ndarray:
    """Values of some genes, by column, in some cells (n, g), read a block at a time; of all genes by default."""
    columns = slice(None) if genes is None else genes
    return np.concatenate([block[:, columns] for block in blocks_of(rows, cells, BLOCK)])


@dataclass
class Scatter:
    """Mean and centred products of a set of cells.

    Parameters
    ----------
    count
        Number of cells, or the sum of their weights.
    mean
        Mean per gene (G,).
    products
        ``sum_c w_c (x_c - mean)(x_c - mean)^T`` (G, G), symmetric.
    """

    count: float
    mean: np.ndarray
    products: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Population covariance (G, G)."""
        return self.products / self.count

    @property
    def correlation(self) -> np.ndarray:
        """Pearson correlation (G, G); NaN for constant genes."""
        scale = np.sqrt(np.diag(self.products))
        # what is left of a constant gene is rounding of its mean
        noise = 1e-7 * np.abs(self.mean) * np.sqrt(self.count)
        scale = np.where(scale > noise, scale, np.nan)
        return np.clip(self.products / scale / scale[:, None], -1.0, 1.0)


def scatter(
    rows: Rows, cells: np.ndarray, genes: np.ndarray | None = None, *, weights: np.ndarray | None = None
) -> Scatter:
    """Accumulate :class:`Scatter` over cells, block by block.

    Parameters
    ----------
    rows
        Gives the values (k, n_vars) of some cells, as ``Expression.rows`` does.
    cells
        Positions of the cells (n,).
    genes
        Columns to use; all by default.
    weights
        Weight per cell (n,), such as how often a bag holds it; 1 by default.

    Returns
    -------
    Scatter
        In float64. Cost: n G^2 operations; memory G^2 and one block of cells.

    Notes
    -----
    Blocks are joined by the update of Chan, Golub and LeVeque (1983), so that a large mean does not drown a small
    variance.
    """
    total: Scatter | None = None
    for start, values in zip(range(0, len(cells), BLOCK), blocks_of(rows, cells, BLOCK), strict=True):
        block = np.asarray(values, dtype=np.float64)
        block = block if genes is None else block[:, genes]
        part = _of_block(block, None if weights is None else weights[start : start + BLOCK])
        total = part if total is None else _joined(total, part)
    if total is None:
        raise ValueError("no cells")
    return total


def _of_block(block: np.ndarray, weights: np.ndarray | None) -> Scatter:
    count = float(len(block) if weights is None else weights.sum())
    if count == 0:
        return Scatter(0.0, np.zeros(block.shape[1]), np.zeros((block.shape[1],) * 2))
    mean = block.mean(axis=0) if weights is None else weights @ block / count
    centred = block - mean
    scaled = centred if weights is None else centred * weights[:, None]
    return Scatter(count, mean, scaled.T @ centred)


def _joined(one: Scatter, two: Scatter) -> Scatter:
    count = one.count + two.count
    if count == 0:
        return one
    step = two.mean - one.mean
    share = two.count / count
    products = one.products + two.products
    products += np.outer(step, step) * (one.count * share)
    return Scatter(count, one.mean + share * step, products)
