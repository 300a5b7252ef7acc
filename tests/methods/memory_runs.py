"""Calls on many synthetic cells in a process of its own, for test_memory.py: how much memory each needed, in bytes."""

from __future__ import annotations

import gc
import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import grn
from grn._kernels import correlate, matrix, prior_ridge, ridge
from grn.simulate import propagation

N_CELLS, N_GENES, N_REGULATORS = 20_000, 1_000, 50
# a block is to these cells what it is to an atlas of 300 000
BLOCKS = [
    (correlate, "_VALUES"),
    (matrix, "VALUES"),
    (prior_ridge, "_VALUES"),
    (propagation, "_VALUES"),
    (ridge, "VALUES"),
    (grn.settings, "memory_budget"),
]


def held(what):
    """Bytes that this process holds (``VmRSS``) or held at most (``VmHWM``)."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child starts where its parent was
        return int(re.search(what + r":\s+(\d+)", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak():
    """Start the peak anew from what is held now; whether the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def cells(n_cells, n_genes):
    """Counts of which about one in ten is not zero, made without a dense table."""
    random = np.random.default_rng(0)
    per_cell = n_genes // 10
    columns = random.integers(0, n_genes, size=n_cells * per_cell, dtype=np.int32)
    counts = random.poisson(2.0, size=len(columns)).astype(np.float32) + 1
    X = sparse.csr_matrix((counts, columns, np.arange(0, len(columns) + 1, per_cell)), shape=(n_cells, n_genes))
    X.sum_duplicates()
    names = [f"gene_{i}" for i in range(n_genes)]
    obs = pd.DataFrame(
        {"group": pd.Categorical.from_codes(random.integers(0, 4, n_cells), list("abcd"))},
        index=[f"cell_{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"is_regulator": np.arange(n_genes) < N_REGULATORS}, index=names)
    return ad.AnnData(X, obs=obs, var=var, obsm={"X_umap": random.normal(size=(n_cells, 2)).astype(np.float32)})


def infer(method, *, targets=None, **params):
    def run(adata):
        grn.tl.infer_network(adata, method=method, groupby="group", targets=targets, params=params, progress=False)
        assert len(grn.get.edges(adata))

    return run


def with_prior(adata):
    """Every third pair is in the prior."""
    genes = adata.var_names
    pairs = [(genes[s], target) for s in range(N_REGULATORS) for target in genes[s % 3 :: 3]]
    infer("prior_ridge", prior=pd.DataFrame(pairs, columns=["source", "target"]), strength=1.0)(adata)


def celloracle(adata):
    grn.pp.smooth(adata, k=30, n_pcs=20, sight=60)
    infer("celloracle", smooth="grn_smooth", n_bags=2)(adata)


def simulate(adata):
    random = np.random.default_rng(1)
    pairs = [
        (f"gene_{s}", f"gene_{t}") for s in range(N_REGULATORS) for t in random.permutation(adata.n_vars)[:40] if s != t
    ]
    edges = pd.DataFrame(pairs, columns=["source", "target"]).assign(weight=random.normal(0, 0.1, len(pairs)))
    grn.Network(edges).write(adata)
    arguments = {"perturbation": {"gene_0": 0}, "coefficients": "weight", "layer_added": "change", "progress": False}
    grn.tl.simulate(adata, basis="X_umap", n_neighbors=30, n_controls=5, **arguments)
    assert sparse.issparse(adata.layers["change"])


RUNS = {
    "correlation": infer("correlation"),
    "spearman": infer("correlation", kind="spearman"),
    "grnboost2": infer("grnboost2", targets=["gene_60", "gene_61"], max_rounds=1),
    "ridge": infer("ridge"),
    "prior_ridge": with_prior,
    "scrank": infer("scrank", n_resamples=2),
    "simulate": simulate,
    "celloracle": celloracle,
}


def needed(name):
    """Most memory held during a call beyond what was held before."""
    RUNS[name](cells(400, 100))  # loads what is lazy
    adata = cells(N_CELLS, N_GENES)
    gc.collect()
    before = held("VmRSS") if forget_peak() else held("VmHWM")
    RUNS[name](adata)
    return held("VmHWM") - before


def alone(name):
    """The same in a process of its own, where the peak of a process only grows."""
    told = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])[name]


if __name__ == "__main__":
    for holder, name in BLOCKS:
        setattr(holder, name, getattr(holder, name) // 16)
    names = sys.argv[1:]
    each = needed if len(names) == 1 or forget_peak() else alone
    sys.stdout.write(json.dumps({name: each(name) for name in names}) + "\n")
