"""Fast boosted trees beside rustscenic: time, peak memory and agreement on two sizes, each run in a new process.

python benchmarks/trees_peer.py [--python PYTHON] [--path FOLDER] [--jobs 2] [--targets 0] [--only blood|simulated]

Blood: 3 774 sorted cells (``human_pbmc_facs_zheng2017.h5ad`` in ``GRN_DATA_DIR/expression``), the 119 regulators and
1 420 other genes that are seen in most cells. Simulated: 20 000 sparse cells x 3 000 genes x 400 regulators. Both
programs read the same file of log-normalised values. ``--python`` is an interpreter that has rustscenic, ``--path`` a
folder with it for this one; ``--targets`` takes so many targets alone, for a look. A program whose compiled code is
not yet in numba's cache would be timed with its compilation: ours is called once before on few cells.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.markdown import markdown_table
from grn._object.genes import known_regulators

TOP = 10
OURS = """
import json, resource, sys, time
import anndata as ad
import grn
path, sources, targets, jobs, out, mode, rounds = json.loads(sys.argv[1])
adata = ad.read_h5ad(path)
start, used = time.perf_counter(), time.process_time()
params = {"mode": mode, "max_rounds": rounds}
grn.tl.infer_network(adata, method="grnboost2", sources=sources, targets=targets, params=params, n_jobs=jobs)
spent = [time.perf_counter() - start, time.process_time() - used]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
edges = grn.get.edges(adata)[["source", "target", "weight"]].astype({"source": str, "target": str})
edges.to_parquet(out)
print(json.dumps([*spent, peak, "torch" in sys.modules]))
"""
THEIRS = """
import json, os, resource, sys, time
path, sources, targets, jobs, out, folder = json.loads(sys.argv[1])
os.environ["RAYON_NUM_THREADS"] = str(jobs)
sys.path[:0] = [folder] if folder else []
import anndata as ad
import rustscenic.grn
adata = ad.read_h5ad(path)
if targets is not None:
    adata = adata[:, sorted({*sources, *targets})].copy()
start, used = time.perf_counter(), time.process_time()
edges = rustscenic.grn.infer(adata, sources, verbose=False)
spent = [time.perf_counter() - start, time.process_time() - used]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
edges.columns = ["source", "target", "weight"]
edges.to_parquet(out)
print(json.dumps([*spent, peak, edges.attrs.get("grn_fit", {}).get("fitted_trees_mean")]))
"""


def blood() -> tuple[ad.AnnData, list[str]]:
    """Measured cells and their regulators."""
    cells = ad.read_h5ad(Path(os.environ["GRN_DATA_DIR"]) / "expression" / "human_pbmc_facs_zheng2017.h5ad")
    names = np.asarray(cells.var_names, dtype=str)
    seen = np.asarray((cells.X > 0).sum(axis=0)).ravel()
    regulator = known_regulators(list(names), "human")
    order = np.lexsort((names, -seen))
    chosen = np.sort(np.concatenate([order[regulator[order]][:119], order[~regulator[order]][:1420]]))
    X = normalised(sparse.csr_matrix(cells.X, dtype=np.float32))[:, chosen]
    return made(X, names[chosen]), names[chosen][regulator[chosen]].tolist()


def simulated() -> tuple[ad.AnnData, list[str]]:
    """Counts of 20 000 cells whose genes follow 20 hidden programs, some 69 % of them zero."""
    random = np.random.default_rng(0)
    n, genes, programs = 20_000, 3000, 20
    activity = random.normal(size=(n, programs)).astype(np.float32)
    weights = 0.4 * random.normal(size=(programs, genes)).astype(np.float32)
    level = random.normal(-1.8, 1.3, size=genes).astype(np.float32)
    rows = [
        sparse.csr_matrix(random.poisson(np.exp(np.minimum(part @ weights + level, 4))).astype(np.float32))
        for part in np.array_split(activity, 20)
    ]
    names = np.array([f"g{i:04d}" for i in range(genes)])
    return made(normalised(sparse.vstack(rows, format="csr")), names), names[:400].tolist()


def normalised(X: sparse.csr_matrix) -> sparse.csr_matrix:
    """Log of counts per 10 000."""
    X = sparse.csr_matrix(sparse.diags_array(1e4 / np.asarray(X.sum(axis=1)).ravel()) @ X, dtype=np.float32)
    X.data = np.log1p(X.data)
    return X


def made(X: sparse.csr_matrix, names: np.ndarray) -> ad.AnnData:
    """An object of values and names."""
    obs = pd.DataFrame(index=[f"cell_{i}" for i in range(X.shape[0])])
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=names))


def measured(python: str, code: str, argument: list[object]) -> list[float]:
    """What a new process prints last."""
    call = [python, "-c", code, json.dumps(argument)]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def agreement(one: pd.DataFrame, two: pd.DataFrame, sources: list[str]) -> tuple[float, float]:
    """Mean rank correlation and shared strongest regulators per target."""
    first, second = (
        table.pivot(index="source", columns="target", values="weight").reindex(sources).fillna(0.0)
        for table in (one, two)
    )
    both = first.columns.intersection(second.columns)
    first, second = first[both], second[both]
    rho = first.rank().corrwith(second.rank()).mean()
    best = [{t: set(table[t].nlargest(TOP).index) for t in both} for table in (first, second)]
    return float(rho), float(np.mean([len(best[0][t] & best[1][t]) / TOP for t in both]))


def compared(name: str, args: argparse.Namespace, folder: Path) -> list[list[str]]:
    """Rows of both programs on one problem."""
    cells, sources = blood() if name == "blood" else simulated()
    path = str(folder / f"{name}.h5ad")
    cells.write_h5ad(path)
    others = [gene for gene in cells.var_names if gene not in set(sources)]
    # rustscenic takes all genes as targets, regulators too
    targets = sorted({*sources, *others[: args.targets]}) if args.targets else None
    del cells
    out = {who: str(folder / f"{who}.parquet") for who in ("ours", "theirs", "warm")}
    measured(sys.executable, OURS, [path, sources[:50], others[:9], args.jobs, out["warm"], "fast", 2])
    ours = measured(sys.executable, OURS, [path, sources, targets, args.jobs, out["ours"], "fast", 5000])
    python = args.python or sys.executable
    theirs = measured(python, THEIRS, [path, sources, targets, args.jobs, out["theirs"], args.path])
    tables = {who: pd.read_parquet(out[who]) for who in ("ours", "theirs")}
    rho, shared = agreement(tables["ours"], tables["theirs"], sources)
    trees = tables["ours"].groupby("target")["weight"].sum().mean()
    count = tables["ours"]["target"].nunique()
    problem = f"{name}, {count} targets, {len(sources)} regulators"
    ratio = [f"{a / b:.2f}" for a, b in zip(ours[:3], theirs[:3], strict=True)]
    spent = [[*(f"{value:.1f}" for value in part[:2]), f"{part[2]:.0f}"] for part in (theirs, ours)]
    return [
        [problem, "rustscenic", *spent[0], f"{theirs[3]:.0f}", "", ""],
        ["", "grn, fast", *spent[1], f"{trees:.0f}", f"{rho:.2f}", f"{shared:.2f}"],
        ["", "ratio", *ratio, "", "", ""],
    ]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="interpreter that has rustscenic")
    parser.add_argument("--path", default="", help="folder with rustscenic")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--targets", type=int, default=0, help="targets that are no regulators; all by default")
    parser.add_argument("--only", choices=("blood", "simulated"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "trees_peer.md")
    args = parser.parse_args()
    head = ["problem", "program", "s", "s of processor", "peak MB", "trees / target", "rank corr.", f"top {TOP}"]
    rows, start = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in (args.only,) if args.only else ("blood", "simulated"):
            rows += compared(name, args, Path(folder))
    note = f"{platform.machine()}, {args.jobs} threads; all of it took {time.perf_counter() - start:.0f} s"
    text = f"{note}\n\n{markdown_table(head, rows)}"
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/trees_peer.py`\n\n{text}\n")


if __name__ == "__main__":
    main()
