"""Fast trees beside exact ones on simulated cells whose edges are known.

python benchmarks/trees_planted.py [--seeds 5] [--only 2000|8000] [--methods grnboost2]

Every problem is simulated under several seeds (:func:`grn.datasets.toy`, seeds from 100; those below served to choose
the parameters of the fast mode). Area under the precision-recall curve over all pairs of a regulator and a target, and
the mean of that of single targets; differences are those of the same cells. Times are of the processor.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import grn
from grn._core.markdown import markdown_table
from grn.bench.metrics import auprc

FIRST_SEED, REGULATORS, TOP = 100, 50, 10
# cells, share of the counts that is lost, targets, methods
PROBLEMS = (
    (2000, 0.5, 24, ("grnboost2", "genie3", "genie3, extra")),
    (8000, 0.5, 12, ("grnboost2",)),
)
PARAMS: dict[str, dict[str, object]] = {
    "grnboost2": {},
    "genie3": {"n_trees": 100},
    "genie3, extra": {"n_trees": 100, "trees": "extra"},
}


def weights(cells: ad.AnnData, method: str, mode: str) -> tuple[np.ndarray, float]:
    """Weights (targets, regulators), 0 where no edge is listed, and seconds."""
    params = {**PARAMS[method], "mode": mode}
    start = time.process_time()
    grn.tl.infer_network(cells, method=method.split(",")[0], targets=list(cells.var_names[REGULATORS:]), params=params)
    spent = time.process_time() - start
    return table(cells, grn.get.edges(cells), "weight"), spent


def table(cells: ad.AnnData, edges: pd.DataFrame, column: str) -> np.ndarray:
    """A column of edges as (targets, regulators)."""
    wide = edges.astype({"source": str, "target": str}).pivot(index="target", columns="source", values=column)
    return wide.reindex(index=cells.var_names[REGULATORS:], columns=cells.var_names[:REGULATORS]).fillna(0.0).to_numpy()


def measured(cells: ad.AnnData, method: str) -> np.ndarray:
    """Of exact and fast trees: areas over all pairs and per target, weight per target, seconds; and their agreement."""
    real = table(cells, cells.uns["truth"], "weight") != 0
    found, numbers = [], []
    for mode in ("exact", "fast"):
        values, spent = weights(cells, method, mode)
        found.append(values)
        single = np.mean([auprc(labels, row) for labels, row in zip(real, values, strict=True)])
        numbers += [auprc(real.ravel(), values.ravel()), single, values.sum(axis=1).mean(), spent / len(values)]
    return np.array([*numbers, *agreement(*found)])


def agreement(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """Mean rank correlation and shared strongest regulators of a target."""
    ranks = [pd.DataFrame(values.T).rank() for values in (one, two)]
    best = [np.argsort(-values, axis=1, kind="stable")[:, :TOP] for values in (one, two)]
    shared = np.mean([len(set(a) & set(b)) / TOP for a, b in zip(*best, strict=True)])
    return float(ranks[0].corrwith(ranks[1]).mean()), float(shared)


def row(problem: tuple[int, float, int], method: str, seeds: int) -> list[str]:
    """Means over the seeds of one problem and method."""
    n_cells, lost, targets = problem
    size = {"n_cells": n_cells, "n_regulators": REGULATORS, "n_targets": targets, "dropout": lost}
    parts = [measured(grn.datasets.toy(**size, rng=FIRST_SEED + seed), method) for seed in range(seeds)]
    exact, _, weight, spent, fast, _, weight_fast, spent_fast, rho, shared = np.mean(parts, axis=0)
    differences = [difference([part[at] for part in parts], [part[at + 4] for part in parts]) for at in (0, 1)]
    return [
        f"{n_cells} cells, {lost:.0%} lost",
        method,
        f"{exact:.3f}",
        f"{fast:.3f}",
        *differences,
        f"{rho:.2f}",
        f"{shared:.2f}",
        f"{weight:.3g} / {weight_fast:.3g}",
        f"{spent:.3f} / {spent_fast:.3f}",
    ]


def difference(exact: Sequence[float], fast: Sequence[float]) -> str:
    """Mean of fast less exact over the seeds, and its standard error."""
    values = np.subtract(fast, exact)
    return f"{values.mean():+.3f} ({values.std(ddof=1) / np.sqrt(len(values)):.3f})"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=int, help="problems of so many cells")
    parser.add_argument("--methods", nargs="+", default=list(PARAMS), choices=list(PARAMS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "trees_planted.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    # compiled before it is timed
    for method in PARAMS:
        weights(grn.datasets.toy(n_cells=30, n_regulators=REGULATORS, n_targets=12), method, "fast")
    head = [
        "cells",
        "method",
        "AUPRC, exact",
        "fast",
        "difference",
        "difference per target",
        "rank corr.",
        f"top {TOP}",
    ]
    rows = []
    for *problem, methods in PROBLEMS:
        for method in [m for m in methods if m in args.methods] if args.only in (None, problem[0]) else ():
            rows.append(row((problem[0], problem[1], problem[2]), method, args.seeds))
            print(f"| {' | '.join(rows[-1])} |", flush=True)
    text = f"{platform.machine()}, {args.seeds} seeds, {REGULATORS} regulators\n\n"
    text += markdown_table([*head, "weight / target", "s / target"], rows)
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/trees_planted.py`\n\n{text}\n")


if __name__ == "__main__":
    main()
