"""Both libraries of matrix products give the same numbers, in layers and in attention."""

import math

import pytest
import torch
import torch.nn.functional as F

from grn._kernels import attention, products
from grn._kernels.attention import attend, attend_dual

both = pytest.mark.parametrize("library", ["oneDNN", "BLAS"], indirect=True)


@pytest.fixture
def library(request, monkeypatch):
    """Send all products of float32 to one library, whatever their size and the processor."""
    if request.param == "BLAS":
        monkeypatch.setattr(products, "_ONEDNN", None)
    elif products._ONEDNN is None:
        pytest.skip("this build of torch has no oneDNN")
    else:
        for module in (products, attention):
            monkeypatch.setattr(module, "pays", lambda flops, least=0: True)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    return request.param


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@both
@pytest.mark.parametrize("shape", [(1,), (4,), (3, 4), (2, 0, 4), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_a_linear_layer_is_that_of_torch(library, shape, bias):
    x, weight = drawn(*shape, 6), drawn(5, 6, seed=1)
    b = drawn(5, seed=2) if bias else None
    assert products.wide(x, weight, b) is (library == "oneDNN")
    expected = F.linear(x, weight, b)
    torch.testing.assert_close(products.linear(x, weight, b), expected, rtol=0, atol=1e-5)
    for twisted in (x.expand(2, *x.shape), x.transpose(0, -2) if x.dim() > 1 else x, x.double(), x.bfloat16()):
        kind = twisted.dtype
        found = products.linear(twisted, weight.to(kind), None if b is None else b.to(kind))
        assert found.dtype == kind
        expected = F.linear(twisted, weight.to(kind), None if b is None else b.to(kind))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for turned in (weight.T.contiguous().T, drawn(5, 12, seed=1)[:, ::2], drawn(6, 10, seed=3).T[::2]):
        torch.testing.assert_close(products.linear(x, turned, b), F.linear(x, turned, b), rtol=0, atol=1e-5)


@both
def test_reverse_mode_goes_through_torch(library):
    x, weight = drawn(3, 6).requires_grad_(), drawn(5, 6, seed=1)
    assert not products.wide(x, weight)
    products.linear(x, weight).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0).expand(3, -1))
    with torch.no_grad():
        assert products.wide(x, weight) is (library == "oneDNN")
    tensors = [drawn(1, 2, 5, 4, seed=i).requires_grad_() for i in range(3)]
    torch.autograd.grad(attend(*tensors).sum(), tensors)


def test_only_large_products_pay_for_a_call_of_another_library():
    threads = torch.get_num_threads()
    assert products.pays(products._FLOPS_PER_THREAD * threads)
    assert not products.pays(products._FLOPS_PER_THREAD * threads - 1)


def test_the_switch_of_torch_forbids_onednn():
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        assert not products.wide(drawn(3, 6))


def naive(q, k, v, hidden):
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(hidden, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def cases(B, n, m):
    """Keys that queries must not see, as arguments and as one mask (B, 1, n, m); every query sees something."""
    keys = torch.arange(m)
    exclude = torch.tensor([(3 * i) % m if i % 2 == 0 else -1 for i in range(n)])
    mask = torch.rand(n, m, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[:, 0] = True
    padding = keys >= torch.tensor([m - b for b in range(B)])[:, None]
    parts = {
        "exclude": (exclude, exclude[:, None] == keys),
        "mask": (mask, ~mask),
        "padding": (padding, padding[:, None, None]),
    }
    for names in ((), ("exclude",), ("mask",), ("padding",), ("exclude", "padding"), ("mask", "padding")):
        hidden = torch.zeros(B, 1, n, m, dtype=torch.bool)
        for name in names:
            hidden = hidden | parts[name][1]
        yield {name: parts[name][0] for name in names}, hidden


@both
@pytest.mark.parametrize(("n", "m"), [(1, 5), (6, 4), (300, 9), (513, 9), (1030, 6)])
@pytest.mark.parametrize("block_bytes", [None, 1000])
def test_attention_and_its_tangent_are_those_of_the_formula(library, n, m, block_bytes):
    tensors = [drawn(3, 2, size, 4, seed=i) for i, size in enumerate((n, m, m) * 2)]
    double = [x.double() for x in tensors]
    with torch.no_grad():
        assert attention._by_head(*tensors) is (library == "oneDNN")
        for given, hidden in cases(3, n, m):
            exact = torch.func.jvp(lambda *x, h=hidden: naive(*x, h), tuple(double[:3]), tuple(double[3:]))
            torch.testing.assert_close(attend(*tensors[:3], **given), exact[0].float(), rtol=0, atol=1e-5)
            found = attend_dual(*tensors, **given, block_bytes=block_bytes)
            torch.testing.assert_close(found, tuple(x.float() for x in exact), rtol=0, atol=2e-5)


@both
@torch.no_grad()
def test_heads_may_be_cut_out_of_one_projection(library):
    x = drawn(2, 40, 3 * 2 * 8)
    q, k, v = x.unflatten(-1, (3, 2, -1)).transpose(1, 3).unbind(2)
    whole = [t.contiguous() for t in (q, k, v)]
    torch.testing.assert_close(attend(q, k, v), attend(*whole), rtol=0, atol=1e-6)
    torch.testing.assert_close(attend_dual(q, k, v, k, q, v), attend_dual(*whole, k, q, v), rtol=0, atol=1e-6)


@both
@torch.no_grad()
def test_keys_that_are_padding_have_no_influence(library):
    q, k, v, dq, dk, dv = (drawn(2, 2, 30, 4, seed=i) for i in range(6))
    padding = torch.zeros(2, 30, dtype=torch.bool)
    padding[1, 20:] = True
    short = [x[1:, :, :20] for x in (k, v, dk, dv)]
    for x in (k, v, dk, dv):
        x[1, :, 20:] = 1e3
    found = attend_dual(q, k, v, dq, dk, dv, padding=padding)
    wanted = attend_dual(q[1:], short[0], short[1], dq[1:], short[2], short[3])
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a[1:], b, rtol=0, atol=1e-5)
    torch.testing.assert_close(attend(q, k, v, padding=padding), found[0], rtol=0, atol=1e-5)
