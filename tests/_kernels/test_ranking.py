"""Figures of a ranking against all orders of its ties, scikit-learn, loops over groups and actual repetition."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from grn._kernels import ranking

FIGURES = (ranking.average_precision, ranking.auroc, ranking.early_precision)

tied = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 1), min_size=n, max_size=n), st.lists(st.integers(0, 2), min_size=n, max_size=n)
    )
)


def in_order(y):
    """The three figures of labels in one strict order, from their definitions."""
    hits = np.cumsum(y)
    P, N = int(y.sum()), int(len(y) - y.sum())
    precision = np.mean([hits[k] / (k + 1) for k in np.flatnonzero(y)]) if P else np.nan
    wins = sum(N - (k + 1 - hits[k]) for k in np.flatnonzero(y))
    return precision, wins / (P * N) if P * N else np.nan, hits[P - 1] / P if P else np.nan


def over_all_orders(y, s):
    """Means over every order that the scores allow."""
    blocks = [[y[i] for i in np.flatnonzero(s == value)] for value in sorted(set(s.tolist()), reverse=True)]
    orders = [np.concatenate(parts) for parts in product(*(list(permutations(block)) for block in blocks))]
    return np.mean([in_order(order) for order in orders], axis=0)


def figures(y, s, groups=None):
    ranked = ranking.rank(np.asarray(y), np.asarray(s, dtype=float), groups)
    return np.array([figure(ranked) for figure in FIGURES])


@given(tied)
@settings(max_examples=150, deadline=None)
def test_ties_count_as_the_mean_over_all_their_orders(drawn):
    y, s = map(np.array, drawn)
    assert figures(y, s)[:, 0] == pytest.approx(over_all_orders(y, s), abs=1e-12, nan_ok=True)


@given(st.integers(2, 60), st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_without_ties_it_is_scikit_learn(n, seed):
    random = np.random.default_rng(seed)
    y, s = random.integers(0, 2, n), random.permutation(n) - n / 2
    y[:2] = 0, 1
    area, curve, early = figures(y, s)[:, 0]
    assert area == pytest.approx(average_precision_score(y, s), abs=1e-12)
    assert curve == pytest.approx(roc_auc_score(y, s), abs=1e-12)
    assert early == pytest.approx(y[np.argsort(-s)][: y.sum()].mean(), abs=1e-12)


@given(st.integers(2, 40), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_area_under_the_curve_is_scikit_learn_with_ties_too(n, seed):
    random = np.random.default_rng(seed)
    y, s = random.integers(0, 2, n), random.integers(0, 4, n)
    y[:2] = 0, 1
    assert figures(y, s)[1, 0] == pytest.approx(roc_auc_score(y, s), abs=1e-12)


@given(st.integers(1, 60), st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_groups_are_a_loop_over_groups(n, seed):
    random = np.random.default_rng(seed)
    y, s, g = random.integers(0, 2, n), random.integers(0, 5, n), random.integers(-3, 4, n)
    loop = np.concatenate([figures(y[g == k], s[g == k]) for k in np.unique(g)], axis=1)
    np.testing.assert_allclose(figures(y, s, g), loop, atol=1e-12)
    positives, items = ranking.sizes(ranking.rank(y, s, g))
    assert positives.tolist() == [y[g == k].sum() for k in np.unique(g)]
    assert items.tolist() == [(g == k).sum() for k in np.unique(g)]


@given(st.integers(1, 40), st.integers(0, 10**6), st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_a_draw_is_repetition(n, seed, values):
    """Whole rankings of repeated items, with ties and without, and draws without any positive."""
    random = np.random.default_rng(seed)
    y, s = random.integers(0, 2, n), random.integers(0, values, n)
    times = random.integers(0, 4, (5, n))
    times[0] = 0
    areas = ranking.resampled_precision(ranking.rank(y, s), times[:, np.argsort(-s, kind="stable")])
    expected = [np.nan, *(figures(np.repeat(y, t), np.repeat(s, t))[0, 0] for t in times[1:] if t.any())]
    np.testing.assert_allclose(areas[[True, *times[1:].any(axis=1)]], expected, rtol=1e-11)


def test_copies_are_tied_though_the_items_were_not(monkeypatch):
    monkeypatch.setattr(ranking, "_AT_ONCE", 2)  # a draw at a time
    labels, scores = np.array([1, 0]), np.array([2.0, 1.0])
    ahead = ranking.resampled_precision(ranking.rank(labels, scores), np.array([[1, 2], [1, 1], [2, 0]]))
    assert ahead.tolist() == [1, 1, 1]
    behind = ranking.resampled_precision(ranking.rank(labels, -scores), np.array([[1, 2], [1, 0]]))
    assert behind == pytest.approx([(1 / 2 + 2 / 3) / 2, np.nan], nan_ok=True)


@given(tied, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_only_the_order_of_scores_counts_and_never_that_of_items(drawn, seed):
    y, s = map(np.array, drawn)
    order = np.random.default_rng(seed).permutation(len(y))
    expected = figures(y, s)
    np.testing.assert_allclose(figures(y[order], s[order]), expected, atol=1e-12)
    np.testing.assert_allclose(figures(y, np.exp(s) * 1e-300), expected, atol=1e-12)
    assert figures(y, -s)[1] == pytest.approx(1 - expected[1], nan_ok=True)


def test_classes_that_are_missing():
    none, all_ = figures([0, 0, 0], [1, 2, 2])[:, 0], figures([1, 1, 1], [1, 2, 2])[:, 0]
    assert np.isnan(none).all()
    assert all_[0] == all_[2] == 1 and np.isnan(all_[1])


def test_zero_has_no_sign_and_the_smallest_numbers_differ():
    assert figures([1, 0], [0.0, -0.0])[0] == 0.75
    assert figures([1, 0], [5e-324, 0.0])[0] == 1
    assert figures([0, 1], [1.0, np.nextafter(1.0, 2)])[0] == 1


def test_all_tied_is_early_precision_at_the_prevalence():
    y = np.array([1, 0, 0, 1, 0])
    area, curve, early = figures(y, np.zeros(5))[:, 0]
    assert curve == 0.5 and early == pytest.approx(0.4) and area == pytest.approx(over_all_orders(y, np.zeros(5))[0])


@pytest.mark.slow
def test_a_million_pairs_with_and_without_ties():
    random = np.random.default_rng(0)
    y = (random.random(10**6) < 0.05).astype(np.int8)
    s = random.normal(size=10**6) + 0.5 * y
    g = random.integers(0, 2000, 10**6)
    assert figures(y, s)[:2, 0] == pytest.approx([average_precision_score(y, s), roc_auc_score(y, s)], abs=1e-10)
    coarse = np.round(s)
    first = np.flatnonzero(g == 7)
    grouped = figures(y, coarse, g)
    assert grouped.shape == (3, 2000)
    np.testing.assert_allclose(grouped[:, 7], figures(y[first], coarse[first])[:, 0], atol=1e-12)
    lots = [average_precision_score(y, coarse + 1e-6 * random.random(10**6)) for _ in range(3)]
    assert figures(y, coarse)[0, 0] == pytest.approx(np.mean(lots), abs=2e-3)
