"""pl.response draws the stored curves and names them."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import GeneNameError, GroupError, ParameterError, ResultNotFoundError
from grn.pl._response import spread

GRID = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])


@pytest.fixture
def probed() -> ad.AnnData:
    genes = ["SPI1", "PAX5", "LYZ", "CD79A", "MT-ND1"]
    made = ad.AnnData(np.zeros((2, 5), dtype="float32"), var=pd.DataFrame(index=genes))
    rng = np.random.default_rng(0)
    for key in ("vvp", "gradient_trajectory"):
        values = rng.normal(size=(5, 2, len(GRID))).astype("float32")
        values[4] = values[0, 0] = values[1, 1] = np.nan
        made.varm[key] = values
        made.uns[key] = {
            "sources": np.array(["SPI1", "PAX5"]), "grid": GRID.copy(), "value_scale": "z-score", "params": {},
        }  # fmt: skip
    return made


def drawn(ax):
    return {line.get_gid(): line for line in ax.lines if line.get_gid()}


def test_curves_are_the_stored_values(probed):
    pairs = [("SPI1", "LYZ"), ("PAX5", "CD79A")]
    axes = grn.pl.response(probed, pairs=pairs)
    assert isinstance(axes, np.ndarray)
    assert axes.shape == (2,)
    perturbed, gradient = drawn(axes[0]), drawn(axes[1])
    x, y = perturbed["SPI1>LYZ"].get_data()
    np.testing.assert_array_equal(x, [-2, -1, -0.5, 0, 0.5, 1, 2])
    np.testing.assert_allclose(y, np.insert(probed.varm["vvp"][2, 0], 3, 0))
    x, y = gradient["PAX5>CD79A"].get_data()
    np.testing.assert_array_equal(x, GRID)
    np.testing.assert_allclose(y, probed.varm["gradient_trajectory"][3, 1])
    assert "baseline" in perturbed
    assert "baseline" not in gradient


def test_bands_are_what_most_targets_of_a_source_do():
    rng = np.random.default_rng(0)
    genes = ["SPI1", *(f"G{i}" for i in range(40))]
    made = ad.AnnData(np.zeros((2, 41), dtype="float32"), var=pd.DataFrame(index=genes))
    values = rng.normal(size=(41, 1, len(GRID))).astype("float32")
    values[0] = np.nan
    made.varm["vvp"] = values
    made.uns["vvp"] = {"sources": np.array(["SPI1"]), "grid": GRID, "value_scale": "z-score", "params": {}}
    ax = grn.pl.response(made, pairs=[("SPI1", "G1"), ("SPI1", "G2")], keys="vvp")[0]
    (band,) = [thing for thing in ax.collections if thing.get_gid() == "all:SPI1"]
    corners = band.get_paths()[0].vertices
    low, high = np.percentile(values[1:, 0], (5, 95), axis=0)
    for x, bottom, top in zip(GRID, low, high, strict=True):
        here = corners[np.isclose(corners[:, 0], x), 1]
        assert np.isclose(here, bottom, atol=1e-6).any() and np.isclose(here, top, atol=1e-6).any()


def test_axes_name_scale_and_unit_and_lines_their_pair(probed):
    axes = grn.pl.response(probed, pairs=[("SPI1", "LYZ"), ("PAX5", "LYZ")])
    assert "z-score" in axes[1].get_xlabel()
    assert "z-score" in axes[0].get_ylabel()
    assert "z-score per z-score" in axes[1].get_ylabel()
    for ax in axes:
        assert [text.get_text() for text in ax.texts] == ["SPI1 → LYZ", "PAX5 → LYZ"]


def test_names_do_not_overlap(probed):
    probed.varm["vvp"][:] = 0.1
    pairs = [(s, t) for s in ("SPI1", "PAX5") for t in ("LYZ", "CD79A", "MT-ND1")]
    ax = grn.pl.response(probed, pairs=pairs, keys="vvp")[0]
    boxes = sorted(text.get_window_extent().extents[[1, 3]].tolist() for text in ax.texts)
    # an annotation's extent includes its line, so compare the written positions
    places = sorted(text.xyann[1] for text in ax.texts)
    assert len(boxes) == 6
    assert min(np.diff(places)) >= 6


def test_spread_keeps_order_gap_and_bounds():
    wanted = np.array([5.0, 5.0, 50.0, 4.0])
    found = spread(wanted, gap=8, top=60)
    assert min(np.diff(np.sort(found))) >= 8 - 1e-9
    assert found[2] == 50
    assert found[3] < found[0]
    assert found.min() >= 0
    np.testing.assert_allclose(spread(np.array([10.0, 40.0]), gap=8, top=60), [10, 40])


def test_unsorted_grid_is_drawn_from_left_to_right(probed):
    order = np.array([3, 0, 5, 1, 4, 2])
    before = drawn(grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp")[0])["SPI1>LYZ"].get_data()
    probed.varm["vvp"] = probed.varm["vvp"][:, :, order]
    probed.uns["vvp"]["grid"] = GRID[order]
    after = drawn(grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp")[0])["SPI1>LYZ"].get_data()
    np.testing.assert_array_equal(before, after)


def test_axes_can_be_given(probed):
    _, axes = plt.subplots(1, 2)
    found = grn.pl.response(probed, pairs=("SPI1", "LYZ"), ax=axes)
    assert list(found) == list(axes)
    with pytest.raises(ParameterError, match="1 axes were passed for 2 keys"):
        grn.pl.response(probed, pairs=("SPI1", "LYZ"), ax=axes[0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pairs": ("SPI", "LYZ")}, GeneNameError, "'SPI1'"),
        ({"pairs": ("SPI1", "lyz")}, GeneNameError, "'LYZ'"),
        ({"pairs": ("LYZ", "SPI1")}, GeneNameError, "LYZ"),
        ({"pairs": ("SPI1", "MT-ND1")}, GeneNameError, "MT-ND1"),
        ({"pairs": ("SPI1", "SPI1")}, GeneNameError, "SPI1"),
        ({"pairs": []}, ParameterError, "pairs"),
        ({"pairs": "SPI1"}, ParameterError, "pairs"),
        ({"pairs": [("SPI1", "LYZ", "CD79A")]}, ParameterError, "pairs"),
        ({"pairs": ("SPI1", "LYZ"), "keys": []}, ParameterError, "keys"),
        ({"pairs": ("SPI1", "LYZ"), "keys": "vpp"}, ResultNotFoundError, "'vvp'"),
    ],
)
def test_bad_input_is_named(probed, arguments, error, message):
    with pytest.raises(error, match=message):
        grn.pl.response(probed, **arguments)
    assert plt.get_fignums() == []


def test_a_group_must_be_chosen(probed):
    values = probed.varm["vvp"]
    probed.varm["vvp"] = np.concatenate([values, 2 * values], axis=2)
    probed.uns["vvp"]["groups"] = np.array(["B", "T"])
    with pytest.raises(GroupError, match="'B', 'T'"):
        grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp")
    line = drawn(grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp", group="T")[0])["SPI1>LYZ"]
    np.testing.assert_allclose(line.get_ydata(), 2 * np.insert(values[2, 0], 3, 0))


def test_baseline_comes_from_the_probe(probed):
    probed.uns["vvp"]["params"] = {"context": "virtual", "baseline": 0.75}
    found = drawn(grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp")[0])
    assert found["baseline"].get_xdata()[0] == 0.75
    assert 0.75 in found["SPI1>LYZ"].get_xdata()


def test_probes_of_real_cells_have_no_zero_point(probed):
    probed.uns["vvp"]["params"] = {"context": "mean"}
    found = drawn(grn.pl.response(probed, pairs=("SPI1", "LYZ"), keys="vvp")[0])
    assert set(found) == {"SPI1>LYZ"}
    np.testing.assert_array_equal(found["SPI1>LYZ"].get_xdata(), GRID)


def test_long_scale_names_are_written_once(probed):
    for key in ("vvp", "gradient_trajectory"):
        probed.uns[key]["value_scale"] = "z-score of log1p CP10k within the data set"
    axes = grn.pl.response(probed, pairs=("SPI1", "LYZ"))
    assert axes[1].get_xlabel().endswith("\n(z-score of log1p CP10k within the data set)")
    assert axes[1].get_ylabel().endswith("(z-score per z-score)")
