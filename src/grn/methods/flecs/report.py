"""What is told of a fitted equation: edges, tables, and slopes of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from grn._core.logging import logger
from grn._kernels.gene_ode import Parameters, drift
from grn._kernels.scatter import BLOCK
from grn.methods.edges import indexed
from grn.methods.flecs.equation import Equation
from grn.methods.inputs import Inputs


def _array(part: torch.Tensor) -> np.ndarray:
    return np.asarray(part.cpu(), dtype=np.float64)


def edge_table(inputs: Inputs, fitted: Equation) -> pd.DataFrame:
    """Edges that were asked for, with their mean over the networks and how far these agree."""
    wiring, weights = fitted.wiring, _array(fitted.trained.at.weights)  # (K, E)
    source, target = wiring.genes[wiring.source], wiring.genes[wiring.target]
    task = inputs.task
    wanted = np.ones(len(source), dtype=bool)
    for ends, asked, what in ((source, task.sources, "sources"), (target, task.targets, "targets")):
        if asked is not None:
            wanted &= np.isin(ends, inputs.positions(asked, what))
    weights = weights[:, wanted] * fitted.spread[wiring.source[wanted]]
    mean = weights.mean(axis=0)
    columns = {"weight": mean, "sign": np.where(mean == 0, np.nan, np.sign(mean))}
    if len(weights) > 1:
        size = np.abs(weights).mean(axis=0)
        columns["stability"] = np.divide(np.abs(mean), size, out=np.zeros_like(size), where=size > 0)
        columns["deviation"] = weights.std(axis=0, ddof=1)
    if (wiring.order != 1).any():
        columns["order"] = wiring.order[wanted]
    return indexed(inputs.names, source[wanted], target[wanted], **columns)


def tables(inputs: Inputs, fitted: Equation) -> dict[str, object]:
    """The tables of the record."""
    at = Parameters(*map(_array, fitted.trained.at))  # type: ignore[arg-type]
    losses, paths = fitted.trained.losses, fitted.paths
    network, epoch = np.indices(losses.shape)
    genes = {"gene": fitted.names, "bias": at.bias.mean(axis=0), "decay": at.decay.mean(axis=0)}
    if len(at.bias) > 1:
        genes |= {f"{name}_deviation": getattr(at, name).std(axis=0, ddof=1) for name in ("bias", "decay")}
    starts_of = [fitted.values(cells).mean(axis=0) for cells in paths.starts()]
    return {
        "rates": pd.DataFrame(genes),
        "paths": paths.table(inputs.barcodes),
        "loss": pd.DataFrame({"epoch": epoch.ravel(), "network": network.ravel(), "loss": losses.ravel()}),
        "fit": {
            "genes": fitted.names,
            "source": fitted.wiring.source,
            "target": fitted.wiring.target,
            "weights": at.weights,
            "bias": at.bias,
            "decay": at.decay,
            "scale": fitted.scale.astype(np.float64),
            "lineages": np.array(paths.lineages),
            "start": np.stack(starts_of).astype(np.float64),
            "times": np.arange(paths.cells.shape[1], dtype=np.float64),
        },
    }


def told(fitted: Equation, *, compare: bool) -> dict[str, object]:
    """How many paths there were, and the loss beside that of cells that stay as they start."""
    paths, losses = fitted.paths, fitted.trained.losses
    first = fitted.values(paths.cells[:, 0])
    still = [np.square((fitted.values(cells) - first) / fitted.scale).mean(dtype=np.float64) for cells in paths.cells.T]
    loss, floor = float(losses[:, -1].mean()), float(np.mean(still))
    if compare and not loss < floor:
        logger.warning(
            "flecs: the loss %.3g is not below that of cells that stay as they start, %.3g: the equation explains "
            "nothing of the paths; pass a larger n_epochs or other paths",
            *(loss, floor),
        )
    return {
        "n_paths": len(paths.cells),
        "n_paths_short": paths.n_short,
        "n_paths_apart": paths.n_apart,
        "loss": loss,
        "loss_still": floor,
    }


@torch.no_grad()
def velocities(inputs: Inputs, fitted: Equation) -> np.ndarray:
    """Mean slope over the networks of all genes of the equation in every cell (n_cells, n_vars), NaN for others."""
    out = np.full((inputs.n_cells, len(inputs.names)), np.nan, dtype=np.float32)
    slopes = drift(fitted.trained.at, fitted.edges)
    for begin in range(0, inputs.n_cells, BLOCK):
        cells = np.arange(begin, min(begin + BLOCK, inputs.n_cells))
        values = torch.as_tensor(fitted.values(cells) / fitted.scale, device=fitted.trained.at.bias.device)
        at = values.expand(len(fitted.trained.at.bias), -1, -1)
        out[cells[:, None], fitted.wiring.genes] = slopes(0.0, at).mean(dim=0).cpu().numpy() * fitted.scale
    return out
