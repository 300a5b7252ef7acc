"""Time of the zero-shot method ``universal`` on panels of the size of a data set, beside correlations of cells.

    python benchmarks/zero_shot.py

Prints seconds for 100 regulators and 2 000 or 12 000 genes, and the ratio to ``correlation`` on 2 000 random cells of
the same genes. The first call in a process also loads the model.
"""

from __future__ import annotations

import argparse
import time

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import grn
from grn.genes import regulators

REGULATORS, CELLS = 100, 2000


def panel(n_genes: int) -> ad.AnnData:
    """Random cells of genes that the model knows, regulators first."""
    known, able = grn.models.load("mini").genes, set(regulators("human"))
    names = [gene for gene in known if gene in able][:REGULATORS]
    names += [gene for gene in known if gene not in able][: n_genes - REGULATORS]
    counts = sparse.random(CELLS, n_genes, density=0.1, format="csr", random_state=0, dtype=np.float32)
    counts.data = np.ceil(4 * counts.data)
    adata = ad.AnnData(counts, var=pd.DataFrame(index=names))
    adata.var["is_regulator"] = np.arange(n_genes) < REGULATORS
    adata.uns["organism"] = "human"
    return adata


def seconds(adata: ad.AnnData, method: str) -> float:
    """Time of one call."""
    start = time.perf_counter()
    grn.tl.infer_network(adata, method=method, progress=False)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, nargs="+", default=[2000, 12000])
    args = parser.parse_args()
    for n_genes in args.genes:
        adata = panel(n_genes)
        ours, plain = seconds(adata, "universal"), seconds(adata, "correlation")
        print(f"{REGULATORS} x {n_genes}: universal {ours:.1f} s, correlation {plain:.1f} s, ratio {ours / plain:.1f}")


if __name__ == "__main__":
    main()
