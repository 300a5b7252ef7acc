"""Speed of the probes on ``mini``: passes, both probes, the same with all other genes unknown, a naive backward pass.

python benchmarks/probes.py [--sources 100] [--genes 765] [--threads 2]
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch

import grn
from grn._core.markdown import markdown_table

_UNKNOWN = 'probe, background="unknown"'


def median_time(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call after one warm-up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def genes_of(model: grn.models.FoundationModel, sources: int, genes: int) -> tuple[list[str], list[str]]:
    """Regulators and genes the model knows, in an order that does not depend on the machine."""
    regulators = [g for g in model.source_genes if g in set(grn.datasets.tfs()["symbol"])][:sources]
    others = [g for g in model.target_genes if g not in set(regulators)]
    step = max(1, len(others) // (genes - sources))
    return regulators, sorted([*regulators, *others[::step][: genes - sources]])


def naive_seconds(model: grn.models.FoundationModel, panel: grn.models.Panel, pairs: int) -> float:
    """Seconds of one backward pass for one pair at one point, mean over a sample."""
    n = len(panel)
    start = time.perf_counter()
    for i in range(pairs):
        values = torch.zeros(1, n)
        values[0, panel.src_pos[i % len(panel.src_pos)]] = 1.0
        values.requires_grad_(requires_grad=True)
        torch.autograd.grad(model.respond(panel, values)[0, i % len(panel.tgt_pos)], values)
    return (time.perf_counter() - start) / pairs


def measure(sources: int, genes: int, repeats: int, pairs: int) -> dict[str, str]:
    """All figures of the table."""
    model = grn.models.load("mini")
    regulators, names = genes_of(model, sources, genes)
    panel = model.panel(regulators, names)
    batch = 16
    values, tangents = torch.zeros(batch, len(panel)), torch.zeros(batch, len(panel))
    tangents[torch.arange(batch), panel.src_pos[:batch]] = 1.0
    with torch.no_grad():
        forward = median_time(lambda: model.respond(panel, values), repeats) / batch
        dual = median_time(lambda: model.respond_dual(panel, values, tangents), repeats) / batch
    shown = values.clone().requires_grad_()
    recorded = median_time(lambda: model.respond(panel, shown), repeats) / batch
    response = model.respond(panel, shown)
    ones = torch.ones_like(response)
    backward = median_time(lambda: torch.autograd.grad(response, shown, ones, retain_graph=True), repeats) / batch
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    times = {}
    for name, call in (
        ("vvp", lambda: grn.tl.vvp(adata, sources=regulators)),
        ("gradient_trajectory", lambda: grn.tl.gradient_trajectory(adata, sources=regulators)),
        ("probe (both in one pass)", lambda: grn.tl.probe(adata, sources=regulators)),
        (_UNKNOWN, lambda: grn.tl.probe(adata, sources=regulators, background="unknown")),
    ):
        start = time.perf_counter()
        call()
        times[name] = time.perf_counter() - start
    memory = peak_gib()
    costs = {
        background: grn.tl.estimate_cost(adata, sources=regulators, background=background, calibrate=False)
        for background in ("fixed", "unknown")
    }
    work = {background: cost.flop for background, cost in costs.items()}
    naive = naive_seconds(model, panel, pairs)
    points = len(model.value_scale.gradient_grid)
    whole = naive * len(regulators) * (len(names) - 1) * points
    return {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "regulators x genes x points": f"{len(regulators)} x {len(names)} x {points}",
        "forward pass per virtual cell": f"{1e3 * forward:.1f} ms",
        "dual pass per virtual cell": f"{1e3 * dual:.1f} ms",
        "dual / forward": f"{dual / forward:.2f}",
        "recorded / forward, backward / forward": f"{recorded / forward:.2f}, {backward / forward:.2f}",
        **{f"grn.tl.{name}": f"{seconds:.1f} s" for name, seconds in times.items()},
        "vvp + gradient_trajectory, separately": f"{times['vvp'] + times['gradient_trajectory']:.1f} s",
        "unknown / fixed, both in one pass": f"{times[_UNKNOWN] / times['probe (both in one pass)']:.2f}",
        "unknown / fixed, operations": f"{work['unknown'] / work['fixed']:.3f}",
        "peak memory of the process": f"{memory:.2f} GiB",
        f"naive backward pass per pair and point ({pairs} sampled)": f"{1e3 * naive:.1f} ms",
        "naive gradient trajectory (extrapolated from the sample)": f"{whole / 3600:.1f} h",
        "naive / grn.tl.gradient_trajectory": f"{whole / times['gradient_trajectory']:.0f}",
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=100)
    parser.add_argument("--genes", type=int, default=765)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "probes.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(args.sources, args.genes, args.repeats, args.pairs)
    table = markdown_table(["figure", "value"], rows.items())
    print(table)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(f"# `python benchmarks/probes.py`\n\n{table}\n")


if __name__ == "__main__":
    main()
