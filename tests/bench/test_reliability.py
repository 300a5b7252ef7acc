"""bench.reliability: shares of edges by probability, their intervals, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.errors import ParameterError


def drawn(*, n=4000, regulators=40, sure=1.0, seed=0) -> pd.DataFrame:
    """Pairs whose labels follow probabilities; ``sure`` times their logits are told."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, n)
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    source = [f"TF{i}" for i in rng.integers(regulators, size=n)]
    return pd.DataFrame({"source": source, "label": label, "probability": 1 / (1 + np.exp(-sure * logit))})


def test_shares_are_those_of_equally_many_pairs():
    pairs = drawn()
    table = grn.bench.reliability(pairs, n_bins=8)
    assert table["n"].tolist() == [500] * 8
    ordered = pairs.sort_values("probability")
    np.testing.assert_allclose(table["share"], ordered["label"].to_numpy().reshape(8, 500).mean(axis=1))
    np.testing.assert_allclose(table["probability"], ordered["probability"].to_numpy().reshape(8, 500).mean(axis=1))
    assert ((table["low"] < table["share"]) & (table["share"] < table["high"])).all()


def test_intervals_cover_probabilities_that_are_right_and_not_those_that_are_too_sure():
    def covered(sure):
        table = grn.bench.reliability(drawn(n=20000, sure=sure))
        return int(((table["low"] <= table["probability"]) & (table["probability"] <= table["high"])).sum())

    assert covered(1.0) >= 8
    assert covered(3.0) <= 3
    table = grn.bench.reliability(drawn(n=20000, sure=3.0))
    assert table["share"].iloc[-1] < table["probability"].iloc[-1]
    assert table["share"].iloc[0] > table["probability"].iloc[0]


def test_intervals_are_over_regulators():
    pairs = drawn(n=2000)
    clones = pd.concat([pairs] * 5)
    one, five = (
        grn.bench.reliability(table)["high"] - grn.bench.reliability(table)["low"] for table in (pairs, clones)
    )
    np.testing.assert_allclose(five, one, atol=1e-12)


def test_equal_probabilities_stay_together():
    pairs = drawn(n=1000)
    pairs["probability"] = pairs["probability"].round(1)
    table = grn.bench.reliability(pairs, n_bins=500)
    assert set(table["probability"].round(6)) == set(pairs["probability"].round(6))
    assert table["n"].sum() == 1000
    flat = grn.bench.reliability(pairs.assign(probability=0.5))
    assert flat["n"].tolist() == [1000] and flat["share"].iloc[0] == pairs["label"].mean()


def test_the_order_of_pairs_does_not_matter():
    pairs = drawn()
    pd.testing.assert_frame_equal(grn.bench.reliability(pairs), grn.bench.reliability(pairs.sample(frac=1)), rtol=0)


def test_without_replicates_there_is_no_interval():
    table = grn.bench.reliability(drawn(), n_boot=0)
    assert table[["low", "high"]].isna().all().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="source"), "no column 'source'"),
        (lambda t: t.assign(probability=t["probability"] * 2), "are no probabilities"),
        (lambda t: t.assign(probability=np.nan), "NaN or infinite"),
        (lambda t: t.assign(label=1), "of one class"),
        (lambda t: t.assign(label=2), "other values than 0 and 1"),
        (lambda t: t.to_dict(), "is a dict"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ParameterError, match=message):
        grn.bench.reliability(change(drawn(n=100)))
