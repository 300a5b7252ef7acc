"""Speed of the probes: dual passes against forward passes, other ways to the same numbers, and the machine.

python benchmarks/speed.py [--quick] [--models mini "scGPT shape"] [--threads 2]

Every model runs in a process of its own, so that peak memory is its own, and so does every number of regulators. Calls
that are compared take turns. Workers are measured by ``benchmarks/cluster.py``, whose table comes last.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import grn
from grn._core.markdown import markdown_table
from grn._kernels import products
from grn._kernels.attention import attend, attend_dual
from grn.models.protocol import virtual_cell

PANEL = 1000


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    repeats
        Times every call is made.
    sources
        Regulators of a whole probe.
    pairs
        Backward passes that stand for all.
    panels
        Panel lengths.
    squares
        Sides of the square matrices whose product is the measure of the machine.
    regulators
        Numbers of regulators of a probe into a store.
    """

    repeats: int
    sources: int
    pairs: int
    panels: tuple[int, ...]
    squares: tuple[int, ...]
    regulators: tuple[int, ...]


FULL = Effort(9, 8, 8, (250, 500, 1000, 2000), (512, 1024, 1536, 2048, 3072, 4096), (50, 100, 200, 400))
QUICK = Effort(3, 2, 2, (250, 500), (512, 1024, 2048), (16, 64))


@dataclass(frozen=True)
class Case:
    """A model, how many virtual cells go through it at a time, and the heads and head size of its attention."""

    model: Callable[[], Any]
    batch: int
    heads: int
    size: int


def scgpt() -> Any:
    """Random weights in the shape of scGPT, for the genes of mini."""
    genes = grn.models.load("mini").genes
    return grn.models.untrained("scgpt", genes=genes, layers=12, width=512, heads=8, feedforward=512)


CASES = {"mini": Case(lambda: grn.models.load("mini"), 4, 2, 64), "scGPT shape": Case(scgpt, 1, 8, 64)}


def in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of every call; they take turns, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def peak_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss of a child starts where its parent was
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 2**20
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def blas_alone() -> Any:
    """Context in which products do not go to oneDNN."""
    return mock.patch.object(products, "_ONEDNN", None)


def cells(model: Any, length: int, batch: int) -> tuple[Any, Tensor, Tensor]:
    """A panel of which all genes are targets, virtual cells and one-hot tangents."""
    genes = list(model.source_genes)[:length]
    model.max_genes = max(model.max_genes, length)
    panel = model.panel(genes[: length // 10], genes)
    values = virtual_cell(model, panel).repeat(batch, 1)
    tangents = torch.zeros_like(values)
    where = torch.arange(batch), panel.src_pos[:batch]
    values[where], tangents[where] = model.value_scale.gradient_grid[3], 1.0
    return panel, values, tangents


def passes(model: Any, length: int, batch: int) -> dict[str, Callable[[], object]]:
    """A forward and a dual pass."""
    panel, values, tangents = cells(model, length, batch)
    return {
        "forward": lambda: model.respond(panel, values),
        "dual": lambda: model.respond_dual(panel, values, tangents),
    }


def flops(model: Any, length: int) -> tuple[float, float]:
    """Floating point operations of the matrix products of a forward and of a dual pass of one virtual cell.

    A tangent doubles the products of linear layers and trebles those of attention.
    """

    def attention(q: tuple[int, ...], k: tuple[int, ...], *rest: Any, **more: Any) -> int:
        return 4 * math.prod(q) * k[-2]

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    panel, values, _ = cells(model, length, 1)
    # what reverse mode records goes through torch's own layers, which the counter knows
    with FlopCounterMode(display=False, custom_mapping={kernel: attention}) as counter:
        model.respond(panel, values.requires_grad_())
    counts = counter.get_flop_counts()["Global"]
    attended = counts.pop(kernel, 0)
    linear = sum(counts.values())
    return linear + attended, 2 * linear + 3 * attended


def largest(squares: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Highest rate of a product of square matrices, GFLOP/s, by torch.mm and by oneDNN where layers go to it."""
    best = {"torch.mm": 0.0, "oneDNN": 0.0}
    for n in squares:
        a, b = torch.randn(n, n), torch.randn(n, n)
        calls: dict[str, Callable[[], object]] = {"torch.mm": lambda a=a, b=b: torch.mm(a, b)}
        if products.wide(a, b):
            calls["oneDNN"] = lambda a=a, b=b: products.product(a, b)
        for name, seconds in in_turn(calls, repeats).items():
            best[name] = max(best[name], 2e-9 * n**3 / seconds)
    return best


def backward(model: Any, length: int, pairs: int) -> dict[str, float]:
    """Seconds of a recorded forward pass with one backward pass, and of the backward pass alone."""
    panel, values, _ = cells(model, length, 1)
    whole, alone = [], []
    with torch.enable_grad():
        for i in range(pairs + 1):
            start = time.perf_counter()
            point = values.clone().requires_grad_()
            out = model.respond(panel, point)
            middle = time.perf_counter()
            torch.autograd.grad(out[0, i], point)
            whole.append(time.perf_counter() - start)
            alone.append(time.perf_counter() - middle)
    return {"pair": statistics.median(whole[1:]), "backward": statistics.median(alone[1:])}


def unblocked(case: Case, length: int, repeats: int) -> float:
    """Dual attention by the plain formula under forward mode of torch, over ours."""
    tensors = [torch.randn(case.batch, case.heads, length, case.size) for _ in range(6)]

    def formula(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(case.size), dim=-1) @ v

    calls: dict[str, Callable[[], object]] = {
        "formula": lambda: torch.func.jvp(formula, tuple(tensors[:3]), tuple(tensors[3:])),
        "ours": lambda: attend_dual(*tensors),
        "plain": lambda: attend(*tensors[:3]),
    }
    found = in_turn(calls, repeats)
    return found["formula"] / found["ours"]


def probes(model: Any, sources: int, repeats: int) -> dict[str, float]:
    """Seconds per regulator and grid point of whole probes of ``PANEL`` genes, per dual pass in the same turns."""
    genes = list(model.source_genes)[:PANEL]
    adata = ad.AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    grid = list(model.value_scale.gradient_grid)
    given: dict[str, Any] = {"model": model, "sources": genes[:sources], "grid": grid, "progress": False}
    found = in_turn(
        {
            "vvp": lambda: grn.tl.vvp(adata, **given),
            "gradient": lambda: grn.tl.gradient_trajectory(adata, **given),
            "both": lambda: grn.tl.probe(adata, **given),
        },
        max(1, repeats // 3),
    )
    return {name: seconds / (sources * len(grid)) for name, seconds in found.items()}


def growth(sources: int) -> dict[str, float]:
    """Seconds and memory, GiB, of both probes of ``mini`` at one grid point into a store, after a first regulator."""
    model = grn.models.load("mini")
    genes = list(model.source_genes)[:PANEL]
    adata = ad.AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    given: dict[str, Any] = {"model": model, "grid": list(model.value_scale.gradient_grid[:1]), "progress": False}
    before = peak_gib()
    grn.tl.probe(adata.copy(), sources=genes[:1], **given)
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        grn.tl.probe(adata, sources=genes[:sources], store=folder, **given)
        return {"seconds": time.perf_counter() - start, "before": before, "peak": peak_gib()}


def measure(name: str, effort: Effort) -> dict[str, Any]:
    """All figures of one model, seconds per virtual cell."""
    case = CASES[name]
    model = case.model()
    found: dict[str, Any] = {"rate": largest(effort.squares, effort.repeats)}
    with torch.no_grad():
        by_panel = {}
        for length in {*effort.panels, PANEL}:
            times = in_turn(passes(model, length, case.batch), effort.repeats)
            by_panel[length] = {kind: seconds / case.batch for kind, seconds in times.items()}
        with blas_alone():
            times = in_turn(passes(model, PANEL, case.batch), effort.repeats)
        found["panels"] = by_panel
        found["blas"] = {kind: seconds / case.batch for kind, seconds in times.items()}
        found["unblocked"] = unblocked(case, PANEL, effort.repeats)
    found["flops"] = flops(model, PANEL)
    found["probes"] = probes(model, effort.sources, effort.repeats)
    found["peak"] = peak_gib()
    return found | backward(model, PANEL, effort.pairs)


def figures(found: dict[str, Any]) -> dict[str, str]:
    """The first table's column of a model."""
    times, rate = found["panels"][str(PANEL)], found["rate"]
    forward, dual, blas, probe = times["forward"], times["dual"], found["blas"], found["probes"]
    gflops = [1e-9 * count / seconds for count, seconds in zip(found["flops"], (forward, dual), strict=True)]
    alone = [1e-9 * count / blas[kind] for count, kind in zip(found["flops"], ("forward", "dual"), strict=True)]
    pairs = (PANEL - 1) * found["pair"]
    reverse = found["pair"] - found["backward"] + PANEL * found["backward"]
    share = [f"{100 * x / rate['torch.mm']:.0f} %" for x in (*gflops, *alone)]
    rows = {
        "forward pass": f"{1e3 * forward:.1f} ms",
        "dual pass": f"{1e3 * dual:.1f} ms",
        "dual / forward": f"{dual / forward:.2f}",
        "VVP and trajectory jointly, per grid point, in dual passes": f"{probe['both'] / dual:.2f}",
        "VVP and trajectory separately, per grid point, in dual passes": (
            f"{(probe['vvp'] + probe['gradient']) / dual:.2f}"
        ),
        "joint / separate": f"{probe['both'] / (probe['vvp'] + probe['gradient']):.2f}",
        "forward and backward pass of one pair": f"{1e3 * found['pair']:.1f} ms",
        "one such per pair and point / trajectory of ours (extrapolated)": f"{pairs / probe['gradient']:,.0f}",
        "one backward pass per target and point / trajectory of ours (extrapolated)": (
            f"{reverse / probe['gradient']:,.0f}"
        ),
        "dual attention by the plain formula / ours": f"{found['unblocked']:.1f}",
        "largest torch.mm": f"{rate['torch.mm']:.0f} GFLOP/s",
        "forward, dual": f"{gflops[0]:.0f}, {gflops[1]:.0f} GFLOP/s",
        "forward, dual / largest torch.mm": f"{share[0]}, {share[1]}",
    }
    if rate["oneDNN"]:
        wide = [f"{100 * x / rate['oneDNN']:.0f} %" for x in gflops]
        rows |= {
            "largest product of oneDNN": f"{rate['oneDNN']:.0f} GFLOP/s",
            "forward, dual / largest product of oneDNN": f"{wide[0]}, {wide[1]}",
            "without oneDNN: forward, dual pass": f"{1e3 * blas['forward']:.1f}, {1e3 * blas['dual']:.1f} ms",
            "without oneDNN: dual / forward": f"{blas['dual'] / blas['forward']:.2f}",
            "without oneDNN: forward, dual / largest torch.mm": f"{share[2]}, {share[3]}",
        }
    return rows | {"peak memory of the process": f"{found['peak']:.2f} GiB"}


HEAD = """# `python benchmarks/speed.py`

{machine}. Panels of {panel} genes, all of them targets; times per virtual cell, float32, {cells}. Calls that are
compared take turns; medians. Probes are `grn.tl.vvp`, `gradient_trajectory` and `probe` on one grid. Operations are
those of matrix products: linear layers count twice in a dual pass, attention three times.

"""


def grown(found: dict[int, dict[str, float]]) -> list[str]:
    """The table over numbers of regulators."""
    rows = []
    for n, values in found.items():
        memory = [f"{values['peak']:.2f} GiB", f"{values['peak'] - values['before']:.2f} GiB"]
        rows.append([n, f"{values['seconds']:.1f}", f"{1e3 * values['seconds'] / n:.1f}", *memory])
    head = ["regulators", "s", "ms per regulator", "peak memory", "of it above the loaded model"]
    title = f"\nBoth probes of `mini` at one grid point, {PANEL} genes, into a store:\n"
    return [title, markdown_table(head, rows)]


def report(found: dict[str, dict[str, Any]], growing: dict[int, dict[str, float]], machine: str) -> str:
    """The page."""
    columns = {name: figures(values) for name, values in found.items()}
    labels = list(dict.fromkeys(label for column in columns.values() for label in column))
    cells = ", ".join(f"{CASES[name].batch} at a time through {name}" for name in found)
    rows = [[label, *(column.get(label, "") for column in columns.values())] for label in labels]
    passes = []
    for name, values in found.items():
        for length, times in sorted(values["panels"].items(), key=lambda item: int(item[0])):
            forward, dual = 1e3 * times["forward"], 1e3 * times["dual"]
            passes.append([name, length, f"{forward:.1f}", f"{dual:.1f}", f"{dual / forward:.2f}"])
    tables = [
        markdown_table(["figure", *columns], rows),
        "",
        markdown_table(["model", "panel", "forward, ms", "dual, ms", "dual / forward"], passes),
    ]
    return HEAD.format(machine=machine, panel=PANEL, cells=cells) + "\n".join([*tables, *grown(growing)]) + "\n"


def separately(what: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Figures from a process of its own."""
    command = [sys.executable, __file__, *what, "--threads", str(args.threads), *["--quick"] * args.quick]
    found: dict[str, Any] = json.loads(output(command).splitlines()[-1])
    return found


def output(command: list[str]) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def workers(args: argparse.Namespace) -> str:
    """The page of ``benchmarks/cluster.py``."""
    sizes = ["--sources", "32", "--repeats", "1"] if args.quick else ["--sources", "256"]
    return output([sys.executable, str(Path(__file__).with_name("cluster.py")), *sizes])


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--quick", action="store_true", help="few repetitions and small panels, in a minute")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=list(CASES), help="measure one model in this process and print JSON")
    parser.add_argument("--grow", type=int, help="measure one number of regulators in this process and print JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "speed.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    effort = QUICK if args.quick else FULL
    if args.one or args.grow:
        print(json.dumps(measure(args.one, effort) if args.one else growth(args.grow)))
        return
    machine = f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}"
    found = {name: separately(["--one", name], args) for name in args.models}
    growing = {n: separately(["--grow", str(n)], args) for n in effort.regulators}
    text = f"{report(found, growing, machine)}\n{workers(args)}\n"
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__":
    main()
