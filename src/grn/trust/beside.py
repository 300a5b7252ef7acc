"""Networks beside permuted copies of the regulators: one fit after the other, or many from one look at the cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from grn._core.logging import silently
from grn._kernels.copies import CopySums
from grn.methods.group import Group
from grn.methods.inputs import Inputs
from grn.methods.runner import fit_of_groups
from grn.trust.frozen import Frozen
from grn.trust.numbers import Axes, Edges, PairNumbers, joined
from grn.trust.rerun import Rerun

# edges of the real regulators and of their copies, by number of the permutation
Beside = Callable[[int], tuple[Edges, Edges]]


@dataclass(frozen=True)
class Permutations:
    """What is permuted.

    Parameters
    ----------
    order
        Gives the cell whose values a cell gets in a permutation: for all copies (n_cells,), or for each (n_cells, S).
    seed
        Gives the seed of the method in a permutation.
    numbers
        The permutations that will be asked for, in order.
    """

    order: Callable[[int], np.ndarray]
    seed: Callable[[int], int]
    numbers: Sequence[int]


def beside_copies(rerun: Rerun, frozen: Frozen, axes: Axes, permutations: Permutations) -> Beside:
    """Make edges beside permuted copies, with what permutations share made once where the method allows it."""
    way = SharedFits if rerun.record.reads_sums else FitsOfBlocks
    return way(rerun, frozen, axes, permutations).edges


def copies_of(sources: Sequence[str], taken: set[str], sets: int) -> list[dict[str, str]]:
    """Names of copies by source, for a number of sets; no gene in ``taken`` has one of them."""
    more = ""
    while True:
        marks = [f" (permuted{f' {i}' if i else ''}){more}" for i in range(sets)]
        copies = [{name: name + mark for name in sources} for mark in marks]
        if not any(taken.intersection(aliases.values()) for aliases in copies):
            return copies
        more += "'"


class FitsOfBlocks:
    """Fits beside the copies of as many permutations at once as the record says.

    Permutations are always made in the same blocks, whatever number of them is asked for: those that are asked for
    later find the same copies beside them.
    """

    def __init__(self, rerun: Rerun, frozen: Frozen, axes: Axes, permutations: Permutations) -> None:
        self._rerun, self._frozen, self._axes, self._permutations = rerun, frozen, axes, permutations
        self._copies = copies_of(axes.sources, {*frozen.names}, rerun.record.copies)
        self._block, self._made = -1, ()

    def edges(self, i: int) -> tuple[Edges, Edges]:
        """Edges of the real regulators and of their copies in a permutation."""
        block, place = divmod(i, len(self._copies))
        if block != self._block:
            first = block * len(self._copies)
            orders = [self._permutations.order(first + n) for n in range(len(self._copies))]
            cells, seed = self._frozen.permuted(self._copies, orders), self._permutations.seed(first)
            self._made = self._rerun.fit_beside(cells, self._axes, self._copies, seed=seed)
            self._block = block
        return self._made[0], self._made[1 + place]


class SharedFits:
    """Fits of a method that reads sums over the cells alone.

    The genes, the groups and who may regulate whom are read once; sums of a block of permutations, as many as the
    memory budget allows, are made in one pass over the cells.
    """

    def __init__(self, rerun: Rerun, frozen: Frozen, axes: Axes, permutations: Permutations) -> None:
        # names in order, as in the axes: edges come in the order of their numbers
        self._frozen = frozen.arranged(np.argsort(frozen.names))
        self._rerun, self._axes, self._permutations = rerun, axes, permutations
        self._sources = np.searchsorted(self._frozen.names, list(axes.sources))
        self._block: dict[int, int] = {}
        self._sums: dict[str, CopySums] = {}
        copies = copies_of(axes.sources, {*frozen.names}, 1)
        made = self._frozen.permuted(copies, [np.arange(frozen.values.shape[0])])
        arguments = rerun.copied(made, copies)
        inputs = Inputs(made, rerun.task_of(axes, copies))
        self._numbers = PairNumbers(axes, inputs.names, copies)
        with silently():
            self._fits: dict[str, Callable[[Group], Any]] = {
                name: fit_of_groups(inputs, rerun.record, {**arguments, **rerun.chosen_of(name)})
                for name in (axes.groups if rerun.chosen else axes.groups[:1])
            }
        self._groups = {
            name: inputs.group(name, base_grn=arguments.get("base_grn"))
            for name in axes.groups
            if name in inputs.cells.groups
        }

    def edges(self, i: int) -> tuple[Edges, Edges]:
        """Edges of the real regulators and of their copies in a permutation."""
        if i not in self._block:
            self._read(i)
        place, seed = self._block[i], self._permutations.seed(i)
        real, copies = [], []
        for name, group in self._groups.items():
            sums = partial(self._sums[name].of, place, group.sources)
            shared = replace(group, task=replace(group.task, seed=seed), sums=sums)
            fit = self._fits.get(name) or self._fits[self._axes.groups[0]]
            with silently():
                answer = fit(shared)
            # on permuted cells nothing may vary where something did on all
            if answer is not None:
                for side, edges in zip(
                    (real, copies), self._numbers.edges(shared, answer, self._rerun.record), strict=True
                ):
                    side.append(edges)
        return joined(real), joined(copies)

    def _read(self, i: int) -> None:
        """Draw the orders of a block of permutations that begins with one."""
        numbers = [i, *(n for n in self._permutations.numbers if n > i)]
        first = self._permutations.order(i).astype(np.int32)
        n_genes = len(self._frozen.names)
        held = 8 * len(self._sources) * (n_genes + len(self._sources)) * len(self._groups) + first.nbytes
        numbers = numbers[: max(1, self._rerun.task.memory_budget // held)]
        orders = [first, *(self._permutations.order(n).astype(np.int32) for n in numbers[1:])]
        self._block = {n: place for place, n in enumerate(numbers)}
        self._sums = {}
        for name, group in self._groups.items():
            values = self._frozen.values[group.members]
            inside = [np.searchsorted(group.members, order[group.members]) for order in orders]
            self._sums[name] = CopySums(values, self._sources, inside)
