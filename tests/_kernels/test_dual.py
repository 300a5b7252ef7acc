"""Layers with a tangent of their own against torch's layers."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from grn._kernels import dual

shapes = pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 5, 7), (0, 5, 7), (4, 300, 7)])


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pushed(function, x, tangent):
    with forward_ad.dual_level():
        out = forward_ad.unpack_dual(function(forward_ad.make_dual(x, tangent)))
        return out.primal, out.tangent


def pairs():
    """A layer of ours, torch's with the same weights, by name."""
    torch.manual_seed(0)
    made = {
        "linear": (dual.Linear(7, 5), nn.Linear(7, 5)),
        "linear without bias": (dual.Linear(7, 5, bias=False), nn.Linear(7, 5, bias=False)),
        "norm": (dual.LayerNorm(7, eps=1e-3), nn.LayerNorm(7, eps=1e-3)),
        "norm without weights": (dual.LayerNorm(7, elementwise_affine=False), nn.LayerNorm(7, 1e-5, False)),
        "norm without bias": (dual.LayerNorm(7, bias=False), nn.LayerNorm(7, bias=False)),
    }
    for ours, theirs in made.values():
        for p in ours.parameters():
            nn.init.normal_(p)
        theirs.load_state_dict(ours.state_dict())
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for layer in (ours, theirs):
            layer.double().requires_grad_(requires_grad=False)
    return made


layers = pytest.mark.parametrize("name", list(pairs()))


@layers
@shapes
def test_values_and_tangents_are_those_of_torch(name, shape):
    ours, theirs = pairs()[name]
    x, tangent = drawn(*shape), drawn(*shape, seed=1)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)
    expected = torch.func.jvp(theirs, (x,), (tangent,))
    torch.testing.assert_close(pushed(ours, x, tangent), expected, rtol=0, atol=1e-12)


@layers
def test_tokens_need_not_be_contiguous_and_stay_as_they_are(name):
    ours, theirs = pairs()[name]
    x, tangent = (drawn(7, 5, 3, seed=i).transpose(0, 2) for i in (0, 1))
    kept = x.clone(), tangent.clone()
    expected = torch.func.jvp(theirs, (x,), (tangent,))
    torch.testing.assert_close(pushed(ours, x, tangent), expected, rtol=0, atol=1e-12)
    assert torch.equal(x, kept[0]) and torch.equal(tangent, kept[1])


@layers
def test_the_tangent_agrees_with_central_differences(name):
    ours, _ = pairs()[name]
    x, tangent, h = drawn(4, 7), drawn(4, 7, seed=1), 1e-6
    difference = (ours(x + h * tangent) - ours(x - h * tangent)) / (2 * h)
    torch.testing.assert_close(pushed(ours, x, tangent)[1], difference, rtol=1e-6, atol=1e-7)


@layers
def test_reverse_mode_is_that_of_torch_also_over_a_tangent(name):
    ours, theirs = pairs()[name]
    found = []
    for layer in (ours, theirs):
        layer.requires_grad_(requires_grad=True)
        x = drawn(4, 7).requires_grad_()
        leaves = [x, *layer.parameters()]
        primal, tangent = pushed(layer, x, drawn(4, 7, seed=1))
        found.append(torch.autograd.grad((primal.sin() + tangent.cos()).sum(), leaves, allow_unused=True))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@layers
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_lower_precision_stays_what_it_was_and_close(name, dtype, atol):
    ours, theirs = pairs()[name]
    x, tangent = drawn(50, 7), drawn(50, 7, seed=1)
    exact = torch.func.jvp(theirs, (x,), (tangent,))
    found = pushed(ours.to(dtype), x.to(dtype), tangent.to(dtype))
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == dtype
        torch.testing.assert_close(a.double(), b, rtol=atol, atol=atol)


def test_a_constant_row_has_a_finite_tangent():
    norm = dual.LayerNorm(7).requires_grad_(requires_grad=False)
    primal, tangent = pushed(norm, torch.ones(2, 7), drawn(2, 7, dtype=torch.float32))
    assert (primal == 0).all() and torch.isfinite(tangent).all()
