"""Weights that average every cell with its neighbours: computed, stored, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import ExpressionError, ResultNotFoundError
from grn._core.logging import logger
from grn._kernels.neighbours import QUERIES, nearest, nearly_nearest
from grn._kernels.smooth import averaging, balanced, principal
from grn._object.container import validate
from grn._object.expression import reads_of
from grn._object.groups import cell_names
from grn._object.smoothed import stored_weights
from grn._object.smoothing_graph import fewest, first_neighbours, graph_of
from grn._object.values import expression
from grn.network.schema import storable

KEY = "grn_smooth"
_MOST = 200
_GENES = 3000
# cells up to which every distance is measured unless the user says otherwise
_EXACT = 20_000


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
    validate(adata)
    n = adata.n_obs
    names = cell_names(adata) if balance else np.asarray(adata.obs_names, dtype=str)
    if n < 2:
        raise ExpressionError(f"the object has {n} cells; neighbours need at least 2.")
    order = np.argsort(names, kind="stable")
    usual = min(_MOST, max(1, int(0.025 * n)))
    if graph is not None:
        edges = graph_of(adata, graph, use_rep=use_rep, exact=exact, layer=layer, use_raw=use_raw or None)
        most = fewest(edges, graph)
        k = _count(min(usual, most) if k is None else k, "k", most)
        sight = _count(most if sight is None else sight, "sight", most, least=k) if balance else k
        neighbours = first_neighbours(edges, order, sight)
        return _chosen(neighbours, order, k, max_chosen, balance=balance, source={"graph": graph})
    k = _count(usual if k is None else k, "k", n - 1)
    every = n <= _EXACT if exact is None else bool(exact)
    wide = min(8 * k if every else k + k // 2, n - 1)
    sight = _count(wide if sight is None else sight, "sight", n - 1, least=k) if balance else k
    with reads_of() as reads:
        points, rep = _points(adata, _count(n_pcs, "n_pcs", None), use_rep, layer, use_raw=use_raw, values=values)
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
    validate(adata)
    if KEY in adata.obsp:
        return stored_weights(adata, KEY)
    return neighbour_weights(adata, layer=layer, use_raw=use_raw, values=values)[0]


def _points(
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
    return principal(read.rows, np.arange(read.n_cells), genes, min(n_pcs, len(genes), read.n_cells)), "pca"


def _in_order_of_cells(neighbours: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Neighbours found among sorted cells, of the cells as they stand in the object."""
    out = np.empty_like(neighbours)
    for start in range(0, len(neighbours), QUERIES):
        out[order[start : start + QUERIES]] = order[neighbours[start : start + QUERIES]]
    return out


def _count(value: int, name: str, most: int | None, *, least: int = 1) -> int:
    return checks.integer(name, value, least=least, most=checks.MOST if most is None else most)
