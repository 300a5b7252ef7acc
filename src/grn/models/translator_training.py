"""How the network of a translator learns: binary cross-entropy on labelled pairs, with early stopping per member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from grn._core.logging import progress
from grn.models.steady import undisturbed
from grn.models.translator import TranslatorNetwork


@dataclass(frozen=True)
class FitSettings:
    """How a translator is fitted."""

    epochs: int = 200
    patience: int = 20
    lr: float = 2e-3
    weight_decay: float = 1e-3
    batch_size: int = 1024


@undisturbed
def fit_network(
    network: TranslatorNetwork,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    settings: FitSettings,
    seed: int,
) -> dict[str, Sequence[float] | float]:
    """Binary cross-entropy with early stopping per member; every member keeps its best epoch.

    Parameters
    ----------
    network
        Network to train in place.
    train, validation
        Features (N, K') and labels (N,) in {0, 1}.
    settings
        Optimiser settings.
    seed
        Seed of weights and batches.

    Returns
    -------
    dict
        Best validation loss per member, their mean, and the number of epochs run.
    """
    x, y = (torch.as_tensor(a, dtype=torch.float32) for a in train)
    vx, vy = (torch.as_tensor(a, dtype=torch.float32) for a in validation)
    network.train().requires_grad_(requires_grad=True)
    network.initialise(seed)
    network.standardise_by(x)
    members = len(network.weights[0])
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    best = torch.full((members,), float("inf"))
    best_state = [p.detach().clone() for p in network.parameters()]
    waited = epochs = 0
    bar = progress(range(settings.epochs), desc="translator")
    while epochs < settings.epochs and waited < settings.patience:
        next(bar, None)
        epochs += 1
        for part in torch.split(torch.randperm(len(x), generator=generator), settings.batch_size):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(_loss(network(x[part]), y[part]).sum())
            optimizer.step()
        with torch.no_grad():
            loss = _loss(network(vx), vy)
            better = loss < best
            best = torch.minimum(best, loss)
            for keep, p in zip(best_state, network.parameters(), strict=True):
                keep[better] = p[better]
        waited = 0 if bool(better.any()) else waited + 1
    with torch.no_grad():
        for keep, p in zip(best_state, network.parameters(), strict=True):
            p.copy_(keep)
    network.eval().requires_grad_(requires_grad=False)
    return {"validation_loss": [round(float(b), 5) for b in best], "mean": float(best.mean()), "epochs": epochs}


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    losses = nn.functional.binary_cross_entropy_with_logits(logits, labels.expand_as(logits), reduction="none")
    return losses.mean(dim=1)
