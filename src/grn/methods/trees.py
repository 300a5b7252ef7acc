"""One ensemble of trees per target: cells, seeds by name, workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy import sparse

from grn._core import checks
from grn._core.blocks import in_blocks
from grn._core.logging import hint, logger, progress
from grn._core.rng import child
from grn._kernels.correlate import sparse_columns
from grn._kernels.trees import Boosting, boosted
from grn.methods.group import Group
from grn.methods.inputs import Inputs
from grn.methods.record import MIN_CELLS_SEEN
from grn.methods.resume import resumed
from grn.methods.tree_blocks import importances_together

# the seed of all targets in arboreto
PARITY_SEED = 666

# targets whose importances are kept in one file
_TOGETHER = 8
# as how many trees one of the fast mode counts after the first 300, with as many times the learning rate
PACE = 5

# permuted copies of a regulator in a fit of confidence: regulators are drawn at random, so that copies compete with
# each other as with the regulators, and more of them need fewer fits
COPIES = 4

# trees whose time is taken, those that boosting usually needs, and seconds that are worth saying beforehand
_TRIAL, _USUAL, LONG = 3, 200, 30.0

# a gene, the columns (k,) of its regulators, and a seed
Job = tuple[int, np.ndarray, int]
# importances (k,) of the columns (k,) of the regulators for a target, given a seed
Learner = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
# from a group, its table, the order of the cells, targets and regulators: targets and their importances
Together = Callable[[Group, sparse.csc_array, np.ndarray, list[int], np.ndarray], Iterator[tuple[int, np.ndarray]]]


@dataclass(frozen=True)
class Trees:
    """What two methods of trees do differently.

    Parameters
    ----------
    name
        Name of the method, which enters the seeds.
    learner
        From the regulators (n, S), float32 in Fortran order, to a :data:`Learner`.
    parity
        Genes and cells in the order of the object and one seed for all, as the original has it.
    together
        Gives every target and its importances on binned regulators, many targets at once, in place of the learner.
    trial
        A few trees (n, S), (n,) for the time they take, and how many of them a target has.
    """

    name: str
    learner: Callable[[np.ndarray], Learner]
    parity: bool
    together: Together | None = None
    trial: tuple[Callable[[np.ndarray, np.ndarray], object], float] | None = None


def boosting(name: str, plan: Boosting, *, mode: str, parity: bool) -> Trees:
    """Boosted trees of a method: ``mode="exact"`` looks at every split, ``"fast"`` at histograms.

    Parameters
    ----------
    name
        Name of the method.
    plan
        Parameters of boosting.
    mode, parity
        As the method takes them.
    """
    few = replace(plan, rounds=_TRIAL)
    trial = (partial(boosted, seed=0, plan=few), min(plan.rounds, _USUAL) / _TRIAL)
    fast = partial(importances_together, name=name, plan=replace(plan, pace=PACE)) if mode == "fast" else None
    return Trees(name, partial(_exact, plan), parity=parity, together=fast, trial=trial)


def _exact(plan: Boosting, X: np.ndarray) -> Learner:
    return partial(_boost, X, plan)


def _boost(X: np.ndarray, plan: Boosting, y: np.ndarray, columns: np.ndarray, seed: int) -> np.ndarray:
    chosen = X if len(columns) == X.shape[1] else np.asfortranarray(X[:, columns])
    return boosted(chosen, y, seed=seed, plan=plan)[0]


def check_mode(mode: str) -> None:
    """Refuse anything but the two modes."""
    checks.word("mode", mode, ("exact", "fast"))


@dataclass(frozen=True)
class Drawn:
    """The cells that trees of every group are grown on.

    Parameters
    ----------
    rows
        Cells by group, in the order in which trees see them; ``None`` for all, in the order of the object.
    """

    rows: Mapping[str, np.ndarray] | None

    def of(self, group: Group, method: str) -> np.ndarray:
        """Cells of a group (n,); says so where not all of them are read."""
        if self.rows is None:
            return group.members
        rows = np.asarray(self.rows[group.name])
        if len(rows) < len(group.members):
            counts = (method, _of(group.name), len(rows), len(group.members))
            logger.info("%s%s: %d of %d cells are read", *counts, extra={"of": group.name})
        return rows


def draw(
    inputs: Inputs, *, max_cells: int | None = None, min_cells: int = MIN_CELLS_SEEN, parity: bool = False
) -> Drawn:
    """Read the cells and draw those that trees are grown on, at most ``max_cells`` per group, by name."""
    inputs.read_cells(min_cells=0 if parity else min_cells)
    if parity and max_cells is None:
        return Drawn(None)
    # bootstraps are drawn from the cells in the order of their names
    inputs.need_cell_names()
    return Drawn(inputs.drawn(max_cells))


def importances(group: Group, cells: np.ndarray, trees: Trees) -> np.ndarray | None:
    """Importances (T, S) in one group, NaN for pairs without any; ``None`` if nothing varies."""
    genes, task, everyone = group.cells.genes, group.task, group.cells.names
    # cells are read in the order of the file, then brought into one that does not depend on it
    table = sparse_columns(group.rows, np.sort(cells), genes)  # (n, genes)
    place = np.searchsorted(np.sort(cells), cells)
    constant = np.zeros(len(everyone), dtype=bool)
    constant[genes] = table.max(axis=0).toarray().ravel() == table.min(axis=0).toarray().ravel()
    group.report_constant(constant)
    constant |= group.rare
    if constant[group.sources].all() or constant[group.targets].all():
        return None
    used = np.arange(len(group.sources)) if trees.parity else np.flatnonzero(~constant[group.sources])
    if not trees.parity:
        used = used[np.argsort(everyone[group.sources[used]], kind="stable")]
    wanted = [t for t, gene in enumerate(group.targets) if not constant[gene] and group.allowed[t, used].any()]
    weight = np.full(group.allowed.shape, np.nan)  # (T, S)
    results = _resumed(group, table, place, wanted, used, trees)
    for t, values in progress(results, total=len(wanted), desc=trees.name, show=task.show):
        # splits that gain nothing may sum to less than nothing by rounding
        weight[t, used[group.allowed[t, used]]] = np.maximum(values, 0.0)
    weight[:, constant[group.sources]] = np.nan
    weight[weight == 0] = np.nan
    return weight


def _resumed(
    group: Group, table: sparse.csc_array, place: np.ndarray, wanted: list[int], used: np.ndarray, trees: Trees
) -> Iterator[tuple[int, np.ndarray]]:
    """Every target and the importances of its allowed regulators; those in the cache are not grown again."""
    genes = group.cells.genes

    def grow(targets: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        if trees.together is None:
            return _one_by_one(group, table, place, list(targets), used, trees)
        return trees.together(group, table, place, list(targets), used)

    def shared() -> dict[str, Any]:
        regulators = np.searchsorted(genes, group.sources[used])
        return {"table": table, "place": place, "regulators": regulators, "trees": trees, "seed": group.task.seed}

    def identity(t: int) -> list[Any]:
        gene = int(np.searchsorted(genes, group.targets[t]))
        return [group.name, str(group.names[group.targets[t]]), gene, group.allowed[t, used]]

    return resumed(group.task.cache, trees.name, shared, wanted, identity, grow, together=_TOGETHER)


def _say_how_long(grown: Grown, group: Group, wanted: list[int], used: np.ndarray) -> None:
    """Estimate the time of all targets from a few trees of the first, and say it if it is long."""
    if grown.trees.trial is None or len(wanted) < 2:
        return
    grow, times = grown.trees.trial
    y = grown.table[:, [np.searchsorted(group.cells.genes, group.targets[wanted[0]])]].toarray().ravel()[grown.place]
    other = group.sources[used] != group.targets[wanted[0]]
    if not other.any():
        return
    X, seconds = np.asfortranarray(grown.X[:, other]), []
    for _ in range(2):  # the first call imports scikit-learn
        start = time.perf_counter()
        grow(X, y)
        seconds.append(time.perf_counter() - start)
    whole = seconds[1] * times * len(wanted) / group.task.workers.number
    if whole > LONG:
        name, said = grown.trees.name, f"{whole / 60:.0f} minutes" if whole >= 120 else f"{whole:.0f} seconds"
        hint("%s: about %s for %d targets; params={'mode': 'fast'} takes less.", name, said, len(wanted))


@dataclass(frozen=True)
class Grown:
    """The cells of a group as trees of all its targets see them; workers are sent it once.

    Parameters
    ----------
    trees
        The method.
    X
        Regulators (n, S), float32 in Fortran order.
    table
        All genes (n, G) in the order of the file.
    place
        Place in the file of every cell (n,).
    """

    trees: Trees
    X: np.ndarray
    table: sparse.csc_array
    place: np.ndarray

    def of_target(self, job: Job) -> np.ndarray:
        """Importances (k,) of the columns (k,) of the regulators for a gene of the table, given a seed."""
        gene, columns, seed = job
        y = self.table[:, [gene]].toarray().ravel()[self.place]
        return self.learner(y, columns, seed)

    @cached_property
    def learner(self) -> Learner:
        """What grows the trees, with what all targets share of it."""
        return self.trees.learner(self.X)

    def __getstate__(self) -> dict[str, Any]:
        """Without what a worker makes itself."""
        return {name: value for name, value in self.__dict__.items() if name != "learner"}


def _one_by_one(
    group: Group, table: sparse.csc_array, place: np.ndarray, wanted: list[int], used: np.ndarray, trees: Trees
) -> Iterator[tuple[int, np.ndarray]]:
    """Every target and the importances of its allowed regulators, in their order."""
    X = table[:, np.searchsorted(group.cells.genes, group.sources[used])].toarray()[place]  # (n, used)
    grown, jobs = Grown(trees, np.asfortranarray(X), table, place), _jobs(group, wanted, used, trees)
    _say_how_long(grown, group, wanted, used)
    results = in_blocks(Grown.of_target, grown, jobs, group.task.workers, total=len(wanted), threads=False)
    yield from zip(wanted, results, strict=True)


def _jobs(group: Group, wanted: list[int], used: np.ndarray, trees: Trees) -> Iterator[Job]:
    """Gene, columns and seed of every target."""
    for t in wanted:
        gene = group.targets[t]
        seed = child(group.task.seed, trees.name, group.name, str(group.names[gene])).integers(2**31)
        column = int(np.searchsorted(group.cells.genes, gene))
        yield column, np.flatnonzero(group.allowed[t, used]), PARITY_SEED if trees.parity else int(seed)


def _of(group: str) -> str:
    return f" ({group})" if group else ""
