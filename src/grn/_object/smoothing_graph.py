"""Neighbours that other programs found and left in ``obsp``."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError, ParameterError, ResultNotFoundError

# how scanpy ends the keys of graphs in which near cells have large values
_CLOSENESS = "connectivities"


def graph_of(adata: AnnData, key: str, **measured: Any) -> sparse.csr_matrix:
    """Distances between neighbours (n, n), float64, each stored entry one neighbour; checked.

    Parameters
    ----------
    adata
        The object.
    key
        Key of ``obsp``; graphs whose key ends with ``connectivities`` have their signs changed, so that near is small.
    **measured
        Arguments that say how distances are measured, which nothing follows here: refused where they are set.
    """
    given = [name for name, value in measured.items() if value is not None]
    if given:
        raise ParameterError(f"graph={key!r} takes neighbours as they are and measures nothing; leave out {given[0]}=.")
    if not isinstance(key, str) or key not in adata.obsp:
        raise ResultNotFoundError(
            f"obsp has no {key!r}; it has {', '.join(adata.obsp) or 'nothing'}. Call sc.pp.neighbors(adata) and pass "
            "graph='distances', or leave graph= out."
        )
    if not sparse.issparse(adata.obsp[key]):
        raise ExpressionError(f"obsp[{key!r}] is dense, so every cell is a neighbour; expected a sparse graph.")
    graph = sparse.coo_matrix(adata.obsp[key])
    if not np.isfinite(graph.data).all() or (graph.data < 0).any():
        raise ExpressionError(f"obsp[{key!r}] holds negative or missing values; expected a graph of distances.")
    others = graph.row != graph.col
    values = graph.data[others].astype(np.float64) * (-1.0 if key.endswith(_CLOSENESS) else 1.0)
    return sparse.csr_matrix((values, (graph.row[others], graph.col[others])), shape=graph.shape)


def fewest(graph: sparse.csr_matrix, key: str) -> int:
    """Number of neighbours that every cell has at least."""
    least = int(np.diff(graph.indptr).min())
    if not least:
        alone = int((np.diff(graph.indptr) == 0).sum())
        raise ExpressionError(f"{alone} cells have no neighbour in obsp[{key!r}]; expected one at least per cell.")
    return least


def first_neighbours(graph: sparse.csr_matrix, order: np.ndarray, k: int) -> np.ndarray:
    """The k nearest neighbours (n, k) int32 of cells in an order, as positions in it; equal ones by position."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rows = place[np.repeat(np.arange(len(order)), np.diff(graph.indptr))]
    columns = place[graph.indices]
    sort = np.lexsort((columns, graph.data, rows))
    sizes = np.diff(graph.indptr)[order]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    neighbours: np.ndarray = columns[sort][starts[:, None] + np.arange(k)].astype(np.int32)
    return neighbours
