"""Correlations of regulators with targets over cells that come in blocks; ranks stay sparse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from grn._kernels.arrays import Arrays, arrays_on
from grn._kernels.scatter import BLOCK, Rows, blocks_of

# values of a block in memory: as float64 it takes 64 MB
_VALUES = 2**23
# ranks held at a time beside those of the regulators; a stored rank takes 8 bytes
BUDGET = 2**29


@dataclass
class Cross:
    """Means and centred products of sources with targets over a set of cells.

    Parameters
    ----------
    count
        Number of cells.
    source_mean, target_mean
        Means (S,) and (T,).
    source_squares, target_squares
        Sums of squared deviations (S,) and (T,).
    products
        ``sum_c (x_cs - mean_s)(y_ct - mean_t)`` (S, T).
    """

    count: int
    source_mean: np.ndarray
    target_mean: np.ndarray
    source_squares: np.ndarray
    target_squares: np.ndarray
    products: np.ndarray

    @property
    def source_scale(self) -> np.ndarray:
        """Population standard deviation of the sources (S,); NaN for constant ones."""
        return _scale(self.source_mean, self.source_squares, self.count)

    @property
    def target_scale(self) -> np.ndarray:
        """Population standard deviation of the targets (T,); NaN for constant ones."""
        return _scale(self.target_mean, self.target_squares, self.count)

    @property
    def correlation(self) -> np.ndarray:
        """Pearson correlation (S, T); NaN where a gene is constant."""
        correlation = self.products / self.count
        correlation /= self.source_scale[:, None]
        correlation /= self.target_scale
        return np.clip(correlation, -1.0, 1.0, out=correlation)


def cross(
    rows: Rows, cells: np.ndarray, sources: np.ndarray, targets: np.ndarray, *, device: str | None = None
) -> Cross:
    """Accumulate :class:`Cross` over cells, block by block.

    Parameters
    ----------
    rows
        Gives the values (k, n_vars) of some cells, as ``Expression.rows`` does.
    cells
        Positions of the cells (n,), at least one.
    sources, targets
        Columns (S,) and (T,); a column may be in both.
    device
        Torch device that multiplies; ``None`` computes with numpy.

    Returns
    -------
    Cross
        In float64. Cost: n S T operations; memory S T and one block of cells.

    Notes
    -----
    Blocks are joined by the update of Chan, Golub and LeVeque (1983), so that a large mean does not drown a small
    variance.
    """
    if not len(cells):
        raise ValueError("no cells")
    step = max(1, min(BLOCK, _VALUES // max(1, len(sources) + len(targets))))
    n, m = len(sources), len(targets)
    where = arrays_on(device)
    total = Cross(0, *(where.zeros(*shape) for shape in ((n,), (m,), (n,), (m,), (n, m))))
    for block in blocks_of(rows, cells, step):
        x, y = (where.put(block[:, part]) for part in (sources, targets))
        _add(total, x, y, where)
    parts = (total.source_mean, total.target_mean, total.source_squares, total.target_squares, total.products)
    return Cross(total.count, *map(where.take, parts))


def pearson(
    rows: Rows, cells: np.ndarray, sources: np.ndarray, targets: np.ndarray, *, device: str | None = None
) -> np.ndarray:
    """Pearson correlation of sources with targets (S, T), NaN for constant genes; parameters as in :func:`cross`."""
    return cross(rows, cells, sources, targets, device=device).correlation


def spearman(
    rows: Rows,
    cells: np.ndarray,
    sources: np.ndarray,
    targets: np.ndarray,
    *,
    budget: int = BUDGET,
    device: str | None = None,
) -> np.ndarray:
    """Spearman correlation of sources with targets (S, T), ties sharing their mean rank; NaN for constant genes.

    Ranks are moved so that zeros have rank 0, which changes no correlation, and are stored for other values only.

    Parameters
    ----------
    rows, cells, sources, targets, device
        As in :func:`cross`; ranks are found by the processor.
    budget
        Bytes of ranks of targets held at a time; the cells are read anew for every portion of targets.

    Returns
    -------
    ndarray
        Correlations. Cost: n S T operations and one sort per gene; memory S T, the ranks of the sources, ``budget``.
    """
    first = _ranks(rows, cells, sources)
    correlations = np.empty((len(sources), len(targets)))
    where, everyone = np.arange(len(sources)), np.arange(len(cells))
    for part in _portions(rows, cells, targets, budget // 8):
        second = _ranks(rows, cells, targets[part])
        joined = sparse.hstack([first, second], format="csr")
        inside = np.arange(len(sources), joined.shape[1])
        correlations[:, part] = pearson(partial(_dense, joined), everyone, where, inside, device=device)
    return correlations


def _scale(mean: np.ndarray, squares: np.ndarray, count: int) -> np.ndarray:
    """Standard deviation; what is left of a constant gene is rounding of its mean."""
    scale = np.sqrt(squares / count)
    return np.where(scale > 1e-7 * np.abs(mean), scale, np.nan)


def _add(total: Cross, x: Any, y: Any, where: Arrays) -> None:
    """Take in a block of cells; it overwrites the block."""
    einsum = where.xp.einsum
    x_mean, y_mean = x.mean(0), y.mean(0)
    x -= x_mean
    y -= y_mean
    count = total.count + len(x)
    share, joint = len(x) / count, total.count * len(x) / count
    x_step, y_step = x_mean - total.source_mean, y_mean - total.target_mean
    total.products += x.T @ y
    total.products += (x_step * joint)[:, None] * y_step
    total.source_squares += einsum("cs,cs->s", x, x) + x_step**2 * joint
    total.target_squares += einsum("ct,ct->t", y, y) + y_step**2 * joint
    total.source_mean += x_step * share
    total.target_mean += y_step * share
    total.count = count


def _dense(table: sparse.csr_array, cells: np.ndarray) -> np.ndarray:
    """Some rows of a sparse table."""
    rows: np.ndarray = table[cells].toarray()
    return rows


def _blocks(rows: Rows, cells: np.ndarray, genes: np.ndarray) -> Iterator[np.ndarray]:
    """Values (k, len(genes)) of the cells in turn."""
    return (block[:, genes] for block in blocks_of(rows, cells, BLOCK))


def _portions(rows: Rows, cells: np.ndarray, genes: np.ndarray, values: int) -> list[slice]:
    """Parts of the genes with up to so many values that are not zero; at least one gene each."""
    if len(cells) * len(genes) <= values:
        return [slice(0, len(genes))]
    filled = np.cumsum(sum(np.count_nonzero(block, axis=0) for block in _blocks(rows, cells, genes)))
    parts, start = [], 0
    while start < len(genes):
        before = filled[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(filled, before + values, side="right")))
        parts.append(slice(start, stop))
        start = stop
    return parts


def sparse_columns(rows: Rows, cells: np.ndarray, genes: np.ndarray) -> sparse.csc_array:
    """Values (n, len(genes)) by genes; those that are zero take no memory."""
    return sparse.vstack([sparse.csr_array(block) for block in _blocks(rows, cells, genes)], format="csc")


def _ranks(rows: Rows, cells: np.ndarray, genes: np.ndarray) -> sparse.csr_array:
    return ranked(sparse_columns(rows, cells, genes))


def ranked(table: sparse.csc_array) -> sparse.csr_array:
    """Ranks (n, G) of the values of every gene less the rank of zero; they overwrite the values, none of them zero."""
    from scipy.stats import rankdata

    n_cells = table.shape[0]
    for start, stop in zip(table.indptr[:-1], table.indptr[1:], strict=True):
        values = table.data[start:stop]
        zeros = n_cells - len(values)
        ranks = rankdata(values)
        ranks += zeros * (values > 0)
        # half integers: exact in float32 up to 8 million cells
        table.data[start:stop] = ranks - (np.count_nonzero(values < 0) + (zeros + 1) / 2) if zeros else ranks
    return table.tocsr()
