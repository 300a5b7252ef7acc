"""All figures: axes in, axes out, nothing else touched."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import grn


@pytest.fixture
def adata(tiny) -> ad.AnnData:
    genes = sorted({*tiny["source"], *tiny["target"]})
    cells = [f"cell{i}" for i in range(6)]
    made = ad.AnnData(np.zeros((6, len(genes)), dtype="float32"), var=pd.DataFrame(index=genes))
    made.obs_names = cells
    made.obs["type"] = pd.Categorical(list("BBTTMM"))
    scores = np.random.default_rng(0).normal(size=(6, 3))
    made.obsm["score_ulm"] = pd.DataFrame(scores, index=cells, columns=["SPI1", "PAX5", "GATA3"])
    made.varm["vvp"] = np.ones((len(genes), 1, 4), dtype="float32")
    made.uns["vvp"] = {
        "sources": np.array(["SPI1"]), "grid": np.array([-2.0, -1, 1, 2]), "value_scale": "z-score", "params": {},
    }  # fmt: skip
    made.uns["grn"] = {"edges": tiny, "params": {}, "schema": {"version": 1, "directed": True, "signed": True}}
    made.X = np.random.default_rng(1).gamma(1.0, size=made.shape).astype("float32")
    made.obsm["X_umap"] = np.random.default_rng(2).normal(size=(6, 2))
    grn.tl.simulate(made, perturbation={"SPI1": 0}, coefficients="weight", basis="X_umap", n_controls=0, min_mass=0.1)
    return made


RESULTS = pd.DataFrame(
    {"method": ["vvp", "degree"], "kind": ["method", "floor"], "test": "hHEP", "network": "STRING", "protocol": "paper",
     "metric": "auprc", "value": [0.61, 0.70], "low": [0.58, 0.66], "high": [0.64, 0.73], "floor": 0.70}
)  # fmt: skip
PAIRS = pd.DataFrame({
    "source": list("AAABBBCCC"), "target": list("XYZXYZXYZ"), "label": [1, 1, 0, 1, 0, 0, 1, 1, 1], "score": range(9),
})  # fmt: skip
MULTIOME = grn.datasets.toy_multiome(n_cells=30, n_regulators=3, n_targets=6)
TRUTH, STARTS = MULTIOME.uns["truth"], MULTIOME.uns["starts"]
LOCUS = {"gene": TRUTH["target"].iloc[0], "starts": STARTS, "network": TRUTH, "links": None, "groupby": "group"}
COURSE = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8, n_groups=1)
COURSE.obs["when"] = np.arange(60.0)
grn.pp.trajectory(COURSE, pseudotime="when")
WINDOWS = {"trajectory": "trajectory", "window_cells": 30, "window_overlap": 15, "top_share": 0.3}
grn.tl.dictys(COURSE, layer="counts", n_steps=5, **WINDOWS)
CALLS = {
    "benchmark": lambda adata, ax: grn.pl.benchmark(RESULTS, ax=ax)[0, 0],
    "compare_models": lambda adata, ax: grn.pl.compare_models(adata, keys={"one": "grn", "two": "grn"}, ax=ax),
    "degree_bias": lambda adata, ax: grn.pl.degree_bias(PAIRS, roles="regulator", ax=ax)[0],
    "dynamic_drivers": lambda adata, ax: grn.pl.dynamic_drivers(COURSE, ax=ax),
    "regulon_dynamics": lambda adata, ax: grn.pl.regulon_dynamics(COURSE, ax=ax),
    "trajectory": lambda adata, ax: grn.pl.trajectory(COURSE, color="group", ax=ax),
    "eregulons": lambda adata, ax: grn.pl.eregulons(MULTIOME, groupby="group", network=TRUTH, ax=ax),
    "flow": lambda adata, ax: grn.pl.flow(adata, panels="flow", ax=ax)[0],
    "simulate": lambda adata, ax: grn.pl.simulate(adata, ax=ax),
    "locus": lambda adata, ax: grn.pl.locus(MULTIOME, **LOCUS, ax=ax),
    "network": lambda adata, ax: grn.pl.network(adata, ax=ax),
    "region_network": lambda adata, ax: grn.pl.region_network(TRUTH, ax=ax),
    "heatmap": lambda adata, ax: grn.pl.heatmap(adata, ax=ax),
    "regulon": lambda adata, ax: grn.pl.regulon(adata, source="SPI1", ax=ax),
    "activity": lambda adata, ax: grn.pl.activity(adata, groupby="type", ax=ax),
    "reliability": lambda adata, ax: grn.pl.reliability(PAIRS.assign(probability=PAIRS["score"] / 10), n_bins=3, ax=ax),
    "response": lambda adata, ax: grn.pl.response(adata, pairs=("SPI1", "LYZ"), keys="vvp", ax=ax)[0],
}


def test_every_public_figure_is_tested_here():
    # explore writes a page and draws on no axes: tests/pl/test_explore.py
    assert set(CALLS) == set(grn.pl.__all__) - {"explore"}


@pytest.mark.parametrize("name", CALLS)
def test_new_figure_leaves_everything_else_alone(adata, name):
    figure, mine = plt.subplots()
    mine.plot([0, 1])
    before = dict(mpl.rcParams)
    ax = CALLS[name](adata, None)
    assert isinstance(ax, Axes)
    assert ax.figure is not figure
    assert len(plt.get_fignums()) == 2
    assert figure.axes == [mine]
    assert len(mine.lines) == 1
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", CALLS)
def test_given_axes_are_used_and_no_figure_is_opened(adata, name):
    figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
    other = plt.figure()
    assert CALLS[name](adata, axes[1]) is axes[1]
    assert plt.gcf() is other
    assert plt.get_fignums() == [figure.number, other.number]
    assert not axes[0].has_data()


@pytest.mark.parametrize("name", CALLS)
def test_no_text_is_clipped_by_the_figure(adata, name):
    figure = CALLS[name](adata, None).figure
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= width + 0.01
    assert box.y1 <= height + 0.01
    assert width * 25.4 == pytest.approx(89, abs=1)


@pytest.mark.parametrize("width", [85, 170])
@pytest.mark.parametrize("name", CALLS)
def test_axes_of_a_column_or_a_page_clip_no_text_and_can_be_read(adata, name, width):
    figure, ax = plt.subplots(figsize=(width / 25.4, width * 0.7 / 25.4), layout="constrained")
    CALLS[name](adata, ax)
    figure.canvas.draw()
    box, (wide, high) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= wide + 0.01 and box.y1 <= high + 0.01
    texts = [text for text in figure.findobj(mpl.text.Text) if text.get_visible() and text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= 5.5


@pytest.mark.parametrize("name", CALLS)
def test_the_object_is_not_changed(adata, name):
    edges, scores = adata.uns["grn"]["edges"].copy(), adata.obsm["score_ulm"].copy()
    CALLS[name](adata, None)
    pd.testing.assert_frame_equal(adata.uns["grn"]["edges"], edges)
    pd.testing.assert_frame_equal(adata.obsm["score_ulm"], scores)
    assert set(adata.uns) == {"vvp", "grn", "simulation"}


@pytest.mark.parametrize("name", CALLS)
def test_a_users_grid_style_is_not_drawn_over_the_figure(adata, name):
    with mpl.rc_context({"axes.grid": True}):
        ax = CALLS[name](adata, None)
    ax.figure.canvas.draw()
    assert not any(line.get_visible() for line in ax.get_xgridlines()) or not ax.axison
