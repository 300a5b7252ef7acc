"""What a GPU does to the figures of this package: one report in Markdown, in less than ten minutes.

python benchmarks/gpu.py [--device cuda] [--minutes 9] [--out benchmarks/results/gpu.md]
python benchmarks/gpu.py --device cpu --quick

It has attention with its derivative, by Triton and by blocks, against the forward pass of torch; passes and probes of a
model of the size of scGPT with random weights; of all that takes a device the seconds on both, and the largest
difference from the processor; steps of training per second. Without a GPU it says so and ends. ``--device cpu`` takes
torch on the processor for the GPU, and ``--quick`` makes everything small: it runs, and says nothing of speed. What
does not fit into ``--minutes`` is left out and named. It ends with status 1 if a part failed or results differ.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import sparse

import grn
from grn._core.device import resolve_device
from grn._core.errors import ParameterError
from grn._core.markdown import markdown_table
from grn._kernels import triton_attention
from grn._kernels.attention import attend_dual
from grn._kernels.pc_regression import coefficients, spectrum
from grn.methods import METHODS, Inputs, Task
from grn.methods.devices import device_of
from grn.methods.runner import run
from grn.models.protocol import virtual_cell

# bytes of scores of a block, which keeps attention from the kernel in Triton
BLOCK = 2**26
# what a difference may be, as a share of the largest value: of formulas in 64 and in 32 bits, and after training
EXACT, SINGLE, TRAINED = 1e-8, 1e-3, 2e-2
# in what is said of a device without such numbers
NO_DOUBLE = "64-bit numbers"

# at full size, and small
SIZES = {
    "lengths": ((256, 512, 1024, 2048), (32,)),
    "batch": (16, 2),
    "repeats": (5, 1),
    "model": ((12, 512, 8, 60_694), (2, 32, 2, 200)),  # layers, width, heads, genes
    "panels": ((250, 500, 1000), (24,)),
    "probed": ((50, 1000), (2, 24)),  # regulators, genes
    "cells": ((20_000, 400, 3_600), (200, 6, 24)),  # cells, regulators, targets
    "small": ((1_000, 50, 450), (120, 4, 12)),
    # between which training is timed
    "steps": (
        {"dictys": (20, 60), "flecs": (2, 6), "ritini": (2, 6), "linger": (20, 200)},
        {"dictys": (10, 30), "flecs": (1, 3), "ritini": (1, 3), "linger": (2, 40)},
    ),
}


@dataclass
class Report:
    """What is printed, and whether all of it is well."""

    device: str
    sizes: SimpleNamespace
    until: float
    well: bool = True

    def row(self, what: str, cells: Callable[[], list[str]], width: int) -> list[str]:
        """A row of a table; one that fails or comes too late says so."""
        if time.monotonic() > self.until:
            return [what, "left out: no time", *[""] * (width - 1)]
        try:
            return [what, *cells()]
        except Exception as error:  # noqa: BLE001 - the rest of the report is worth having
            self.well = self.well and NO_DOUBLE in str(error)  # of MPS, which is no failure
            told = (str(error).strip().splitlines() or [""])[0].replace("|", "/")
            return [what, f"failed: {type(error).__name__}: {told}", *[""] * (width - 1)]
        finally:
            gc.collect()
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()

    def verdict(self, difference: float, limit: float) -> str:
        """A difference and whether it is one that rounding explains."""
        close = bool(difference <= limit)
        self.well = self.well and close
        return f"{difference:.1e} {'(within' if close else '(**beyond**'} {limit:.0e})"


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    if device == "mps":
        torch.mps.synchronize()


def seconds(call: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of a call after one to warm up."""
    times = []
    for turn in range(repeats + 1):
        wait(device)
        start = time.perf_counter()
        call()
        wait(device)
        if turn or not repeats:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def apart(result: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference as a share of the largest value."""
    scale = np.nanmax(np.abs(wanted))
    return float(np.nanmax(np.abs(result - wanted)) / (scale if scale > 0 else 1.0))


def attention(report: Report) -> str:
    """Attention with its derivative against torch's forward pass."""
    sizes, rows = report.sizes, []
    for kind in (torch.float32, torch.bfloat16):
        for length in sizes.lengths:
            name = f"{length}, {str(kind).removeprefix('torch.')}"
            rows.append(report.row(name, partial(_attention, report, length, kind), 6))
    head = ["keys, type", "SDPA forward, ms", "Triton dual, ms", "blocks dual, ms", "Triton / SDPA", "blocks / SDPA"]
    told = f"{sizes.batch} cells, 8 heads of 64. Differences are those from the formula in 64 bits."
    if not triton_attention.available(torch.device(report.device)):
        told += " The kernel does not run here: it needs triton, and CUDA of compute capability 8 or higher."
    return f"{told}\n\n{markdown_table([*head, 'largest difference'], rows)}"


def _attention(report: Report, length: int, kind: torch.dtype) -> list[str]:
    device, sizes = report.device, report.sizes
    made = torch.Generator().manual_seed(length)
    given = [torch.randn(sizes.batch, 8, length, 64, generator=made) for _ in range(6)]
    tensors = [part.to(device, kind) for part in given]
    has_kernel = triton_attention.takes(tensors[0])
    times = {"SDPA": seconds(lambda: F.scaled_dot_product_attention(*tensors[:3]), device, sizes.repeats)}
    if has_kernel:
        times["Triton"] = seconds(lambda: triton_attention.dual_attention(*tensors), device, sizes.repeats)
    times["blocks"] = seconds(lambda: attend_dual(*tensors, block_bytes=BLOCK), device, sizes.repeats)
    # of one cell, from the numbers as they were rounded for the device
    cell = [part[:1] for part in tensors]
    wanted = attend_dual(*(part.cpu().double() for part in cell), block_bytes=BLOCK)
    ways = {"blocks": attend_dual(*cell, block_bytes=BLOCK)}
    if has_kernel:
        ways["Triton"] = triton_attention.dual_attention(*cell)
    limit = 3e-2 if kind is torch.bfloat16 else SINGLE
    told = []
    for way, result in ways.items():
        pairs = zip(result, wanted, strict=True)
        difference = max(apart(one.cpu().double().numpy(), two.numpy()) for one, two in pairs)
        told.append(f"{way} {report.verdict(difference, limit)}")
    ms = [1e3 * times.get(name, np.nan) for name in ("SDPA", "Triton", "blocks")]
    shown = [*ms, ms[1] / ms[0], ms[2] / ms[0]]
    return [*("-" if np.isnan(value) else f"{value:.2f}" for value in shown), ", ".join(told)]


def untrained(sizes: SimpleNamespace) -> Any:
    """Random weights in the shape of scGPT."""
    layers, width, heads, n_genes = sizes.model
    names = [*grn.models.load("mini").genes, *(f"GENE{i}" for i in range(n_genes))][:n_genes]
    return grn.models.untrained("scgpt", genes=names, layers=layers, width=width, heads=heads, feedforward=width)


def passes(report: Report) -> str:
    """Forward and dual passes of a model of the size of scGPT."""
    model = untrained(report.sizes)
    rows = []
    for length in report.sizes.panels:
        for device, batch in (("cpu", 1), (report.device, report.sizes.batch)):
            row = partial(_passes, model, length, device, batch, report.sizes.repeats if batch > 1 else 1)
            rows.append(report.row(f"{length}, {device}, {batch} cells at a time", row, 5))
    head = ["panel", "forward, ms per cell", "dual, ms per cell", "dual / forward", "hours", "peak of the GPU, GiB"]
    layers, width, heads, _ = report.sizes.model
    told = "Hours are those of dual passes for 1 600 regulators x 8 points x 5 000 genes, half of a panel targets."
    table = markdown_table(head, rows)
    n_sources, n_genes = report.sizes.probed

    def called(name: str) -> list[str]:
        taken = seconds(lambda: probe(name, model, (n_sources, n_genes), report.device), report.device, 0)
        return [f"{taken:.1f}", f"{taken / n_sources:.3f}"]

    rows = [report.row(f"grn.tl.{name}", partial(called, name), 2) for name in ("vvp", "gradient_trajectory")]
    whole = markdown_table([f"{n_sources} regulators x {n_genes} genes, {report.device}", "s", "s per regulator"], rows)
    return f"{layers} layers x {width}, {heads} heads, 32 bits. {told}\n\n{table}\n\n{whole}"


def _passes(model: Any, length: int, device: str, batch: int, repeats: int) -> list[str]:
    model = model.to(torch.device(device))
    names = list(model.source_genes)[:length]
    panel = model.panel(names[: length // 2], names[length // 2 :])
    values = virtual_cell(model, panel).repeat(batch, 1)
    tangents = torch.zeros_like(values)
    values[:, 0] = model.value_scale.gradient_grid[3]
    tangents[:, 0] = 1.0
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    with torch.no_grad():
        forward = seconds(lambda: model.respond(panel, values), device, repeats) / batch
        dual = seconds(lambda: model.respond_dual(panel, values, tangents), device, repeats) / batch
    hours = 1600 * 8 * np.ceil(5000 / (length / 2)) * dual / 3600
    peak = f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f}" if device.startswith("cuda") else "-"
    return [f"{1e3 * forward:.1f}", f"{1e3 * dual:.1f}", f"{dual / forward:.2f}", f"{hours:.1f}", peak]


def simulated(n_cells: int, n_regulators: int, n_targets: int) -> ad.AnnData:
    """Counts around a few factors, along a course in time."""
    rng = np.random.default_rng(0)
    n_genes = n_regulators + n_targets
    along = np.sort(rng.random(n_cells))
    factors = np.column_stack([along, rng.normal(size=(n_cells, 7))])
    rates = np.exp(factors @ rng.normal(0.0, 0.3, (8, n_genes)) + rng.normal(0.5, 0.7, n_genes))
    counts = sparse.csr_matrix(rng.poisson(rates).astype(np.float32))
    adata = ad.AnnData(counts, obs=pd.DataFrame({"time": along}, index=[f"cell{i}" for i in range(n_cells)]))
    adata.var_names = [f"GENE{i}" for i in range(n_genes)]
    adata.var["is_regulator"] = np.arange(n_genes) < n_regulators
    grn.pp.trajectory(adata, pseudotime="time")
    return adata


def weights(name: str, cells: ad.AnnData, device: str | None, **params: Any) -> pd.Series:
    """Weights that a method gives all its pairs; the device goes past what users may ask for, to torch on a CPU."""
    where = device if device in (None, "cpu") else device_of(METHODS[name], device)
    inputs = Inputs(cells, Task(device=where, show=False, values="counts"))
    return of_pairs(run(inputs, METHODS[name], params).network.edges)


def of_pairs(edges: pd.DataFrame) -> pd.Series:
    """Weights by source and target."""
    pairs = pd.MultiIndex.from_arrays([edges["source"].astype(str), edges["target"].astype(str)])
    return pd.Series(edges["weight"].to_numpy(dtype=np.float64), index=pairs)


def linger(mdata: Any, device: str | None, n_epochs: int) -> pd.Series:
    """Weights of LINGER; torch computes on both."""
    options = {"starts": mdata.uns["starts"], "window": 60_000, "motifs": None, "n_epochs": n_epochs}
    grn.tl.linger(mdata, device=device or "cpu", progress=False, **options)
    return of_pairs(mdata.uns["linger"]["edges"])


def components(cells: ad.AnnData, device: str | None) -> np.ndarray:
    """Every gene regressed on the components of the others."""
    values = np.log1p(cells.X[: min(500, cells.n_obs)].toarray())
    return coefficients(spectrum(values, device=device), device=device)


def probe(name: str, model: Any, sizes: tuple[int, int], device: str | None) -> np.ndarray:
    """Features of a probe over a panel."""
    n_sources, n_genes = sizes
    names = list(model.source_genes)[:n_genes]
    adata = ad.AnnData(np.zeros((0, n_genes), dtype=np.float32), var=pd.DataFrame(index=names))
    getattr(grn.tl, name)(adata, model=model, sources=names[:n_sources], device=device or "cpu", progress=False)
    return np.asarray(adata.varm[name])


def computed(sizes: SimpleNamespace) -> Iterator[tuple[str, Callable[[str | None], Any], float]]:
    """What takes a device: its name, a function of the device, and by how much results may differ."""
    large, small = simulated(*sizes.cells), simulated(*sizes.small)
    regulators, genes = (small.var_names[part].tolist() for part in (small.var["is_regulator"], slice(None)))
    pairs = pd.MultiIndex.from_product([regulators, genes], names=["source", "target"]).to_frame(index=False)
    pairs = pairs[pairs["source"] != pairs["target"]].sample(frac=0.3, random_state=0)
    prior = {"prior": pairs.assign(probability=0.5), "strength": 0.5, "alpha": 0.1}
    fits = {
        "dictys": {"n_steps": sizes.steps["dictys"][0], "base_grn": pairs},
        "flecs": {"n_epochs": sizes.steps["flecs"][0], "n_ensemble": 2, "smooth": False, "base_grn": pairs},
        "ritini": {"prior": "full", "n_epochs": sizes.steps["ritini"][0], "n_times": 40, "effects": False},
    }
    yield "correlation", partial(weights, "correlation", large), EXACT
    yield "correlation, Spearman", lambda device: weights("correlation", large, device, kind="spearman"), EXACT
    yield "ridge", partial(weights, "ridge", large), EXACT
    yield "ridge with a base GRN", lambda device: weights("ridge", small, device, base_grn=pairs), EXACT
    yield "prior_ridge", lambda device: weights("prior_ridge", small, device, **prior), EXACT
    yield "PC regression of scRank", partial(components, large), EXACT
    yield "scrank", partial(weights, "scrank", small), EXACT
    for name, params in fits.items():
        yield name, lambda device, name=name, params=params: weights(name, small, device, **params), TRAINED
    mdata = grn.datasets.toy_multiome(n_cells=sizes.small[0], n_regulators=4, n_targets=sizes.small[1])
    yield "linger", lambda device: linger(mdata, device, sizes.steps["linger"][0]), TRAINED
    model = untrained(sizes)
    few = (2, min(200, sizes.probed[1]))
    for name in ("vvp", "gradient_trajectory"):
        yield f"{name}, scGPT size", lambda device, name=name: probe(name, model, few, device), SINGLE


def agreement(report: Report) -> str:
    """Seconds on both, and by how much results differ."""
    given = computed(report.sizes)
    rows = [report.row(name, partial(_agreement, report, call, limit), 4) for name, call, limit in given]
    (n, s, t), (n_few, s_few, t_few) = report.sizes.cells, report.sizes.small
    told = f"{n} cells x {s + t} genes, {s} of them regulators; what solves or trains a system per target, and scRank, "
    told += f"on {n_few} x {s_few + t_few}, {s_few}."
    head = ["", "CPU, s", f"{report.device}, s", "CPU / device", "largest difference, share of the largest value"]
    return f"{told} Whole calls, reading of cells included.\n\n{markdown_table(head, rows)}"


def _agreement(report: Report, call: Callable[[str | None], Any], limit: float) -> list[str]:
    call(report.device)
    results: list[Any] = []
    times = [seconds(lambda d=d: results.append(call(d)), report.device, 0) for d in (None, report.device)]
    if isinstance(results[0], pd.Series):
        results = [part.fillna(0.0).to_numpy() for part in results[0].align(results[1], fill_value=0.0)]
    shown = [f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[0] / times[1]:.2f}"]
    return [*shown, report.verdict(apart(results[1], results[0]), limit)]


def training(report: Report) -> str:
    """Steps of training per second: what more steps take, divided by their number."""
    small = simulated(*report.sizes.small)
    mdata = grn.datasets.toy_multiome(n_cells=report.sizes.small[0], n_regulators=4, n_targets=report.sizes.small[1])
    networks = {"n_ensemble": 5, "smooth": False, "velocity": False}
    course = {"prior": "full", "n_times": 40, "effects": False}
    ways: dict[str, Callable[[str | None, int], Any]] = {
        "dictys": lambda device, n: weights("dictys", small, device, n_steps=n, tolerance=None),
        "flecs": lambda device, n: weights("flecs", small, device, n_epochs=n, **networks),
        "ritini": lambda device, n: weights("ritini", small, device, n_epochs=n, **course),
        "linger": lambda device, n: linger(mdata, device, n),
    }
    rows = [report.row(name, partial(_training, report, ways[name], report.sizes.steps[name]), 3) for name in ways]
    head = ["", "CPU, steps per s", f"{report.device}, steps per s", "device / CPU"]
    return f"A step of all but Dictys is a round over all paths, windows or metacells.\n\n{markdown_table(head, rows)}"


def _training(report: Report, call: Callable[[str | None, int], Any], steps: tuple[int, int]) -> list[str]:
    rates = []
    for device in (None, report.device):
        few, many = (seconds(lambda d=device, n=n: call(d, n), report.device, 0) for n in steps)
        rates.append((steps[1] - steps[0]) / (many - few) if many > few else np.nan)
    shown = [f"{rate:.2f}" if np.isfinite(rate) else "too few to tell" for rate in rates]
    return [*shown, f"{rates[1] / rates[0]:.2f}" if np.isfinite(rates).all() else "-"]


def machine(device: str) -> str:
    """What it ran on."""
    told = f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, {platform.system()}"
    if not device.startswith("cuda"):
        return told
    gpu = torch.cuda.get_device_properties(torch.device(device))
    return f"{told}, {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, compute {gpu.major}.{gpu.minor}"


def chosen(asked: str) -> str:
    """The device asked for, or the one that is there."""
    try:
        there = str(resolve_device(asked))
    except ParameterError as error:
        raise SystemExit(str(error)) from None
    if asked == "auto" and there == "cpu":
        raise SystemExit(
            "no GPU: torch sees neither CUDA nor MPS, so there is nothing to measure. Run this where there is one, "
            "with a torch that was built for it, or pass --device cpu --quick to see that it runs."
        )
    return there


PARTS = {
    "Attention": attention,
    "Passes of a model of the size of scGPT": passes,
    "Agreement with the processor": agreement,
    "Training": training,
}


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, mps, or cpu to try it")
    parser.add_argument("--quick", action="store_true", help="everything small; says nothing of speed")
    parser.add_argument("--minutes", type=float, default=9.0, help="parts that would begin later are left out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.md")
    args = parser.parse_args()
    grn.settings.verbosity = "error"
    sizes = SimpleNamespace(**{name: both[args.quick] for name, both in SIZES.items()})
    report = Report(chosen(args.device), sizes, time.monotonic() + 60 * args.minutes)
    pieces = [f"# `{' '.join(['python benchmarks/gpu.py', *sys.argv[1:]])}`", machine(report.device)]
    if args.quick:
        pieces.append("Small sizes: the times below say nothing.")
    print("\n\n".join(pieces), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for title, part in PARTS.items():
        pieces.append(f"## {title}\n\n{part(report)}")
        print(f"\n{pieces[-1]}", flush=True)
        args.out.write_text("\n\n".join(pieces) + "\n")
    if not report.well:
        raise SystemExit("a part failed, or results differ by more than rounding: see above.")


if __name__ == "__main__":
    main()
