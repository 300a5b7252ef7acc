"""Train the translators in the wheel on labels of BEELINE's hESC and measure them on other data sets.

    python scripts/train_translators.py --data DATA --out src/grn/models/weights

DATA is a folder with ``beeline/edges.parquet`` and ``beeline/genes.parquet``. Writes one translator per network and
feature and ``translators.json`` with the figures. Virtual cells need no expression, so only names and labels are
read. Negatives are degree-matched, or the translators would learn which genes are hubs. Gene names of the mouse data
sets are upper-cased by BEELINE itself and are looked up as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import grn
from grn.methods._embedding import pair_sums
from grn.methods._labels import labelled_pairs
from grn.models.translator import Translator

NETWORKS = {"string": "STRING", "chip": "Non-Specific"}
FEATURES = ("vvp", "gradient_trajectory", "X_mini")
TRAIN, TESTS = "hESC", ("hHEP", "mDC", "mESC")
MAX_REGULATORS = 80


def probed(data: Path, dataset: str, size: int, limit: int | None) -> ad.AnnData:
    """An object without cells over the genes of a data set, with both probes and the embedding."""
    genes = pd.read_parquet(data / "beeline" / "genes.parquet")
    genes = genes[(genes["dataset"] == dataset) & (genes["size"] == size)]
    names = sorted(genes["gene"].unique())
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    grn.pp.align_genes(adata, organism="human")
    factors = set(genes.loc[genes["is_tf"], "gene"])
    edges = pd.concat(positives(data, network, dataset, size) for network in NETWORKS.values())
    labelled = sorted(factors & set(edges["source"]))
    if limit is not None:
        rng = np.random.default_rng(0)
        labelled = sorted(rng.permutation(labelled)[:limit])
    adata.var["is_regulator"] = adata.var_names.isin(labelled)
    print(f"{dataset}: {len(names)} genes, {len(labelled)} regulators", flush=True)
    grn.tl.probe(adata)
    grn.tl.embedding(adata)
    return adata


def positives(data: Path, network: str, dataset: str, size: int) -> pd.DataFrame:
    """Edges of a reference network, without self-loops."""
    edges = pd.read_parquet(data / "beeline" / "edges.parquet")
    edges = edges[(edges["network"] == network) & (edges["dataset"] == dataset) & (edges["size"] == size)]
    edges = edges.rename(columns={"tf": "source"})[["source", "target"]]
    return edges[edges["source"] != edges["target"]].drop_duplicates()


def cube_of(adata: ad.AnnData, key: str) -> np.ndarray:
    """Features (targets, sources, K) of the sources that were probed."""
    if key.startswith("X_"):
        rows = adata.var_names.get_indexer(adata.uns["vvp"]["sources"])
        return pair_sums(np.asarray(adata.varm[key]), rows)
    return np.asarray(adata.varm[key])


def scores(
    chosen: dict[str, Translator],
    adata: ad.AnnData,
    edges: pd.DataFrame,
    seen: set[str],
    negatives: str,
    *,
    strict: bool,
) -> dict[str, float]:
    """AUPRC of every feature and of the ensemble on one test data set; strict leaves out genes seen in training."""
    logits = {}
    for key in FEATURES:
        logits[key] = chosen[key].logits(cube_of(adata, key))
    sources = np.asarray(adata.uns["vvp"]["sources"], dtype=str)
    names = np.asarray(adata.var_names, dtype=str)
    usable = ~np.isnan(np.stack(list(logits.values()))).any(axis=0)
    if strict:
        usable &= ~np.isin(names, list(seen))[:, None] & ~np.isin(sources, list(seen))[None, :]
    values = []
    for seed in range(5):
        pairs = labelled_pairs(edges, names, sources, usable, negatives=negatives, seed=seed)
        logits["ensemble"] = (logits["vvp"] + logits["gradient_trajectory"]) / 2
        values.append(
            {k: average_precision_score(pairs.labels, v[pairs.targets, pairs.sources]) for k, v in logits.items()}
        )
    mean = pd.DataFrame(values).mean().round(4).to_dict()
    return {**{str(k): float(v) for k, v in mean.items()}, "pairs": len(pairs)}


def main() -> None:
    """Fit, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps probed objects between runs")
    parser.add_argument("--view", default="both", choices=["raw", "centred", "both"])
    parser.add_argument("--negatives", default="degree_matched", choices=["uniform", "degree_matched"])
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    objects = {}
    for name in (TRAIN, *TESTS):
        kept = None if args.cache is None else args.cache / f"{name}-{args.size}.h5ad"
        if kept is not None and kept.exists():
            objects[name] = ad.read_h5ad(kept)
        else:
            objects[name] = probed(args.data, name, args.size, None if name == TRAIN else MAX_REGULATORS)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                objects[name].write_h5ad(kept)
    train = objects[TRAIN]
    seen = set(train.var_names)
    figures: dict[str, object] = {}
    for short, network in NETWORKS.items():
        edges = positives(args.data, network, TRAIN, args.size)
        chosen = {}
        for key in FEATURES:
            chosen[key] = grn.tl.fit_translator(train, edges, key=key, view=args.view, negatives=args.negatives)
            chosen[key].save(args.out / f"mini-{short}-{chosen[key].config.feature}")
        for name in TESTS:
            known = positives(args.data, network, name, args.size)
            for protocol, negatives, strict in (("paper", "uniform", False), ("strict", "degree_matched", True)):
                row = scores(chosen, objects[name], known, seen, negatives, strict=strict)
                figures[f"{network} / {name} / {protocol}"] = row
                print(network, name, protocol, row, flush=True)
    card = {
        "train": TRAIN,
        "size": args.size,
        "negatives": args.negatives,
        "view": args.view,
        "test_regulators_at_most": MAX_REGULATORS,
        "metric": "AUPRC, one negative per positive, mean of 5 draws",
        "model_sha256": train.uns["vvp"]["params"]["model_sha256"],
        "figures": figures,
    }
    (args.out / "translators.json").write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
