"""Ridge regression of every target on all regulators but itself: the linear baseline."""

from __future__ import annotations

import numpy as np

from grn._core import checks
from grn._core.logging import logger
from grn._kernels.correlate import Cross, cross
from grn._kernels.multi_ridge import choose_alpha, masked_ridge, multi_ridge
from grn.methods.group import Fitted, Group
from grn.methods.record import METHODS, Method


def verify(*, alpha: float | None) -> None:
    """Refuse what is no penalty."""
    if alpha is not None:
        checks.penalty("alpha", alpha, checks.OF_CORRELATIONS, "; None chooses one by cross-validation")


def fit(group: Group, *, alpha: float | None = None) -> Fitted | None:
    """Regress in one group.

    Parameters
    ----------
    group
        Its cells.
    alpha
        Penalty, at least 1e-10: minimised is the mean squared residual of standardised genes plus alpha times the sum
        of squared coefficients. ``None`` chooses one per group by generalised cross-validation over all targets.
    """
    sums = cross(group.rows, group.members, group.sources, group.cells.genes)
    return _regressed(group, sums, alpha)


def _regressed(group: Group, sums: Cross, alpha: float | None) -> Fitted | None:
    """Coefficients (T, S) and the penalty; ``None`` if nothing varies."""
    cells, scale = group.cells, sums.target_scale
    source_at, target_at = (np.searchsorted(cells.genes, which) for which in (group.sources, group.targets))
    constant = np.zeros(len(group.names), dtype=bool)
    constant[cells.genes] = np.isnan(scale)
    group.report_constant(constant)
    scale = np.where(group.rare[cells.genes], np.nan, scale)
    s, t = (np.flatnonzero(~np.isnan(scale[at])) for at in (source_at, target_at))
    if not len(s) or not len(t):
        return None
    correlation = sums.correlation[s]
    gram, right = correlation[:, source_at[s]], correlation[:, target_at[t]]  # (s, s), (s, t)
    # a target that is a regulator too is not regressed on itself
    itself = np.full(len(group.names), -1)
    itself[group.sources[s]] = np.arange(len(s))
    itself = itself[group.targets[t]]
    lists = [np.flatnonzero(row) for row in group.allowed[np.ix_(t, s)]] if group.restricted else None
    if alpha is None:
        alpha = choose_alpha(gram, right, itself, sums.count, lists)
        where = f" ({group.name})" if group.name else ""
        logger.info("ridge%s: alpha %.3g by generalised cross-validation", where, alpha, extra={"of": group.name})
    solved = multi_ridge(gram, right, itself, alpha) if lists is None else masked_ridge(gram, right, lists, alpha)
    weight = np.full(group.allowed.shape, np.nan)
    weight[np.ix_(t, s)] = solved.T
    # change of the target per unit of the regulator
    change = weight * scale[target_at][:, None] / scale[source_at]
    return Fitted({"weight": weight, "score": change}, {"alpha": float(alpha)})


METHODS.add(
    "ridge",
    Method(
        "ridge",
        fit,
        "ridge regression of every target on all regulators but itself; standardised coefficients",
        verify=verify,
        signed=True,
        probability=False,
        takes_prior=True,
        needs=("cells",),
        reference="baseline",
        inputs="RNA",
        cost="one pass over the cells and one system of all regulators",
        page="methods/baselines",
    ),
)
