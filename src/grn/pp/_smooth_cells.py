"""Average every cell with its neighbours, as weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError, ParameterError, ResultNotFoundError
from grn._core.logging import logger, one_voice
from grn._kernels.neighbours import QUERIES, nearest, nearly_nearest
from grn._kernels.smooth import averaging, balanced, principal
from grn.network._schema import storable
from grn.pp._anndata import check_target, expression, target, validate
from grn.pp._expression import reads_of
from grn.pp._groups import cell_names
from grn.pp._smooth import stored_weights
from grn.pp._smooth_graph import fewest, first_neighbours, graph_of

KEY = "grn_smooth"
_MOST = 200
_GENES = 3000
# cells up to which every distance is measured unless the user says otherwise
_EXACT = 20_000


@one_voice
def smooth(
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
    key_added: str = "grn_smooth",
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Find the weights that average every cell with its nearest neighbours.

    .. math:: \tilde x_c = \frac{1}{1 + |N_c|} \Big(x_c + \sum_{d \in N_c} x_d\Big)

    Only the sparse weights are stored. Methods with ``smooth=`` read smoothed values through them, a block of cells at
    a time; ``adata.obsp["grn_smooth"] @ adata.X`` gives them all.

    Parameters
    ----------
    adata
        Annotated matrix (cells, genes).
    k
        Number of neighbours, below the number of cells. By default 2.5 % of the cells, at least 1 and at most 200.
    balance
        Let no cell be the neighbour of too many: cells choose in turn, the most sought-after first, each its nearest
        ``k`` of ``sight`` neighbours that have not been chosen ``max_chosen`` times. If false, the nearest ``k``.
    sight
        Neighbours to look through; by default ``8 k``, or ``1.5 k`` where not all distances are measured, and at most
        all other cells. Only with ``balance``.
    max_chosen
        How often a cell may be chosen; ``4 k`` by default. Only with ``balance``.
    exact
        Measure the distances between all cells, which takes time in the square of their number. If false, pynndescent
        finds nearly all neighbours. ``None``: up to 20 000 cells.
    n_pcs
        Principal components in which distances are measured.
    use_rep
        Coordinates in ``obsm``, of which the first ``n_pcs`` columns count. By default ``"X_pca"`` if the object has
        it, else components are computed from the log-normalised values of the 3000 genes that vary most; ``"pca"``
        computes them in any case.
    graph
        Take the neighbours in a sparse graph of ``obsp`` and measure nothing: the key of distances, as
        ``sc.pp.neighbors`` leaves them in ``obsp["distances"]``, of which the shortest count, or a key that ends with
        ``connectivities``, of which the largest count; equal ones by name. ``k`` and ``sight`` are then at most, and
        ``sight`` by default, as many as every cell has neighbours there. Not with ``use_rep``, ``exact``,
        ``layer`` or ``use_raw``; ``n_pcs`` and ``values`` then mean nothing.
    layer
        Layer with counts or log-normalised values to compute components from; ``None`` reads ``X``.
    use_raw
        Read ``.raw`` instead of ``X``.
    values
        What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
    key_added
        Slot of the result.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``obsp[key_added]``
            Weights (cells, cells), CSR float32, rows sum to 1.
        ``uns[key_added]``
            ``params``: every argument with the values that were used.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    ResultNotFoundError
        If ``obsm`` has no ``use_rep``, or ``obsp`` no ``graph``.
    ExpressionError, LayerError
        If the values, the layer or the graph cannot be used, or coordinates hold NaN.

    Notes
    -----
    Smoothing makes cells alike that were measured apart: p-values computed on smoothed cells as if they were
    independent are far too small. An object cut to some cells needs its weights anew. Neighbours are found, and equally
    sought-after cells choose, in the order of the names of the cells, so that of the object does not matter. Cost with
    ``exact``: all distances in ``n_pcs`` dimensions; else some thousand distances per cell, by one thread.
    Memory: ``4 sight`` and ``12 k`` bytes per cell while it runs, ``8 k`` for the result. Source: Kamimoto et al. 2023,
    who took balanced neighbours from La Manno et al. 2018.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    >>> grn.pp.smooth(adata, k=4)
    >>> adata.obsp["grn_smooth"].shape
    (60, 60)
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    weights, params = neighbour_weights(
        adata,
        k=k,
        balance=balance,
        sight=sight,
        max_chosen=max_chosen,
        exact=exact,
        n_pcs=n_pcs,
        use_rep=use_rep,
        graph=graph,
        layer=layer,
        use_raw=use_raw,
        values=values,
    )
    out = target(adata, copy=copy)
    write_weights(out, key_added, weights, params)
    return out if copy else None


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
        found = first_neighbours(edges, order, sight)
        return _chosen(found, order, k, max_chosen, balance=balance, source={"graph": graph})
    k = _count(usual if k is None else k, "k", n - 1)
    every = n <= _EXACT if exact is None else bool(exact)
    wide = min(8 * k if every else k + k // 2, n - 1)
    sight = _count(wide if sight is None else sight, "sight", n - 1, least=k) if balance else k
    with reads_of() as reads:
        points, rep = _points(adata, _count(n_pcs, "n_pcs", None), use_rep, layer, use_raw=use_raw, values=values)
    points = points[order]
    found = nearest(points, sight) if every else nearly_nearest(points, sight)
    source = {
        "exact": every,
        "n_pcs": points.shape[1],
        "use_rep": rep,
        "layer": layer,
        "use_raw": use_raw,
        "values": values,
        **reads.told,
    }
    return _chosen(found, order, k, max_chosen, balance=balance, source=source)


def _chosen(
    found: np.ndarray, order: np.ndarray, k: int, max_chosen: int | None, *, balance: bool, source: Mapping[str, Any]
) -> tuple[sparse.csr_matrix, dict[str, Any]]:
    """Weights of the neighbours that are chosen of those found among sorted cells, and what to record."""
    params: dict[str, Any] = {"k": k, "balance": balance}
    if balance:
        limit = _count(4 * k if max_chosen is None else max_chosen, "max_chosen", None)
        params |= {"sight": found.shape[1], "max_chosen": limit}
        found = balanced(found, k, limit)
    logger.info("smooth: %d neighbours per cell", k)
    return averaging(_in_order_of_cells(found, order)), params | dict(source)


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


def _in_order_of_cells(found: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Neighbours found among sorted cells, of the cells as they stand in the object."""
    out = np.empty_like(found)
    for start in range(0, len(found), QUERIES):
        out[order[start : start + QUERIES]] = order[found[start : start + QUERIES]]
    return out


def _count(value: int, name: str, most: int | None, *, least: int = 1) -> int:
    valid = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not valid or value < least or (most is not None and value > most):
        upper = "" if most is None else f" to {most}"
        raise ParameterError(f"{name}={value!r}; pass an integer from {least}{upper}.")
    return int(value)
