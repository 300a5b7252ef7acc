"""What draws cells by name refuses names that occur twice; what does not goes on."""

import numpy as np
import pytest

import grn
from grn.errors import CellNameError


@pytest.fixture
def cells():
    adata = grn.datasets.toy(n_cells=120, n_regulators=3, n_targets=6)
    adata.obs["kind"] = np.where(np.arange(120) % 2 == 0, "a", "b")
    adata.obsm["X_two"] = np.random.default_rng(0).normal(size=(120, 2))
    grn.tl.infer_network(adata, method="correlation")
    adata.obs_names = [f"cell {k // 2}" for k in range(120)]
    return adata


def attentive(adata):
    return grn.models.untrained("scgpt", genes=list(adata.var_names), layers=1, width=8, heads=2)


DRAWS = {
    "confidence": lambda a: grn.tl.confidence(a, n_permutations=2, n_subsamples=2, top=3),
    "differential": lambda a: grn.tl.differential(a, condition="kind", n_permutations=2),
    "celloracle": lambda a: grn.tl.celloracle(a, smooth=False),
    "smooth": lambda a: grn.pp.smooth(a),
    "scrank": lambda a: grn.tl.infer_network(a, method="scrank", params={"n_resamples": 2}),
    "grnboost2": lambda a: grn.tl.infer_network(a, method="grnboost2", params={"max_rounds": 5}),
    "genie3": lambda a: grn.tl.infer_network(a, method="genie3", params={"n_trees": 5}),
    "max_cells": lambda a: grn.tl.infer_network(a, method="attention", model=attentive(a), params={"max_cells": 10}),
    "flow": lambda a: grn.tl.simulate(a, perturbation={"GATA1": 0}, basis="X_two"),
}


@pytest.mark.parametrize("name", DRAWS)
def test_duplicated_names_are_refused_before_anything_is_computed(cells, name):
    before = set(cells.uns), set(cells.obsp), set(cells.obsm)
    with pytest.raises(CellNameError, match=r"60 names.*adata\.obs_names_make_unique\(\)"):
        DRAWS[name](cells)
    assert (set(cells.uns), set(cells.obsp), set(cells.obsm)) == before
    cells.obs_names_make_unique()
    DRAWS[name](cells)


def test_what_draws_no_cells_needs_no_names(cells):
    for method, params in (
        ("correlation", {}),
        ("ridge", {}),
        ("celloracle", {"fit": "bayesian", "smooth": False}),
        ("pert", {}),
    ):
        grn.tl.infer_network(cells, method=method, params=params, groupby="kind", key_added=method)
        assert len(grn.get.edges(cells, key=method))
    cells.obs["donor"] = [f"{k // 2 % 6} {kind}" for k, kind in enumerate(cells.obs["kind"])]
    grn.tl.differential(cells, condition="kind", donor="donor", n_permutations=5)
    grn.tl.rank_regulators(cells, net="correlation")
    grn.tl.simulate(cells, net="ridge", perturbation={"GATA1": 0})
