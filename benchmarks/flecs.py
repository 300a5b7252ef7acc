"""FLeCS: seconds per round against the plain formula, signs by where the fit starts, and a run on mouse pancreas.

    python benchmarks/flecs.py --part speed
    python benchmarks/flecs.py --part start [--repeats 3] [--first-seed 100]
    python benchmarks/flecs.py --part pancreas --data FILE.h5ad --prior FILE.parquet [--root-gene Sox9]
        [--networks 5] [--rounds 50] [--paths 1000]

``speed``: processor seconds of a round of training of one network on planted paths. The plain formula gathers
expression along edges and adds it up by target, and is solved by dopri5 of torchdiffeq at the tolerances of the
original (1e-7, 1e-9), for all paths of a step at once or one after the other.
``start``: share of right signs among planted edges of `toy_dynamics`, and correlation of predicted responses with
those of the simulator, with rates of decay that start as in the original and as here.
``pancreas``: seconds, peak memory, the loss beside that of cells that stay as they start, and whether the regulators
whose weights are largest are known ones of the endocrine pancreas.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import torch

import grn
from grn._core.markdown import markdown_table
from grn._kernels.edge_product import Edges
from grn._kernels.gene_ode import Parameters, Solver, Training, train
from grn.methods.flecs import equation
from grn.methods.flecs.starts import in_order

# genes, edges, paths, cells of a path, paths of a step
SIZES = ((20, 114, 40, 3, 8), (300, 3_000, 64, 5, 32))
KNOWN = (
    "Neurog3",
    "Neurod1",
    "Pax4",
    "Pax6",
    "Arx",
    "Pdx1",
    "Nkx6-1",
    "Nkx2-2",
    "Isl1",
    "Mafb",
    "Insm1",
    "Sox9",
    "Hes1",
)


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def plain_round(values: torch.Tensor, paths: torch.Tensor, edges: Edges, start: Parameters, n_paths: int, *, one: bool):
    """A round of the plain formula."""
    from torchdiffeq import odeint

    weights, bias, decay = (part[0].clone().requires_grad_() for part in start)
    optimiser = torch.optim.Adam((weights, bias, decay), lr=0.005)

    def slopes(_: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        arrived = torch.zeros_like(x).index_add(1, edges.target, x[:, edges.source] * weights)
        return torch.sigmoid(arrived + bias) - decay * x

    def course(x: torch.Tensor) -> torch.Tensor:
        return odeint(slopes, x, torch.arange(paths.shape[1], dtype=x.dtype), rtol=1e-7, atol=1e-9)

    for step in range(0, len(paths), n_paths):
        cells = values[paths[step : step + n_paths]]  # (B, L, G)
        parts = cells.split(1) if one else (cells,)
        loss = sum((course(part[:, 0]) - part.transpose(0, 1)).square().sum() for part in parts) / cells.numel()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def speed() -> pd.DataFrame:
    """Seconds of a round."""
    return pd.DataFrame([timed(*size) for size in SIZES])


def timed(n_genes: int, n_edges: int, n: int, length: int, n_paths: int) -> dict[str, object]:
    """Seconds of a round of one size."""
    rng = np.random.default_rng(0)
    pairs = rng.choice(n_genes * n_genes, n_edges, replace=False)
    edges = Edges(*torch.as_tensor(np.stack(np.divmod(pairs, n_genes))), n_genes)
    values = torch.as_tensor(rng.uniform(0, 2, (n * length, n_genes)), dtype=torch.float32)
    paths = torch.arange(n * length).reshape(n, length)
    draws = (0.01 * rng.normal(size=n_edges), 0.01 * rng.normal(size=n_genes), rng.gamma(2, 0.1, n_genes))
    begin = Parameters(*(torch.as_tensor(part[None], dtype=torch.float32) for part in draws))

    def ours(solver: Solver, networks: int = 1) -> float:
        several = Parameters(*(part.expand(networks, -1) for part in begin))
        training, order = Training(1, 0.005, n_paths), lambda _: in_order(networks, n)
        return seconds(lambda: train(values, paths, edges, several, training, solver, order))

    ours(Solver(step=0.5))  # the first call of torch takes longer
    return {
        "genes, edges, paths x cells": f"{n_genes}, {n_edges}, {n} x {length}",
        "ours": ours(Solver(step=0.5)),
        "ours, 5 networks": ours(Solver(step=0.5), 5),
        "ours, dopri5": ours(Solver("dopri5")),
        "plain": seconds(lambda: plain_round(values, paths, edges, begin, n_paths, one=False)),
        "plain, path by path": seconds(lambda: plain_round(values, paths, edges, begin, n_paths, one=True)),
    }


def branched(seed: int) -> ad.AnnData:
    """Simulated cells on two lineages."""
    adata = grn.datasets.toy_dynamics(n_cells=600, rng=seed)
    early = adata.obs["time"] < 0.25 * adata.obs["time"].max()
    lineages = {label: early | (adata.obs["lineage"] == label) for label in adata.obs["lineage"].cat.categories}
    grn.pp.trajectory(adata, pseudotime="time", lineages=pd.DataFrame(lineages))
    return adata


def judged(adata: ad.AnnData) -> tuple[float, float]:
    """Share of right signs, and mean correlation of responses."""
    edges = adata.uns["flecs"]["edges"].astype({"source": str, "target": str})
    true = adata.uns["truth"].astype({"source": str, "target": str})[["source", "target", "sign"]]
    both = edges[["source", "target", "weight"]].merge(true, on=["source", "target"])
    response = adata.uns["knockouts"]
    change = grn.tl.predict_knockout(adata, genes=list(response.index), key="flecs", difference=True)
    last = change.index.get_level_values("time").max()
    mean = change.xs(last, level="time").groupby(level="knockout").mean()
    others = {gene: [name for name in mean if name != gene] for gene in response.index}
    r = [np.corrcoef(mean.loc[gene, names], response.loc[gene, names])[0, 1] for gene, names in others.items()]
    return float((np.sign(both["weight"]) == both["sign"]).mean()), float(np.nanmean(r))


def start(repeats: int, first_seed: int) -> pd.DataFrame:
    """Signs and responses by the rates of decay where fits start."""
    rows = []
    ours = equation.FASTER
    for label, shape in (("0.2, as in the original", equation.ORIGINAL), ("0.8", ours)):
        found = []
        for seed in range(first_seed, first_seed + repeats):
            adata = branched(seed)
            equation.FASTER = shape
            grn.tl.flecs(adata, base_grn=adata.uns["base_grn"], n_ensemble=3, progress=False)
            found.append(judged(adata))
        equation.FASTER = ours
        rows.append(
            {
                "mean decay at the start": label,
                **dict(zip(("right signs", "knock-out r"), np.mean(found, axis=0), strict=True)),
            }
        )
    return pd.DataFrame(rows)


def pancreas(data: str, prior: str, root_gene: str, size: dict[str, int]) -> pd.DataFrame:
    """Endocrine development of the mouse, from ducts to hormone cells."""
    import scanpy as sc

    adata = ad.read_h5ad(data)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=30, random_state=0)
    sc.pp.neighbors(adata, n_neighbors=30, random_state=0)
    sc.tl.diffmap(adata)
    level = np.asarray((adata.obsp["connectivities"] @ adata[:, root_gene].X).todense()).ravel()
    adata.uns["iroot"] = int(level.argmax())
    sc.tl.dpt(adata)
    adata = adata[np.isfinite(adata.obs["dpt_pseudotime"])].copy()
    grn.pp.trajectory(adata, pseudotime="dpt_pseudotime")
    table = grn.pp.base_grn(prior, adata=adata)
    begin = time.perf_counter(), time.process_time()
    grn.tl.flecs(adata, base_grn=table, **size, progress=False)
    wall, processor = time.perf_counter() - begin[0], time.process_time() - begin[1]
    entry = adata.uns["flecs"]
    edges = entry["edges"].astype({"source": str, "target": str})
    strength = edges["weight"].abs().groupby(edges["source"]).mean().sort_values(ascending=False)
    expression = pd.Series(np.asarray(adata.X.mean(axis=0)).ravel(), adata.var_names)[strength.index]
    known = [gene for gene in KNOWN if gene in strength.index]
    place = {
        name: scores.rank(pct=True)[known].mean()
        for name, scores in (("mean weight", strength), ("expression", expression))
    }
    params = entry["params"]
    return pd.DataFrame(
        [
            ("cells, genes, edges", f"{adata.n_obs}, {len(entry['genes'])}, {len(edges)}"),
            (
                "networks, rounds, paths x cells",
                f"{params['n_ensemble']}, {params['n_epochs']}, {params['n_paths']} x {params['n_bins']}",
            ),
            ("seconds (processor)", f"{wall:.0f} ({processor:.0f})"),
            ("peak memory, GB", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}"),
            ("loss, and that of cells that stay", f"{params['loss']:.4f}, {params['loss_still']:.4f}"),
            ("median stability", f"{edges['stability'].median():.2f}"),
            (f"mean percentile of {len(known)} of {len(strength)} regulators that are known, by mean weight",
             f"{place['mean weight']:.2f}"),
            ("the same by their expression", f"{place['expression']:.2f}"),
            ("first regulators", ", ".join(strength.index[:8])),
        ],
        columns=["", "value"],
    )  # fmt: skip


def main() -> None:
    """Print the table of a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("speed", "start", "pancreas"), default="speed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--data")
    parser.add_argument("--prior")
    parser.add_argument("--root-gene", default="Sox9")
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--paths", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.part == "speed":
        table = speed()
    elif arguments.part == "start":
        table = start(arguments.repeats, arguments.first_seed)
    else:
        size = {"n_ensemble": arguments.networks, "n_epochs": arguments.rounds, "max_paths": arguments.paths}
        table = pancreas(arguments.data, arguments.prior, arguments.root_gene, size)
    rows = [
        [f"{cell:.3g}" if isinstance(cell, float) else cell for cell in row] for row in table.to_numpy(dtype=object)
    ]
    print(markdown_table(list(table.columns), rows))


if __name__ == "__main__":
    main()
