"""Random forests on binned regulators, block of targets by block: cells drawn for all of them, seeds by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from grn._core.blocks import in_blocks
from grn._core.rng import child
from grn._kernels.histogram_forests import block_size, forests_together
from grn._kernels.trees import Forest
from grn.methods.group import Group
from grn.methods.tree_blocks import bins_of

# genes of the table, columns of their regulators, and their seeds
Block = tuple[np.ndarray, list[np.ndarray], list[int]]


def forest_importances(
    plan: Forest, group: Group, table: sparse.csc_array, place: np.ndarray, wanted: list[int], used: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Every target and the importances of its allowed regulators, as they come.

    Parameters
    ----------
    plan
        Parameters.
    group
        The cells.
    table, place
        Values (n, genes), and the order in which trees see its rows.
    wanted, used
        Positions of targets, and of regulators in the order in which trees see them.
    """
    genes, workers = group.cells.genes, group.task.workers
    bins = bins_of(table, np.searchsorted(genes, group.sources[used]), place)
    seed = int(child(group.task.seed, "genie3", group.name).integers(2**63))
    shared = Coded(bins.codes(), bins.sizes, table, place, plan, seed)
    size = block_size(len(place), len(wanted), workers.number)
    blocks = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    results = in_blocks(Coded.of_targets, shared, _jobs(group, blocks, used), workers, total=len(blocks))
    for members, values in zip(blocks, results, strict=True):
        for t, row in zip(members, values, strict=True):
            yield t, row[group.allowed[t, used]]


@dataclass(frozen=True)
class Coded:
    """The cells of a group as forests of all its targets see them; workers are sent it once.

    Parameters
    ----------
    codes, sizes
        Bins of the cells (n, S), and how many a regulator has (S,).
    table, place
        All genes (n, G) in the order of the file, and the place there of every cell (n,).
    plan, seed
        How trees are grown.
    """

    codes: np.ndarray
    sizes: np.ndarray
    table: sparse.csc_array
    place: np.ndarray
    plan: Forest
    seed: int

    def of_targets(self, block: Block) -> np.ndarray:
        """Importances (T, S) of the regulators for some genes of the table."""
        genes, columns, seeds = block
        Y = self.table[:, genes].toarray()[self.place]
        return forests_together(self.codes, self.sizes, Y, columns, seed=self.seed, seeds=seeds, plan=self.plan)


def _jobs(group: Group, blocks: list[list[int]], used: np.ndarray) -> Iterator[Block]:
    """Genes, columns and seeds of every block."""
    for members in blocks:
        names = group.names[group.targets[members]]
        seeds = [int(child(group.task.seed, "genie3", group.name, str(name)).integers(2**63)) for name in names]
        columns = [np.flatnonzero(group.allowed[t, used]) for t in members]
        yield np.searchsorted(group.cells.genes, group.targets[members]), columns, seeds
