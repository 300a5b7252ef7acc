"""Coordinates in which cells of both modalities are near each other."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError, ResultNotFoundError
from grn._core.rng import sample_names
from grn._kernels.averages import ScaledAxes, scaled_components
from grn._kernels.scan import scan, settled
from grn._object.expression import Expression, select
from grn._object.values import expression
from grn.pp._metacell_sides import Sides

# features that are compared, those that vary most
_FEATURES = 3000
# cells whose components are those of all
LEARNED = 20_000


def joint_points(sides: Sides, use_rep: str | None, n_pcs: int, *, layer: str | None, values: str) -> np.ndarray:
    """Coordinates (n_cells, d) of the cells in the order of the first object; cells do not change with their order."""
    (name, first), *others = sides.parts.items()
    if use_rep is not None:
        return _stored(sides, use_rep)
    order = np.argsort(sides.first.cells, kind="stable")
    read = expression(first, layer=layer, values=values)
    parts = [_components(read, first, order, n_pcs, name)]
    for other, part in others:
        rows = np.arange(part.n_obs) if sides.places is None else sides.places[order]
        parts.append(_components(_accessibility(part, other), part, rows, n_pcs, other))
    points = np.empty((len(order), sum(part.shape[1] for part in parts)))
    points[order] = np.column_stack(parts)
    return points


def _stored(sides: Sides, use_rep: str) -> np.ndarray:
    """Coordinates that the object holds, in the order of the cells of the first modality."""
    (_, first), *_others = sides.parts.items()
    holder, where = (first, "obsm") if sides.whole is None else (sides.whole, "mdata.obsm")
    if use_rep not in holder.obsm:
        there = ", ".join(str(key) for key in holder.obsm if key not in sides.parts) or "nothing"
        raise ResultNotFoundError(
            f"{where} has no {use_rep!r}; it has {there}. Leave use_rep= out to compute components."
        )
    points = np.asarray(holder.obsm[use_rep], dtype=np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ExpressionError(f"{where}[{use_rep!r}] has shape {points.shape} or holds NaN; expected finite columns.")
    return points[holder.obs_names.get_indexer(first.obs_names)]


def _accessibility(atac: AnnData, name: str) -> Expression:
    """Log-normalised accessibility, on whatever scale it is stored."""
    source = select(atac, None, use_raw=False)
    seen = scan(source)
    if seen.n_nan or seen.n_infinite or seen.kind in ("scaled", "empty"):
        raise ExpressionError(
            f"mdata[{name!r}].X holds {seen.n_nan} NaN, {seen.n_infinite} infinite and {seen.n_negative} negative "
            f"values, {seen.high:.3g} at most; expected counts of fragments, or accessibility that is not scaled."
        )
    return Expression(source, settled(seen, "auto", f"mdata[{name!r}].X"), None, totals=seen.totals)


def _components(read: Expression, adata: AnnData, rows: np.ndarray, n_pcs: int, name: str) -> np.ndarray:
    """Coordinates (n, d) of the cells at ``rows`` by the features that vary most."""
    # of what varies alike up to rounding, the first names
    spread = np.round(read.moments()[1], 9)
    names = np.asarray(adata.var_names, dtype=str)
    most = np.lexsort((names, -spread))[: min(_FEATURES, int((spread > 0).sum()))]
    if len(most) < 2 or read.n_cells < 3:
        raise ExpressionError(
            f"{len(most)} features of {f'mdata[{name!r}]' if name else 'the object'} vary between {read.n_cells} "
            "cells, so that none is near another; expected two at least."
        )
    genes = most[np.argsort(names[most], kind="stable")]
    k = min(n_pcs, min(len(rows), len(genes)) - 1)
    if len(rows) <= LEARNED:
        return scaled_components(read.columns(genes)[rows], k)
    return _of_many(read, rows, genes, np.asarray(adata.obs_names, dtype=str)[rows], k)


def _of_many(read: Expression, rows: np.ndarray, genes: np.ndarray, cells: np.ndarray, k: int) -> np.ndarray:
    """Coordinates (n, k) on the axes of some of the cells, drawn by name; values are read in pieces."""
    drawn = np.zeros(read.n_cells, dtype=bool)
    drawn[rows[sample_names(cells.tolist(), LEARNED, 0)]] = True
    parts = [(at[drawn[at]], block[drawn[at]]) for at, block in read.blocks(genes)]
    table = sparse.vstack([block for _, block in parts], format="csr")
    place = np.empty(read.n_cells, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    # in the order of names, so that sums do not depend on that of the object
    axes = ScaledAxes.of(table[np.argsort(place[np.concatenate([at for at, _ in parts])])], k)
    points = np.empty((read.n_cells, k))
    for at, block in read.blocks(genes):
        points[at] = axes.points(block)
    chosen: np.ndarray = points[rows]
    return chosen
