import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from grn._kernels.attention import attend, attend_dual, attention_weights


def naive(q, k, v, exclude=None):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if exclude is not None:
        keys = torch.arange(k.shape[-2])
        scores = scores.masked_fill(exclude[:, None] == keys, -math.inf)
    return torch.softmax(scores, dim=-1) @ v


def draw(B=2, H=3, n=5, m=7, D=4, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = [(B, H, n, D), (B, H, m, D), (B, H, m, D)] * 2
    return [torch.randn(shape, generator=g, dtype=dtype) for shape in shapes]


def own(n, m):
    """Every second query must not see one key."""
    return torch.tensor([(3 * i) % m if i % 2 == 0 else -1 for i in range(n)])


shapes = st.fixed_dictionaries(
    {
        "B": st.integers(1, 3),
        "H": st.integers(1, 3),
        "n": st.integers(1, 9),
        "m": st.integers(2, 9),
        "D": st.integers(1, 5),
        "seed": st.integers(0, 99),
    }
)


@given(shape=shapes, excluded=st.booleans())
@settings(max_examples=40, deadline=None)
def test_attend_is_softmax_attention(shape, excluded):
    q, k, v, *_ = draw(**shape)
    exclude = own(shape["n"], shape["m"]) if excluded else None
    torch.testing.assert_close(attend(q, k, v, exclude=exclude), naive(q, k, v, exclude), rtol=1e-10, atol=1e-10)


@given(
    shape=shapes,
    excluded=st.booleans(),
    given=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    block_bytes=st.sampled_from([1, 100, 1000, 2**30]),
)
@settings(max_examples=60, deadline=None)
def test_the_dual_is_the_derivative(shape, excluded, given, block_bytes):
    q, k, v, *tangents = draw(**shape)
    exclude = own(shape["n"], shape["m"]) if excluded else None
    zeros = [t if use else torch.zeros_like(t) for t, use in zip(tangents, given, strict=True)]
    expected = torch.func.jvp(lambda *x: naive(*x, exclude), (q, k, v), tuple(zeros))
    none = [t if use else None for t, use in zip(tangents, given, strict=True)]
    found = attend_dual(q, k, v, *none, exclude=exclude, block_bytes=block_bytes)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("given", list(itertools.product([True, False], repeat=3)))
@pytest.mark.parametrize("excluded", [True, False])
def test_the_dual_agrees_with_central_differences(given, excluded):
    q, k, v, *tangents = draw(n=6, m=4)
    exclude = own(6, 4) if excluded else None
    tangents = [t if use else None for t, use in zip(tangents, given, strict=True)]
    h = 1e-5

    def moved(by):
        return naive(*(x if t is None else x + by * t for x, t in zip((q, k, v), tangents, strict=True)), exclude)

    _, tangent = attend_dual(q, k, v, *tangents, exclude=exclude)
    torch.testing.assert_close(tangent, (moved(h) - moved(-h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 600])
def test_blocks_of_queries_meet_without_a_seam(n):
    q, k, v, dq, dk, dv = draw(B=1, H=2, n=n, m=5, D=2)
    exclude = own(n, 5)
    expected = torch.func.jvp(lambda *x: naive(*x, exclude), (q, k, v), (dq, dk, dv))
    for block_bytes in (1, 4096, 2**30):
        found = attend_dual(q, k, v, dq, dk, dv, exclude=exclude, block_bytes=block_bytes)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_attend_carries_tangents_of_forward_ad():
    q, k, v, dq, dk, _ = draw()
    exclude = own(5, 7)
    expected = torch.func.jvp(lambda a, b: naive(a, b, v, exclude), (q, k), (dq, dk))
    with forward_ad.dual_level():
        out = attend(forward_ad.make_dual(q, dq), forward_ad.make_dual(k, dk), v, exclude=exclude)
        primal, tangent = forward_ad.unpack_dual(out)
    torch.testing.assert_close(primal, expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(tangent, expected[1], rtol=1e-10, atol=1e-10)


def test_inputs_stay_as_they_are_and_need_not_be_contiguous():
    tensors = draw()
    twisted = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in tensors]
    assert not twisted[0].is_contiguous()
    copies = [x.clone() for x in twisted]
    found = attend_dual(*twisted, exclude=own(5, 7))
    for a, b in zip(found, attend_dual(*tensors, exclude=own(5, 7)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)
    assert all(torch.equal(a, b) for a, b in zip(twisted, copies, strict=True))


def test_float32_stays_float32_and_close():
    single = draw(dtype=torch.float32, n=40, m=50)
    double = [x.double() for x in single]
    for a, b in zip(attend_dual(*single), attend_dual(*double), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


def test_large_scores_do_not_overflow():
    q, k, v, *tangents = draw()
    found = attend_dual(1e3 * q, 1e3 * k, v, *tangents)
    assert all(torch.isfinite(x).all() for x in found)


def test_an_excluded_key_has_no_influence():
    q, k, v, dq, dk, dv = draw(n=4, m=6)
    exclude = torch.tensor([2, 2, 2, 2])
    before = attend_dual(q, k, v, dq, dk, dv, exclude=exclude)
    for x in (k, v, dk, dv):
        x[:, :, 2] = 50.0
    after = attend_dual(q, k, v, dq, dk, dv, exclude=exclude)
    torch.testing.assert_close(before, after, rtol=0, atol=1e-12)


def test_a_query_that_may_see_no_key_reads_zero_either_way():
    q, k, v, dq, dk, dv = draw(n=2, m=1)
    exclude = torch.tensor([0, -1])
    plain = attend(q, k, v, exclude=exclude)
    out, tangent = attend_dual(q, k, v, dq, dk, dv, exclude=exclude)
    torch.testing.assert_close(out, plain, rtol=1e-12, atol=1e-12)
    assert (out[:, :, 0] == 0).all()
    assert (tangent[:, :, 0] == 0).all()
    assert (attention_weights(q, k, exclude=exclude)[:, :, 0] == 0).all()
    torch.testing.assert_close(tangent[:, :, 1], dv[:, :, 0], rtol=1e-12, atol=1e-12)


@given(shape=shapes)
@settings(max_examples=25, deadline=None)
def test_attention_weights_are_probabilities(shape):
    q, k, v, *_ = draw(**shape)
    exclude = own(shape["n"], shape["m"])
    weights = attention_weights(q, k, exclude=exclude)
    assert weights.shape == (shape["B"], shape["H"], shape["n"], shape["m"])
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    for query, key in enumerate(exclude):
        if key >= 0:
            assert (weights[:, :, query, key] == 0).all()
    torch.testing.assert_close(weights @ v, naive(q, k, v, exclude), rtol=1e-10, atol=1e-10)
