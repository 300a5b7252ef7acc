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
