"""What a step of the steady-state fit of Dictys costs, against the plain formula, and its peak memory.

python benchmarks/dictys.py --part speed
python benchmarks/dictys.py --part size --cells 10000 --genes 2000 --regulators 100
python benchmarks/dictys.py --part start
python benchmarks/dictys.py --part pancreas --data FILE.h5ad --prior FILE.parquet [--steps 1000] [--parts FOLDER]

``pancreas``: networks of the clusters of mouse endocrine development with the promoter network, in one call: processor
seconds, peak memory, and the place of known drivers among the regulators of the cluster where a gene says that they
act: by the mean size of their weights, by their mean expression there, and by the change of their expression against
all other cells (Welch's t). ``--parts`` is a folder from which an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import resource
import time

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy.stats import ttest_ind

import grn
from grn._kernels import ou_fit
from grn._kernels.ou_cells import Counts
from grn._kernels.ou_fit import Setting, Shape
from grn._kernels.ou_start import Start, moment_start


def simulated(n_cells: int, n_genes: int, n_regulators: int, n_sets: int, kind: torch.dtype):
    """Sets of Poisson counts around a few factors, 20 regulators per target."""
    rng = np.random.default_rng(0)
    loads = 0.3 * rng.normal(size=(5, n_genes))
    counts = rng.poisson(np.exp(rng.normal(0.0, 1.0, n_genes) + rng.normal(size=(n_sets, n_cells, 5)) @ loads))
    counts = counts.astype(np.float32)
    depth = counts.sum(axis=2).astype(np.float64)
    mask = rng.random((n_genes, n_regulators)) < min(0.5, 20 / n_regulators)
    mask[np.arange(n_regulators), np.arange(n_regulators)] = False
    none = np.zeros((n_cells, 0))
    rank = min(n_regulators, n_genes - 1, n_cells - 1)
    begin = [moment_start(lambda part, k=k: counts[k][part], depth[k], none, rank) for k in range(n_sets)]

    def tensor(values):
        return torch.as_tensor(np.asarray(values), dtype=kind)

    held = Counts(
        tensor(counts),
        tensor(depth),
        torch.ones(n_sets, n_cells, dtype=kind),
        torch.ones(n_sets, n_genes, dtype=kind),
        torch.zeros(n_sets, n_cells, 0, dtype=kind),
    )
    shape = Shape(
        torch.arange(n_regulators).expand(n_sets, -1).clone(),
        tensor(mask).expand(n_sets, -1, -1).clone(),
        torch.ones(n_sets, rank, dtype=kind),
    )
    start = Start(
        tensor([each.level for each in begin]),
        tensor([each.diagonal for each in begin]),
        tensor([each.factors for each in begin]),
        torch.zeros(n_sets, n_genes, n_regulators, dtype=kind),
        torch.ones(n_sets, dtype=kind),
        torch.zeros(n_sets, n_genes, 0, dtype=kind),
        torch.zeros(n_sets, 0, n_genes, dtype=kind),
    )
    return held, shape, start


def plain_seconds(counts: Counts, shape: Shape, start: Start, n_steps: int) -> float:
    """Seconds per step of one set: drawn posteriors, torch's distributions, dense (G, G) products, autograd, Adam."""
    level, diagonal, factors = start.level[0], start.diagonal[0].log(), start.factors[0]
    network, rate = start.network[0], torch.ones((), dtype=level.dtype)
    mean = level.expand_as(counts.counts[0]).clone()
    log_sd = torch.full_like(mean, np.log(0.5))
    free = [part.clone().requires_grad_() for part in (level, diagonal, factors, network, rate, diagonal, mean, log_sd)]
    adam = torch.optim.Adam(free, lr=0.01)
    n_cells, n_genes = mean.shape
    began = time.perf_counter()
    for _ in range(n_steps):
        level, log_d, factors, network, rate, log_noise, mean, log_sd = free
        drawn = mean + log_sd.exp() * torch.randn_like(mean)
        gauss = torch.distributions.LowRankMultivariateNormal(level, factors, log_d.exp())
        likely = torch.distributions.Binomial(counts.depth[0][:, None], logits=drawn, validate_args=False)
        loss = torch.distributions.Normal(mean, log_sd.exp()).log_prob(drawn).sum() - gauss.log_prob(drawn).sum()
        loss = loss - likely.log_prob(counts.counts[0]).sum()
        square = torch.zeros(n_genes, n_genes, dtype=level.dtype)
        square = square.index_copy(1, shape.source[0], network * shape.mask[0])
        drift = rate * torch.eye(n_genes, dtype=level.dtype) - square
        covariance = torch.diag(log_d.exp()) + factors @ factors.T
        off = drift @ covariance + covariance @ drift.T - torch.diag(log_noise.exp())
        loss = loss + 1e5 * n_cells / (4 * n_genes) * off.square().sum()
        adam.zero_grad()
        loss.backward()
        for part in free:
            part.grad.clamp_(-10.0, 10.0)
        adam.step()
    return (time.perf_counter() - began) / n_steps


def our_seconds(counts: Counts, shape: Shape, start: Start, n_steps: int, *, paired: bool) -> float:
    """Seconds per step of all sets together."""
    run = ou_fit._Run(counts, shape, start, Setting(n_steps=10_000, tolerance=None), paired=paired)
    list(run.advance(None))
    began = time.perf_counter()
    for _ in range(max(1, n_steps // 10)):
        list(run.advance(None))
    return (time.perf_counter() - began) / (10 * max(1, n_steps // 10))


def speed() -> None:
    """Seconds per step and set, plain and ours."""
    print("| sets | cells | genes | regulators | plain, ms per step and set | ours | ratio |")
    print("|---|---|---|---|---|---|---|")
    for n_sets, n_cells, n_genes, n_regulators, steps in (
        (1, 160, 24, 5, 100),
        (16, 160, 24, 5, 100),
        (8, 160, 200, 20, 20),
        (1, 1000, 500, 50, 10),
        (1, 1000, 2000, 100, 10),
    ):
        kind = torch.float64 if n_cells * n_genes <= 2**15 else torch.float32
        made = simulated(n_cells, n_genes, n_regulators, n_sets, kind)
        ours = our_seconds(*made, steps, paired=kind is torch.float64) / n_sets
        single = simulated(n_cells, n_genes, n_regulators, 1, torch.float32)
        plain = plain_seconds(*single, max(2, steps // 5))
        sizes = f"| {n_sets} | {n_cells} | {n_genes} | {n_regulators} "
        print(f"{sizes}| {1e3 * plain:.1f} | {1e3 * ours:.1f} | {plain / ours:.1f} |", flush=True)


def size(n_cells: int, n_genes: int, n_regulators: int) -> None:
    """Seconds per step and peak memory of one set."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = simulated(n_cells, n_genes, n_regulators, 1, torch.float32)
    counts = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = our_seconds(*made, 10, paired=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{n_cells} cells x {n_genes} genes, {n_regulators} regulators, {torch.get_num_threads()} threads:")
    told = f"{counts / 1e6:.2f} after the start, {before / 1e6:.2f} before"
    print(f"{seconds:.2f} s per step; peak {peak / 1e6:.2f} GB ({told})")


def start(repeats: int = 3) -> None:
    """Where fits end from moments and from the start of the original, on planted cells with zeros."""
    print("| simulation | median count | start | objective | r with the planted effects |")
    print("|---|---|---|---|---|")
    for seed in range(10, 10 + repeats):
        adata = grn.datasets.toy(n_cells=300, n_regulators=4, n_targets=8, n_groups=1, dropout=0.2, rng=seed)
        truth = adata.uns["truth"].set_index(["source", "target"])["weight"]
        median = np.median(adata.layers["counts"].toarray())
        for name, parity in (("moments", False), ("original", True)):
            grn.tl.dictys(adata, layer="counts", n_steps=2000, tolerance=None, parity=parity)
            edges = adata.uns["dictys"]["edges"].astype({"source": str, "target": str})
            edges = edges[edges["target"].isin(truth.index.get_level_values("target"))]
            planted = [truth.get(pair, 0.0) for pair in zip(edges["source"], edges["target"], strict=True)]
            loss = adata.uns["dictys"]["loss"]["total"].iloc[-20:].mean()
            r = np.corrcoef(planted, edges["raw"])[0, 1]
            print(f"| {seed} | {median:.0f} | {name} | {loss:.0f} | {r:.2f} |", flush=True)


# drivers of the endocrine pancreas, and the gene that is highest where each acts: progenitors, cells on their way to
# hormones, beta and alpha cells
ACTING = {
    "Neurog3": "Neurog3",
    "Pax4": "Fev",
    "Neurod1": "Fev",
    "Pdx1": "Ins1",
    "Nkx2-2": "Ins1",
    "Arx": "Gcg",
}


def pancreas(data: str, prior: str, steps: int | None, parts: str | None) -> None:
    """Networks of clusters of measured cells."""
    adata = ad.read_h5ad(data)
    adata.obs["cluster"] = adata.obs["clusters"].astype(str).astype("category")
    table = grn.pp.base_grn(prior, adata=adata, min_overlap=0.0)
    began, processor = time.perf_counter(), time.process_time()
    grn.tl.dictys(adata, base_grn=table, groupby="cluster", n_steps=steps, cache=parts, progress=False)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{adata.n_obs} cells, {adata.n_vars} genes, {wall:.0f} s ({processor:.0f} of a processor), {peak:.2f} GB\n")
    edges = adata.uns["dictys"]["edges"].astype({"source": str, "target": str, "group": str})
    sizes = edges["weight"].abs().groupby([edges["group"], edges["source"]]).mean()
    tell_clusters(adata, edges, sizes)
    tell_drivers(adata, sizes)


def tell_clusters(adata: ad.AnnData, edges: pd.DataFrame, sizes: pd.Series) -> None:
    """Cells, steps, edges and the first regulators of every cluster."""
    counts, taken = adata.obs["cluster"].value_counts(), adata.uns["dictys"]["params"]["steps"]
    print("| cluster | cells | steps | edges | first regulators by mean size of weights |")
    print("|---|---|---|---|---|")
    for name, n_edges in edges.groupby("group").size().items():
        first = ", ".join(sizes[name].nlargest(5).index)
        print(f"| {name} | {counts[name]} | {taken[name]} | {n_edges} | {first} |")


def tell_drivers(adata: ad.AnnData, sizes: pd.Series) -> None:
    """Places of the drivers among the regulators of the cluster where they act; what is told first is 1."""
    depth = np.asarray(adata.X.sum(axis=1)).reshape(-1, 1)
    shares = pd.DataFrame(np.log1p(adata.to_df() / depth * 1e4))
    means = shares.groupby(adata.obs["cluster"], observed=True).mean()
    print("\n| driver | cluster, by its highest | regulators | by weights | by expression | by own change |")
    print("|---|---|---|---|---|---|")
    for driver, marker in ACTING.items():
        cluster = means[marker].idxmax()
        size = sizes[cluster]
        if driver not in size:
            print(f"| {driver} | {cluster}, {marker} | {len(size)} | not among them | | |")
            continue
        inside = (adata.obs["cluster"] == cluster).to_numpy()
        change = ttest_ind(shares.loc[inside, size.index], shares.loc[~inside, size.index], equal_var=False).statistic
        scores = (size, means.loc[cluster, size.index], pd.Series(np.abs(change), index=size.index))
        places = " | ".join(f"{score.rank(ascending=False)[driver]:.0f}" for score in scores)
        print(f"| {driver} | {cluster}, {marker} | {len(size)} | {places} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("speed", "size", "start", "pancreas"), default="speed")
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--regulators", type=int, default=100)
    parser.add_argument("--data")
    parser.add_argument("--prior")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--parts")
    asked = parser.parse_args()
    if asked.part == "speed":
        speed()
    elif asked.part == "start":
        grn.settings.verbosity = "error"
        start()
    elif asked.part == "pancreas":
        grn.settings.verbosity = "error"
        pancreas(asked.data, asked.prior, asked.steps, asked.parts)
    else:
        size(asked.cells, asked.genes, asked.regulators)


if __name__ == "__main__":
    main()
