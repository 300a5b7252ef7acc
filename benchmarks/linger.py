"""What LINGER's networks cost and find: ratio to one gene at a time, planted regulation, cell lines.

    python benchmarks/linger.py --part speed
    python benchmarks/linger.py --part planted
    python benchmarks/linger.py --part lines --rna LINES_RNA.h5ad --atac LINES_ATAC.h5ad

Speed: genes of the size of the reference, 80 metacells and 11 inputs, trained by plain torch one after the other with
contributions computed cell by cell, as the original does, against all of them at once; processor time of one thread,
the fastest of some runs of both. Planted: area under the precision-recall curve of all pairs in `toy_multiome` against
distance, motif and co-expression alone. Lines: regulators of four labelled lines by their activity, and the ranks of
known ones, beside those by mean expression.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import average_precision_score

import grn
from grn._kernels.gene_attribution import attribution
from grn._kernels.gene_networks import Features, Weights, original_start, train

METACELLS, INPUTS, BACKGROUND = 80, 11, 50
KNOWN = {"K562": ("GATA1", "KLF1"), "H1": ("POU5F1", "SOX2"), "GM12878": ("PAX5", "EBF1"), "GM": ("PAX5", "EBF1")}


def one_by_one(inputs: torch.Tensor, target: torch.Tensor) -> float:
    """Processor time of a gene: autograd, Adam of torch, a backward pass per cell."""
    started = time.process_time()
    start = [torch.tensor(part, requires_grad=True) for part in original_start(inputs.shape[1])]
    adam = torch.optim.Adam(start, lr=0.01, weight_decay=0.01)

    def output(values: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(torch.nn.functional.linear(values, start[0], start[1]))
        hidden = torch.relu(torch.nn.functional.linear(hidden, start[2], start[3]))
        return torch.nn.functional.linear(hidden, start[4], start[5])[:, 0]

    for _ in range(100):
        norms = sum(torch.linalg.norm(part, 1) for part in start)
        loss = (output(inputs) - target).square().mean() + 0.01 * norms
        adam.zero_grad()
        loss.backward()
        adam.step()
    background, total = inputs[:BACKGROUND], torch.zeros(inputs.shape[1])
    for cell in inputs:
        joined = torch.cat([cell.expand(BACKGROUND, -1), background]).requires_grad_()
        (derivative,) = torch.autograd.grad(output(joined).sum(), joined)
        total += (derivative[BACKGROUND:] * (cell - background)).mean(dim=0).abs()
    return time.process_time() - started


def at_once(inputs: torch.Tensor, target: torch.Tensor) -> float:
    """Processor time of all genes: ours."""
    started = time.process_time()
    features = Features(inputs[0, :, :0], inputs)
    weights = Weights(len(inputs), inputs.shape[2], inputs)
    for slot, part in zip(weights.parts, original_start(inputs.shape[2]), strict=True):
        slot.copy_(torch.tensor(part).expand_as(slot))
    with torch.no_grad():
        train(features, target, weights)
        attribution(features, weights, torch.arange(BACKGROUND))
    return time.process_time() - started


def speed(n_genes: int = 64, runs: int = 15) -> None:
    """Print milliseconds per gene of both."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n_genes, METACELLS, INPUTS, generator=generator)
    target = torch.randn(n_genes, METACELLS, generator=generator)
    single = [one_by_one(inputs[i % n_genes], target[i % n_genes]) for i in range(runs + 1)][1:]
    together = [at_once(inputs, target) / n_genes for _ in range(runs + 1)][1:]
    table = pd.DataFrame(
        {
            "milliseconds per gene, one at a time": [1e3 * min(single), 1e3 * np.median(single)],
            f"{n_genes} at once": [1e3 * min(together), 1e3 * np.median(together)],
        },
        index=["fastest", "median"],
    )
    table["ratio"] = table.iloc[:, 0] / table.iloc[:, 1]
    print(table.round(2).to_string())


def auprc(scores: pd.Series, pairs: pd.MultiIndex, truth: set[tuple[str, str]]) -> float:
    """Area under the precision-recall curve of pairs; those without a score come last."""
    return float(average_precision_score([pair in truth for pair in pairs], scores.reindex(pairs).fillna(0.0)))


def strongest(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Largest absolute weight of every pair, over groups."""
    table = table.astype(dict.fromkeys(columns, str)).assign(size=table["weight"].abs())
    return table.groupby(columns)["size"].max()


def log_normal(counts: pd.DataFrame) -> pd.DataFrame:
    """Log of counts per 10 000."""
    return np.log1p(counts.div(counts.sum(axis=1), axis=0) * 1e4)


def correlations(first: pd.DataFrame, second: pd.DataFrame) -> pd.Series:
    """Absolute correlation of all pairs of columns."""
    r = np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :]
    return pd.DataFrame(np.abs(r), first.columns, second.columns).stack()


def planted_once(seed: int, dropout: float, variants: dict[str, dict[str, object]]) -> pd.DataFrame:
    """AUPRC of floors and of variants of LINGER in one simulation."""
    mdata = grn.datasets.toy_multiome(n_cells=600, dropout=dropout, rng=seed)
    regulators, truth = list(mdata.uns["regulators"]), mdata.uns["truth"]
    motifs = grn.pp.motifs("jaspar").select(factors=regulators)
    grn.pp.scan_motifs(mdata["atac"], sequences=mdata.uns["genome"], motifs=motifs)
    targets = [gene for gene in mdata["rna"].var_names if gene not in regulators]
    window = 60_000
    links = grn.genome.link_genes(
        mdata["atac"].var_names, starts=mdata.uns["starts"], upstream=window, downstream=window
    )
    links = links[links["gene"].isin(targets)]
    columns = {"TF-gene": ["source", "target"], "TF-region": ["source", "region"], "region-gene": ["region", "target"]}
    planted = {name: set(map(tuple, truth[pair].astype(str).to_numpy())) for name, pair in columns.items()}
    pairs = {
        "TF-gene": pd.MultiIndex.from_product([regulators, targets]),
        "TF-region": pd.MultiIndex.from_product([regulators, mdata["atac"].var_names]),
        "region-gene": pd.MultiIndex.from_frame(links[["region", "gene"]]),
    }
    genes, regions = log_normal(mdata["rna"].to_df(layer="counts")), log_normal(mdata["atac"].to_df())
    near = pd.Series(1 / (1 + links["distance"].abs().to_numpy()), pairs["region-gene"])
    hits = grn.get.motif_hits(mdata["atac"]).set_index(["source", "region"])["score"]
    # of a regulator and a gene: its motifs in regions near the gene, weighted by nothing, and by distance
    reach = links.rename(columns={"gene": "target"}).merge(hits.reset_index(), on="region")
    of_gene = reach.assign(score=reach["score"] / (1 + reach["distance"].abs() / 25_000))
    floors = {
        "chance": {name: pd.Series(0.0, index) for name, index in pairs.items()},
        "distance": {"region-gene": near},
        "motif": {"TF-region": hits, "TF-gene": reach.groupby(["source", "target"])["score"].sum()},
        "motif and distance": {"TF-gene": of_gene.groupby(["source", "target"])["score"].sum()},
        "co-expression": {
            "TF-gene": correlations(genes[regulators], genes[targets]),
            "TF-region": correlations(genes[regulators], regions),
            "region-gene": correlations(regions, genes),
        },
    }
    found = {}
    for name, arguments in variants.items():
        grn.tl.linger(mdata, starts=mdata.uns["starts"], window=window, targets=targets, n_regions=None, **arguments)
        entry = mdata.uns["linger"]
        tables = {"TF-gene": "edges", "TF-region": "tf_re", "region-gene": "cis"}
        found[name] = {pair: strongest(entry[table], columns[pair]) for pair, table in tables.items()}
    rows = {
        name: {pair: auprc(scores, pairs[pair], planted[pair]) for pair, scores in of_pairs.items()}
        for name, of_pairs in {**floors, **found}.items()
    }
    return pd.DataFrame(rows).T[list(columns)]


def planted(seeds: int) -> None:
    """Print the mean over simulations."""
    variants = {
        f"{of}{how}": {**groups, **metacells}
        for of, groups in (("all cells", {}), ("by group", {"groupby": "group"}))
        for how, metacells in (
            ("", {}),
            (", metacells of the original", {"cells_per_metacell": 20, "n_metacells": None}),
            (", cells as they are", {"cells_per_metacell": 1}),
        )
    }
    for dropout in (0.0, 0.7):
        tables = [planted_once(seed, dropout, variants) for seed in range(seeds)]
        print(f"dropout {dropout:.0%}, mean of {seeds} simulations")
        print((sum(tables) / seeds).round(2).to_string(na_rep=""), flush=True)


def lines(rna: str, atac: str, groupby: str, n_targets: int, arguments: dict[str, object]) -> None:
    """Print the leading regulators of every line, and where known ones are."""
    import anndata as ad
    from mudata import MuData

    genes, regions = ad.read_h5ad(rna), ad.read_h5ad(atac)
    both = genes.obs_names.intersection(regions.obs_names)
    mdata = MuData({"rna": genes[both].copy(), "atac": regions[both].copy()})
    mdata.obs[groupby] = mdata["rna"].obs[groupby]
    depths = [float(mdata[name].X.sum()) / len(both) for name in ("rna", "atac")]
    values = log_normal(mdata["rna"].to_df())
    labels = mdata["rna"].obs[groupby].astype(str)
    seen = (values > 0).groupby(labels).sum().max()  # cells of the line that has most
    grn.pp.annotate_regulators(mdata["rna"], organism="human")
    regulators = mdata["rna"].var_names[mdata["rna"].var["is_regulator"] & (seen >= 5).to_numpy()]
    targets = values.var().loc[seen >= 20].sort_values(ascending=False).index[:n_targets]
    started = time.process_time()
    grn.tl.linger(mdata, sources=list(regulators), targets=list(targets), groupby=groupby, motifs=None, **arguments)
    print(
        f"{len(both)} cells with {depths[0]:.0f} counts of RNA and {depths[1]:.0f} of ATAC each, "
        f"{mdata['atac'].n_vars} regions, {len(regulators)} regulators, {len(targets)} targets: "
        f"{time.process_time() - started:.0f} s of one core"
    )
    drivers = mdata.uns["linger"]["drivers"].astype({"group": str, "source": str})
    means = values[regulators].groupby(labels).mean()
    strength = grn.get.edges(mdata, key="linger").astype({"group": str, "source": str})
    out = strength.assign(size=strength["weight"].abs()).groupby(["group", "source"])["size"].sum()
    relative = out / out.groupby("source").transform("mean")
    rows = []
    for line in sorted(set(labels)):
        ranks = {
            "activity": drivers[drivers["group"] == line].sort_values("t", ascending=False)["source"].tolist(),
            "out-strength": relative[line].sort_values(ascending=False, kind="stable").index.tolist(),
            "expression": (means.loc[line] - means.drop(line).mean()).sort_values(ascending=False).index.tolist(),
        }
        for gene in KNOWN.get(line, ()):
            places = {by: order.index(gene) + 1 if gene in order else "" for by, order in ranks.items()}
            cells = int((values.loc[labels == line, gene] > 0).sum()) if gene in values else 0
            rows.append({"line": line, "known": gene, "seen in cells": cells, **places})
        print(line, "top by activity:", ", ".join(ranks["activity"][:10]))
        print(line, "top by out-strength:", ", ".join(ranks["out-strength"][:10]))
    print(pd.DataFrame(rows).to_string(index=False))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["speed", "planted", "lines"], default="speed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rna")
    parser.add_argument("--atac")
    parser.add_argument("--groupby", default="label")
    parser.add_argument("--targets", type=int, default=300)
    parser.add_argument("--cells-per-metacell", type=int, default=5)
    parser.add_argument("--metacells", type=int, default=300)
    given = parser.parse_args()
    if given.part == "speed":
        speed()
    elif given.part == "planted":
        planted(given.seeds)
    else:
        arguments = {"cells_per_metacell": given.cells_per_metacell, "n_metacells": given.metacells}
        lines(given.rna, given.atac, given.groupby, given.targets, arguments)


if __name__ == "__main__":
    main()
