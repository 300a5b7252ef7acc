"""Dictys along a trajectory: a planted edge that appears, tables that hang together, and input that does not fit."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import grn
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError

WINDOWS = {"window_cells": 120, "window_overlap": 60, "top_share": 0.34, "n_steps": 250}


def switching(n_cells=480, seed=0):
    """Cells along a line: GATA1 acts on A all the way, on B in the second half only; C is on its own."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.random(n_cells))
    gata, spi = rng.normal(0.0, 0.6, (2, n_cells))
    late = time > 0.5
    logs = {
        "GATA1": gata,
        "SPI1": spi,
        "A": 0.9 * gata + rng.normal(0.0, 0.2, n_cells),
        "B": np.where(late, 0.9 * gata, rng.normal(0.0, 0.5, n_cells)) + rng.normal(0.0, 0.2, n_cells),
        "C": rng.normal(0.0, 0.5, n_cells),
        **{f"G{k}": rng.normal(0.0, 0.2, n_cells) for k in range(8)},
    }
    counts = rng.poisson(40.0 * np.exp(np.stack(list(logs.values()), axis=1)))
    adata = grn.datasets.toy(n_cells=12, n_regulators=2, n_targets=2)
    adata = type(adata)(
        sparse.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame({"pt": time}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=list(logs)),
    )
    grn.pp.trajectory(adata, pseudotime="pt")
    return adata


BASE = pd.DataFrame(
    [(source, target) for source in ("GATA1", "SPI1") for target in ("A", "B", "C")], columns=["source", "target"]
)


@pytest.fixture(scope="module")
def made():
    adata = switching()
    grn.tl.dictys(adata, base_grn=BASE, trajectory="trajectory", **WINDOWS)
    return adata


def curve(entry, source, target):
    table = entry["dynamics"]
    return table[(table["source"] == source) & (table["target"] == target)].sort_values("t")


def test_an_edge_that_appears_is_seen_to_appear(made):
    entry = made.uns["dictys"]
    steady, late = curve(entry, "GATA1", "A"), curve(entry, "GATA1", "B")
    assert steady["weight"].min() > 0.3
    n = len(late)
    assert late["weight"].iloc[: n // 3].mean() < 0.4 * late["weight"].iloc[-n // 3 :].mean()
    shapes = entry["edge_curves"].set_index(["source", "target"])
    span = made.obs["trajectory_time"].max()
    assert shapes.loc[("GATA1", "B"), "terminal"] > 0.2
    assert 0.25 * span < shapes.loc[("GATA1", "B"), "switching"] < 0.75 * span


def test_tables_hang_together(made):
    entry = made.uns["dictys"]
    windows, degrees = entry["windows"], entry["degrees"]
    assert len(windows) == entry["params"]["n_windows"] >= 5
    assert set(entry["levels"]["window"].astype(str)) == set(windows["window"])
    assert len(entry["edges"]) == len(BASE) and "group" not in entry["edges"]
    active = entry["dynamics"][entry["dynamics"]["active"]]
    counted = active.groupby(["window", "source"]).size()
    told = degrees.set_index(["window", "source"])["degree"]
    assert (told[counted.index] == counted).all() and told.sum() == len(active)
    np.testing.assert_allclose(degrees["log_degree"], np.log2(degrees["degree"] + 1.0))
    assert set(entry["regulator_curves"]["source"]) == {"GATA1", "SPI1"}
    assert len(entry["simulation"]) == len(BASE)
    got = grn.tl.predict_knockout(made, genes="GATA1", key="dictys", difference=True)
    assert set(got.index.get_level_values("group")) == set(windows["window"])


def test_the_order_of_cells_and_genes_does_not_matter(made):
    adata = switching()
    rng = np.random.default_rng(1)
    other = adata[rng.permutation(adata.n_obs)][:, rng.permutation(adata.n_vars)].copy()
    few = {**WINDOWS, "n_steps": 40}
    for each in (adata, other):
        grn.tl.dictys(each, base_grn=BASE, trajectory="trajectory", **few)
    keys = ["lineage", "window", "source", "target"]
    one, two = (each.uns["dictys"]["dynamics"].set_index(keys).sort_index() for each in (adata, other))
    pd.testing.assert_frame_equal(one, two, check_exact=False, atol=1e-10)


def test_what_does_not_fit_is_refused():
    adata = switching(n_cells=150)
    with pytest.raises(ParameterError, match="window_cells"):
        grn.tl.dictys(adata, base_grn=BASE, trajectory="trajectory", window_cells=1, n_steps=3)
    with pytest.raises(ParameterError, match="150 cells"):
        grn.tl.dictys(adata, base_grn=BASE, trajectory="trajectory", n_steps=3)
    with pytest.raises(ResultNotFoundError):
        grn.tl.dictys(adata, base_grn=BASE, trajectory="nowhere", n_steps=3)
    adata.obs["group"] = "a"
    with pytest.raises(ParameterError, match="groupby"):
        grn.tl.dictys(adata, base_grn=BASE, trajectory="trajectory", groupby="group", n_steps=3)
    counts = adata.X.toarray()
    counts[:60, :2] = 0.0
    adata.X = sparse.csr_matrix(counts)
    with pytest.raises(GroupError, match="windows have no regulator"):
        grn.tl.dictys(adata, base_grn=BASE, trajectory="trajectory", window_cells=30, window_overlap=10, n_steps=3)
    assert "dictys" not in adata.uns
