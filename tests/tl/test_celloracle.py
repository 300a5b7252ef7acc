"""grn.tl.celloracle: filter, scores, entropy, the network for simulations, and what is written."""

import builtins
import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

import grn
from grn.errors import MissingDependencyError, NetworkError, ParameterError
from grn.methods.celloracle import scores


@pytest.fixture(scope="module")
def original(shared_dir):
    """The reference, run as there."""
    folder = shared_dir / "reference" / "celloracle"
    values = pd.read_csv(folder / "normalized_count.csv.gz", index_col=0)
    obs = pd.read_csv(folder / "input_obs.csv", index_col=0)
    adata = ad.AnnData(sparse.csr_matrix(values.to_numpy()), obs=obs, var=pd.DataFrame(index=values.columns))
    grn.pp.smooth(adata, k=20, n_pcs=10)
    order = pd.read_csv(folder / "regulator_order.csv").rename(columns={"regulator": "source"})
    grn.tl.celloracle(adata, base_grn=order, groupby="cluster", top=60, parity=True)
    return adata, folder


@pytest.fixture
def adata():
    return grn.datasets.toy(n_cells=120, n_regulators=4, n_targets=12)


def joined(original, table, file, keys):
    """Our rows and theirs, side by side."""
    adata, folder = original
    theirs = pd.read_csv(folder / file).rename(columns={"cluster": "group", "Unnamed: 0": "gene"})
    ours = adata.uns["celloracle"][table].astype(dict.fromkeys(keys, str))
    assert len(ours) == len(theirs)
    return ours.merge(theirs, on=keys, suffixes=("", "_theirs"), validate="one_to_one")


def test_filtered_edges_are_those_of_the_original(original):
    both = joined(original, "edges", "links_filtered_p001_top60.csv", ["group", "source", "target"])
    assert len(both) == 180
    np.testing.assert_allclose(both["weight"], both["coef_mean"], atol=1e-6)


def test_scores_are_those_of_the_original(original):
    both = joined(original, "scores", "network_scores.csv", ["group", "gene"])
    assert len(both) == 90
    for name in ("degree_all", "degree_in", "degree_out"):
        np.testing.assert_array_equal(both[name], both[f"{name}_theirs"])
        centrality = name.replace("degree", "degree_centrality")
        np.testing.assert_allclose(both[centrality], both[f"{centrality}_theirs"])
    np.testing.assert_allclose(both["betweenness"], both["betweenness_centrality"], atol=1e-6)
    np.testing.assert_allclose(both["eigenvector"], both["eigenvector_centrality"], atol=1e-5)


def test_entropy_is_that_of_the_original(original):
    both = joined(original, "entropy", "network_entropy.csv", ["group", "gene"])
    assert len(both) == 81
    np.testing.assert_allclose(both["entropy"], both["entropy_theirs"], atol=1e-5)
    np.testing.assert_allclose(both["entropy_norm"], both["entropy_norm_theirs"], atol=1e-5)


def test_the_network_for_simulations_is_that_of_the_original(original):
    both = joined(original, "simulation", "coef_simulation.csv", ["group", "source", "target"])
    assert len(both) == 180
    np.testing.assert_allclose(both["weight"], both["coef"], atol=1e-5)


def test_what_is_written(adata):
    grn.tl.celloracle(adata, groupby="group", max_p=0.05, top=20)
    found = adata.uns["celloracle"]
    columns = ["source", "target", "weight", "pval", "direction", "group", "coef_variance"]
    assert list(found["edges"].columns) == columns
    assert found["edges"]["pval"].max() <= 0.05 and found["edges"].groupby("group", observed=True).size().max() <= 20
    assert list(found["simulation"].columns) == ["source", "target", "weight", "group"]
    assert len(found["simulation"]) == len(found["edges"])
    params = found["params"]
    assert (params["method"], params["smooth"], params["n_tested"]) == ("celloracle", "grn_smooth", 120)
    assert adata.obsp["grn_smooth"].shape == (120, 120) and "params" in adata.uns["grn_smooth"]
    assert (found["edges"]["weight"] < 0).any()


def test_without_filter_all_edges_stay(adata):
    grn.tl.celloracle(adata, max_p=None, top=None, fit="bayesian", smooth=False)
    found = adata.uns["celloracle"]
    assert len(found["edges"]) == 4 * 12 + 4 * 3 and "group" not in found["edges"]
    assert "group" not in found["scores"] and "group" not in found["entropy"] and "group" not in found["simulation"]
    assert "grn_smooth" not in adata.obsp and found["params"]["smooth"] is False
    assert sorted(found["entropy"]["n_regulators"]) == [3] * 4 + [4] * 12


@pytest.mark.parametrize("edges", [{"max_p": 0.2}, {"max_p": None, "top": None}], ids=["filtered", "all"])
def test_by_name_it_is_the_same_call(adata, edges):
    grn.tl.celloracle(adata, groupby="group", rng=3, **edges)
    grn.tl.infer_network(adata, method="celloracle", groupby="group", rng=3, params=edges)
    one, two = adata.uns["celloracle"], adata.uns["grn"]
    assert set(one) == set(two) >= {"edges", "scores", "entropy", "simulation"}
    for name in ("edges", "scores", "entropy", "simulation"):
        pd.testing.assert_frame_equal(one[name], two[name])
    for name, value in one["params"].items():
        assert np.array_equal(two["params"][name], value), name


def test_simulation_is_ridge_on_the_kept_regulators(adata):
    grn.tl.celloracle(adata, groupby="group", smooth=False, top=15, simulation_alpha=3.0)
    found = adata.uns["celloracle"]["simulation"].astype({"source": str, "target": str, "group": str})
    values = adata.to_df()
    for (group, target), part in found.groupby(["group", "target"]):
        cells = values[adata.obs["group"].astype(str) == group]
        fit = Ridge(alpha=3.0).fit(cells[list(part["source"])], cells[target])
        np.testing.assert_allclose(part["weight"], fit.coef_, atol=1e-5)


def test_entropy_tells_even_from_uneven():
    edges = pd.DataFrame(
        {
            "source": list("ABABA"),
            "target": pd.Categorical(["X", "X", "Y", "Y", "Z"]),
            "weight": [1.0, -1.0, 3.0, 0.0, 1.0],
        }
    )
    found = scores.network_entropy(edges).set_index("gene")
    np.testing.assert_allclose(found["entropy_norm"], [1.0, 0.0], atol=1e-12)
    assert list(found.index) == ["X", "Y"] and found.loc["X", "entropy"] == pytest.approx(np.log(2))


def test_strong_edges_are_short_unless_parity():
    edges = pd.DataFrame({"source": list("ABA"), "target": list("BCC"), "weight": [5.0, 5.0, 1.0]})
    ours = scores.network_scores(edges, centrality=True, strong_is_long=False).set_index("gene")
    theirs = scores.network_scores(edges, centrality=True, strong_is_long=True).set_index("gene")
    assert ours.loc["B", "betweenness"] == 1 and theirs.loc["B", "betweenness"] == 0


def test_without_igraph_centralities_are_missing_or_refused(adata, monkeypatch, caplog):
    real = builtins.__import__

    def no_igraph(name, *rest):
        if name.startswith("igraph"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_igraph)
    monkeypatch.setattr("grn._core.optional.import_module", no_igraph)
    monkeypatch.setattr(scores, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, logger="grn"):
        grn.tl.celloracle(adata, smooth=False)
    assert "betweenness" not in adata.uns["celloracle"]["scores"] and "degree_all" in adata.uns["celloracle"]["scores"]
    assert "grn[export]" in caplog.text
    with pytest.raises(MissingDependencyError, match="igraph"):
        grn.tl.celloracle(adata, centrality=True)


def test_round_trip(adata, tmp_path):
    grn.tl.celloracle(adata, groupby="group")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad").uns["celloracle"]
    for table in ("edges", "scores", "entropy", "simulation"):
        pd.testing.assert_frame_equal(again[table], adata.uns["celloracle"][table], check_categorical=False)


@pytest.mark.parametrize("kind", ["dense", "csc", "counts", "backed"])
def test_storage_does_not_matter(adata, kind, tmp_path):
    expected = grn.tl.celloracle(adata, groupby="group", copy=True).uns["celloracle"]
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
    grn.tl.celloracle(adata, groupby="group", **arguments)
    for table in ("edges", "simulation"):
        keys = ["group", "source", "target"]
        one, two = (
            t[table].astype(dict.fromkeys(keys, str)).set_index(keys) for t in (adata.uns["celloracle"], expected)
        )
        assert len(one) == len(two)
        np.testing.assert_allclose(one["weight"].sort_index(), two["weight"].sort_index(), rtol=1e-4, atol=1e-6)


def test_a_filter_that_leaves_nothing_is_an_error(adata):
    before = set(adata.obsp)
    with pytest.raises(NetworkError, match="max_p"):
        grn.tl.celloracle(adata, max_p=1e-300)
    assert set(adata.obsp) == before and "celloracle" not in adata.uns


@pytest.mark.parametrize(
    "arguments",
    [{"max_p": 0}, {"max_p": 2}, {"top": 0}, {"top": True}, {"simulation_alpha": 0}, {"fit": "ols"}, {"alpha": -1}],
)
def test_numbers_out_of_range_are_refused(adata, arguments):
    with pytest.raises(ParameterError, match=next(iter(arguments))):
        grn.tl.celloracle(adata, **arguments)
    assert "celloracle" not in adata.uns and not len(adata.obsp)
