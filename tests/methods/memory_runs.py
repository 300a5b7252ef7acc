"""One call on many synthetic cells in a process of its own, for test_memory.py: prints the peak in bytes."""

from __future__ import annotations

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
from grn._kernels.neighbours import nearly_nearest

N_CELLS, N_GENES, N_REGULATORS = 50_000, 2_000, 50


def peak():
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a child starts where its parent was
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cells():
    """Counts of which about one in ten is not zero, made without a dense table."""
    random = np.random.default_rng(0)
    per_cell = N_GENES // 10
    columns = random.integers(0, N_GENES, size=N_CELLS * per_cell, dtype=np.int32)
    counts = random.poisson(2.0, size=len(columns)).astype(np.float32) + 1
    X = sparse.csr_matrix((counts, columns, np.arange(0, len(columns) + 1, per_cell)), shape=(N_CELLS, N_GENES))
    X.sum_duplicates()
    names = [f"gene_{i}" for i in range(N_GENES)]
    obs = pd.DataFrame(
        {"group": pd.Categorical.from_codes(random.integers(0, 4, N_CELLS), list("abcd"))},
        index=[f"cell_{i}" for i in range(N_CELLS)],
    )
    var = pd.DataFrame({"is_regulator": np.arange(N_GENES) < N_REGULATORS}, index=names)
    return ad.AnnData(X, obs=obs, var=var, obsm={"X_umap": random.normal(size=(N_CELLS, 2)).astype(np.float32)})


def infer(method, *, targets=None, **params):
    adata = cells()
    grn.tl.infer_network(adata, method=method, groupby="group", targets=targets, params=params, progress=False)
    assert len(grn.get.edges(adata))


def every_third_pair():
    """A prior of 33 000 edges."""
    pairs = [(f"gene_{s}", f"gene_{t}") for s in range(N_REGULATORS) for t in range(s % 3, N_GENES, 3)]
    return pd.DataFrame(pairs, columns=["source", "target"])


def forget_peak():
    """Start the peak anew from what is held now; whether the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def compiled():
    """Compile the search for neighbours, which takes more memory than the call, outside of what is measured."""
    if forget_peak():
        neighbours()
        forget_peak()
    else:  # a process of its own leaves what it compiles on disk
        subprocess.run([sys.executable, __file__, "neighbours"], check=True, stdout=subprocess.DEVNULL)


def neighbours():
    nearly_nearest(np.random.default_rng(0).normal(size=(1_000, 20)), 10)


def celloracle():
    compiled()
    adata = cells()
    grn.pp.smooth(adata, k=30, n_pcs=20)
    params = {"smooth": "grn_smooth", "n_bags": 2}
    grn.tl.infer_network(adata, method="celloracle", groupby="group", params=params, progress=False)
    assert len(grn.get.edges(adata))


def simulate():
    adata = cells()
    random = np.random.default_rng(1)
    pairs = [
        (f"gene_{s}", f"gene_{t}") for s in range(N_REGULATORS) for t in random.permutation(N_GENES)[:40] if s != t
    ]
    edges = pd.DataFrame(pairs, columns=["source", "target"]).assign(weight=random.normal(0, 0.1, len(pairs)))
    grn.Network(edges).write(adata)
    arguments = {"perturbation": {"gene_0": 0}, "coefficients": "weight", "layer_added": "change", "progress": False}
    grn.tl.simulate(adata, basis="X_umap", n_neighbors=30, n_controls=5, **arguments)
    assert sparse.issparse(adata.layers["change"])


RUNS = {
    "celloracle": celloracle,
    "correlation": lambda: infer("correlation"),
    "spearman": lambda: infer("correlation", kind="spearman"),
    "grnboost2": lambda: infer("grnboost2", targets=["gene_60", "gene_61"], max_rounds=1),
    "ridge": lambda: infer("ridge"),
    "prior_ridge": lambda: infer("prior_ridge", prior=every_third_pair(), strength=1.0),
    "scrank": lambda: infer("scrank", n_resamples=2),
    "simulate": simulate,
    "neighbours": neighbours,
}

if __name__ == "__main__":
    RUNS[sys.argv[1]]()
    sys.stdout.write(f"{peak()}\n")
