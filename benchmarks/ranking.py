"""Speed of what the benchmark does most: metrics on many pairs, and degree-matched negatives.

python benchmarks/ranking.py [--pairs 1000000] [--regulators 500]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from grn._core.markdown import markdown_table
from grn._kernels.ranking import average_precision, rank
from grn._kernels.rewire import degree_matched


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def exchanged_one_by_one(edges: np.ndarray, random: np.random.Generator, exchanges: int) -> None:
    """The usual loop: one exchange of two edges after another."""
    pairs = [tuple(pair) for pair in np.argwhere(edges)]
    taken = set(pairs)
    for _ in range(exchanges):
        i, j = random.integers(0, len(pairs), 2)
        (a, b), (c, d) = pairs[i], pairs[j]
        if (a, d) not in taken and (c, b) not in taken:
            taken -= {pairs[i], pairs[j]}
            pairs[i], pairs[j] = (a, d), (c, b)
            taken |= {pairs[i], pairs[j]}


def main() -> None:
    """Print a table of seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--regulators", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ranking.md")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, args.pairs), random.normal(size=args.pairs)
    groups = random.integers(0, args.regulators, args.pairs)

    def each() -> None:
        for group in range(args.regulators):
            average_precision_score(labels[groups == group], scores[groups == group])

    edges = random.random((args.regulators, 1000)) < 0.02
    free = ~edges
    exchanges = 10 * int(edges.sum())  # a usual choice, XSwap's among others
    rows = [
        (
            f"AUPRC of {args.pairs:,} pairs",
            seconds(lambda: average_precision(rank(labels, scores))),
            "scikit-learn",
            seconds(lambda: average_precision_score(labels, scores)),
        ),
        (
            f"AUPRC within {args.regulators} regulators",
            seconds(lambda: average_precision(rank(labels, scores, groups))),
            "scikit-learn, in a loop",
            seconds(each, 1),
        ),
        (
            f"degree-matched negatives of {edges.sum():,} edges",
            seconds(lambda: degree_matched(edges, free, np.random.default_rng(0))),
            "10 exchanges per edge, one at a time",
            seconds(lambda: exchanged_one_by_one(edges, np.random.default_rng(0), exchanges), 1),
        ),
    ]
    table = pd.DataFrame(rows, columns=["task", "grn (s)", "peer", "peer (s)"])
    table["ratio"] = table["peer (s)"] / table["grn (s)"]
    grid = markdown_table(table.columns, table.map(_text).to_numpy().tolist())
    machine = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    print(grid)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/ranking.py`\n\n{machine}\n\n{grid}\n")


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
