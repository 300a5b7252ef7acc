"""The figure of agreement: what stands in which cell, and that it can be read."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import grn
from grn.errors import GroupError, ParameterError

GENES = [f"G{i:02d}" for i in range(30)]
LONG = "geneformer-v2-104m, in-silico deletion"


def cells(*keys, sources=GENES[:5], noise=1.0) -> ad.AnnData:
    adata = ad.AnnData(np.ones((2, len(GENES)), dtype=np.float32), var=pd.DataFrame(index=GENES))
    base = np.random.default_rng(0).normal(size=(len(sources), len(GENES)))
    for seed, key in enumerate(keys, 1):
        add(adata, key, base + noise * np.random.default_rng(seed).normal(size=base.shape), sources)
    return adata


def add(adata, key, weights, sources=GENES[:5]):
    rows = [(s, t, weights[i, j]) for i, s in enumerate(sources) for j, t in enumerate(GENES) if s != t]
    grn.Network(pd.DataFrame(rows, columns=["source", "target", "weight"])).write(adata, key)


def texts(ax) -> dict[tuple[int, int], str]:
    """Text of a cell by row and column."""
    return {tuple(int(x) for x in reversed(text.get_position())): text.get_text() for text in ax.texts}


def colors(ax, n):
    return ax.collections[0].get_facecolor().reshape(n, n, 4)[..., :3]


def test_every_cell_says_what_the_table_says():
    adata = cells("a", "b", "c")
    ax = grn.pl.compare_models(adata, keys=["b", "a", "c"], top=20)
    shown, labels = texts(ax), ["b", "a", "c"]
    for axis in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in axis] == labels
    assert len(shown) == 9 and all(shown[i, i] == "145\nedges" for i in range(3))
    table = grn.get.agreement(adata, keys=labels, top=20)
    for row in table.to_dict("records"):
        i, j = labels.index(row["network_a"]), labels.index(row["network_b"])
        assert i < j and ax.get_ylim() == (3, 0), "the first network is the top row"
        assert shown[j, i] == f"{row['spearman']:.2f}\nn = 145".replace("-", "−")
        assert shown[i, j] == f"{row['shared']:.0f} of 20\nchance {row['expected']:.1f}"
    bars = [a for a in ax.figure.axes if a is not ax]
    assert {a.get_ylabel() or a.get_xlabel() for a in bars} == {
        "shared of the strongest 20", "Spearman of absolute weights"
    }  # fmt: skip


def test_the_scales_are_fixed_so_that_nothing_looks_like_nothing():
    adata = cells("a", "b", noise=0.0)
    add(adata, "noise", np.random.default_rng(9).normal(size=(5, 30)))
    found = colors(grn.pl.compare_models(adata, keys=["a", "b", "noise"], top=10), 3)
    assert found[0, 1].max() < 0.5 and found[1, 0].max() < 0.7, "networks that are one are dark"
    assert found[0, 2].min() > 0.8 and found[2, 0].min() > 0.8, "noise is pale"
    assert np.allclose(found[[0, 1, 2], [0, 1, 2]], to_rgb("#ECECEC"))


def test_negative_correlation_has_another_hue_and_a_true_minus():
    adata = cells("a")
    strength = np.abs(np.random.default_rng(0).normal(size=(5, 30)))
    add(adata, "a", strength)
    add(adata, "b", 9 - strength)
    ax = grn.pl.compare_models(adata, top=5)
    assert texts(ax)[1, 0] == "−1.00\nn = 145"
    red, _, blue = colors(ax, 2)[1, 0]
    assert blue > red
    assert texts(ax)[0, 1].startswith("0 of 5\nchance 0.17")


def test_what_cannot_be_compared_is_grey():
    adata = cells("a")
    add(adata, "apart", np.ones((2, 30)), sources=GENES[20:22])
    ax = grn.pl.compare_models(adata)
    assert texts(ax) == {(0, 0): "145\nedges", (1, 1): "58\nedges", (0, 1): "–", (1, 0): "–\nn = 0"}
    assert np.allclose(colors(ax, 2), to_rgb("#ECECEC"))


def test_counts_in_part_and_small_chances_are_short():
    adata = cells("a")
    add(adata, "flat", np.ones((5, 30)))
    ax = grn.pl.compare_models(adata, top=3)
    assert texts(ax)[0, 1] == "0.06 of 3\nchance 0.06" and texts(ax)[1, 0] == "–\nn = 145"
    assert texts(grn.pl.compare_models(adata, top=1))[0, 1] == "<0.01 of 1\nchance <0.01"
    few = adata.uns["a"]["edges"].iloc[:2]
    grn.Network(few).write(adata, "few")
    assert texts(grn.pl.compare_models(adata, keys=["a", "few"], top=9))[0, 1].startswith("2 of 2\n")


def test_one_group():
    adata = cells("a", "b")
    edges = [adata.uns[key]["edges"].assign(group=name) for key, name in (("a", "x"), ("b", "y"))]
    grn.Network(pd.concat(edges)).write(adata, "grouped")
    shown = texts(grn.pl.compare_models(adata, keys=["grouped", "a"], group="x", top=10))
    assert shown[0, 1].startswith("10 of 10") and shown[1, 0].startswith("1.00")
    with pytest.raises(GroupError, match="no group 'z'"):
        grn.pl.compare_models(adata, group="z")


@pytest.mark.parametrize("bad", [{"top": 0}, {"keys": ["a"]}, {"keys": "a"}, {"ax": 3}])
def test_bad_arguments_open_no_figure(bad):
    with pytest.raises(ParameterError, match=f"{next(iter(bad))}|two networks"):
        grn.pl.compare_models(cells("a", "b"), **bad)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("n", [2, 3, 6, 10])
@pytest.mark.parametrize("long", [False, True])
def test_texts_fit_their_cells_and_the_figure(n, long):
    keys = {f"{LONG} {i}" if long else f"model {i}": f"k{i}" for i in range(n)}
    ax = grn.pl.compare_models(cells(*keys.values()), keys=keys)
    figure = ax.figure
    figure.canvas.draw()
    cell = ax.get_window_extent().width / n, ax.get_window_extent().height / n
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.width <= cell[0] and box.height <= cell[1]
        assert text.get_fontsize() >= 5
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -0.01
    assert 88 < width * 25.4 < 89 + 14 * n + (45 if long else 0)
    for axis in (ax.get_xticklabels(), ax.get_yticklabels()):
        boxes = [label.get_window_extent() for label in axis]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_axes_too_small_for_the_numbers_are_told(caplog):
    _, ax = plt.subplots(figsize=(1.2, 1.2), layout="constrained")
    with caplog.at_level("WARNING", logger="grn"):
        grn.pl.compare_models(cells("a", "b", "c", "d"), ax=ax)
    assert "4 networks are too many" in caplog.text
