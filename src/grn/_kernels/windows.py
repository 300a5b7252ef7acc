"""Windows of the nearest cells that move along a tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grn._kernels.tree import Tree

# how often the stretch to the next window is halved: places are found to a millionth of it
HALVINGS = 20
# by which sums of lengths are rounded, as a share of the longest way
ROUNDING = 1e-12


@dataclass(frozen=True)
class Windows:
    """Sets of cells of equal size around points of a tree.

    Parameters
    ----------
    tree
        The tree.
    edge, place
        The points (W,): the edge, and the distance from its start.
    time
        Distance from the root (W,).
    cells
        Positions of the cells (W, n_cells), nearest first.
    before
        The window that a window was stepped to from (W,), -1 for that at the root.
    jumps
        Windows that share fewer cells with the one before than was asked for, as many cells lie at one place.
    """

    tree: Tree
    edge: np.ndarray
    place: np.ndarray
    time: np.ndarray
    cells: np.ndarray
    before: np.ndarray
    jumps: np.ndarray

    def __len__(self) -> int:
        return len(self.edge)

    def distances(self) -> np.ndarray:
        """Distances (W, W) along the tree."""
        rows = [self.tree.distances(e, p, self.edge, self.place) for e, p in zip(self.edge, self.place, strict=True)]
        return np.array(rows)


class _Walk:
    """Windows as they are found."""

    def __init__(self, tree: Tree, edge: np.ndarray, place: np.ndarray, n_cells: int, overlap: int) -> None:
        self.tree, self.edge, self.place, self.n_cells, self.overlap = tree, edge, place, n_cells, overlap
        self.points: list[tuple[int, float]] = []
        self.members: list[np.ndarray] = []
        self.before: list[int] = []
        self.jumps: list[int] = []

    def nearest(self, edge: int, place: float, among: np.ndarray) -> np.ndarray:
        """The nearest cells of a point (n_cells,) among some, nearest first; equal ones by position."""
        distances = self.tree.distances(edge, place, self.edge[among], self.place[among])
        last = np.partition(distances, self.n_cells - 1)[self.n_cells - 1]
        near = np.flatnonzero(distances <= last)
        chosen: np.ndarray = among[near[np.argsort(distances[near], kind="stable")][: self.n_cells]]
        return chosen

    def add(self, edge: int, place: float, cells: np.ndarray, before: int) -> int:
        self.points.append((edge, place))
        self.members.append(cells)
        self.before.append(before)
        return len(self.points) - 1

    def along(self, edge: int, window: int, farthest: float) -> int:
        """Step from the window at the start of an edge to its end; the window there."""
        place, length = 0.0, float(self.tree.length[edge])
        while place < length:
            step, cells, enough = self._step(edge, place, min(length, place + farthest), self.members[window])
            window = self.add(edge, step, cells, window)
            if not enough:
                self.jumps.append(window)
            place = step
        return window

    def _step(self, edge: int, place: float, most: float, cells: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """The farthest point whose cells are mostly those given, its cells, and whether there is one."""
        inside = np.zeros(len(self.edge), dtype=bool)
        inside[cells] = True
        distances = self.tree.distances(edge, place, self.edge, self.place)
        # cells of a point at a distance d are at most 2 d farther from here than those of here
        reach = distances[cells].max() + ROUNDING * float(self.tree.between_nodes.max())
        among = np.flatnonzero(distances <= reach + 2 * (most - place))
        others = self.nearest(edge, most, among)
        if inside[others].sum() >= self.overlap:
            return most, others, True
        low, high, chosen = place, most, None
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            among = among[distances[among] <= reach + 2 * (high - place)]
            between = self.nearest(edge, middle, among)
            if inside[between].sum() >= self.overlap:
                low, chosen = middle, between
            else:
                high, others = middle, between
        return (low, chosen, True) if chosen is not None else (high, others, False)


def moving_windows(
    tree: Tree, edge: np.ndarray, place: np.ndarray, *, n_cells: int, overlap: int, farthest: float = np.inf
) -> Windows:
    """Windows of the nearest cells, from the root to all leaves, as few as keep to two limits.

    Every node has a window. From the window at the start of an edge each next one is the farthest that shares at least
    ``overlap`` cells with the one before and is no farther from it than ``farthest``. Where a stretch however short
    changes more cells than that, because many lie at one place, the step beyond it is taken and listed in ``jumps``.

    Parameters
    ----------
    tree
        The tree.
    edge, place
        Where every cell is (n,); cells at equal distances are taken in the order given.
    n_cells
        Cells of a window, at most n.
    overlap
        Cells that windows next to each other share, below ``n_cells``.
    farthest
        Most distance between windows next to each other.

    Returns
    -------
    Windows
        Edge by edge. Cost: n operations per window, and up to 21 searches of the cells within reach of it.
    """
    walk = _Walk(tree, edge, place, n_cells, overlap)
    at = {tree.root: walk.add(0, 0.0, walk.nearest(0, 0.0, np.arange(len(edge))), -1)}
    for i in range(len(tree.start)):
        at[int(tree.end[i])] = walk.along(i, at[int(tree.start[i])], farthest)
    edges = np.array([point[0] for point in walk.points], dtype=np.int64)
    places = np.array([point[1] for point in walk.points])
    found = (edges, places, tree.time(edges, places), np.array(walk.members), np.array(walk.before))
    return Windows(tree, *found, np.array(walk.jumps, dtype=np.int64))
