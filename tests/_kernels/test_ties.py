"""Numbers that are equal up to rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from grn._kernels.ties import merged, ranks


def test_rounding_is_a_tie_and_a_difference_is_none():
    x = np.array([0.3, 0.1 + 0.2, 0.5, 0.3 * (1 + 1e-5), np.nan, -0.3, -0.3 - 1e-12])
    found = merged(x)
    assert found[0] == found[1] and len(set(found[[0, 2, 3]])) == 3 and np.isnan(found[4]) and found[5] == found[6]
    np.testing.assert_array_equal(ranks(x[[0, 1, 2, 3]]), [1.5, 1.5, 4, 3])
    np.testing.assert_array_equal(ranks(x[[0, 1, 2]], method="min"), [1, 1, 3])
    assert len(merged(np.empty(0))) == 0


def test_chains_do_not_become_one():
    x = 1.0 + np.arange(2000) * 4e-8
    found = merged(x)
    assert np.abs(found - x).max() <= 1.1e-7 and 500 < len(set(found)) < 1100


def test_groups_do_not_meet():
    x = np.array([1.0, 1.0 - 1e-12, 1e-30, 2e-30])
    found = merged(x, np.array([0, 1, 2, 2]))
    np.testing.assert_array_equal(found, x)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_noise_and_order_change_no_rank(values, seed):
    rng = np.random.default_rng(seed)
    x = np.array(values, dtype=float) / 7
    noisy = x * (1 + rng.uniform(-2e-8, 2e-8, len(x)))
    order = rng.permutation(len(x))
    np.testing.assert_array_equal(ranks(noisy), rankdata(x))
    np.testing.assert_array_equal(ranks(noisy[order]), ranks(noisy)[order])


@pytest.mark.parametrize("n", [10**6])
def test_a_million_numbers(n):
    x = np.random.default_rng(0).normal(size=n)
    assert np.abs(merged(x) - x).max() <= 1e-7 * np.abs(x).max() + 1e-12 * np.abs(x).max()
