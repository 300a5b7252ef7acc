"""pl.degree_bias: its correlations, its medians, that it can be read, that it answers bad input."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import grn
from grn._core.errors import ParameterError


def pairs(*, regulators=60, targets=200, bias=0.0, signal=0.0, seed=0) -> pd.DataFrame:
    """Edges of hubs, as many random non-edges, and scores that follow hubs (``bias``) or labels (``signal``)."""
    rng = np.random.default_rng(seed)
    out, into = rng.lognormal(0, 1.3, regulators), rng.lognormal(0, 1, targets)
    chance = np.clip(0.04 * np.outer(out / out.mean(), into / into.mean()), 0, 0.9)
    edge = rng.random(chance.shape) < chance
    positive, negative = np.argwhere(edge), np.argwhere(~edge)
    negative = negative[rng.choice(len(negative), len(positive), replace=False)]
    ends = np.concatenate([positive, negative])
    label = np.repeat([1, 0], len(positive))
    score = bias * (np.log(out)[ends[:, 0]] + np.log(into)[ends[:, 1]]) + signal * label + rng.normal(size=len(ends))
    names = [(f"TF{i}", f"G{j}") for i, j in ends]
    return pd.DataFrame(names, columns=["source", "target"]).assign(label=label, score=score)


def written(ax) -> dict[str, float]:
    """Correlations as the figure gives them."""
    found = {}
    for text in ax.get_legend().get_texts():
        name, _, number = text.get_text().partition(": ρ = ")
        found[name] = float(number.replace("−", "-")) if number != "undefined" else float("nan")
    return found


def points(ax) -> np.ndarray:
    return np.asarray(next(group for group in ax.collections if group.get_gid() == "genes").get_offsets())


def medians(ax, which="all") -> np.ndarray:
    return next(line for line in ax.lines if line.get_gid() == f"medians:{which}").get_xydata()


@pytest.mark.parametrize(("role", "column"), [("regulator", "source"), ("target", "target")])
def test_points_and_correlations_are_those_of_the_table(role, column):
    table = pairs(bias=1)
    ax = grn.pl.degree_bias(table, roles=role)[0]
    ranked = table.assign(rank=(table["score"].rank() - 1) / (len(table) - 1))
    degree, rank = ranked.groupby(column)["label"].sum(), ranked.groupby(column)["rank"].mean()
    np.testing.assert_allclose(sorted(points(ax).tolist()), sorted(np.column_stack([degree, rank]).tolist()))
    pure = ranked[ranked["label"] == 0].groupby(column)["rank"].mean()
    assert written(ax) == {
        "all pairs": round(spearmanr(degree, rank)[0], 2),
        "negatives only": round(spearmanr(degree[pure.index], pure)[0], 2),
    }
    assert ax.get_title(loc="left") == f"{len(degree)} {role}s"


def test_negatives_tell_bias_from_a_good_score():
    biased, good = (written(grn.pl.degree_bias(pairs(**how))[0]) for how in ({"bias": 2}, {"signal": 2}))
    assert biased["all pairs"] > 0.8 and good["all pairs"] > 0.8
    assert biased["negatives only"] > 0.8
    assert abs(good["negatives only"]) < 0.3


def test_a_score_without_information_has_no_bias():
    for ax in grn.pl.degree_bias(pairs(regulators=120, targets=400)):
        assert abs(written(ax)["all pairs"]) < 0.25
        assert abs(written(ax)["negatives only"]) < 0.25


def test_medians_cover_all_genes_and_follow_them():
    table = pairs(regulators=200, bias=2)
    ax = grn.pl.degree_bias(table, n_bins=6)[0]
    found = medians(ax)
    assert 3 <= len(found) <= 6
    assert (np.diff(found[:, 0]) > 0).all() and (np.diff(found[:, 1]) > 0).all()
    one = medians(grn.pl.degree_bias(table, n_bins=1)[0])
    np.testing.assert_allclose(one, np.median(points(ax), axis=0)[None])


def test_few_degrees_have_a_linear_scale_and_hubs_a_logarithmic_one():
    hubs = pairs(regulators=5, targets=300)
    wide, narrow = grn.pl.degree_bias(hubs)
    assert wide.get_xscale() == "symlog" and narrow.get_xscale() == "linear"
    assert points(wide)[:, 0].max() >= 30 > points(narrow)[:, 0].max()
    for ax in (wide, narrow):
        low, high = ax.get_xlim()
        assert low < points(ax)[:, 0].min() and high > points(ax)[:, 0].max()


def test_figure_does_not_depend_on_the_order_of_pairs():
    table = pairs(bias=1)
    one, two = grn.pl.degree_bias(table), grn.pl.degree_bias(table.sample(frac=1, random_state=1))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(points(a), points(b))
        np.testing.assert_array_equal(medians(a, "negatives"), medians(b, "negatives"))
        assert written(a) == written(b)


def test_only_ranks_count():
    table = pairs(bias=1)
    assert written(grn.pl.degree_bias(table)[1]) == written(
        grn.pl.degree_bias(table.assign(score=np.exp(table["score"])))[1]
    )


def test_what_does_not_vary_has_no_correlation():
    flat = pairs().assign(score=1.0)
    found = written(grn.pl.degree_bias(flat)[0])
    assert np.isnan(found["all pairs"]) and np.isnan(found["negatives only"])
    positive = pairs(bias=1).query("label == 1")
    ax = grn.pl.degree_bias(positive)[0]
    assert np.isnan(written(ax)["negatives only"]) and np.isfinite(written(ax)["all pairs"])
    single = pd.DataFrame({"source": ["A"], "target": ["B"], "label": [True], "score": [1.0]})
    assert grn.pl.degree_bias(single)[0].get_title(loc="left") == "1 regulator"


@pytest.mark.parametrize("how", [{"bias": 2}, {"regulators": 8, "targets": 40, "bias": 1}, {"targets": 3000}], ids=str)
def test_no_text_touches_another_or_is_clipped(how):
    axes = grn.pl.degree_bias(pairs(**how))
    figure = axes[0].figure
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(89)
    figure.canvas.draw()
    boxes = []
    for ax in axes:
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        ticks = [t for t in ax.get_xticklabels() if left <= t.get_position()[0] <= right]
        ticks += [t for t in ax.get_yticklabels() if bottom <= t.get_position()[1] <= top]
        own = [*ticks, *ax.get_legend().get_texts(), ax.xaxis.label, ax.yaxis.label]
        own += [t for t in ax.get_children() if isinstance(t, mpl.text.Text)]
        boxes += [(t.get_text(), t.get_window_extent()) for t in own if t.get_text().strip()]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        assert not a.padded(-0.25).overlaps(b.padded(-0.25)), f"{one!r} and {two!r}"
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height, name


def test_given_axes_are_used():
    figure, axes = plt.subplots(2, 2, layout="constrained")
    found = grn.pl.degree_bias(pairs(), roles=["target", "regulator"], ax=axes[1])
    assert list(found) == list(axes[1]) and not axes[0, 0].has_data()
    assert [ax.get_xlabel() for ax in found] == ["in-degree of the target", "out-degree of the regulator"]
    assert plt.get_fignums() == [figure.number]


def test_bad_input_is_named():
    table = pairs()
    bad = {
        "is a list": ([], {}),
        "'label'.*'labels'": (table.rename(columns={"label": "labels"}), {}),
        "'score' holds": (table.assign(score="high"), {}),
        "'label' holds 2": (table.assign(label=2), {}),
        f"{len(table)} of {len(table)} scores": (table.assign(score=np.inf), {}),
        "1 of": (table.assign(score=table["score"].where(table.index != 3)), {}),
        "3 pairs occur again": (pd.concat([table, table.iloc[:3]]), {}),
        r"of 2 kinds \(uniform, wide\).*'uniform'\]": (
            pd.concat([table.assign(negatives=kind) for kind in ("uniform", "wide")]),
            {},
        ),
        "No pair is labelled 1": (table.assign(label=0), {}),
        "roles='regulators'.*'regulator'": (table, {"roles": "regulators"}),
        r"roles=\[\]": (table, {"roles": []}),
        "n_bins=0": (table, {"n_bins": 0}),
        "for 2 roles": (table, {"ax": plt.figure().subplots()}),
    }
    plt.close("all")
    for message, (scores, arguments) in bad.items():
        with pytest.raises(ParameterError, match=message):
            grn.pl.degree_bias(scores, **arguments)
    with pytest.raises(ParameterError, match="No pair is labelled 1"):
        grn.pl.degree_bias(table.iloc[:0])
    assert plt.get_fignums() == []
