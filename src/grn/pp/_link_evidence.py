"""Evidence that a region acts on a gene: how they go together over cells, beside regions of other chromosomes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import RegionError
from grn._core.logging import progress
from grn._core.rng import sample_names
from grn._kernels import background as null
from grn._kernels.pair_correlation import Centred, Pairs, Sums
from grn._object.accessibility import Accessibility
from grn._object.expression import Expression

# values of a block of cells in memory: of expression, which is dense for a moment, and of accessibility
_DENSE, _STORED = 2**25, 2**23
# regions of the background, strata of them, and the fewest that a gene has in a stratum
_BACKGROUND, _STRATA, _FEWEST = 1000, 10, 25
# pools of z-scores, each with so many more than there are pairs that their p-values can be small enough
_POOLS, _FINER = 10, 4


@dataclass(frozen=True)
class Second:
    """What accessibility is correlated with: columns (G,), numbered along the genome.

    Parameters
    ----------
    chrom
        Their chromosomes (G,).
    columns
        Where they are in the expression, or among the regions along the genome.
    expression
        Expression of the genes; ``None`` where the columns are regions.
    """

    chrom: np.ndarray
    columns: np.ndarray
    expression: Expression | None


@dataclass(frozen=True)
class Cells:
    """Groups of cells: their labels, and positions in the expression and in the accessibility.

    Parameters
    ----------
    labels
        Name of every group.
    codes
        Group of every cell (n_cells,).
    places
        Row of every cell in the accessibility (n_cells,).
    """

    labels: tuple[str, ...]
    codes: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Background:
    """Regions that have nothing to do with a gene, and how they are divided.

    Parameters
    ----------
    rows
        Regions along the genome (B,).
    edges
        Numbers of cells in which regions are open, that divide them into strata.
    """

    rows: np.ndarray
    edges: np.ndarray


class Evidence:
    """Correlations of pairs in groups of cells, with their null.

    Parameters
    ----------
    regions
        Regions as ``chrom, start, end`` (R,).
    accessibility
        What is read of them.
    second
        Genes, or regions on promoters.
    cells
        Groups of cells.
    min_cells
        Fewest cells of a group in which a region is open and a gene is seen.
    seed
        By which the background is drawn, or ``None`` for no null.
    """

    def __init__(
        self,
        regions: pd.DataFrame,
        accessibility: Accessibility,
        second: Second,
        cells: Cells,
        *,
        min_cells: int,
        seed: int | None,
    ) -> None:
        self._accessibility, self._second, self._cells, self._seed = accessibility, second, cells, seed
        order = along(regions)
        self._place = np.empty(len(order), dtype=np.int64)  # of every region along the genome
        self._place[order] = np.arange(len(order))
        self._chrom = regions["chrom"].to_numpy(dtype=object)[order]
        self._min_cells = min_cells
        in_regions = np.full(accessibility.n_cells, -1)
        in_regions[cells.places] = cells.codes
        self._open = accessibility.open_cells(in_regions)[:, order]  # (groups, R)
        if second.expression is None:
            self._seen = self._open[:, second.columns]
        else:
            self._seen = second.expression.seen(cells.codes)[:, second.columns]
        if seed is not None:
            drawn = sample_names(regions.index[order].tolist(), len(order), seed)
            self._turn = np.asarray(drawn, dtype=np.int64)  # regions in the order in which they are drawn

    def by_group(self, first: np.ndarray, second: np.ndarray) -> Iterator[tuple[str, pd.DataFrame]]:
        """Evidence for pairs of a region along the genome and a column, in every group."""
        pairs = Pairs(first, second)
        for number, label in enumerate(self._cells.labels):
            background = self._drawn(self._open[number])
            centred = self._centred(pairs, number, background.rows)
            yield label, self._table(pairs, centred, background, self._open[number], self._seen[number])

    def within(self, first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
        """Evidence from deviations from the means of the groups, of all cells together."""
        pairs, total = Pairs(first, second), self._open.sum(axis=0)
        background = self._drawn(total)
        joined = self._centred(pairs, 0, background.rows)
        for number in range(1, len(self._cells.labels)):
            joined.join(self._centred(pairs, number, background.rows))
        return self._table(pairs, joined, background, total, self._seen.sum(axis=0))

    def _centred(self, pairs: Pairs, number: int, background: np.ndarray) -> Centred:
        """Products over the cells of a group."""
        sums = Sums(pairs, (len(self._chrom), len(self._second.columns)), background)
        positions = np.flatnonzero(self._cells.codes == number)
        step = self._step()
        for start in progress(range(0, len(positions), step), desc="linking regions"):
            sums.add(*self._block(positions[start : start + step]))
        return Centred.of(sums)

    def _step(self) -> int:
        """Cells of a block."""
        stored = max(1, int(self._open.sum() / max(1, len(self._cells.codes))))
        expression = self._second.expression
        dense = 1 if expression is None else expression.n_vars
        return max(1, min(_DENSE // dense, _STORED // stored))

    def _block(self, positions: np.ndarray) -> tuple[sparse.csr_array, Any]:
        """Accessibility (k, R) along the genome, and values (k, G) of the second side."""
        rows = self._accessibility.rows(self._cells.places[positions])
        x = sparse.csr_array((rows.data, self._place[rows.indices], rows.indptr), shape=rows.shape)
        if self._second.expression is None:
            return x, x[:, self._second.columns]
        values = self._second.expression.rows(positions)
        return x, values[:, self._second.columns].astype(np.float64)

    def _drawn(self, n_open: np.ndarray) -> Background:
        """Regions of the background: of every stratum as many, by the hash of their names."""
        if self._seed is None:
            return Background(np.zeros(0, dtype=np.int64), np.zeros(0))
        turn = self._turn[n_open[self._turn] >= self._min_cells]
        chroms = np.unique(self._second.chrom)
        for n in (_STRATA, 5, 2, 1):
            edges = null.edges(n_open[turn], n)
            stratum = np.searchsorted(edges, n_open[turn])
            parts = [turn[stratum == k][: math.ceil(_BACKGROUND / n)] for k in np.unique(stratum)]
            others = [(self._chrom[part] != chrom).sum() for part in parts for chrom in chroms]
            if min(others, default=0) >= _FEWEST:
                return Background(np.concatenate(parts), edges)
        raise RegionError(
            f"{len(turn)} regions are open in at least {self._min_cells} cells, on the chromosomes "
            f"{sorted(set(self._chrom[turn]))[:4]}: too few for a null, which needs {_FEWEST} on other chromosomes "
            "than a gene. Pass all regions that were measured, or null=None for links without p-values."
        )

    def _table(
        self,
        pairs: Pairs,
        centred: Centred,
        background: Background,
        n_open: np.ndarray,
        n_seen: np.ndarray,
    ) -> pd.DataFrame:
        """Columns ``rho`` and, with a null, ``zscore`` and ``pval`` of the pairs (L,); NaN for rare ones."""
        rho = centred.correlation(pairs)
        rho[(n_open[pairs.first] < self._min_cells) | (n_seen[pairs.second] < self._min_cells)] = np.nan
        if self._seed is None:
            return pd.DataFrame({"rho": rho})
        drawn = centred.background_correlation(background.rows)  # (B, G)
        drawn[:, n_seen < self._min_cells] = np.nan
        size = n_open[background.rows]
        z = null.zscores(
            rho,
            pairs.second,
            np.searchsorted(background.edges, n_open[pairs.first]),
            drawn,
            np.searchsorted(background.edges, size),
            self._chrom[background.rows][:, None] != self._second.chrom,
            least=1 / np.sqrt(max(1, centred.count - 1)),
        )
        both = np.outer(size, n_seen).astype(np.float64)  # expected cells with both, times the number of cells
        n_pools = np.clip(np.isfinite(drawn).sum() // (_FINER * max(1, len(pairs))), 1, _POOLS)
        pools = null.edges(both[:, n_seen >= self._min_cells].ravel(), int(n_pools))
        pvalues = null.pvalues(
            z,
            np.searchsorted(pools, n_open[pairs.first] * n_seen[pairs.second].astype(np.float64)),
            drawn,
            np.searchsorted(pools, both).astype(np.int8),
        )
        return pd.DataFrame({"rho": rho, "zscore": z, "pval": pvalues})


def along(table: pd.DataFrame) -> np.ndarray:
    """Positions of regions along the genome."""
    return np.lexsort([table["end"], table["start"], table["chrom"].to_numpy(dtype=str)])
