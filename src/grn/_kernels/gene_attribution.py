"""What the inputs of trained networks of genes contribute to their output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grn._kernels.gene_networks import Features, Weights, slopes


def attribution(
    features: Features, weights: Weights, background: Tensor, *, activation: str = "relu"
) -> tuple[Tensor, Tensor]:
    r"""Mean absolute contribution of every input, and its mean slope, from the derivatives in background cells.

    .. math:: \phi_i(x) = \frac1{|B|} \sum_{b \in B} g_i(b)\,(x_i - b_i), \qquad
              s_i = \frac1n \sum_x |\phi_i(x)|

    This is what the original program has in place of SHAP values: it does not add up to the output. One pass over the
    background serves all cells.

    Parameters
    ----------
    features
        Inputs of n cells.
    weights
        Trained networks.
    background
        Positions of the background cells.
    activation
        Of the networks.

    Returns
    -------
    score, slope
        (B, p + r) each: mean absolute contribution over the n cells, mean derivative over the background.
    """
    there = features.cells(background)
    derivative = slopes(there, weights, activation)
    slope = derivative.mean(dim=1)  # (B, p + r)
    offset = (derivative * columns(there)).mean(dim=1)
    score, p = torch.empty_like(slope), features.shared.shape[1]
    # gene by gene: inputs of all genes in all cells would be far more than the genes take in training
    for gene, each in enumerate(features.each):
        for values, part in ((features.shared, slice(p)), (each, slice(p, None))):
            score[gene, part] = (values * slope[gene, part] - offset[gene, part]).abs().mean(dim=0)
    return score, slope


def expected_gradients(
    features: Features, weights: Weights, background: Tensor, *, activation: str = "relu", nodes: int = 4
) -> tuple[Tensor, Tensor]:
    r"""Mean absolute expected gradient of every input, and its mean slope.

    .. math:: \phi_i(x) = \frac1{|B|} \sum_{b \in B} (x_i - b_i) \int_0^1 g_i(b + a (x - b))\, da

    Contributions add up to the output minus its mean over the background, as far as the integral is exact: it is
    computed at ``nodes`` points of Gauss and Legendre.

    Parameters
    ----------
    features, weights, background, activation
        As in :func:`attribution`.
    nodes
        Points on the way from a background cell to a cell. Cost: ``nodes`` passes over all cells per background cell.

    Returns
    -------
    score, slope
        (B, p + r) each, as in :func:`attribution`.
    """
    total, slope = contributions(features, weights, background, activation=activation, nodes=nodes)
    return total.abs().mean(dim=1), slope


def contributions(
    features: Features, weights: Weights, background: Tensor, *, activation: str = "relu", nodes: int = 4
) -> tuple[Tensor, Tensor]:
    """Expected gradients of every input in every cell (B, n, p + r), and mean slopes (B, p + r)."""
    values = columns(features)  # (B, n, p + r)
    places, shares = np.polynomial.legendre.leggauss(nodes)
    none = features.shared[:, :0]
    total, slope = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    for b in background.tolist():
        apart = values - values[:, b, None]
        for place, share in zip((places + 1) / 2, shares / 2, strict=True):
            between = Features(none, values[:, b, None] + float(place) * apart)
            derivative = float(share) * slopes(between, weights, activation)
            total += derivative * apart
            slope += derivative.mean(dim=1)
    return total / len(background), slope / len(background)


def columns(features: Features) -> Tensor:
    """All inputs of every gene (B, n, p + r)."""
    shared = features.shared.expand(len(features.each), -1, -1)
    return torch.cat([shared, features.each], dim=2) if shared.shape[2] else features.each


def cosines(weights: Tensor, n_regulators: int) -> Tensor:
    """Likeness (B, a, b) of the first a inputs, regulators, and the other b, regions, by their first-layer weights.

    The cosine of two columns of weights (B, 64, a + b). A millionth of the mean norm of a gene is added to every norm.
    """
    norms = weights.norm(dim=1)  # (B, a + b)
    present = norms > 0
    floor = norms.sum(dim=1, keepdim=True) / present.sum(dim=1, keepdim=True).clamp(min=1) * 1e-6
    unit = weights / torch.where(present, norms + floor, 1.0)[:, None]
    return torch.bmm(unit[:, :, :n_regulators].mT, unit[:, :, n_regulators:])
