"""Products of permuted copies with genes."""

import numpy as np
import pytest
from scipy import sparse, stats

from grn._kernels import copies
from grn._kernels.copies import CopySums, permuted_columns

N, SOURCES = 90, np.array([1, 4, 5])


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    table = random.poisson(0.8, size=(N, 7)).astype(np.float32)
    table[:, 4] += table[:, 1] + np.float32(500)
    table[:, 6] = 3.0
    return table


def orders(*, apart):
    random = np.random.default_rng(1)
    size = (3, N, 3) if apart else (3, N)
    return random.permuted(np.broadcast_to(np.arange(N).reshape(1, N, *[1] * apart), size), axis=1)


@pytest.mark.parametrize("block", [11, 4096])
@pytest.mark.parametrize("ranks", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_sums_equal_those_of_an_object_with_copies(values, apart, ranks, block, monkeypatch):
    monkeypatch.setattr(copies, "BLOCK", block)
    drawn = orders(apart=apart)
    sums = CopySums(sparse.csr_matrix(values), SOURCES, list(drawn))
    sources, genes = np.array([1, 5, 7, 8, 9]), np.array([0, 1, 3, 4, 6, 7, 9])
    for place, order in enumerate(drawn):
        copied = np.take_along_axis(values[:, SOURCES], order if apart else np.repeat(order[:, None], 3, 1), axis=0)
        both = np.hstack([values, copied]).astype(np.float64)
        both = stats.rankdata(both, axis=0) if ranks else both
        found = sums.of(place, sources, genes, ranks=ranks)
        with np.errstate(invalid="ignore", divide="ignore"):
            wanted = np.corrcoef(both.T)[np.ix_(sources, genes)]
        np.testing.assert_allclose(found.correlation, wanted, atol=1e-10)
        np.testing.assert_allclose(found.source_squares, both[:, sources].var(axis=0) * N, rtol=1e-9)
        np.testing.assert_allclose(found.target_scale, np.where(genes == 6, np.nan, both[:, genes].std(axis=0)))
    assert len(sums.made) == 1


def test_columns_are_permuted_and_leave_the_table_alone(values):
    table = sparse.csc_matrix(values[:, SOURCES])
    before = table.copy()
    for order in orders(apart=True):
        made = permuted_columns(table, order)
        assert np.array_equal(made.toarray(), np.take_along_axis(values[:, SOURCES], order, axis=0))
    assert (table != before).nnz == 0
