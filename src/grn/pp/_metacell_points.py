"""Coordinates in which cells of both modalities are near each other."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from grn._core.errors import ExpressionError, ResultNotFoundError
from grn._kernels.averages import scaled_components
from grn._kernels.scan import scan, settled
from grn._object.expression import Expression, select
from grn._object.values import expression
from grn.pp._metacell_sides import Sides

# features that are compared, those that vary most
_FEATURES = 3000


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
    table = read.columns(most[np.argsort(names[most], kind="stable")])[rows]
    return scaled_components(table, min(n_pcs, min(table.shape) - 1))
