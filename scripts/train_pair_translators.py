"""Fit the translators ``cells`` and ``universal`` of ``mini`` on labels of BEELINE's hESC.

    python scripts/train_pair_translators.py --data DATA --out src/grn/models/weights

DATA is a folder with ``beeline/``. Both networks, STRING and non-specific ChIP-seq, are learned from together, with
one weight each and degree-matched negatives of three draws. How the translators do on data sets they never saw is
measured by ``python -m grn bench``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import grn
from grn.bench.negatives import Sample, sample
from grn.methods.inputs import inputs_of
from grn.methods.probes.side_information import COLUMNS
from grn.methods.probes.universal import responses, side_columns, trajectory
from grn.models.pair_translator import PENALTY, fitted

NETWORKS = ("STRING", "Non-Specific")
SEEDS = 3
SEEN = {
    "cells": "cells and profiles, gene names, hESC labels",
    "universal": "cells and profiles, gene names, promoter motifs, hESC labels",
}


def columns(reference: grn.bench.Reference) -> tuple[dict[str, np.ndarray], str]:
    """What the translators read of all pairs, (genes, regulators) by name, and the background of the responses."""
    genes = reference.genes
    adata = ad.AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    adata.var["is_regulator"] = np.isin(genes, reference.regulators)
    adata.uns["organism"] = reference.organism
    inputs = inputs_of(adata, model="mini")
    pairs = trajectory(inputs, context="virtual")
    cube = pairs.of_group(0)  # (G, S, M)
    table = {**responses(cube, pairs.grid), **side_columns(pairs.genes, pairs.sources)}
    regulators = np.searchsorted(reference.regulators, genes[pairs.sources])
    full = {}
    for name, values in table.items():
        full[name] = np.full((len(genes), len(reference.regulators)), np.nan)
        full[name][:, regulators] = np.where(np.isnan(cube[..., 0]), np.nan, values)
    return full, pairs.background


def taken(table: dict[str, np.ndarray], drawn: Sample) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns and labels of the pairs of a sample that the model knows."""
    values = {name: column[drawn.targets, drawn.sources] for name, column in table.items()}
    known = ~np.isnan(np.stack(list(values.values()))).any(axis=0)
    return {name: column[known] for name, column in values.items()}, drawn.labels[known]


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    args = parser.parse_args()
    parts, labels, weights = [], [], []
    for network in NETWORKS:
        reference = grn.datasets.beeline("hESC", network=network, path=args.data)
        table, background = columns(reference)
        for seed in range(SEEDS):
            values, truth = taken(table, sample(reference, negatives="degree_matched", rng=seed))
            parts.append(values)
            labels.append(truth)
            weights.append(np.full(len(truth), 1 / len(truth)))
    read_by = {"cells": [name for name in parts[0] if name not in COLUMNS], "universal": list(parts[0])}
    for name, read in read_by.items():
        translator = fitted(
            name,
            {column: np.concatenate([part[column] for part in parts]) for column in read},
            np.concatenate(labels),
            weights=np.concatenate(weights),
            penalty=PENALTY,
            background=background,
            model=grn.models.load("mini"),
            seen=SEEN[name],
        )
        print(translator.save(args.out / f"mini-{name}.json"), translator.coefficients, flush=True)


if __name__ == "__main__":
    main()
