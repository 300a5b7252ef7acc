"""Boosted trees on binned regulators, block of targets by block: which targets share their draws, seeds by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from grn._core.blocks import in_blocks
from grn._core.rng import child
from grn._kernels.bins import Bins
from grn._kernels.histogram_trees import block_size, boosted_together
from grn._kernels.trees import Boosting
from grn.methods.group import Group

# so many regulators at a split that a target which is one of them loses little by not being drawn anew
_ENOUGH = 5

# genes of the table (T,), columns of the bins to draw from (k,), and that which a gene may not use (T,), -1 for none
Block = tuple[np.ndarray, np.ndarray, np.ndarray]


def bins_of(table: sparse.csc_array, columns: np.ndarray, place: np.ndarray) -> Bins:
    """Bins of some columns of a table, its rows brought into an order: row i is ``table[place[i]]``."""
    back = np.empty(len(place), dtype=np.int32)
    back[place] = np.arange(len(place), dtype=np.int32)
    X = table[:, columns]
    return Bins.of(sparse.csc_array((X.data, back[X.indices], X.indptr), shape=X.shape))


def importances_together(
    group: Group,
    table: sparse.csc_array,
    place: np.ndarray,
    wanted: list[int],
    used: np.ndarray,
    *,
    name: str,
    plan: Boosting,
) -> Iterator[tuple[int, np.ndarray]]:
    """Every target and the importances of its allowed regulators, as they come.

    Parameters
    ----------
    group
        The cells.
    table, place
        Values (n, genes), and the order in which trees see its rows.
    wanted, used
        Positions of targets, and of regulators in the order in which trees see them.
    name
        Name of the method, which enters the seed.
    plan
        Parameters.
    """
    genes, workers = group.cells.genes, group.task.workers
    blocks = []
    for columns, members, barred in _sharing(group, wanted, used, plan):
        size = block_size(len(place), len(members), workers.number)
        for start in range(0, len(members), size):
            blocks.append((columns, members[start : start + size], barred[start : start + size]))
    jobs = ((np.searchsorted(genes, group.targets[members]), columns, barred) for columns, members, barred in blocks)
    shared = Binned(
        bins_of(table, np.searchsorted(genes, group.sources[used]), place),
        table,
        place,
        plan,
        int(child(group.task.seed, name, group.name).integers(2**63)),
    )
    results = in_blocks(Binned.of_targets, shared, jobs, workers, total=len(blocks))
    for (columns, members, barred), values in zip(blocks, results, strict=True):
        for t, row, own in zip(members, values, barred, strict=True):
            yield t, row[columns != own]


@dataclass(frozen=True)
class Binned:
    """The cells of a group as boosting of all its targets sees them; workers are sent it once.

    Parameters
    ----------
    bins
        Regulators.
    table, place
        All genes (n, G) in the order of the file, and the place there of every cell (n,).
    plan, seed
        How trees are grown.
    """

    bins: Bins
    table: sparse.csc_array
    place: np.ndarray
    plan: Boosting
    seed: int

    def of_targets(self, block: Block) -> np.ndarray:
        """Importances (T, k) of some regulators for some genes of the table."""
        genes, columns, barred = block
        Y = self.table[:, genes].toarray()[self.place]
        return boosted_together(self.bins, Y, columns, seed=self.seed, barred=barred, plan=self.plan)[0]


def _sharing(
    group: Group, wanted: list[int], used: np.ndarray, plan: Boosting
) -> list[tuple[np.ndarray, list[int], np.ndarray]]:
    """Columns that targets draw from, those targets, and the column that each of them may not use, -1 for none."""
    everything = np.arange(len(used))
    shared: dict[bytes, tuple[np.ndarray, list[int], list[int]]] = {}
    for t in wanted:
        allowed = group.allowed[t, used]
        missing = np.flatnonzero(~allowed)
        alone = len(missing) == 1 and group.sources[used[missing[0]]] == group.targets[t]
        whole = not len(missing) or (alone and plan.features * len(used) >= _ENOUGH)
        columns = everything if whole else np.flatnonzero(allowed)
        _, members, barred = shared.setdefault(columns.tobytes(), (columns, [], []))
        members.append(t)
        barred.append(int(missing[0]) if whole and len(missing) else -1)
    return [(columns, members, np.array(barred)) for columns, members, barred in shared.values()]
