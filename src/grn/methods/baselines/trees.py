"""One ensemble of trees per target: reading cells, seeds by name, workers, and the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import ParameterError
from grn._core.logging import logger, progress
from grn._core.rng import child
from grn._kernels.correlate import sparse_columns
from grn._object.groups import cell_names
from grn.methods.cells import Cells, cells_of, report_constant
from grn.methods.draw import draw_cells
from grn.methods.edges import to_network
from grn.methods.pairs import allowed_pairs, spread
from grn.methods.record import Task
from grn.network import Network

# the seed of all targets in arboreto
PARITY_SEED = 666

# importances (k,) of the columns (k,) of the regulators for a target, given a seed
Learner = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Trees:
    """What two methods of trees do differently.

    Parameters
    ----------
    name
        Name of the method, which enters the seeds.
    learner
        From the regulators (n, S), float32 in Fortran order, to a :data:`Learner`.
    threads
        Whether targets are shared among threads; else among processes.
    parity
        Genes and cells in the order of the object and one seed for all, as the original has it.
    """

    name: str
    learner: Callable[[np.ndarray], Learner]
    threads: bool
    parity: bool


def check_mode(mode: str) -> None:
    """Refuse anything but the two modes."""
    if mode not in ("exact", "fast"):
        raise ParameterError(f"mode={mode!r} is unknown; use 'exact' or 'fast'.")


def positive(name: str, value: object) -> None:
    """Refuse anything but an integer above 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ParameterError(f"{name}={value!r}; pass an integer of at least 1.")


def tree_network(
    adata,
    task: Task,
    trees: Trees,
    *,
    base_grn: pd.DataFrame | None,
    max_cells: int | None,
    min_cells: int,
    params: Mapping[str, Any],
) -> Network:
    """Fit every target of every group; pairs without any importance are not listed.

    Parameters
    ----------
    adata, task
        The object, and genes, cells, groups and workers.
    trees
        The method.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all but itself.
    max_cells
        Most cells per group, drawn by name; ``None`` for all.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; none with ``parity``.
    params
        Provenance.
    """
    # bootstraps are drawn from the cells in the order of their names
    by_name = not trees.parity or max_cells is not None
    if by_name:
        cell_names(adata)
    least = 0 if trees.parity else min_cells
    cells = cells_of(adata, task, min_cells=least)
    allowed = allowed_pairs(adata, cells, base_grn)
    drawn = draw_cells(adata, task.groupby, max_cells, task.seed)

    def group_fit(group: str, members: np.ndarray) -> dict[str, np.ndarray] | None:
        read = drawn[group] if by_name else members
        if len(read) < len(members):
            told = (trees.name, _of(group), len(read), len(members))
            logger.info("%s%s: %d of %d cells are read", *told, extra={"of": group})
        weight = _group(cells, np.asarray(read), allowed, task, trees, group)
        return None if weight is None else {"weight": spread(cells, weight, weight > 0)}

    parts, told = cells.each(group_fit)
    told |= {**params, "max_cells": max_cells, "base_grn": base_grn is not None, "parity": trees.parity}
    return to_network(cells.names, cells.sources, parts, params={**told, "min_cells": least}, signed=False)


def _group(
    cells: Cells, read: np.ndarray, allowed: np.ndarray, task: Task, trees: Trees, group: str
) -> np.ndarray | None:
    """Importances (T, S) in one group, 0 for pairs that were not looked at; ``None`` if nothing varies."""
    # cells are read in the order of the file, then brought into one that does not depend on it
    table = sparse_columns(cells.expression.rows, np.sort(read), cells.genes)
    place = np.searchsorted(np.sort(read), read)
    constant = np.zeros(len(cells.names), dtype=bool)
    constant[cells.genes] = table.max(axis=0).toarray().ravel() == table.min(axis=0).toarray().ravel()
    rare = cells.rare_in(group)
    report_constant(cells.names, constant & ~rare, group)
    constant |= rare
    if constant[cells.sources].all() or constant[cells.targets].all():
        return None
    used = np.arange(len(cells.sources)) if trees.parity else np.flatnonzero(~constant[cells.sources])
    if not trees.parity:
        used = used[np.argsort(cells.names[cells.sources[used]], kind="stable")]
    X = table[:, np.searchsorted(cells.genes, cells.sources[used])].toarray()[place]
    wanted = [t for t, gene in enumerate(cells.targets) if not constant[gene] and allowed[t, used].any()]
    found = np.zeros(allowed.shape)
    jobs = _jobs(cells, table, place, wanted, allowed[:, used], task, trees, group)
    results = _run(trees.learner(np.asfortranarray(X)), jobs, task.n_jobs or 1, threads=trees.threads)
    for t, values in zip(wanted, progress(results, total=len(wanted), desc=trees.name, show=task.show), strict=True):
        found[t, used[allowed[t, used]]] = values
    found[:, constant[cells.sources]] = 0.0
    return found


def _jobs(
    cells: Cells,
    table: sparse.csc_array,
    place: np.ndarray,
    wanted: list[int],
    allowed: np.ndarray,
    task: Task,
    trees: Trees,
    group: str,
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Values, columns and seed of every target, one at a time."""
    for t in wanted:
        gene = cells.targets[t]
        y = table[:, [np.searchsorted(cells.genes, gene)]].toarray().ravel()[place]
        seed = child(task.seed, trees.name, group, str(cells.names[gene])).integers(2**31)
        yield y, np.flatnonzero(allowed[t]), PARITY_SEED if trees.parity else int(seed)


def _run(learner: Learner, jobs: Iterator[Any], n_jobs: int, *, threads: bool) -> Iterator[np.ndarray]:
    """Results in order, as they come."""
    if n_jobs == 1:
        yield from (learner(*job) for job in jobs)
        return
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=n_jobs, prefer="threads" if threads else "processes", return_as="generator")
    yield from pool(delayed(learner)(*job) for job in jobs)


def _of(group: str) -> str:
    return f" ({group})" if group else ""
