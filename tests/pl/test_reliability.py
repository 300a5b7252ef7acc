"""pl.reliability: the points of the table, several tables, and that it can be read."""

import itertools

import numpy as np
import pandas as pd
import pytest

import grn
from grn._core.errors import ParameterError


def pairs(*, sure=1.0, n=1500) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 1.5, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    return pd.DataFrame(
        {"source": rng.choice(list("ABCDEFGH"), n), "label": label, "probability": 1 / (1 + np.exp(-sure * logit))}
    )


def line(ax, name="") -> np.ndarray:
    return next(drawn for drawn in ax.lines if drawn.get_gid() == f"reliability:{name}").get_xydata()


def test_points_are_those_of_the_table():
    table = grn.bench.reliability(pairs(), n_bins=6)
    ax = grn.pl.reliability(pairs(), n_bins=6)
    np.testing.assert_allclose(line(ax), table[["probability", "share"]])
    gap = np.average((table["share"] - table["probability"]).abs(), weights=table["n"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"{gap:.3f} off on average"]


def test_several_tables_have_a_line_each():
    ax = grn.pl.reliability({"right": pairs(), "too sure": pairs(sure=3.0)}, palette={"right": "black"})
    assert line(ax, "right")[-1, 1] == pytest.approx(line(ax, "right")[-1, 0], abs=0.06)
    assert line(ax, "too sure")[-1, 1] < line(ax, "too sure")[-1, 0] - 0.05
    assert [text.get_text().partition(":")[0] for text in ax.get_legend().get_texts()] == ["right", "too sure"]


def test_intervals_are_drawn_unless_there_are_none():
    def bars(n_boot):
        return len(grn.pl.reliability(pairs(), n_boot=n_boot).collections)

    assert (bars(50), bars(0)) == (1, 0)


def test_no_text_touches_another():
    ax = grn.pl.reliability({f"translator {i}, test sets": pairs(sure=1 + i / 2) for i in range(4)})
    figure = ax.figure
    figure.canvas.draw()
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), *ax.get_legend().get_texts(), ax.xaxis.label, ax.yaxis.label]
    boxes = [text.get_window_extent() for text in texts if text.get_text().strip()]
    for a, b in itertools.combinations(boxes, 2):
        assert not a.padded(-0.25).overlaps(b.padded(-0.25))


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "is a list"), ({}, "is empty"), ({"a": pd.DataFrame({"label": [1]})}, "no column 'source'")],
)
def test_bad_input_is_named(given, message):
    with pytest.raises(ParameterError, match=message):
        grn.pl.reliability(given)
