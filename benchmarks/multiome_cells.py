"""The cells of ``multiome_scale.py``: counts of genes and regions in ten groups, written to a file piece by piece.

Regions lie along hg38, on promoters and within 150 000 bases of the starts of genes; motif hits are simulated.
"""

from __future__ import annotations

import argparse

# what a cell has open of 100 000 regions, and of how many genes it has counts
OPEN, DETECTED = 0.015, 0.12
GROUPS, PIECE = 10, 2000
# share of regions with a hit of a motif
HITS = 0.03


def write(given: argparse.Namespace) -> tuple[str, str]:
    """Make the file."""
    import anndata as ad
    import h5py
    import numpy as np

    random = np.random.default_rng(0)
    genes, regions = places(given, random)
    path = given.folder / "cells.h5mu"
    group = random.integers(GROUPS, size=given.cells)
    whole = empty(given, genes, regions, group, random)
    whole.write(path)
    stored = 0
    with h5py.File(path, "a") as file:
        for name, chances, mean in profiles(given, genes, regions, random):
            cumulative = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)  # (groups, features)
            depth = random.lognormal(np.log(mean) - 0.125, 0.5, given.cells).astype(np.int64) + 1
            for start in range(0, given.cells, PIECE):
                part = slice(start, min(start + PIECE, given.cells))
                block = counts(cumulative, group[part], depth[part], random)
                stored += block.nnz
                if start == 0:
                    ad.io.write_elem(file, f"mod/{name}/X", block)
                else:
                    ad.io.sparse_dataset(file[f"mod/{name}/X"]).append(block)
    return "write the file", f"{stored / 1e6:.0f} million counts, {path.stat().st_size / 1e9:.2f} GB"


def places(given, random):
    """Genes with their starts, and names of regions with the gene each follows (-1 for none)."""
    import numpy as np
    import pandas as pd

    import grn

    starts = grn.genome.starts("hg38").drop_duplicates("gene")
    starts = starts[starts["chrom"].isin([f"chr{i}" for i in range(1, 23)])].reset_index(drop=True)
    known = starts["gene"].isin(grn.datasets.tfs()["symbol"]).to_numpy()
    n_regulators = min(given.genes // 10, int(known.sum()))
    chosen = np.concatenate([
        random.choice(np.flatnonzero(known), n_regulators, replace=False),
        random.choice(np.flatnonzero(~known), given.genes - n_regulators, replace=False),
    ])  # fmt: skip
    genes = starts.iloc[np.sort(chosen)]
    rest = starts.drop(genes.index)
    # a promoter of every gene, then regions near genes, four fifths of them near those that were measured
    promoters = pd.concat([genes, rest])[["chrom", "position"]].head(given.regions // 3)
    n = 3 * given.regions
    near = pd.concat([
        genes.sample(4 * n // 5, replace=True, random_state=1), rest.sample(n // 5, replace=True, random_state=2)
    ])[["chrom", "position"]]  # fmt: skip
    near["position"] = (near["position"] + random.integers(-150_000, 150_000, len(near))).clip(lower=2000)
    regions = pd.concat([promoters, near], ignore_index=True)
    regions["position"] //= 1000
    regions = regions.drop_duplicates().head(given.regions)
    begin = regions["position"] * 1000 + 250
    regions.index = regions["chrom"] + ":" + begin.astype(str) + "-" + (begin + 500).astype(str)
    return genes.reset_index(drop=True), regions


def empty(given, genes, regions, group, random):
    """The object without counts, with motif hits."""
    import anndata as ad
    import mudata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    import grn

    mudata.set_options(pull_on_update=False)
    cells = np.char.add("cell", np.arange(given.cells).astype(str))
    obs = pd.DataFrame({"group": pd.Categorical.from_codes(group, [f"group {i}" for i in range(GROUPS)])}, index=cells)
    parts = {
        name: ad.AnnData(sparse.csr_matrix((given.cells, len(index)), dtype=np.float32), obs=obs.copy(),
                         var=pd.DataFrame(index=index))
        for name, index in (("rna", genes["gene"].to_numpy()), ("atac", regions.index))
    }  # fmt: skip
    motifs = grn.pp.motifs().select(factors=list(set(genes["gene"]) & set(grn.pp.motifs().to_frame()["factor"])))
    shape = (len(regions), len(motifs))
    hits = sparse.random_array(shape, density=HITS, format="csr", rng=random, dtype=np.float32)
    hits.data = 8 + 8 * hits.data
    atac = parts["atac"]
    atac.varm["motifs"] = sparse.csr_matrix(hits)
    atac.uns["motifs"] = {
        "names": np.array(motifs.names, dtype=object),
        "factors": motifs.to_frame().astype("category"),
        "params": {"method": "scan_motifs"},
    }
    return mudata.MuData(parts)


def profiles(given, genes, regions, random):
    """Of both modalities the name, chances of the features by group, and mean counts of a cell."""
    import numpy as np

    level = random.lognormal(sigma=1.0, size=(1, len(genes))) * np.exp(
        1.5 * random.normal(size=(GROUPS, len(genes))) * (random.random(len(genes)) < 0.5)
    )
    yield "rna", level, 1.3 * DETECTED * len(genes)
    chrom, position = genes["chrom"].to_numpy(), genes["position"].to_numpy()
    follows = np.full(len(regions), -1)
    for name in np.unique(chrom):
        here, there = np.flatnonzero(chrom == name), np.flatnonzero(regions["chrom"].to_numpy() == name)
        order = here[np.argsort(position[here])]
        at = np.searchsorted(position[order], regions["position"].to_numpy()[there] * 1000).clip(0, len(order) - 1)
        follows[there] = order[at]
    active = (random.random(len(regions)) < 0.3) & (follows >= 0)
    opening = random.lognormal(sigma=1.0, size=(1, len(regions))) * np.where(
        active, (level / level.mean(axis=0))[:, follows], 1.0
    )
    yield "atac", opening, 1.1 * OPEN * len(regions)


def counts(cumulative, group, depth, random):
    """Counts (cells, features) CSR: as many draws of every cell as it is deep."""
    import numpy as np
    from scipy import sparse

    cell = np.repeat(np.arange(len(group)), depth)
    label = group[cell]
    feature = np.empty(len(cell), dtype=np.int64)
    for code in range(GROUPS):
        mine = label == code
        feature[mine] = np.searchsorted(cumulative[code], random.random(int(mine.sum())))
    shape = (len(group), cumulative.shape[1])
    feature = feature.clip(0, shape[1] - 1)
    made = sparse.coo_matrix((np.ones(len(cell), dtype=np.float32), (cell, feature)), shape=shape).tocsr()
    made.sum_duplicates()
    return made
