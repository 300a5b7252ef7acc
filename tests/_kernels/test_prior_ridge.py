"""Ridge with a penalty per edge, against one system per target written out."""

import numpy as np
import pytest

from grn._core.blocks import Workers
from grn._kernels.arrays import arrays_on
from grn._kernels.multi_ridge import multi_ridge
from grn._kernels.prior_ridge import LEAST_GAIN, STRENGTHS, Regressions, _factor, _log_evidence, choose, shares, solve

REGULATORS, OTHERS = 12, 7


def problem(cells, seed=0, regulators=REGULATORS, others=OTHERS):
    random = np.random.default_rng(seed)
    X = random.normal(size=(cells, regulators)) + random.normal(size=(cells, 1))
    planted = (random.random((others, regulators)) < 0.2) * random.normal(size=(others, regulators))
    both = np.hstack([X @ planted.T + random.normal(size=(cells, others)), X])
    both = (both - both.mean(axis=0)) / both.std(axis=0)
    table = both.T @ both / cells
    allowed = np.ones((both.shape[1], regulators), dtype=bool)
    allowed[others:] = ~np.eye(regulators, dtype=bool)
    return both, planted, Regressions(table[others:, others:], table[others:], allowed, cells)


def some_probability(data, seed=1):
    return np.random.default_rng(seed).uniform(0.05, 1.0, size=data.allowed.shape)


few_and_many_cells = pytest.mark.parametrize("cells", [8, 60])


@few_and_many_cells
@pytest.mark.parametrize("alpha", [1e-2, 1.0])
def test_coefficients_and_excess_are_those_of_one_posterior_per_target(cells, alpha):
    Z, _, data = problem(cells)
    share = shares(some_probability(data), data.allowed, 1.5)
    coefficient, excess = solve(data, share, alpha)
    for t, use in enumerate(data.allowed):
        X, y, d = Z[:, OTHERS:][:, use], Z[:, t], share[t, use]
        inverse = np.linalg.inv(X.T @ X / cells + alpha * np.diag(1 / d))
        wanted = inverse @ X.T @ y / cells
        np.testing.assert_allclose(coefficient[t, use], wanted, atol=1e-8)
        noise = (1 - wanted @ (X.T @ y) / cells) / cells
        precision = 1 / (noise * np.diag(inverse))
        as_the_least = 1 / (precision - alpha / (noise * d) + alpha / (noise * d.min()))
        np.testing.assert_allclose(excess[t, use], 1 / precision - as_the_least, atol=1e-8)
    assert (coefficient[~data.allowed] == 0).all() and (excess[~data.allowed] == 0).all()


@few_and_many_cells
def test_evidence_is_that_of_the_cells(cells):
    Z, _, data = problem(cells)
    share = shares(some_probability(data), data.allowed, 1.0)
    grid = np.array([1e-2, 0.3, 5.0])
    where = arrays_on(None)
    found = _log_evidence(data, *_factor(data, where), share, grid, where.device)
    wanted = np.zeros(len(grid))
    for k, alpha in enumerate(grid):
        for t, d in enumerate(share):
            spread = np.eye(cells) + (Z[:, OTHERS:] * d) @ Z[:, OTHERS:].T / (cells * alpha)
            square = Z[:, t] @ np.linalg.solve(spread, Z[:, t]) / cells
            wanted[k] -= 0.5 * ((cells - 1) * np.log(square) + np.linalg.slogdet(spread)[1])
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_shares_are_one_on_average_and_one_for_a_flat_prior():
    data = problem(30)[2]
    share = shares(some_probability(data), data.allowed, 2.0)
    np.testing.assert_allclose(share.sum(axis=1), data.allowed.sum(axis=1))
    assert (share[~data.allowed] == 0).all()
    flat = shares(np.full(data.allowed.shape, 0.3), data.allowed, 1.7)
    np.testing.assert_allclose(flat[data.allowed], 1.0, rtol=1e-14)
    nothing = shares(np.full((1, 3), 0.3), np.zeros((1, 3), dtype=bool), 1.0)
    assert (nothing == 0).all()


def test_a_flat_prior_is_ridge_whatever_its_strength():
    data = problem(60)[2]
    own = np.append(np.full(OTHERS, -1), np.arange(REGULATORS))
    coefficient, excess = solve(data, shares(np.full(data.allowed.shape, 0.3), data.allowed, 2.0), 0.2)
    np.testing.assert_allclose(coefficient.T, multi_ridge(data.gram, data.cross, own, 0.2), atol=1e-12)
    assert (excess == 0).all()


def test_evidence_takes_a_prior_that_is_right_and_leaves_one_that_is_not():
    _, planted, data = problem(150, regulators=30, others=60)
    data = data.of(np.arange(60))
    right = np.where(planted != 0, 1.0, 0.05)
    wrong = right[np.random.default_rng(3).permutation(len(right))]
    taken, left = choose(data, right), choose(data, wrong)
    assert taken.strength > 0 and taken.gain > LEAST_GAIN
    assert left.strength == 0.0 and left.gain < LEAST_GAIN
    assert left.alpha == choose(data, np.ones_like(right), strength=0.0).alpha
    asked = choose(data, wrong, strength=1.0)
    assert asked.strength == 1.0 and np.isnan(asked.gain)
    assert choose(data, right, alpha=0.4).alpha == 0.4 and taken.strength in STRENGTHS


def test_threads_do_not_matter(monkeypatch):
    monkeypatch.setattr("grn._kernels.prior_ridge._VALUES", 2000)
    data = problem(60)[2]
    probability = some_probability(data)
    assert choose(data, probability, strength=1.0) != choose(data, probability**2, strength=2.0)
    assert choose(data, probability, workers=Workers(2)).alpha == choose(data, probability).alpha
    for one, two in zip(solve(data, probability, 0.1), solve(data, probability, 0.1, workers=Workers(2)), strict=True):
        np.testing.assert_array_equal(one, two)
