"""Benchmarks in processes of their own, for test_run_cache.py: three on one cache, killed and started again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import grn
from grn.bench import READINGS, Reference
from grn.genes import regulators
from random_memories import random_memory


def references():
    known, able = grn.models.load("mini").genes, set(regulators("human"))
    tfs, others = ([gene for gene in known if (gene in able) == wanted] for wanted in (True, False))
    found = []
    for i in range(3):
        mine, genes = tfs[8 * i : 8 * i + 14], others[20 * i : 20 * i + 50]
        pairs = [(source, target) for source in mine for target in (*mine, *genes) if source != target]
        rows = np.random.default_rng(i).choice(len(pairs), 120, replace=False)
        edges = pd.DataFrame([pairs[row] for row in rows], columns=["source", "target"])
        found.append(Reference(edges, genes=[*mine, *genes], regulators=mine, dataset="abc"[i], network="N"))
    return found


def model(found):
    genes = tuple(sorted(set().union(*(reference.genes for reference in found))))
    return random_memory(genes, sha256="c" * 64)


def run(found, backbone, cache):
    table = grn.bench.run(
        methods=[READINGS["VVP (raw)"], READINGS["GDT (raw)"]],
        model=backbone,
        train=found[0],
        test=found[1:],
        outside=False,
        seeds=1,
        n_boot=5,
        cache=cache,
        progress=False,
    )
    return table.sort_values(["test", "protocol", "pairs", "method", "metric"], ignore_index=True)


def start(found, backbone, cache, out):
    """A run in a new process; its number."""
    child = os.fork()
    if child:
        return child
    try:
        run(found, backbone, cache).to_parquet(out / f"{os.getpid()}.parquet")
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)


def crowd(folder, repetitions):
    torch.set_num_threads(1)
    found = references()
    backbone = model(found)
    expected = run(found, backbone, folder / "whole")
    begin = time.perf_counter()
    run(found, backbone, folder / "again")  # as fast as those that are killed: what the first one loaded is there
    taken = time.perf_counter() - begin
    told = {"kills": 0, "failed": 0, "different": [], "left": []}
    for repetition in range(repetitions):
        cache, out = folder / str(repetition), folder / f"out{repetition}"
        out.mkdir()
        children = [start(found, backbone, cache, out) for _ in range(3)]
        kills = 2
        while children:
            if kills:
                time.sleep(random.uniform(0, taken / 2))
                child = children.pop(random.randrange(len(children)))
                os.kill(child, signal.SIGKILL)
            else:
                child = children.pop()
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                kills -= 1
                told["kills"] += 1
                children.append(start(found, backbone, cache, out))
            told["failed"] += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
        tables = [pd.read_parquet(path) for path in out.iterdir()]
        tables.append(run(found, backbone, cache))
        if len(tables) < 4 or not all(table.equals(tables[-1]) and same(table, expected) for table in tables):
            told["different"].append(repetition)
        told["left"] += [path.name for path in cache.rglob("*") if path.name.startswith(".")]
        shutil.rmtree(cache)
    return told


def same(table, expected):
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(crowd(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
