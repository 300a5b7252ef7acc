"""What every figure takes: a file, a window, a size, colours; and that it says early what does not fit."""

import inspect

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import grn
from grn.errors import ParameterError, StorageError
from grn.pl import _colors

RESULTS = {"method": ["vvp"], "test": "a", "network": "b", "protocol": "paper", "metric": "auprc", "value": [0.6]}
PALETTES = (
    "benchmark",
    "degree_bias",
    "flow",
    "locus",
    "network",
    "region_network",
    "regulon",
    "regulon_dynamics",
    "reliability",
    "response",
    "simulate",
    "trajectory",
)
MAPS = ("activity", "compare_models", "dynamic_drivers", "eregulons", "flow", "heatmap", "simulate", "trajectory")


@pytest.fixture(scope="module")
def calls():
    """A call of every figure, on one object."""
    adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=8)
    grn.Network(adata.uns["truth"]).write(adata)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
    grn.tl.simulate(adata, perturbation={"GATA1": 0}, coefficients="weight", basis="X_umap", n_controls=0, min_mass=0.1)
    grn.tl.activity(adata, min_targets=1)
    adata.obs["when"] = np.arange(60.0)
    grn.pp.trajectory(adata, pseudotime="when", lineages="group")
    counted = adata.copy()
    along = {"trajectory": "trajectory", "window_cells": 30, "window_overlap": 15, "top_share": 0.3}
    grn.tl.dictys(counted, layer="counts", n_steps=5, **along)
    source, target = adata.uns["truth"].iloc[0][["source", "target"]]
    adata.varm["vvp"] = np.ones((adata.n_vars, 1, 4), dtype="float32")
    adata.uns["vvp"] = {"sources": np.array([source]), "grid": np.arange(4.0), "value_scale": "z-score", "params": {}}
    table = pd.DataFrame(RESULTS)
    pairs = pd.DataFrame({"source": list("AAB"), "target": list("XYX"), "label": [1, 0, 1], "score": [3.0, 2.0, 1.0]})
    judged = pairs.assign(probability=[0.9, 0.5, 0.3])
    mdata = grn.datasets.toy_multiome(n_cells=20, n_regulators=2, n_targets=4)
    around = {
        "gene": mdata.uns["truth"]["target"].iloc[0],
        "starts": mdata.uns["starts"],
        "network": mdata.uns["truth"],
    }
    return {
        "activity": (adata, {"groupby": "group"}),
        "benchmark": (table, {}),
        "compare_models": (adata, {"keys": {"one": "grn", "two": "grn"}}),
        "degree_bias": (pairs, {}),
        "dynamic_drivers": (counted, {}),
        "eregulons": (mdata, {"groupby": "group", "network": mdata.uns["truth"]}),
        "flow": (adata, {"panels": "flow", "color": "group"}),
        "heatmap": (adata, {}),
        "locus": (mdata, {**around, "groupby": "group", "links": None}),
        "network": (adata, {}),
        "region_network": (mdata.uns["truth"], {}),
        "regulon": (adata, {"source": source}),
        "regulon_dynamics": (counted, {}),
        "reliability": (dict.fromkeys(("one", "two"), judged), {"n_bins": 2, "n_boot": 5}),
        "response": (adata, {"pairs": (source, target), "keys": "vvp"}),
        "simulate": (adata, {}),
        "trajectory": (adata, {"color": "group"}),
    }


def draw(calls, name, **arguments):
    data, own = calls[name]
    return getattr(grn.pl, name)(data, **own, **arguments)


# explore writes a page: tests/pl/test_explore.py
FIGURES = set(grn.pl.__all__) - {"explore"}
figures = pytest.mark.parametrize("name", sorted(FIGURES))


@figures
def test_every_figure_takes_the_same_arguments(name, calls):
    parameters = inspect.signature(getattr(grn.pl, name)).parameters
    wanted = {"ax": None, "figsize": None, "save": None, "show": False, "return_fig": False}
    assert {key: parameters[key].default for key in wanted} == wanted
    assert ("palette" in parameters, "cmap" in parameters) == (name in PALETTES, name in MAPS)
    assert name in PALETTES or name in MAPS
    assert set(calls) == FIGURES


@figures
def test_nothing_is_shown_unless_asked(name, calls, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    drawn = draw(calls, name)
    assert all(isinstance(ax, Axes) for ax in np.ravel(drawn)) and not shown
    assert draw(calls, name, show=True) is None and shown == [1]
    figure = draw(calls, name, return_fig=True, save=tmp_path / "a.png")
    assert isinstance(figure, Figure) and shown == [1]
    assert isinstance(draw(calls, name, return_fig=True, show=True), Figure)


@figures
@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_figures_are_saved_in_the_size_asked_for(name, calls, tmp_path, ending):
    path = tmp_path / f"figure.{ending}"
    figure = draw(calls, name, save=str(path), figsize=(5, 4), return_fig=True)
    assert path.stat().st_size > 1000 and [file.name for file in tmp_path.iterdir()] == [path.name]
    assert figure.get_size_inches().tolist() == [5, 4]
    if ending == "png":
        assert plt.imread(path).shape[:2] == (1200, 1500)


@figures
def test_what_cannot_be_saved_is_said_before_anything_is_drawn(name, calls, tmp_path):
    (tmp_path / "file.png").write_text("")
    bad = {
        tmp_path / "none" / "a.png": StorageError,
        tmp_path: StorageError,
        tmp_path / "file.png" / "a.png": StorageError,
        "a\x00.png": StorageError,
        f"{'a' * 300}.png": StorageError,
        tmp_path / "a.xyz": ParameterError,
        tmp_path / "a": ParameterError,
        True: ParameterError,
        3: ParameterError,
    }
    for save, error in bad.items():
        with pytest.raises(error):
            draw(calls, name, save=save)
    sizes = [{"figsize": size} for size in (3, (0, 1), (1, np.nan))]
    for arguments in (*sizes, {"show": "yes"}, {"return_fig": 1}):
        with pytest.raises(ParameterError, match=next(iter(arguments))):
            draw(calls, name, **arguments)
    assert plt.get_fignums() == []
    with pytest.raises(ParameterError, match="either ax or figsize"):
        draw(calls, name, ax=plt.figure().add_subplot(), figsize=(3, 3))


def test_names_stay_text_in_files_for_print(tmp_path):
    edges = pd.DataFrame({"source": ["SPI1"], "target": ["LYZ"], "weight": [1.0]})
    before = plt.rcParams["svg.fonttype"]
    grn.pl.network(edges, save=tmp_path / "network.svg")
    text = (tmp_path / "network.svg").read_text(encoding="utf-8")
    assert "<text" in text and ">SPI1</text>" in text
    assert plt.rcParams["svg.fonttype"] == before
    grn.pl.network(edges, save=tmp_path / "network.pdf")
    assert b"/Type3" not in (tmp_path / "network.pdf").read_bytes()


@pytest.mark.parametrize("name", MAPS)
def test_colour_maps(name, calls):
    for cmap in ("PRGn", mpl.colormaps["PRGn"]):
        draw(calls, name, cmap=cmap)
    if name in ("activity", "heatmap"):
        ax = draw(calls, name, cmap="PRGn")
        assert ax.collections[0].cmap(0.2) == mpl.colormaps["PRGn"](0.2)
    plt.close("all")
    for cmap in ("RdBuu_r", 3):
        with pytest.raises(ParameterError, match="cmap="):
            draw(calls, name, cmap=cmap)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", PALETTES)
def test_palettes(name, calls):
    draw(calls, name, palette=["#123456", "crimson"])
    plt.close("all")
    for palette in (["no colour"], 3, {"nobody": "red"}, []):
        with pytest.raises(ParameterError, match="palette"):
            draw(calls, name, palette=palette)
    assert plt.get_fignums() == []


def test_the_palette_of_signs_is_drawn(calls):
    for palette in (["#112233", "#445566"], {"activation": "#112233", "repression": "#445566"}):
        ax = draw(calls, "network", palette=palette)
        drawn = {to_hex(patch.get_edgecolor()) for patch in ax.patches}
        assert "#112233" in drawn <= {"#112233", "#445566", _colors.UNSIGNED.lower()}


def test_groups_have_the_colours_that_scanpy_stored(calls):
    adata = calls["flow"][0].copy()
    adata.obs["group"] = adata.obs["group"].astype("category")
    adata.uns["group_colors"] = np.array(["#102030", "#405060"])[: len(adata.obs["group"].cat.categories)]

    def drawn(**more):
        cells = grn.pl.flow(adata, panels="flow", color="group", **more)[0].collections[0]
        return {to_hex(color) for color in cells.get_facecolor()}

    assert drawn() == {"#102030", "#405060"}
    assert drawn(palette=["#aaaaaa", "#bbbbbb"]) == {"#aaaaaa", "#bbbbbb"}


def test_red_is_positive_and_blue_negative_everywhere():
    for color, positive in ((_colors.ACTIVATE, True), (_colors.REPRESS, False)):
        red, _, blue = mpl.colors.to_rgb(color)
        assert (red > blue) == positive
    cmap, norm = _colors.color_scale(np.array([-1.0, 2.0]), diverging=True)
    assert (norm.vmin, norm.vmax) == (-2, 2)
    assert cmap(norm(2))[0] > cmap(norm(2))[2] and cmap(norm(-2))[2] > cmap(norm(-2))[0]
