"""Backbones that know less: what is left when the weights mean nothing."""

from __future__ import annotations

import copy

import torch
from torch import nn

from grn._core.errors import CapabilityError
from grn.models import FoundationModel


def modules(model: FoundationModel) -> list[nn.Module]:
    """The torch modules a model holds."""
    return [part for part in (model, *vars(model).values()) if isinstance(part, nn.Module)]


def shuffled_weights(model: FoundationModel, *, seed: int = 0) -> FoundationModel:
    """A copy of a model with the entries of every weight tensor in random order.

    Sizes and distributions of all tensors stay as they were, what they learned does not.

    Parameters
    ----------
    model
        A model whose weights are parameters of a torch module.
    seed
        Seed of the order.

    Raises
    ------
    CapabilityError
        If the model holds no torch module.
    """
    changed = copy.deepcopy(model)
    networks = modules(changed)
    if not networks:
        raise CapabilityError(
            f"{model.name} holds no torch module, so its weights cannot be shuffled; leave out the ablations with "
            "shuffled weights."
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in networks:
            for tensor in network.parameters():
                order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.copy_(tensor.reshape(-1)[order].reshape(tensor.shape))
    changed.name = f"{model.name}, shuffled weights"
    changed.sha256 = f"{model.sha256}-shuffled-{seed}"
    return changed
