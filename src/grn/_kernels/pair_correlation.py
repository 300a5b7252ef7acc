"""Correlations of chosen pairs of columns of two matrices, one of them sparse, over cells that come in blocks.

Of regions and genes only pairs that lie near each other count: some 10 of 100 000 regions for a gene. Products are made
tile by tile, of a few columns of the second matrix with the columns of the first that are paired with them, so that
neither the matrix is densified nor all products are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

# a tile may make so many products for every one that is wanted
_WASTE = 2.0
# columns of a tile, and of a block of the second matrix that is made dense at a time
_WIDEST = 64
# variance that is left of a constant column, relative to its sum of squares
_ROUNDING = 1e-12


@dataclass(frozen=True)
class _Tile:
    """Columns ``low:high`` of the first matrix, ``start:stop`` of the second, and where the wanted products are."""

    low: int
    high: int
    start: int
    stop: int
    wanted: slice  # of the pairs


class Pairs:
    """Which columns are paired, cut into tiles.

    Parameters
    ----------
    first, second
        Columns of every pair (L,), sorted by the second and then by the first. Columns should be numbered along the
        genome: pairs of a column then are neighbours, and tiles are small.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self.first, self.second = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
        self.tiles = list(self._cut())

    def __len__(self) -> int:
        return len(self.first)

    def _cut(self) -> list[_Tile]:
        if not len(self):
            return []
        columns, begin = np.unique(self.second, return_index=True)
        end = np.append(begin[1:], len(self))
        low = np.minimum.reduceat(self.first, begin)
        high = np.maximum.reduceat(self.first, begin) + 1
        tiles, k = [], 0
        while k < len(columns):
            last, span = k, (int(low[k]), int(high[k]))
            while last + 1 < len(columns):
                wider = min(span[0], int(low[last + 1])), max(span[1], int(high[last + 1]))
                width = int(columns[last + 1] - columns[k]) + 1
                wanted = int(end[last + 1] - begin[k])
                if width > _WIDEST or (wider[1] - wider[0]) * width > _WASTE * wanted:
                    break
                last, span = last + 1, wider
            where = slice(int(begin[k]), int(end[last]))
            tiles.append(_Tile(*span, int(columns[k]), int(columns[last]) + 1, where))
            k = last + 1
        return tiles


@dataclass
class Sums:
    """Sums over cells, from which correlations follow.

    Parameters
    ----------
    pairs
        Pairs of columns.
    shape
        Columns of the first and of the second matrix.
    background
        Columns (B,) of the first matrix that are paired with all of the second; none by default.
    """

    pairs: Pairs
    shape: tuple[int, int]
    background: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        self.count = 0
        self.first, self.first_squares = np.zeros(self.shape[0]), np.zeros(self.shape[0])
        self.second, self.second_squares = np.zeros(self.shape[1]), np.zeros(self.shape[1])
        self.products = np.zeros(len(self.pairs))
        self.background_products = np.zeros((len(self.background), self.shape[1]))

    def add(self, x: sparse.csr_array, y: Any) -> None:
        """Take in a block of cells: x (k, R) CSR and y (k, G), dense or CSR; of float64."""
        self.count += x.shape[0]
        columns = sparse.csc_array(x)
        self.first += columns.sum(axis=0)
        self.first_squares += columns.power(2).sum(axis=0)
        dense = not sparse.issparse(y)
        y = y if dense else sparse.csc_array(y)
        self.second += y.sum(axis=0)
        self.second_squares += np.einsum("cg,cg->g", y, y) if dense else y.power(2).sum(axis=0)
        for tile in self.pairs.tiles:
            part = y[:, tile.start : tile.stop]
            product = _slice(columns, tile.low, tile.high).T @ np.ascontiguousarray(part if dense else part.toarray())
            at = tile.wanted
            self.products[at] += product[self.pairs.first[at] - tile.low, self.pairs.second[at] - tile.start]
        if len(self.background):
            drawn = columns[:, self.background].T.tocsr()
            for start in range(0, self.shape[1], _WIDEST):
                part = y[:, start : start + _WIDEST]
                self.background_products[:, start : start + _WIDEST] += drawn @ np.ascontiguousarray(
                    part if dense else part.toarray()
                )


@dataclass
class Centred:
    """Centred squares of columns and products of pairs, which add up over groups of cells.

    Parameters
    ----------
    count
        Number of cells.
    first, second
        Sums of squared deviations of the columns (R,) and (G,).
    products
        Of the pairs (L,).
    background
        Of columns of the background with all of the second matrix (B, G).
    """

    count: int
    first: np.ndarray
    second: np.ndarray
    products: np.ndarray
    background: np.ndarray

    @classmethod
    def of(cls, sums: Sums) -> Centred:
        """Of the cells that were taken in; the background is centred in place."""
        n, pairs = max(1, sums.count), sums.pairs
        first, second = sums.first / n, sums.second / n
        products = sums.products - n * first[pairs.first] * second[pairs.second]
        background = sums.background_products
        background -= np.outer(n * first[sums.background], second)
        squares = _squares(sums.first_squares, first, n), _squares(sums.second_squares, second, n)
        return cls(sums.count, *squares, products, background)

    def join(self, other: Centred) -> None:
        """Add those of another group: deviations are then from the means of the groups."""
        self.count += other.count
        self.first += other.first
        self.second += other.second
        self.products += other.products
        self.background += other.background

    def correlation(self, pairs: Pairs) -> np.ndarray:
        """Of the pairs (L,); NaN where a column is constant."""
        return _ratio(self.products, self.first[pairs.first] * self.second[pairs.second])

    def background_correlation(self, background: np.ndarray) -> np.ndarray:
        """Of the background with all columns (B, G), in place; NaN where a column is constant."""
        with np.errstate(invalid="ignore", divide="ignore"):
            self.background /= np.sqrt(_positive(self.first[background]))[:, None]
            self.background /= np.sqrt(_positive(self.second))
        return np.clip(self.background, -1.0, 1.0, out=self.background)


def _squares(squares: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    deviations: np.ndarray = squares - n * mean**2
    deviations[deviations <= _ROUNDING * squares] = 0.0
    return deviations


def _positive(values: np.ndarray) -> np.ndarray:
    positive: np.ndarray = np.where(values > 0, values, np.nan)
    return positive


def _ratio(products: np.ndarray, squares: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = products / np.sqrt(_positive(squares))
    return np.clip(ratio, -1.0, 1.0, out=ratio)


def _slice(columns: sparse.csc_array, low: int, high: int) -> sparse.csc_array:
    """Columns of a range, without a copy of what they hold."""
    first, last = columns.indptr[low], columns.indptr[high]
    part = (columns.data[first:last], columns.indices[first:last], columns.indptr[low : high + 1] - first)
    return sparse.csc_array(part, shape=(columns.shape[0], high - low))
