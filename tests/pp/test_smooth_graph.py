"""Smoothing over neighbours that ``obsp`` already holds."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

import grn
from grn.errors import ExpressionError, ParameterError, ResultNotFoundError


@pytest.fixture
def adata():
    found = grn.datasets.toy(n_cells=90, n_regulators=3, n_targets=12)
    found.obsm["X_own"] = np.random.default_rng(0).normal(size=(90, 4))
    sc.pp.neighbors(found, n_neighbors=13, use_rep="X_own", transformer="sklearn")
    return found


def weights_of(adata, **arguments):
    return grn.pp.smooth(adata, copy=True, **arguments).obsp["grn_smooth"].toarray()


@pytest.mark.parametrize("arguments", [{"balance": False}, {"sight": 12}])
def test_the_graph_of_scanpy_gives_the_neighbours_that_are_measured(adata, arguments):
    expected = weights_of(adata, k=6, use_rep="X_own", **arguments)
    np.testing.assert_array_equal(weights_of(adata, k=6, graph="distances", **arguments), expected)


def test_the_nearest_have_the_largest_connectivities(adata):
    graph = adata.obsp["connectivities"].toarray()
    least = (graph > 0).sum(axis=1).min()
    found = weights_of(adata, k=3, balance=False, graph="connectivities") > 0
    np.fill_diagonal(found, val=False)
    assert least >= 3 and (found.sum(axis=1) == 3).all()
    for cell in range(90):
        assert graph[cell][found[cell]].min() >= np.sort(graph[cell])[-3]


def test_the_order_of_cells_does_not_matter_and_ties_go_by_name(adata):
    adata.obsp["distances"].data[:] = 1.0
    expected = weights_of(adata, k=4, graph="distances")
    order = np.random.default_rng(1).permutation(90)
    other = weights_of(adata[order].copy(), k=4, graph="distances")
    np.testing.assert_array_equal(other, expected[np.ix_(order, order)])
    plain = weights_of(adata, k=2, graph="distances", balance=False) > 0
    names = np.asarray(adata.obs_names)
    near = adata.obsp["distances"][7].indices
    assert set(names[plain[7]]) == {names[7], *sorted(names[near])[:2]}


def test_distances_of_zero_are_neighbours_too(adata):
    adata.obsp["distances"].data[:] = 0.0
    assert (weights_of(adata, k=12, graph="distances", balance=False) > 0).sum() == 90 * 13


def test_what_is_recorded_and_used(adata):
    grn.pp.smooth(adata, graph="distances")
    params = adata.uns["grn_smooth"]["params"]
    assert params["graph"] == "distances" and (params["k"], params["sight"]) == (2, 12)
    assert not {"use_rep", "n_pcs", "exact", "layer"} & set(params)


def test_the_usual_number_of_neighbours_is_at_most_that_of_the_graph(adata, monkeypatch):
    monkeypatch.setattr("grn._object.smoothing._MOST", 200)
    adata.obsp["short"] = sparse.csr_matrix(np.roll(np.eye(90), 1, axis=1))
    grn.pp.smooth(adata, graph="short")
    assert adata.uns["grn_smooth"]["params"]["k"] == 1


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"graph": "nothing"}, ResultNotFoundError, "connectivities"),
        ({"graph": 5}, ResultNotFoundError, "5"),
        ({"graph": "dense"}, ExpressionError, "dense"),
        ({"graph": "negative"}, ExpressionError, "negative"),
        ({"graph": "empty"}, ExpressionError, "90 cells"),
        ({"graph": "distances", "k": 13}, ParameterError, "1 to 12"),
        ({"graph": "distances", "sight": 13}, ParameterError, "12"),
        ({"graph": "distances", "use_rep": "X_own"}, ParameterError, "use_rep"),
        ({"graph": "distances", "exact": False}, ParameterError, "exact"),
        ({"graph": "distances", "use_raw": True}, ParameterError, "use_raw"),
    ],
)
def test_what_is_no_graph_is_refused(adata, arguments, error, told):
    adata.obsp["dense"] = np.ones((90, 90))
    adata.obsp["negative"] = -adata.obsp["distances"]
    adata.obsp["empty"] = sparse.csr_matrix((90, 90))
    with pytest.raises(error, match=told):
        grn.pp.smooth(adata, **arguments)
    assert "grn_smooth" not in adata.obsp and "grn_smooth" not in adata.uns
