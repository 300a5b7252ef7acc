"""Cells, edges, nodes and windows of a trajectory."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grn
from grn._object.trajectory import trajectory_of
from grn.errors import ParameterError, ResultNotFoundError
from grn.pl._style import FAINT


@pytest.fixture
def adata():
    """A trunk until 1, and two branches."""
    adata = grn.datasets.toy(n_cells=90, n_regulators=3, n_targets=8)
    time = np.linspace(0, 2, 90)
    adata.obs["time"] = time
    adata.obs["up"] = (time < 1) | (np.arange(90) % 2 == 0)
    adata.obs["down"] = (time < 1) | (np.arange(90) % 2 == 1)
    side = np.where(time < 1, 0.0, np.where(np.arange(90) % 2 == 0, 1, -1) * (time - 1))
    adata.obsm["X_umap"] = np.column_stack([time, side, side])
    grn.pp.trajectory(adata, pseudotime="time", lineages=["up", "down"])
    return adata


def parts(ax, gid):
    return np.concatenate([part.get_offsets() for part in ax.collections if part.get_gid() == gid])


def test_edges_run_through_the_cells_around_them(adata):
    ax = grn.pl.trajectory(adata, basis="X_umap")
    edges = {line.get_gid(): line.get_xydata() for line in ax.lines}
    assert set(edges) == {"edge:root>down+up", "edge:down+up>up", "edge:down+up>down"}
    np.testing.assert_allclose(edges["edge:down+up>up"][-1], [2, 1], atol=0.12)
    np.testing.assert_allclose(edges["edge:down+up>down"][-1], [2, -1], atol=0.12)
    for edge in ("up", "down"):
        np.testing.assert_allclose(edges[f"edge:down+up>{edge}"][0], edges["edge:root>down+up"][-1])
    assert {text.get_text() for text in ax.texts} == {"root", "down+up", "up", "down"}
    np.testing.assert_allclose(parts(ax, "cells"), adata.obsm["X_umap"][:, :2])
    assert len(parts(ax, "nodes")) == 4
    assert not grn.pl.trajectory(adata, basis="X_umap", label=False).texts


def test_the_tree_has_time_from_left_to_right_and_cells_about_their_edges(adata):
    ax = grn.pl.trajectory(adata)
    cells = parts(ax, "cells")
    own = trajectory_of(adata).by_name
    np.testing.assert_allclose(cells[:, 0], adata.obs["trajectory_time"].to_numpy()[own], atol=1e-9)
    edges = {line.get_gid(): line.get_xydata() for line in ax.lines}
    assert edges["edge:down+up>up"][-1, 1] != edges["edge:down+up>down"][-1, 1]
    names = adata.obs["trajectory_edge"].to_numpy()[own]
    for cell, name in zip(cells, names, strict=True):
        line = edges[f"edge:{name}"]
        assert abs(cell[1] - np.interp(cell[0], line[:, 0], line[:, 1])) < 0.5


def test_windows_are_marked_where_they_are(adata):
    ax = grn.pl.trajectory(adata, windows=(20, 15, 0.5))
    windows = trajectory_of(adata).windows(20, 15, 0.5)
    np.testing.assert_allclose(parts(ax, "windows")[:, 0], windows.time, atol=1e-9)


def test_cells_off_the_trajectory_are_grey_or_missing(adata):
    adata.obs.loc[adata.obs_names[:5], ["up", "down"]] = False
    grn.pp.trajectory(adata, pseudotime="time", lineages=["up", "down"])
    ax = grn.pl.trajectory(adata, basis="X_umap", color="trajectory_edge")
    assert len(parts(ax, "off")) == 5 and len(parts(ax, "cells")) == 85
    assert to_hex(next(p for p in ax.collections if p.get_gid() == "off").get_facecolor()[0]) == FAINT.lower()
    assert len(parts(grn.pl.trajectory(adata), "cells")) == 85 and not len(parts(grn.pl.trajectory(adata), "off"))


def test_the_order_of_cells_does_not_matter(adata):
    other = adata[np.random.default_rng(0).permutation(90)].copy()
    one, two = (grn.pl.trajectory(data, color="up") for data in (adata, other))
    np.testing.assert_allclose(parts(one, "cells"), parts(two, "cells"))


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"key": "other"}, ResultNotFoundError, r"pp\.trajectory"),
        ({"basis": "X_tsne"}, ResultNotFoundError, "X_umap"),
        ({"basis": "X_thin"}, ParameterError, "two finite columns"),
        ({"basis": 3}, ResultNotFoundError, "basis="),
        ({"color": "sid"}, ParameterError, "sid"),
        ({"windows": 20}, ParameterError, "windows="),
        ({"windows": (200, 10)}, ParameterError, "90 cells"),
        ({"windows": "ab"}, ParameterError, "windows="),
        ({"label": 1}, ParameterError, "label="),
    ],
)
def test_what_cannot_be_drawn_is_said_before(adata, arguments, error, told):
    adata.obsm["X_thin"] = adata.obsm["X_umap"][:, :1]
    with pytest.raises(error, match=told):
        grn.pl.trajectory(adata, **arguments)
    assert plt.get_fignums() == []


def test_more_groups_than_lines_have_colours_of_their_own(adata):
    adata.obs["kind"] = [f"kind {i % 9}" for i in range(90)]
    ax = grn.pl.trajectory(adata, basis="X_umap", color="kind")
    cells = next(part for part in ax.collections if part.get_gid() == "cells")
    assert len({to_hex(color) for color in cells.get_facecolor()}) == 9


def test_names_of_nodes_do_not_cover_each_other(adata):
    edges = pd.DataFrame({"start": ["first", "second"], "end": ["second", "third node"], "length": [0.01, 2.0]})
    cells = pd.DataFrame({"edge": "second>third node", "place": adata.obs["time"]})
    grn.pp.trajectory(adata, edges=edges, cells=cells)
    ax = grn.pl.trajectory(adata)
    ax.figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert not boxes["first"].overlaps(boxes["second"]) and len(boxes) == 3
