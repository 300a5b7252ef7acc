"""Public metrics: agreement with scikit-learn and brute force, groups, and what is refused."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from grn.bench import metrics
from grn.errors import ParameterError

PUBLIC = (metrics.auprc, metrics.auroc, metrics.early_precision)


@given(st.integers(2, 50), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_scikit_learn_without_ties(n, seed):
    random = np.random.default_rng(seed)
    y, s = random.integers(0, 2, n), random.normal(size=n)
    y[:2] = 0, 1
    assert metrics.auprc(y, s) == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert metrics.auroc(y, s) == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert metrics.early_precision(y, s) == pytest.approx(y[np.argsort(-s)[: y.sum()]].mean())


@pytest.mark.parametrize("y", [[1, 0], [1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 0, 1]])
def test_all_permutations_of_a_table_that_is_one_tie(y):
    s = np.ones(len(y))
    orders = list(permutations(y))
    assert metrics.auprc(y, s) == pytest.approx(np.mean([metrics.auprc(o, -np.arange(len(y))) for o in orders]))
    assert metrics.auroc(y, s) == 0.5
    assert metrics.early_precision(y, s) == pytest.approx(np.mean(y))
    n, positives = len(y), sum(y)
    harmonic = sum(1 / k for k in range(1, n + 1))
    said = (positives - 1) / (n - 1) + (n - positives) * harmonic / (n * (n - 1))
    assert metrics.auprc(y, s) == pytest.approx(said), "as the documentation says"


@given(st.integers(2, 60), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_within_groups_is_a_loop(n, seed):
    random = np.random.default_rng(seed)
    y, s = random.integers(0, 2, n), random.integers(0, 4, n)
    y[:2] = 0, 1
    names = random.choice(["MYC", "SPI1", "GATA1", "myc"], n)
    found = metrics.auprc_within(y, s, groups=names)
    for name, value in zip(np.unique(names), found, strict=True):
        mine = names == name
        if 0 < y[mine].sum() < mine.sum():
            assert value == pytest.approx(metrics.auprc(y[mine], s[mine]))
        else:
            assert np.isnan(value)


def test_a_random_score_has_the_prevalence():
    random = np.random.default_rng(0)
    y = (np.arange(400) < 80).astype(int)
    draws = np.array([[measure(y, random.random(400)) for measure in PUBLIC] for _ in range(200)])
    assert draws.mean(axis=0) == pytest.approx([0.2, 0.5, 0.2], abs=0.012)


def test_perfect_and_worst():
    y, s = np.array([1, 1, 0, 0, 0]), np.array([5, 4, 3, 2, 1])
    assert [measure(y, s) for measure in PUBLIC] == [1, 1, 1]
    assert [measure(y, -s) for measure in PUBLIC] == pytest.approx([(1 / 4 + 2 / 5) / 2, 0, 0])


@pytest.mark.parametrize("kind", [list, tuple, pd.Series, np.float32, "bool", "categories"])
def test_kinds_of_input(kind):
    y, s = [1, 0, 1, 0], [4, 3, 2, 1]
    make = {np.float32: lambda v: np.array(v, dtype=np.float32)}.get(kind, kind)
    labels = np.array(y, dtype=bool) if isinstance(kind, str) else make(y)
    scores = s if isinstance(kind, str) else make(s)
    assert metrics.auprc(labels, scores) == pytest.approx(5 / 6)
    groups = pd.Series(["B", "B", "A", "A"])
    found = metrics.auprc_within(labels, scores, groups=groups.astype("category") if kind == "categories" else groups)
    assert found.tolist() == [1, 1]


def test_unsigned_scores_are_not_wrapped_around():
    assert metrics.auroc(np.array([1, 0], dtype=np.uint8), np.array([200, 0], dtype=np.uint8)) == 1


@pytest.mark.parametrize("measure", PUBLIC)
@pytest.mark.parametrize(
    ("labels", "scores", "match"),
    [
        ([1, 0, 1], [1, 2], r"labels have shape \(3,\), scores \(2,\)"),
        ([[1], [0]], [[1], [2]], "two lists of the same length"),
        (1, 2, "two lists of the same length"),
        ([1, 2], [1, 2], "other values than 0 and 1"),
        ([1, np.nan], [1, 2], "other values than 0 and 1"),
        (["1", "0"], [1, 2], "other values than 0 and 1"),
        ([1, 1, 1], [1, 2, 3], "all 3 labels are of one class"),
        ([0, 0], [1, 2], "all 2 labels are of one class"),
        ([], [], "all 0 labels are of one class"),
        ([1, 0], [1, np.nan], "1 of 2 scores are NaN or infinite"),
        ([1, 0], [np.inf, -np.inf], "2 of 2 scores are NaN or infinite"),
        ([1, 0], ["a", "b"], "scores are no numbers"),
        ([1, 0], [1, None], "NaN"),
        ([1, 0], [[1, 2], [3]], "scores are no numbers"),
    ],
)
def test_bad_input(measure, labels, scores, match):
    with pytest.raises(ParameterError, match=match):
        measure(labels, scores)
    with pytest.raises(ParameterError, match=match):
        metrics.auprc_within(labels, scores, groups=labels)


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        (["A"], "one per pair"),
        ([["A"], ["B"]], "one per pair"),
        ("A", "one per pair"),
        ([None, "A"], "cannot be sorted"),
    ],
)
def test_bad_groups(groups, match):
    with pytest.raises(ParameterError, match=match):
        metrics.auprc_within([1, 0], [1, 2], groups=groups)


@pytest.mark.slow
def test_a_million_pairs():
    random = np.random.default_rng(0)
    y, s = (random.random(10**6) < 0.02).astype(int), np.round(random.normal(size=10**6), 2)
    assert metrics.auprc(y, s) == pytest.approx(y.mean(), rel=0.02)
    assert metrics.auroc(y, s) == pytest.approx(roc_auc_score(y, s))
    assert metrics.early_precision(y, s) == pytest.approx(y.mean(), rel=0.2)
    assert len(metrics.auprc_within(y, s, groups=random.integers(0, 500, 10**6))) == 500
