"""Order statistics against sampling."""

import numpy as np
import pytest

from grn._kernels.rank_aggregation import order_statistics, rank_ratios


@pytest.mark.parametrize("ratios", [[0.2], [0.1, 0.6], [0.3, 0.3, 0.9], [0.05, 0.5, 0.2]])
def test_q_is_the_chance_of_being_as_small(ratios):
    draws = np.sort(np.random.default_rng(0).random((200_000, len(ratios))), axis=1)
    expected = (draws <= np.sort(ratios)).all(axis=1).mean()
    assert order_statistics(np.array([ratios]))[0] == pytest.approx(expected, abs=0.004)


def test_ratios_of_ranks():
    np.testing.assert_allclose(rank_ratios(np.array([3.0, 1.0, 2.0, 2.0])), [0.25, 1.0, 0.625, 0.625])


def test_the_order_of_the_ranks_does_not_matter():
    ratios = np.random.default_rng(1).random((20, 3))
    np.testing.assert_allclose(order_statistics(ratios), order_statistics(ratios[:, ::-1]))
