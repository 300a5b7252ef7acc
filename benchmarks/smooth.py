"""Smoothing and CellOracle over numbers of cells, and what approximate neighbours change.

python benchmarks/smooth.py [--cells 10000 75000 200000 1000000] [--genes 200] [--exact 10000 20000]
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from atlas import alone, measured
from scipy import sparse

TYPES, FACTORS, REGULATORS, PCS = 20, 8, 50, 30
# cells for which the true neighbours are looked up
SAMPLE = 500


def cells(n: int, genes: int) -> ad.AnnData:
    """Counts of overlapping types with gradients inside them, made without a dense table of all cells."""
    random = np.random.default_rng(0)
    centres = random.normal(0, 0.5, size=(TYPES, genes)) - 2.0
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
    obs = pd.DataFrame(index=np.char.add("cell", np.arange(n).astype(str)))
    var = pd.DataFrame({"is_regulator": np.arange(genes) < REGULATORS}, index=[f"gene{i}" for i in range(genes)])
    return ad.AnnData(sparse.vstack(blocks, format="csr"), obs=obs, var=var)


def speed(n: int, genes: int) -> tuple[str, ...]:
    """Seconds of both calls, peak memory and recall of the neighbours."""
    import grn
    from grn._kernels.neighbours import nearest
    from grn._object import smoothing

    shares, search = [], smoothing.nearly_nearest

    def watched(points: np.ndarray, k: int) -> np.ndarray:
        found = search(points, k)
        queries = np.random.default_rng(1).choice(n, SAMPLE, replace=False)
        pairs = zip(found[queries], nearest(points, k, queries), strict=True)
        shares.append(np.mean([len(set(one) & set(two)) for one, two in pairs]) / k)
        return found

    smoothing.nearly_nearest = watched
    adata = cells(n, genes)
    found = [measured(lambda: grn.pp.smooth(adata, n_pcs=PCS))]
    found += [measured(lambda: grn.tl.celloracle(adata, centrality=False))]
    seconds = [f"{time:.0f} ({busy:.0f})" for time, busy, _ in found]
    share = f"{shares[0]:.4f}" if shares else "1, all distances"
    k = adata.uns["grn_smooth"]["params"]["k"]
    return f"{n:,}", str(k), *seconds, f"{found[-1][2]:.1f}", share


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
    parser.add_argument("--cells", type=int, nargs="*", default=[10_000, 75_000, 200_000, 1_000_000])
    parser.add_argument("--exact", type=int, nargs="*", default=[10_000, 20_000])
    parser.add_argument("--genes", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "smooth.md")
    args = parser.parse_args()
    rows = [alone(partial(speed, n, args.genes)) for n in args.cells]
    head = ("cells", "k", "`pp.smooth`, s", "`tl.celloracle`, s", "peak, GiB", "recall of neighbours")
    lines = [
        f"{args.genes} genes, {REGULATORS} regulators for every target, one group, {PCS} components. Seconds, in "
        "brackets those of processors; peak memory of the process, data included; share of the true neighbours looked "
        f"through that were found, in {SAMPLE} cells.",
        "",
        *table(head, rows),
    ]
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
