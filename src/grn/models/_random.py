"""Random weights for published architectures: to try a pipeline and measure its cost before fetching real ones."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def random_state(network: Network, seed: int, *, spread: float = 0.1) -> Network:
    """Draw every parameter from a normal distribution; norms scatter about the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            norm = isinstance(module, nn.LayerNorm | nn.BatchNorm1d)
            for name, parameter in module.named_parameters(recurse=False):
                # wide layers with a fixed spread would saturate attention
                scale = min(spread, parameter.shape[-1] ** -0.5) if isinstance(module, nn.Linear) else spread
                parameter.normal_(std=scale if parameter.dim() > 1 else spread, generator=generator)
                if norm and name == "weight":
                    parameter.add_(1.0)
    return network
