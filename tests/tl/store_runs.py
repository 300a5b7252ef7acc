"""Runs in processes of their own, for test_store.py: killed and gone on with, or watched for their memory."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import anndata as ad
import numpy as np
import torch

import grn
from grn.models import ValueScale
from grn.models.memory import Memory
from grn.models.protocol import resolve_panel
from random_memories import random_memory

N_KILLED, N_MEMORY = 220, 4000


def cells(n):
    adata = ad.AnnData(np.zeros((0, n), dtype=np.float32))
    adata.var_names = [f"ENSG{i:011d}" for i in range(n)]
    return adata


def small_memory(genes):
    model = random_memory(genes, sha256="a" * 64)
    model.gene_id_kind = "ensembl"
    return model


class LowRank:
    """Passes that cost next to nothing, so that memory is that of the machinery."""

    name, sha256, gene_id_kind, gradient_kind = "low-rank", "b" * 64, "ensembl", "exact"
    capabilities = frozenset({"value", "gradient"})
    grid = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
    value_scale = ValueScale("z-score", 0.0, grid, grid, -4, 4)

    def __init__(self, genes):
        self.source_genes = self.target_genes = tuple(genes)
        self.max_genes = len(genes)
        self.factors = torch.randn(len(genes), 8, generator=torch.Generator().manual_seed(0))

    def to(self, device):
        return self

    def panel(self, sources, targets):
        places = {gene: i for i, gene in enumerate(self.source_genes)}
        return resolve_panel(places, sources, targets, max_genes=self.max_genes)

    def respond(self, panel, values, *, context=None):
        return torch.tanh(values @ self.factors[panel.tokens]) @ self.factors[panel.tokens[panel.tgt_pos]].T

    def respond_dual(self, panel, values, tangents, *, context=None):
        hidden = torch.tanh(values @ self.factors[panel.tokens])
        changed = (1 - hidden**2) * (tangents @ self.factors[panel.tokens])
        out = self.factors[panel.tokens[panel.tgt_pos]].T
        return hidden @ out, changed @ out

    def attention(self, panel, values):
        raise NotImplementedError

    def embed(self, panel, values=None):
        raise NotImplementedError

    def encode_cells(self, X, genes, *, reference=None):
        raise NotImplementedError


def probe(adata, model, n_sources, store):
    sources = list(adata.var_names[:n_sources])
    grid = (1.0,) if isinstance(model, Memory) else None
    grn.tl.probe(adata, model=model, sources=sources, grid=grid, store=store, progress=False)


def start(adata, model, store):
    """Run 200 regulators in a new process; its number."""
    child = os.fork()
    if child:
        return child
    try:
        probe(adata, model, 200, store)
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)


def wait(child):
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("a run failed")


def content(folder):
    found = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(path.relative_to(folder)): hashlib.sha256(text).hexdigest() for path, text in found.items()}


def kill_one(adata, model, store, longest):
    """Kill a run at a random moment before it ends; the longest time to wait that still finds it running."""
    while True:
        child = start(adata, model, store)
        time.sleep(random.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            return longest
        shutil.rmtree(store)
        longest *= 0.9


def killed(folder, repetitions):
    torch.set_num_threads(1)
    adata = cells(N_KILLED)
    model = small_memory(list(adata.var_names))
    grn.tl.probe(adata.copy(), model=model, sources=list(adata.var_names[:1]), progress=False)  # loads what is lazy
    begin = time.perf_counter()
    wait(start(adata, model, folder / "whole"))
    taken = time.perf_counter() - begin
    expected = content(folder / "whole")
    told = {"repetitions": repetitions, "kills": 0, "different": [], "finished_at_kill": [], "seconds": taken}
    for repetition in range(repetitions):
        store = folder / str(repetition)
        for _ in range(1 + repetition % 2):
            taken = kill_one(adata, model, store, taken)
            told["kills"] += 1
            told["finished_at_kill"].append(len(list((store / "finished").glob("[0-9]*"))))
        wait(start(adata, model, store))
        if content(store) != expected:
            told["different"].append(repetition)
    return told


def crowd(folder, repetitions):
    """Three processes on one store, killed at random moments and started again, until all three are through."""
    torch.set_num_threads(1)
    adata = cells(N_KILLED)
    model = small_memory(list(adata.var_names))
    grn.tl.probe(adata.copy(), model=model, sources=list(adata.var_names[:1]), progress=False)  # loads what is lazy
    begin = time.perf_counter()
    wait(start(adata, model, folder / "whole"))
    taken = 2 * (time.perf_counter() - begin)  # of three on two cores
    expected = content(folder / "whole")
    told = {"repetitions": repetitions, "kills": 0, "different": [], "failed": 0, "finished_at_kill": []}
    for repetition in range(repetitions):
        store = folder / str(repetition)
        kills = repetition % 4  # none at first: whoever is first to finish leaves the others alone
        while True:
            finished, failed = crowd_once(adata, model, store, taken, kills)
            told["failed"] += failed
            if content(store) != expected:
                told["different"].append(repetition)
            shutil.rmtree(store)
            if len(finished) == kills:
                break
            taken *= 0.8  # all three were through before the last kill: again, and sooner
        told["kills"] += kills
        told["finished_at_kill"] += finished
    return told


def crowd_once(adata, model, store, taken, kills):
    """Three processes until all are through: parts that were finished at every kill, and how many processes failed."""
    children, finished, failed = [start(adata, model, store) for _ in range(3)], [], 0
    while children:
        if len(finished) < kills:
            time.sleep(random.uniform(0, taken / 4))
            child = children.pop(random.randrange(len(children)))
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            if os.WIFSIGNALED(status):
                finished.append(len(list((store / "finished").glob("[0-9]*"))))
                children.append(start(adata, model, store))
        else:
            status = os.waitpid(children.pop(), 0)[1]
        failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
    return finished, failed


def memory(folder, n_sources):
    import resource

    def peak():
        status = Path("/proc/self/status")
        if status.exists():  # ru_maxrss of a child starts where its parent was
            return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    torch.set_num_threads(1)
    adata = cells(N_MEMORY)
    model = LowRank(list(adata.var_names))
    grn.tl.probe(adata.copy(), model=model, sources=list(adata.var_names[:1]), progress=False)
    before = peak()
    probe(adata, model, n_sources, folder)
    return {"before": before, "peak": peak(), "features": 2 * 4 * N_MEMORY * n_sources * len(LowRank.grid)}


if __name__ == "__main__":
    run = {"killed": killed, "crowd": crowd, "memory": memory}[sys.argv[1]]
    sys.stdout.write(json.dumps(run(Path(sys.argv[2]), int(sys.argv[3]))) + "\n")
