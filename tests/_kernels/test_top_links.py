"""Choosing links, against pandas."""

import numpy as np
import pandas as pd
import pytest

from grn._kernels.top_links import above_quantile, strongest


@pytest.fixture
def links():
    random = np.random.default_rng(0)
    return pd.DataFrame({"gene": random.integers(0, 9, 120), "value": random.random(120)})


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.85, 1.0])
def test_quantiles_are_those_of_pandas(links, quantile):
    limit = links.groupby("gene")["value"].transform(lambda part: part.quantile(quantile))
    mask = above_quantile(links["gene"].to_numpy(), links["value"].to_numpy(), quantile)
    np.testing.assert_array_equal(mask, links["value"] > limit)


@pytest.mark.parametrize("number", [1, 5, 500])
def test_the_strongest_are_those_of_pandas(links, number):
    place = links.groupby("gene")["value"].rank(ascending=False)
    mask = strongest(links["gene"].to_numpy(), links["value"].to_numpy(), number)
    np.testing.assert_array_equal(mask, place <= number)


def test_of_equal_values_the_number_is_kept():
    assert strongest(np.zeros(6, dtype=int), np.ones(6), 2).sum() == 2


def test_nothing_in_nothing_out():
    empty = np.zeros(0, dtype=int)
    assert len(above_quantile(empty, empty.astype(float), 0.9)) == len(strongest(empty, empty.astype(float), 3)) == 0
