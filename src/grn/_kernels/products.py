"""Matrix products by the library that is fastest for them on a CPU.

Torch hands single-precision products to its BLAS. In the builds for x86 that is MKL, which uses half the width of the
vector units of processors that Intel did not make: on two cores of a Zen 5 server ``torch.mm`` reaches 205 GFLOP/s,
oneDNN, which torch contains as well, 440. Torch opens oneDNN for single precision through one operator, the linear
layer of its compiler. It has no derivative, so it serves where nothing asks for one, on processors with AVX-512. Small
products stay with the BLAS, whose calls cost less.

Where products are fast, fresh memory is not: to touch the pages of a new tensor of some megabytes takes longer than to
fill it, see :func:`keep_freed`.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
# a call of oneDNN costs some 10 us more than one of the BLAS: floating point operations per thread that pay for it
_FLOPS_PER_THREAD = 2**21


@cache
def keep_freed() -> None:
    """Let malloc reuse blocks of some megabytes, once per process; a dual pass of a small model is thrice as fast.

    glibc returns large blocks to the system as soon as they are free, unless larger ones were freed before. So one
    block is taken and freed, untouched, of the largest size that it learns from (32 MiB).
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def wide(*tensors: Tensor | None) -> bool:
    """Whether oneDNN may take products of these tensors; ``torch.backends.mkldnn.flags(enabled=False)`` forbids it."""
    return (
        _ONEDNN is not None
        and bool(torch.backends.mkldnn.enabled)
        and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and all(x is None or (x.dtype == torch.float32 and x.device.type == "cpu") for x in tensors)
        and not differentiated(*tensors)
    )


def differentiated(*tensors: Tensor | None) -> bool:
    """Whether reverse mode records what is done to these tensors."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)


def pays(flops: int, *, least: int = _FLOPS_PER_THREAD) -> bool:
    """Whether a product is large enough for oneDNN."""
    return flops >= least * torch.get_num_threads()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``; x (..., K), weight (M, K), bias (M,)."""
    if pays(2 * x.numel() * len(weight)) and wide(x, weight, bias):
        return product(x, weight, bias)
    return F.linear(x, weight, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same by oneDNN; only where :func:`wide` says so."""
    # strides other than those of a matrix or its transpose fall to a reference implementation, a thousand times slower
    if not weight.T.is_contiguous():
        weight = weight.contiguous()
    return cast(Tensor, _ONEDNN(x.contiguous(), weight, bias, "none", [], ""))  # type: ignore[misc]
