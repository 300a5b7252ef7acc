"""Products of permuted copies of genes with other genes, many permutations at one look at the cells.

A permutation changes neither means nor variances, and copies that are permuted alike vary together as the genes do:
only the products of copies with genes as they are have to be made anew, each in one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from grn._kernels.correlate import Cross, ranked
from grn._kernels.scatter import BLOCK

# values of a block of cells in memory: as float64 it takes 64 MB
_VALUES = 2**23


@dataclass(frozen=True)
class CopyProducts:
    """Sums over the cells of genes, and of permuted copies of some of them.

    Parameters
    ----------
    plain
        Of the sources (S) with all genes (G), nothing permuted.
    beside
        Centred products of the copies with the genes, of every permutation (P, S, G).
    among
        Those of the copies with each other (P, S, S); ``None`` for copies that are permuted alike, which have those of
        the sources.
    """

    plain: Cross
    beside: np.ndarray
    among: np.ndarray | None


def copy_products(
    sources: sparse.csr_matrix, genes: sparse.csr_matrix, orders: Sequence[np.ndarray | sparse.csr_matrix]
) -> CopyProducts:
    """Make :class:`CopyProducts` in one pass over the cells.

    Parameters
    ----------
    sources
        Values of the genes to copy (n, S).
    genes
        Values of all genes (n, G).
    orders
        Per permutation the cell whose values the copies have in a cell, one order for all of them (n,), or the copies
        themselves (n, S), as :func:`permuted_columns` makes them; not both.

    Returns
    -------
    CopyProducts
        In float64. Cost: P + 1 products of n S G operations, P more of n S S for orders of their own; a block of cells
        is dense once. Memory: P S G numbers and one block.
    """
    n, (s, g) = sources.shape[0], (sources.shape[1], genes.shape[1])
    apart = any(sparse.issparse(order) for order in orders)
    source_mean, gene_mean = column_means(sources), column_means(genes)
    plain, beside = np.zeros((s, g)), np.zeros((len(orders), s, g))
    among = np.zeros((len(orders), s, s)) if apart else None
    squares, gene_squares = np.zeros(s), np.zeros(g)
    step = max(1, min(BLOCK, _VALUES // max(1, s + g)))
    for start in range(0, n, step):
        cells = slice(start, min(start + step, n))
        y = _centred(genes[cells], gene_mean)  # (k, G)
        x = _centred(sources[cells], source_mean)  # (k, S)
        plain += x.T @ y
        squares += np.einsum("cs,cs->s", x, x)
        gene_squares += np.einsum("cg,cg->g", y, y)
        for p, order in enumerate(orders):
            copies = _centred(order[cells] if apart else sources[order[cells]], source_mean)
            beside[p] += copies.T @ y
            if among is not None:
                among[p] += copies.T @ copies
    return CopyProducts(Cross(n, source_mean, gene_mean, squares, gene_squares, plain), beside, among)


@dataclass
class CopySums:
    """Sums over the cells of a group, of genes and of the permuted copies of some, each made when first asked for.

    Parameters
    ----------
    values
        Values (n, G).
    sources
        Genes that have copies, ascending (S,). Copies have the positions from G on, in the order of these.
    orders
        The cell whose values the copies have in a cell, (n,) or (n, S), of every permutation.
    """

    values: sparse.csr_matrix
    sources: np.ndarray
    orders: Sequence[np.ndarray]
    made: dict[tuple[bool, bytes], CopyProducts] = field(default_factory=dict)

    def of(self, place: int, sources: np.ndarray, genes: np.ndarray, *, ranks: bool) -> Cross:
        """Sums of sources and genes, by position and copies among them, in a permutation."""
        n_genes = self.values.shape[1]
        wanted = np.union1d(genes[genes < n_genes], self.sources)
        products = self._products(wanted, ranks=ranks)
        plain, beside = products.plain, products.beside[place]
        at = np.searchsorted(wanted, self.sources)
        among = plain.products[:, at] if products.among is None else products.among[place]
        real, column_real = sources < n_genes, genes < n_genes
        # whose sums they have: a source, also of a copy, and its column, also of a copy
        source = np.where(real, np.searchsorted(self.sources, sources), sources - n_genes)
        copied = np.maximum(genes - n_genes, 0)
        column = np.where(column_real, np.searchsorted(wanted, genes), at[copied])
        whole = np.empty((len(sources), len(genes)))
        whole[np.ix_(real, column_real)] = plain.products[np.ix_(source[real], column[column_real])]
        whole[np.ix_(~real, column_real)] = beside[np.ix_(source[~real], column[column_real])]
        whole[np.ix_(real, ~column_real)] = beside[np.ix_(copied[~column_real], at[source[real]])].T
        whole[np.ix_(~real, ~column_real)] = among[np.ix_(source[~real], copied[~column_real])]
        means, squares = plain.target_mean[column], plain.target_squares[column]
        return Cross(plain.count, plain.source_mean[source], means, plain.source_squares[source], squares, whole)

    def _products(self, genes: np.ndarray, *, ranks: bool) -> CopyProducts:
        key = ranks, genes.tobytes()
        if key not in self.made:
            table = self.values[:, genes]
            table = sparse.csr_matrix(ranked(table.tocsc())) if ranks else table
            sources = table[:, np.searchsorted(genes, self.sources)]
            apart = sources.tocsc()
            orders = [o if o.ndim == 1 else sparse.csr_matrix(permuted_columns(apart, o)) for o in self.orders]
            self.made[key] = copy_products(sources, table, orders)
        return self.made[key]


def permuted_columns(table: sparse.csc_matrix, order: np.ndarray) -> sparse.csc_matrix:
    """Columns, each in an order of its own (n, S); only stored entries move."""
    rows = np.empty(table.nnz, dtype=np.int64)
    place = np.empty(len(order), dtype=np.int64)
    for s in range(table.shape[1]):
        part = slice(table.indptr[s], table.indptr[s + 1])
        place[order[:, s]] = np.arange(len(order))
        rows[part] = place[table.indices[part]]
    # entries of its own, which are sorted in place
    matrix = sparse.csc_matrix((table.data.copy(), rows, table.indptr), shape=table.shape)
    matrix.sort_indices()
    return matrix


def column_means(table: sparse.csr_matrix) -> np.ndarray:
    """Means of the columns (G,), summed in float64."""
    means: np.ndarray = np.bincount(table.indices, weights=table.data, minlength=table.shape[1]) / table.shape[0]
    return means


def _centred(block: sparse.csr_matrix, mean: np.ndarray) -> np.ndarray:
    values: np.ndarray = block.astype(np.float64).toarray()
    values -= mean
    return values
