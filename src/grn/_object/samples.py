"""Samples of an experiment with donors: the cells of one donor, condition and group, and which samples are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core.errors import GroupError
from grn._core.labels import asked
from grn._core.logging import hint, logger, some
from grn._object.groups import label_codes

if TYPE_CHECKING:
    from anndata import AnnData

# fewest donors whose spread can be told
FEWEST_DONORS = 2


@dataclass(frozen=True)
class Samples:
    """Samples that are compared, sorted by group, donor and condition.

    Parameters
    ----------
    conditions
        The reference, and the condition compared with it.
    groups
        Names of the groups with enough donors; one empty name without groups.
    table
        One row per sample: ``group``, ``donor``, ``condition`` (numbers; 0 is the reference), ``n_cells``.
    codes
        Sample of every cell (n_obs,), -1 for cells of none.
    donors
        Names of the donors.
    paired
        Whether every donor has both conditions.
    """

    conditions: tuple[str, str]
    groups: tuple[str, ...]
    table: pd.DataFrame
    codes: np.ndarray
    donors: tuple[str, ...]
    paired: bool

    @property
    def design(self) -> str:
        """What is compared, in words."""
        return "paired donors" if self.paired else "donors"

    def sides(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the table of a group: the reference and the other condition, donors in one order."""
        here = (self.table["group"] == group).to_numpy()
        other = (self.table["condition"] == 1).to_numpy()
        return np.flatnonzero(here & ~other), np.flatnonzero(here & other)

    def named(self) -> pd.DataFrame:
        """The table with names in place of numbers."""
        names = {"group": self.groups, "donor": self.donors, "condition": self.conditions}
        table = self.table.copy()
        for column, categories in names.items():
            table[column] = pd.Categorical.from_codes(table[column], categories=list(categories))
        return table


def samples_of(
    adata: AnnData,
    *,
    condition: str,
    reference: str,
    group: str | None,
    donor: str,
    groupby: str | None,
    min_cells: int,
) -> Samples:
    """Read the samples; those of too few cells, and groups of too few donors, are left out and told."""
    labels, label = label_codes(adata.obs, condition, gaps=True)
    conditions = _conditions(labels, condition, reference, group)
    side = np.full(len(label), -1)
    for number, name in enumerate(conditions):
        side[label == labels.index(name)] = number
    everyone = ("",), np.zeros(adata.n_obs, dtype=np.int64)
    groups, inside = everyone if groupby is None else label_codes(adata.obs, groupby, gaps=True)
    taking = (side >= 0) & (inside >= 0)
    donors, of = _donors(adata, donor, taking)
    paired = _paired(of[taking], side[taking], donors, donor, conditions)
    cells = pd.DataFrame({"group": inside, "donor": of, "condition": side})[taking]
    table = cells.groupby(["group", "donor", "condition"], sort=True).size().rename("n_cells").reset_index()
    table = _large(table, groups, donors, conditions, min_cells, paired=paired)
    table = _replicated(table, groups, conditions, paired=paired)
    place = pd.MultiIndex.from_frame(table[["group", "donor", "condition"]])
    codes = np.where(taking, place.get_indexer(pd.MultiIndex.from_arrays([inside, of, side])), -1)
    kept = np.unique(table["group"])
    table["group"] = np.searchsorted(kept, table["group"])
    return Samples(conditions, tuple(groups[k] for k in kept), table, codes, donors, paired)


def _conditions(labels: tuple[str, ...], condition: str, reference: str, group: str | None) -> tuple[str, str]:
    """The reference and the other condition."""
    (reference,) = asked(reference)
    others = [label for label in labels if label != reference] if group is None else asked(group)
    for argument, values in (("reference", [reference]), ("group", others)):
        for value in values:
            if value not in labels:
                raise GroupError(
                    f"obs[{condition!r}] has no value {value!r} for {argument}=; it has {some(labels) or 'none'}."
                )
    if len(others) != 1:
        raise GroupError(
            f"obs[{condition!r}] has {len(others)} values beside reference={reference!r} ({', '.join(others[:6])}); "
            "name the one to compare with it by group=."
        )
    if others[0] == reference:
        raise GroupError(f"group and reference are both {reference!r}; pass two values of obs[{condition!r}].")
    return reference, others[0]


def _donors(adata: AnnData, donor: str, taking: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the donors, sorted, and the donor of every cell."""
    names, of = label_codes(adata.obs, donor, gaps=True)
    missing = int((of[taking] < 0).sum())
    if missing:
        raise GroupError(
            f"{missing} of {int(taking.sum())} cells have no value in obs[{donor!r}]; "
            f"drop them: adata = adata[adata.obs[{donor!r}].notna()].copy()."
        )
    order = np.argsort(np.array(names, dtype=str), kind="stable")
    place = np.empty(len(names) + 1, dtype=np.int64)
    place[order], place[-1] = np.arange(len(names)), -1
    return tuple(names[k] for k in order), place[of]


def _paired(of: np.ndarray, side: np.ndarray, donors: tuple[str, ...], donor: str, conditions: tuple[str, str]) -> bool:
    """Whether every donor has cells of both conditions; an error if only some have."""
    there = [np.isin(np.arange(len(donors)), of[side == number]) for number in (0, 1)]
    both, one = there[0] & there[1], there[0] ^ there[1]
    if both.any() and one.any():
        names = np.array(donors, dtype=object)
        raise GroupError(
            f"{int(both.sum())} donors in obs[{donor!r}] have cells of both {conditions[0]!r} and {conditions[1]!r}, "
            f"{int(one.sum())} of one: {some(list(names[one]), 5)}. Keep either kind of donor: adata = "
            f"adata[~adata.obs[{donor!r}].isin({[str(name) for name in names[one][:3]]})].copy()"
        )
    return bool(both.any())


def _large(
    table: pd.DataFrame,
    groups: tuple[str, ...],
    donors: tuple[str, ...],
    conditions: tuple[str, str],
    min_cells: int,
    *,
    paired: bool,
) -> pd.DataFrame:
    """Samples of enough cells; of pairs, both."""
    small = table[table["n_cells"] < min_cells]
    if len(small):
        told = [
            f"{donors[row.donor]} {conditions[row.condition]}{f' {groups[row.group]}' * bool(groups[row.group])} "
            f"({row.n_cells})"
            for row in small.itertuples()
        ]
        logger.warning("%d samples have fewer than %d cells and are left out: %s", len(small), min_cells, some(told, 8))
    large = table[table["n_cells"] >= min_cells]
    if paired:
        sides = large.groupby(["group", "donor"])["condition"].transform("size")
        lost = int((sides < 2).sum())
        if lost:
            hint("%d samples are left out because the other condition of their donor is missing in the group", lost)
        large = large[sides == 2]
    return large.reset_index(drop=True)


def _replicated(
    table: pd.DataFrame, groups: tuple[str, ...], conditions: tuple[str, str], *, paired: bool
) -> pd.DataFrame:
    """Samples of groups with enough donors on both sides."""
    counts = pd.crosstab(table["group"], table["condition"]).reindex(
        index=range(len(groups)), columns=[0, 1], fill_value=0
    )
    enough = (counts >= FEWEST_DONORS).all(axis=1)
    few = [
        f"{groups[place] or 'all cells'} ({row[0]} {conditions[0]}, {row[1]} {conditions[1]})"
        for place, row in counts[~enough].iterrows()
    ]
    if not enough.any():
        raise GroupError(
            f"no group has {FEWEST_DONORS} donors with enough cells in each condition: {', '.join(few[:5])}. Donors "
            "are the replicates; without them compare cells with grn.tl.rank_drivers, whose ranks need none, or lower "
            "min_cells=."
        )
    if few:
        kind = "pairs" if paired else "donors of each condition"
        logger.warning(
            "%d groups have fewer than %d %s and are left out: %s", len(few), FEWEST_DONORS, kind, some(few, 10)
        )
    return table[table["group"].map(enough)].reset_index(drop=True)
