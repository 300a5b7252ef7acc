"""Cells averaged with their neighbours: weights that are computed, stored and read again, and the averages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import ExpressionError, ParameterError, ResultNotFoundError
from grn._core.logging import hint, logger
from grn._core.rng import sample_names
from grn._kernels.neighbours import QUERIES, nearest, nearly_nearest, reading_order
from grn._kernels.scatter import BLOCK
from grn._kernels.smooth import averaging, balanced, principal
from grn._object.expression import Expression, Pair, reads_of
from grn._object.groups import cell_names
from grn._object.smoothing_graph import fewest, first_neighbours, graph_of
from grn._object.values import expression
from grn.network.schema import storable

KEY = "grn_smooth"
# most neighbours by default, and of more cells than so many: on planted networks more of them find no more. Components
# are learned from so many cells
_MOST = 200
_MANY, _MOST_OF_MANY = 20_000, 30
_GENES = 3000
# cells up to which every distance is measured unless the user says otherwise
_EXACT = 100_000
# genes averaged at a time, in float64
_COLUMNS = 256


def neighbour_weights(
    adata: AnnData,
    *,
    k: int | None = None,
    balance: bool = True,
    sight: int | None = None,
    max_chosen: int | None = None,
    exact: bool | None = None,
    n_pcs: int = 50,
    use_rep: str | None = None,
    graph: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
) -> tuple[sparse.csr_matrix, dict[str, Any]]:
    """Compute what :func:`smooth` writes: weights and the arguments that were used."""
    n = adata.n_obs
    names = cell_names(adata) if balance else np.asarray(adata.obs_names, dtype=str)
    if n < 2:
        raise ExpressionError(f"the object has {n} cells; neighbours need at least 2.")
    order = np.argsort(names, kind="stable")
    usual = _usual_neighbours(n)
    if graph is not None:
        edges = graph_of(adata, graph, use_rep=use_rep, exact=exact, layer=layer, use_raw=use_raw or None)
        most = fewest(edges, graph)
        k = _count(min(usual, most) if k is None else k, "k", most)
        sight = _count(most if sight is None else sight, "sight", most, least=k) if balance else k
        neighbours = first_neighbours(edges, order, sight)
        return _chosen(neighbours, order, k, max_chosen, balance=balance, source={"graph": graph})
    if k is None:
        _tell_limit(n, usual)
    k = _count(usual if k is None else k, "k", n - 1)
    every = n <= _EXACT if exact is None else bool(exact)
    wide = min(8 * k if every else k + k // 2, n - 1)
    sight = _count(wide if sight is None else sight, "sight", n - 1, least=k) if balance else k
    with reads_of() as reads:
        points, rep = coordinates(adata, _count(n_pcs, "n_pcs", None), use_rep, layer, use_raw=use_raw, values=values)
    points = points[order]
    neighbours = nearest(points, sight) if every else nearly_nearest(points, sight)
    source = {
        "exact": every,
        "n_pcs": points.shape[1],
        "use_rep": rep,
        "layer": layer,
        "use_raw": use_raw,
        "values": values,
        **reads.told,
    }
    return _chosen(neighbours, order, k, max_chosen, balance=balance, source=source)


def _share(n: int) -> int:
    """Neighbours per cell that CellOracle takes."""
    return max(1, int(0.025 * n))


def _usual_neighbours(n: int) -> int:
    """Neighbours per cell by default: that share of the cells, up to a limit."""
    return min(_share(n), _MOST if n <= _MANY else _MOST_OF_MANY)


def _tell_limit(n: int, usual: int) -> None:
    if usual < _share(n):
        hint(
            "smooth: %d neighbours per cell; 2.5 %% of %d cells, as CellOracle takes, are %d, whose time and memory "
            "grow with the square of the cells; for these call grn.pp.smooth(adata, k=%d)",
            *(usual, n, _share(n), _share(n)),
        )


def _chosen(
    neighbours: np.ndarray,
    order: np.ndarray,
    k: int,
    max_chosen: int | None,
    *,
    balance: bool,
    source: Mapping[str, Any],
) -> tuple[sparse.csr_matrix, dict[str, Any]]:
    """Weights of the neighbours that are chosen of those found among sorted cells, and what to record."""
    params: dict[str, Any] = {"k": k, "balance": balance}
    if balance:
        limit = _count(4 * k if max_chosen is None else max_chosen, "max_chosen", None)
        params |= {"sight": neighbours.shape[1], "max_chosen": limit}
        neighbours = balanced(neighbours, k, limit)
    logger.info("smooth: %d neighbours per cell", k)
    return averaging(_in_order_of_cells(neighbours, order)), params | dict(source)


def write_weights(adata: AnnData, key: str, weights: sparse.csr_matrix, params: Mapping[str, Any]) -> None:
    """Write what :func:`neighbour_weights` found."""
    adata.obsp[key] = weights
    adata.uns[key] = {"params": storable(dict(params))}


def weights_for(adata: AnnData, *, layer: str | None, use_raw: bool, values: str = "auto") -> sparse.csr_matrix:
    """The weights in the default slot, else those that the defaults of :func:`smooth` give."""
    if KEY in adata.obsp:
        return stored_weights(adata, KEY)
    return neighbour_weights(adata, layer=layer, use_raw=use_raw, values=values)[0]


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


def coordinates(
    adata: AnnData, n_pcs: int, use_rep: str | None, layer: str | None, *, use_raw: bool, values: str
) -> tuple[np.ndarray, str]:
    """Coordinates of the cells and where they come from."""
    if use_rep is None:
        use_rep = "X_pca" if "X_pca" in adata.obsm else "pca"
    if use_rep != "pca":
        if use_rep not in adata.obsm:
            raise ResultNotFoundError(
                f"obsm has no {use_rep!r}; it has {', '.join(adata.obsm) or 'nothing'}. Call sc.pp.pca(adata), or pass "
                "use_rep='pca' to compute components here."
            )
        points = np.asarray(adata.obsm[use_rep], dtype=np.float64)
        if points.ndim != 2 or not np.isfinite(points).all():
            raise ExpressionError(f"obsm[{use_rep!r}] has shape {points.shape} or holds NaN; expected finite columns.")
        return points[:, :n_pcs], use_rep
    read = expression(adata, layer=layer, use_raw=use_raw, values=values)
    spread = read.moments()[1]
    order = np.lexsort((np.asarray(adata.var_names, dtype=str), -spread))
    genes = np.sort(order[: min(_GENES, int((spread > 0).sum()))])
    if not len(genes):
        raise ExpressionError("no gene varies between cells, so they have no neighbours; expected expression.")
    learned = None
    if read.n_cells > _MANY:
        learned = np.sort(sample_names(np.asarray(adata.obs_names, dtype=str).tolist(), _MANY, 0))
    return principal(read.rows, np.arange(read.n_cells), genes, min(n_pcs, len(genes), read.n_cells), learned), "pca"


def _in_order_of_cells(neighbours: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Neighbours found among sorted cells, of the cells as they stand in the object."""
    out = np.empty_like(neighbours)
    for start in range(0, len(neighbours), QUERIES):
        out[order[start : start + QUERIES]] = order[neighbours[start : start + QUERIES]]
    return out


def _count(value: int, name: str, most: int | None, *, least: int = 1) -> int:
    return checks.integer(name, value, least=least, most=checks.MOST if most is None else most)


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
        genes = np.arange(self.n_vars) if self._genes is None else self._genes
        out = np.zeros((len(index), len(genes)))
        for start in range(0, len(used), BLOCK):
            weights, block = part[:, start : start + BLOCK], self._expression.rows(used[start : start + BLOCK])
            for columns in _pieces(len(genes)):
                out[:, columns] += weights @ block[:, genes[columns]]
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
        block = np.asarray(rows(cells[start : start + BLOCK]))
        shift = block.mean(axis=0, dtype=np.float64) if shift is None else shift
        for columns in _pieces(n_vars):
            centred = block[:, columns].astype(np.float64) - shift[columns]
            total[columns] += centred.sum(axis=0)
            squares[columns] += (centred**2).sum(axis=0)
    step = total / len(cells)
    return shift + step, np.sqrt(np.maximum(squares / len(cells) - step**2, 0.0))


def _compact(part: sparse.csr_matrix) -> tuple[np.ndarray, sparse.csc_matrix]:
    """Cells that have a weight, and the weights of these cells alone."""
    used, columns = np.unique(part.indices, return_inverse=True)
    return used, sparse.csr_matrix((part.data, columns, part.indptr), shape=(part.shape[0], len(used))).tocsc()


def _pieces(n_genes: int) -> Iterator[slice]:
    """Genes a few at a time: temporary arrays in float64 of all of them take more than what is kept."""
    return (slice(start, start + _COLUMNS) for start in range(0, n_genes, _COLUMNS))
