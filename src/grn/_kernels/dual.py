"""Layers whose forward-mode tangent costs no more passes than it must.

Forward AD of torch takes a linear layer apart into products and sums, and a layer norm into some twenty passes over
the tokens. Here a layer does the ordinary thing on ordinary tensors; of a dual tensor it computes value and tangent and
packs them again::

    y = x W^T + b                dy = dx W^T
    y = w * x' + b               dy = w * L dx,   x' = (x - mean) / sd,   L = (1 - 1 1^T / d - x' x'^T / d) / sd

``L`` is symmetric, so ``L dx`` is what the backward pass of the norm makes of ``dx``, in one fused pass. One product on
stacked value and tangent is no faster than two where a layer has a thousand tokens, and would copy them. Activations
stay those of torch, which has fused tangents for them, and so do sums.

The classes are those of torch with the same parameters, so state dicts do not tell them apart. What reverse mode
records goes through torch's own layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from grn._kernels import products


class Linear(nn.Linear):
    """``nn.Linear`` with a cheap tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """``x W^T + b`` (..., out) of ``x`` (..., in)."""
        return linear(input, self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` with a cheap tangent."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalised ``x`` (..., d)."""
        value, tangent = forward_ad.unpack_dual(input)
        if tangent is None or products.differentiated(input, self.weight, self.bias):
            return super().forward(input)
        y, mean, rstd = torch.native_layer_norm(value, self.normalized_shape, self.weight, self.bias, self.eps)
        slope, _, _ = torch.ops.aten.native_layer_norm_backward(
            tangent.contiguous(), value, self.normalized_shape, mean, rstd, None, None, [True, False, False]
        )
        packed: Tensor = forward_ad.make_dual(y, slope if self.weight is None else slope.mul_(self.weight))
        return packed


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` of constant weights; carries the tangent when ``x`` is a dual tensor.

    Parameters
    ----------
    x
        Tokens (..., in).
    weight, bias
        Matrix (out, in) and vector (out,).

    Returns
    -------
    Tensor
        Tokens (..., out); a dual tensor if ``x`` was one.
    """
    value, tangent = forward_ad.unpack_dual(x)
    if tangent is None:
        return products.linear(x, weight, bias)
    if products.differentiated(x, weight, bias):
        return F.linear(x, weight, bias)
    packed: Tensor = forward_ad.make_dual(products.linear(value, weight, bias), products.linear(tangent, weight))
    return packed
