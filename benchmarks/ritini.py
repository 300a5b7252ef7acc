"""RiTINI: seconds per epoch beside the plain formula, planted dynamics beside floors, and the path of the original.

    python benchmarks/ritini.py --part speed
    python benchmarks/ritini.py --part planted [--repeats 3]
    python benchmarks/ritini.py --part path --path PATH.npz [--genes 100]

The plain formula takes one window at a time through torch's own layers and automatic differentiation, as the original
does. Seconds are those of the processor, one thread. PATH.npz holds ``trajectory`` (points, genes) and ``genes``.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import torch
from torch.nn import functional

import grn
from grn._core.markdown import markdown_table
from grn._kernels.graph_ode import Graph, Parameters, random_start
from grn._kernels.graph_ode_fit import Aims
from grn._kernels.graph_ode_train import Schedule, Windows, train
from grn.bench import metrics

HISTORY, POINTS, STEPS = 5, 4, 3
# defaults were chosen on simulations before it
FIRST_SEED = 10


def slopes(parameters: dict, allowed: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slopes (G, H) of the states of one window, and attention (G, G)."""
    projected = state @ parameters["attention.weight"].T
    ends = projected @ parameters["attention.source"], projected @ parameters["attention.target"]
    scores = functional.leaky_relu(ends[0][None] + ends[1][:, None], 0.2).masked_fill(~allowed, -1e30)
    attention = torch.softmax(scores, dim=1) * allowed
    hidden = torch.tanh(attention @ projected + parameters["attention.bias"])
    for i in range(2):
        hidden = torch.tanh(functional.linear(hidden, parameters[f"drift.{i}.weight"], parameters[f"drift.{i}.bias"]))
    return functional.linear(hidden, parameters["drift.2.weight"], parameters["drift.2.bias"]), attention


def plain_course(parameters: dict, encoder: torch.nn.LSTM, allowed: torch.Tensor, history: torch.Tensor):
    """Values (P, G) that follow one history (L, G), and the last attention."""
    states, h = [encoder(history.T[:, :, None])[0][:, -1]], 0.1
    attention = None
    for _ in range(STEPS):
        z = states[-1]
        first, _ = slopes(parameters, allowed, z)
        second, _ = slopes(parameters, allowed, z + h * first / 3)
        third, _ = slopes(parameters, allowed, z + h * (second - first / 3))
        fourth, attention = slopes(parameters, allowed, z + h * (first - second + third))
        states.append(z + h / 8 * (first + 3 * second + 3 * third + fourth))
    weight, bias = parameters["decoder.0.weight"], parameters["decoder.0.bias"]
    inner = torch.tanh(functional.linear(torch.stack(states), weight, bias))
    return functional.linear(inner, parameters["decoder.1.weight"], parameters["decoder.1.bias"])[..., 0], attention


def plain_epoch(windows: Windows, allowed: torch.Tensor, start: dict, size: int) -> None:
    """One epoch, a window at a time."""
    parameters = {name: torch.tensor(values, dtype=torch.float32).requires_grad_() for name, values in start.items()}
    encoder = torch.nn.LSTM(1, 16, batch_first=True)
    optimizer = torch.optim.Adam([*parameters.values(), *encoder.parameters()], 1e-3)
    for begin in range(0, len(windows), size):
        rows = range(begin, min(begin + size, len(windows)))
        total = torch.zeros(())
        for row in rows:
            values, attention = plain_course(parameters, encoder, allowed, windows.histories[row])
            edges = attention[allowed]
            total = total + functional.mse_loss(values, windows.futures[row])
            total = total + 3e-4 * functional.binary_cross_entropy(attention, allowed.float())
            total = total - 5e-4 * (edges * edges.clamp_min(1e-12).log()).mean()
        optimizer.zero_grad()
        (total / len(rows)).backward()
        optimizer.step()


def own_epochs(windows: Windows, allowed: torch.Tensor, start: dict, size: int, n: int) -> None:
    """Some epochs of ours."""
    like = torch.zeros(())
    with torch.no_grad():
        graph, aims = Graph(allowed.numpy(), like), Aims(allowed.float(), first=0)
        train(Parameters.of(start, like), graph, windows, aims, Schedule(n, 1e-3, size), STEPS)


def seconds(work) -> float:
    """Processor seconds of a call, the smaller of two."""
    spent = []
    for _ in range(2):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def speed() -> None:
    """Print seconds per epoch."""
    rows = []
    for n_genes, n_points, n_edges in ((15, 60, 25), (100, 100, 500)):
        random = np.random.default_rng(0)
        pieces = random.normal(size=(n_points - 9, 10, n_genes)).astype(np.float32)
        windows = Windows(torch.tensor(pieces[:, :HISTORY]), torch.tensor(pieces[:, HISTORY + 1 :]))
        allowed = np.zeros((n_genes, n_genes), dtype=bool)
        pairs = np.flatnonzero(~np.eye(n_genes, dtype=bool))
        allowed.ravel()[random.choice(pairs, n_edges, replace=False)] = True
        mask, start = torch.tensor(allowed), random_start(0)
        before = seconds(partial(plain_epoch, windows, mask, start, 4))
        for size in (4, 16, len(windows)):
            n = 5 if n_genes < 50 else 1
            after = seconds(partial(own_epochs, windows, mask, start, size, n)) / n
            rows.append([n_genes, len(windows), size, f"{before:.2f}", f"{after:.3f}", f"{before / after:.0f}"])
    print(markdown_table(["genes", "windows", "windows per step", "plain, s", "grn, s", "times"], rows))


def planted(repeats: int) -> None:
    """Print areas under precision and recall of all pairs of a regulator and a gene."""
    seeds = range(FIRST_SEED, FIRST_SEED + repeats)
    runs = [areas(seed) for seed in seeds]
    rows = [[name, *(f"{run[name]:.2f}" for run in runs)] for name in runs[0]]
    print(markdown_table(["", *(f"simulation {seed}" for seed in seeds)], rows))


def areas(seed: int) -> dict[str, float]:
    """Areas of one simulation, by what pairs are ordered by."""
    adata = grn.datasets.toy_dynamics(n_cells=600, rng=seed)
    grn.pp.trajectory(adata, pseudotime="time", lineages="lineage")
    sources, genes = list(adata.var_names[adata.var["is_regulator"]]), list(adata.var_names)
    other = np.array([[source != gene for gene in genes] for source in sources])

    def matrix(table: pd.DataFrame, column: str | None = None) -> np.ndarray:
        values = table[column].to_numpy() if column else np.ones(len(table))
        ends = [table["source"].astype(str), table["target"].astype(str)]
        return pd.Series(values, index=ends).unstack().reindex(index=sources, columns=genes).fillna(0.0).to_numpy()

    truth, prior = matrix(adata.uns["truth"]) > 0, matrix(adata.uns["base_grn"])
    r = np.abs(np.nan_to_num(np.corrcoef(adata.X.toarray().T)))[: len(sources)]
    shown = {
        "chance": np.zeros(other.shape),
        "prior alone": prior,
        "even share, 1 / number of sources in the prior": prior / np.maximum(prior.sum(axis=0), 1),
        "correlation": r,
        "correlation, pairs of the prior": r * prior,
    }
    listed = {"base_grn": adata.uns["base_grn"], "prior": "base_grn"}
    settings = {
        "base GRN": {**listed, "scale": "gene"},
        "base GRN, scale='all'": {**listed, "scale": "all"},
        "base GRN, permissive, scale='all'": {**listed, "permissive": True, "scale": "all"},
        "all pairs, scale='all'": {"prior": "full", "scale": "all"},
    }
    for name, arguments in settings.items():
        grn.tl.ritini(adata, **arguments, n_times=40, n_epochs=40)
        edges = adata.uns["ritini"]["edges"]
        shown[f"attention, {name}"] = matrix(edges, "weight")
        for column in ("relative", "importance", "effect"):
            values = matrix(edges, column)
            shown[f"{column}, {name}"] = np.abs(values) if column == "effect" else np.maximum(values, 0.0)
        told = adata.uns["ritini"]["params"]
        print(f"simulation {seed}, {name}: error {told['prediction_error']:.3f}, of no change {told['stay_error']:.3f}")
        effect = matrix(edges, "effect")
        there = truth & (effect != 0) & other
        sign = matrix(adata.uns["truth"], "sign")
        print(f"  signs of effect that are right: {(np.sign(effect) == sign)[there].mean():.2f}")
    return {name: metrics.auprc(truth[other], strength[other]) for name, strength in shown.items()}


def path(file: str, n_genes: int) -> None:
    """Run on a path that was made elsewhere, and print what that takes."""
    stored = np.load(file)
    values, genes = stored["trajectory"].astype(np.float64), stored["genes"].astype(str)
    chosen = np.sort(np.argsort(-values.var(axis=0), kind="stable")[:n_genes])
    adata = ad.AnnData(values[:, chosen], var=pd.DataFrame(index=genes[chosen]))
    adata.obs["point"] = np.arange(float(len(values)))
    grn.pp.trajectory(adata, pseudotime="point")
    rows = []
    for prior, threshold in (("granger", 30.0), ("granger", 200.0)):
        begin = time.process_time()
        everything = {"n_times": None, "sources": list(adata.var_names)}
        grn.tl.ritini(adata, prior=prior, prior_threshold=threshold, effects=False, n_epochs=30, **everything)
        told, spent = adata.uns["ritini"]["params"], time.process_time() - begin
        share = told["n_prior"] / (n_genes * (n_genes - 1))
        errors = [f"{told[name]:.4f}" for name in ("prediction_error", "stay_error")]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append([f"{prior}, {threshold:g}", f"{share:.0%}", *errors, f"{spent:.0f}", f"{peak:.1f}"])
    columns = ["prior", "pairs listed", "error", "error of no change", "seconds of 30 epochs", "peak memory, GB"]
    print(markdown_table(columns, rows))


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["speed", "planted", "path"], required=True)
    parser.add_argument("--repeats", type=int, default=3, help="number of simulations")
    parser.add_argument("--path", help="file with a path")
    parser.add_argument("--genes", type=int, default=100, help="number of the most variable genes")
    asked = parser.parse_args()
    grn.settings.verbosity = "error"
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if asked.part == "speed":
        speed()
    elif asked.part == "planted":
        planted(asked.repeats)
    else:
        path(asked.path, asked.genes)


if __name__ == "__main__":
    main()
