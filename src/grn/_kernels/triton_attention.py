"""Dual attention as one kernel for CUDA devices, in Triton.

A program holds a block of queries and walks over blocks of keys with the online softmax of flash attention. With scores
``S``, their tangents ``dS``, the running maximum ``c`` and ``E = exp(S - c)`` it sums::

    l = sum E      z = E v      r = sum E dS      w = E dv + (E dS) v

and ends with ``o = z / l`` and ``do = w / l - (r / l) o``, the formula of :mod:`grn._kernels.attention`. Nothing of
the size of the score matrix is written anywhere. Sums are float32. A product of float32 is made of three TF32 products,
since Triton's exact ones use no tensor cores and more registers than there are.

The kernel is compared with the reference in Triton's interpreter, on the CPU, which does not round to TF32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = None

DTYPES = (torch.float32, torch.bfloat16)
MAX_HEAD_SIZE = 128
# tensor cores that know both number types
_CAPABILITY = (8, 0)
# shapes that leave no more than some bytes outside the registers for head sizes up to 128
_ROWS, _WARPS = 64, 8
_STEP = {torch.float32: 16, torch.bfloat16: 32}


def available(device: torch.device) -> bool:
    """Whether the kernel can run on a device: CUDA of compute capability 8 or higher, with triton installed."""
    if triton is None or device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= _CAPABILITY


def takes(q: Tensor) -> bool:
    """Whether the kernel handles queries (B, H, n, D): where they are, their number type, their head size."""
    return q.dtype in DTYPES and q.shape[-1] <= MAX_HEAD_SIZE and available(q.device)


def dual_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dq: Tensor | None,
    dk: Tensor | None,
    dv: Tensor | None,
    *,
    exclude: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention and its directional derivative.

    Parameters
    ----------
    q, k, v
        Queries (B, H, n, D), keys and values (B, H, m, D), of one number type; see :func:`takes`.
    dq, dk, dv
        Their tangents; ``None`` is zero.
    exclude
        For every query (n,), the position of one key it must not see, or -1. A query without any key reads zero.

    Returns
    -------
    tuple of Tensor
        Output and tangent, both (B, H, n, D).
    """
    B, H, n, D = q.shape
    out, tangent = (torch.empty(q.shape, dtype=q.dtype, device=q.device) for _ in range(2))
    if out.numel() == 0:
        return out, tangent
    q = q.contiguous()
    # what is absent is never read; the queries lend their address
    given = [q if x is None else x.contiguous() for x in (q, k, v, dq, dk, dv)]
    hidden = q if exclude is None else exclude.to(q.device, torch.int32).contiguous()
    width = max(16, triton.next_power_of_2(D))
    _KERNEL[(triton.cdiv(n, _ROWS) * B * H,)](
        *given,
        hidden,
        out,
        tangent,
        n,
        k.shape[-2],
        1.0 / math.sqrt(D),
        D=D,
        ROWS=_ROWS,
        KEYS=_STEP[q.dtype],
        WIDTH=width,
        PART=min(width, _STEP[q.dtype]),
        HAS_DQ=dq is not None,
        HAS_DK=dk is not None,
        HAS_DV=dv is not None,
        EXCLUDE=exclude is not None,
        LIFT=not isinstance(_KERNEL, triton.JITFunction),
        num_warps=_WARPS,
        num_stages=1,
    )
    return out, tangent


# in what follows the compiler understands no annotations but its own, and calls compiled functions only


def _multiplied(a, b, LIFT: tl.constexpr):  # type: ignore[no-untyped-def]
    if LIFT:  # the interpreter takes bfloat16 for integers
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision="tf32x3")


_dot: Any = None if triton is None else triton.jit(_multiplied)


def _scores(  # type: ignore[no-untyped-def]
    q_ptr,
    k_ptr,
    dq_ptr,
    dk_ptr,
    row,
    key,
    n,
    m,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
    PART: tl.constexpr,
    HAS_DQ: tl.constexpr,
    HAS_DK: tl.constexpr,
    LIFT: tl.constexpr,
):
    scores = tl.zeros([ROWS, KEYS], tl.float32)
    change = tl.zeros([ROWS, KEYS], tl.float32)
    # queries are read again for every block of keys, in parts: registers are scarcer than cache
    for first in range(0, WIDTH, PART):
        part = first + tl.arange(0, PART)
        of_q = row[:, None] * D + part[None, :]
        of_k = key[None, :] * D + part[:, None]
        here = (row[:, None] < n) & (part[None, :] < D)
        there = (key[None, :] < m) & (part[:, None] < D)
        q = tl.load(q_ptr + of_q, mask=here, other=0.0)
        k = tl.load(k_ptr + of_k, mask=there, other=0.0)
        scores += _dot(q, k, LIFT)
        if HAS_DQ:
            change += _dot(tl.load(dq_ptr + of_q, mask=here, other=0.0), k, LIFT)
        if HAS_DK:
            change += _dot(q, tl.load(dk_ptr + of_k, mask=there, other=0.0), LIFT)
    return scores, change


_block: Any = None if triton is None else triton.jit(_scores)


def _kernel(  # type: ignore[no-untyped-def]
    q_ptr,
    k_ptr,
    v_ptr,
    dq_ptr,
    dk_ptr,
    dv_ptr,
    exclude_ptr,
    out_ptr,
    tangent_ptr,
    n,
    m,
    scale,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
    PART: tl.constexpr,
    HAS_DQ: tl.constexpr,
    HAS_DK: tl.constexpr,
    HAS_DV: tl.constexpr,
    EXCLUDE: tl.constexpr,
    LIFT: tl.constexpr,
):
    blocks = tl.cdiv(n, ROWS)
    head = (tl.program_id(0) // blocks).to(tl.int64)
    row = (tl.program_id(0) % blocks) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    of_q, of_k = head * n * D, head * m * D
    if EXCLUDE:
        blind = tl.load(exclude_ptr + row, mask=row < n, other=-1)
    top = tl.full([ROWS], float("-inf"), tl.float32)
    total, slope = tl.zeros([ROWS], tl.float32), tl.zeros([ROWS], tl.float32)
    z, w = tl.zeros([ROWS, WIDTH], tl.float32), tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, m, KEYS):
        key = start + tl.arange(0, KEYS)
        # fmt: off
        scores, change = _block(
            q_ptr + of_q, k_ptr + of_k, dq_ptr + of_q, dk_ptr + of_k, row, key, n, m,
            D, ROWS, KEYS, WIDTH, PART, HAS_DQ, HAS_DK, LIFT,
        )
        # fmt: on
        seen = key[None, :] < m
        if EXCLUDE:
            seen = seen & (key[None, :] != blind[:, None])
        scores = tl.where(seen, scores * scale, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        # no key seen so far: any finite number will do
        level = tl.where(higher == float("-inf"), 0.0, higher)
        E, shrink = tl.exp(scores - level[:, None]), tl.exp(top - level)
        top = higher
        total = total * shrink + tl.sum(E, 1)
        of_v = of_k + key[:, None] * D + column[None, :]
        there = (key[:, None] < m) & (column[None, :] < D)
        v = tl.load(v_ptr + of_v, mask=there, other=0.0)
        z = z * shrink[:, None] + _dot(E.to(v.dtype), v, LIFT)
        w = w * shrink[:, None]
        if HAS_DQ or HAS_DK:
            change = E * change * scale
            slope = slope * shrink + tl.sum(change, 1)
            w += _dot(change.to(v.dtype), v, LIFT)
        if HAS_DV:
            w += _dot(E.to(v.dtype), tl.load(dv_ptr + of_v, mask=there, other=0.0), LIFT)
    total = tl.where(total == 0.0, 1.0, total)
    o = z / total[:, None]
    do = w / total[:, None] - (slope / total)[:, None] * o
    where = of_q + row[:, None] * D + column[None, :]
    here = (row[:, None] < n) & (column[None, :] < D)
    tl.store(out_ptr + where, o.to(out_ptr.dtype.element_ty), mask=here)
    tl.store(tangent_ptr + where, do.to(tangent_ptr.dtype.element_ty), mask=here)


_KERNEL: Any = None if triton is None else triton.jit(_kernel)
