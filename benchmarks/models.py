"""Cost of the published models at their published sizes, with random weights.

python benchmarks/models.py [--models scgpt-human geneformer-v1-30m] [--panels 250 500 1000] [--threads 2]

Every model runs in a process of its own, so that peak memory is its own. Each figure is the median per virtual cell.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import grn
from grn._core.markdown import markdown_row
from grn.models.protocol import virtual_cell

REGULATORS, GENES, POINTS = 1600, 5000, 8


@dataclass(frozen=True)
class Size:
    """A published size: vocabulary, layers, width, heads, feed-forward width."""

    family: str
    genes: int
    layers: int
    width: int
    heads: int
    feedforward: int


SIZES = {
    "scgpt-human": Size("scgpt", 60694, 12, 512, 8, 512),
    "geneformer-v1-10m": Size("geneformer", 25424, 6, 256, 4, 512),
    "geneformer-v1-30m": Size("geneformer", 25424, 12, 512, 8, 1024),
    "geneformer-v2-104m": Size("geneformer", 20271, 12, 768, 12, 3072),
    "geneformer-v2-316m": Size("geneformer", 20271, 18, 1152, 18, 4608),
    "scprint-small": Size("scprint", 44700, 4, 128, 2, 512),
    "scprint-medium": Size("scprint", 44700, 8, 256, 4, 1024),
    "scprint-large": Size("scprint", 44700, 16, 512, 8, 2048),
    "genecompass-base": Size("genecompass", 50556, 12, 768, 12, 3072),
    "scgenept-ncbi": Size("scgenept", 60694, 12, 512, 8, 512),
    "lpm (d 32)": Size("lpm", 9867, 2, 32, 1, 512),
}


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


def hours(dual: float, panel: int) -> float:
    """Hours for both probes of 1 600 regulators and 5 000 genes, in panels of half regulators and half targets."""
    passes = math.ceil(GENES / (panel / 2))
    return REGULATORS * POINTS * passes * dual / 3600


def measure(name: str, panel_length: int, repeats: int) -> dict[str, float]:
    """Seconds per virtual cell, forward and dual, and peak memory."""
    size = SIZES[name]
    genes = [f"ENSG{i:011d}" for i in range(size.genes)]
    sizes = {"layers": size.layers, "width": size.width, "heads": size.heads, "feedforward": size.feedforward}
    model = grn.models.untrained(size.family, genes=genes, **sizes)
    held = peak_gib()
    model.max_genes = max(model.max_genes, panel_length)
    step = size.genes // panel_length
    names = genes[::step][:panel_length]
    panel = model.panel(names[: panel_length // 2], names[panel_length // 2 :])
    values = virtual_cell(model, panel)[None].clone()
    values[0, panel.src_pos[0]] = model.value_scale.gradient_grid[3]
    tangents = torch.zeros_like(values)
    tangents[0, panel.src_pos[0]] = 1.0
    with torch.no_grad():
        forward = median_time(lambda: model.respond(panel, values), repeats)
        peak_forward = peak_gib()
        dual = median_time(lambda: model.respond_dual(panel, values, tangents), repeats)
    return {"forward": forward, "dual": dual, "weights": held, "peak forward": peak_forward, "peak": peak_gib()}


def separately(name: str, panel: int, args: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--panels", str(panel)]
    command += ["--threads", str(args.threads), "--repeats", str(args.repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, panel of {panel}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def line(name: str, panel: int, found: dict[str, float]) -> str:
    """One row of the table."""
    size = SIZES[name]
    cells = [
        name,
        f"{size.layers} x {size.width}",
        str(panel),
        f"{found['forward']:.3f}",
        f"{found['dual']:.3f}",
        f"{found['dual'] / found['forward']:.2f}",
        f"{hours(found['dual'], panel):,.1f}",
        f"{found['weights']:.2f}",
        f"{found['peak']:.2f}",
    ]
    return markdown_row(cells)


HEAD = """# `python benchmarks/models.py`

{machine}. Random weights at the published sizes; times per virtual cell, float32. Hours are the estimate for both
probes of {regulators:,} regulators x {genes:,} genes x {points} points: regulators x points x panels x dual pass, with
panels of half regulators and half targets. Memory is that of the process after building the model, and its peak.

| model | layers x width | panel | forward, s | dual, s | dual / forward | hours | model, GiB | peak, GiB |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--panels", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=list(SIZES), help="measure one model in this process and print JSON")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "models.md")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        print(json.dumps(measure(args.one, args.panels[0], args.repeats)))
        return
    machine = f"{platform.machine()}, {args.threads} threads, torch {torch.__version__}"
    text = HEAD.format(machine=machine, regulators=REGULATORS, genes=GENES, points=POINTS)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        for panel in args.panels:
            row = line(name, panel, separately(name, panel, args))
            print(row, flush=True)
            text += row + "\n"
            args.out.write_text(text)


if __name__ == "__main__":
    main()
