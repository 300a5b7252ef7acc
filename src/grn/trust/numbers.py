"""Edges as numbers: the axes of a network, and its edges, or those of a group that was fitted, along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grn._kernels.null import Shape
from grn.methods.edges import pairs_of
from grn.methods.group import Group
from grn.methods.record import Method
from grn.network import Network
from grn.network.combine import known_signs, signs_of


@dataclass(frozen=True)
class Edges:
    """Edges as numbers (see :class:`grn._kernels.null.Shape`), ascending: weights, signs, rows in their table."""

    keys: np.ndarray
    weights: np.ndarray
    signs: np.ndarray
    row: np.ndarray

    def at(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of other edges among these, and which of them are among these."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=bool)
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return place, self.keys[place] == keys


@dataclass(frozen=True)
class Axes:
    """Names along the axes of a network.

    Parameters
    ----------
    groups
        Names of the groups, ``("",)`` without grouping.
    sources, targets
        Names of regulators and targets.
    loops
        Whether edges of a gene to itself count.
    """

    groups: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    loops: bool

    @property
    def shape(self) -> Shape:
        """How edges are numbered."""
        return Shape(len(self.sources), len(self.targets))

    def place(self, group: str) -> int:
        """Number of a group; -1 for one that the network does not have."""
        return self.groups.index(group) if group in self.groups else -1

    def number(self, net: Network, sources: Sequence[str] | None = None) -> Edges:
        """Edges of a network by number; ``sources`` are the names the sources go by there."""
        table = net._edges
        ends = [
            pd.Index(list(names)).get_indexer(table[name].cat.categories.astype(str))[table[name].cat.codes]
            for name, names in (("source", sources or self.sources), ("target", self.targets))
        ]
        source, target = (part.astype(np.int64) for part in ends)
        group = np.zeros(len(table), dtype=np.int64)
        if net.groups:
            group = pd.Index(self.groups).get_indexer(table["group"].cat.categories)[table["group"].cat.codes]
        inside = (source >= 0) & (target >= 0) & (group >= 0)
        if not self.loops:
            inside &= pd.Index(self.targets).get_indexer(list(self.sources))[source] != target
        keys = (group.astype(np.int64) * len(self.sources) + source) * len(self.targets) + target
        order = np.flatnonzero(inside)[np.argsort(keys[inside], kind="stable")]
        signs = known_signs(table, signed=net.signed)
        return Edges(keys[order], table["weight"].to_numpy()[order], signs[order], order)


def axes_of(net: Network) -> Axes:
    """Axes of a stored network."""
    return Axes(tuple(net.groups) or ("",), tuple(net.regulators), tuple(net.targets), net.n_self_loops > 0)


def joined(parts: Sequence[Edges]) -> Edges:
    """Edges of groups that were fitted one by one, in order."""
    if not parts:
        return Edges(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))
    if len(parts) == 1:
        return parts[0]
    return Edges(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("keys", "weights", "signs", "row")))


@dataclass(frozen=True)
class ListedPairs:
    """The pairs that a fit listed, by their places among targets and sources, and their order as edges by number.

    Parameters
    ----------
    targets, sources
        Places of the ends (E,).
    numbers
        Numbers of the edges of real regulators, ascending, and where they are among the pairs; then those of every set
        of copies.
    """

    targets: np.ndarray
    sources: np.ndarray
    numbers: tuple[tuple[np.ndarray, np.ndarray], ...]


class PairNumbers:
    """From the answers of a method that is fitted group by group to edges by number.

    Parameters
    ----------
    axes
        Names along the axes.
    names
        Names of the genes of the object that is fitted (n_vars,).
    copies
        Names of copies of the sources in that object, by source; one mapping for every set of copies.
    """

    def __init__(self, axes: Axes, names: np.ndarray, copies: Sequence[Mapping[str, str]] = ()) -> None:
        index = pd.Index(names)
        sources, targets = index.get_indexer(list(axes.sources)), index.get_indexer(list(axes.targets))
        self._axes = axes
        self._gene = np.arange(len(names))
        # 0 for a gene as it is, else the number of its set of copies
        self._set = np.zeros(len(names), dtype=np.int64)
        self._n_sets = 1 + len(copies)
        self._source, self._target = (np.full(len(names), -1) for _ in range(2))
        self._source[sources] = np.arange(len(sources))
        self._target[targets] = np.arange(len(targets))
        for number, aliases in enumerate(copies, start=1):
            at = index.get_indexer([aliases[name] for name in axes.sources])
            self._gene[at], self._set[at], self._source[at] = sources, number, np.arange(len(sources))
        self._listed: dict[str, ListedPairs] = {}

    def edges(self, group: Group, answer: Any, record: Method) -> tuple[Edges, ...]:
        """Edges of the real sources, and of each set of copies by the numbers of these, in what ``fit`` gave."""
        targets, sources, columns = pairs_of(answer, group, record.name)
        listed = self._listed.get(group.name)
        # the same pairs in nearly every permutation
        if listed is None or not (np.array_equal(listed.targets, targets) and np.array_equal(listed.sources, sources)):
            listed = self._listed[group.name] = self._numbers(group, targets, sources)
        weights = np.asarray(columns["weight"], dtype=np.float64)
        signs = np.asarray(columns["sign"]) if "sign" in columns else signs_of(weights, signed=record.signed)
        return tuple(Edges(keys, weights[rows], signs[rows], rows) for keys, rows in listed.numbers)

    def _numbers(self, group: Group, targets: np.ndarray, sources: np.ndarray) -> ListedPairs:
        axes, place = self._axes, self._axes.place(group.name)
        position, target = group.sources[sources], group.targets[targets]
        source, end = self._source[position], self._target[target]
        keys = (place * len(axes.sources) + source) * len(axes.targets) + end
        inside = (source >= 0) & (end >= 0) & (place >= 0)
        if not axes.loops:
            inside &= self._gene[position] != target
        by_set = (np.flatnonzero(inside & (self._set[position] == number)) for number in range(self._n_sets))
        ordered = (rows[np.argsort(keys[rows], kind="stable")] for rows in by_set)
        return ListedPairs(targets, sources, tuple((keys[rows], rows) for rows in ordered))
