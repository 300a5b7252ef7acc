"""How many cells must a gene be seen in? Correlations of real cells beside cells whose genes were shuffled.

    python benchmarks/min_cells.py
    python benchmarks/min_cells.py --cells atlas.h5ad --groupby cell_type

For every limit: genes that are left, and of the 50 strongest edges of a group the share that is stronger than every
edge of the same cells with the values of each gene exchanged within the group. Mean over groups of 20 cells or more.
"""

from __future__ import annotations

import argparse

import anndata as ad
import numpy as np

import grn
from grn._core.rng import child

LIMITS = (0, 2, 3, 5, 8, 10, 15, 20)
TOP, SMALLEST, GENES = 50, 20, 2000


def shuffled(adata: ad.AnnData, groupby: str) -> ad.AnnData:
    """The values of every gene exchanged between the cells of a group."""
    made = adata.copy()
    values = made.to_df().to_numpy(copy=True)
    for group in adata.obs[groupby].unique():
        rows = np.flatnonzero(adata.obs[groupby] == group)
        for column, gene in enumerate(adata.var_names):
            values[rows, column] = values[child(0, str(group), gene).permutation(rows), column]
    made.X = values
    return made


def edges_of(adata: ad.AnnData, groupby: str, limit: int):
    """Correlations, and the number of genes left out per group."""
    grn.tl.infer_network(adata, method="correlation", groupby=groupby, params={"min_cells": limit})
    return grn.get.edges(adata), list(adata.uns["grn"]["params"]["rare_genes"].values())


def beyond(real, null) -> float:
    """Share of the strongest edges of a group that no shuffled edge reaches."""
    shares = []
    for group, part in real.groupby("group", observed=True):
        largest = null.loc[null["group"] == group, "weight"].abs().max()
        shares.append((part["weight"].abs().head(TOP) > largest).mean())
    return float(np.mean(shares))


def main() -> None:
    """Print one line per limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells")
    parser.add_argument("--groupby", default="bulk_labels")
    asked = parser.parse_args()
    adata = ad.read_h5ad(asked.cells) if asked.cells else grn.datasets.pbmc68k()
    sizes = adata.obs[asked.groupby].value_counts()
    adata = adata[adata.obs[asked.groupby].isin(sizes.index[sizes >= SMALLEST])].copy()
    if adata.n_vars > GENES:
        seen = np.asarray((adata.X > 0).sum(axis=0)).ravel()
        grn.pp.annotate_regulators(adata, organism="auto")
        keep = np.argsort(-seen, kind="stable")[: 4 * GENES]
        keep = np.sort(child(0, "genes").choice(keep, GENES, replace=False))
        adata = adata[:, keep].copy()
    null = shuffled(adata, asked.groupby)
    print(f"{adata.n_obs} cells, {adata.n_vars} genes, {adata.obs[asked.groupby].nunique()} groups")
    print("min_cells  genes left  edges  |r| > 0.99  beyond shuffled")
    for limit in LIMITS:
        (real, rare), (chance, _) = edges_of(adata, asked.groupby, limit), edges_of(null, asked.groupby, limit)
        left, sure = adata.n_vars - np.mean(rare), int((real["weight"].abs() > 0.99).sum())
        print(f"{limit:9d}  {left:10.0f}  {len(real):5d}  {sure:10d}  {beyond(real, chance):15.2f}", flush=True)


if __name__ == "__main__":
    grn.settings.verbosity = "error"
    main()
