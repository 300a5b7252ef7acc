"""Scaling over dask workers on one machine: both probes on ``mini``, one thread per worker, against no cluster.

python benchmarks/cluster.py [--workers 1 2] [--sources 128] [--genes 300] [--repeats 3]
python benchmarks/cluster.py --sent  # only what a worker is sent: seconds, no cluster

Runs are interleaved. The ratio of processor time says how much more work a cluster makes of the same probe, whatever
else the machine is doing; the ratio of elapsed time needs as many free cores as there are workers. The last row divides
the regulators among as many processes without dask: what the machine gives, as cores may share caches and memory.
"""

from __future__ import annotations

import argparse
import os
import pickle
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import numpy as np
import pandas as pd
import torch
from distributed import Client, LocalCluster

import grn
from grn._core.markdown import markdown_table


def genes_of(model: grn.models.FoundationModel, sources: int, genes: int) -> tuple[list[str], list[str]]:
    """Regulators and genes the model knows, in an order that does not depend on the machine."""
    known = set(grn.datasets.tfs()["symbol"])
    regulators = [gene for gene in model.source_genes if gene in known][:sources]
    others = [gene for gene in model.target_genes if gene not in set(regulators)]
    return regulators, sorted([*regulators, *others[: genes - sources]])


def busy(client: Client | None) -> float:
    """Processor seconds of the processes that compute, so far."""
    return time.process_time() if client is None else sum(client.run(time.process_time).values())


def measure(call: Callable[[Client | None], object], client: Client | None) -> tuple[float, float]:
    """Elapsed and processor seconds of a call."""
    before, start = busy(client), time.perf_counter()
    call(client)
    return time.perf_counter() - start, busy(client) - before


def clusters(stack: ExitStack, workers: list[int]) -> dict[str, Client | None]:
    """No cluster, and one of every size, all started."""
    found: dict[str, Client | None] = {"no cluster": None}
    for n in workers:
        cluster = LocalCluster(n_workers=n, threads_per_worker=1, processes=True, dashboard_address=":0")
        stack.enter_context(cluster)
        found[f"{n} worker{'s' * (n > 1)}"] = stack.enter_context(Client(cluster, set_as_default=False))
    return found


def share(names: list[str], regulators: list[str]) -> float:
    """Both probes of some regulators in a process of their own; its processor seconds."""
    torch.set_num_threads(1)
    start = time.process_time()
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    grn.tl.probe(adata, sources=regulators, n_jobs=1, progress=False)
    return time.process_time() - start


def apart(pool: ProcessPoolExecutor, n: int, names: list[str], regulators: list[str]) -> tuple[float, float]:
    """Elapsed and processor seconds of regulators divided among processes."""
    start = time.perf_counter()
    worked = sum(pool.map(share, [names] * n, [regulators[i::n] for i in range(n)]))
    return time.perf_counter() - start, worked


def table(times: dict[str, list[tuple[float, float]]], first: str) -> str:
    """Medians, and ratios to the first cluster within every round."""
    titles = ("", "elapsed", "processor time", f"speed, {first} = 1", f"processor time, {first} = 1")
    rows = []
    for name, found in times.items():
        elapsed, worked = (statistics.median(values) for values in zip(*found, strict=True))
        faster = statistics.median(a[0] / b[0] for a, b in zip(times[first], found, strict=True))
        more = statistics.median(b[1] / a[1] for a, b in zip(times[first], found, strict=True))
        rows.append([name, f"{elapsed:.1f} s", f"{worked:.1f} s", f"{faster:.2f}", f"{more:.2f}"])
    return markdown_table(titles, rows)


def sent() -> str:
    """Megabytes of the models that a worker is sent, as they are pickled."""
    size = {"layers": 12, "width": 512, "heads": 8, "feedforward": 512}
    large = grn.models.untrained("scgpt", genes=[f"GENE{i}" for i in range(20_000)], **size)
    models = {"`mini`": grn.models.load("mini"), "size of scGPT, 20,000 genes": large}
    rows = [
        f"| {name} | {len(pickle.dumps(model, pickle.HIGHEST_PROTOCOL)) / 1e6:.0f} MB |"
        for name, model in models.items()
    ]
    return "\n".join(["| model | sent to a worker |", "|---|---|", *rows])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sources", type=int, default=128)
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cluster.md")
    parser.add_argument("--sent", action="store_true", help="only print what a worker is sent")
    args = parser.parse_args()
    if args.sent:
        print(sent())
        return
    torch.set_num_threads(1)
    model = grn.models.load("mini")
    regulators, names = genes_of(model, args.sources, args.genes)
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))

    def probe(client: Client | None, store: Path | None = None) -> None:
        grn.tl.probe(adata, model=model, sources=regulators, client=client, store=store, n_jobs=1, progress=False)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        most = args.workers[-1]
        # before dask, which changes how processes that start later return memory
        pool = stack.enter_context(ProcessPoolExecutor(most, mp_context=get_context("spawn")))
        apart(pool, most, names, regulators[: 2 * most])
        found = clusters(stack, args.workers)
        for client in found.values():
            probe(client)  # imports, and memory that is taken once
        times: dict[str, list[tuple[float, float]]] = {}
        last = list(found)[-1]
        for i in range(args.repeats):
            for name, client in found.items():
                times.setdefault(name, []).append(measure(probe, client))
            written = measure(lambda client, i=i: probe(client, folder / str(i)), found[last])
            times.setdefault(f"{last}, into a store", []).append(written)
            alone = apart(pool, most, names, regulators)
            times.setdefault(f"{most} processes, no dask", []).append(alone)
    text = (
        f"# `python benchmarks/cluster.py`\n\n"
        f"`grn.tl.probe` of `mini`, {len(regulators)} regulators x {len(names)} genes x "
        f"{len(model.value_scale.gradient_grid)} points; medians of {args.repeats} interleaved runs; one thread per "
        f"worker; {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}.\n\n"
        f"{table(times, list(found)[1])}\n\n{sent()}\n"
    )
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
