"""Regions with which those of a set are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ParameterError, RegionError
from grn._core.rng import name_codes

# parts of equal size into which the values of a column are cut
_PARTS = 5


@dataclass(frozen=True, eq=False)
class Background:
    """Draws regions outside of a set, as many of every stratum as the set has.

    Parameters
    ----------
    names
        Names of all regions (U,).
    strata
        Number of the stratum of every region (U,).
    most
        Number of regions to draw.
    seed
        Of the draws, which depend on it and on names alone.
    """

    names: np.ndarray
    strata: np.ndarray
    most: int
    seed: int

    @classmethod
    def of(cls, names: np.ndarray, strata: np.ndarray, *, max_background: int, seed: int) -> Background:
        """Of regions by name, and by their stratum."""
        most = checks.integer("max_background", max_background, least=2)
        return cls(names, strata, most, seed)

    def draw(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Positions of background regions, ascending."""
        free = np.ones(len(self.names), dtype=bool)
        free[rows] = False
        candidates = np.flatnonzero(free)
        if not len(candidates):
            raise RegionError(
                f"set {name!r} holds all regions, so that there is no background; leave it out, or use "
                "method='recovery'."
            )
        # the smallest hashes of names win, whatever the order of the regions
        order = np.lexsort(
            [self.names[candidates], name_codes(self.seed, f"background {name}", self.names[candidates])]
        )
        candidates = candidates[order]
        n_strata = int(self.strata.max()) + 1
        wanted = np.bincount(self.strata[rows], minlength=n_strata) / len(rows) * self.most
        drawn = [candidates[self.strata[candidates] == k][: round(float(wanted[k]))] for k in np.flatnonzero(wanted)]
        chosen = np.sort(np.concatenate(drawn))
        if not len(chosen):
            raise RegionError(
                f"no region outside of set {name!r} is like its regions in the columns of match=; leave match out."
            )
        return chosen


def strata(var: pd.DataFrame, match: Sequence[str] | None) -> np.ndarray:
    """A number per region: in which fifth of the values of each column of ``var`` it is.

    Raises
    ------
    ParameterError
        If there is no such column, or it holds no numbers.
    """
    columns = [] if match is None else checks.names("match", match, what="columns of var")
    number = np.zeros(len(var), dtype=np.int64)
    for column in columns:
        if column not in var:
            there = ", ".join(map(str, var.columns)) or "none"
            raise ParameterError(f"match={column!r} is no column of adata.var; columns: {there}.")
        values = pd.to_numeric(var[column], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise ParameterError(f"var[{column!r}] holds values that are no finite numbers; match= needs numbers.")
        cuts = np.quantile(values, np.arange(1, _PARTS) / _PARTS)
        number = number * _PARTS + np.searchsorted(cuts, values, side="right")
    return number
