"""Where the edges of a trajectory, its nodes and its cells are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grn._kernels.trajectory import around
from grn._object.trajectory import Trajectory

# points of the longest edge, and the reach of averages as a share of the longest way
_POINTS, _REACH = 60, 0.04
# cells scatter about an edge by so much of the distance between lineages
_SCATTER = 0.28


@dataclass(frozen=True)
class Lines:
    """What a drawing is made of.

    Parameters
    ----------
    paths
        Points along every edge (p, 2), the first and the last at its nodes.
    places
        How far from the start of the edge these points are (p,).
    nodes
        Points of the nodes (N, 2).
    cells
        Points of the cells (n, 2).
    """

    paths: list[np.ndarray]
    places: list[np.ndarray]
    nodes: np.ndarray
    cells: np.ndarray

    def at(self, edge: int, place: float) -> np.ndarray:
        """The point of a place on an edge (2,)."""
        return np.array([np.interp(place, self.places[edge], axis) for axis in self.paths[edge].T])


def on_embedding(trajectory: Trajectory, points: np.ndarray) -> Lines:
    """Edges through the averages of the cells around them; cells where the embedding has them."""
    tree, own = trajectory.tree, trajectory.by_name
    reach = _REACH * float(tree.between_nodes.max())
    paths, places = [], []
    for edge, length in enumerate(tree.length):
        steps = np.linspace(0, length, max(3, int(np.ceil(_POINTS * length / tree.length.max()))))
        far = [tree.distances(edge, float(step), trajectory.edge[own], trajectory.place[own]) for step in steps]
        paths.append(around(points[own], np.array(far), reach))
        places.append(steps)
    ends = [paths[0][0], *(path[-1] for path in paths)]
    return Lines(paths, places, np.array(ends), points)


def along_tree(trajectory: Trajectory) -> Lines:
    """Time from left to right, a lane for every lineage, edges of several between theirs; cells about their edges."""
    tree = trajectory.tree
    lanes: dict[int, list[int]] = {}
    for lane, leaf in enumerate(_in_order(trajectory)):
        for edge in trajectory.lineages[leaf]:
            lanes.setdefault(edge, []).append(lane)
    height = np.array([np.mean(lanes.get(edge, [0])) for edge in range(len(tree.length))])
    before = {int(end): edge for edge, end in enumerate(tree.end)}
    first = height[tree.start == tree.root].mean()
    from_height = np.array([height[before[int(s)]] if int(s) in before else first for s in tree.start])
    start = tree.depth[tree.start]
    # an edge leaves its node upwards or downwards within its first part
    places = [np.array([0.0, min(0.15 * length, length), length]) for length in tree.length]
    paths = [
        np.column_stack([start[edge] + place, [from_height[edge], height[edge], height[edge]]])
        for edge, place in enumerate(places)
    ]
    lines = Lines(paths, places, np.array([paths[0][0], *(path[-1] for path in paths)]), np.empty((0, 2)))
    cells = np.full((len(trajectory.edge), 2), np.nan)
    own = trajectory.by_name
    # multiples of the golden ratio are spread evenly, and nothing is drawn at random
    shift = _SCATTER * (2 * (np.arange(len(own)) * 0.6180339887498949 % 1) - 1)
    cells[own] = [lines.at(int(trajectory.edge[i]), float(trajectory.place[i])) for i in own]
    cells[own, 1] += shift
    return Lines(lines.paths, lines.places, lines.nodes, cells)


def _in_order(trajectory: Trajectory) -> list[str]:
    """Lineages so that those that share edges are beside each other."""
    return sorted(trajectory.lineages, key=lambda lineage: trajectory.lineages[lineage])
