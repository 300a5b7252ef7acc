"""Exchange the targets of edges so that every node keeps its degrees.

Regulators meet in random pairs and deal the targets that only one of them has out anew, each keeping its number
(Curveball; Strona et al. 2014, Carstens et al. 2018). A trade is as likely as its reverse, so after any fixed number
of rounds the way from a network G to H is as likely as the way back: where edges are random given the degrees, G and H
cannot be told apart. Rules that move away from G, or that depend on how many exchanges were accepted, break this.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Rewired(NamedTuple):
    """Edges after rewiring.

    Parameters
    ----------
    targets
        New target of every edge (E,); the targets of one source come sorted.
    overlap
        Share of the edges on pairs that were edges before, after every round.
    settled
        Whether that share no longer falls.
    """

    targets: np.ndarray
    overlap: np.ndarray
    settled: bool


def rewire(
    sources: np.ndarray,
    targets: np.ndarray,
    shape: tuple[int, int],
    random: np.random.Generator,
    *,
    closed: np.ndarray,
    rounds: int = 80,
) -> Rewired:
    """Randomise a simple bipartite graph; sources and targets keep their degrees exactly.

    Cost O(sources x targets) per round.

    Parameters
    ----------
    sources, targets
        Ends of distinct edges (E,).
    shape
        Number of sources and targets.
    random
        Source of randomness.
    closed
        Pairs that may never be used (sources, targets) bool.
    rounds
        Rounds in which every source meets another.
    """
    before = np.zeros(shape, dtype=bool)
    before[sources, targets] = True
    grid, acting = before.copy(), np.unique(sources)
    half = len(acting) // 2
    overlap = np.ones(rounds)
    for i in range(rounds):
        met = random.permutation(acting)
        _trade(grid, closed, met[:half], met[half : 2 * half], random)
        overlap[i] = (grid & before).sum() / max(len(sources), 1)
    new = np.empty_like(targets)
    new[np.argsort(sources, kind="stable")] = np.nonzero(grid)[1]
    return Rewired(new, overlap, _settled(overlap, len(sources)))


def _trade(grid: np.ndarray, closed: np.ndarray, a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> None:
    """Deal out anew, in place, the open targets that only one of two partners has; all sources are different."""
    pair, target = np.nonzero((grid[a] != grid[b]) & ~(closed[a] | closed[b]))
    number = np.bincount(pair, weights=grid[a[pair], target], minlength=len(a))
    dealt = target[np.lexsort((random.random(len(pair)), pair))]
    first = np.arange(len(pair)) - np.searchsorted(pair, pair) < number[pair]
    grid[a[pair], dealt], grid[b[pair], dealt] = first, ~first


def _settled(overlap: np.ndarray, n_edges: int) -> bool:
    """Whether the last third of the rounds lies no lower than the one before, up to 0.02 and noise."""
    third = len(overlap) // 3
    if third == 0 or n_edges == 0:
        return False
    fall = overlap[-2 * third : -third].mean() - overlap[-third:].mean()
    return bool(fall < 0.02 + 1 / np.sqrt(n_edges * third))


def configuration(
    sources: np.ndarray, targets: np.ndarray, free: np.ndarray, random: np.random.Generator, *, rounds: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Deal targets out anew and let pairs that clash change with random others: the configuration model with rejection.

    Parameters
    ----------
    sources, targets
        Ends of the edges (E,).
    free
        Pairs that may be drawn (sources, targets) bool.
    random
        Source of randomness.
    rounds
        Most rounds of exchange; a round costs O(E).

    Returns
    -------
    tuple of ndarray
        Dealt targets (E,), and which pairs are free and no repeats (E,). In dense networks many never are.
    """
    n = len(sources)
    dealt = random.permutation(targets)
    for round_ in range(rounds + 1):
        fine = free[sources, dealt]
        _, first = np.unique(sources * free.shape[1] + dealt, return_index=True)
        once = np.zeros(n, dtype=bool)
        once[first] = True
        fine &= once
        if fine.all() or round_ == rounds:
            break
        wrong = np.flatnonzero(~fine)
        moved = np.union1d(wrong, random.integers(0, n, len(wrong)))
        dealt[moved] = random.permutation(dealt[moved])
    return dealt, fine


def degree_matched(
    edges: np.ndarray, free: np.ndarray, random: np.random.Generator, *, tries: int = 20
) -> tuple[np.ndarray, np.ndarray, Rewired]:
    """Non-edges with the degrees of the edges: exchange targets at random, then leave out what is an edge twice.

    Sources and targets keep exactly equal degrees on both sides. Edges and non-edges have the same distribution if
    edges are random given the degrees, so no score of nodes tells them apart. (To move away from edges on purpose
    finds a partner for more of them, but leaves pairs of hubs among the edges only.)

    Parameters
    ----------
    edges
        The edges (sources, targets) bool.
    free
        Pairs that may become non-edges (sources, targets) bool.
    random
        Source of randomness.
    tries
        How often to start again when all edges end on edges, as happens in tiny networks.

    Returns
    -------
    tuple
        Edges that found a partner and the non-edges, both (sources, targets) bool, and how the exchange went.
    """
    sources, targets = np.nonzero(edges)
    for _ in range(tries):
        moves = rewire(sources, targets, edges.shape, random, closed=~(free | edges))
        after = np.zeros_like(edges)
        after[sources, moves.targets] = True
        if (after != edges).any():
            break
    return edges & ~after, after & ~edges, moves
