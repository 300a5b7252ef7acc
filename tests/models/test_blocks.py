"""Blocks of the published architectures against torch's own, and their forward mode against differences."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

from grn._kernels.attention import attend, attend_dual, attention_weights
from grn.models._blocks import Block, BlockConfig, SelfAttention, Stack
from grn.models._random import random_state

POST = BlockConfig(d=24, heads=4, d_feedforward=40, activation=F.relu, eps=1e-5, order="post")
PRE = BlockConfig(d=24, heads=3, d_feedforward=16, activation=F.gelu, eps=1e-12, order="pre")
TANH = BlockConfig(d=8, heads=1, d_feedforward=8, activation=torch.tanh, eps=1e-5, order="post")
orders = pytest.mark.parametrize("c", [POST, PRE], ids=["post-norm relu", "pre-norm gelu"])


def torch_layer(block: Block, c: BlockConfig) -> nn.TransformerEncoderLayer:
    """torch's layer with the weights of a block."""
    layer = nn.TransformerEncoderLayer(
        c.d, c.heads, c.d_feedforward, dropout=0.0, activation=c.activation, layer_norm_eps=c.eps, batch_first=True,
        norm_first=c.order == "pre",
    )  # fmt: skip
    names = {"attention.qkv.": "self_attn.in_proj_", "attention.out.": "self_attn.out_proj."}
    state = block.state_dict()
    for ours, theirs in names.items():
        state = {key.replace(ours, theirs): value for key, value in state.items()}
    layer.load_state_dict(state)
    return layer


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seen(n, m=None, seed=0):
    """A random mask in which every query sees something."""
    mask = torch.rand(n, m or n, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[torch.arange(n), torch.arange(n) % (m or n)] = True
    return mask


@orders
@pytest.mark.parametrize("masked", [False, True])
def test_a_block_is_the_layer_of_torch(c, masked):
    block = random_state(Block(c), 0, spread=0.3)
    layer = torch_layer(block, c)
    for n in (1, 2, 9, 300):
        mask = seen(n) if masked else None
        x = drawn(3, n, c.d, seed=n)
        found = block(x, mask)
        # gradients are on, so torch does not take its fused path
        expected = layer(x, src_mask=None if mask is None else ~mask)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        exact = torch_layer(block, c).double()(x.double(), src_mask=None if mask is None else ~mask)
        torch.testing.assert_close(block.double()(x.double(), mask), exact, rtol=0, atol=1e-12)
        block.float()


@orders
def test_a_stack_is_the_encoder_of_torch(c):
    stack = random_state(Stack(c, 3), 1, spread=0.2).double()
    x = drawn(2, 7, c.d, dtype=torch.float64)
    expected = [x]
    for block in stack:
        expected.append(torch_layer(block, c).double()(expected[-1]))
    assert len(stack) == 3 and len(list(stack)) == 3
    for found, wanted in zip(stack.hidden_states(x), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(stack(x), expected[-1], rtol=0, atol=1e-12)
    maps = stack.attention_maps(x)
    assert maps.shape == (2, 3, c.heads, 7, 7)
    for layer, (block, state) in enumerate(zip(stack, expected, strict=False)):
        normed = block.norm1(state) if c.order == "pre" else state
        _, weights = torch_layer(block, c).double().self_attn(normed, normed, normed, average_attn_weights=False)
        torch.testing.assert_close(maps[:, layer].double(), weights, rtol=0, atol=1e-6)
    for (q, k, v), block, state in zip(stack.projections(x), stack, expected, strict=False):
        for a, b in zip((q, k, v), block.project(state), strict=True):
            assert a.shape == (2, c.heads, 7, c.d // c.heads)
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        torch.testing.assert_close(attention_weights(q, k) @ v, attend(q, k, v), rtol=0, atol=1e-12)


def test_no_layers_leave_the_tokens_as_they_are():
    x = drawn(2, 3, 24)
    assert torch.equal(Stack(POST, 0)(x), x) and len(Stack(POST, 0).hidden_states(x)) == 1


def dual(function, x, tangent):
    with forward_ad.dual_level():
        out = forward_ad.unpack_dual(function(forward_ad.make_dual(x, tangent)))
        return out.primal, out.tangent


@pytest.mark.parametrize("c", [POST, PRE, TANH], ids=["relu", "gelu", "tanh"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("n", [5, 270])
def test_the_tangent_of_a_stack_is_its_derivative(c, masked, n):
    stack = random_state(Stack(c, 2), 2, spread=0.2).double().requires_grad_(requires_grad=False)
    layers = [torch_layer(block, c).double() for block in stack]
    x, tangent = drawn(2, n, c.d, dtype=torch.float64), drawn(2, n, c.d, seed=1, dtype=torch.float64)
    mask = seen(n) if masked else None
    primal, found = dual(lambda y: stack(y, mask), x, tangent)
    torch.testing.assert_close(primal, stack(x, mask), rtol=0, atol=1e-12)
    if c.activation is not F.relu:  # differences cross the kink of relu
        h = 1e-5
        difference = (stack(x + h * tangent, mask) - stack(x - h * tangent, mask)) / (2 * h)
        torch.testing.assert_close(found, difference, rtol=1e-6, atol=1e-7)

    def torchs(y):
        for layer in layers:
            y = layer(y, src_mask=None if mask is None else ~mask)
        return y

    # reverse mode of torch's layers: <u, J t> = <J' u, t>
    u = drawn(2, n, c.d, seed=2, dtype=torch.float64)
    _, pulled = torch.autograd.functional.vjp(torchs, x, u)
    torch.testing.assert_close((u * found).sum(), (pulled * tangent).sum(), rtol=1e-9, atol=1e-9)


@orders
def test_lower_precision_stays_close_and_returns_what_it_was_given(c):
    stack = random_state(Stack(c, 2), 0, spread=0.1)
    x, tangent = drawn(2, 9, 24), drawn(2, 9, 24, seed=1)
    exact = dual(stack.double(), x.double(), tangent.double())
    stack.float()
    for lower, atol in ((False, 1e-5), (True, 0.05)):
        if lower:
            stack.lower()
        found = dual(stack, x, tangent)
        for a, b in zip(found, exact, strict=True):
            assert a.dtype == torch.float32
            torch.testing.assert_close(a.double(), b, rtol=0, atol=atol)


def test_heads_are_split_as_in_the_published_layout():
    """Rows of qkv: all heads of q, then of k, then of v; a head is a run of columns."""
    attention = SelfAttention(6, 3)
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.cat([scale * torch.eye(6) for scale in (1, 10, 100)]))
        attention.qkv.bias.zero_()
    x = torch.arange(12.0).reshape(1, 2, 6)
    for scale, part in zip((1, 10, 100), attention.project(x), strict=True):
        assert part.shape == (1, 3, 2, 2)
        assert part[0, 2, 1].tolist() == [10 * scale, 11 * scale]
        assert part[0, 0, 0].tolist() == [0, scale]


@pytest.mark.parametrize("n", [1, 6, 255, 256, 257, 600])
@pytest.mark.parametrize("m", [1, 7])
def test_masked_attention_is_that_of_torch_and_so_is_its_tangent(n, m):
    q, k, v = (drawn(2, 3, size, 4, seed=i, dtype=torch.float64) for i, size in enumerate((n, m, m)))
    tangents = [drawn(*x.shape, seed=9 + i, dtype=torch.float64) for i, x in enumerate((q, k, v))]
    mask = seen(n, m)

    def naive(q, k, v):
        scores = (q @ k.transpose(-1, -2) / 2).masked_fill(~mask, -torch.inf)
        return torch.softmax(scores, dim=-1) @ v

    plain = attend(q, k, v, mask=mask)
    torch.testing.assert_close(plain, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), rtol=0, atol=1e-12)
    torch.testing.assert_close(plain, naive(q, k, v), rtol=0, atol=1e-12)
    primal, tangent = torch.func.jvp(naive, (q, k, v), tuple(tangents))
    h = 1e-5
    moved = [naive(*(x + s * h * t for x, t in zip((q, k, v), tangents, strict=True))) for s in (1, -1)]
    torch.testing.assert_close(tangent, (moved[0] - moved[1]) / (2 * h), rtol=1e-6, atol=1e-8)
    for block_bytes in (1, 3000, 2**30):
        found = attend_dual(q, k, v, *tangents, mask=mask, block_bytes=block_bytes)
        torch.testing.assert_close(found, (primal, tangent), rtol=1e-10, atol=1e-12)
    with forward_ad.dual_level():
        out = attend(*(forward_ad.make_dual(x, t) for x, t in zip((q, k, v), tangents, strict=True)), mask=mask)
        torch.testing.assert_close(forward_ad.unpack_dual(out).tangent, tangent, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("given", [(True, False, False), (False, True, False), (False, False, True)])
def test_tangents_that_are_not_given_are_zero_under_a_mask(given):
    q, k, v = (drawn(1, 2, 5, 4, seed=i, dtype=torch.float64) for i in range(3))
    tangents = [drawn(1, 2, 5, 4, seed=9, dtype=torch.float64) if use else None for use in given]
    zeros = [torch.zeros_like(x) if t is None else t for x, t in zip((q, k, v), tangents, strict=True)]
    mask = seen(5)
    found, wanted = (attend_dual(q, k, v, *t, mask=mask) for t in (tangents, zeros))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_a_key_nobody_sees_has_no_influence():
    q, k, v, dq, dk, dv = (drawn(1, 2, 300, 4, seed=i, dtype=torch.float64) for i in range(6))
    mask = seen(300)
    mask[:, 17] = False
    mask[17, 0] = True
    before = attend_dual(q, k, v, dq, dk, dv, mask=mask)
    for x in (k, v, dk, dv):
        x[:, :, 17] = 1e6
    torch.testing.assert_close(attend_dual(q, k, v, dq, dk, dv, mask=mask), before, rtol=0, atol=1e-9)


def test_random_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a, b, c = (random_state(Stack(POST, 2), seed) for seed in (1, 1, 2))
    assert not torch.equal(torch.get_rng_state(), before), "torch itself draws when a layer is made"
    state = torch.get_rng_state()
    random_state(a, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(next(a.parameters()), next(c.parameters()))
    norms = [m.weight for m in a.modules() if isinstance(m, nn.LayerNorm)]
    assert all(abs(w.mean().item() - 1) < 0.2 for w in norms) and all(p.std() > 0.02 for p in a.parameters())
