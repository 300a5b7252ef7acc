"""Ridge with one factorisation for all targets, against one scikit-learn fit per target."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from grn._kernels.multi_ridge import _GRID, choose_alpha, masked_ridge, multi_ridge

CELLS, REGULATORS, OTHERS = 60, 12, 5


@pytest.fixture
def standardised():
    random = np.random.default_rng(0)
    X = random.normal(size=(CELLS, REGULATORS)) @ random.normal(size=(REGULATORS, REGULATORS))
    Y = X @ random.normal(size=(REGULATORS, OTHERS)) + 3 * random.normal(size=(CELLS, OTHERS))
    both = np.hstack([Y, X])
    return (both - both.mean(axis=0)) / both.std(axis=0)


def parts(Z):
    table = np.corrcoef(Z.T)
    own = np.append(np.full(OTHERS, -1), np.arange(REGULATORS))
    return table[OTHERS:, OTHERS:], table[OTHERS:], own


def one_by_one(Z, alpha, lists=None):
    found = np.zeros((REGULATORS, Z.shape[1]))
    for t in range(Z.shape[1]):
        use = [j for j in range(REGULATORS) if j != t - OTHERS] if lists is None else lists[t]
        found[use, t] = Ridge(alpha=alpha * CELLS, fit_intercept=False).fit(Z[:, OTHERS:][:, use], Z[:, t]).coef_
    return found


@pytest.mark.parametrize("alpha", [1e-3, 0.5, 20.0])
def test_equals_one_fit_per_target_without_itself(standardised, alpha):
    gram, right, own = parts(standardised)
    np.testing.assert_allclose(multi_ridge(gram, right, own, alpha), one_by_one(standardised, alpha), atol=1e-9)


def test_lists_of_regulators(standardised):
    gram, right, own = parts(standardised)
    random = np.random.default_rng(1)
    lists = [np.flatnonzero((random.random(REGULATORS) < 0.4) & (np.arange(REGULATORS) != t)) for t in own]
    lists[0] = np.array([], dtype=int)
    filled = [part if len(part) else [0] for part in lists]
    wanted = one_by_one(standardised, 0.3, filled)
    wanted[:, 0] = 0.0
    np.testing.assert_allclose(masked_ridge(gram, right, lists, 0.3), wanted, atol=1e-9)


@pytest.mark.parametrize("restricted", [False, True])
def test_penalty_minimises_the_generalised_cross_validation_error(standardised, restricted):
    gram, right, own = parts(standardised)
    lists = [np.flatnonzero(np.arange(REGULATORS) != j) for j in own] if restricted else None
    X = standardised[:, OTHERS:]
    size = REGULATORS if lists is None else np.mean([len(part) for part in lists])
    grid = _GRID * size / CELLS
    errors = []
    for alpha in grid:
        total = 0.0
        for t, j in enumerate(own):
            A = X[:, np.arange(REGULATORS) != j]
            hat = A @ np.linalg.solve(A.T @ A + alpha * CELLS * np.eye(A.shape[1]), A.T)
            left = standardised[:, t] - hat @ standardised[:, t]
            total += (left @ left / CELLS) / (1 - (np.trace(hat) + 1) / CELLS) ** 2
        errors.append(total)
    assert 0 < np.argmin(errors) < len(grid) - 1
    np.testing.assert_allclose(choose_alpha(gram, right, own, CELLS, lists), grid[np.argmin(errors)])


def test_more_regulators_than_cells():
    random = np.random.default_rng(2)
    Z = random.normal(size=(10, 30))
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    gram = np.corrcoef(Z.T)
    own = np.arange(30)
    alpha = choose_alpha(gram, gram, own, 10)
    assert np.isfinite(alpha) and np.isfinite(multi_ridge(gram, gram, own, alpha)).all()
