"""Penalties so small that rounding swallows them are refused, and the smallest allowed ones solve."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import grn
from grn.errors import ParameterError


@pytest.fixture
def copies():
    """Regulators that are copies of each other: no regression on them is possible without a penalty."""
    X = np.log1p(np.random.default_rng(0).poisson(3.0, size=(60, 9)))
    X[:, 1] = X[:, 2] = X[:, 0]
    adata = AnnData(X.astype(np.float32), obs=pd.DataFrame(index=[f"c{k}" for k in range(60)]))
    adata.var_names = [f"g{k}" for k in range(9)]
    adata.var["is_regulator"] = np.arange(9) < 4
    return adata


@pytest.mark.parametrize("alpha", [1e-300, 1e-11, 0, -1.0, np.nan, np.inf, True, "1"])
def test_refused(copies, alpha):
    for method, params in (("ridge", {}), ("celloracle", {"smooth": False, "n_bags": 2})):
        with pytest.raises(ParameterError, match="alpha="):
            grn.tl.infer_network(copies, method=method, params={**params, "alpha": alpha})
    with pytest.raises(ParameterError, match="simulation_alpha="):
        grn.tl.celloracle(copies, smooth=False, n_bags=2, simulation_alpha=alpha)
    grn.tl.infer_network(copies, method="correlation")
    with pytest.raises(ParameterError, match="alpha="):
        grn.tl.simulate(copies, perturbation={"g0": 0}, coefficients="refit", alpha=alpha)


def test_the_smallest_penalties_solve(copies):
    grn.tl.infer_network(copies, method="ridge", params={"alpha": 1e-10})
    table = grn.get.edges(copies).astype({"source": str, "target": str}).set_index(["source", "target"])["weight"]
    assert np.isfinite(table).all() and table.abs().max() < 1.5
    assert table["g0", "g8"] == pytest.approx(table["g1", "g8"], abs=1e-4)
    grn.tl.infer_network(copies, method="celloracle", params={"alpha": 1e-5, "smooth": False, "n_bags": 4})
    assert np.isfinite(grn.get.edges(copies)["weight"]).all()
