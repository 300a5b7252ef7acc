"""Kernels that take a device: torch on the processor gives what numpy gives."""

import subprocess
import sys

import numpy as np
import pytest

from grn._core.errors import ParameterError
from grn._kernels.arrays import arrays_on
from grn._kernels.correlate import cross, pearson, spearman
from grn._kernels.multi_ridge import choose_alpha, masked_ridge, multi_ridge
from grn._kernels.pc_regression import coefficients, spectrum, spectrum_of_products
from grn._kernels.prior_ridge import Regressions, choose, shares, solve
from grn._kernels.ridge import plain_ridge
from grn._kernels.scatter import scatter

CELLS, GENES, REGULATORS = 150, 40, 12
SOURCES, TARGETS = np.arange(REGULATORS), np.arange(GENES)
OWN = np.where(TARGETS < REGULATORS, TARGETS, -1)


@pytest.fixture(scope="module")
def values():
    random = np.random.default_rng(0)
    X = random.normal(size=(CELLS, GENES)) @ random.normal(size=(GENES, GENES))
    X[:, 5] = 0.25
    X[:, 7] += 1e4
    return X.astype(np.float32)


@pytest.fixture(scope="module")
def products(values):
    table = np.corrcoef(np.delete(values, 5, axis=1).astype(np.float64).T)
    own = np.where(np.arange(GENES - 1) < REGULATORS, np.arange(GENES - 1), -1)
    return table[:REGULATORS, :REGULATORS], table[:REGULATORS], own


@pytest.fixture(scope="module")
def lists(products):
    """Regulators of every target: many sizes, none, and one set of several targets."""
    random, (_, _, own) = np.random.default_rng(1), products
    drawn = [np.flatnonzero((random.random(REGULATORS) < 0.5) & (np.arange(REGULATORS) != t)) for t in own]
    drawn[20] = np.array([], dtype=int)
    drawn[30] = drawn[31] = drawn[32]
    return drawn


def rows(values):
    return lambda cells: values[cells]


def regressions(products):
    gram, right, own = products
    return Regressions(gram, right, own[:, None] != np.arange(REGULATORS), CELLS)


def probability(products):
    return np.random.default_rng(2).uniform(0.05, 1.0, size=(products[1].shape[1], REGULATORS))


def correlated(function):
    return lambda X, products, lists, device: function(rows(X), np.arange(CELLS), SOURCES, TARGETS, device=device)


def regressed(function):
    def call(X, products, lists, device):
        data = regressions(products)
        return function(data, probability(products), device)

    return call


# what is computed of values, products and lists on a device
KERNELS = {
    "pearson": correlated(pearson),
    "spearman": correlated(spearman),
    "moments": lambda X, products, lists, device: np.concatenate(
        [
            getattr(cross(rows(X), np.arange(CELLS), SOURCES, TARGETS, device=device), part)
            for part in ("source_mean", "target_mean", "source_scale", "target_scale")
        ]
    ),
    "ridge": lambda X, products, lists, device: multi_ridge(*products, 0.1, device=device),
    "ridge of lists": lambda X, products, lists, device: masked_ridge(*products[:2], lists, 0.1, device=device),
    "plain ridge": lambda X, products, lists, device: plain_ridge(*products[:2], lists, 0.1, device=device),
    "penalty": lambda X, products, lists, device: choose_alpha(*products, CELLS, device=device),
    "penalty of lists": lambda X, products, lists, device: choose_alpha(*products, CELLS, lists, device=device),
    "prior ridge": regressed(
        lambda data, likely, device: solve(data, shares(likely, data.allowed, 1.5), 0.1, device=device)
    ),
    "evidence": regressed(
        lambda data, likely, device: [
            getattr(choose(data, likely, device=device), part) for part in ("alpha", "strength", "gain")
        ]
    ),
    "components, few cells": lambda X, products, lists, device: coefficients(
        spectrum(X[:30], np.arange(30) % 3 + 1, device=device), device=device
    ),
    "components, many cells": lambda X, products, lists, device: coefficients(
        spectrum_of_products(*_scatter(X), device=device), device=device
    ),
}


def _scatter(X):
    found = scatter(rows(X), np.arange(CELLS))
    return found.products, found.mean, found.count


@pytest.mark.parametrize("name", KERNELS)
def test_torch_on_the_processor_gives_what_numpy_gives(name, values, products, lists):
    before = [values.copy(), *(part.copy() for part in products)]
    wanted = np.asarray(KERNELS[name](values, products, lists, None))
    found = np.asarray(KERNELS[name](values, products, lists, "cpu"))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    assert np.isfinite(wanted).any()
    for part, as_it_was in zip([values, *products], before, strict=True):
        np.testing.assert_array_equal(part, as_it_was)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_compute_where_they_are_told(name, values, products, lists):
    """The device reaches torch: one that holds no numbers is noticed by every kernel."""
    with pytest.raises((NotImplementedError, RuntimeError)):
        KERNELS[name](values, products, lists, "meta")


@pytest.mark.parametrize("name", KERNELS)
def test_a_device_without_64_bit_numbers_is_refused(name, values, products, lists):
    with pytest.raises(ParameterError, match=r"device='mps'.*64-bit.*device='cpu'"):
        KERNELS[name](values, products, lists, "mps")


def test_arrays_hold_64_bit_numbers_wherever_they_are():
    for device in (None, "cpu"):
        where = arrays_on(device)
        for made in (where.put(np.float32([1.5, 2.0])), where.put([1, 2]), where.zeros(2, 3), where.eye(2)):
            assert where.take(made).dtype == np.float64
        np.testing.assert_array_equal(where.take(where.eye(2)), np.eye(2))
        assert where.take(where.zeros(2, 3)).shape == (2, 3)


def test_the_processor_needs_no_torch():
    code = (
        "import sys; import numpy as np; from grn._kernels.correlate import pearson; "
        "from grn._kernels.multi_ridge import multi_ridge; from grn._kernels import prior_ridge, pc_regression; "
        "pearson(lambda k: np.eye(5)[k], np.arange(5), np.arange(2), np.arange(3)); "
        "multi_ridge(np.eye(2), np.ones((2, 1)), np.array([-1]), 0.1); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
