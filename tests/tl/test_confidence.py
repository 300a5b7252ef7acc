"""Trust in the edges of methods that regress on cells."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import grn
from grn.errors import CapabilityError, GrnError, ParameterError, ResultNotFoundError
from grn.methods import METHODS

FEW = {"n_permutations": 5, "n_subsamples": 3}
NEW = {"pval", "qval", "stability", "sign_agreement"}


@pytest.fixture(scope="module")
def _inferred():
    adata = grn.datasets.toy(n_cells=120, n_regulators=6, n_targets=14)
    grn.tl.infer_network(adata, method="ridge", groupby="group")
    return adata


@pytest.fixture
def inferred(_inferred):
    return _inferred.copy()


def table(adata, key="grn"):
    """Edges by name, so that objects with other orders compare."""
    edges = adata.uns[key]["edges"]
    labels = [name for name in ("group", "source", "target") if name in edges]
    return edges.astype(dict.fromkeys(labels, str)).set_index(labels).sort_index()


def test_columns_flags_and_the_rest_of_the_entry(inferred):
    before = table(inferred)
    inferred.uns["grn"]["regulators"] = pd.DataFrame({"regulator": ["GATA1"]})
    assert grn.tl.confidence(inferred, **FEW) is None
    after = table(inferred)
    assert set(after.columns) - set(before.columns) == NEW
    pd.testing.assert_frame_equal(after[before.columns], before)
    assert after["pval"].between(0, 1).all() and (after["qval"] >= after["pval"]).all()
    record = inferred.uns["grn"]
    assert record["schema"]["tested"] and record["params"]["confidence"]["n_permutations"] == 5
    assert record["params"]["method"] == "ridge" and record["regulators"]["regulator"].tolist() == ["GATA1"]
    assert grn.get.network(inferred).tested


def planted(seed, *, n_cells=400, n_regulators=8, n_targets=40, share=0.2):
    """Targets that follow a share of the regulators; the real pairs (regulators, targets)."""
    random = np.random.default_rng(seed)
    real = random.random((n_regulators, n_targets)) < share
    strength = real * random.choice([-1, 1], real.shape) * random.uniform(0.3, 0.6, real.shape)
    regulators = random.normal(size=(n_cells, n_regulators))
    values = np.hstack([regulators, regulators @ strength + random.normal(size=(n_cells, n_targets))]) + 12
    names = [f"R{i}" for i in range(n_regulators)] + [f"T{i}" for i in range(n_targets)]
    genes = pd.DataFrame({"is_regulator": np.arange(len(names)) < n_regulators}, index=names)
    adata = ad.AnnData(values.astype(np.float32), var=genes)
    adata.obs_names = [f"c{i}" for i in range(n_cells)]
    return adata, real, names[n_regulators:]


@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_planted_edges_are_found_and_hold(method):
    adata, real, targets = planted(0)
    grn.tl.infer_network(adata, method=method, targets=targets)
    grn.tl.confidence(adata, n_subsamples=10)
    edges = grn.get.edges(adata)
    true = real[tuple(edges[end].astype(str).str[1:].astype(int) for end in ("source", "target"))]
    found = (edges["qval"] <= 0.05).to_numpy()
    assert true[found].mean() > 0.88 and true[found].sum() > 0.9 * real.sum()
    # the null is that of each pair, not of a target without any regulator: noise stays noise among real regulators
    assert (edges["pval"][~true] < 0.05).mean() < 0.09
    assert edges["stability"][true & found].mean() > 0.9 > 0.3 > edges["stability"][~true].mean()
    assert (edges["sign_agreement"][true & found] == 1).all()


@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_orders_and_threads_change_nothing(inferred, method):
    grn.tl.infer_network(inferred, method=method, groupby="group")
    random = np.random.default_rng(3)
    moved = inferred[random.permutation(inferred.n_obs), random.permutation(inferred.n_vars)].copy()
    grn.tl.confidence(inferred, **FEW, n_jobs=1)
    grn.tl.confidence(moved, **FEW, n_jobs=2)
    pd.testing.assert_frame_equal(table(inferred), table(moved), atol=1e-6, check_categorical=False)


def test_regulators_of_their_own_permutation_are_keyed_by_name(inferred):
    """Another regulator among the sources leaves the permutations of the others alone."""
    one, two = inferred, inferred.copy()
    grn.tl.infer_network(one, method="correlation", sources=["GATA1", "SPI1"])
    grn.tl.infer_network(two, method="correlation", sources=["GATA1", "SPI1", "TAL1"])
    for adata in (one, two):
        grn.tl.confidence(adata, **FEW, top=5, together=False, standardise=False)
    shared = table(one).index.intersection(table(two).index)
    assert np.array_equal(table(one).loc[shared, "pval"], table(two).loc[shared, "pval"])


def test_forms_of_the_object(inferred, tmp_path):
    expected = inferred.copy()
    grn.tl.confidence(expected, **FEW)
    made = grn.tl.confidence(inferred, **FEW, copy=True)
    assert "pval" not in inferred.uns["grn"]["edges"]
    view = inferred[:, :]
    grn.tl.confidence(view, **FEW)
    dense = inferred.copy()
    dense.X = dense.X.toarray()
    grn.tl.confidence(dense, **FEW)
    inferred.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    grn.tl.confidence(backed, **FEW)
    for other in (made, view, dense, backed):
        pd.testing.assert_frame_equal(table(other), table(expected), atol=1e-6)


def test_counts_are_normalised_over_all_genes(inferred):
    grn.tl.infer_network(inferred, method="correlation", layer="counts", sources=["GATA1"], targets=["SPI1", "KLF1"])
    grn.tl.confidence(inferred, **FEW, top=1)
    assert len(table(inferred)) == 2


def test_files_carry_the_result_and_the_arguments(inferred, reread):
    grn.tl.confidence(inferred, **FEW)
    back = reread(inferred)
    pd.testing.assert_frame_equal(table(back), table(inferred))
    grn.tl.confidence(back, **FEW)
    pd.testing.assert_frame_equal(table(back), table(inferred), atol=1e-6)


def test_a_base_grn_is_passed_again(inferred):
    names = list(inferred.var_names)
    rows = [(s, t) for s in names[:4] for t in names[2:15]]
    base = pd.DataFrame(rows, columns=["source", "target"])
    grn.tl.infer_network(inferred, method="ridge", params={"base_grn": base, "alpha": 0.1})
    with pytest.raises(ParameterError, match="base_grn"):
        grn.tl.confidence(inferred, **FEW)
    with pytest.raises(ParameterError, match="another weight"):
        grn.tl.confidence(inferred, **FEW, params={"base_grn": base[::2]})
    grn.tl.confidence(inferred, **FEW, top=5, params={"base_grn": base})
    edges = table(inferred)
    assert len(edges) == len(base[base["source"] != base["target"]]) and edges["pval"].notna().all()


@pytest.mark.parametrize("stored", ["broken", 7, pd.DataFrame({"source": ["GATA1"], "target": ["SPI1"]})])
def test_a_damaged_base_grn_is_told(inferred, stored):
    grn.tl.infer_network(inferred, method="ridge", params={"alpha": 0.1})
    inferred.uns["grn"]["params"]["base_grn"] = stored
    with pytest.raises(ParameterError, match=r"\['base_grn'\] is .*expected True, False or 'regions'"):
        grn.tl.confidence(inferred, **FEW)


def test_a_base_grn_that_is_no_table_is_told_as_an_argument(inferred):
    with pytest.raises(ParameterError, match="table has type int"):
        grn.tl.confidence(inferred, **FEW, method="ridge", params={"base_grn": 7})


def test_edges_that_a_filter_left_out_were_tested_too(inferred):
    """A filtered network has the p-values of the whole one, and no smaller q-values."""
    whole = inferred.copy()
    grn.tl.confidence(whole, n_permutations=5, n_subsamples=0)
    net = grn.get.network(inferred)
    net.filter(top=12, sources=["GATA1", "SPI1"]).write(inferred)
    grn.tl.confidence(inferred, n_permutations=5, n_subsamples=0)
    few, many = table(inferred), table(whole)
    assert len(few) == 24
    pd.testing.assert_frame_equal(few[["pval", "qval"]], many.loc[few.index, ["pval", "qval"]].assign(qval=few["qval"]))
    assert (few["qval"] >= many.loc[few.index, "qval"] - 1e-9).all()


@pytest.mark.parametrize("smooth", [True, False])
def test_smoothed_cells_keep_their_neighbours(inferred, smooth):
    grn.tl.celloracle(inferred, n_bags=3, smooth=smooth, max_p=None, top=30)
    kept = set(inferred.uns["celloracle"])
    grn.tl.confidence(inferred, net="celloracle", n_permutations=3, n_subsamples=2, top=5)
    record = inferred.uns["celloracle"]
    assert set(record) == kept and len(record["edges"]) == 30
    assert {"pval", "pval_method", "qval", "stability"} <= set(record["edges"])


def test_parts_alone(inferred):
    grn.tl.confidence(inferred, n_permutations=0, n_subsamples=3, top=4)
    edges = inferred.uns["grn"]["edges"]
    assert "pval" not in edges and not inferred.uns["grn"]["schema"]["tested"]
    per_group = edges.groupby("group", observed=True)["stability"].sum()
    assert np.allclose(per_group, 4)
    grn.tl.confidence(inferred, n_permutations=4, n_subsamples=0)
    assert {"pval", "stability"} <= set(inferred.uns["grn"]["edges"])


def test_own_p_values_of_a_method_are_kept(inferred):
    record = inferred.uns["grn"]
    record["edges"]["pval"] = 0.25
    for _ in range(2):
        grn.tl.confidence(inferred, **FEW)
        edges = inferred.uns["grn"]["edges"]
        assert (edges["pval_method"] == 0.25).all() and edges["pval"].nunique() > 1


def test_no_discovery_no_stability(inferred, caplog):
    random = np.random.default_rng(0)
    inferred.X = np.log1p(random.poisson(3.0, size=inferred.shape)).astype(np.float32)
    grn.tl.infer_network(inferred, method="correlation")
    with caplog.at_level("WARNING", logger="grn"):
        grn.tl.confidence(inferred, **FEW)
    assert inferred.uns["grn"]["edges"]["stability"].isna().all() and "pass top=" in caplog.text


def test_pool_edge(inferred):
    grn.tl.confidence(inferred, n_permutations=19, n_subsamples=0, pool="edge")
    pval = inferred.uns["grn"]["edges"]["pval"]
    assert pval.min() == 0.05 and np.allclose(pval * 20, np.rint(pval * 20))


def test_strata(inferred, refuses):
    inferred.obs["depth"] = np.asarray(inferred.layers["counts"].sum(axis=1)).ravel()
    inferred.obs["batch"] = np.tile(["a", "b", "c"], 40)
    before = inferred.copy()
    for strata in ("depth", "batch"):
        grn.tl.confidence(inferred, **FEW, strata=strata)
        assert inferred.uns["grn"]["params"]["confidence"]["strata"] == strata
    assert "batch" in refuses(ParameterError, grn.tl.confidence, before, strata="bach")
    before.obs["batch"] = before.obs["batch"].where(before.obs["batch"] != "a")
    assert "40 of 120" in refuses(GrnError, grn.tl.confidence, before, strata="batch")


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_permutations": -1},
        {"n_permutations": 2.0},
        {"n_permutations": 0, "n_subsamples": 0},
        {"n_permutations": 0},
        {"fraction": 1.0},
        {"fraction": True},
        {"pool": "target"},
        {"top": 0},
        {"method": "ridg"},
        {"method": "correlation"},
        {"params": {"beta": 1}},
        {"params": ["alpha"]},
        {"params": {"alpha": 10.0}},
        {"rng": -1},
    ],
)
def test_bad_arguments(inferred, refuses, arguments):
    refuses(ParameterError, grn.tl.confidence, inferred, **arguments)


def test_networks_that_cannot_be_tested(inferred, refuses):
    refuses(ResultNotFoundError, grn.tl.confidence, inferred, net="other")
    grn.Network(inferred.uns["truth"]).write(inferred, "truth_net")
    assert "which method" in refuses(ParameterError, grn.tl.confidence, inferred, net="truth_net")
    grn.tl.infer_network(inferred, method="embedding", sources=["SPI1"], key_added="model")
    assert "reads no cells" in refuses(CapabilityError, grn.tl.confidence, inferred, net="model")
    grn.tl.infer_network(inferred, method="pert", sources=["SPI1"], key_added="pert")
    assert "foundation model" in refuses(CapabilityError, grn.tl.confidence, inferred, net="pert")
    grn.tl.confidence(inferred, net="pert", n_permutations=0, n_subsamples=2, top=3)
    assert inferred.uns["pert"]["edges"]["stability"].sum() == pytest.approx(3)


def test_methods_that_read_more_than_expression(inferred, refuses, monkeypatch):
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    METHODS.add("timed", replace(METHODS["correlation"], name="timed", needs=("cells", "time")))
    grn.tl.infer_network(inferred, method="timed")
    assert "reads time" in refuses(CapabilityError, grn.tl.confidence, inferred)
    grn.tl.confidence(inferred, n_permutations=0, n_subsamples=1, top=3)


def test_objects_that_have_changed(inferred, refuses):
    fewer = inferred[: inferred.n_obs // 2].copy()
    assert "infer" in refuses(ParameterError, grn.tl.confidence, fewer).lower()
    assert "not in adata.var_names" in refuses(ParameterError, grn.tl.confidence, inferred[:, 1:].copy())


def independent(seed, *, n_cells=300, n_regulators=8, n_targets=50, depth=0.0):
    """Genes that have nothing to do with each other, with the depth of the cells known and divided out."""
    random = np.random.default_rng(seed)
    n_genes = n_regulators + n_targets
    depths = random.lognormal(0.0, depth, size=n_cells)
    rates = random.lognormal(0.5, 1.0, n_genes) * random.gamma(1.0, size=(n_cells, n_genes))
    counts = random.poisson(depths[:, None] * rates)
    return ad.AnnData(
        np.log1p(counts / depths[:, None]).astype(np.float32),
        obs=pd.DataFrame({"depth": depths, "set": f"set {seed}"}, index=[f"c{seed}-{i}" for i in range(n_cells)]),
        var=pd.DataFrame({"is_regulator": np.arange(n_genes) < n_regulators}, index=[f"G{i}" for i in range(n_genes)]),
    )


def false_shares(repeats, method, **arguments):
    """Share of p-values below 0.05, share of data sets with a discovery, and number of p-values.

    The data sets are groups of one object: each has permutations, p-values and q-values of its own.
    """
    adata = ad.concat([independent(seed, **arguments) for seed in range(repeats)], merge="same")
    grn.tl.infer_network(adata, method=method, groupby="set")
    grn.tl.confidence(adata, n_subsamples=0, strata="depth" if arguments.get("depth") else None)
    edges = adata.uns["grn"]["edges"]
    assert edges["group"].nunique() == repeats
    with_discovery = (edges["qval"] <= 0.05).groupby(edges["group"], observed=True).any()
    return (edges["pval"] < 0.05).mean(), with_discovery.mean(), len(edges)


@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_p_values_of_independent_genes(method):
    share, _, total = false_shares(4, method)
    low, high = binom.interval(0.999, total, 0.05)
    assert low / total <= share <= high / total


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0.0, 0.4])
@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_calibration_over_many_data_sets(method, depth):
    share, found, total = false_shares(60, method, depth=depth)
    assert total > 60 * 8 * 55
    low, high = binom.interval(0.9999, total, 0.05)
    # p-values of one data set share null weights, so the interval is taken twice as wide
    assert 0.05 - 2 * (0.05 - low / total) <= share <= 0.05 + 2 * (high / total - 0.05)
    assert found <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)


@pytest.mark.slow
def test_regulators_that_vary_together_need_one_permutation():
    """A regression on regulators that are alike has wide null weights; single permutations do not show it."""
    parts = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        common = random.normal(size=(400, 1))
        parts.append(np.hstack([common + 0.2 * random.normal(size=(400, 8)), random.normal(size=(400, 50))]))
    genes = pd.DataFrame({"is_regulator": np.arange(58) < 8}, index=[f"G{i}" for i in range(58)])
    adata = ad.AnnData((np.concatenate(parts) + 10).astype(np.float32), var=genes)
    adata.obs_names = [f"c{i}" for i in range(4000)]
    adata.obs["set"] = np.repeat([f"set {seed}" for seed in range(10)], 400)
    targets, params = list(genes.index[8:]), {"alpha": 1e-4}
    grn.tl.infer_network(adata, method="ridge", targets=targets, groupby="set", params=params)
    shares = {}
    for together in (True, False):
        grn.tl.confidence(adata, n_subsamples=0, together=together, params=params, standardise=False)
        shares[together] = (adata.uns["grn"]["edges"]["pval"] < 0.05).mean()
    assert len(adata.uns["grn"]["edges"]) == 10 * 8 * 50
    assert abs(shares[True] - 0.05) < 0.01 and shares[False] > 0.3, shares
