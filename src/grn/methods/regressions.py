"""Standardised genes of a group: what every regression of targets on regulators starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grn._kernels.multi_ridge import masked_ridge, multi_ridge
from grn._kernels.prior_ridge import Regressions
from grn.methods.group import Group


@dataclass(frozen=True)
class Standardised(Regressions):
    """The genes of a group that vary and are seen in enough cells: s regulators and t targets.

    Parameters
    ----------
    gram, cross, allowed, count
        As of :class:`grn._kernels.prior_ridge.Regressions`.
    sources, targets
        Places of these regulators and targets in those of the group (s,) and (t,).
    itself
        Position of every target among these regulators (t,), -1 for none.
    change
        What a standardised coefficient is multiplied by to be the change of the target per unit of the regulator
        (T, S), for all of the group.
    """

    sources: np.ndarray
    targets: np.ndarray
    itself: np.ndarray
    change: np.ndarray

    def lists(self) -> list[np.ndarray]:
        """Positions of the regulators that every target may have."""
        return [np.flatnonzero(row) for row in self.allowed]

    def whole(self, values: np.ndarray) -> np.ndarray:
        """Values (t, s) among all pairs of the group (T, S), NaN elsewhere."""
        found = np.full(self.change.shape, np.nan)
        found[np.ix_(self.targets, self.sources)] = values
        return found


def standardised(group: Group) -> Standardised | None:
    """Read a group once; ``None`` if no regulator or no target varies. Constant genes are told."""
    cells = group.cells
    sums = group.cross(cells.genes)
    scale = sums.target_scale
    source_at, target_at = (np.searchsorted(cells.genes, which) for which in (group.sources, group.targets))
    constant = np.zeros(len(group.names), dtype=bool)
    constant[cells.genes] = np.isnan(scale)
    group.report_constant(constant)
    scale = np.where(group.rare[cells.genes], np.nan, scale)
    s, t = (np.flatnonzero(~np.isnan(scale[at])) for at in (source_at, target_at))
    if not len(s) or not len(t):
        return None
    correlation = sums.correlation[s]
    itself = np.full(len(group.names), -1)
    itself[group.sources[s]] = np.arange(len(s))
    return Standardised(
        gram=correlation[:, source_at[s]],
        cross=correlation[:, target_at[t]],
        count=sums.count,
        sources=s,
        targets=t,
        allowed=group.allowed[np.ix_(t, s)],
        itself=itself[group.targets[t]],
        change=scale[target_at][:, None] / scale[source_at],
    )


def ridge_coefficients(data: Standardised, alpha: float, group: Group) -> np.ndarray:
    """Ridge coefficients (t, s) of every target on all regulators but itself, or on those that it may have."""
    task = group.task
    if group.restricted:
        lists = data.lists()
        return masked_ridge(data.gram, data.cross, lists, alpha, device=task.device, workers=task.workers).T
    return multi_ridge(data.gram, data.cross, data.itself, alpha, device=task.device).T
