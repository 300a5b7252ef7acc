"""Conditions of cells, and the ways to deal them out anew to donors or cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import GroupError, ParameterError
from grn._core.logging import logger
from grn._core.rng import child
from grn._object.groups import cell_names, group_codes, label_codes

MIN_CELLS = 10
_FEW = 50
_LEVEL = 0.05


@dataclass(frozen=True)
class Design:
    """Cells of two conditions.

    Parameters
    ----------
    names
        The two conditions, the reference first.
    rows
        Positions of the cells (n,) in the object.
    second
        Whether a cell is of the second condition (n,).
    groups, codes
        Names of the groups, and the group of every cell (n,).
    donors, donor
        Names of the donors, sorted, and the donor of every cell (n,); no names if cells are exchanged.
    paired
        Whether every donor has both conditions.
    order
        The cells ordered by name (n,).
    """

    names: tuple[str, str]
    rows: np.ndarray
    second: np.ndarray
    groups: tuple[str, ...]
    codes: np.ndarray
    donors: tuple[str, ...]
    donor: np.ndarray
    paired: bool
    order: np.ndarray

    @property
    def kind(self) -> str:
        """What is exchanged."""
        return "cells" if not self.donors else "paired donors" if self.paired else "donors"

    @property
    def treated(self) -> np.ndarray:
        """Donors of the second condition, of those with one condition."""
        return np.unique(self.donor[self.second])

    @property
    def n_ways(self) -> int:
        """Number of ways to deal out the conditions that differ in more than the sign, the real one among them."""
        n = len(self.donors)
        if self.paired:
            return 2 ** (n - 1)
        n_second = len(self.treated)
        ways = comb(n, n_second)
        return ways // 2 if 2 * n_second == n else ways

    def relabellings(self, limit: int, seed: int) -> list[np.ndarray]:
        """Up to ``limit`` other ways, each as the second condition of every cell (n,) bool; all if they are so few."""
        if not limit:
            return []
        if not self.donors:
            return [self._cells(seed, i) for i in range(limit)]
        if self.n_ways < 2:
            raise GroupError(
                f"{self._counts()}: there is no other way to deal out the conditions, so donors allow no test. Pass "
                "n_permutations=0 for the differences alone, or add donors; donor=None would take cells for replicates."
            )
        if self.n_ways - 1 <= limit:
            return list(islice(self._every(), 1, None))
        return [self._drawn(seed, i) for i in range(limit)]

    def told(self, labels: list[np.ndarray]) -> dict[str, Any]:
        """Provenance."""
        exact = bool(self.donors) and len(labels) == self.n_ways - 1
        counts = {"n_donors": len(self.donors)} if self.donors else {}
        return {
            "design": self.kind,
            "exact": exact,
            "n_relabellings": len(labels),
            "smallest_p": 1 / (1 + len(labels)),
            **counts,
        }

    def warn(self, n_labels: int) -> None:
        """Say what the numbers of donors, ways and cells do to a test."""
        if not self.donors:
            logger.warning(
                "donor=None: cells are exchanged, but cells of one donor are no replicates. The p-values say whether "
                "these cells differ, not whether donors of the two conditions do; pass donor='column of obs'."
            )
        if 1 / (n_labels + 1) > _LEVEL:
            few = bool(self.donors) and n_labels == self.n_ways - 1
            logger.warning(
                "%s: p is at least 1/%d = %.2g, so no edge can be significant at %g; %s",
                self._counts() if self.donors else f"{n_labels} permutations",
                *(n_labels + 1, 1 / (n_labels + 1), _LEVEL),
                "more donors are needed" if few else "raise n_permutations",
            )
        for k, name in enumerate(self.groups):
            sizes = [int((self.second[self.codes == k] == side).sum()) for side in (False, True)]
            if min(sizes) < _FEW:
                where = f" of group {name!r}" if name else ""
                logger.warning(
                    "only %d and %d cells%s in conditions %r and %r: weights from fewer than %d cells are noisy",
                    *(*sizes, where, *self.names, _FEW),
                    extra={"of": name},
                )

    def _counts(self) -> str:
        if self.paired:
            return f"{len(self.donors)} donors with both conditions"
        n_second = len(self.treated)
        return f"{len(self.donors) - n_second} donors of {self.names[0]!r} and {n_second} of {self.names[1]!r}"

    def _every(self) -> Iterator[np.ndarray]:
        """All ways, the real one first."""
        n, real = len(self.donors), self.treated
        if self.paired:
            for swapped in product((False, True), repeat=n - 1):
                yield self._swap(np.array([False, *swapped]))
            return
        yield self.second
        treated = tuple(real)
        other = tuple(np.setdiff1d(np.arange(n), real))
        for chosen in combinations(range(n), len(treated)):
            half = 2 * len(treated) == n
            # of a way and its mirror image, which has the same difference with the other sign, one is enough
            if chosen in (treated, other if half else treated) or (half and chosen[0] != 0):
                continue
            yield np.isin(self.donor, chosen)

    def _drawn(self, seed: int, i: int) -> np.ndarray:
        random = child(seed, "conditions of donors", str(i))
        n = len(self.donors)
        if self.paired:
            return self._swap(random.random(n) < 0.5)
        return np.isin(self.donor, random.permutation(n)[: len(self.treated)])

    def _cells(self, seed: int, i: int) -> np.ndarray:
        labels = np.empty(len(self.second), dtype=bool)
        for k, group in enumerate(self.groups):
            cells = self.order[self.codes[self.order] == k]
            labels[cells] = child(seed, "conditions of cells", str(i), group).permutation(self.second[cells])
        return labels

    def _swap(self, swapped: np.ndarray) -> np.ndarray:
        return self.second ^ swapped[self.donor]


def design_of(
    adata, condition: str, conditions: tuple[str, str] | None, donor: str | None, groupby: str | None
) -> Design:
    """Read conditions, donors and groups of the cells that take part; groups that are too small are left out."""
    cells = np.asarray(adata.obs_names, dtype=str) if donor is not None else cell_names(adata)
    there, number = label_codes(adata.obs, condition, gaps=True)
    names = _conditions(there, condition, conditions)
    labels = np.array([*there, ""], dtype=object)[number]
    taking = np.isin(labels, names)
    groups: tuple[str, ...] = ("",)
    codes = np.zeros(adata.n_obs, dtype=np.int64)
    if groupby is not None:
        groups, codes = group_codes(adata, groupby, min_cells=1)
    second = labels == names[1]
    usable = _large(codes, second, taking, groups, names)
    taking &= np.isin(codes, usable)
    rows = np.flatnonzero(taking)
    donors: tuple[str, ...] = ()
    donor_codes, paired = np.zeros(len(rows), dtype=np.int64), False
    if donor is not None:
        labels = label_codes(adata.obs, donor, gaps=True)
        donor_codes, donors, paired = _donors(*labels, taking, second[rows], donor, names)
    order = np.argsort(cells[rows], kind="stable")
    codes = np.searchsorted(usable, codes[rows])
    groups = tuple(groups[k] for k in usable)
    return Design(names, rows, second[rows], groups, codes, donors, donor_codes, paired, order)


def _conditions(there: tuple[str, ...], condition: str, conditions: tuple[str, str] | None) -> tuple[str, str]:
    if conditions is None:
        if len(there) != 2:
            raise ParameterError(
                f"obs[{condition!r}] has {len(there)} values ({', '.join(there[:6])}); "
                "choose two, the reference first: conditions=('a', 'b')."
            )
        return there[0], there[1]
    if isinstance(conditions, str) or len(conditions) != 2 or str(conditions[0]) == str(conditions[1]):
        raise ParameterError(f"conditions={conditions!r}; pass two different values of obs[{condition!r}].")
    unknown = [str(name) for name in conditions if str(name) not in there]
    if unknown:
        raise GroupError(
            f"obs[{condition!r}] has no value {', '.join(map(repr, unknown))}; values: {', '.join(there[:10])}."
        )
    return str(conditions[0]), str(conditions[1])


def _large(
    codes: np.ndarray, second: np.ndarray, taking: np.ndarray, groups: tuple[str, ...], names: tuple[str, str]
) -> np.ndarray:
    sizes = np.array([np.bincount(codes[taking & (second == side)], minlength=len(groups)) for side in (False, True)])
    large = (sizes >= MIN_CELLS).all(axis=0)
    small = [
        f"{g} ({a}, {b})" if g else f"{a}, {b}" for g, (a, b), ok in zip(groups, sizes.T, large, strict=True) if not ok
    ]
    if not large.any():
        raise GroupError(
            f"no group has {MIN_CELLS} cells in both {names[0]!r} and {names[1]!r} (cells: {'; '.join(small[:5])})."
        )
    if small:
        logger.warning(
            "%d groups have fewer than %d cells in %r or %r and are left out: %s",
            *(len(small), MIN_CELLS, *names, "; ".join(small[:10])),
        )
    return np.flatnonzero(large)


def _donors(
    there: tuple[str, ...],
    number: np.ndarray,
    taking: np.ndarray,
    second: np.ndarray,
    donor: str,
    names: tuple[str, str],
) -> tuple[np.ndarray, tuple[str, ...], bool]:
    number = number[taking]
    missing = int((number < 0).sum())
    if missing:
        raise GroupError(
            f"{missing} of {len(number)} cells have no value in obs[{donor!r}]; "
            f"drop them: adata = adata[adata.obs[{donor!r}].notna()].copy()."
        )
    codes, donors = pd.factorize(np.array(there, dtype=object)[number], sort=True)
    both = np.array([np.unique(second[codes == k]).size == 2 for k in range(len(donors))])
    if both.any() and not both.all():
        raise GroupError(
            f"{int(both.sum())} of {len(donors)} donors in obs[{donor!r}] have cells of both {names[0]!r} and "
            f"{names[1]!r}, the others of one, for example {donors[both][0]!r} and {donors[~both][0]!r}; keep either "
            "kind of donor."
        )
    return codes, tuple(map(str, donors)), bool(both.all())
