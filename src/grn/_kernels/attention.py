"""Softmax attention that also carries a forward-mode tangent.

For one query block, with scores ``S = q k^T / sqrt(D)`` and ``A = softmax(S)``::

    o  = A v
    P  = A * dS,   dS = (dq k^T + q dk^T) / sqrt(D) = [dq, q] [k, dk]^T / sqrt(D)
    do = A dv + P v - rowsum(P) * o

Six matrix products instead of two. Queries go through in blocks, so the score
matrix is never held as a whole. The fused kernels of torch have no forward
mode; this one fills the gap and is exact.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

# bytes of scores held at a time; a few of these blocks fit a last-level cache
_BLOCK_BYTES = 2 * 2**20


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, exclude: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """Attention of queries over keys; carries tangents when the inputs are dual tensors.

    Parameters
    ----------
    q
        Queries (B, H, n, D).
    k, v
        Keys and values (B, H, m, D).
    exclude
        For every query (n,), the position of one key it must not see, or -1.
    mask
        Boolean (n, m), true where a query sees a key; every query must see at least one. Not with ``exclude``.

    Returns
    -------
    Tensor
        Attended values (B, H, n, D); a dual tensor if any input was one.
    """
    if exclude is not None and mask is not None:
        raise ValueError("pass exclude or mask, not both")
    (q0, dq), (k0, dk), (v0, dv) = (forward_ad.unpack_dual(x) for x in (q, k, v))
    if dq is None and dk is None and dv is None:
        seen = mask if exclude is None else _mask(exclude, k.shape[-2], q)
        out: Tensor = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return out
    dual: Tensor = forward_ad.make_dual(*attend_dual(q0, k0, v0, dq, dk, dv, exclude=exclude, mask=mask))
    return dual


def attend_dual(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dq: Tensor | None,
    dk: Tensor | None,
    dv: Tensor | None,
    *,
    exclude: Tensor | None = None,
    mask: Tensor | None = None,
    block_bytes: int = _BLOCK_BYTES,
) -> tuple[Tensor, Tensor]:
    """Attention and its directional derivative, in blocks of queries.

    Parameters
    ----------
    q, k, v
        Primal queries (B, H, n, D), keys and values (B, H, m, D).
    dq, dk, dv
        Their tangents; ``None`` is zero.
    exclude, mask
        As in :func:`attend`.
    block_bytes
        Bytes of scores held at a time; changes speed only, results to rounding.

    Returns
    -------
    tuple of Tensor
        Output and tangent, both (B, H, n, D). Cost: about three times the plain attention.
    """
    if exclude is not None and mask is not None:
        raise ValueError("pass exclude or mask, not both")
    B, H, n, D = q.shape
    m = k.shape[-2]
    q = q * (1.0 / math.sqrt(D))
    dq = torch.zeros_like(q) if dq is None else dq * (1.0 / math.sqrt(D))
    dv = torch.zeros_like(v) if dv is None else dv
    q, dq, k, v, dv = (x.reshape(B * H, -1, D) for x in (q, dq, k, v, dv))
    keys = k.transpose(1, 2)
    pair = keys if dk is None else torch.cat([k, dk.reshape(B * H, m, D)], dim=-1).transpose(1, 2)
    queries = dq if dk is None else torch.cat([dq, q], dim=-1)
    out, tangent = torch.empty_like(q), torch.empty_like(q)
    heads, rows = _block_shape(B * H, n, m, q.element_size(), block_bytes)
    for h in range(0, B * H, heads):
        hs = slice(h, h + heads)
        for r in range(0, n, rows):
            rs = slice(r, r + rows)
            A = torch.bmm(q[hs, rs], keys[hs])
            if mask is not None:
                A.masked_fill_(~mask[rs], float("-inf"))
            A = _softmax(A, None if exclude is None else exclude[rs])
            P = torch.bmm(queries[hs, rs], pair[hs]).mul_(A)
            o = torch.bmm(A, v[hs])
            out[hs, rs] = o
            do = torch.bmm(A, dv[hs]).baddbmm_(P, v[hs])
            tangent[hs, rs] = do.sub_(P.sum(dim=-1, keepdim=True) * o)
    return out.view(B, H, n, D), tangent.view(B, H, n, D)


def attention_weights(q: Tensor, k: Tensor, *, exclude: Tensor | None = None) -> Tensor:
    """Attention probabilities (B, H, n, m) as one matrix: row is the query, column the key."""
    return _softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), exclude)


def _softmax(scores: Tensor, exclude: Tensor | None) -> Tensor:
    if exclude is None:
        return torch.softmax(scores, dim=-1)
    m = scores.shape[-1]
    weights = torch.softmax(scores + _mask(exclude, m, scores), dim=-1)
    # a query whose only key is excluded reads nothing, as in torch's own kernels
    return torch.nan_to_num(weights, nan=0.0) if m == 1 else weights


def _mask(exclude: Tensor, m: int, like: Tensor) -> Tensor:
    keys = torch.arange(m, device=like.device)
    return torch.zeros(len(exclude), m, dtype=like.dtype, device=like.device).masked_fill_(
        exclude[:, None] == keys, float("-inf")
    )


def _block_shape(heads: int, n: int, m: int, itemsize: int, block_bytes: int) -> tuple[int, int]:
    rows = max(1, min(n, 256))
    return max(1, min(heads, block_bytes // (rows * m * itemsize))), rows
