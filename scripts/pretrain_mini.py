"""Train ``mini``, the foundation model in the wheel, and write its card.

    python scripts/pretrain_mini.py --data DATA --out src/grn/models/weights

DATA is a folder with ``expression/*.h5ad``. Training resumes from ``--state``; ``--evaluate`` only repeats the
figures of the card for the weights in ``--out``. Two cores take about 35 minutes.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import anndata as ad
import numpy as np
import torch

from grn.genes import regulators, resolve
from grn.models._masked_error import masked_error
from grn.models._model_file import load_mini, save_mini
from grn.models._pretrain import Schedule, fit, initial_embedding
from grn.models._training_cells import CellSet, cell_sets, hold_out
from grn.models.mini import Mini, MiniConfig, MiniNetwork

# cells of BEELINE's studies stay out: they serve as tests (Chu 2016: hESC; Semrau 2017: mES-retinoic)
EXCLUDED = ("human_esc_endothelial_chu2016_100", "mouse_esc_ra_semrau2017")
HELD_OUT_SETS = (
    "human_pbmc68k_reduced",
    "human_myoblast_hsmm_trapnell2014",
    "human_melanoma_tirosh2016_chetah150",
    "mouse_skin_joost2016",
)
HELD_OUT_CELLS = 0.05
MIN_DETECTION, MIN_SETS = 0.02, 18
RIDGE = 1000.0


def read(data: Path) -> dict[str, ad.AnnData]:
    """All data sets but the excluded ones, with human symbols in ``var["grn_symbol"]``."""
    found = {}
    for path in sorted((data / "expression").glob("*.h5ad")):
        if path.stem in EXCLUDED:
            continue
        adata = ad.read_h5ad(path)
        organism = "mouse" if path.stem.startswith("mouse") else "human"
        adata.var["grn_symbol"] = resolve(adata.var_names, organism=organism)["symbol"].to_numpy()
        found[path.stem] = adata
    return found


def vocabulary(adatas: dict[str, ad.AnnData]) -> list[str]:
    """Genes detected in enough cells of enough data sets; regulators need a third as many."""
    seen: Counter[str] = Counter()
    for adata in adatas.values():
        detection = np.asarray((adata.X > 0).mean(axis=0)).ravel()
        seen.update(set(adata.var["grn_symbol"][detection >= MIN_DETECTION]) - {""})
    factors = regulators("human")
    return sorted(g for g, n in seen.items() if n >= (MIN_SETS // 3 if g in factors else MIN_SETS))


def figures(network: MiniNetwork, train: list[CellSet], held: list[CellSet], new: list[CellSet]) -> dict[str, object]:
    """Masked-value error on held-out cells and on held-out data sets."""
    out: dict[str, object] = {}
    for name, known, cells in (("held_out_cells", train, held), ("held_out_sets", new, new)):
        rows = masked_error(network, known, cells)
        keys = ("mse_mean", "mse_neighbors", "mse_model", "r2_neighbors", "r2_model")
        out[name] = {k: round(float(np.mean([float(r[k]) for r in rows])), 4) for k in keys} | {
            "n_sets": len(rows),
            "n_better_than_mean": sum(float(r["r2_model"]) > 0 for r in rows),
            "n_better_than_neighbors": sum(float(r["mse_model"]) < float(r["mse_neighbors"]) for r in rows),
            "sets": [{k: v if isinstance(v, str) else round(v, 4) for k, v in r.items()} for r in rows],
        }
    return out


def summary(found: dict[str, object]) -> str:
    """The figures without the single data sets, as JSON."""
    return json.dumps({k: {m: v for m, v in f.items() if m != "sets"} for k, f in found.items()}, indent=1)


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    parser.add_argument("--state", type=Path, default=None, help="training state to resume from")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--sparse-context", type=float, default=0.2)
    parser.add_argument("--evaluate", action="store_true")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    weights = args.out / "mini.safetensors"
    adatas = read(args.data)
    genes = list(load_mini(weights).genes) if args.evaluate else vocabulary(adatas)
    sets = cell_sets(adatas, {g: i for i, g in enumerate(genes)})
    pairs = [hold_out(s, HELD_OUT_CELLS) for s in sets if s.name not in HELD_OUT_SETS]
    train, held = [a for a, _ in pairs], [b for _, b in pairs]
    new = [s for s in sets if s.name in HELD_OUT_SETS]
    schedule = Schedule(steps=args.steps, lr=args.lr, horizon=2000, cooldown=500, sparse_context=args.sparse_context)
    print(
        f"{len(genes)} genes, {sum(s.X.shape[0] for s in train)} training cells of {len(train)} data sets", flush=True
    )

    start: object = None
    if args.evaluate:
        network = load_mini(weights).network
        start = json.loads((args.out / "mini.json").read_text())["figures_before_training"]
    else:
        torch.manual_seed(schedule.seed)
        network = MiniNetwork(MiniConfig(n_genes=len(genes)))
        embedding, _ = initial_embedding(train, len(genes), network.config.d)
        network.start_from(torch.as_tensor(embedding), ridge=RIDGE)
        recent: list[float] = []
        start = figures(network, train, held, new)
        print("before training:", summary(start), flush=True)

        def report(step: int, loss: float) -> None:
            recent.append(loss)
            if (step + 1) % 100 == 0:
                print(f"step {step + 1}: mean loss {np.mean(recent[-100:]):.4f}", flush=True)
            if (step + 1) % 500 == 0:
                rows = masked_error(network, train, held, max_cells=20)
                print(f"  masked R2 of held-out cells {np.mean([float(r['r2_model']) for r in rows]):.4f}", flush=True)

        fit(network, train, schedule, device=torch.device("cpu"), checkpoint=args.state, on_step=report)

    card = {
        "name": "mini",
        "genes": len(genes),
        "parameters": sum(p.numel() for p in network.parameters()),
        "config": asdict(network.config),
        "schedule": asdict(schedule),
        "training_sets": [{"name": s.name, "cells": int(s.X.shape[0]), "genes": int(s.X.shape[1])} for s in train],
        "training_cells": int(sum(s.X.shape[0] for s in train)),
        "held_out_cells": int(sum(s.X.shape[0] for s in held)),
        "excluded": list(EXCLUDED),
        "figures": figures(network, train, held, new),
        # the same figures before the first step: ridge regression on the leading eigenvectors, no training
        "figures_before_training": start,
    }
    if not args.evaluate:
        save_mini(Mini(network, genes, name="mini", sha256=""), weights)
    (args.out / "mini.json").write_text(json.dumps(card, indent=1) + "\n")
    print("after training:", summary(card["figures"]))


if __name__ == "__main__":
    main()
