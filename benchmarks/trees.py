"""Boosted trees: how well the fast mode agrees with the exact one, what both know of mDC, and their speed per core.

python benchmarks/trees.py [--genes 150] [--arboreto PYTHON ...]

Genes are half regulators and half others, drawn by name; every method sees all regulators of mDC and is scored on the
pairs among the genes. Times are those of the processor, so that they hold on a busy machine. ``--arboreto`` takes
interpreters that have arboreto installed and measures its core on the same numbers.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numba
import numpy as np
import pandas as pd
import sklearn

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import sample_names
from grn._kernels.bins import Bins
from grn._kernels.histogram_trees import boosted_together
from grn._kernels.trees import Boosting, boosted

NETWORKS = ("STRING", "Non-Specific")
TOP_PER_TARGET, TOP = 10, 500
RUNS: dict[str, tuple[str, dict[str, object], int]] = {
    "grnboost2, exact": ("grnboost2", {}, 0),
    "grnboost2, exact, another seed": ("grnboost2", {}, 1),
    "grnboost2, fast": ("grnboost2", {"mode": "fast"}, 0),
    "grnboost2, parity": ("grnboost2", {"parity": True}, 0),
    "genie3": ("genie3", {}, 0),
    "genie3, fast": ("genie3", {"mode": "fast"}, 0),
    "correlation, Pearson": ("correlation", {}, 0),
    "correlation, Spearman": ("correlation", {"kind": "spearman"}, 0),
    "ridge": ("ridge", {}, 0),
}
ARBORETO = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, sklearn
from arboreto.core import SGBM_KWARGS, infer_partial_network
data = np.load(sys.argv[1])
X, Y = data["X"], data["Y"]
names = [f"r{i:04d}" for i in range(X.shape[1])]
trees, start = 0, time.process_time()
for j in range(Y.shape[1]):
    found = infer_partial_network("GBM", SGBM_KWARGS, X, names, "target", Y[:, j], include_meta=True)
    trees += int(found[1]["n_estimators"].iloc[0])
print(json.dumps([sklearn.__version__, time.process_time() - start, trees]))
"""


def genes_of(cells: ad.AnnData, regulators: list[str], size: int) -> list[str]:
    """Half regulators, half others, drawn by name."""
    others = [gene for gene in cells.var_names if gene not in set(regulators)]
    drawn = [[names[i] for i in sample_names(names, size // 2, 0)] for names in (regulators, others)]
    return sorted(drawn[0] + drawn[1])


def matrix(edges: pd.DataFrame, sources: list[str], targets: list[str]) -> np.ndarray:
    """Strength (targets, sources), 0 where nothing is listed."""
    table = edges.assign(weight=edges["weight"].abs()).astype({"source": str, "target": str})
    wide = table.pivot(index="target", columns="source", values="weight")
    return wide.reindex(index=targets, columns=sources).fillna(0.0).to_numpy()


def agreement(one: np.ndarray, two: np.ndarray) -> tuple[float, float, float]:
    """Mean rank correlation and shared top regulators per target, and shared top edges of the whole table."""
    ranks = [pd.DataFrame(part.T).rank() for part in (one, two)]
    rho = float(ranks[0].corrwith(ranks[1]).mean())
    best = [np.argsort(-part, axis=1, kind="stable")[:, :TOP_PER_TARGET] for part in (one, two)]
    shared = np.mean([len(set(a) & set(b)) / TOP_PER_TARGET for a, b in zip(*best, strict=True)])
    edges = [set(np.argsort(-part.ravel(), kind="stable")[:TOP].tolist()) for part in (one, two)]
    return rho, float(shared), len(edges[0] & edges[1]) / TOP


def references(genes: list[str]) -> dict[str, grn.bench.Reference]:
    """What is known about the pairs among the genes."""
    found = {}
    for network in NETWORKS:
        whole = grn.datasets.beeline("mDC", network=network)
        edges = whole.edges
        inside = edges["source"].isin(genes) & edges["target"].isin(genes)
        regulators = [gene for gene in whole.regulators if gene in set(genes)]
        cells = whole.expression[:, genes].copy()
        found[network] = grn.bench.Reference(
            edges[inside], genes=genes, regulators=regulators, organism="mouse", dataset="mDC", expression=cells
        )
    return found


def quality(size: int, forests: int) -> str:
    """Table of agreement and of scores on mDC."""
    whole = grn.datasets.beeline("mDC", network="STRING")
    cells, regulators = whole.expression, list(whole.regulators)
    genes = genes_of(cells, regulators, size)
    known = references(genes)
    head = ["method", "s / target", "rank corr.", f"top {TOP_PER_TARGET}", f"top {TOP} edges"]
    rows, exact, floors = [], None, {}
    for name, (method, params, seed) in RUNS.items():
        own = {**params, "n_trees": forests} if method == "genie3" else params
        start = time.process_time()
        grn.tl.infer_network(cells, method=method, sources=regulators, targets=genes, params=own, rng=seed)
        seconds = time.process_time() - start
        edges = grn.get.edges(cells)
        found = matrix(edges, regulators, genes)
        exact = found if exact is None else exact
        row = [name, f"{seconds / len(genes):.3f}", *(f"{value:.2f}" for value in agreement(exact, found))]
        for network, reference in known.items():
            table = grn.bench.score_edges(edges, reference=reference, negatives=["all"], name="own", seeds=1)
            table = table.query("metric == 'auprc'").set_index("method")["value"]
            row.append(f"{table['own']:.3f}")
            floors[network] = table.drop("own")
        rows.append(row)
        print(f"| {' | '.join(row)} |", flush=True)
    for floor in ("random", "mean expression", "|correlation|", "own degree"):
        rows.append(
            [f"floor: {floor.strip('|')}", "", "", "", "", *(f"{floors[n].get(floor, np.nan):.3f}" for n in known)]
        )
    counts = ", ".join(f"{len(r.edges)} edges of {name}" for name, r in known.items())
    title = (
        f"{cells.n_obs} cells, {len(regulators)} regulators, {len(genes)} targets; {counts} among "
        f"{len(known['STRING'].regulators)} regulators x {len(genes)} genes; genie3 with {forests} trees"
    )
    return f"{title}\n\n{markdown_table([*head, *(f'AUPRC {name}' for name in known)], rows)}"


def speed(targets: int, pythons: list[str]) -> str:
    """Table of processor time per tree and per target."""
    rows = []
    for name, X, Y in problems(targets):
        bins, everything = Bins.of(X), np.arange(X.shape[1])
        boosted_together(bins, Y[:, :2], everything, seed=666, plan=Boosting(rounds=2))  # compiles
        ways: dict[str, Callable[[], int]] = {
            "grn, exact": lambda X=X, Y=Y: sum(boosted(X, y, seed=666)[1] for y in Y.T),
            "grn, parity": lambda X=X, Y=Y: sum(boosted(X, y, seed=666, plan=Boosting(paired=False))[1] for y in Y.T),
            "grn, fast": lambda bins=bins, Y=Y, columns=everything: int(
                boosted_together(bins, Y, columns, seed=666)[1].sum()
            ),
        }
        for way, call in ways.items():
            start = time.process_time()
            trees = call()
            rows.append(timed(name, way, time.process_time() - start, trees, Y.shape[1]))
        for python in pythons:
            label, seconds, trees = arboreto(python, X, Y)
            rows.append(timed(name, label, seconds, trees, Y.shape[1]))
    return markdown_table(["problem", "program", "trees / target", "ms / tree", "s / target"], rows)


def timed(problem: str, program: str, seconds: float, trees: int, targets: int) -> list[str]:
    """One row of the table of times."""
    row = [problem, program, f"{trees / targets:.0f}", f"{1e3 * seconds / trees:.2f}", f"{seconds / targets:.3f}"]
    print(f"| {' | '.join(row)} |", flush=True)
    return row


def problems(targets: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Regulators and targets of mDC, and of simulated cells of which half the counts are lost."""
    whole = grn.datasets.beeline("mDC", network="STRING")
    toy = grn.datasets.toy(n_cells=3000, n_regulators=300, n_targets=targets, dropout=0.5)
    found = []
    for cells, regulators in ((whole.expression, list(whole.regulators)), (toy, list(toy.var_names[:300]))):
        others = [gene for gene in cells.var_names if gene not in set(regulators)]
        chosen = [others[i] for i in sample_names(others, targets, 0)]
        X, Y = (dense(cells[:, names].X) for names in (regulators, chosen))
        found.append((f"{'mDC' if cells is not toy else 'toy'}, {len(X)} x {X.shape[1]}", np.asfortranarray(X), Y))
    return found


def dense(X: object) -> np.ndarray:
    """A small matrix as float32."""
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float32)


def arboreto(python: str, X: np.ndarray, Y: np.ndarray) -> tuple[str, float, int]:
    """Its version, seconds and trees."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "problem.npz")
        np.savez(path, X=np.ascontiguousarray(X), Y=Y.astype(np.float64))
        done = subprocess.run([python, "-c", ARBORETO, str(path)], check=True, capture_output=True, text=True)
    sklearn, seconds, trees = json.loads(done.stdout.splitlines()[-1])
    return f"arboreto, scikit-learn {sklearn}", seconds, trees


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, default=150)
    parser.add_argument("--forests", type=int, default=100, help="trees of genie3")
    parser.add_argument("--targets", type=int, default=8, help="targets of the table of times")
    parser.add_argument("--arboreto", nargs="*", default=[], metavar="PYTHON")
    parser.add_argument("--only", choices=("quality", "speed"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "trees.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parts = {}
    if args.only != "speed":
        parts["Agreement and mDC"] = quality(args.genes, args.forests)
    if args.only != "quality":
        parts["Processor time"] = speed(args.targets, args.arboreto)
    used = f"scikit-learn {sklearn.__version__}, numba {numba.__version__}"
    text = "\n\n".join([f"{platform.machine()}, {used}", *(f"## {title}\n\n{part}" for title, part in parts.items())])
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/trees.py`\n\n{text}\n")


if __name__ == "__main__":
    main()
