"""Paths of cells from the beginning to the end of a trajectory, by optimal transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ExpressionError, GroupError, ParameterError
from grn._core.logging import logger
from grn._core.near import did_you_mean
from grn._core.rng import sample_names
from grn._kernels.trajectory import chained, match, shortest_paths, spread_over, thinned
from grn.methods.inputs import Inputs

WAYS = ("neighbours", "bins")
# cells that stand for a stage: with one cell all paths would be one there
FEWEST = 2
# neighbours of a cell: those of the original, and fewer where a step then takes most paths to their end
NEIGHBOURS = (30, 15, 8)


@dataclass(frozen=True)
class PathSetting:
    """How paths are made; see :func:`grn.tl.flecs`."""

    trajectory: str
    stages: str | None
    first: str | Sequence[str] | None
    last: str | Sequence[str] | None
    way: str
    n_bins: int | None
    n_neighbors: int | None
    max_paths: int | None
    use_rep: str | None
    n_pcs: int
    parity: bool


@dataclass(frozen=True)
class CellPaths:
    """Paths of cells, each with a cell at times 0, 1, 2, ...

    Parameters
    ----------
    cells
        Positions of the cells (P, L).
    lineage
        Number of the lineage of every path (P,).
    lineages
        Names of the lineages.
    n_short, n_apart
        Paths that were left out, with too few cells and without a way from end to end.
    """

    cells: np.ndarray
    lineage: np.ndarray
    lineages: tuple[str, ...]
    n_short: int = 0
    n_apart: int = 0

    def table(self, names: np.ndarray) -> pd.DataFrame:
        """A row per path and step."""
        n_paths, length = self.cells.shape
        path, step = np.indices((n_paths, length))
        return pd.DataFrame(
            {
                "path": path.ravel(),
                "lineage": pd.Categorical.from_codes(np.repeat(self.lineage, length), list(self.lineages)),
                "step": step.ravel(),
                "cell": names[self.cells.ravel()],
            }
        )

    def starts(self) -> list[np.ndarray]:
        """First cells of the paths of every lineage."""
        return [self.cells[self.lineage == code, 0] for code in range(len(self.lineages))]


@dataclass(frozen=True)
class _Way:
    """Cells in stages, in the order of time, and the cells among which neighbours are looked for."""

    lineage: str
    stages: list[np.ndarray]
    among: np.ndarray
    length: int


def cell_paths(inputs: Inputs, setting: PathSetting) -> CellPaths:
    """Paths through the cells of an object.

    Raises
    ------
    GroupError, ParameterError
        If labels are unknown, a stage has fewer than 2 cells, or no path leads from the first stage to the last.
    """
    points = inputs.points(setting.use_rep, setting.n_pcs)
    ways = _by_labels(inputs, setting) if setting.stages is not None else _by_trajectory(inputs, setting)
    parts, lineage, n_short, n_apart = [], [], 0, 0
    for code, way in enumerate(ways):
        _check(way)
        if setting.way == "bins":
            cells, short, apart = chained(points, _cut(way.stages, setting, inputs)), 0, 0
        else:
            cells, short, apart = _through_neighbours(points, way, setting, inputs)
        parts.append(cells)
        lineage.append(np.full(len(cells), code))
        n_short, n_apart = n_short + short, n_apart + apart
    _tell(parts, ways, n_short, n_apart, setting)
    cells, of = np.concatenate(parts), np.concatenate(lineage)
    if not setting.parity:  # in an order of names, whatever that of the object
        names = inputs.barcodes
        order = np.lexsort((*names[cells[:, ::-1]].T, of))
        cells, of = cells[order], of[order]
    return CellPaths(cells, of, tuple(way.lineage for way in ways), n_short, n_apart)


def _by_labels(inputs: Inputs, setting: PathSetting) -> list[_Way]:
    """From the cells of some labels to those of others."""
    labels, codes = inputs.labels(str(setting.stages))
    order = np.arange(inputs.n_cells) if setting.parity else np.argsort(inputs.barcodes, kind="stable")
    ends = []
    for what, wanted in (("first", setting.first), ("last", setting.last)):
        names = [wanted] if isinstance(wanted, str) else [] if wanted is None else checks.names(what, wanted)
        if not names:
            raise ParameterError(
                f"{what}=None; pass one or more labels of obs[{setting.stages!r}]: {', '.join(labels)}."
            )
        for name in names:
            if name not in labels:
                near = did_you_mean(name, list(labels))
                raise GroupError(
                    f"{what}={name!r} is no label of obs[{setting.stages!r}]; labels: {', '.join(labels)}.{near}"
                )
        ends.append(order[np.isin(codes[order], [labels.index(name) for name in names])])
    both = np.intersect1d(*ends)
    if len(both):
        raise ParameterError(f"first= and last= share {len(both)} cells; pass labels that do not overlap.")
    # the original looks for neighbours among the two ends alone
    among = np.sort(np.concatenate(ends)) if setting.parity else order
    return [_Way("main", ends, among, setting.n_bins or 0)]


def _by_trajectory(inputs: Inputs, setting: PathSetting) -> list[_Way]:
    """From the first to the last bin of every lineage."""
    trajectory = inputs.trajectory(setting.trajectory)
    ways = []
    for lineage in trajectory.lineages:
        bins = trajectory.bins(lineage, setting.n_bins)
        ways.append(_Way(lineage, bins, np.sort(np.concatenate(bins)), len(bins)))
    return ways


def _check(way: _Way) -> None:
    sizes = [len(cells) for cells in way.stages]
    if len(sizes) < 2:
        raise ParameterError(f"lineage {way.lineage!r} has one bin; a path needs 2 at least, pass n_bins=5.")
    if min(sizes) < FEWEST:
        raise ParameterError(
            f"a bin of lineage {way.lineage!r} has {min(sizes)} cells of {sum(sizes)}; expected {FEWEST} at least, as "
            "paths meet in a single cell. Pass a smaller n_bins, or merge its stages."
        )


def _cut(stages: list[np.ndarray], setting: PathSetting, inputs: Inputs) -> list[np.ndarray]:
    """Stages of no more cells than paths are wanted, drawn by their names."""
    most = setting.max_paths
    if most is None:
        return stages
    seed, names = inputs.task.seed, inputs.barcodes
    drawn = [sample_names(names[cells].tolist(), most, seed) if len(cells) > most else None for cells in stages]
    return [cells if chosen is None else cells[np.sort(chosen)] for cells, chosen in zip(stages, drawn, strict=True)]


def _through_neighbours(
    points: np.ndarray, way: _Way, setting: PathSetting, inputs: Inputs
) -> tuple[np.ndarray, int, int]:
    """Shortest paths, on the graph of neighbours, between cells that transport joins; those too short or apart."""
    first, last = _cut([way.stages[0], way.stages[-1]], setting, inputs)
    if setting.parity:
        first = spread_over(first, len(last))
        pairs = np.column_stack([first, last[match(points[first], points[last])]])
    else:
        pairs = np.column_stack([first[match(points[last], points[first])], last])
    # equal distances are settled by places, which are those of names
    among = way.among if setting.parity else way.among[np.argsort(inputs.barcodes[way.among], kind="stable")]
    place = np.full(len(points), -1)
    place[among] = np.arange(len(among))
    for k in NEIGHBOURS if setting.n_neighbors is None else (setting.n_neighbors,):
        routes = shortest_paths(points[among], place[pairs], k)
        cells, _ = thinned(routes, way.length)
        if 2 * len(cells) >= len(pairs):
            break
    apart = sum(len(route) == 0 for route in routes)
    short = len(routes) - len(cells) - apart
    if not len(cells):
        _refuse(way, k, max(map(len, routes)))
    return among[cells], short, apart


def _refuse(way: _Way, k: int, longest: int) -> None:
    if longest == 0:
        raise ExpressionError(
            f"no path of neighbours leads from the beginning to the end of lineage {way.lineage!r}: the graph of "
            f"n_neighbors={k} falls apart. Pass more, leave cells of other lineages out, or "
            "paths='bins', which needs no graph."
        )
    raise ParameterError(
        f"no path of lineage {way.lineage!r} has n_bins={way.length} cells, the longest has {longest}; pass n_bins="
        f"{longest} or fewer neighbours (n_neighbors={k})."
    )


def _tell(parts: list[np.ndarray], ways: list[_Way], n_short: int, n_apart: int, setting: PathSetting) -> None:
    if n_apart:
        logger.warning(
            "flecs: neighbours do not join the ends of %d paths, which are left out; a larger n_neighbors joins more",
            n_apart,
        )
    if n_short:
        logger.info(
            "flecs: %d of %d paths have fewer than %d cells and are left out",
            *(n_short, n_short + sum(map(len, parts)), max(way.length for way in ways)),
        )
