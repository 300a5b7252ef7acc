"""pl.network: what it draws, that labels keep apart, that it answers bad input."""

import logging

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grn
from grn._core.errors import GeneNameError, ParameterError
from grn.pl import _layout
from grn.pl._colors import ACTIVATE, REPRESS, UNSIGNED


def test_a_hub_does_not_crowd_out_others():
    hub = pd.DataFrame({"source": "HUB", "target": [f"T{i}" for i in range(40)], "weight": np.linspace(9, 5, 40)})
    others = [pd.DataFrame({"source": f"R{j}", "target": [f"T{i}" for i in range(3 * j, 3 * j + 4)]}) for j in range(6)]
    table = pd.concat([hub, pd.concat(others).assign(weight=1.0)], ignore_index=True)
    shown = [name.partition(">")[0] for name in drawn_edges(grn.pl.network(table, max_edges=30))]
    assert shown.count("HUB") == 10 and len(shown) == 30
    # where others leave room it has more, the strongest
    shown = drawn_edges(grn.pl.network(table, max_edges=45))
    assert {f"HUB>T{i}" for i in range(45 - 24)} <= set(shown) and len(shown) == 45
    assert len(drawn_edges(grn.pl.network(hub, max_edges=30))) == 30


def drawn_edges(ax):
    return {patch.get_gid().removeprefix("edge:"): patch for patch in ax.patches}


def drawn_labels(ax):
    return {text.get_text(): text for text in ax.texts}


def node_circles(ax):
    """Centres and radii of nodes in pixels."""
    scale = ax.figure.dpi / 72
    centres, radii = [], []
    for group in ax.collections:
        centres.append(ax.transData.transform(group.get_offsets()))
        radii.append(np.sqrt(group.get_sizes()) / 2 * scale)
    return np.concatenate(centres), np.concatenate(radii)


def label_boxes(ax):
    renderer = ax.figure.canvas.get_renderer()
    return np.array([text.get_window_extent(renderer).extents for text in ax.texts])


def assert_labels_are_free(ax):
    boxes, (centres, radii) = label_boxes(ax), node_circles(ax)
    for i, (left, bottom, right, top) in enumerate(boxes):
        others = np.delete(boxes, i, axis=0)
        hit = (others[:, 0] < right) & (others[:, 2] > left) & (others[:, 1] < top) & (others[:, 3] > bottom)
        assert not hit.any(), ax.texts[i].get_text()
        near = np.clip(centres, [left, bottom], [right, top])
        assert (np.linalg.norm(near - centres, axis=1) >= radii - 0.5).all(), ax.texts[i].get_text()
    frame = ax.get_window_extent().extents
    assert (boxes[:, :2] >= frame[:2]).all()
    assert (boxes[:, 2:] <= frame[2:]).all()


@pytest.mark.parametrize("n_edges", [10, 100, 1000])
@pytest.mark.parametrize("focus", [None, "SPI1"])
def test_labels_do_not_overlap_and_limits_hold(make_edges, n_edges, focus):
    ax = grn.pl.network(make_edges(n_edges), focus=focus)
    assert_labels_are_free(ax)
    assert len(ax.patches) == min(len(ax.patches), 60)
    genes = {gene for name in drawn_edges(ax) for gene in name.split(">")}
    assert len(genes) <= 50
    assert set(drawn_labels(ax)) == genes


def test_labels_stay_free_at_print_resolution(make_edges):
    ax = grn.pl.network(make_edges(100))
    ax.figure.set_dpi(300)
    assert_labels_are_free(ax)


def test_crowded_axes_drop_labels_and_say_so(make_edges, caplog):
    _, ax = plt.subplots(figsize=(2.2, 2.2))
    with caplog.at_level(logging.WARNING, logger="grn"):
        grn.pl.network(make_edges(1000), ax=ax)
    assert_labels_are_free(ax)
    n_genes = len({gene for name in drawn_edges(ax) for gene in name.split(">")})
    assert 5 < len(ax.texts) < n_genes
    assert f"{n_genes - len(ax.texts)} of {n_genes} labels had no room" in caplog.text


def test_strongest_edges_are_drawn_with_sign_and_width(tiny):
    ax = grn.pl.network(tiny, max_edges=4)
    edges = drawn_edges(ax)
    assert set(edges) == {"SPI1>LYZ", "SPI1>PAX5", "PAX5>SPI1", "PAX5>CD79A"}
    assert to_hex(edges["SPI1>LYZ"].get_edgecolor()).upper() == ACTIVATE
    assert to_hex(edges["SPI1>PAX5"].get_edgecolor()).upper() == REPRESS
    assert isinstance(edges["SPI1>LYZ"].get_arrowstyle(), mpl.patches.ArrowStyle.CurveFilledB)
    assert isinstance(edges["SPI1>PAX5"].get_arrowstyle(), mpl.patches.ArrowStyle.BarAB)
    widths = [edges[name].get_linewidth() for name in ("SPI1>LYZ", "SPI1>PAX5", "PAX5>SPI1", "PAX5>CD79A")]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] - widths[1] == pytest.approx(widths[1] - widths[2])


def test_reciprocal_edges_are_curved_and_others_straight(tiny):
    edges = drawn_edges(grn.pl.network(tiny))
    bends = {name: patch.get_connectionstyle().rad for name, patch in edges.items()}
    assert bends["SPI1>PAX5"] == bends["PAX5>SPI1"] > 0
    assert bends["SPI1>LYZ"] == 0


def test_edges_end_outside_their_nodes(tiny):
    ax = grn.pl.network(tiny, node_size_by="equal")
    ax.figure.canvas.draw()
    centres, _ = node_circles(ax)
    radius = 5.5 * ax.figure.dpi / 72
    for patch in ax.patches:
        path = patch.get_path()
        line = mpl.path.Path(path.vertices[:3], path.codes[:3]).interpolated(1).to_polygons(closed_only=False)[0]
        gaps = np.linalg.norm(ax.transData.transform(line)[:, None] - centres[None], axis=2)
        assert (gaps > radius).all()
        assert sorted(gaps.min(axis=0))[1] < radius * 2


def test_regulators_and_targets_differ(tiny):
    ax = grn.pl.network(tiny)
    groups = {group.get_gid(): group for group in ax.collections}
    assert len(groups["regulators"].get_offsets()) == 3
    assert len(groups["targets"].get_offsets()) == 3
    assert drawn_labels(ax)["LYZ"].get_fontstyle() == "italic"
    assert drawn_labels(ax)["SPI1"].get_fontweight() == "bold"


def test_unknown_signs_are_grey_open_arrows(tiny):
    ax = grn.pl.network(tiny.assign(weight=tiny["weight"].abs()))
    assert {to_hex(patch.get_edgecolor()).upper() for patch in ax.patches} == {UNSIGNED}
    assert "sign unknown" in legend_of(ax)
    assert {type(patch.get_arrowstyle()) for patch in ax.patches} == {mpl.patches.ArrowStyle.CurveB}


def test_signed_network_without_negative_weights_is_activation(tiny):
    net = grn.Network(tiny.assign(weight=tiny["weight"].abs()), signed=True)
    ax = grn.pl.network(net)
    assert {to_hex(patch.get_edgecolor()).upper() for patch in ax.patches} == {ACTIVATE}


def test_undirected_network_has_no_heads_and_each_pair_once(tiny):
    ax = grn.pl.network(grn.Network(tiny, directed=False))
    assert len(ax.patches) == 5
    assert all(isinstance(patch.get_arrowstyle(), mpl.patches.ArrowStyle.Curve) for patch in ax.patches)
    assert "regulator" not in [text.get_text() for text in ax.get_legend().get_texts()]


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_no_arrow_without_what_tells_its_direction(tiny):
    """SPI1 and PAX5 are listed both ways; regulators stay regulators, and the legend says what tells the rest."""
    table = tiny.assign(direction="role")
    both = table["source"].isin(["SPI1", "PAX5"]) & table["target"].isin(["SPI1", "PAX5"])
    assert both.sum() == 2
    ax = grn.pl.network(table.assign(direction=np.where(both, "none", "role")))
    edges, plain = drawn_edges(ax), mpl.patches.ArrowStyle.Curve
    assert len(edges) == 5 and ("SPI1>PAX5" in edges) != ("PAX5>SPI1" in edges)
    for name, patch in edges.items():
        # heads are subclasses of the plain line
        assert (type(patch.get_arrowstyle()) is plain) == (set(name.split(">")) == {"SPI1", "PAX5"})
    assert "no direction" in legend_of(ax) and "direction by role" in legend_of(ax)
    assert len({group.get_gid(): group for group in ax.collections}["regulators"].get_offsets()) == 3
    # with evidence one way the other row is not drawn
    first = both & (table["source"] == "PAX5")
    ax = grn.pl.network(table.assign(direction=np.select([first, both], ["motif", "none"], "role")))
    assert "PAX5>SPI1" in drawn_edges(ax) and "SPI1>PAX5" not in drawn_edges(ax)
    assert "direction by motif, role" in legend_of(ax) and "no direction" not in legend_of(ax)


def test_focus_and_hops_choose_the_neighbourhood():
    chain = pd.DataFrame({"source": list("ABCD"), "target": list("BCDE"), "weight": [1.0, 2.0, 3.0, 4.0]})
    assert set(drawn_edges(grn.pl.network(chain, focus="A"))) == {"A>B"}
    assert set(drawn_edges(grn.pl.network(chain, focus="A", hops=2))) == {"A>B", "B>C"}
    assert set(drawn_edges(grn.pl.network(chain, focus=["A", "E"]))) == {"A>B", "D>E"}
    assert set(drawn_edges(grn.pl.network(chain, focus="C", hops=2, max_genes=3))) == {"C>D", "B>C"}


def test_width_by_probability_changes_the_ranking(tiny):
    table = tiny.assign(probability=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert set(drawn_edges(grn.pl.network(table, width_by="probability", max_edges=1))) == {"GATA3>CD3D"}


def test_group_is_chosen(tiny):
    both = pd.concat([tiny.assign(group="B"), tiny.iloc[:1].assign(group="T")])
    assert len(grn.pl.network(both, group="T").patches) == 1
    assert len(grn.pl.network(both).patches) == 6


def test_node_size_follows_degree(tiny):
    ax = grn.pl.network(tiny, node_size_by="in_degree")
    sizes = next(group for group in ax.collections if group.get_gid() == "targets").get_sizes()
    # targets in order of names: CD3D, CD79A, LYZ
    assert sizes[1] > sizes[0] == sizes[2]


def test_picture_does_not_depend_on_the_order_of_edges(make_edges):
    table = make_edges(40)
    first = grn.pl.network(table)
    second = grn.pl.network(table.sample(frac=1, random_state=1))
    assert list(drawn_edges(first)) == list(drawn_edges(second))
    for name, text in drawn_labels(first).items():
        assert text.get_position() == drawn_labels(second)[name].get_position()
    other = grn.pl.network(table, layout_seed=1)
    assert drawn_labels(other)["SPI1"].get_position() != drawn_labels(first)["SPI1"].get_position()


def test_components_share_the_page_without_overlap():
    pairs = [(f"T{i}", f"G{i}") for i in range(9)]
    table = pd.DataFrame(pairs, columns=["source", "target"]).assign(weight=1.0)
    cells = np.array(_layout.squarify([5.0, 3.0, 3.0, 2.0, 1.0], (2, 3, 100, 60)))
    assert (cells[:, 2] * cells[:, 3]).sum() == pytest.approx(6000)
    assert (cells[:, 0] >= 2 - 1e-9).all()
    assert (cells[:, 0] + cells[:, 2] <= 102 + 1e-9).all()
    ax = grn.pl.network(table)
    assert_labels_are_free(ax)
    spread = np.ptp(np.concatenate([group.get_offsets() for group in ax.collections]), axis=0)
    assert (spread > 0.5 * np.array([ax.get_xlim()[1], ax.get_ylim()[1]])).all()


def test_crossings_are_counted():
    square = np.array([[0.0, 0], [1, 1], [0, 1], [1, 0]])
    assert _layout.crossings(square, np.array([[0, 1], [2, 3]])) == 1
    assert _layout.crossings(square, np.array([[0, 2], [1, 3]])) == 0


def test_self_loop_is_drawn(tiny):
    loop = pd.concat([tiny, pd.DataFrame({"source": ["SPI1"], "target": ["SPI1"], "weight": [0.7]})])
    ax = grn.pl.network(loop)
    assert "SPI1>SPI1" in drawn_edges(ax)
    assert_labels_are_free(ax)


def test_no_labels(tiny):
    ax = grn.pl.network(tiny, label=False)
    assert len(ax.texts) == 0
    assert len(ax.patches) == 6


def test_empty_network_says_so(tiny):
    ax = grn.pl.network(tiny.iloc[:0])
    assert [text.get_text() for text in ax.texts] == ["no edges to draw"]


def test_reads_anndata(tiny, tmp_path):
    import anndata as ad

    adata = ad.AnnData(np.zeros((1, 6), dtype="float32"), var=pd.DataFrame(index=sorted({*tiny.source, *tiny.target})))
    adata.uns["net"] = {"edges": tiny, "params": {}, "schema": {"version": 1, "directed": True, "signed": True}}
    assert len(grn.pl.network(adata, key="net").patches) == 6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"focus": "SPI"}, GeneNameError, "'SPI1'"),
        ({"focus": ["LYZ", "cd79a"]}, GeneNameError, "'CD79A'"),
        ({"hops": 0}, ParameterError, "hops=0"),
        ({"max_edges": 2.5}, ParameterError, "max_edges=2.5"),
        ({"max_genes": True}, ParameterError, "max_genes"),
        ({"node_size_by": "degre"}, ParameterError, "degree"),
        ({"width_by": "probabilty"}, ParameterError, "weight"),
        ({"ax": 3}, ParameterError, "matplotlib Axes"),
    ],
)
def test_bad_input_is_named(tiny, arguments, error, message):
    with pytest.raises(error, match=message):
        grn.pl.network(tiny, **arguments)
    assert plt.get_fignums() == []


def large(n_edges: int, n_genes: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    genes = [f"G{i:04d}" for i in range(n_genes)]
    sources, targets = rng.choice(genes[: n_genes // 10], 2 * n_edges), rng.choice(genes, 2 * n_edges)
    table = pd.DataFrame({"source": sources, "target": targets})
    return table.assign(weight=rng.normal(size=2 * n_edges)).drop_duplicates(["source", "target"]).head(n_edges)


@pytest.mark.slow
def test_three_thousand_edges_take_seconds():
    import time

    start = time.process_time()
    ax = grn.pl.network(large(3000, 1500), max_edges=3000, max_genes=1500)
    ax.figure.canvas.draw()
    assert len(ax.patches) == 3000 and time.process_time() - start < 40


def test_large_pictures_keep_labels_free_and_do_not_depend_on_the_order_of_edges(caplog):
    table = large(400, 250)
    first = grn.pl.network(table, max_edges=400, max_genes=250)
    again = grn.pl.network(table.sample(frac=1, random_state=0), max_edges=400, max_genes=250)
    places = [np.concatenate([group.get_offsets() for group in ax.collections]) for ax in (first, again)]
    np.testing.assert_allclose(*places)
    assert len(np.unique(places[0].round(3), axis=0)) == len(places[0])
    assert "labels had no room" in caplog.text
    assert_labels_are_free(first)


def test_more_than_a_page_holds_is_refused_with_the_number():
    with pytest.raises(ParameterError, match="5000 edges of 3000 genes"):
        grn.pl.network(large(6000, 2000), max_edges=6000, max_genes=2000)
    with pytest.raises(ParameterError, match="to_graphml"):
        grn.pl.network(large(4900, 6000), max_edges=4900, max_genes=6000)
    assert plt.get_fignums() == []


def test_landmarks_keep_neighbours_close():
    names = [f"G{i:03d}" for i in range(200)]
    ends = np.array([[i, i + 1] for i in range(199)])
    shape = _layout.landmark_layout(names, ends, seed=0)
    steps = np.linalg.norm(np.diff(shape, axis=0), axis=1)
    span = np.linalg.norm(shape[0] - shape[-1])
    assert np.isfinite(shape).all() and steps.max() < 3 and span > 60, "a chain is drawn as a long line"
