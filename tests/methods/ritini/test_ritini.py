"""RiTINI on planted dynamics and on the path of the original: what it writes, what it refuses, what does not matter."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import (
    ExpressionError,
    GeneNameError,
    GeneOverlapError,
    NetworkError,
    ParameterError,
    ResultNotFoundError,
)

QUICK = {"n_times": 14, "n_epochs": 3}


@pytest.fixture(scope="module")
def planted():
    adata = grn.datasets.toy_dynamics(n_cells=120, n_regulators=4, n_targets=4)
    grn.pp.trajectory(adata, pseudotime="time", lineages="lineage")
    return adata


@pytest.fixture(scope="module")
def fitted(planted):
    return grn.tl.ritini(planted, prior="base_grn", base_grn=planted.uns["base_grn"], **QUICK, copy=True)


@pytest.fixture
def path():
    """A path made elsewhere: 30 points of 5 genes, the second of which follows the first."""
    random = np.random.default_rng(2)
    values = np.cumsum(random.normal(size=(30, 5)), axis=0)
    values[1:, 1] = 2.0 * values[:-1, 0] + 0.1 * random.normal(size=29)
    return of_path(values)


def of_path(values):
    adata = ad.AnnData(values, var=pd.DataFrame(index=[f"g{i}" for i in range(values.shape[1])]))
    adata.obs["point"] = np.arange(float(len(values)))
    grn.pp.trajectory(adata, pseudotime="point")
    return adata


def weights(adata, column="weight"):
    edges = adata.uns["ritini"]["edges"].astype({"source": str, "target": str})
    return edges.set_index(["source", "target"])[column].sort_index()


def test_what_is_written(planted, fitted):
    entry = fitted.uns["ritini"]
    edges = entry["edges"]
    listed = set(zip(planted.uns["base_grn"]["source"], planted.uns["base_grn"]["target"], strict=True))
    assert set(weights(fitted).index) == listed
    np.testing.assert_allclose(edges.groupby("target", observed=True)["weight"].sum(), 1.0, atol=1e-6)
    sources = edges.groupby("target", observed=True)["weight"].transform("size")
    np.testing.assert_allclose(edges["relative"], edges["weight"] * sources)
    assert edges["in_prior"].all() and np.isfinite(edges[["importance", "effect", "attention_sd"]]).all(axis=None)
    dynamics = entry["dynamics"]
    assert len(dynamics) == 2 * 10 * len(edges)  # lineages, ends of histories of 5 among 14 points
    mean = dynamics.groupby(["source", "target"], observed=True)["weight"].mean()
    np.testing.assert_allclose(mean.sort_index().to_numpy(), weights(fitted).to_numpy(), atol=1e-6)
    assert len(entry["predictions"]) == 2 * 5 * 8
    assert len(entry["loss"]) == 3 and len(entry["prior"]) == len(edges)
    assert entry["params"]["n_windows"] == 10 and entry["params"]["stay_error"] > 0


def test_times_of_dynamics_and_predictions_are_those_of_the_path(planted, fitted):
    time = planted.obs["trajectory_time"][planted.obs["lineage"] == "lineage_1"]
    at = np.linspace(time.min(), time.max(), 14)
    for table, first in (("dynamics", 4), ("predictions", 9)):
        frame = fitted.uns["ritini"][table]
        there = np.unique(frame["t"][frame["lineage"] == "lineage_1"])
        np.testing.assert_allclose(there, at[first:])
    frame = fitted.uns["ritini"]["predictions"]
    assert frame["observed"].between(0, 15).all()


def test_it_is_stored_and_read_again(fitted, tmp_path):
    fitted.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        grn.tl.predict_knockout(again, genes="GATA1", key="ritini"),
        grn.tl.predict_knockout(fitted, genes="GATA1", key="ritini"),
    )


def test_the_order_of_genes_and_cells_does_not_matter(planted, fitted):
    random = np.random.default_rng(0)
    shuffled = planted[random.permutation(planted.n_obs), random.permutation(planted.n_vars)].copy()
    grn.tl.ritini(shuffled, prior="base_grn", base_grn=planted.uns["base_grn"].sample(frac=1, random_state=1), **QUICK)
    for column in ("weight", "effect", "importance"):
        np.testing.assert_allclose(weights(shuffled, column), weights(fitted, column), rtol=1e-4, atol=1e-7)


def test_seeds(planted, fitted):
    runs = [
        grn.tl.ritini(planted, prior="base_grn", base_grn=planted.uns["base_grn"], **QUICK, rng=seed, copy=True)
        for seed in (0, 1)
    ]
    pd.testing.assert_series_equal(weights(runs[0]), weights(fitted))
    assert not np.allclose(weights(runs[1]), weights(fitted))


def test_a_gene_with_one_source_has_attention_one(planted):
    table = pd.DataFrame({"source": ["GATA1", "GATA1", "SPI1"], "target": ["SPI1", "TAL1", "TAL1"]})
    adata = grn.tl.ritini(planted, prior="base_grn", base_grn=table, **QUICK, copy=True)
    assert weights(adata)["GATA1", "SPI1"] == 1.0
    assert 0 < weights(adata)["SPI1", "TAL1"] < 1
    lost = set(adata.uns["ritini"]["params"]["without_sources"])
    assert lost == set(planted.var_names) - {"SPI1", "TAL1"}


def test_sources_of_a_base_grn_act_though_they_are_no_known_regulators(planted):
    other = str(planted.var_names[~planted.var["is_regulator"]][0])
    table = pd.DataFrame({"source": ["GATA1", other], "target": ["SPI1", "TAL1"]})
    adata = grn.tl.ritini(planted, prior="base_grn", base_grn=table, **QUICK, copy=True)
    assert set(weights(adata).index) == {("GATA1", "SPI1"), (other, "TAL1")}
    named = grn.tl.ritini(planted, prior="base_grn", base_grn=table, sources=["GATA1"], **QUICK, copy=True)
    assert set(weights(named).index) == {("GATA1", "SPI1")}


def test_edges_outside_the_prior_only_if_permitted(planted):
    table = pd.DataFrame({"source": ["GATA1", "SPI1"], "target": ["SPI1", "TAL1"]})
    adata = grn.tl.ritini(planted, prior="base_grn", base_grn=table, permissive=True, **QUICK, copy=True)
    edges = adata.uns["ritini"]["edges"]
    assert len(edges) == 4 * 7 and edges["in_prior"].sum() == 2
    assert len(adata.uns["ritini"]["prior"]) == 2
    drawn = grn.tl.ritini(
        planted, prior="base_grn", base_grn=table, permissive=True, **QUICK, graph_weight=1e3, copy=True
    )
    inside = edges["in_prior"].to_numpy()
    assert drawn.uns["ritini"]["edges"]["weight"][inside].mean() > edges["weight"][inside].mean()


def test_lineages_and_sides(planted):
    adata = grn.tl.ritini(
        planted, prior="full", lineages=["lineage_2"], sources=["GATA1"], targets=["SPI1", "TAL1"], **QUICK, copy=True
    )
    entry = adata.uns["ritini"]
    assert set(entry["dynamics"]["lineage"]) == {"lineage_2"}
    assert list(weights(adata).index) == [("GATA1", "SPI1"), ("GATA1", "TAL1")]
    assert sorted(entry["fit"]["genes"]) == ["GATA1", "SPI1", "TAL1"]
    assert grn.tl.predict_knockout(adata, genes="GATA1", key="ritini").index.names == ["time"]


def test_the_strongest_edges_have_dynamics(planted):
    adata = grn.tl.ritini(planted, prior="full", **QUICK, n_dynamics=3, effects=False, copy=True)
    dynamics = adata.uns["ritini"]["dynamics"]
    pairs = dynamics[["source", "target"]].drop_duplicates()
    assert len(pairs) == 3 and "effect" not in adata.uns["ritini"]["edges"]
    least = dynamics.groupby(["source", "target"], observed=True)["weight"].mean().min()
    assert (weights(adata) > least + 1e-5).sum() < 3


def test_granger_prior_of_the_original(shared_dir):
    folder = shared_dir / "reference" / "ritini"
    values = pd.read_csv(folder / "input_trajectory.csv")
    adata = ad.AnnData(values.to_numpy(), var=pd.DataFrame(index=values.columns))
    adata.obs["point"] = np.arange(60.0)
    grn.pp.trajectory(adata, pseudotime="point")
    params = {"n_times": None, "sources": list(values.columns), "prior_threshold": -np.log(1e-6), "parity": True}
    grn.tl.ritini(adata, **params, n_epochs=2)
    expected = pd.read_csv(folder / "edges_mean_attention.csv")
    assert set(weights(adata).index) == set(zip(expected["source"], expected["target"], strict=True))
    entry = adata.uns["ritini"]
    assert entry["dynamics"]["t"].nunique() == 55 and entry["params"]["n_windows"] == 51
    told = {name: entry["params"][name] for name in ("learning_rate", "batch_size", "dropout")}
    assert told == {"learning_rate": 1e-3, "batch_size": 4, "dropout": 0.1}
    evidence = pd.read_csv(folder / "granger_neglogp.csv", index_col=0)
    prior = entry["prior"].astype({"source": str, "target": str})
    there = [evidence.loc[source, target] for source, target in zip(prior["source"], prior["target"], strict=True)]
    np.testing.assert_allclose(prior["evidence"], there, rtol=1e-6)


def test_no_pair_passes(path):
    with pytest.raises(NetworkError, match="no pair of genes passes the Granger test") as caught:
        grn.tl.ritini(path, n_times=None, sources=list(path.var_names), prior_threshold=1e4)
    told = float(str(caught.value).split("prior_threshold=")[1].split(" ")[0])
    grn.tl.ritini(path, n_times=None, sources=list(path.var_names), prior_threshold=told, n_epochs=1)
    assert 1 <= len(path.uns["ritini"]["edges"]) <= 5


def test_a_threshold_that_nearly_all_pass_is_told(path, caplog):
    smooth = np.stack([np.sin(np.arange(60) / (5.0 + k)) for k in range(4)], axis=1)
    adata = of_path(smooth)
    grn.tl.ritini(adata, n_times=None, sources=list(adata.var_names), n_epochs=1)
    assert "of all pairs pass prior_threshold=30" in caplog.text


def test_genes_that_do_not_vary_are_left_out(path, caplog):
    path.X[:, 2] = 3.0
    grn.tl.ritini(path, n_times=None, sources=list(path.var_names), prior="full", n_epochs=1)
    assert "1 genes do not vary and get no edges: g2" in caplog.text
    assert "g2" not in set(path.uns["ritini"]["fit"]["genes"])


def test_what_cannot_be_used(path, planted):
    everything = {"n_times": None, "sources": list(path.var_names), "prior": "full", "n_epochs": 1}
    short = of_path(path.X[:9])
    with pytest.raises(ParameterError, match=r"lineage 'main' has 9 cells .* at least 10"):
        grn.tl.ritini(short, **everything)
    path.X[3, 1] = np.nan
    with pytest.raises(ExpressionError, match="1 values along the trajectory are no finite numbers"):
        grn.tl.ritini(path, **everything)
    with pytest.raises(ParameterError, match=r"no lineage lineage_3 .*'lineage_1', 'lineage_2'"):
        grn.tl.ritini(planted, lineages=["lineage_3"], **QUICK)
    with pytest.raises(ParameterError, match="lineages='lineage_1' is a single string"):
        grn.tl.ritini(planted, lineages="lineage_1", **QUICK)
    with pytest.raises(ResultNotFoundError, match="trajectory"):
        grn.tl.ritini(planted, trajectory="other", **QUICK)
    with pytest.raises(ParameterError, match="prior='base_grn' without base_grn="):
        grn.tl.ritini(planted, prior="base_grn")
    with pytest.raises((GeneOverlapError, NetworkError)):
        grn.tl.ritini(planted, prior="base_grn", base_grn=pd.DataFrame({"source": ["X1"], "target": ["X2"]}))
    with pytest.raises(GeneNameError):
        grn.tl.ritini(planted, sources=["nobody"], **QUICK)
    with pytest.raises(ParameterError, match="n_times=9"):
        grn.tl.ritini(planted, n_times=9)
    assert "ritini" not in planted.uns


def test_a_base_grn_of_other_genes_than_the_sources(planted):
    table = pd.DataFrame({"source": ["GATA1", "SPI1"], "target": ["SPI1", "TAL1"]})
    with pytest.raises(GeneOverlapError, match="none of the 2 edges"):
        grn.tl.ritini(planted, prior="base_grn", base_grn=table, sources=["TAL1"], **QUICK)


def test_cells_at_one_time_are_no_points(path):
    path.obs["point"] = np.repeat(np.arange(15.0), 2)
    grn.pp.trajectory(path, pseudotime="point")
    with pytest.raises(ParameterError, match="some are at the same time"):
        grn.tl.ritini(path, n_times=None, sources=list(path.var_names), prior="full")


def test_knockouts(planted, fitted):
    change = grn.tl.predict_knockout(
        fitted, genes=["GATA1", ("SPI1", "TAL1")], key="ritini", difference=True
    ).reset_index()
    assert set(change["group"]) == {"lineage_1", "lineage_2"} and set(change["knockout"]) == {"GATA1", "SPI1+TAL1"}
    values = grn.tl.predict_knockout(fitted, genes=["GATA1", ("SPI1", "TAL1")], key="ritini").reset_index()
    one = change["knockout"] == "GATA1"
    assert (values["GATA1"][one] == 0).all()
    paths = fitted.uns["ritini"]["predictions"]
    observed = paths[(paths["gene"] == "SPI1") & (paths["lineage"] == "lineage_1")].set_index("t")["observed"]
    row = values[one & (values["group"] == "lineage_1")].set_index("time").loc[observed.index[0]]
    expected = observed.iloc[0] + change[one & (change["group"] == "lineage_1")].set_index("time")["SPI1"].iloc[9]
    assert row["SPI1"] == pytest.approx(expected)
    nothing = grn.tl.predict_knockout(fitted, genes="GATA1", key="ritini", difference=True, dose=0)
    assert (nothing == 0).all(axis=None)
    with pytest.raises(ParameterError, match="max_steps=1 means nothing for a fit of RiTINI"):
        grn.tl.predict_knockout(fitted, genes="GATA1", key="ritini", max_steps=1)
    with pytest.raises(ParameterError, match="is outside lineage"):
        grn.tl.predict_knockout(fitted, genes="GATA1", key="ritini", times=[99.0])


def test_genes_that_no_path_leads_to_do_not_respond(planted):
    table = pd.DataFrame({"source": ["GATA1", "SPI1"], "target": ["SPI1", "TAL1"]})
    adata = grn.tl.ritini(planted, prior="base_grn", base_grn=table, **QUICK, copy=True)
    change = grn.tl.predict_knockout(adata, genes="SPI1", key="ritini", difference=True)
    others = change.columns.difference(["SPI1", "TAL1"])
    assert (change[others] == 0).all(axis=None)
    assert (change["TAL1"] != 0).any()


def test_cells_follow_the_fit(fitted):
    same = {"perturbation": {"GATA1": 0}, "net": "ritini", "n_propagation": 2}
    adata = fitted.copy()
    grn.tl.simulate(adata, **same, layer_added="moved")
    assert adata.uns["simulation"]["params"]["coefficients"] == "fit"
    moved = pd.DataFrame(adata.layers["moved"].toarray(), adata.obs_names, adata.var_names)
    edges = weights(adata)
    reached = {target for source, target in edges.index if source == "GATA1"}
    assert reached and (moved[sorted(reached - {"GATA1"})] != adata.to_df()[sorted(reached - {"GATA1"})]).any(axis=None)
