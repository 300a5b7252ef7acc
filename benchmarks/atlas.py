"""Atlases on disk: time and peak memory of every way to a network, on a synthetic h5ad written and read in pieces.

python benchmarks/atlas.py --folder DIR [--cells 1300000] [--genes 2000] [--regulators 256] [--only ROW ...] [--docs]

Every row is a process of its own. Finished rows are kept in DIR beside the file, and the same command goes on from
there; another size starts anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "outgrowing" / "atlas.md"
# share of the entries that are stored, as in 2 000 variable genes of droplets
DENSITY = 0.07
GROUPS = 20
# of the probe
FEW_REGULATORS, FEW_TARGETS = 50, 500
# numbers drawn at a time
_VALUES = 12_500_000


@dataclass(frozen=True)
class Size:
    """How large the object is, and how much of it is looked at."""

    cells: int
    genes: int
    regulators: int
    tree_cells: int
    n_jobs: int


def peak_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child starts where its parent was
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**20
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def names(size: Size) -> tuple[list[str], list[str]]:
    """Names of the genes, those that ``mini`` knows first, and the regulators among them."""
    import grn

    known = list(grn.models.load("mini").genes)
    listed = set(grn.datasets.tfs()["symbol"])
    regulators = [gene for gene in known if gene in listed][: size.regulators]
    others = [gene for gene in known if gene not in set(regulators)]
    made = [*regulators, *others][: size.genes]
    return [*made, *(f"unnamed-{i}" for i in range(size.genes - len(made)))], regulators


def rates(random: np.random.Generator, genes: int) -> np.ndarray:
    """How often a gene is seen in a cell of every group (groups, genes): a level of its own, and of each group."""
    level = random.lognormal(sigma=1.0, size=genes) * random.lognormal(sigma=0.5, size=(GROUPS, genes))
    return (level * (DENSITY / level.mean())).astype(np.float32)


def write(path: Path, size: Size) -> None:
    """A file of counts (CSR), some cells at a time; cells of a group share their rates, and differ in depth."""
    random = np.random.default_rng(0)
    group = random.integers(GROUPS, size=size.cells)
    depth = random.lognormal(sigma=0.4, size=size.cells).astype(np.float32)
    rate = rates(random, size.genes)
    labels = pd.Categorical.from_codes(group, [f"group {i}" for i in range(GROUPS)])
    obs = pd.DataFrame({"group": labels}, index=np.char.add("cell", np.arange(size.cells).astype(str)))
    partial_file = path.with_suffix(".part")
    ad.AnnData(obs=obs, var=pd.DataFrame(index=names(size)[0])).write_h5ad(partial_file)
    step = max(1, _VALUES // size.genes)
    with h5py.File(partial_file, "a") as file:
        for start in range(0, size.cells, step):
            part = slice(start, min(start + step, size.cells))
            chance = np.minimum(rate[group[part]] * depth[part, None], 0.95)
            seen = random.random(chance.shape, dtype=np.float32) < chance
            counts = random.geometric(0.5, size=int(seen.sum())).astype(np.float32)
            pointers = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
            block = sparse.csr_matrix((counts, np.flatnonzero(seen) % size.genes, pointers), shape=seen.shape)
            if start == 0:
                ad.io.write_elem(file, "X", block)
            else:
                ad.io.sparse_dataset(file["X"]).append(block)
    partial_file.rename(path)


def opened(folder: Path) -> ad.AnnData:
    """The object, its matrix on disk."""
    return ad.read_h5ad(folder / "atlas.h5ad", backed="r")


def check(folder: Path, size: Size) -> None:
    """``grn.pp.check_expression``."""
    import grn

    grn.pp.check_expression(opened(folder))


def network(folder: Path, size: Size, *, method: str, **params: object) -> None:
    """A method on all cells."""
    import grn

    if method == "grnboost2":
        params["max_cells"] = size.tree_cells
    asked = {"sources": names(size)[1], "params": params, "n_jobs": size.n_jobs, "progress": False}
    adata = opened(folder)
    grn.tl.infer_network(adata, method=method, **asked)
    assert len(grn.get.edges(adata)), method


def metacells(folder: Path, size: Size) -> None:
    """Metacells of every group, in a file of their own."""
    import grn

    small = grn.pp.metacells(opened(folder), groupby="group", how="partition", progress=False)
    small.write_h5ad(folder / "metacells.h5ad")


def celloracle(folder: Path, size: Size) -> None:
    """A network of the metacells of every group."""
    import grn

    adata = ad.read_h5ad(folder / "metacells.h5ad")
    # means of counts
    how = {"groupby": "group", "smooth": False, "values": "linear", "n_jobs": size.n_jobs, "progress": False}
    grn.tl.celloracle(adata, sources=names(size)[1], **how)
    assert len(grn.get.edges(adata, key="celloracle"))


def probe(folder: Path, size: Size) -> None:
    """``grn.tl.vvp`` at the mean cell of every group."""
    import grn

    genes, regulators = names(size)
    few = {"sources": regulators[:FEW_REGULATORS], "targets": genes[:FEW_TARGETS]}
    grn.tl.vvp(opened(folder), **few, groupby="group", context="mean", n_jobs=size.n_jobs, progress=False)


def rows(size: Size) -> dict[str, tuple[str, Callable[[Path, Size], None]]]:
    """All rows: what the table calls them, and what they do."""
    pairs, few = f"{size.regulators} x {size.genes:,}", f"{FEW_REGULATORS} x {FEW_TARGETS}"
    return {
        "check": ("`pp.check_expression`", check),
        "correlation": (f"`correlation`, {pairs}", partial(network, method="correlation")),
        "ridge": (f"`ridge`, {pairs}", partial(network, method="ridge")),
        "metacells": (f"`pp.metacells`, `how='partition'`, of {GROUPS} groups", metacells),
        "celloracle": (f"`celloracle` on these, a network per group, {pairs}", celloracle),
        "trees": (
            f"`grnboost2`, `mode='fast'`, {size.tree_cells:,} cells drawn, {pairs}",
            partial(network, method="grnboost2", mode="fast"),
        ),
        "vvp": (f"`vvp` at the mean cells of {GROUPS} groups, `mini`, {few}", probe),
    }


def measured(call: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of a call, those on a processor, and peak memory of the process after it."""
    start, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - busy, peak_gib()


def alone(call: Callable[[], object]) -> tuple[float, float, float]:
    """Run in a process of its own, so that its peak memory is that of the call."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, call).result()


class Kept:
    """Rows that are finished, in a file."""

    def __init__(self, folder: Path, size: Size) -> None:
        self._path, self._size = folder / "atlas_rows.json", vars(size)
        stored = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.rows: dict[str, list[float]] = stored["rows"] if stored.get("size") == self._size else {}

    def run(self, name: str, call: Callable[[], object]) -> None:
        """Run a row unless it is finished."""
        if name in self.rows:
            return
        self.rows[name] = [round(value, 3) for value in alone(call)]
        self._path.write_text(json.dumps({"size": self._size, "rows": self.rows}, indent=1))
        print(f"{name}: {self.rows[name][0]:.1f} s, {self.rows[name][2]:.2f} GiB", file=sys.stderr, flush=True)


def table(folder: Path, size: Size, finished: dict[str, list[float]]) -> str:
    """The rows that are finished, as Markdown."""
    from grn._core.markdown import markdown_table

    path = folder / "atlas.h5ad"
    with h5py.File(path) as file:
        stored = len(file["X/data"])
    labels = {"write": "write the file", **{name: label for name, (label, _) in rows(size).items()}}
    lines = [
        f"{size.cells:,} cells x {size.genes:,} genes, {stored / size.cells / size.genes:.1%} of the entries stored, "
        f"{path.stat().st_size / 2**30:.2f} GiB as CSR of float32 in an h5ad file, opened with `backed='r'`; "
        f"`n_jobs={size.n_jobs}` of {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. "
        "Every row is a process of its own, and memory is the most that it held.",
        "",
        markdown_table(
            ["step", "minutes", "processor minutes", "peak memory, GiB"],
            [
                [label, *(f"{spent / 60:.1f}" for spent in finished[name][:2]), f"{finished[name][2]:.2f}"]
                for name, label in labels.items()
                if name in finished
            ],
        ),
    ]
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the file and the finished rows stay")
    parser.add_argument("--cells", type=int, default=1_300_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--regulators", type=int, default=256)
    parser.add_argument("--tree-cells", type=int, default=20_000, help="cells that trees are grown on")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="rows to run; all by default")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/outgrowing/atlas.md, too")
    return parser.parse_args()


def report(folder: Path, size: Size, kept: Kept, *, docs: bool) -> str:
    """Write what is finished as Markdown, and give it."""
    found = table(folder, size, kept.rows)
    results = Path(__file__).parent / "results" / "atlas.md"
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(f"# `python benchmarks/atlas.py`\n\n{found}\n")
    if docs:
        DOCS.parent.mkdir(exist_ok=True)
        DOCS.write_text(found + "\n", encoding="utf-8")
    return found


def main() -> None:
    """Measure, row by row, and print the table."""
    args = arguments()
    size = Size(args.cells, args.genes, args.regulators, args.tree_cells, args.n_jobs)
    args.folder.mkdir(parents=True, exist_ok=True)
    path, kept = args.folder / "atlas.h5ad", Kept(args.folder, size)
    if "write" not in kept.rows or not path.exists():
        kept.rows.clear()
        kept.run("write", partial(write, path, size))
    for name, (_, call) in rows(size).items():
        if not args.only or name in args.only:
            kept.run(name, partial(call, args.folder, size))
            report(args.folder, size, kept, docs=args.docs)
    print(report(args.folder, size, kept, docs=args.docs))


if __name__ == "__main__":
    main()
