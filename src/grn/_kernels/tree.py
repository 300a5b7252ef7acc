"""Trees of edges with a length: which way they run from a root, and how far points on them are from each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, dijkstra


@dataclass(frozen=True)
class Tree:
    """A rooted tree of E edges between N = E + 1 nodes, each edge leading away from the root.

    Parameters
    ----------
    start, end
        Nodes of every edge (E,), an edge after the one that leads to its start.
    length
        Lengths (E,), above 0.
    """

    start: np.ndarray
    end: np.ndarray
    length: np.ndarray

    @property
    def root(self) -> int:
        """The node that no edge leads to."""
        return int(self.start[0])

    @cached_property
    def between_nodes(self) -> np.ndarray:
        """Distances (N, N) along the tree."""
        n = len(self.start) + 1
        graph = sparse.csr_matrix((self.length, (self.start, self.end)), shape=(n, n))
        distances: np.ndarray = dijkstra(graph, directed=False)
        return distances

    @cached_property
    def depth(self) -> np.ndarray:
        """Distance of every node (N,) from the root."""
        depth: np.ndarray = self.between_nodes[self.root]
        return depth

    def time(self, edge: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Distances of points (n,) from the root."""
        times: np.ndarray = self.depth[self.start[edge]] + place
        return times

    def distances(self, edge: int, place: float, edges: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Distances (n,) of points from one point, along the tree.

        Parameters
        ----------
        edge, place
            The point: an edge, and how far it is from the start of it.
        edges, places
            The points (n,).
        """
        start, end = self.start[edge], self.end[edge]
        from_start, from_end = self.between_nodes[start] + place, self.between_nodes[end] + self.length[edge] - place
        nodes = np.minimum(from_start, from_end)  # (N,)
        across = np.minimum(nodes[self.start[edges]] + places, nodes[self.end[edges]] + self.length[edges] - places)
        distances: np.ndarray = np.where(edges == edge, np.abs(places - place), across)
        return distances

    def paths(self) -> dict[int, tuple[int, ...]]:
        """Edges from the root to every leaf, by the leaf."""
        leading = dict(zip(self.end.tolist(), range(len(self.end)), strict=True))
        leaves = [node for node in self.end.tolist() if node not in set(self.start.tolist())]
        return {leaf: self._path(leaf, leading) for leaf in leaves}

    def _path(self, node: int, leading: dict[int, int]) -> tuple[int, ...]:
        path: list[int] = []
        while node in leading:
            path.append(leading[node])
            node = int(self.start[path[-1]])
        return tuple(reversed(path))


def pieces_and_cycle(start: np.ndarray, end: np.ndarray, n_nodes: int) -> tuple[np.ndarray, int | None]:
    """The connected piece of every node (N,), numbered by their first nodes, and an edge that closes a cycle, if any.

    Parameters
    ----------
    start, end
        Nodes of every edge (E,), in either direction.
    n_nodes
        Number of nodes.
    """
    piece = np.arange(n_nodes)
    closing: int | None = None
    for edge, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        low, high = sorted((int(piece[a]), int(piece[b])))
        if low == high and closing is None:
            closing = edge
        piece[piece == high] = low
    return np.unique(piece, return_inverse=True)[1], closing


def from_root(start: np.ndarray, end: np.ndarray, root: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a tree in the order in which a walk from the root comes to them, and which of them run towards it.

    Parameters
    ----------
    start, end
        Nodes of every edge (E,), in either direction; they form a tree.
    root
        The node to begin with.

    Returns
    -------
    order, against
        Positions of the edges (E,), nearer ones first, equally near ones as they were given; mask (E,), in the order
        given, of the edges that lead towards the root.
    """
    n = len(start) + 1
    graph = sparse.csr_matrix((np.ones(len(start)), (start, end)), shape=(n, n))
    _, before = breadth_first_order(graph, root, directed=False)
    steps = dijkstra(graph, directed=False, unweighted=True, indices=root)
    against = before[start] == end
    return np.argsort(np.maximum(steps[start], steps[end]), kind="stable"), against
