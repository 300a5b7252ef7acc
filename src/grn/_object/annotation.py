"""What the columns of ``obs`` seem to be, told from their names and labels."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import GrnError
from grn._object.genes import column
from grn._object.groups import MIN_CELLS, label_codes

# of more labels nobody makes networks one by one
MOST_GROUPS = 50
_CONTROL = re.compile(
    r"control|ctrl|ctl|non[-_ ]?targeting|nt|neg.*|scramble.*|wt|wild[-_ ]?type|none|unperturbed", re.I
)
_CONDITION = re.compile(r"condition|treat|stim|disease|status|genotype|diagnosis", re.I)
# what was assigned to a condition comes first, what was taken from it last
_DONORS = ("donor", "patient", "individual", "subject", "participant", "mouse", "animal", "replicate", "sample")
_GROUPS = re.compile(r"cell.?type|annotation|label|louvain|leiden|cluster|group", re.I)
_TIME = re.compile(r"(time|day|hour|time_?point)s?", re.I)
_PSEUDOTIME = re.compile(r".*pseudo_?time", re.I)


@dataclass(frozen=True)
class Columns:
    """Columns of ``obs`` by what they seem to be; ``""`` where there is none.

    Parameters
    ----------
    groups
        Columns of labels that all have enough cells for a network of their own, and the number of their labels.
    perturbation, control
        Column of knocked-out genes, and the label of cells without.
    time, pseudotime
        Columns of numbers that say when cells were taken, and how far they are along a course.
    condition, donor
        Columns of conditions and of donors.
    types
        Column of types of cell, by its name, whether all have enough cells or not.
    """

    groups: dict[str, int]
    perturbation: str
    control: str
    time: str
    pseudotime: str
    condition: str
    donor: str
    types: str


def columns_of(
    adata: Any, *, perturbation: str | None, time: str | None, condition: str | None, donor: str | None
) -> Columns:
    """Look at the columns of ``obs``; those that are named are taken as they are.

    Knock-outs are the first column two or more labels of which, and at least half, are genes of the object. Times are a
    column of numbers with a name such as ``"day"``. Conditions and donors are told by their names alone;
    numbers of donors are labels, too.
    """
    labels = _labels(adata)
    genes = set(map(str, adata.var_names))
    found = perturbation or next((name for name, kinds in labels.items() if _are_knockouts(kinds, genes)), "")
    kinds = labels.get(found, ())
    numbers = [name for name in map(str, adata.obs.columns) if _is_number(adata, name)]
    times = time or next((name for name in numbers if _TIME.fullmatch(name) and _few(adata, name)), "")
    course = next((name for name in numbers if _PSEUDOTIME.fullmatch(name)), "")
    taken = {found, times}
    sides = condition or next((name for name in labels if name not in taken and _CONDITION.search(name)), "")
    left = [name for name in map(str, adata.obs.columns) if name not in {*taken, sides}]
    whose = donor or _donor(adata, left, labels)
    large = [name for name in labels if name not in taken and _large(adata, name)]
    # those that are named so come first
    groups = {name: len(labels[name]) for name in sorted(large, key=lambda name: not _GROUPS.search(name))}
    others = [name for name in labels if name not in {*taken, sides, whose} and 1 < len(labels[name]) <= MOST_GROUPS]
    types = next((name for name in others if _GROUPS.search(name)), "")
    return Columns(groups, found, _control(kinds, genes), times, course, sides, whose, types)


def control_label(kinds: Collection[str]) -> str:
    """The label that stands for no treatment, by its name; ``""`` if none does."""
    return next((kind for kind in kinds if _CONTROL.fullmatch(kind)), "")


def _labels(adata: Any) -> dict[str, tuple[str, ...]]:
    """Labels of the columns that hold some, in the order of the columns."""
    labels = {}
    for name in map(str, adata.obs.columns):
        if pd.api.types.is_numeric_dtype(column(adata.obs, name)):  # also True and False, which are marks, not groups
            continue
        try:
            labels[name] = label_codes(adata.obs, name, gaps=True)[0]
        except GrnError:
            continue
    return labels


def _donor(adata: Any, names: Collection[str], labels: Collection[str]) -> str:
    """The column that is named as one of donors: of labels, or of whole numbers."""

    def holds_donors(name: str) -> bool:
        values = column(adata.obs, name)
        return name in labels or (pd.api.types.is_integer_dtype(values) and _few(adata, name))

    return next((name for word in _DONORS for name in names if word in name.lower() and holds_donors(name)), "")


def _large(adata: Any, name: str) -> bool:
    kinds, codes = label_codes(adata.obs, name, gaps=True)
    if not 1 < len(kinds) <= MOST_GROUPS or (codes < 0).any():
        return False
    return bool(np.bincount(codes, minlength=len(kinds)).min() >= MIN_CELLS)


def _are_knockouts(kinds: Collection[str], genes: Collection[str]) -> bool:
    there = sum(kind in genes for kind in kinds)
    return there >= 2 and 2 * there >= len(kinds)


def _control(kinds: Collection[str], genes: Collection[str]) -> str:
    others = [kind for kind in kinds if kind not in genes]
    return control_label(others) or (others[0] if len(others) == 1 else "")


def _is_number(adata: Any, name: str) -> bool:
    values = column(adata.obs, name)
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _few(adata: Any, name: str) -> bool:
    return 1 < int(column(adata.obs, name).nunique()) <= MOST_GROUPS
