"""What a prior network adds to a regression on few cells, and what a wrong one costs.

python benchmarks/prior_ridge.py [--part toys|mdc|speed] [--seeds 3] [--prior CollecTRI|zero-shot]

``toys``: planted networks behind a hidden confounder (``grn.datasets.toy_groups``), with priors that are good, half
good, random and wrong. ``mdc``: 383 cells of BEELINE's mDC under the strict protocol (trained on hESC: no gene of hESC
is tested, non-edges have the degrees of the edges), with CollecTRI and the default zero-shot network as priors.
``speed``: 5 000 cells, 100 regulators, 2 000 targets. Scores are areas under the precision-recall curve.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import child

NETWORKS = ("STRING", "Non-Specific")
SIZES = (100, 300, 1000)
PRIORS = ("good", "half", "random", "wrong")
KEYS = ["source", "target"]
REGULATORS, TARGETS = 40, 150


def planted(n_cells: int, seed: int) -> tuple[ad.AnnData, pd.DataFrame]:
    """Cells of one group, and which pairs are edges (targets, regulators)."""
    cells = grn.datasets.toy_groups(
        n_cells=n_cells,
        n_regulators=REGULATORS,
        n_targets=TARGETS,
        n_groups=1,
        specific=0.0,
        confounder=0.5,
        dropout=0.5,
        rng=seed,
    )
    known = cells.uns["truth"][KEYS].drop_duplicates().assign(edge=True)
    names = [list(cells.var_names[cells.var["is_regulator"] == is_one]) for is_one in (True, False)]
    wide = known.pivot(index="target", columns="source", values="edge").reindex(index=names[1], columns=names[0])
    return cells, wide.notna()


def prior_of(kind: str, truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Which pairs a prior lists: 70 or 30 % of the edges and as many pairs in all as 1.4 times the edges."""
    random = child(seed, "prior", kind)
    edges, size = truth.to_numpy(), int(1.4 * truth.to_numpy().sum())
    share = {"good": 0.7, "half": 0.3}.get(kind, 0.0)
    listed = edges & (random.random(edges.shape) < share)
    among = np.arange(edges.size) if kind == "random" else np.flatnonzero(~edges)
    listed.flat[random.choice(among, size - int(listed.sum()), replace=False)] = True
    return pd.DataFrame(listed, index=truth.index, columns=truth.columns)


def as_table(listed: pd.DataFrame) -> pd.DataFrame:
    """A table of the pairs."""
    long = listed.stack()
    return long[long].index.to_frame(index=False, name=["target", "source"])[KEYS]


def auprc(cells: ad.AnnData, truth: pd.DataFrame, method: str, **params: object) -> float:
    """Score of a method on the planted pairs."""
    grn.tl.infer_network(cells, method=method, params=params, targets=list(truth.index))
    edges = grn.get.edges(cells).astype(dict.fromkeys(KEYS, str))
    wide = edges.assign(weight=edges["weight"].abs()).pivot(index="target", columns="source", values="weight")
    found = wide.reindex(index=truth.index, columns=truth.columns).fillna(0.0)
    return float(average_precision_score(truth.to_numpy().ravel(), found.to_numpy().ravel()))


def toys(seeds: int) -> str:
    """Table of planted networks."""
    rows = []
    for n_cells in SIZES:
        runs = [planted(n_cells, seed) for seed in range(seeds)]
        cells_alone = [[auprc(cells, truth, method) for method in ("correlation", "ridge")] for cells, truth in runs]
        for kind in PRIORS:
            found = []
            for seed, (cells, truth) in enumerate(runs):
                listed = prior_of(kind, truth, seed)
                alone = average_precision_score(truth.to_numpy().ravel(), listed.to_numpy().ravel().astype(float))
                both = auprc(cells, truth, "prior_ridge", prior=as_table(listed))
                params = cells.uns["grn"]["params"]
                chosen = [params[name]["all"] for name in ("strength", "evidence_gain")]
                found.append([*cells_alone[seed], alone, both, *chosen])
            mean = np.mean(found, axis=0)
            rows.append([str(n_cells), kind, *(f"{x:.3f}" for x in mean[:4]), f"{mean[4]:.2f}", f"{mean[5]:+.1f}"])
            print(f"| {' | '.join(rows[-1])} |", flush=True)
    head = ["cells", "prior", "correlation", "ridge", "prior alone", "prior_ridge", "strength", "log evidence gained"]
    return markdown_table(head, rows)


def look_up(edges: pd.DataFrame) -> Callable[[ad.AnnData, pd.DataFrame], np.ndarray]:
    """Scores pairs by what a prior says of them, 0 where it lists nothing."""
    strength = edges.assign(**{name: edges[name].astype(str) for name in KEYS}).set_index(KEYS)["probability"]

    def score(_: ad.AnnData, pairs: pd.DataFrame) -> np.ndarray:
        asked = pd.MultiIndex.from_arrays([pairs[name].astype(str) for name in KEYS])
        return np.asarray(strength.reindex(asked).fillna(0.0), dtype=float)

    return score


def mdc(seeds: int, wanted: list[str] | None = None) -> str:
    """Table of mDC under the strict protocol."""
    cells = grn.datasets.beeline("mDC", network="STRING").expression
    regulators = sorted({gene for name in NETWORKS for gene in grn.datasets.beeline("mDC", network=name).regulators})
    regulators = [gene for gene in regulators if gene in set(cells.var_names)]
    makers = {"CollecTRI": lambda: collectri(cells), "zero-shot": lambda: zero_shot(cells, regulators)}
    priors = {name: makers[name]() for name in wanted or makers}
    entries = [grn.bench.Entry(name) for name in ("correlation", "ridge", "prior_ridge")]
    entries[-1] = grn.bench.Entry("prior_ridge", label="prior_ridge, no prior")
    for name, table in priors.items():
        entries.append(grn.bench.Entry("prior_ridge", {"prior": table}, label=f"prior_ridge, {name}"))
        grn.tl.infer_network(cells, method="prior_ridge", sources=regulators, params={"prior": table})
        told = cells.uns["grn"]["params"]
        chosen = ", ".join(f"{key} {told[key]['all']:.3g}" for key in ("strength", "alpha", "evidence_gain"))
        print(f"{name}, all {len(regulators)} regulators: {chosen}", flush=True)
    table = grn.bench.run(
        methods=entries,
        scorers={f"{name} alone": look_up(edges) for name, edges in priors.items()},
        train=("hESC", "STRING"),
        test=[("mDC", name) for name in NETWORKS],
        protocols=["strict"],
        seeds=seeds,
        outside=False,
        progress=False,
    )
    shown = table[table["kind"].eq("method") & table["metric"].isin(["auprc", "auprc_regulator"])]
    rows = [
        [row.method, row.network, row.pairs, row.metric, f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"]
        for row in shown.sort_values(["metric", "pairs", "network"], kind="stable").itertuples()
    ]
    asked = table[table["pairs"].eq("all")].drop_duplicates("network")
    counts = asked[["network", "n_pos", "regulators"]].to_dict("records")
    told = "; ".join(f"{c['network']}: {c['n_pos']:.0f} edges of {c['regulators']:.0f} regulators" for c in counts)
    return f"{told}\n\n{markdown_table(['method', 'network', 'pairs', 'metric', 'value, 95 % interval'], rows)}"


def collectri(cells: ad.AnnData) -> pd.DataFrame:
    """CollecTRI in the names of the object."""
    edges = grn.datasets.collectri().edges[KEYS]
    return grn.pp.base_grn(edges, adata=cells)[KEYS].assign(probability=1.0)


def zero_shot(cells: ad.AnnData, regulators: list[str]) -> pd.DataFrame:
    """The network of ``grn.tl.infer_network`` by default."""
    grn.tl.infer_network(cells, sources=regulators, key_added="zero_shot")
    return grn.get.edges(cells, key="zero_shot")[[*KEYS, "probability"]]


def speed() -> str:
    """Table of seconds."""
    random = np.random.default_rng(0)
    n_cells, n_regulators, n_targets = 5000, 100, 2000
    programs = random.normal(size=(n_cells, 10))
    rates = np.exp(0.3 * (programs @ random.normal(size=(10, n_targets)) + random.normal(size=(n_cells, n_targets))))
    names = [f"g{k}" for k in range(n_targets)]
    cells = ad.AnnData(np.log1p(random.poisson(rates)).astype(np.float32))
    cells.var_names, cells.var["is_regulator"] = names, np.arange(n_targets) < n_regulators
    pairs = pd.DataFrame({"source": np.repeat(names[:n_regulators], n_targets), "target": names * n_regulators})
    pairs["probability"] = random.random(len(pairs))
    rows = []
    for name, params in {
        "ridge": {},
        "prior_ridge, 6 000 edges": {"prior": pairs.sample(6000, random_state=0)[KEYS], "strength": None},
        "prior_ridge, 6 000 edges, used by force": {"prior": pairs.sample(6000, random_state=0)[KEYS], "strength": 1.0},
        "prior_ridge, all pairs, used by force": {"prior": pairs, "strength": 1.0},
    }.items():
        wall, processor = time.perf_counter(), time.process_time()
        grn.tl.infer_network(cells, method=name.split(",")[0], params=params, n_jobs=2)
        spent = time.perf_counter() - wall, time.process_time() - processor
        rows.append([name, *(f"{seconds:.1f}" for seconds in spent)])
        print(f"| {' | '.join(rows[-1])} |", flush=True)
    return markdown_table(["5 000 cells, 100 regulators, 2 000 targets", "s elapsed", "s processor"], rows)


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("toys", "mdc", "speed"), action="append")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prior", choices=("CollecTRI", "zero-shot"), action="append", help="priors of mdc")
    asked = parser.parse_args()
    grn.settings.verbosity = "error"
    parts = {"toys": lambda: toys(asked.seeds), "mdc": lambda: mdc(asked.seeds, asked.prior), "speed": speed}
    for part in asked.part or parts:
        print(f"\n{parts[part]()}\n", flush=True)


if __name__ == "__main__":
    main()
