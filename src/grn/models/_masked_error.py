"""How well masked values of unseen cells are predicted, beside two baselines that need no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from grn._core.rng import child
from grn.models._training_cells import CellSet
from grn.models.memory import SCALE, MemoryNetwork


def masked_error(
    network: MemoryNetwork,
    train: Sequence[CellSet],
    held: Sequence[CellSet],
    *,
    visible: int = 512,
    queries: int = 512,
    max_cells: int = 100,
    neighbors: int = 20,
    seed: int = 0,
) -> list[dict[str, float | str]]:
    """Mean squared error of masked z-scores, per data set.

    Parameters
    ----------
    network
        Network to test.
    train
        Cells the nearest-cell baseline may look at (same order as ``held``).
    held
        Held-out cells; z-scores use the moments of the training cells.
    visible, queries
        Genes shown and genes masked, drawn once per data set by the square root of detection.
    max_cells
        Held-out cells used per data set.
    neighbors
        Number of nearest training cells (Euclidean over the visible genes) averaged by the baseline.
    seed
        Seed of the draw of genes and cells.

    Returns
    -------
    list of dict
        Per data set: number of cells and genes, error of the gene's mean (predicting 0), of the
        nearest cells and of the network, and ``r2 = 1 - error / error of the mean``.
    """
    return [
        _one(network, known, cells, visible, queries, max_cells, neighbors, seed)
        for known, cells in zip(train, held, strict=True)
        if cells.X.shape[0] > 0
    ]


def _one(
    network: MemoryNetwork,
    known: CellSet,
    cells: CellSet,
    visible: int,
    queries: int,
    max_cells: int,
    neighbors: int,
    seed: int,
) -> dict[str, float | str]:
    rng = child(seed, cells.name)
    p = np.sqrt(cells.detection)
    n = min(int((p > 0).sum()), visible + queries)
    columns = rng.choice(len(p), size=n, replace=False, p=p / p.sum())
    cut = n * visible // (visible + queries)
    rows = rng.permutation(cells.X.shape[0])[:max_cells]
    z = cells.z(rows, columns, SCALE.lower, SCALE.upper)
    shown, truth = z[:, :cut], z[:, cut:]
    pool = rng.permutation(known.X.shape[0])[:2000]
    near = _nearest_mean(known.z(pool, columns, SCALE.lower, SCALE.upper), shown, cut, neighbors, same=known is cells)
    tokens = torch.as_tensor(cells.tokens[columns])
    with torch.no_grad():
        parts = torch.split(torch.as_tensor(shown), 16)
        predicted = torch.cat([network(tokens[:cut], part, tokens[cut:]) for part in parts]).numpy()
    mean_error = float(np.square(truth).mean())
    error, near_error = float(np.square(truth - predicted).mean()), float(np.square(truth - near).mean())
    return {
        "dataset": cells.name,
        "cells": float(len(rows)),
        "genes": float(n),
        "mse_mean": mean_error,
        "mse_neighbors": near_error,
        "mse_model": error,
        "r2_neighbors": 1 - near_error / mean_error,
        "r2_model": 1 - error / mean_error,
    }


def _nearest_mean(pool: np.ndarray, shown: np.ndarray, cut: int, neighbors: int, *, same: bool) -> np.ndarray:
    seen = pool[:, :cut]
    distance = np.square(shown).sum(1)[:, None] + np.square(seen).sum(1) - 2 * shown @ seen.T
    if same:  # a cell must not be its own neighbour
        distance[distance < 1e-3] = np.inf
    k = min(neighbors, max(1, len(pool) - same))
    nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
    mean: np.ndarray = pool[nearest, cut:].mean(axis=1)
    return mean
