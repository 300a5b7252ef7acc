"""Softmax attention that also carries a forward-mode tangent.

For one query block, with scores ``S = q k^T / sqrt(D)`` and ``A = softmax(S)``::

    o  = A v
    P  = A * dS,   dS = (dq k^T + q dk^T) / sqrt(D) = [dq, q] [k, dk]^T / sqrt(D)
    do = A dv + P v - rowsum(P) * o

Six matrix products instead of two, so the cost is three times that of plain attention where products are all that
counts. Queries go through in blocks: the score matrix is never held as a whole, and one block of it stays in the cache
through the softmax, the product with ``dS`` and the two products with the values. The fused kernels of torch have no
forward mode; this one fills the gap and is exact.

Products go to oneDNN head by head where that is faster (see :mod:`grn._kernels.products`), plain attention included,
else to the batched product of torch, several heads at a time. On CUDA devices a Triton kernel does the same where it is
installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from grn._kernels.products import keep_freed, pays, product, wide

# bytes of scores held at a time, a few times over: what fits a last-level cache. Products of oneDNN take one head and
# want many rows, batched ones several heads.
_BLOCK_BYTES = {True: 8 * 2**20, False: 4 * 2**20}
_ROWS = {True: 512, False: 256}
# floating point operations of one product per thread that make up for going through heads one at a time
_FLOPS_PER_THREAD = 2**22


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    exclude: Tensor | None = None,
    mask: Tensor | None = None,
    padding: Tensor | None = None,
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
    padding
        Boolean (B, m), true for keys that are no more than padding; every query must see another one.

    Returns
    -------
    Tensor
        Attended values (B, H, n, D); a dual tensor if any input was one.
    """
    keep_freed()
    (q0, dq), (k0, dk), (v0, dv) = (forward_ad.unpack_dual(x) for x in (q, k, v))
    hidden = _Hidden(exclude, mask, padding)
    if dq is None and dk is None and dv is None:
        if _by_head(q, k, v):
            return _blocked(q, k, v, None, hidden)[0]
        out: Tensor = F.scaled_dot_product_attention(q, k, v, attn_mask=hidden.bias(k.shape[-2], q))
        return out
    pair = attend_dual(q0, k0, v0, dq, dk, dv, exclude=exclude, mask=mask, padding=padding)
    dual: Tensor = forward_ad.make_dual(*pair)
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
    padding: Tensor | None = None,
    block_bytes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention and its directional derivative, in blocks of queries.

    Parameters
    ----------
    q, k, v
        Primal queries (B, H, n, D), keys and values (B, H, m, D).
    dq, dk, dv
        Their tangents; ``None`` is zero.
    exclude, mask, padding
        As in :func:`attend`.
    block_bytes
        Bytes of scores held at a time; changes speed only, results to rounding. ``None`` leaves it to the kernel.

    Returns
    -------
    tuple of Tensor
        Output and tangent, both (B, H, n, D). Cost: about three times the plain attention.
    """
    hidden = _Hidden(exclude, mask, padding)
    if q.device.type == "cuda" and mask is None and padding is None and block_bytes is None:
        from grn._kernels import triton_attention

        if triton_attention.takes(q):
            return triton_attention.dual_attention(q, k, v, dq, dk, dv, exclude=exclude)
    tangents = [torch.zeros_like(x) if t is None else t for x, t in ((q, dq), (k, dk), (v, dv))]
    return _blocked(q, k, v, tangents, hidden, block_bytes)


def attention_weights(q: Tensor, k: Tensor, *, exclude: Tensor | None = None) -> Tensor:
    """Attention probabilities (B, H, n, m) as one matrix: row is the query, column the key."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if exclude is not None:
        scores = scores + _bias_without(exclude, k.shape[-2], q)
    return _softmax(scores, exclude)


@dataclass(frozen=True, eq=False)
class _Hidden:
    """Keys that queries must not see, as :func:`attend` takes them."""

    exclude: Tensor | None
    mask: Tensor | None
    padding: Tensor | None

    def __post_init__(self) -> None:
        if self.exclude is not None and self.mask is not None:
            raise ValueError("pass exclude or mask, not both")

    def bias(self, m: int, like: Tensor) -> Tensor | None:
        """The mask that torch's kernels take."""
        seen = self.mask if self.exclude is None else _bias_without(self.exclude, m, like)
        if self.padding is None:
            return seen
        there = ~self.padding[:, None, None]
        if seen is None:
            return there
        return seen & there if self.exclude is None else seen.masked_fill(~there, float("-inf"))

    def hide(self, scores: Tensor, heads: slice, rows: slice, n_heads: int) -> Tensor:
        """Scores (h, r, m) of a block, with those of hidden keys overwritten."""
        if self.exclude is not None:
            hidden = self.exclude[rows]
            (blind,) = torch.nonzero(hidden >= 0, as_tuple=True)
            scores[:, blind, hidden[blind]] = float("-inf")
        if self.mask is not None:
            scores.masked_fill_(~self.mask[rows], float("-inf"))
        if self.padding is not None:
            cells = torch.arange(heads.start, heads.start + len(scores), device=scores.device) // n_heads
            scores.masked_fill_(self.padding[cells].unsqueeze(1), float("-inf"))
        return scores


def _blocked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    tangents: Sequence[Tensor] | None,
    hidden: _Hidden,
    block_bytes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Output and tangent (B, H, n, D); without tangents the second is empty."""
    B, H, n, D = q.shape
    by_head = _by_head(q, k, v, *(tangents or ()))
    times = _one_head if by_head else _heads
    q, k, v = q.flatten(0, 1) * (1.0 / math.sqrt(D)), k.flatten(0, 1), v.flatten(0, 1)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    values, out, tangent = v.transpose(1, 2), torch.empty_like(q), torch.empty_like(q if tangents else q[:0])
    if tangents:
        dq, dk, dv = (x.flatten(0, 1) for x in tangents)
        queries, keys = torch.cat([dq * (1.0 / math.sqrt(D)), q], dim=-1), torch.cat([k, dk], dim=-1)
        both = torch.cat([v, dv], dim=-1).transpose(1, 2)
    rows, heads = _block_shape(B * H, n, k.shape[1] * k.element_size(), block_bytes, one=by_head)
    for r in range(0, n, rows):
        for h in range(0, B * H, heads):
            hs, rs = slice(h, h + heads), slice(r, r + rows)
            A = _softmax(hidden.hide(times(q[hs, rs], k[hs]), hs, rs, H), hidden.exclude)
            if not tangents:
                out[hs, rs] = times(A, values[hs])
                continue
            P = times(queries[hs, rs], keys[hs]).mul_(A)
            o, do = times(A, both[hs]).split(D, dim=-1)
            out[hs, rs] = o
            do = times(P, values[hs]).add_(do)
            tangent[hs, rs] = do.addcmul_(P.sum(dim=-1, keepdim=True), o, value=-1)
    return out.view(B, H, n, D), tangent.view(-1, H, n, D)


def _by_head(q: Tensor, k: Tensor, *others: Tensor) -> bool:
    """Whether products go to oneDNN, which takes one head at a time."""
    return pays(2 * q.shape[-2] * k.shape[-2] * q.shape[-1], least=_FLOPS_PER_THREAD) and wide(q, k, *others)


def _one_head(a: Tensor, b: Tensor) -> Tensor:
    return product(a[0], b[0]).unsqueeze(0)


def _heads(a: Tensor, b: Tensor) -> Tensor:
    return torch.bmm(a, b.transpose(1, 2))


def _block_shape(heads: int, n: int, row_bytes: int, block_bytes: int | None, *, one: bool) -> tuple[int, int]:
    """Queries and heads of a block; blocks of about the same size."""
    held = _BLOCK_BYTES[one] if block_bytes is None else block_bytes
    most = max(1, min(n, _ROWS[one], held // max(1, row_bytes)))
    rows = -(-n // -(-n // most)) if n else 1
    return rows, 1 if one else max(1, min(heads, held // max(1, rows * row_bytes)))


def _softmax(scores: Tensor, exclude: Tensor | None) -> Tensor:
    weights = torch.softmax(scores, dim=-1)
    # a query whose only key is excluded reads nothing, as in torch's own kernels
    return torch.nan_to_num(weights, nan=0.0) if exclude is not None and scores.shape[-1] == 1 else weights


def _bias_without(exclude: Tensor, m: int, like: Tensor) -> Tensor:
    keys = torch.arange(m, device=like.device)
    return torch.zeros(len(exclude), m, dtype=like.dtype, device=like.device).masked_fill_(
        exclude[:, None] == keys, float("-inf")
    )
