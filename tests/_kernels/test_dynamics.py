"""Power series of a network: exact moments, derivatives, and what blocks leave out."""

import numpy as np
import pytest

from grn._kernels.dynamics import (
    Parameters,
    SeriesLoss,
    blocks_of,
    explained,
    path_weights,
    power_penalty,
    series_gradient,
    series_terms,
    sums,
)

S, T, G, K = 4, 3, 5, 3


@pytest.fixture
def screen():
    """Cells of a screen with an empty block, and parameters somewhere."""
    random = np.random.default_rng(0)
    sizes = random.integers(3, 9, size=(S, T))
    sizes[2, 1] = 0
    code = np.repeat(np.arange(S * T), sizes.ravel())
    values = random.normal(2.0, 1.0, size=(len(code), G))
    dose = np.where(code // T == 0, 0.0, -random.random(len(code)))
    inputs = np.zeros((S, G))
    inputs[np.arange(1, S), [0, 2, 3]] = 1.0
    network = random.normal(0.0, 0.4, size=(G, G)) * (1 - np.eye(G))
    at = Parameters(network, random.normal(2.0, 0.3, (T, G)), random.normal(size=S), 0.4, 0.3)
    return values, dose, sizes, code, inputs, 1.0 - inputs, np.array([1.0, 2.0, 4.0]), at


def predicted(dose, code, inputs, passes, times, at):
    """Cell by cell, as the formula is written."""
    out = np.empty((len(code), G))
    for cell, block in enumerate(code):
        s, t = divmod(block, T)
        term = at.network @ (dose[cell] * inputs[s])
        out[cell] = at.level[t]
        for j in range(K):
            out[cell] += term / (1 + np.exp(-(at.alpha[s] + at.beta * times[t] - at.gamma * j)))
            term = at.network @ (passes[s] * term)
    return out


def test_the_loss_from_moments_is_that_of_the_cells(screen):
    values, dose, sizes, code, inputs, passes, times, at = screen
    loss = SeriesLoss(blocks_of(values, dose, sizes), inputs, passes, times, K)
    left = (values - predicted(dose, code, inputs, passes, times, at)) ** 2 * passes[code // T]
    cells = sizes.sum(axis=0)
    assert loss(at)[0] == pytest.approx((left.sum(axis=1) / cells[code % T]).sum(), rel=1e-12)


def test_the_variance_explained_is_that_of_the_cells(screen):
    values, dose, sizes, code, inputs, passes, times, at = screen
    blocks = blocks_of(values, dose, sizes)
    loss = SeriesLoss(blocks, inputs, passes, times, K)
    mask = passes[code // T]
    left = (mask * (values - predicted(dose, code, inputs, passes, times, at)) ** 2).sum()
    total = (mask * (values - values.mean(axis=0)) ** 2).sum()
    assert explained(blocks, passes, at.level, loss.predict(at)) == pytest.approx(1 - left / total, rel=1e-10)


def test_derivatives_are_those_of_differences(screen):
    values, dose, sizes, _, inputs, passes, times, at = screen
    loss = SeriesLoss(blocks_of(values, dose, sizes), inputs, passes, times, K)
    _, by = loss(at)
    fields = ("network", "level", "alpha", "beta", "gamma")
    for name in fields:
        flat = np.atleast_1d(np.asarray(getattr(at, name), dtype=float)).ravel()
        slope = np.atleast_1d(np.asarray(getattr(by, name), dtype=float)).ravel()
        for i in range(len(flat)):
            ends = []
            for step in (1e-6, -1e-6):
                moved = flat.copy()
                moved[i] += step
                value = moved.reshape(np.shape(getattr(at, name))) if np.ndim(getattr(at, name)) else float(moved[0])
                ends.append(loss(Parameters(*(value if f == name else getattr(at, f) for f in fields)))[0])
            assert slope[i] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_the_penalty_on_paths(screen):
    network = screen[-1].network
    value, slope = power_penalty(network, K)
    assert value == pytest.approx(sum((np.linalg.matrix_power(network, j) ** 2).sum() for j in range(1, K + 1)))
    for i, j in ((0, 1), (3, 2), (4, 0)):
        ends = []
        for step in (1e-6, -1e-6):
            moved = network.copy()
            moved[i, j] += step
            ends.append(power_penalty(moved, K)[0])
        assert slope[i, j] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_a_chain_passes_on_step_by_step_and_stops_at_a_held_gene():
    chain = np.zeros((4, 4))
    chain[1, 0], chain[2, 1], chain[3, 2] = 2.0, 3.0, 5.0
    start = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert np.array_equal(series_terms(chain, start, np.ones((1, 4)), 3)[0], np.diag([2.0, 6.0, 30.0], 1)[:3])
    held = np.array([[1.0, 1.0, 0.0, 1.0]])
    assert np.array_equal(series_terms(chain, start, held, 3)[0, 2], np.zeros(4))
    one = series_terms(chain, start, held, 1)
    assert np.array_equal(series_gradient(chain, start, held, one, np.ones((1, 1, 4)))[:, 0], np.ones(4))


def test_longer_paths_come_later():
    weights = path_weights(np.zeros(1), 1.0, 2.0, np.array([1.0, 5.0]), 3)
    assert (np.diff(weights, axis=2) < 0).all() and (np.diff(weights, axis=1) > 0).all()


def test_blocks_left_out_leave_nothing(screen):
    values, dose, sizes, code, *_ = screen
    blocks = blocks_of(values, dose, sizes)
    chosen = np.zeros((S, T), dtype=bool)
    chosen[1] = True
    kept = blocks.keep(chosen)
    for name in ("count", "dose", "spread", "mean", "cross", "square"):
        assert not getattr(kept, name)[~chosen].any()
        assert np.array_equal(getattr(kept, name)[chosen], getattr(blocks, name)[chosen])
    rows = code // T == 1
    own = np.zeros_like(sizes)
    own[1] = sizes[1]
    alone = blocks_of(values[rows], dose[rows], own)
    np.testing.assert_allclose(alone.cross, kept.cross, atol=1e-12)


def test_sums_of_consecutive_rows():
    found = sums(np.arange(5.0)[:, None], np.array([0, 2, 0, 3, 0]))
    assert found.ravel().tolist() == [0, 1, 0, 9, 0]
    assert not sums(np.zeros((0, 2)), np.array([0, 0])).any()
