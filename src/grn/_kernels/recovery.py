"""How early the regions of a set come in many rankings of regions: areas under recovery curves, and leading edges.

Regions that are tied have no order, so that every figure is its expectation over all orders of the ties: nothing is
drawn, and nothing depends on the order of regions. Of a ranking only what matters is stored (the regions with a hit of
a motif, or the first ranks); the others are tied behind, or beyond everything that is looked at. Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

# entries of the curves in work at a time
_AT_ONCE = 1 << 22
# differences of curves that are rounding
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class Rankings:
    """Places of regions in the rankings of motifs, from 0 for the best.

    Parameters
    ----------
    indptr, region
        As in CSC (M + 1,), (E,): the regions that are stored for each motif.
    start, size
        First place and number of places of the ties of each (E,).
    rest_start, rest_size
        The same of all regions that are not stored, per motif (M,).
    n_regions
        Number of regions R that can be in a set.
    n_places
        Number of places of a ranking, of which R may be a part.
    """

    indptr: np.ndarray
    region: np.ndarray
    start: np.ndarray
    size: np.ndarray
    rest_start: np.ndarray
    rest_size: np.ndarray
    n_regions: int
    n_places: int

    @property
    def shape(self) -> tuple[int, int]:
        """Regions and motifs."""
        return self.n_regions, len(self.indptr) - 1

    def csr(self, values: np.ndarray) -> sparse.csr_matrix:
        """A value per stored place as regions x motifs."""
        return sparse.csc_matrix((values, self.region, self.indptr), shape=self.shape).tocsr()


def rankings_of_scores(scores: sparse.csc_matrix) -> Rankings:
    """Rank regions by the scores (R, M) that are stored, the highest first; all others are tied behind them."""
    scores = sparse.csc_matrix(scores)
    n_regions, n_motifs = scores.shape
    column = np.repeat(np.arange(n_motifs), np.diff(scores.indptr))
    order = np.lexsort([-scores.data, column])
    value = scores.data[order]
    opens = np.r_[True, (value[1:] != value[:-1]) | (column[1:] != column[:-1])][: len(order)]
    first = np.flatnonzero(opens)
    block = np.cumsum(opens) - 1
    length = np.diff(np.r_[first, len(order)])
    start = first[block] - scores.indptr[column].astype(np.int64)
    stored = np.diff(scores.indptr).astype(np.int64)
    return Rankings(
        scores.indptr.astype(np.int64),
        scores.indices[order].astype(np.int64),
        start,
        length[block],
        stored,
        np.maximum(n_regions - stored, 1),
        n_regions,
        n_regions,
    )


def rankings_of_places(places: sparse.csc_matrix, n_places: int) -> Rankings:
    """Take places over from a table (R, M) of place + 1 where it is stored; all others lie behind everything."""
    places = sparse.csc_matrix(places)
    far = np.full(places.shape[1], n_places, dtype=np.int64)
    return Rankings(
        places.indptr.astype(np.int64),
        places.indices.astype(np.int64),
        places.data.astype(np.int64) - 1,
        np.ones(places.nnz, dtype=np.int64),
        far,
        np.ones_like(far),
        places.shape[0],
        n_places,
    )


def areas(rankings: Rankings, member: sparse.csr_matrix, depth: int) -> np.ndarray:
    r"""Areas (S, M) under the recovery curves of sets, as shares of the rectangle down to a place.

    .. math:: \mathrm{AUC}_{sm} = \frac{1}{T\,n_s} \sum_{i \in s} \max(T - \rho_{im}, 0)

    with the place :math:`\rho` from 0 and T the depth; it is linear in the sets, so that all areas are one product of
    sparse matrices.

    Parameters
    ----------
    rankings
        R regions, M motifs.
    member
        Sets x regions (S, R) of 0 and 1.
    depth
        Number T of places that count.
    """
    member = sparse.csr_matrix(member, dtype=np.float64)
    weight = _expected(rankings.start, rankings.size, depth)
    rest = _expected(rankings.rest_start, rankings.rest_size, depth)  # (M,)
    held = (member @ rankings.csr(weight)).toarray()  # (S, M)
    size = np.asarray(member.sum(axis=1)).ravel()
    if rest.any():
        stored = (member @ rankings.csr(np.ones(len(weight)))).toarray()
        held += (size[:, None] - stored) * rest
    area: np.ndarray = held / (np.maximum(size, 1)[:, None] * depth)
    return area


def normalised(area: np.ndarray) -> np.ndarray:
    """Areas (S, M) as deviations from the mean over motifs, in standard deviations; NaN where all are alike."""
    spread = area.std(axis=1, keepdims=True)
    flat = spread <= 1e-12 * np.maximum(np.abs(area).max(axis=1, keepdims=True, initial=0), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores: np.ndarray = np.where(flat, np.nan, (area - area.mean(axis=1, keepdims=True)) / spread)
    return scores


@dataclass(frozen=True, eq=False)
class Edges:
    """Leading edges of some motifs in one set.

    Parameters
    ----------
    place
        The last place of each leading edge (K,).
    region, motif
        Positions of the pairs of a region of the set and one of the motifs (0 to K - 1) within its edge.
    """

    place: np.ndarray
    region: np.ndarray
    motif: np.ndarray


def leading_edges(rankings: Rankings, rows: np.ndarray, motifs: np.ndarray, depth: int) -> Edges:
    """Regions of a set that make a motif stand out: down to where its curve is farthest above mean + 2 sd of all.

    Parameters
    ----------
    rankings
        R regions, M motifs.
    rows
        Regions of the set (n,).
    motifs
        The motifs asked for (K,), positions.
    depth
        Number of places that are looked at.
    """
    parts = _Set(rankings, rows)
    total, squares = np.zeros(depth), np.zeros(depth)
    n_motifs = rankings.shape[1]
    for chosen in _blocks(np.arange(n_motifs), depth):
        curves = parts.curves(chosen, depth)
        total += curves.sum(axis=0)
        squares += (curves**2).sum(axis=0)
    mean = total / n_motifs
    line = mean + 2 * np.sqrt(np.maximum(squares / n_motifs - mean**2, 0))
    place = np.zeros(len(motifs), dtype=np.int64)
    done = 0
    for chosen in _blocks(motifs, depth):
        above = np.round(parts.curves(chosen, depth) - line, _DIGITS)
        place[done : done + len(chosen)] = above.argmax(axis=1)
        done += len(chosen)
    return Edges(place, *parts.down_to(motifs, place))


class _Set:
    """What is stored of the regions of a set."""

    def __init__(self, rankings: Rankings, rows: np.ndarray) -> None:
        inside = np.zeros(rankings.n_regions, dtype=bool)
        inside[rows] = True
        at = np.flatnonzero(inside[rankings.region])
        self.rankings, self.n, self.region = rankings, len(rows), rankings.region[at]
        self.start, self.size = rankings.start[at], rankings.size[at]
        self.bounds = np.searchsorted(at, rankings.indptr)  # (M + 1,)

    def curves(self, motifs: np.ndarray, depth: int) -> np.ndarray:
        """Expected number of regions of the set among the first 1, 2 ... places (k, depth)."""
        row, entry = self._entries(motifs)
        start, size, share = self.start[entry], self.size[entry], 1 / self.size[entry]
        absent = self.n - np.diff(self.bounds)[motifs]
        row = np.r_[row, np.arange(len(motifs))]
        start, size = np.r_[start, self.rankings.rest_start[motifs]], np.r_[size, self.rankings.rest_size[motifs]]
        share = np.r_[share, absent / self.rankings.rest_size[motifs]]
        wide, length = depth + 1, len(motifs) * (depth + 1)
        begin, end = np.minimum(start, depth), np.minimum(start + size, depth)
        slope = np.bincount(row * wide + begin, share, length) - np.bincount(row * wide + end, share, length)
        curves: np.ndarray = slope.reshape(len(motifs), wide).cumsum(axis=1).cumsum(axis=1)[:, :depth]
        return curves

    def down_to(self, motifs: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a region and a motif (its number among those asked for) whose place is at most that."""
        row, entry = self._entries(motifs)
        within = self.start[entry] <= place[row]
        return self.region[entry[within]], row[within]

    def _entries(self, motifs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.bounds[motifs], self.bounds[motifs + 1]
        row = np.repeat(np.arange(len(motifs)), high - low)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
        return row, low[row] + offset


def _blocks(motifs: np.ndarray, depth: int) -> list[np.ndarray]:
    step = max(1, _AT_ONCE // (depth + 1))
    return [motifs[first : first + step] for first in range(0, len(motifs), step)]


def _expected(start: np.ndarray, size: np.ndarray, depth: int) -> np.ndarray:
    """Mean of max(T - place, 0) over places ``start`` to ``start + size - 1``."""
    n = np.clip(depth - start, 0, size).astype(np.float64)
    mean: np.ndarray = n * (depth - start - (n - 1) / 2) / size
    return mean
