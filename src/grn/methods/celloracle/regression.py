"""What CellOracle regresses: smoothed cells, scaled regulators, bags, and the fits of one group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.blocks import Workers
from grn._core.rng import child
from grn._kernels import ridge
from grn._kernels.edge_ridge import edge_ridge, products_of_targets
from grn._kernels.scatter import BLOCK, Rows
from grn._object.smoothing import Pair, Smoothed, moments_of
from grn.methods.cells import Cells, report_constant
from grn.methods.inputs import Inputs

UPSTREAM_SEED = 123
# share of the regulators of a target that a bag draws, as published
SHARE = 0.8
# of an edge while it is in a table and in the network made of it
_EDGE_BYTES = 64


@dataclass(frozen=True)
class Problem:
    """Cells, candidate regulators and scales of an inference.

    Parameters
    ----------
    cells
        Genes and groups.
    rows
        Gives the values of cells that are regressed, smoothed or not.
    scale
        Standard deviation of every gene over all cells (n_vars,), 1 for constant genes.
    moments
        Mean and standard deviation of every gene in each group.
    regulators
        Positions of the candidate regulators of every target of ``cells``, in the order in which bags draw them.
    restricted
        Whether a base GRN says who they are; else they are all but the target itself.
    cell_names
        Names of all cells; bags are drawn by them.
    workers
        Who computes.
    place
        Rank of every cell (n_cells,) in the order that reads fastest; ``None`` for that of the object.
    """

    cells: Cells
    rows: Rows
    scale: np.ndarray
    moments: dict[str, Pair]
    regulators: list[np.ndarray]
    restricted: bool
    cell_names: np.ndarray
    workers: Workers
    place: np.ndarray | None = None

    def members(self, group: str) -> np.ndarray:
        """Positions of the cells of a group, in the order in which to read them."""
        return dict(_groups(self.cells, self.place))[group]


def _groups(cells: Cells, place: np.ndarray | None) -> Iterator[tuple[str, np.ndarray]]:
    for group, members in cells:
        yield group, members if place is None else members[np.argsort(place[members])]


@dataclass(frozen=True)
class Bags:
    """How to draw bags.

    Parameters
    ----------
    number, alpha
        Number of bags and penalty.
    parity
        Draw as the original program does, from the numbers of cells and regulators; else by names.
    seed, memory
        Seed, and bytes for the products of one pass over the cells.
    """

    number: int
    alpha: float
    parity: bool
    seed: int
    memory: int


def problem(
    inputs: Inputs,
    base_grn: pd.DataFrame | None,
    weights: sparse.csr_matrix | None,
    *,
    min_cells: int,
    parity: bool,
    drawn: bool,
) -> Problem:
    """Read what the task asks for; without ``weights`` cells are taken as they are, ``drawn`` cells need names."""
    cell_names = inputs.cell_names if drawn else inputs.barcodes
    table = inputs.prior(base_grn)
    listed = None if table is None else sorted(set(table["source"].astype(str)))
    cells = inputs.read_cells(min_cells=min_cells, sources=listed)
    regulators = [cells.sources[may_regulate] for may_regulate in inputs.allowed(base_grn)]
    # smoothed cells are made anew at every look but for those that fit beside the edges of all groups
    edges = _EDGE_BYTES * len(cells.groups) * sum(map(len, regulators))
    memory = max(0, inputs.task.memory_budget // 2 - edges)
    values = (
        cells.expression if weights is None else Smoothed(cells.expression, weights, genes=cells.genes, memory=memory)
    )
    # bags of the original are drawn by the order of the cells
    place = values.place if isinstance(values, Smoothed) and not parity else None
    moments = {group: moments_of(values.rows, members, values.n_vars) for group, members in _groups(cells, place)}
    scale = _overall(moments, np.bincount(cells.codes))
    given = _order(base_grn) if parity and isinstance(base_grn, pd.DataFrame) else {}
    names = cells.names
    ordered = [
        rows[np.lexsort((names[rows], [given.get((str(names[t]), str(n)), 0) for n in names[rows]]))]
        for t, rows in zip(cells.targets, regulators, strict=True)
    ]
    scale = np.where(scale > 0, scale, 1.0)
    who = inputs.task.workers
    return Problem(cells, values.rows, scale, moments, ordered, table is not None, cell_names, who, place)


def _overall(moments: dict[str, Pair], sizes: np.ndarray) -> np.ndarray:
    """Standard deviation over all cells from those of the groups."""
    share = (sizes / sizes.sum())[:, None]
    means, spreads = (np.stack([pair[i] for pair in moments.values()]) for i in range(2))
    between = ((means - (share * means).sum(axis=0)) ** 2 * share).sum(axis=0)
    return np.sqrt((spreads**2 * share).sum(axis=0) + between)


def fit_group(
    data: Problem, group: str, members: np.ndarray, bags: Bags | None
) -> tuple[np.ndarray, np.ndarray, ridge.Coefficients] | None:
    """Regress the targets in one group: by bagging, or without ``bags`` by Bayesian ridge.

    Returns
    -------
    source, target, coefficients
        Positions of the genes (E,) and what was found for every edge. Constant and rare genes have none. ``None`` if
        nothing varies.
    """
    cells = data.cells
    data = replace(data, rows=_remembered(data.rows, members))
    centre, spread = data.moments[group]
    rare, constant = cells.rare_in(group), spread <= 1e-6 * np.abs(centre)
    taking_part = np.zeros(len(constant), dtype=bool)
    taking_part[cells.genes] = True
    report_constant(cells.names, constant & taking_part & ~rare, group)
    constant |= rare
    # the original draws among constant regulators too
    keep_all = bags is not None and bags.parity
    lists = [regulators if keep_all else regulators[~constant[regulators]] for regulators in data.regulators]
    open_targets = [t for t, regulators in enumerate(lists) if len(regulators) and not constant[cells.targets[t]]]
    if not open_targets or all(constant[lists[t]].all() for t in open_targets):
        return None
    lists, targets = [lists[t] for t in open_targets], cells.targets[open_targets]
    if bags is not None and not bags.parity and not data.restricted:
        used = cells.sources[~constant[cells.sources]]
        lists = [used[used != target] for target in targets]
        coefficients = _open_bagging(data, group, members, used, targets, centre, bags)
    elif bags is None:
        squares = len(members) * spread[targets] ** 2
        coefficients = _bayesian(data, members, lists, targets, centre, squares)
    else:
        coefficients = _bagging(data, group, members, lists, targets, centre, bags)
    source = np.concatenate(lists)
    target = np.repeat(targets, [len(regulators) for regulators in lists])
    vary = ~constant[source]
    varying = ridge.Coefficients(coefficients.mean[vary], coefficients.variance[vary], coefficients.pvalue[vary])
    return source[vary], target[vary], varying


def fit_plain(
    data: Problem,
    group: str,
    members: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    alpha: float,
    memory: int,
) -> np.ndarray:
    """Ridge coefficients (E,) of unscaled targets on unscaled regulators for the edges given by positions."""
    rows = _remembered(data.rows, members)
    return edge_ridge(rows, members, source, target, alpha, centre=data.moments[group][0], memory=memory)


def _remembered(rows: Rows, members: np.ndarray) -> Rows:
    """The same reader; cells that fit into one block are read once, all of them being asked for every time."""
    if len(members) > BLOCK:
        return rows
    block = rows(members)
    return lambda _: block


def _bayesian(
    data: Problem,
    members: np.ndarray,
    lists: list[np.ndarray],
    targets: np.ndarray,
    centre: np.ndarray,
    squares: np.ndarray,
) -> ridge.Coefficients:
    ones = np.ones((1, len(members)))
    parts = products_of_targets(data.rows, members, lists, targets, ones, centre, 2**29, data.scale)
    return _joined(
        [
            ridge.bayesian_ridge(inner[0], cross[0], squares[part], len(members), rows, workers=data.workers)
            for part, inner, cross, rows in parts
        ]
    )


def _bagging(
    data: Problem,
    group: str,
    members: np.ndarray,
    lists: list[np.ndarray],
    targets: np.ndarray,
    centre: np.ndarray,
    bags: Bags,
) -> ridge.Coefficients:
    if bags.parity:
        return _upstream_bagging(data, members, lists, targets, centre, bags)
    counts = _bag_counts(data.cell_names[members], group, bags)
    used = data.cells.names[np.unique(np.concatenate(lists))]

    def draw(rows: np.ndarray) -> np.ndarray:
        # by the names of the set: targets with the same regulators share their bags and are solved together
        return _drawn_places(bags, group, used[rows])

    parts = products_of_targets(data.rows, members, lists, targets, counts, centre, bags.memory, data.scale)
    return _joined(
        [
            ridge.bagging_ridge(inner, cross, rows, draw, bags.alpha, workers=data.workers)
            for _, inner, cross, rows in parts
        ]
    )


def _open_bagging(
    data: Problem,
    group: str,
    members: np.ndarray,
    used: np.ndarray,
    targets: np.ndarray,
    centre: np.ndarray,
    bags: Bags,
) -> ridge.Coefficients:
    """Without a base GRN a bag draws from all regulators once, so that one factorisation serves all targets."""
    counts = _bag_counts(data.cell_names[members], group, bags)
    order = np.argsort(data.cells.names[used])
    places = order[_drawn_places(bags, group, data.cells.names[used[order]])]
    parts = products_of_targets(
        data.rows, members, [used] * len(targets), targets, counts, centre, bags.memory, data.scale, used
    )
    slot = np.full(len(data.cells.names), -1)
    slot[used] = np.arange(len(used))
    return _joined(
        [
            ridge.open_bagging_ridge(inner, cross, slot[targets[part]], data.scale[targets[part]], places, bags.alpha)
            for part, inner, cross, _ in parts
        ]
    )


def _drawn_places(bags: Bags, group: str, names: np.ndarray) -> np.ndarray:
    """Places (B, m) that bags draw from a list of regulators, by the names on it."""
    random = child(bags.seed, "regulators", group, *names)
    return random.random((bags.number, len(names))).argsort(axis=1)[:, : _drawn(len(names))]


def _upstream_bagging(
    data: Problem,
    members: np.ndarray,
    lists: list[np.ndarray],
    targets: np.ndarray,
    centre: np.ndarray,
    bags: Bags,
) -> ridge.Coefficients:
    """Bags as scikit-learn draws them from one seed: they depend on the numbers of cells and regulators only."""
    sizes = np.array([len(regulators) for regulators in lists])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    coefficients = ridge.Coefficients(*(np.empty(starts[-1]) for _ in range(3)))
    for size in np.unique(sizes):
        which = np.flatnonzero(sizes == size)
        places, counts = upstream_draws(UPSTREAM_SEED, len(members), int(size), bags.number)
        regulators = [lists[t] for t in which]
        parts = products_of_targets(
            data.rows, members, regulators, targets[which], counts, centre, bags.memory, data.scale
        )
        part = _joined(
            [
                ridge.bagging_ridge(inner, cross, rows, lambda _, p=places: p, bags.alpha, workers=data.workers)
                for _, inner, cross, rows in parts
            ]
        )
        slots = (starts[which][:, None] + np.arange(size)).ravel()
        for name in ("mean", "variance", "pvalue"):
            getattr(coefficients, name)[slots] = getattr(part, name)
    return coefficients


def upstream_draws(seed: int, n_cells: int, n_regulators: int, n_bags: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the regulators (B, m) and counts of the cells (B, n) that scikit-learn's bagging draws."""
    from sklearn.utils.random import sample_without_replacement

    random = np.random.RandomState(seed)
    seeds = random.randint(np.iinfo(np.int32).max, size=n_bags)
    places, counts = [], []
    for bag_seed in seeds:
        # the same as a new generator per bag, in a fifth of the time
        random.seed(bag_seed)
        places.append(sample_without_replacement(n_regulators, _drawn(n_regulators), random_state=random))
        counts.append(np.bincount(random.randint(0, n_cells, n_cells), minlength=n_cells))
    return np.stack(places), np.stack(counts)


def _bag_counts(names: np.ndarray, group: str, bags: Bags) -> np.ndarray:
    """How often every bag holds every cell (B, n), whatever the order of the cells."""
    n = len(names)
    drawn = child(bags.seed, "cells", group).integers(0, n, size=(bags.number, n))
    counts = np.empty((bags.number, n), dtype=np.float32)
    counts[:, np.argsort(names, kind="stable")] = [np.bincount(draw, minlength=n) for draw in drawn]
    return counts


def _drawn(n_regulators: int) -> int:
    return max(1, int(SHARE * n_regulators))


def _order(base_grn: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Row of every (target, source) in the user's own table."""
    if "target" not in base_grn or "source" not in base_grn:
        return {}
    pairs = zip(base_grn["target"].astype(str), base_grn["source"].astype(str), strict=True)
    return {pair: row for row, pair in reversed(list(enumerate(pairs)))}


def _joined(parts: list[ridge.Coefficients]) -> ridge.Coefficients:
    columns = ("mean", "variance", "pvalue")
    return ridge.Coefficients(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
