"""Shortest paths between cells on their graph of neighbours, against networkx on a dense matrix of distances.

python benchmarks/cell_paths.py [--cells 10000] [--pairs 3000] [--timed 10] [--dimensions 20]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import networkx as nx
import numpy as np
from sklearn.neighbors import kneighbors_graph

from grn._kernels.trajectory import match, shortest_paths, spread_over

NEIGHBOURS = 30


def cells(n: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of cells along a bent line, and how far along it they are."""
    rng = np.random.default_rng(0)
    stage = rng.uniform(0, 5, n)
    points = rng.normal(0, 0.5, size=(n, dimensions))
    points[:, 0] += 3 * stage
    points[:, 1] += 3 * np.sin(stage)
    return points, stage


def plain(points: np.ndarray, pairs: np.ndarray, timed: int) -> tuple[float, float, list[list[int]]]:
    """Seconds for the graph and for all pairs, of which some are timed, and the paths of these."""
    start = time.perf_counter()
    dense = kneighbors_graph(points, NEIGHBOURS, mode="distance").toarray()
    graph = nx.from_numpy_array(dense)
    built = time.perf_counter()
    paths = [nx.shortest_path(graph, *map(int, pair), weight="weight") for pair in pairs[:timed]]
    return built - start, (time.perf_counter() - built) / timed * len(pairs), paths


def main() -> None:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=3000, help="pairs of an early and a late cell, at most")
    parser.add_argument("--timed", type=int, default=10, help="pairs that networkx is timed on")
    parser.add_argument("--dimensions", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cell_paths.md")
    args = parser.parse_args()
    points, stage = cells(args.cells, args.dimensions)
    late = np.flatnonzero(stage > 3.5)[: args.pairs]
    early = spread_over(np.flatnonzero(stage < 1.5), len(late))
    start = time.perf_counter()
    partners = match(points[early], points[late])
    matched = time.perf_counter() - start
    pairs = np.column_stack([early, late[partners]])
    start = time.perf_counter()
    ours = shortest_paths(points, pairs, NEIGHBOURS)
    fast = time.perf_counter() - start
    timed = min(args.timed, len(pairs))
    graph, slow, theirs = plain(points, pairs, timed)
    same = sum(path.tolist() == other for path, other in zip(ours[:timed], theirs, strict=True))
    lines = [
        f"{args.cells:,} cells in {args.dimensions} dimensions, {NEIGHBOURS} neighbours, {len(pairs):,} pairs. "
        f"Seconds; those of networkx for all pairs by extrapolation from {timed}, {same} of whose paths are the same.",
        "",
        "| | graph | paths | both | ratio |",
        "|---|---|---|---|---|",
        f"| networkx, dense matrix | {graph:.1f} | {slow:.1f} | {graph + slow:.1f} | |",
        f"| `shortest_paths` | | | {fast:.1f} | {(graph + slow) / fast:.0f} |",
        "",
        f"`match` of the {len(pairs):,} pairs: {matched:.1f} s.",
    ]
    told = "\n".join(lines)
    print(told)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/cell_paths.py`\n\n{told}\n")


if __name__ == "__main__":
    main()
