"""grn.pp.smooth, and values read through its weights."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

import grn
from grn._kernels.neighbours import nearest
from grn._object import smoothing
from grn._object.smoothing import Smoothed, stored_weights
from grn._object.values import expression
from grn.errors import ExpressionError, ParameterError, ResultNotFoundError


@pytest.fixture
def adata():
    return grn.datasets.toy(n_cells=90, n_regulators=3, n_targets=12)


def weights_of(adata, **arguments):
    grn.pp.smooth(adata, **arguments)
    return adata.obsp["grn_smooth"]


def test_the_reference_is_met(shared_dir):
    folder = shared_dir / "reference" / "celloracle"
    values = pd.read_csv(folder / "normalized_count.csv.gz", index_col=0)
    expected = pd.read_csv(folder / "imputed_count.csv.gz", index_col=0).to_numpy()
    near = pd.read_csv(folder / "knn.csv.gz")
    adata = ad.AnnData(sparse.csr_matrix(values.to_numpy()), obs=values[[]], var=pd.DataFrame(index=values.columns))
    weights = weights_of(adata, k=20, n_pcs=10)
    graph = sparse.csr_matrix((np.ones(len(near)), (near["i"], near["j"])), shape=weights.shape)
    assert ((weights > 0) != (graph > 0)).nnz == 0
    np.testing.assert_allclose(weights @ adata.X.toarray(), expected, atol=1e-6)
    smoothed = Smoothed(expression(adata), weights)
    np.testing.assert_allclose(smoothed.rows(np.arange(adata.n_obs)), expected, atol=1e-6)
    np.testing.assert_allclose(smoothed.moments()[1], expected.std(axis=0), atol=1e-6)


def test_what_is_written(adata):
    weights = weights_of(adata)
    assert sparse.issparse(weights) and weights.dtype == np.float32 and weights.shape == (90, 90)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    params = adata.uns["grn_smooth"]["params"]
    assert (params["k"], params["sight"], params["max_chosen"], params["use_rep"]) == (2, 16, 8, "pca")


@pytest.mark.parametrize(("most", "many", "expected"), [(1, 90, 1), (200, 89, 1), (200, 90, 2), (2, 90, 2)])
def test_the_default_number_of_neighbours_has_a_bound_that_is_told(monkeypatch, caplog, adata, most, many, expected):
    monkeypatch.setattr(smoothing, "_MOST", most)
    monkeypatch.setattr(smoothing, "_MANY", many)
    monkeypatch.setattr(smoothing, "_MOST_OF_MANY", 1)
    weights_of(adata)
    assert adata.uns["grn_smooth"]["params"]["k"] == expected
    told = "smooth: 1 neighbours per cell; 2.5 % of 90 cells, as CellOracle takes, are 2"
    assert (told in caplog.text) == ("k=2)" in caplog.text) == (expected == 1)
    caplog.clear()
    weights_of(adata, k=1)
    assert "CellOracle takes" not in caplog.text


@pytest.mark.slow  # pynndescent compiles itself
def test_order_of_many_cells_does_not_matter():
    random = np.random.default_rng(0)
    adata = ad.AnnData(random.poisson(1.0, size=(700, 20)).astype(np.float32))
    adata.obsm["X_pca"] = random.normal(size=(700, 5))
    expected = weights_of(adata, k=6, exact=False).toarray()
    cells = random.permutation(700)
    other = adata[cells].copy()
    np.testing.assert_array_equal(weights_of(other, k=6, exact=False).toarray(), expected[np.ix_(cells, cells)])
    exact = weights_of(adata, k=6, sight=9).toarray() > 0
    assert (exact & (expected > 0)).sum() > 0.98 * exact.sum()


def test_no_cell_is_chosen_too_often_unless_asked(adata):
    balanced = weights_of(adata, k=5, max_chosen=6)
    assert np.bincount(balanced.indices).max() <= 7
    plain = weights_of(adata, k=5, balance=False)
    np.testing.assert_array_equal(np.diff(plain.indptr), 6)
    assert "sight" not in adata.uns["grn_smooth"]["params"]


def test_order_of_cells_and_genes_does_not_matter(adata):
    expected = weights_of(adata, k=4).toarray()
    random = np.random.default_rng(0)
    cells, genes = random.permutation(adata.n_obs), random.permutation(adata.n_vars)
    other = adata[cells, genes].copy()
    np.testing.assert_allclose(weights_of(other, k=4).toarray(), expected[np.ix_(cells, cells)])


@pytest.mark.parametrize("kind", ["dense", "csc", "counts", "backed"])
def test_storage_does_not_matter(adata, kind, tmp_path):
    expected = weights_of(adata, k=4).toarray()
    arguments = {}
    if kind == "dense":
        adata.X = adata.X.toarray()
    elif kind == "csc":
        adata.X = adata.X.tocsc()
    elif kind == "counts":
        arguments["layer"] = "counts"
    else:
        adata.write_h5ad(tmp_path / "cells.h5ad")
        adata = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_allclose(weights_of(adata, k=4, **arguments).toarray(), expected)


def test_given_coordinates_are_used(adata):
    adata.obsm["X_pca"] = np.column_stack([np.arange(90.0), np.zeros(90)])
    weights = weights_of(adata, k=1, balance=False)
    distance = np.abs(weights.indices - np.repeat(np.arange(90), 2))
    assert distance.max() == 1
    weights_of(adata, use_rep="pca")
    assert adata.uns["grn_smooth"]["params"]["use_rep"] == "pca"
    adata.obsm["other"] = adata.obsm["X_pca"][:, ::-1].copy()
    weights_of(adata, use_rep="other", n_pcs=1)
    assert adata.uns["grn_smooth"]["params"]["n_pcs"] == 1


def test_smoothed_values_are_read_in_blocks(monkeypatch, adata):
    weights = weights_of(adata, k=6)
    expected = weights @ adata.X.toarray()
    monkeypatch.setattr("grn._object.smoothing.BLOCK", 7)
    smoothed = Smoothed(expression(adata), weights)
    index = np.array([5, 80, 5, 0])
    found = smoothed.rows(index)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[index], rtol=1e-5)
    mask = adata.obs["group"].to_numpy() == "group_1"
    np.testing.assert_allclose(smoothed.rows(mask), expected[mask], rtol=1e-5)
    mean, deviation = smoothed.moments(mask)
    np.testing.assert_allclose(mean, expected[mask].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(deviation, expected[mask].std(axis=0), rtol=1e-4)


def test_round_trip(adata, tmp_path):
    weights = weights_of(adata)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(again.obsp["grn_smooth"].toarray(), weights.toarray())
    assert again.uns["grn_smooth"]["params"]["k"] == 2


@pytest.mark.parametrize(
    "arguments",
    [{"k": 0}, {"k": 90}, {"k": True}, {"k": 2.5}, {"k": 4, "sight": 3}, {"max_chosen": 0}, {"n_pcs": 0}],
)
def test_numbers_out_of_range_are_refused(adata, arguments):
    with pytest.raises(ParameterError, match=next(reversed(arguments))):
        grn.pp.smooth(adata, **arguments)
    assert "grn_smooth" not in adata.obsp


def test_what_cannot_be_smoothed_is_refused(adata):
    with pytest.raises(ResultNotFoundError, match="X_umap"):
        grn.pp.smooth(adata, use_rep="X_umap")
    adata.obsm["bad"] = np.full((90, 2), np.nan)
    with pytest.raises(ExpressionError, match="bad"):
        grn.pp.smooth(adata, use_rep="bad")
    with pytest.raises(ExpressionError, match="at least 2"):
        grn.pp.smooth(adata[:1].copy())
    same = ad.AnnData(np.ones((5, 3), dtype=np.float32) * 0.5, var=pd.DataFrame(index=list("abc")))
    with pytest.raises(ExpressionError, match="no gene varies"):
        grn.pp.smooth(same)


def test_weights_of_a_subset_are_refused(adata):
    weights_of(adata, k=5)
    with pytest.raises(ParameterError, match="loses neighbours"):
        stored_weights(adata[:30].copy(), "grn_smooth")
    with pytest.raises(ResultNotFoundError, match=r"pp\.smooth"):
        stored_weights(adata, "other")


def test_few_cells_are_compared_with_all_others_unless_asked(monkeypatch, adata):
    monkeypatch.setattr(smoothing, "nearly_nearest", nearest)
    weights_of(adata, k=4)
    assert adata.uns["grn_smooth"]["params"]["exact"] and adata.uns["grn_smooth"]["params"]["sight"] == 32
    weights_of(adata, k=4, exact=False)
    assert not adata.uns["grn_smooth"]["params"]["exact"] and adata.uns["grn_smooth"]["params"]["sight"] == 6
    monkeypatch.setattr(smoothing, "_EXACT", 89)
    weights_of(adata)
    assert not adata.uns["grn_smooth"]["params"]["exact"]


def nearest_by_position(points, k):
    """Stands for pynndescent, whose neighbours depend on where a point stands: every third one is overlooked."""
    seen = [near[(near + row) % 3 != 0][:k] for row, near in enumerate(nearest(points, 3 * k))]
    return np.array([np.resize(near, k) for near in seen], dtype=np.int32)


@pytest.mark.parametrize("exact", [True, False])
def test_order_and_copies_of_cells_and_threads_do_not_matter(adata, exact, monkeypatch):
    monkeypatch.setattr(smoothing, "nearly_nearest", nearest_by_position)
    adata.obsm["X_pca"] = adata.X.toarray()[:, :8]
    with pytest.warns(UserWarning, match="not unique"):
        adata = adata[np.repeat(np.arange(90), 2)].copy()
    adata.obs_names = np.random.default_rng(1).permutation([f"cell {i}" for i in range(180)])
    with threadpool_limits(1):
        expected = weights_of(adata, k=4, exact=exact).toarray()
    cells = np.random.default_rng(0).permutation(adata.n_obs)
    other = adata[cells].copy()
    np.testing.assert_array_equal(weights_of(other, k=4, exact=exact).toarray(), expected[np.ix_(cells, cells)])
    with threadpool_limits(2):
        np.testing.assert_array_equal(weights_of(adata, k=4, exact=exact).toarray(), expected)


def test_what_is_kept_and_left_out_changes_no_value(adata):
    values, weights = expression(adata), weights_of(adata, k=4)
    genes = np.array([1, 3, 4])
    expected = Smoothed(values, weights).rows(np.arange(90))
    for memory in (0, 500, 10**6):
        smoothed = Smoothed(values, weights, genes=genes, memory=memory)
        for _ in range(2):
            found = smoothed.rows(np.arange(40, 90))
            np.testing.assert_array_equal(found[:, genes], expected[40:][:, genes])
            assert not np.delete(found, genes, axis=1).any()
            found[:] = -1
        np.testing.assert_array_equal(smoothed.rows(np.arange(40))[:, genes], expected[:40][:, genes])


def test_cells_that_share_neighbours_are_read_together(monkeypatch, adata):
    smoothed = Smoothed(expression(adata), weights_of(adata, k=4))
    assert smoothed.place is None
    monkeypatch.setattr("grn._object.smoothing.BLOCK", 20)
    place = Smoothed(expression(adata), weights_of(adata, k=4)).place
    np.testing.assert_array_equal(np.sort(place), np.arange(90))
    assert Smoothed(expression(adata), adata.obsp["grn_smooth"][:50]).place is None


def test_components_of_many_cells_are_learned_from_some(monkeypatch, adata):
    whole = weights_of(adata, k=4, n_pcs=3) > 0
    monkeypatch.setattr(smoothing, "_MANY", 70)
    some = weights_of(adata, k=4, n_pcs=3) > 0
    assert 0.5 * whole.nnz < some.multiply(whole).nnz < whole.nnz
    cells = np.random.default_rng(0).permutation(adata.n_obs)
    other = adata[cells].copy()
    assert ((weights_of(other, k=4, n_pcs=3) > 0) != some[cells][:, cells]).nnz == 0
