"""CellOracle's regressions: parity with the original, and what must not change them."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge

import grn
from grn.errors import ExpressionError, GeneOverlapError, GroupError, NetworkError, ParameterError
from grn.methods import METHODS, Task
from grn.methods.celloracle import regression
from grn.methods.celloracle.regression import upstream_draws
from grn.methods.runner import fit as fit_record


@pytest.fixture(scope="session")
def reference(shared_dir):
    return shared_dir / "reference" / "celloracle"


@pytest.fixture(scope="module")
def original(reference):
    """The cells of the reference, smoothed as there."""
    values = pd.read_csv(reference / "normalized_count.csv.gz", index_col=0)
    obs = pd.read_csv(reference / "input_obs.csv", index_col=0)
    adata = ad.AnnData(sparse.csr_matrix(values.to_numpy()), obs=obs, var=pd.DataFrame(index=values.columns))
    grn.pp.smooth(adata, k=20, n_pcs=10)
    return adata


@pytest.fixture
def adata():
    return grn.datasets.toy(n_cells=120, n_regulators=4, n_targets=12)


def infer(adata, *, groupby="group", rng=0, n_jobs=None, sources=None, targets=None, **params):
    """Edges by group and names."""
    task = Task(model=None, groupby=groupby, seed=rng, n_jobs=n_jobs, sources=sources, targets=targets)
    edges = fit_record(adata, METHODS["celloracle"], task, params).edges
    names = [name for name in ("group", "source", "target") if name in edges]
    return edges.astype(dict.fromkeys(names, str)).set_index(names).sort_index()


def prior(adata):
    """Two regulators for every target and those for each other."""
    regulators = list(adata.var_names[adata.var["is_regulator"]])
    pairs = [(regulators[(i + j) % 4], t) for i, t in enumerate(adata.var_names) for j in (1, 2)]
    return pd.DataFrame(pairs, columns=["source", "target"])


def expected(reference, file):
    table = pd.read_csv(reference / file).rename(columns={"cluster": "group"})
    return table.set_index(["group", "source", "target"]).sort_index()


def test_reading_cells_that_share_neighbours_together_changes_no_edge(monkeypatch, adata):
    grn.pp.smooth(adata, k=4)
    for arguments in ({"groupby": None}, {"targets": list(adata.var_names[5:9])}, {"parity": True}):
        before = infer(adata, **arguments)
        with monkeypatch.context() as patch:
            patch.setattr("grn._object.smoothing.BLOCK", 7)
            after = infer(adata, **arguments)
        np.testing.assert_allclose(after["weight"], before["weight"], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(after.index, before.index)


def test_bagging_is_that_of_the_original(original, reference):
    order = pd.read_csv(reference / "regulator_order.csv").rename(columns={"regulator": "source"})
    found = infer(original, groupby="cluster", base_grn=order, parity=True)
    theirs = expected(reference, "links_bagging_alpha10_n20.csv")
    assert found.index.equals(theirs.index)
    np.testing.assert_allclose(found["weight"], theirs["coef_mean"], atol=1e-6)
    np.testing.assert_allclose(found["pval"], theirs["p"], atol=1e-5)
    np.testing.assert_allclose(-np.log10(found["pval"]), theirs["-logp"], rtol=1e-3, atol=1e-4)


def test_bagging_with_draws_of_our_own_agrees_with_the_original(original, reference):
    found = infer(original, groupby="cluster", base_grn=pd.read_csv(reference / "input_base_grn.csv"))
    theirs = expected(reference, "links_bagging_alpha10_n20.csv")
    assert found.index.equals(theirs.index)
    assert np.corrcoef(found["weight"], theirs["coef_mean"])[0, 1] > 0.99
    significant = (theirs["p"] < 0.001).to_numpy()
    same = np.sign(found["weight"].to_numpy()) == np.sign(theirs["coef_mean"].to_numpy())
    assert same[significant].mean() >= 0.98


def test_bayesian_ridge_is_that_of_the_original(original, reference):
    base = pd.read_csv(reference / "input_base_grn.csv")
    found = infer(original, groupby="cluster", base_grn=base, fit="bayesian")
    theirs = expected(reference, "links_bayesian.csv")
    assert found.index.equals(theirs.index)
    np.testing.assert_allclose(found["weight"], theirs["coef_mean"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["coef_variance"], theirs["coef_variance"], rtol=1e-3)
    np.testing.assert_allclose(found["pval"], theirs["p"], rtol=1e-3, atol=1e-5)


def test_parity_is_scikit_learn_on_raw_cells(adata):
    base = prior(adata)
    found = infer(adata, groupby=None, base_grn=base, smooth=False, parity=True, n_bags=7)
    values = adata.to_df()
    scaled = values / values.std(ddof=0)
    for target, part in list(base[base["source"] != base["target"]].groupby("target"))[:4]:
        own = list(part["source"])
        bagging = BaggingRegressor(Ridge(alpha=10), n_estimators=7, max_features=0.8, random_state=123)
        bagging.fit(scaled[own].to_numpy(), values[target].to_numpy())
        table = np.full((7, len(own)), np.nan)
        for bag, (fit, which) in enumerate(zip(bagging.estimators_, bagging.estimators_features_, strict=True)):
            table[bag, which] = fit.coef_
        ours = found["weight"].loc[[(source, target) for source in own]]
        np.testing.assert_allclose(ours, np.nanmean(table, axis=0), atol=1e-6)


@pytest.mark.parametrize("n_regulators", [1, 2, 5, 200])
def test_draws_are_those_of_scikit_learn(n_regulators):
    X, y = np.random.default_rng(0).normal(size=(30, n_regulators)), np.arange(30.0)
    theirs = BaggingRegressor(Ridge(), n_estimators=5, max_features=0.8, random_state=123).fit(X, y)
    places, counts = upstream_draws(123, 30, n_regulators, 5)
    np.testing.assert_array_equal(places, theirs.estimators_features_)
    np.testing.assert_array_equal(counts, [np.bincount(one, minlength=30) for one in theirs.estimators_samples_])


@pytest.mark.parametrize("fit", ["bagging", "bayesian"])
def test_order_blocks_and_threads_do_not_matter(monkeypatch, adata, fit):
    first = infer(adata, fit=fit)
    random = np.random.default_rng(0)
    moved = adata[random.permutation(adata.n_obs), random.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(infer(moved, fit=fit, n_jobs=2), first, rtol=1e-3, atol=1e-5)
    monkeypatch.setattr("grn._kernels.ridge.BLOCK", 17)
    monkeypatch.setattr("grn._object.smoothing.BLOCK", 17)
    monkeypatch.setattr(regression, "BLOCK", 17)
    pd.testing.assert_frame_equal(infer(adata, fit=fit), first, rtol=1e-3, atol=1e-5)


def test_few_targets_at_a_time_give_the_same(adata):
    first = infer(adata)
    task = Task(model=None, groupby="group", memory_budget=1)
    again = fit_record(adata, METHODS["celloracle"], task, {}).edges
    assert len(again) == len(first)
    keys = ["group", "source", "target"]
    again = again.astype(dict.fromkeys(keys, str)).set_index(keys).sort_index()
    pd.testing.assert_frame_equal(again, first, rtol=1e-6)


def test_other_targets_do_not_change_an_edge(adata):
    every = infer(adata)
    some = infer(adata, targets=list(adata.var_names[6:9]))
    np.testing.assert_allclose(some["weight"], every.loc[some.index, "weight"], rtol=1e-6)


def test_the_seed_decides_the_bags(adata):
    assert infer(adata, rng=1).equals(infer(adata, rng=1))
    assert not np.allclose(infer(adata, rng=1)["weight"], infer(adata, rng=2)["weight"])


def test_only_allowed_pairs_and_no_self_edges(adata):
    base = prior(adata)
    found = infer(adata, base_grn=base)
    allowed = {(s, t) for s, t in base.itertuples(index=False) if s != t}
    assert {pair[1:] for pair in found.index} == allowed
    everyone = infer(adata, groupby=None)
    assert len(everyone) == 4 * 12 + 4 * 3
    assert all(source != target for source, target in everyone.index)


@pytest.mark.parametrize("parity", [False, True])
def test_constant_genes_are_left_out_and_named(adata, caplog, parity):
    base = prior(adata)
    regulator, target = base["source"].iloc[0], adata.var_names[-1]
    values = adata.to_df()
    values.loc[adata.obs["group"] == "group_1", [regulator, target]] = 1.5
    adata.X = values.to_numpy()
    with caplog.at_level(logging.WARNING, logger="grn"):
        found = infer(adata, base_grn=base, smooth=False, parity=parity).reset_index()
    first = found[found["group"] == "group_1"]
    assert regulator not in set(first["source"]) and target not in set(first["target"])
    assert regulator in set(found["source"]) and target in set(found["target"])
    assert "2 genes do not vary in group 'group_1'" in caplog.text


def test_a_group_in_which_nothing_varies_is_left_out(adata):
    whole = infer(adata, smooth=False)
    values = adata.to_df()
    values[adata.obs["group"] == "group_2"] = 1.5
    adata.X = values.to_numpy()
    left = infer(adata, smooth=False)
    assert set(left.index.get_level_values("group")) == {"group_1"} < set(whole.index.get_level_values("group"))
    adata.X = np.full(adata.shape, 1.5)
    with pytest.raises(ExpressionError, match="in any of the 2 groups"):
        infer(adata, smooth=False)


def test_smoothing_can_be_given_or_left_out(adata):
    fresh = infer(adata)
    grn.pp.smooth(adata)
    assert infer(adata).equals(fresh)
    assert infer(adata, smooth="grn_smooth").equals(fresh)
    assert infer(adata, smooth=adata.obsp["grn_smooth"]).equals(fresh)
    assert not np.allclose(infer(adata, smooth=False)["weight"], fresh["weight"])
    grn.pp.smooth(adata, k=20)
    assert not np.allclose(infer(adata)["weight"], fresh["weight"])


@pytest.mark.parametrize(
    "params", [{"fit": "lasso"}, {"alpha": 0.0}, {"alpha": True}, {"n_bags": 1}, {"n_bags": 2.0}, {"smooth": 3}]
)
def test_bad_parameters_are_refused(adata, params):
    with pytest.raises(ParameterError, match=next(iter(params))):
        infer(adata, **params)


def test_bad_tables_and_groups_are_refused(adata):
    with pytest.raises(NetworkError, match="target"):
        infer(adata, base_grn=pd.DataFrame({"source": ["GATA1"]}))
    with pytest.raises(GeneOverlapError):
        infer(adata, base_grn=pd.DataFrame({"source": ["nobody"], "target": ["noone"]}))
    with pytest.raises(ParameterError):
        infer(adata, base_grn=3)
    adata.obs["small"] = ["rare"] * 3 + ["common"] * (adata.n_obs - 3)
    with pytest.raises(GroupError, match="rare"):
        infer(adata, groupby="small")
