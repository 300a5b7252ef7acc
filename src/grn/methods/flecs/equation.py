"""The equation of FLeCS for some genes and paths of an object: its training, from starts that are drawn by names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from grn._core.checkpoints import Arrays, States
from grn._kernels.edge_product import Edges
from grn._kernels.gene_ode import Parameters, Solver, Standard, Trained, Training, train
from grn._kernels.scatter import Rows, gathered
from grn.methods.flecs.paths import CellPaths
from grn.methods.flecs.starts import FASTER, ORIGINAL, in_order, shuffled, starts
from grn.methods.flecs.wiring import Wiring
from grn.methods.resume import part_of


@dataclass(frozen=True)
class Equation:
    """Everything that was fitted.

    Parameters
    ----------
    names
        Names of the genes (G,).
    wiring, edges
        Genes and edges, as positions and as tensors.
    paths
        The paths.
    rows
        Gives values (k, n_vars) of cells.
    trained
        Networks, of expression divided by ``scale``.
    scale, spread
        What expression is divided by (G,), and its standard deviation then (G,), in units of which weights are told.
    """

    names: np.ndarray
    wiring: Wiring
    edges: Edges
    paths: CellPaths
    rows: Rows
    trained: Trained
    scale: np.ndarray
    spread: np.ndarray

    def values(self, cells: np.ndarray) -> np.ndarray:
        """Expression of the genes in some cells (n, G)."""
        return gathered(self.rows, cells, self.wiring.genes).astype(np.float32, copy=False)


def fitted(
    names: np.ndarray,
    wiring: Wiring,
    paths: CellPaths,
    rows: Rows,
    training: Training,
    solver: Solver,
    *,
    n_networks: int,
    seed: int,
    device: torch.device,
    scaled: bool,
    cache: Path | None = None,
) -> Equation:
    """Train networks on paths.

    Parameters
    ----------
    names, wiring, paths, rows
        See :class:`Equation`.
    training, solver
        How.
    n_networks, seed
        Number of networks, and the seed of their starts and of the order in which they see the paths.
    device
        Where.
    scaled
        Divide expression by its range, start at the mean of the cells, and train in units of the spread.
    cache
        Folder of parts that are kept.
    """
    used, places = np.unique(paths.cells, return_inverse=True)
    raw = gathered(rows, used, wiring.genes).astype(np.float32, copy=False)
    scale = _scale(raw) if scaled else np.ones(raw.shape[1], dtype=np.float32)
    values = torch.as_tensor(raw / scale, device=device)
    source, target = (torch.as_tensor(part, device=device) for part in (wiring.source, wiring.target))
    edges = Edges(source, target, len(names))
    drawn = starts(seed, n_networks, names, wiring.source, wiring.target, FASTER if scaled else ORIGINAL)
    start = Parameters(*(part.to(device) for part in drawn))
    standard, spread = None, np.ones(len(names))
    if scaled:
        standard = Standard(values.mean(dim=0), values.std(dim=0).clamp(min=1e-3))
        start, spread = _at_the_mean(start, standard, edges), np.asarray(standard.spread.cpu(), dtype=np.float64)
    n_paths = len(paths.cells)
    places = places.reshape(paths.cells.shape)
    part = part_of(
        cache,
        "flecs",
        lambda: {
            "values": [raw, scale, places],
            "edges": [wiring.source, wiring.target, len(names)],
            "start": [each.cpu().numpy() for each in start],
            "training": [training, solver, seed, n_networks, scaled],
            "device": device.type,
        },
    )
    trained = part.get(
        lambda arrays: _trained(arrays, device),
        lambda: train(
            values,
            torch.as_tensor(places, device=device),
            edges,
            start,
            training,
            solver,
            lambda epoch: (
                in_order(n_networks, n_paths) if training.whole else shuffled(seed, n_networks, n_paths, epoch)
            ),
            standard,
            States([part]),
        ),
        _arrays,
    )
    return Equation(names, wiring, edges, paths, rows, trained, scale, spread)


def _arrays(trained: Trained) -> Arrays:
    networks = {name: value.cpu().numpy() for name, value in zip(trained.at._fields, trained.at, strict=True)}
    return {**networks, "losses": trained.losses}


def _trained(arrays: Arrays, device: torch.device) -> Trained:
    """What :func:`_arrays` has of networks."""
    networks = (torch.from_numpy(arrays[name]).to(device) for name in Parameters._fields)
    return Trained(Parameters(*networks), arrays["losses"])


def _at_the_mean(start: Parameters, standard: Standard, edges: Edges) -> Parameters:
    """The start with a bias by which production and decay are equal at the mean of the cells."""
    balance = torch.logit((start.decay * standard.mean).clamp(1e-3, 0.999))
    return standard.natural(Parameters(start.weights, start.bias + balance, start.decay.log()), edges)


def _scale(values: np.ndarray) -> np.ndarray:
    """The 99th percentile of every gene above zero (G,), its largest value where that is zero."""
    high = np.percentile(values, 99, axis=0)
    return np.where(high > 0, high, np.maximum(values.max(axis=0), 1e-6)).astype(np.float32)
