"""The Triton kernel against the reference, in Triton's interpreter: no GPU is needed.

Triton decides at import whether it interprets, so the cases are computed by this file run as a script.
"""

import importlib.util
import inspect
import itertools
import json
import os
import subprocess
import sys

import pytest
import torch

from grn._kernels import triton_attention as fused
from grn._kernels.attention import attend_dual

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

TANGENTS = ["".join(kind) for kind in itertools.product("10", repeat=3)]
SHAPES = {
    "one query and key": {"n": 1, "m": 1},
    "one key": {"n": 5, "m": 1},
    "one query": {"n": 1, "m": 40},
    "whole blocks": {"n": 64, "m": 64, "D": 16},
    "one more than blocks": {"n": 65, "m": 33, "D": 17},
    "one less than blocks": {"n": 63, "m": 31, "D": 15},
    "no power of two": {"B": 2, "H": 3, "n": 20, "m": 50, "D": 20},
    "the widest head": {"H": 1, "n": 30, "m": 40, "D": 128},
}
CASES = (
    {f"tangents {given}, exclude {exclude}": {"given": given, "exclude": exclude}
     for given in TANGENTS for exclude in (False, True)}
    | {name: {"shape": shape} for name, shape in SHAPES.items() }
    | {f"{name}, exclude": {"shape": shape, "exclude": True} for name, shape in SHAPES.items()}
    | {"large scores": {"scale": 100.0}, "not contiguous": {"twisted": True}}
    | {f"bfloat16, {name}": {"shape": SHAPES[name], "dtype": "bfloat16"} for name in ("no power of two", "one query")}
)  # fmt: skip


def draw(B=1, H=2, n=20, m=37, D=8):
    g = torch.Generator().manual_seed(n * m + D)
    return [torch.randn(shape, generator=g) for shape in [(B, H, n, D), (B, H, m, D), (B, H, m, D)] * 2]


def compare(shape=None, given="111", exclude=False, dtype="float32", scale=1.0, twisted=False):
    """Largest errors of output and tangent, each in units of the largest number expected."""
    q, k, v, *tangents = (x.to(getattr(torch, dtype)) for x in draw(**(shape or {})))
    tensors = [scale * q, k, v, *(t if use == "1" else None for t, use in zip(tangents, given, strict=True))]
    if twisted:
        tensors = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in tensors]
    own = None
    if exclude:  # every second query is blind to one key
        own = torch.tensor([(3 * i) % k.shape[2] if i % 2 == 0 else -1 for i in range(q.shape[2])])
    expected = attend_dual(*(None if x is None else x.double() for x in tensors), exclude=own)
    found = fused.dual_attention(*tensors, exclude=own)
    assert all(x.dtype == q.dtype for x in found)
    pairs = zip(found, expected, strict=True)
    return [float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs]


@pytest.fixture(scope="module")
def errors():
    """Errors of all cases by name."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@needs_triton
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(errors, case):
    tolerance = 2e-2 if "bfloat16" in case else 1e-4 if case == "large scores" else 2e-6
    assert max(errors[case]) < tolerance


def test_runs_on_cuda_alone():
    cpu = torch.device("cpu")
    assert not fused.available(cpu)
    assert not fused.available(torch.device("mps"))
    assert not fused.takes(torch.zeros(1, 1, 2, 4))


def test_takes_what_it_was_compared_on(monkeypatch):
    monkeypatch.setattr(fused, "available", lambda device: True)
    assert fused.takes(torch.zeros(1, 1, 2, 128)) and fused.takes(torch.zeros(1, 1, 2, 4, dtype=torch.bfloat16))
    assert not fused.takes(torch.zeros(1, 1, 2, 129))
    assert not fused.takes(torch.zeros(1, 1, 2, 4, dtype=torch.float64))


@needs_triton
def test_no_queries_give_nothing():
    q, k = torch.zeros(1, 2, 0, 4), torch.zeros(1, 2, 3, 4)
    assert all(x.shape == q.shape for x in fused.dual_attention(q, k, k, None, None, None))


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("dtype", fused.DTYPES, ids=str)
def test_compiles_without_a_gpu(dtype, tmp_path, monkeypatch):
    """The interpreter accepts more than the compiler does."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    if "constexprs" not in inspect.signature(ASTSource).parameters:
        pytest.skip("this triton compiles by another interface")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    step, flags = fused._STEP[dtype], dict.fromkeys(("HAS_DQ", "HAS_DK", "HAS_DV", "EXCLUDE"), True)
    fixed = {"D": 64, "ROWS": fused._ROWS, "KEYS": step, "WIDTH": 64, "PART": step, "LIFT": False} | flags
    kind = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}[dtype]
    kinds = {name: kind for name in fused._KERNEL.arg_names if name.endswith("_ptr")}
    kinds |= {"exclude_ptr": "*i32", "n": "i32", "m": "i32", "scale": "fp32"} | dict.fromkeys(fixed, "constexpr")
    signature = {name: kinds[name] for name in fused._KERNEL.arg_names}
    source = ASTSource(fn=fused._KERNEL, signature=signature, constexprs=fixed)
    options = {"num_warps": fused._WARPS, "num_stages": 1}
    compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
    assert len(compiled.asm["cubin"]) > 0
    assert compiled.metadata.shared <= 48 * 1024, "more than every device offers"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: compare(**case) for name, case in CASES.items()}))  # noqa: T201
