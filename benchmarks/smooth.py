"""Smoothing, metacells and CellOracle over numbers of cells, and what fewer and approximate neighbours change.

python benchmarks/smooth.py [--cells 10000 75000 300000 1000000] [--genes 1000] [--exact 10000 20000]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from atlas import measured
from scipy import sparse

TYPES, FACTORS, REGULATORS, PCS = 20, 8, 50, 30
# cells for which the true neighbours are looked up
SAMPLE = 500
# neighbours per cell that planted edges are looked for with
NEIGHBOURS = (10, 30, 100)


def cells(n: int, genes: int) -> ad.AnnData:
    """Counts of overlapping types with gradients inside them, made without a dense table of all cells."""
    random = np.random.default_rng(0)
    centres = random.normal(0, 0.5, size=(TYPES, genes)) - 3.0
    slopes = random.normal(0, 0.15, size=(TYPES, FACTORS, genes))
    kinds = random.integers(TYPES, size=n)
    blocks = []
    for start in range(0, n, 20_000):
        own = kinds[start : start + 20_000]
        rate = np.empty((len(own), genes))
        for kind in range(TYPES):
            part = own == kind
            rate[part] = np.exp(centres[kind] + random.normal(size=(part.sum(), FACTORS)) @ slopes[kind])
        blocks.append(sparse.csr_matrix(random.poisson(rate).astype(np.float32)))
    index = np.char.add("cell", np.arange(n).astype(str))
    obs = pd.DataFrame({"type": pd.Categorical(np.char.add("type ", kinds.astype(str)))}, index=index)
    var = pd.DataFrame({"is_regulator": np.arange(genes) < REGULATORS}, index=[f"gene{i}" for i in range(genes)])
    return ad.AnnData(sparse.vstack(blocks, format="csr"), obs=obs, var=var)


def alone(call: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Run in a process of its own, so that its peak memory is that of the call."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call).result()


def smoothing(n: int, genes: int, *, network: bool) -> tuple[str, ...]:
    """Seconds of smoothing and of the network on all cells, peak memory, and recall of the neighbours."""
    import grn
    from grn._kernels.neighbours import nearest
    from grn._object import smoothing as smoother

    shares, search = [], smoother.nearly_nearest

    def watched(points: np.ndarray, k: int) -> np.ndarray:
        neighbours = search(points, k)
        queries = np.random.default_rng(1).choice(n, SAMPLE, replace=False)
        pairs = zip(neighbours[queries], nearest(points, k, queries), strict=True)
        shares.append(np.mean([len(set(one) & set(two)) for one, two in pairs]) / k)
        return neighbours

    smoother.nearly_nearest = watched
    adata = cells(n, genes)
    steps = [measured(lambda: grn.pp.smooth(adata, n_pcs=PCS))]
    if network:
        steps += [measured(lambda: grn.tl.celloracle(adata, centrality=False))]
    seconds = [f"{time:.0f} ({busy:.0f})" for time, busy, _ in steps] + ["-"] * (2 - len(steps))
    share = f"{shares[0]:.4f}" if shares else "1, all distances"
    k = adata.uns["grn_smooth"]["params"]["k"]
    return f"{n:,}", str(k), *seconds, f"{steps[-1][2]:.1f}", share


def metacells(n: int, genes: int, path: str) -> tuple[str, ...]:
    """Seconds of metacells of a file and of a network on them, and peak memory."""
    import grn

    adata, made = ad.read_h5ad(path, backed="r"), []
    steps = [measured(lambda: made.append(grn.pp.metacells(adata, groupby="type", how="partition")))]
    steps += [measured(lambda: grn.tl.celloracle(made[0], centrality=False))]
    sizes = made[0].obs["n_cells"]
    seconds = (f"{time:.0f} ({busy:.0f})" for time, busy, _ in steps)
    return f"{n:,}", f"{len(sizes):,}", f"{sizes.min()} - {sizes.max()}", *seconds, f"{steps[-1][2]:.1f}"


def written(n: int, genes: int, path: str) -> tuple[str, ...]:
    """Write the cells to a file."""
    cells(n, genes).write_h5ad(path)
    return ()


def planted(n: int, dropout: float, share: float) -> tuple[str, ...]:
    """AUPRC of planted edges without smoothing, and over numbers of neighbours, the last those of CellOracle."""
    from sklearn.metrics import average_precision_score

    import grn

    adata = grn.datasets.toy(n_cells=n, n_regulators=15, n_targets=150, dropout=dropout)
    pairs = set(zip(*(adata.uns["truth"][side].astype(str) for side in ("source", "target")), strict=True))
    found = []
    for k in (0, *NEIGHBOURS, int(share * n)):
        if k:
            grn.pp.smooth(adata, k=k)
        grn.tl.celloracle(adata, smooth=bool(k), max_p=None, top=None, centrality=False)
        edges = adata.uns["celloracle"]["edges"]
        names = zip(edges["source"].astype(str), edges["target"].astype(str), strict=True)
        found.append(average_precision_score([pair in pairs for pair in names], edges["weight"].abs()))
    return f"{n:,}", f"{dropout}", *(f"{score:.3f}" for score in found)


def agreement(n: int, genes: int) -> tuple[str, ...]:
    """Edges with all distances, and with those between neighbouring regions."""
    import grn

    edges, weights = [], []
    for exact in (True, False):
        adata = cells(n, genes)
        grn.pp.smooth(adata, n_pcs=PCS, exact=exact)
        grn.tl.celloracle(adata, centrality=False, max_p=1.0, top=None)
        weights.append(adata.obsp["grn_smooth"] > 0)
        edges.append(adata.uns["celloracle"]["edges"].astype({"source": str, "target": str}))
    one, two = (table.set_index(["source", "target"]).sort_index() for table in edges)
    passed = [table.index[table["pval"] <= 0.001] for table in (one, two)]
    same = len(passed[0].intersection(passed[1])) / len(passed[0].union(passed[1]))
    graph = weights[0].multiply(weights[1]).nnz / weights[0].nnz
    close = np.corrcoef(one["weight"], two["weight"])[0, 1]
    return f"{n:,}", f"{graph:.4f}", f"{close:.5f}", f"{same:.3f}"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="*", default=[10_000, 75_000, 300_000, 1_000_000])
    parser.add_argument("--network", type=int, default=75_000, help="most cells for a network of all of them")
    parser.add_argument("--exact", type=int, nargs="*", default=[10_000, 20_000])
    parser.add_argument("--planted", type=int, nargs="*", default=[8_000])
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "smooth.md")
    args = parser.parse_args()
    rows = [alone(partial(smoothing, n, args.genes, network=n <= args.network)) for n in args.cells]
    head = ("cells", "k", "`pp.smooth`, s", "`tl.celloracle`, s", "peak, GiB", "recall of neighbours")
    lines = [
        f"{args.genes} genes, {REGULATORS} regulators for every target, one group, {PCS} components. Seconds, in "
        "brackets those of processors; peak memory of the process, data included; share of the true neighbours looked "
        f"through that were found, in {SAMPLE} cells.",
        "",
        *table(head, rows),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in args.cells:
            path = str(Path(folder) / "cells.h5ad")
            alone(partial(written, n, args.genes, path))
            rows.append(alone(partial(metacells, n, args.genes, path)))
    head = ("cells", "metacells", "cells in one", "`pp.metacells`, s", "`tl.celloracle`, s", "peak, GiB")
    title = f"`how='partition'`, of a file opened with `backed='r'`, {TYPES} labels, and a network on the metacells:"
    lines += ["", title, "", *table(head, rows)]
    if args.planted:
        rows = [alone(partial(planted, n, share, 0.025)) for n in args.planted for share in (0.0, 0.7, 0.9)]
        head = ("cells", "counts lost", "not smoothed", *(f"k = {k}" for k in NEIGHBOURS), "k of CellOracle")
        lines += ["", "AUPRC of planted edges, 15 regulators x 150 targets:", "", *table(head, rows)]
    if args.exact:
        compared = [alone(partial(agreement, n, args.genes)) for n in args.exact]
        title = ("cells", "neighbours in common", "correlation of weights", "edges with p <= 0.001 in common")
        lines += ["", "`exact=False` against `exact=True`:", "", *table(title, compared)]
    found = "\n".join(lines)
    print(found)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/smooth.py`\n\n{found}\n")


if __name__ == "__main__":
    main()
