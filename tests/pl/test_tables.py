"""pl.heatmap, pl.regulon and pl.activity draw the numbers of their tables."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grn
from grn._core.errors import GeneNameError, GroupError, ParameterError, ResultNotFoundError
from grn.pl._colors import ACTIVATE, REPRESS, UNSIGNED


def drawn_matrix(ax) -> pd.DataFrame:
    rows = [tick.get_text() for tick in ax.get_yticklabels()]
    columns = [tick.get_text() for tick in ax.get_xticklabels()]
    values = ax.collections[0].get_array().filled(np.nan)
    return pd.DataFrame(values.reshape(len(rows), len(columns)), index=rows, columns=columns)


def test_heatmap_shows_the_table(tiny):
    found = drawn_matrix(grn.pl.heatmap(tiny)).sort_index(axis=0).sort_index(axis=1)
    wanted = tiny.pivot(index="target", columns="source", values="weight").sort_index(axis=0).sort_index(axis=1)
    np.testing.assert_allclose(found, wanted)
    assert list(found.index) == list(wanted.index)


def test_heatmap_is_centred_at_zero_and_labelled(tiny):
    ax = grn.pl.heatmap(tiny)
    norm = ax.collections[0].norm
    assert norm.vmin == -norm.vmax == -0.9
    assert ax.figure.axes[1].get_ylabel() == "weight"
    low, middle, high = ax.collections[0].cmap([0.0, 0.5, 1.0])
    assert low[2] > low[0], "blue is negative"
    assert high[0] > high[2], "red is positive"
    assert min(middle[:3]) > 0.9


def test_heatmap_of_probabilities_starts_at_zero(make_edges):
    table = make_edges(200)
    ax = grn.pl.heatmap(table, value="probability", n_sources=5, n_targets=7)
    assert ax.collections[0].norm.vmin == 0
    found = drawn_matrix(ax)
    assert found.shape == (7, 5)
    strongest = table.groupby("source")["probability"].sum().nlargest(5).index
    assert set(found.columns) == set(strongest)


def test_heatmap_puts_alike_columns_side_by_side():
    base = np.array([1.0, -1.0, 0.5, -0.5])
    columns = {"A1": base, "B1": -base, "A2": base * 1.01, "B2": -base * 1.01}
    table = pd.DataFrame(
        [(s, f"G{i}", w) for s, values in columns.items() for i, w in enumerate(values)],
        columns=["source", "target", "weight"],
    )
    order = [name[0] for name in drawn_matrix(grn.pl.heatmap(table)).columns]
    assert "".join(order) in {"AABB", "BBAA"}


def test_heatmap_does_not_depend_on_the_order_of_edges(make_edges):
    table = make_edges(300)
    first = drawn_matrix(grn.pl.heatmap(table))
    pd.testing.assert_frame_equal(first, drawn_matrix(grn.pl.heatmap(table.sample(frac=1, random_state=3))))


def test_heatmap_rejects_bad_input(tiny):
    with pytest.raises(ParameterError, match="weight"):
        grn.pl.heatmap(tiny, value="wieght")
    with pytest.raises(ParameterError, match="n_sources"):
        grn.pl.heatmap(tiny, n_sources=0)
    assert grn.pl.heatmap(tiny.iloc[:0]).texts[0].get_text() == "no edges to draw"


def test_regulon_shows_the_strongest_targets(make_edges):
    table = make_edges(400)
    ax = grn.pl.regulon(table, source="SPI1", n_targets=6)
    mine = table[table["source"] == "SPI1"].sort_values("weight", key=abs, ascending=False).head(6)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(mine["target"])
    dots = ax.collections[1]
    np.testing.assert_allclose(dots.get_offsets()[:, 0], mine["weight"])
    wanted = [ACTIVATE if weight > 0 else REPRESS for weight in mine["weight"]]
    assert [to_hex(color).upper() for color in dots.get_facecolor()] == wanted
    written = [text.get_text() for text in ax.texts if text.get_gid() == "probability"]
    assert written == [f"{value:.2f}" for value in mine["probability"]]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_regulon_without_signs_is_grey_and_has_no_probabilities(tiny):
    ax = grn.pl.regulon(tiny.assign(weight=tiny["weight"].abs()), source="PAX5")
    assert {to_hex(color).upper() for color in ax.collections[1].get_facecolor()} == {UNSIGNED}
    assert len(ax.texts) == 0
    assert ax.get_xlim()[0] == 0


def test_regulon_rejects_bad_input(tiny):
    with pytest.raises(GeneNameError, match="'PAX5'"):
        grn.pl.regulon(tiny, source="PAX-5")
    with pytest.raises(GeneNameError):
        grn.pl.regulon(tiny, source="LYZ")
    with pytest.raises(ParameterError, match="n_targets"):
        grn.pl.regulon(tiny, source="PAX5", n_targets=-1)
    assert grn.pl.regulon(tiny.iloc[:0], source="PAX5").texts[0].get_text() == "no edges to draw"


@pytest.fixture
def scored() -> ad.AnnData:
    rng = np.random.default_rng(0)
    labels = np.repeat(["B", "T", "Mono"], 20)
    cells = [f"c{i}" for i in range(60)]
    scores = pd.DataFrame(rng.normal(size=(60, 7)), index=cells, columns=[f"TF{i}" for i in range(7)])
    for name, group in (("TF0", "B"), ("TF3", "T"), ("TF5", "Mono")):
        scores.loc[labels == group, name] += 6
    scores["TF6"] = 2.0
    made = ad.AnnData(np.zeros((60, 1), dtype="float32"), obs=pd.DataFrame(index=cells))
    made.obs["type"] = pd.Categorical(labels, categories=["T", "B", "Mono", "empty"])
    made.obsm["score_ulm"] = scores
    return made


def test_activity_shows_group_means(scored):
    found = drawn_matrix(grn.pl.activity(scored, groupby="type", standardize=False))
    wanted = scored.obsm["score_ulm"].groupby(scored.obs["type"].astype(str)).mean().T
    np.testing.assert_allclose(found, wanted.loc[found.index, found.columns])
    assert set(found.columns) == {"B", "T", "Mono"}


def test_activity_standardizes_over_cells(scored):
    found = drawn_matrix(grn.pl.activity(scored, groupby="type"))
    scores = scored.obsm["score_ulm"]["TF0"]
    wanted = ((scores - scores.mean()) / scores.std(ddof=0))[scored.obs["type"] == "B"].mean()
    assert found.loc["TF0", "B"] == pytest.approx(wanted)
    assert (found.loc["TF6"] == 0).all()
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-9)


def test_activity_chooses_a_specific_regulator_for_each_group(scored):
    assert set(drawn_matrix(grn.pl.activity(scored, groupby="type", n_sources=3)).index) == {"TF0", "TF3", "TF5"}


def test_activity_does_not_depend_on_the_order_of_cells(scored):
    first = drawn_matrix(grn.pl.activity(scored, groupby="type"))
    shuffled = scored[np.random.default_rng(1).permutation(60)].copy()
    shuffled.obsm["score_ulm"] = shuffled.obsm["score_ulm"].iloc[:, ::-1]
    pd.testing.assert_frame_equal(first, drawn_matrix(grn.pl.activity(shuffled, groupby="type")))


def test_activity_of_one_group(scored):
    found = drawn_matrix(grn.pl.activity(scored[scored.obs["type"] == "B"].copy(), groupby="type", n_sources=2))
    assert found.shape == (2, 1)


def test_activity_rejects_bad_input(scored):
    with pytest.raises(ResultNotFoundError, match="'score_ulm'"):
        grn.pl.activity(scored, groupby="type", key="score_uml")
    with pytest.raises(GroupError, match="'type'"):
        grn.pl.activity(scored, groupby="typ")
    scored.obs["half"] = pd.Categorical(["a"] * 30 + [None] * 30)
    with pytest.raises(GroupError, match="30 of 60 cells"):
        grn.pl.activity(scored, groupby="half")
    scored.obsm["array"] = np.ones((60, 2))
    with pytest.raises(ParameterError, match="DataFrame"):
        grn.pl.activity(scored, groupby="type", key="array")
    for value, told in ((np.inf, "finite"), (np.nan, "only NaN")):
        scored.obsm["holes"] = scored.obsm["score_ulm"] * 0 + value
        with pytest.raises(ParameterError, match=told):
            grn.pl.activity(scored, groupby="type", key="holes")


def test_activity_leaves_gaps_where_there_is_no_score(scored):
    first = scored.obsm["score_ulm"].columns[0]
    gaps = scored.obsm["score_ulm"].copy()
    gaps.loc[(scored.obs["type"] == scored.obs["type"].iloc[0]).to_numpy(), first] = np.nan
    gaps["silent"] = np.nan
    scored.obsm["gaps"] = gaps
    ax = grn.pl.activity(scored, groupby="type", key="gaps")
    drawn = np.ma.masked_invalid(ax.collections[0].get_array())
    assert drawn.mask.sum() == 1
    assert "silent" not in [tick.get_text() for tick in ax.get_yticklabels()]
