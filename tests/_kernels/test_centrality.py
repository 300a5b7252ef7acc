import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from grn._kernels.centrality import eigenvector, pagerank


@pytest.fixture
def weights():
    return sparse.random(30, 30, density=0.15, random_state=0, format="csr") * 3 - sparse.random(
        30, 30, density=0.05, random_state=1, format="csr"
    )


def test_pagerank_is_that_of_networkx_on_turned_edges(weights):
    graph = nx.from_scipy_sparse_array(abs(weights).T, create_using=nx.DiGraph)
    expected = nx.pagerank(graph, tol=1e-14, max_iter=1000)
    assert np.allclose(pagerank(weights), [expected[i] for i in range(30)], atol=1e-10)


def test_pagerank_by_hand():
    """One regulator of two targets: n x0 = 1 - d + d (2 x1 + x0 / n n) with x1 = x2 at the bottom."""
    found = pagerank(sparse.csr_matrix(np.array([[0, 1.0, -2.0], [0, 0, 0], [0, 0, 0]])))
    assert found[1] == pytest.approx(found[2])
    low = found[1]
    assert found[0] == pytest.approx(low + 0.85 * 2 * low)
    assert found.sum() == pytest.approx(1.0)


def test_eigenvector_is_that_of_networkx_on_the_undirected_network(weights):
    both = abs(weights) + abs(weights).T
    expected = nx.eigenvector_centrality_numpy(nx.from_scipy_sparse_array(both), weight="weight")
    expected = np.array([expected[i] for i in range(30)])
    assert np.allclose(eigenvector(weights), expected / expected.max(), atol=1e-6)


def test_eigenvector_of_a_network_of_two_layers_does_not_swing():
    star = sparse.csr_matrix(np.array([[0, 1.0, 1.0, 1.0], *np.zeros((3, 4))]))
    assert np.allclose(eigenvector(star), [1, *[1 / np.sqrt(3)] * 3], atol=1e-6)


@pytest.mark.parametrize("n", [0, 4])
def test_without_edges(n):
    nothing = sparse.csr_matrix((n, n))
    assert np.allclose(eigenvector(nothing), 0) and np.allclose(pagerank(nothing), 1 / max(n, 1))
