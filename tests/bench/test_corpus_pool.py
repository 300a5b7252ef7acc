"""Scores of pairs within one set: scale, node effects, ties of identical genes."""

import numpy as np
import pytest

from grn.bench._corpus_pool import pair_scores


def test_rows_sum_to_zero_on_unit_scale():
    z = pair_scores(np.random.default_rng(0).normal(size=(30, 12)))
    off = ~np.eye(12, dtype=bool)
    assert np.allclose(z.sum(axis=0), 0, atol=1e-5)
    assert np.isclose(np.sqrt(np.mean(z[off] ** 2)), 1, atol=1e-6)


def test_blocks_do_not_matter(monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 12))
    whole = pair_scores(X)
    monkeypatch.setattr("grn.bench._corpus_pool._BLOCK", 5)
    assert np.array_equal(pair_scores(X), whole)


def test_a_hub_has_no_advantage():
    """Sharing one factor with everything is a node effect: it goes, the planted pair stays."""
    random = np.random.default_rng(0)
    shared, pair = random.normal(size=(2000, 1)), random.normal(size=(2000, 1))
    X = random.normal(size=(2000, 20))
    X[:, :5] += shared * np.array([[3.0, 0.3, 0.3, 0.3, 0.3]])
    X[:, [10, 11]] += pair
    z = pair_scores(X)
    assert z[10, 11] == z.max() and abs(z[0, 1:].mean()) < 1e-5


def test_copies_of_a_gene_stay_finite():
    X = np.random.default_rng(0).normal(size=(30, 6))
    z = pair_scores(np.column_stack([X, X[:, 0], -X[:, 1]]))
    assert np.isfinite(z).all() and np.isclose(z[0, 6], z.max(), atol=1)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_genes_say_nothing(n):
    assert pair_scores(np.random.default_rng(0).normal(size=(30, n))) is None


def test_no_spread_says_nothing():
    x = np.random.default_rng(0).normal(size=(30, 1))
    assert pair_scores(np.repeat(x, 6, axis=1)) is None
