"""Edges beside permuted copies: many permutations from one look at the cells are those of one fit after the other."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import CapabilityError, ParameterError
from grn.methods import METHODS
from grn.trust import beside, repetitions
from grn.trust.frozen import Frozen
from grn.trust.rerun import Rerun


@pytest.fixture
def adata():
    made = grn.datasets.toy_groups(n_cells=150, n_regulators=5, n_targets=9)
    # a gene without variance in one group, one that never varies, and a stratum that cuts across groups
    values = made.X.toarray() if hasattr(made.X, "toarray") else np.array(made.X)
    values[(made.obs["group"] == made.obs["group"].iloc[0]).to_numpy(), 2] = 0.0
    values[:, 7] = 1.0
    made.X = values
    made.obs["batch"] = np.tile(["one", "two", "three"], 50)
    return made[:, np.random.default_rng(0).permutation(made.n_vars)].copy()


@pytest.fixture
def records(monkeypatch):
    """Lets records be replaced for the time of a test; gives the way to do so."""
    monkeypatch.setattr(METHODS, "_records", dict(METHODS._records))
    return partial(METHODS.add, replace=True)


@pytest.fixture
def run(monkeypatch, records):
    """Edges of all permutations, and the columns that follow, with or without shared work."""
    permuted = []

    def watched(*arguments):
        edges = beside.beside_copies(*arguments)

        def kept(i):
            permuted.append(edges(i))
            return permuted[-1]

        return kept

    monkeypatch.setattr(repetitions, "beside_copies", watched)

    def confidence(adata, *, shared, **arguments):
        name = adata.uns["grn"]["params"]["method"]
        records(name, replace(METHODS[name], reads_sums=shared))
        permuted.clear()
        made = grn.tl.confidence(adata, n_permutations=4, n_subsamples=0, copy=True, **arguments)
        return list(permuted), made.uns["grn"]["edges"]

    return confidence


def some_pairs(adata):
    names = list(adata.var_names)
    regulators = list(adata.var_names[adata.var["is_regulator"]])
    random = np.random.default_rng(1)
    pairs = [(s, t) for s in regulators for t in names if random.random() < 0.6]
    return pd.DataFrame(pairs, columns=["source", "target"])


CASES = {
    "correlation": ("correlation", {}),
    "ranks": ("correlation", {"kind": "spearman"}),
    "ridge": ("ridge", {}),
    "ridge, alpha given": ("ridge", {"alpha": 0.3}),
    "ridge, some pairs": ("ridge", {"base_grn": some_pairs}),
    "prior_ridge": ("prior_ridge", {"prior": some_pairs, "strength": 1.0}),
    "prior_ridge without a prior": ("prior_ridge", {}),
}


@pytest.mark.parametrize("groupby", [None, "group"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_shared_work_gives_the_same_edges(adata, run, case, together, groupby):
    method, params = CASES[case]
    params = {name: value(adata) if callable(value) else value for name, value in params.items()}
    grn.tl.infer_network(adata, method=method, groupby=groupby, params=params)
    again = {name: value for name, value in params.items() if name in ("base_grn", "prior")}
    given = {"together": together, "strata": "batch", "params": again}
    plain, expected = run(adata, shared=False, **given)
    shared, columns = run(adata, shared=True, **given)
    assert len(plain) == len(shared) == 4
    for pair in zip(plain, shared, strict=True):
        for one, other in zip(*pair, strict=True):
            assert len(one.keys) and np.array_equal(one.keys, other.keys)
            np.testing.assert_allclose(other.weights, one.weights, rtol=1e-10, atol=1e-12)
            assert np.array_equal(other.signs, one.signs, equal_nan=True)
    pd.testing.assert_frame_equal(columns, expected, rtol=1e-10)


@pytest.mark.parametrize("asked", [{"targets": [1, 2, 8, 9]}, {"sources": [0, 3, 4, 6]}])
@pytest.mark.parametrize("method", ["correlation", "ridge"])
def test_shared_work_for_some_sources_and_targets(adata, run, method, asked):
    grn.tl.infer_network(
        adata, method=method, **{side: list(adata.var_names[places]) for side, places in asked.items()}
    )
    (plain, expected), (shared, columns) = run(adata, shared=False), run(adata, shared=True)
    for pair in zip(plain, shared, strict=True):
        assert all(np.array_equal(one.keys, other.keys) for one, other in zip(*pair, strict=True))
    pd.testing.assert_frame_equal(columns, expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["correlation", "ridge", "prior_ridge"])
def test_the_cells_are_looked_at_once(adata, monkeypatch, method):
    grn.tl.infer_network(adata, method=method, groupby="group")
    looks = {"products": 0, "objects": 0}
    products, permuted = beside.CopySums._products, Frozen.permuted

    def counted(self, genes, *, ranks):
        looks["products"] += (ranks, genes.tobytes()) not in self.made
        return products(self, genes, ranks=ranks)

    def built(self, *arguments):
        looks["objects"] += 1
        return permuted(self, *arguments)

    monkeypatch.setattr(beside.CopySums, "_products", counted)
    monkeypatch.setattr(Frozen, "permuted", built)
    whole = grn.tl.confidence(adata, n_permutations=6, n_subsamples=0, copy=True)
    n_groups = adata.obs["group"].nunique()
    assert looks == {"products": n_groups, "objects": 1}
    with grn.settings.override(memory_budget=1):
        single = grn.tl.confidence(adata, n_permutations=6, n_subsamples=0, copy=True)
    # no memory, no sharing: the same numbers
    assert looks == {"products": 7 * n_groups, "objects": 2}
    pd.testing.assert_frame_equal(single.uns["grn"]["edges"], whole.uns["grn"]["edges"], check_exact=True)


def test_a_group_of_sums_has_no_cells(adata, records):
    def fit(group):
        return group.values(group.sources).T @ group.values(group.targets)

    records("reads", replace(METHODS["correlation"], name="reads", fit=lambda group: fit(group).T, verify=None))
    grn.tl.infer_network(adata, method="reads")
    with pytest.raises(CapabilityError, match=r"reads_sums=True.*group\.cross"):
        grn.tl.confidence(adata, n_permutations=1, n_subsamples=0)
    records("reads", replace(METHODS["reads"], reads_sums=False))
    grn.tl.confidence(adata, n_permutations=1, n_subsamples=0)


def test_only_methods_of_groups_read_sums():
    with pytest.raises(ParameterError, match="reads_sums"):
        replace(METHODS["correlation"], whole=True)


@pytest.fixture
def fits(monkeypatch):
    """Numbers of the copies of every regulator in the fits that were made."""
    made, fit = [], Rerun.fit_beside

    def counted(self, adata, axes, copies, *, seed):
        made.append(len(copies))
        return fit(self, adata, axes, copies, seed=seed)

    monkeypatch.setattr(Rerun, "fit_beside", counted)
    return made


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("params", [{"mode": "fast"}, {"mode": "exact", "max_rounds": 30}])
def test_trees_stand_beside_four_copies_at_once(adata, run, fits, params, together):
    grn.tl.infer_network(adata, method="grnboost2", groupby="group", params=params)
    permuted, columns = run(adata, shared=False, together=together)
    assert fits == [4] and len(permuted) == 4
    # the real regulators are the same in a block, the copies are not
    real, copies = ([pair[side] for pair in permuted] for side in (0, 1))
    assert all(np.array_equal(real[0].weights, other.weights) for other in real)
    assert len({edges.weights.tobytes() for edges in copies}) == 4 and all(len(edges.keys) for edges in copies)
    assert columns["pval"].between(0, 1).all()


def test_methods_of_joint_regressions_stand_beside_one(adata, fits):
    grn.tl.infer_network(adata, method="celloracle", params={"smooth": False, "n_bags": 2})
    grn.tl.confidence(adata, n_permutations=3, n_subsamples=0)
    assert fits == [1, 1, 1]


def test_a_permutation_is_the_same_whatever_number_is_asked_for(adata, fits, tmp_path):
    grn.tl.infer_network(adata, method="genie3", params={"mode": "fast", "n_trees": 30})
    kept = {}
    for number in (2, 5, 9):
        grn.tl.confidence(adata, n_permutations=number, n_subsamples=0, cache=tmp_path)
        (folder,) = tmp_path.iterdir()
        files = {path.name: path.read_bytes() for path in folder.glob("permutation_*")}
        assert len(files) == number and files.items() >= kept.items()
        kept = files
    # blocks of four: 0-3; again for 2 and 3, and 4-7; again for 5-7, and 8-11
    assert fits == [4] * 5
    once = grn.tl.confidence(adata, n_permutations=9, n_subsamples=0, copy=True)
    grn.tl.confidence(adata, n_permutations=9, n_subsamples=0, cache=tmp_path)
    assert fits == [4] * 8
    pd.testing.assert_frame_equal(adata.uns["grn"]["edges"], once.uns["grn"]["edges"], check_exact=True)


def test_repetitions_beside_another_number_of_copies_are_made_anew(adata, records, fits, tmp_path):
    grn.tl.infer_network(adata, method="grnboost2", params={"mode": "fast"})
    asked = {"n_permutations": 2, "n_subsamples": 0, "cache": tmp_path}
    grn.tl.confidence(adata, **asked)
    records("grnboost2", replace(METHODS["grnboost2"], copies=1))
    grn.tl.confidence(adata, **asked)
    assert fits == [4, 1, 1]


def test_copies_of_every_set_have_the_edges_of_a_prior(adata, records, fits):
    pairs = some_pairs(adata)
    grn.tl.infer_network(adata, method="grnboost2", params={"mode": "fast", "base_grn": pairs})
    grn.tl.confidence(adata, n_permutations=4, n_subsamples=0, params={"base_grn": pairs})
    assert fits == [4] and adata.uns["grn"]["edges"]["qval"].notna().all()


def test_names_of_copies_are_those_of_no_gene():
    sources, taken = ["A", "A 1"], {"A", "A 1", "B", "A (permuted 1)"}
    copies = beside.copies_of(sources, taken, 3)
    assert [list(aliases) for aliases in copies] == [sources] * 3
    names = [alias for aliases in copies for alias in aliases.values()]
    assert len({*names, *taken}) == 6 + 4


@pytest.mark.parametrize("method", ["ridge", "linger"])
def test_methods_of_sums_and_regions_have_one_copy(method):
    with pytest.raises(ParameterError, match="copies has to be 1"):
        replace(METHODS[method], copies=2)
    with pytest.raises(ParameterError, match="copies"):
        replace(METHODS["genie3"], copies=0)
