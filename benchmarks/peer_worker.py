"""One run of one program in a process of its own, for ``benchmarks/peers.py``: numbers in, a table and a line out.

python benchmarks/peer_worker.py NAME INPUT.npz OUTPUT.npz

The file imports nothing of grn but in the rows of grn itself, as it also runs where only a peer is installed. INPUT
holds ``values`` (cells, genes), ``genes``, ``regulators``; for activities ``net``, for RENGE ``guides`` and ``times``.
OUTPUT gets ``matrix``: strengths (genes, regulators), or scores (cells, regulators). The line is JSON with the seconds
of the call itself, without imports.
"""

import json
import re
import sys
import time
import warnings
from pathlib import Path

import numpy as np

RENGE = {"C": 0.01, "l1_ratio": 0.5, "n_k": 2}
ACTIVE_SHARE = 0.05


def frame(data):
    """Cells x genes as a table."""
    import pandas as pd

    names = [f"c{i:05d}" for i in range(len(data["values"]))]
    return pd.DataFrame(data["values"], index=names, columns=data["genes"].astype(str))


def wide(table, data, columns=("TF", "target", "importance")):
    """Strengths (genes, regulators) from a table of edges, 0 where none is listed."""
    source, target, weight = columns
    strength = table.pivot_table(index=target, columns=source, values=weight, aggfunc="max")
    return (
        strength.reindex(index=data["genes"].astype(str), columns=data["regulators"].astype(str)).fillna(0).to_numpy()
    )


def rustscenic_grn(data):
    """GRNBoost2 of rustscenic."""
    from rustscenic import grn

    cells = (np.asarray(data["values"], np.float32), data["genes"].astype(str).tolist())
    return lambda: wide(grn.infer(cells, data["regulators"].astype(str).tolist(), seed=0, verbose=False), data)


def arboreto(name):
    """GRNBoost2 or GENIE3 of arboreto, on a dask cluster of two processes as its documentation has it."""

    def prepare(data):
        from arboreto import algo
        from distributed import Client, LocalCluster

        def call():
            with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
                with Client(cluster) as client:
                    regulators = data["regulators"].astype(str).tolist()
                    found = getattr(algo, name)(frame(data), tf_names=regulators, client_or_address=client, seed=0)
            return wide(found, data)

        return call

    return prepare


def regdiffusion(data):
    """RegDiffusion with its defaults."""
    import regdiffusion as rd
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(2)
    genes = data["genes"].astype(str).tolist()
    columns = [genes.index(name) for name in data["regulators"].astype(str)]

    def call():
        trainer = rd.RegDiffusionTrainer(np.asarray(data["values"], np.float32), device="cpu")
        trainer.train()
        return np.abs(trainer.get_adj()).T[:, columns]  # (regulator, target) -> (target, regulator)

    return call


def celloracle_lite(data):
    """CellOracle-lite has the motif analysis of CellOracle; a regression, if some version brings it, is called here."""
    import celloracle

    if not hasattr(celloracle, "Oracle"):
        parts = ", ".join(sorted(name for name in celloracle.__all__))
        raise RuntimeError(f"version {celloracle.__version__} has no regression of cells, only: {parts}")
    raise RuntimeError("this version has celloracle.Oracle, which this script does not call yet")


def signatures(data):
    """Targets and weights of every regulator."""
    net = data["net"]
    names = data["regulators"].astype(str)
    genes = data["genes"].astype(str)
    return {
        str(name): {str(genes[t]): float(net[t, s]) for t in np.flatnonzero(net[:, s])} for s, name in enumerate(names)
    }


def pyscenic_aucell(data):
    """AUCell of pySCENIC, without databases."""
    from ctxcore.genesig import GeneSignature
    from pyscenic.aucell import aucell

    sets = [GeneSignature(name=name, gene2weight=weights) for name, weights in signatures(data).items()]
    cells = frame(data)

    def call():
        scores = aucell(cells, sets, auc_threshold=ACTIVE_SHARE, noweights=True, num_workers=1, seed=0)
        return scores.reindex(columns=data["regulators"].astype(str)).to_numpy()

    return call


def decoupler(name):
    """A method of decoupler."""

    def prepare(data):
        import decoupler as dc
        import pandas as pd

        rows = [
            (source, target, weight)
            for source, targets in signatures(data).items()
            for target, weight in targets.items()
        ]
        net = pd.DataFrame(rows, columns=["source", "target", "weight"])
        cells = frame(data)

        def call():
            scores, _ = getattr(dc.mt, name)(cells, net, tmin=1)
            return scores.reindex(columns=data["regulators"].astype(str)).to_numpy()

        return call

    return prepare


def renge(data):
    """RENGE with given hyperparameters, without q-values."""
    import pandas as pd
    from renge import Renge

    expression = frame(data)
    guides = pd.DataFrame(data["guides"], index=expression.index, columns=expression.columns)
    guides["t"] = data["times"]
    columns = [expression.columns.get_loc(name) for name in data["regulators"].astype(str)]

    def call():
        reg = Renge()
        reg.preprocess_X(guides, expression)
        reg.fit(C=RENGE["C"], A_l1_ratio=RENGE["l1_ratio"], n_k=RENGE["n_k"])
        return np.asarray(reg.A)[:, columns]

    return call


def ours(method, **params):
    """A method of grn."""

    def prepare(data):
        import anndata as ad

        import grn

        adata = ad.AnnData(frame(data).astype("float32"))
        if "guides" in data:
            genes = data["genes"].astype(str)
            named = [genes[np.flatnonzero(row)[0]] if row.any() else "control" for row in data["guides"]]
            adata.obs["perturbation"], adata.obs["time"] = named, data["times"]
        regulators = data["regulators"].astype(str).tolist()

        def call():
            asked = {"sources": regulators, "values": "log", "params": params, "n_jobs": 2}
            grn.tl.infer_network(adata, method=method, **asked)
            return wide(adata.uns["grn"]["edges"], data, ("source", "target", "weight"))

        return call

    return prepare


def our_activity(name):
    """``grn.tl.activity`` on the same network."""

    def prepare(data):
        import anndata as ad
        import pandas as pd

        import grn

        adata = ad.AnnData(frame(data).astype("float32"))
        rows = [(s, t, w) for s, targets in signatures(data).items() for t, w in targets.items()]
        table = pd.DataFrame(rows, columns=["source", "target", "weight"])
        grn.Network.from_frame(table).write(adata, "grn")

        def call():
            grn.tl.activity(adata, method=name, min_targets=1, values="log")
            return adata.obsm[f"score_{name}"].reindex(columns=data["regulators"].astype(str)).to_numpy()

        return call

    return prepare


RUNS = {
    "rustscenic GRNBoost2": rustscenic_grn,
    "arboreto GRNBoost2": arboreto("grnboost2"),
    "arboreto GENIE3": arboreto("genie3"),
    "RegDiffusion": regdiffusion,
    "celloracle-lite": celloracle_lite,
    "pySCENIC AUCell": pyscenic_aucell,
    "decoupler ulm": decoupler("ulm"),
    "decoupler aucell": decoupler("aucell"),
    "RENGE": renge,
    "grn grnboost2, fast": ours("grnboost2", mode="fast"),
    "grn grnboost2": ours("grnboost2"),
    "grn genie3": ours("genie3"),
    "grn genie3, fast": ours("genie3", mode="fast"),
    "grn ridge": ours("ridge"),
    "grn correlation": ours("correlation"),
    "grn celloracle": ours("celloracle", max_p=None, top=None),
    "grn renge": ours("renge", **RENGE, n_boot=0),
    "grn activity ulm": our_activity("ulm"),
    "grn activity aucell": our_activity("aucell"),
}


def own_peak():
    """Peak resident memory of this process, MiB."""
    status = Path("/proc/self/status")
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) / 1024 if status.exists() else 0.0


def main():
    """Run, and say how long it took."""
    name, given, made = sys.argv[1:]
    warnings.filterwarnings("ignore")
    with np.load(given, allow_pickle=False) as arrays:
        data = dict(arrays)
    call = RUNS[name](data)
    start = time.perf_counter()
    matrix = call()
    seconds = time.perf_counter() - start
    np.savez(made, matrix=np.asarray(matrix, dtype=np.float32))
    print(json.dumps({"call": seconds, "peak": own_peak()}))


if __name__ == "__main__":
    main()
