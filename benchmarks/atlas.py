"""Atlases on disk: time and peak memory of what reads cells, on a synthetic h5ad written and read in pieces.

python benchmarks/atlas.py [--cells 1000000] [--genes 5000] [--form csr] [--folder DIR]
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

DENSITY = 0.05
GROUPS = 20
REGULATORS, TARGETS = 50, 500


def peak_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def names(genes: int) -> tuple[list[str], list[str]]:
    """Names of the genes, those that ``mini`` knows first, and the regulators among them."""
    import grn

    known = list(grn.models.load("mini").genes)
    listed = set(grn.datasets.tfs()["symbol"])
    regulators = [gene for gene in known if gene in listed][:REGULATORS]
    others = [gene for gene in known if gene not in set(regulators)]
    made = [*regulators, *others][:genes]
    return [*made, *(f"unnamed-{i}" for i in range(genes - len(made)))], regulators


def write(path: Path, cells: int, genes: int, form: str) -> None:
    """A file of counts, written piece by piece: whole cells for CSR, whole genes for CSC."""
    random = np.random.default_rng(0)
    group = random.integers(GROUPS, size=cells)
    detected = random.lognormal(sigma=1.0, size=(GROUPS, genes))
    chances = (2**16 * np.minimum(detected * (DENSITY / detected.mean()), 0.95)).astype(np.uint16)
    labels = pd.Categorical.from_codes(group, [f"group {i}" for i in range(GROUPS)])
    obs = pd.DataFrame({"group": labels}, index=np.char.add("cell", np.arange(cells).astype(str)))
    ad.AnnData(obs=obs, var=pd.DataFrame(index=names(genes)[0])).write_h5ad(path)
    lines, other = (cells, genes) if form == "csr" else (genes, cells)
    step = max(1, 25_000_000 // other)
    with h5py.File(path, "a") as file:
        for start in range(0, lines, step):
            part = slice(start, min(start + step, lines))
            chance = chances[group[part]] if form == "csr" else chances[:, part].T[:, group]
            seen = random.integers(2**16, size=chance.shape, dtype=np.uint16) < chance
            entries = random.geometric(0.5, size=int(seen.sum())).astype(np.float32)
            pointers = np.concatenate([[0], np.cumsum(seen.sum(axis=1))])
            block = sparse.csr_matrix((entries, np.flatnonzero(seen) % other, pointers), shape=seen.shape)
            block = block if form == "csr" else block.T
            if start == 0:
                ad.io.write_elem(file, "X", block)
            else:
                ad.io.sparse_dataset(file["X"]).append(block)


def measured(call: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of a call, those on a processor, and peak memory of the process after it."""
    start, busy = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - busy, peak_gib()


def check(path: Path) -> tuple[float, float, float]:
    """``grn.pp.check_expression``."""
    import grn

    return measured(lambda: grn.pp.check_expression(ad.read_h5ad(path, backed="r")))


def pert(path: Path, genes: int) -> tuple[float, float, float]:
    """``grn.tl.pert`` at the mean cell of every group."""
    import grn

    own, regulators = names(genes)
    adata = ad.read_h5ad(path, backed="r")
    return measured(lambda: grn.tl.pert(adata, sources=regulators, targets=own[:TARGETS], groupby="group"))


def attention(path: Path, genes: int) -> tuple[float, float, float]:
    """``grn.tl.attention`` in a few cells of every group."""
    import grn

    own, regulators = names(genes)
    adata = ad.read_h5ad(path, backed="r")
    return measured(
        lambda: grn.tl.attention(adata, sources=regulators, targets=own[:TARGETS], groupby="group", max_cells=5)
    )


def alone(call: Callable[[], tuple[float, float, float]]) -> tuple[float, float, float]:
    """Run in a process of its own, so that its peak memory is that of the call."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call).result()


def table(args: argparse.Namespace, folder: Path) -> str:
    """All rows, as Markdown."""
    from grn._core.markdown import markdown_table

    path = folder / "atlas.h5ad"
    rows = [("write the file", *alone(partial(measured, partial(write, path, args.cells, args.genes, args.form))))]
    size = path.stat().st_size / 2**30
    with h5py.File(path) as file:
        stored = len(file["X/data"])
    rows += [("grn.pp.check_expression", *alone(partial(check, path)))]
    rows += [(f"grn.tl.pert, {GROUPS} groups, {REGULATORS} x {TARGETS}", *alone(partial(pert, path, args.genes)))]
    few = f"grn.tl.attention, 5 cells of {GROUPS} groups, {REGULATORS} x {TARGETS}"
    rows += [(few, *alone(partial(attention, path, args.genes)))]
    lines = [
        f"{args.cells:,} cells x {args.genes:,} genes, {args.form.upper()} float32, {stored / 1e6:,.0f} million stored "
        f"values, file {size:.2f} GiB, `mini`; {platform.machine()}, Python {platform.python_version()}, anndata "
        f"{ad.__version__}. Every row is a process of its own; it is busy for the processor seconds, and waits for the "
        "disk and for other work of the machine in the rest.",
        "",
        markdown_table(
            ["step", "seconds", "processor seconds", "peak memory, GiB"],
            [[name, f"{seconds:.1f}", f"{busy:.1f}", f"{peak:.2f}"] for name, seconds, busy, peak in rows],
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--form", choices=("csr", "csc"), default="csr")
    parser.add_argument("--folder", type=Path, help="where the file goes for the time of the run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "atlas.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        found = table(args, Path(folder))
    print(found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/atlas.py`\n\n{found}\n")


if __name__ == "__main__":
    main()
