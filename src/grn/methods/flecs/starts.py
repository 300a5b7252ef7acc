"""Where networks start and in which order they see the paths, by names and by the number of the network."""

from __future__ import annotations

import numpy as np
import torch
from scipy import special

from grn._core.rng import child, name_codes, pair_draws
from grn._kernels.gene_ode import Parameters, Round

_SPREAD = 0.01
# of the gamma that rates of decay are drawn from: the original's, and one of mean 0.8 for genes whose range is 1
ORIGINAL, FASTER = (2.0, 10.0), (8.0, 10.0)


def starts(
    seed: int,
    n_networks: int,
    names: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    decay: tuple[float, float] = ORIGINAL,
) -> Parameters:
    """Weights and bias from a normal of deviation 0.01, decay from a gamma.

    Parameters
    ----------
    seed
        Seed.
    n_networks
        Number of networks K; the first ones are the same for any number.
    names
        Names of the genes (G,).
    source, target
        Edges (E,), as places in ``names``.
    decay
        Shape and rate of the gamma.
    """
    shape, rate = decay
    parts: list[list[np.ndarray]] = [[], [], []]
    for network in range(n_networks):
        codes = {
            what: name_codes(seed, f"flecs {network} {what}", names.tolist()) for what in ("edge", "bias", "decay")
        }
        alone = np.zeros(1, dtype=np.uint64)
        parts[0].append(_SPREAD * special.ndtri(pair_draws(codes["edge"][source], codes["edge"][target])))
        parts[1].append(_SPREAD * special.ndtri(pair_draws(codes["bias"], alone)))
        parts[2].append(special.gammaincinv(shape, pair_draws(codes["decay"], alone)) / rate)
    return Parameters(*(torch.as_tensor(np.stack(part), dtype=torch.float32) for part in parts))


def shuffled(seed: int, n_networks: int, n_paths: int, epoch: int) -> Round:
    """A round in which every network has an order of its own."""
    draws = [child(seed, "flecs", f"network {network}", f"round {epoch}") for network in range(n_networks)]
    return Round(
        np.stack([draw.permutation(n_paths) for draw in draws]),
        np.stack([draw.random((n_paths, 2)) for draw in draws]),
        np.array([draw.integers(2**31) for draw in draws]),
    )


def in_order(n_networks: int, n_paths: int) -> Round:
    """A round in the order of the paths."""
    order = np.tile(np.arange(n_paths), (n_networks, 1))
    return Round(order, np.tile(np.linspace(0, 1, 2), (n_networks, n_paths, 1)), np.zeros(n_networks, dtype=np.int64))
