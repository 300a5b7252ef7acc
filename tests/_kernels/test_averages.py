"""Means over sets of cells, and components of features of equal variance."""

import numpy as np
import pytest
from scipy import sparse

from grn._kernels import matrix
from grn._kernels.averages import averages, scaled_components


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.4, size=(30, 17)).astype(np.float32)


@pytest.fixture
def members():
    random = np.random.default_rng(1)
    sets = np.zeros((5, 30))
    for row in sets:
        row[random.choice(30, size=4, replace=False)] = 1
    return sparse.csr_matrix(sets)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("values", [2**21, 40, 10])
def test_means_of_any_matrix_in_pieces(counts, members, make, values, monkeypatch):
    monkeypatch.setattr(matrix, "VALUES", values)
    made = averages(make(counts), members)
    assert made.dtype == np.float32 and sparse.issparse(made) == sparse.issparse(make(counts))
    dense = made.toarray() if sparse.issparse(made) else made
    np.testing.assert_array_equal(dense, (members.toarray() @ counts.astype(float) / 4).astype(np.float32))


def test_components_are_those_of_the_scaled_and_cut_table(counts):
    from sklearn.decomposition import PCA

    counts = np.tile(counts, (8, 1)) + np.arange(240)[:, None] % 3
    counts[3, 2] = 400.0
    scaled = np.minimum(counts / counts.astype(float).std(axis=0), 10.0)
    assert (scaled == 10.0).any()
    wanted = PCA(4, svd_solver="full").fit_transform(scaled)
    points = scaled_components(sparse.csr_matrix(counts), 4)
    np.testing.assert_allclose(np.abs(points), np.abs(wanted), atol=1e-8)
