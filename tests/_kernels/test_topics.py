import numpy as np
import pytest
from scipy import sparse

from grn._kernels import topics


def test_weights_of_open_regions():
    counts = np.random.default_rng(0).integers(0, 3, (9, 6)).astype(np.float32)
    counts[4], counts[:, 2] = 0, 0
    found = topics.tf_idf(sparse.csr_matrix(counts)).toarray()
    above = counts > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = above / above.sum(axis=1, keepdims=True) * np.log(1 + 9 / above.sum(axis=0))
    np.testing.assert_allclose(found, np.nan_to_num(expected, nan=0, posinf=0), rtol=1e-6)


def test_planted_blocks_are_topics_from_the_largest_on():
    values = np.zeros((30, 12), dtype=np.float32)
    values[:20, :4], values[20:, 4:] = 2.0, 1.0
    found = topics.factorise(sparse.csr_matrix(values), 2, seed=0, max_iter=500)
    assert found.converged
    np.testing.assert_allclose(found.cells[:20], np.tile([1, 0], (20, 1)), atol=1e-3)
    np.testing.assert_allclose(found.regions.sum(axis=0), 1, rtol=1e-6)
    assert (found.regions[:4, 0] > 0.2).all() and (found.regions[4:, 1] > 0.1).all()
    assert not topics.factorise(sparse.csr_matrix(values), 2, seed=0, max_iter=1).converged


def between(values, cut):
    low, high = values[values < cut], values[values >= cut]
    return len(low) * len(high) * (high.mean() - low.mean()) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_best_of_all_cuts(seed):
    random = np.random.default_rng(seed)
    values = np.round(np.r_[random.normal(0, 1, 50), random.normal(4, 1, 20)], 1)
    cuts = np.unique(values)[1:]
    best = max(between(values, cut) for cut in cuts)
    assert between(values, topics.otsu(values)) == pytest.approx(best)


def test_values_that_are_alike_are_not_cut():
    assert topics.otsu(np.full(5, 2.0)) == 2.0 and topics.otsu(np.array([3.0])) == 3.0
