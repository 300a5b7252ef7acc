"""pl.benchmark: what it draws, that it can be read, that it answers bad input."""

import itertools
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import grn
from grn._core.errors import ParameterError

UNITS = {
    "hESC": "hESC", "hHEP": "hHEP", "mDC": "mDC", "mESC": "mESC", "mHSC-E": "mHSC", "mHSC-GM": "mHSC", "mHSC-L": "mHSC",
}  # fmt: skip
METHODS = {
    "method": "pert attention pert_translator embedding vvp gradient_trajectory ensemble".split(),
    "ablation": (
        "vvp_random_weights vvp_shuffled_names gradient_trajectory_random_weights vvp_mean_cell "
        "gradient_trajectory_shuffled_names gradient_trajectory_moving embedding_random_weights"
    ).split(),
    "floor": (
        "random out_degree in_degree both_degrees look_up target_is_regulator transfer_combined mean_expression "
        "correlation corpus_coexpression prior_only"
    ).split(),
}
NETWORKS = ("STRING", "Non-Specific", "Specific", "Lofgof")


def results(networks=NETWORKS, *, seed=0) -> pd.DataFrame:
    """A table as bench.run returns it: 7 data sets, 25 methods; mESC alone has Lofgof, mDC alone a correlation."""
    rng = np.random.default_rng(seed)
    cells = [
        (network, test, protocol, kind, method)
        for network, test, protocol in itertools.product(networks, UNITS, ("paper", "strict"))
        for kind, methods in METHODS.items()
        for method in methods
        if (network != "Lofgof" or test == "mESC") and (method != "correlation" or test == "mDC")
    ]
    table = pd.DataFrame(cells, columns=["network", "test", "protocol", "kind", "method"])
    table["unit"] = table["test"].map(UNITS)
    strict = table["protocol"] == "strict"
    table["value"] = 0.5 + rng.uniform(0, np.where(strict, 0.06, 0.25))
    width = rng.uniform(0.01, 0.03, len(table))
    table["low"], table["high"] = table["value"] - width, table["value"] + 1.2 * width
    table = table.assign(metric="auprc", backbone="mini", train="hESC", size="500", prevalence=0.5)
    floors = table["value"].where(table["kind"] == "floor")
    table["floor"] = floors.groupby([table["network"], table["test"], table["protocol"]]).transform("max")
    known = table["test"].isin(["hHEP", "mESC"]) & (table["kind"] == "method") & (table["network"] == "STRING")
    table["published"] = np.where(known & ~strict, table["value"] + 0.2, np.nan)
    return table


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return results()


@pytest.fixture(scope="module")
def page():
    """The axes of six networks, two protocols and 25 methods."""
    axes = grn.pl.benchmark(results((*NETWORKS, "ChIP-Atlas", "KnockTF")))
    axes[0, 0].figure.canvas.draw()
    return axes


SHAPES = {
    "all": {},
    "one network": {"networks": "STRING"},
    "one panel": {"networks": "STRING", "protocols": "paper", "methods": ["vvp", "ensemble", "both_degrees"]},
    "one data set": {"networks": "Specific", "protocols": "strict", "tests": "hHEP"},
    "small figure": {"networks": "STRING", "methods": ["vvp", "random"], "figsize": (4.0, 1.8)},
}


@pytest.fixture(scope="module")
def drawn(table):
    """The axes of a shape, made from rows in another order and drawn once."""

    @cache
    def draw(shape):
        axes = grn.pl.benchmark(table.sample(frac=1, random_state=1), **SHAPES[shape])
        axes[0, 0].figure.canvas.draw()
        return axes

    return draw


def texts(figure):
    """Lines of the texts that are drawn, with their boxes."""
    if figure.stale:
        figure.canvas.draw()
    found = [text for ax in figure.axes for text in shown(ax)]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    return [line for t in found if t.get_visible() and t.get_text().strip() for line in line_boxes(t)]


def line_boxes(text):
    """Every line of a text with its own box: a short line leaves room beside it."""
    words, whole = text.get_text(), text.get_window_extent()
    lines = words.split("\n")
    for i, line in enumerate(lines):
        text.set_text(line)
        width = text.get_window_extent().width
        left = {"left": whole.x0, "center": (whole.x0 + whole.x1 - width) / 2, "right": whole.x1 - width}[text.get_ha()]
        top = whole.y1 - i * whole.height / len(lines)
        yield line, (left, top - whole.height / len(lines), left + width, top)
    text.set_text(words)


def shown(ax):
    """Texts of an axes; tick labels that lie outside its limits are not drawn."""
    ticks = [t for axis in (ax.xaxis, ax.yaxis) for t in axis.get_ticklabels() if within(axis, t)]
    return [*ticks, *ax.texts, ax.title, ax._left_title, ax._right_title, ax.xaxis.label, ax.yaxis.label,
            *(ax.get_legend().get_texts() if ax.get_legend() else [])]  # fmt: skip


def within(axis, label):
    low, high = sorted(axis.get_view_interval())
    return low - 1e-9 <= label.get_position()["xy".index(axis.axis_name)] <= high + 1e-9


def assert_texts_are_free(figure, *, inside=True):
    boxes = texts(figure)
    assert len(boxes) > 5
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        apart = a[2] <= b[0] + 0.5 or b[2] <= a[0] + 0.5 or a[3] <= b[1] + 0.5 or b[3] <= a[1] + 0.5
        assert apart, f"{one!r} and {two!r}"
    width, height = figure.bbox.size
    for name, (left, bottom, right, top) in boxes if inside else []:
        assert left >= -0.5 and bottom >= -0.5 and right <= width + 0.5 and top <= height + 0.5, name


def means(ax):
    named = {line.get_gid() or "": line for line in ax.lines}
    return {name.removeprefix("mean:"): line for name, line in named.items() if name.startswith("mean:")}


def interval(ax, method):
    return next((line.get_xdata() for line in ax.lines if line.get_gid() == f"interval:{method}"), None)


def vertical(ax, gid):
    return next((line.get_xdata()[0] for line in ax.lines if line.get_gid() == gid), None)


def data_sets(ax):
    return {group.get_gid().removeprefix("test:"): group for group in ax.collections if group.get_gid()}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_text_touches_another_or_is_clipped(drawn, shape):
    assert_texts_are_free(drawn(shape)[0, 0].figure)


def test_the_overlap_test_can_fail(table):
    figure = grn.pl.benchmark(table, networks="STRING", figsize=(5, 1.5))[0, 0].figure
    with pytest.raises(AssertionError, match="and"):
        assert_texts_are_free(figure)


@pytest.mark.parametrize("shape", ["all", "one panel"])
def test_means_hide_no_data_set_and_no_other_mean(drawn, shape):
    axes = drawn(shape)
    scale = 72 / axes[0, 0].figure.dpi
    for ax in axes.flat:
        large = np.array([ax.transData.transform(line.get_xydata()[0])[1] for line in means(ax).values()]) * scale
        small = np.concatenate([ax.transData.transform(g.get_offsets())[:, 1] for g in data_sets(ax).values()] or [[]])
        # radii of 2.2 and 1.25 points, and rows that stand apart
        assert np.abs(np.diff(np.sort(large))).min() > 5
        assert not small.size or np.abs(small[:, None] * scale - large[None]).min() > 2.2 + 1.25 - 0.3


def test_the_number_at_the_floor_is_clear_of_points_and_inside(table):
    for ax in grn.pl.benchmark(table, networks=["STRING", "Specific"]).flat:
        note = next(text for text in ax.texts if text.get_gid() == "floor value")
        assert float(note.get_text()) == pytest.approx(vertical(ax, "floor"), abs=0.005)
        box, frame = note.get_window_extent(), ax.get_window_extent()
        assert box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y1 <= frame.y1 + 1
        drawn = [line.get_window_extent() for line in means(ax).values()]
        assert not any(box.overlaps(other) for other in drawn)


def test_panels_and_rows_have_a_fixed_order(drawn):
    axes = drawn("all")
    assert axes.shape == (4, 2)
    titles = [ax.get_title(loc="left").replace("\n", " ") for ax in axes.flat]
    assert titles == [f"{network}, {protocol}" for network in NETWORKS for protocol in ("paper", "strict")]
    names = [tick.get_text() for tick in axes[0, 0].get_yticklabels()]
    assert names[:8] == "methods|pert|pert translator|attention|embedding|vvp|gradient trajectory|ensemble".split("|")
    assert names.index("ablations") == 8 and names.index("floors") == 16 and names[17] == "random" and len(names) == 28
    assert {ax.get_xlim() for ax in axes.flat} == {axes[0, 0].get_xlim()}
    colors = {to_hex(means(axes[0, 0])[name].get_markerfacecolor()) for name in ("vvp", "vvp_mean_cell", "random")}
    assert len(colors) == 3


def sizes_mm(figure):
    return 25.4 * figure.get_size_inches()


def fonts(figure):
    found = [text for ax in figure.axes for text in shown(ax)]
    found += [text for legend in figure.legends for text in legend.get_texts()]
    return {text.get_fontsize() for text in found if text.get_text().strip()}


def test_six_networks_and_25_methods_fit_a_page(page):
    figure = page[0, 0].figure
    width, height = sizes_mm(figure)
    assert page.shape == (6, 2) and width <= 170.1 and height <= 220
    assert min(fonts(figure)) >= 6
    assert_texts_are_free(figure)
    # networks side by side, the protocols below each other, methods named once a line
    left = [[round(ax.get_position().x0, 3) for ax in axes] for axes in page]
    assert all(one == other for one, other in left) and [line[0] for line in left] == sorted(line[0] for line in left)
    assert all(paper.get_position().y0 > strict.get_position().y1 for paper, strict in page)
    named = [[len(ax.get_yticklabels()) for ax in axes] for axes in page]
    assert named[0] == [28, 28] and not np.any(named[1:])


def test_rows_of_a_full_page_stand_apart_and_intervals_are_seen(page):
    scale = 72 / page[0, 0].figure.dpi
    for ax in page.flat:
        points = means(ax).values()
        heights = np.sort([ax.transData.transform(line.get_xydata()[0])[1] for line in points]) * scale
        assert np.diff(heights).min() > 7
        assert max(line.get_markersize() for line in points) < 4
    assert {ax.get_title(loc="right") for ax in page.flat} == {"7 sets", "mESC"}


def test_what_is_wider_than_a_page_goes_on_below():
    many = results(tuple("ABCDEFGHIJK"))
    axes = grn.pl.benchmark(many, protocols="paper", methods=["vvp", "pert", "random"])
    figure = axes[0, 0].figure
    assert axes.shape == (11, 1) and len(figure.axes) == 11 and sizes_mm(figure)[0] <= 170.1
    assert [ax.get_title(loc="left")[0] for ax in axes.flat] == list("ABCDEFGHIJK")
    lines = [round(ax.get_position().y0, 3) for ax in axes.flat]
    assert len(set(lines)) == 2 and lines == sorted(lines, reverse=True)
    # the last of a column of panels names its scale
    assert [bool(ax.get_xlabel()) for ax in axes.flat] == [False] * 5 + [True] * 6
    assert_texts_are_free(figure)


def test_long_names_take_more_lines():
    names = {"STRING": "bound and responding in sorted lines"}
    table = results().replace({"network": names}).assign(metric="auprc_direction")
    axes = grn.pl.benchmark(table, metric="auprc_direction", protocols="strict")
    titles = [ax.get_title(loc="left") for ax in axes.flat]
    assert "bound and\nresponding in sorted\nlines,\nstrict" in titles
    assert "\n" in axes[0, 0].get_xlabel()
    assert_texts_are_free(axes[0, 0].figure)


def test_rows_follow_the_table_of_the_paper():
    names = [*grn.bench.READINGS, "|correlation|", "degree", "random"]
    table = pd.DataFrame({"method": sorted(names), "test": "hHEP", "network": "STRING", "protocol": "paper"})
    ax = grn.pl.benchmark(table.assign(metric="auprc", value=0.5))[0, 0]
    found = [tick.get_text() for tick in ax.get_yticklabels()]
    plain = [name for name in found if name in ("random", "Pert", "Attn", "Emb", "VVP", "GDT", "Ens")]
    assert plain == ["random", "Pert", "Attn", "Emb", "VVP", "GDT", "Ens"]
    assert found.index("Attn (origin)") < found.index("Emb") and found[-2:] == ["degree", "|correlation|"]
    assert sorted(found[1:]) == sorted(names)


def test_figure_does_not_depend_on_the_order_of_rows(table, drawn):
    shuffled = drawn("one network")
    for a, b in zip(grn.pl.benchmark(table, networks="STRING").flat, shuffled.flat, strict=True):
        assert {k: v.get_xydata().tolist() for k, v in means(a).items()} == {
            k: v.get_xydata().tolist() for k, v in means(b).items()
        }
        assert list(data_sets(a)) == list(data_sets(b))


def test_lineages_count_once_and_intervals_shrink_with_units(table):
    ax = grn.pl.benchmark(table, networks="STRING", protocols="paper")[0, 0]
    mine = table[(table["network"] == "STRING") & (table["protocol"] == "paper") & (table["method"] == "vvp")]
    units = mine.groupby("unit")[["value", "low", "high", "floor"]].mean()
    assert len(units) == 5
    value = units["value"].mean()
    assert means(ax)["vvp"].get_xdata()[0] == pytest.approx(value)
    down, up = units["value"] - units["low"], units["high"] - units["value"]
    wanted = [value - np.sqrt((down**2).sum()) / 5, value + np.sqrt((up**2).sum()) / 5]
    np.testing.assert_allclose(interval(ax, "vvp"), wanted)
    assert vertical(ax, "floor") == pytest.approx(units["floor"].mean())
    assert vertical(ax, "chance") == 0.5
    assert ax.get_title(loc="right") == "7 data sets, 5 independent"


def test_every_data_set_has_its_mark(table):
    ax = grn.pl.benchmark(table, networks="STRING", protocols="paper", methods=["vvp", "random"])[0, 0]
    groups = data_sets(ax)
    assert set(groups) == set(UNITS)
    mine = table[(table["network"] == "STRING") & (table["protocol"] == "paper") & (table["test"] == "mDC")]
    wanted = mine.set_index("method").loc[["vvp", "random"], "value"]
    np.testing.assert_allclose(sorted(groups["mDC"].get_offsets()[:, 0]), sorted(wanted))
    assert len({group.get_paths()[0].vertices.tobytes() for group in groups.values()}) == 7


def test_published_numbers_are_averaged_where_they_exist(table):
    ax = grn.pl.benchmark(table, networks="STRING", protocols="paper")[0, 0]
    mine = table[(table["network"] == "STRING") & (table["protocol"] == "paper") & (table["method"] == "pert")]
    marks = {line.get_gid(): line.get_xdata()[0] for line in ax.lines if "published" in (line.get_gid() or "")}
    assert len(marks) == 7
    assert marks["published:pert"] == pytest.approx(mine["published"].mean())


def test_mean_of_fewer_data_sets_is_open(table):
    ax = grn.pl.benchmark(table, networks="STRING", protocols="paper")[0, 0]
    faces = {name: to_hex(line.get_markerfacecolor()) for name, line in means(ax).items()}
    assert [name for name, face in faces.items() if face == "#ffffff"] == ["correlation"]
    legend = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert "mean of fewer data sets" in legend and "mHSC-GM" in legend


def test_one_data_set_shows_the_values_of_the_table(table):
    ax = grn.pl.benchmark(table, networks="STRING", protocols="paper", tests="hHEP")[0, 0]
    chosen = (table["network"] == "STRING") & (table["protocol"] == "paper") & (table["test"] == "hHEP")
    row = table[chosen].set_index("method").loc["vvp"]
    assert means(ax)["vvp"].get_xdata()[0] == row["value"]
    np.testing.assert_array_equal(interval(ax, "vvp"), [row["low"], row["high"]])
    assert vertical(ax, "floor") == row["floor"]
    assert not data_sets(ax) and ax.get_title(loc="right") == "hHEP"


def test_only_six_columns_are_needed(table):
    bare = table[["method", "test", "network", "protocol", "metric", "value"]]
    ax = grn.pl.benchmark(bare, networks="STRING", protocols="paper")[0, 0]
    assert vertical(ax, "floor") is None and vertical(ax, "chance") is None and interval(ax, "vvp") is None
    assert len(means(ax)) == 25
    legend = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert legend[0] == "mean" and "published" not in " ".join(legend)
    assert_texts_are_free(ax.figure)


def test_intervals_that_are_missing_are_not_drawn(table):
    holes = table.copy()
    holes.loc[(holes["method"] == "vvp") & (holes["test"] == "mHSC-L"), ["low", "high"]] = np.nan
    holes.loc[holes["method"] == "ensemble", "value"] = np.nan
    ax = grn.pl.benchmark(holes, networks="STRING", protocols="paper")[0, 0]
    assert interval(ax, "vvp") is None and interval(ax, "pert") is not None
    assert "vvp" in means(ax) and "ensemble" not in means(ax)


def test_chance_depends_on_the_metric(table):
    for metric, chance in (("auroc", 0.5), ("auprc_ratio", 1.0), ("auprc_residual", 0.1), ("auprc_regulator", None)):
        other = table.assign(metric=metric, prevalence=0.1)
        axes = grn.pl.benchmark(other, metric=metric, networks="STRING", protocols="paper", methods="vvp")
        assert vertical(axes[0, 0], "chance") == chance


def test_backbones_are_named_when_there_are_several(table):
    both = pd.concat([table, table[table["kind"] == "method"].assign(backbone="other")])
    ax = grn.pl.benchmark(both, networks="STRING", protocols="paper", methods=["vvp", "random"])[0, 0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["methods", "vvp · mini", "vvp · other", "floors", "random"]


def test_a_panel_without_values_says_so(table):
    some = table[~((table["network"] == "Lofgof") & (table["protocol"] == "strict"))]
    axes = grn.pl.benchmark(some, networks=["Specific", "Lofgof"], methods=["vvp", "random"])
    assert [text.get_text() for text in axes[1, 1].texts] == ["no values"]


def test_a_row_without_values_says_so(table):
    axes = grn.pl.benchmark(table, networks=["STRING", "Lofgof"], protocols="paper")
    empty = [text for ax in axes[:, 0] for text in ax.texts if text.get_text() == "no value"]
    assert [text.get_gid() for text in empty] == ["none:correlation"] and empty[0].axes is axes[1, 0]
    row = axes[1, 0].get_yticks()[[t.get_text() for t in axes[0, 0].get_yticklabels()].index("correlation")]
    assert empty[0].get_position()[1] == row


def test_order_of_arguments_is_the_order_of_the_figure(table):
    axes = grn.pl.benchmark(table, networks=["Specific", "STRING"], protocols=["strict"], methods=["vvp", "pert"])
    assert [ax.get_title(loc="left") for ax in axes.flat] == ["Specific, strict", "STRING, strict"]
    assert [t.get_text() for t in axes[0, 0].get_yticklabels()] == ["methods", "vvp", "pert"]


@pytest.mark.parametrize("layout", ["constrained", None])
def test_given_axes_are_used(table, layout):
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout=layout)
    chosen = {"networks": "STRING", "methods": ["vvp", "random"]}
    found = grn.pl.benchmark(table, **chosen, ax=axes[:2])
    assert found.shape == (1, 2) and found[0, 0] is axes[0] and found[0, 1] is axes[1]
    assert plt.get_fignums() == [figure.number] and not axes[2].has_data()
    axes[2].remove()
    assert_texts_are_free(figure, inside=layout is not None)
    labels = [[t.get_text() for t in ax.get_yticklabels()] for ax in axes[:2]]
    assert labels[0] == ["methods", "vvp", "floors", "random"] and labels[1] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["vvp", "gradient_trajektory"]}, "Did you mean 'gradient_trajectory'"),
        ({"methods": "nothing like it"}, "it has 'random', 'pert'"),
        ({"networks": "STING"}, "'Lofgof'.*Did you mean 'STRING'"),
        ({"tests": "mHSC"}, "Did you mean 'mHSC-"),
        ({"protocols": []}, "paper, strict"),
        ({"metric": "auprcs"}, "Did you mean 'auprc'"),
        ({"networks": "Lofgof", "tests": "hHEP"}, "widen it"),
        ({"ax": 3}, "matplotlib Axes"),
        ({"ax": []}, "0 axes were passed for 4 networks x 2 protocols"),
        ({"figsize": (3, -1)}, "figsize"),
        ({"figsize": 3}, "figsize"),
    ],
)
def test_bad_choices_are_named(table, arguments, message):
    with pytest.raises(ParameterError, match=message):
        grn.pl.benchmark(table, **arguments)
    assert plt.get_fignums() == []


def test_bad_tables_are_named(table):
    with pytest.raises(ParameterError, match=r"'protocol'.*'protocols'"):
        grn.pl.benchmark(table.rename(columns={"protocol": "protocols"}))
    with pytest.raises(ParameterError, match="no rows"):
        grn.pl.benchmark(table.iloc[:0])
    with pytest.raises(ParameterError, match="is a dict"):
        grn.pl.benchmark({})
    with pytest.raises(ParameterError, match="'low' holds"):
        grn.pl.benchmark(table.assign(low="0.5"))
    with pytest.raises(ParameterError, match="kind='flor'"):
        grn.pl.benchmark(table.assign(kind="flor"))
    sizes = pd.concat([table, table.assign(size="1000")])
    with pytest.raises(ParameterError, match=r"differ in 'size' \(1000, 500\).*table\[table\['size'\] == '500'\]"):
        grn.pl.benchmark(sizes)
    with pytest.raises(ParameterError, match="drop_duplicates"):
        grn.pl.benchmark(pd.concat([table, table]))
    assert plt.get_fignums() == []


def test_pairs_of_different_families_are_drawn_apart():
    row = {"method": "vvp", "kind": "method", "test": "a", "network": "S", "protocol": "strict", "metric": "auprc"}
    table = pd.DataFrame([{**row, "pairs": "all", "value": 0.7}, {**row, "pairs": "different families", "value": 0.6}])
    titles = {"all": "S, strict", "different families": "S, strict, different families"}
    for pairs, value in zip(titles, (0.7, 0.6), strict=True):
        ax = grn.pl.benchmark(table, pairs=pairs)[0, 0]
        (point,) = [line for line in ax.get_lines() if line.get_gid() == "mean:vvp"]
        assert point.get_xdata().tolist() == [value] and ax.get_title(loc="left") == titles[pairs]
    with pytest.raises(ParameterError, match="different families"):
        grn.pl.benchmark(table, pairs="some")
