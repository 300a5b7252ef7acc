"""Ridge regression of every target on all regulators but itself: the linear baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.logging import logger
from grn._kernels.correlate import Cross, cross
from grn._kernels.multi_ridge import choose_alpha, masked_ridge, multi_ridge
from grn.methods.cells import FEWEST, Cells, cells_of, report_constant
from grn.methods.edges import to_network
from grn.methods.pairs import allowed_pairs, spread
from grn.methods.penalty import OF_CORRELATIONS, check_penalty
from grn.methods.record import METHODS, Method, Task
from grn.network import Network


def fit(
    adata,
    task: Task,
    *,
    alpha: float | None = None,
    base_grn: pd.DataFrame | None = None,
    min_cells: int = FEWEST,
) -> Network:
    """Regress.

    Parameters
    ----------
    adata
        The object.
    task
        Genes, cells and groups.
    alpha
        Penalty, at least 1e-10: minimised is the mean squared residual of standardised genes plus alpha times the sum
        of squared coefficients. ``None`` chooses one per group by generalised cross-validation over all targets.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; 0 for no limit.
    """
    if alpha is not None:
        check_penalty("alpha", alpha, OF_CORRELATIONS, "; None chooses one by cross-validation")
    cells = cells_of(adata, task, min_cells=min_cells)
    allowed = allowed_pairs(adata, cells, base_grn)
    restricted = base_grn is not None

    def group_fit(group: str, members: np.ndarray) -> tuple[dict[str, np.ndarray], float] | None:
        sums = cross(cells.expression.rows, members, cells.sources, cells.genes)
        return _group(cells, sums, allowed, alpha, restricted=restricted, group=group)

    found, told = cells.each(group_fit)
    used = {group or "all": penalty for group, (_, penalty) in found}
    params = {"alpha": used, "base_grn": restricted, "min_cells": min_cells, **told}
    parts = [(group, columns) for group, (columns, _) in found]
    return to_network(cells.names, cells.sources, parts, params=params, signed=True)


def _group(
    cells: Cells, sums: Cross, allowed: np.ndarray, alpha: float | None, *, restricted: bool, group: str
) -> tuple[dict[str, np.ndarray], float] | None:
    """Matrices (n_vars, S) of one group and the penalty; ``None`` if nothing varies."""
    source_at, target_at = (np.searchsorted(cells.genes, which) for which in (cells.sources, cells.targets))
    rare, scale = cells.rare_in(group), sums.target_scale
    constant = np.zeros(len(cells.names), dtype=bool)
    constant[cells.genes] = np.isnan(scale)
    report_constant(cells.names, constant & ~rare, group)
    scale = np.where(rare[cells.genes], np.nan, scale)
    s, t = (np.flatnonzero(~np.isnan(scale[at])) for at in (source_at, target_at))
    if not len(s) or not len(t):
        return None
    table = sums.correlation[s]
    gram, right = table[:, source_at[s]], table[:, target_at[t]]
    own = np.full(len(cells.names), -1)
    own[cells.sources[s]] = np.arange(len(s))
    own = own[cells.targets[t]]
    lists = [np.flatnonzero(row) for row in allowed[np.ix_(t, s)]] if restricted else None
    if alpha is None:
        alpha = choose_alpha(gram, right, own, sums.count, lists)
        where = f" ({group})" if group else ""
        logger.info("ridge%s: alpha %.3g by generalised cross-validation", where, alpha, extra={"of": group})
    found = multi_ridge(gram, right, own, alpha) if lists is None else masked_ridge(gram, right, lists, alpha)
    weight = np.full(allowed.shape, np.nan)
    weight[np.ix_(t, s)] = found.T
    change = weight * scale[target_at][:, None] / scale[source_at]
    keep = allowed & ~np.isnan(weight)
    return {"weight": spread(cells, weight, keep), "score": spread(cells, change, keep)}, float(alpha)


METHODS.add(
    "ridge",
    Method(
        "ridge",
        fit,
        "ridge regression of every target on all regulators but itself; standardised coefficients",
        signed=True,
        probability=False,
        needs=("cells",),
        reference="baseline",
        reads_model=False,
    ),
)
