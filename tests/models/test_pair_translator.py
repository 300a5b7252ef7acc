"""The one-line translator: a logistic regression, its file and its refusals."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.optimize import minimize

import grn
from grn.errors import CapabilityError, ParameterError, WeightsError, WeightsNotFoundError
from grn.models.pair_translator import NAMES, PairTranslator, embedded, fitted


@pytest.fixture(scope="module")
def mini():
    return grn.models.load("mini")


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(3.0, 2.0, 200), "b": rng.normal(size=200), "constant": np.ones(200)}
    labels = (rng.random(200) < 1 / (1 + np.exp(-(table["a"] - 3)))).astype(float)
    return table, labels, rng.uniform(0.5, 2.0, 200)


def made(pairs, mini, penalty=0.01):
    table, labels, weights = pairs
    return fitted("t", table, labels, weights=weights, penalty=penalty, background="unknown", model=mini, seen="labels")


def test_it_is_the_minimum_of_the_penalised_loss(pairs, mini):
    table, labels, weights = pairs
    w = weights / weights.sum()
    X = np.stack(list(table.values()), axis=1)
    mean = w @ X
    spread = np.sqrt(w @ (X - mean) ** 2)
    Z = (X - mean) / np.where(spread > 1e-6, spread, 1)

    def loss(beta):
        logits = Z @ beta[:-1] + beta[-1]
        return w @ (np.logaddexp(0, logits) - labels * logits) + 0.005 * beta[:-1] @ beta[:-1]

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    translator = made(pairs, mini)
    np.testing.assert_allclose([*translator.coefficients, translator.intercept], best, atol=1e-5)
    np.testing.assert_allclose(translator.logits(table), Z @ best[:-1] + best[-1], atol=1e-4)
    np.testing.assert_allclose(translator.probability(table), 1 / (1 + np.exp(-translator.logits(table))), atol=1e-12)


def test_the_order_of_pairs_does_not_matter(pairs, mini):
    table, labels, weights = pairs
    order = np.random.default_rng(1).permutation(len(labels))
    other = ({name: column[order] for name, column in table.items()}, labels[order], weights[order])
    np.testing.assert_allclose(made(other, mini).coefficients, made(pairs, mini).coefficients, atol=1e-8)


def test_nan_stays_nan_and_a_missing_column_is_named(pairs, mini):
    translator, table = made(pairs, mini), dict(pairs[0])
    table["a"] = np.where(np.arange(200) < 3, np.nan, table["a"])
    assert np.isnan(translator.probability(table)).sum() == 3
    with pytest.raises(ParameterError, match="b is missing"):
        translator.logits({"a": table["a"], "constant": table["constant"]})


def test_strong_responses_do_not_tie(mini):
    translator = embedded(mini, "cells")
    steps = {column: np.linspace(5, 12, 50) for column in translator.columns}
    assert len(np.unique(translator.probability(steps).astype(np.float32))) == 50


def test_round_trip(pairs, mini, tmp_path):
    translator = made(pairs, mini)
    again = PairTranslator.load(translator.save(tmp_path / "t.json"))
    assert again == translator
    assert again.sha256 == translator.sha256
    assert dataclasses.replace(again, intercept=9.0).sha256 != again.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "grn.translator/1"}, "expected the format"),
        ({"mean": [0.0]}, "other numbers of coefficients"),
        ({"columns": []}, "other numbers of coefficients"),
        ({"intercept": "much"}, "'intercept' is"),
        ({"coefficients": [float("nan"), 0.0, 0.0]}, "coefficients"),
        ({"more": 1}, "does not describe"),
    ],
)
def test_other_files_are_refused(pairs, mini, tmp_path, change, message):
    path = made(pairs, mini).save(tmp_path / "t.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WeightsError, match=message):
        PairTranslator.load(path)


def test_no_file(tmp_path):
    with pytest.raises(WeightsNotFoundError, match="no file"):
        PairTranslator.load(tmp_path / "none.json")


def test_shipped_ones_belong_to_mini(mini):
    assert [embedded(mini, name).name for name in NAMES] == list(NAMES)
    assert "promoter motifs" in embedded(mini, "universal").seen
    assert "promoter motifs" not in embedded(mini, "cells").seen
    with pytest.raises(ParameterError, match="translator"):
        embedded(mini, "string")
    with pytest.raises(CapabilityError, match="no translator 'cells' is shipped"):
        embedded(grn.models.untrained("scgpt", genes=["A", "B"]), "cells")
