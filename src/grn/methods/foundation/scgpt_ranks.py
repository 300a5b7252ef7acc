"""Attention of scGPT as its authors read networks from it: raw scores, replaced by ranks."""

from __future__ import annotations

import torch
from torch import Tensor


def ranked(scores: Tensor) -> Tensor:
    """Rank within each row, then of these ranks within each column, both from 0 and divided by their number.

    Equal scores, and the many equal ranks of the second step, share their mean rank. Where the authors take the place
    that a sort happens to give them, this is the mean of what they get over all orders of the genes.

    Parameters
    ----------
    scores
        Square matrices (..., M, M), row is the query, column the key.

    Returns
    -------
    Tensor
        (..., M, M) float32 from 0 to (M - 1) / M.
    """
    within_rows = mean_rank(scores)
    return mean_rank(within_rows.transpose(-2, -1)).transpose(-2, -1) / scores.shape[-1]


def mean_rank(values: Tensor) -> Tensor:
    """Rank of every value along the last axis, from 0, float32; equal values share the mean of their places."""
    values = values.contiguous()
    ordered = values.sort(dim=-1).values
    below = torch.searchsorted(ordered, values)
    return 0.5 * (below + torch.searchsorted(ordered, values, right=True) - 1).float()


def mean_ranks(q: Tensor, k: Tensor) -> Tensor:
    """Ranks (B, M, M) of the raw scores ``q k^T`` of queries and keys (B, H, M, D), averaged over heads."""
    heads = zip(q.float().unbind(1), k.float().unbind(1), strict=True)
    total = torch.zeros(len(q), q.shape[2], k.shape[2], device=q.device)
    for one_q, one_k in heads:  # head by head, as sorting takes several times the memory of the scores
        total += ranked(one_q @ one_k.transpose(-1, -2))
    return total / q.shape[1]
