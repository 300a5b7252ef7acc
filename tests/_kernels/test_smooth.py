"""Neighbours, balanced neighbours, averaging weights, metacells and components."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from grn._kernels import neighbours, smooth


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(120, 4))


def test_nearest_are_the_nearest_others(monkeypatch, points):
    monkeypatch.setattr(neighbours, "QUERIES", 50)
    found = smooth.nearest(points, 7)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    np.testing.assert_array_equal(found, distance.argsort(axis=1)[:, :7])
    np.testing.assert_array_equal(smooth.nearest(points, 7, np.array([5, 3])), found[[5, 3]])


def test_identical_points_never_list_themselves():
    found = smooth.nearest(np.zeros((6, 2)), 3)
    assert found.shape == (6, 3)
    assert all(cell not in row and len(set(row)) == 3 for cell, row in enumerate(found))


def by_hand(near, k, limit):
    """The greedy rule, one cell after the other."""
    chosen, used = {}, np.zeros(len(near), dtype=int)
    listed = np.bincount(near.ravel(), minlength=len(near))
    for cell in sorted(range(len(near)), key=lambda c: (-listed[c], -c)):
        chosen[cell] = []
        for other in near[cell]:
            if len(chosen[cell]) < k and used[other] < limit:
                chosen[cell].append(int(other))
                used[other] += 1
    return chosen


def test_balanced_follows_the_greedy_rule(points):
    near = smooth.nearest(points, 40)
    found = smooth.balanced(near, 5, 6)
    expected = by_hand(near, 5, 6)
    assert all([int(c) for c in row if c != cell] == expected[cell] for cell, row in enumerate(found))
    assert np.bincount(found[found != np.arange(120)[:, None]]).max() <= 6
    plain = np.bincount(smooth.nearest(points, 5).ravel())
    assert plain.max() > 6


def test_cells_without_free_neighbours_stand_for_themselves(points):
    near = smooth.nearest(points, 5)
    found = smooth.balanced(near, 5, 3)
    own = found == np.arange(120)[:, None]
    assert own.any()
    weights = smooth.averaging(found)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    counts = np.diff(weights.indptr)
    np.testing.assert_array_equal(counts, 1 + (~own).sum(axis=1))
    np.testing.assert_allclose(weights.diagonal(), 1.0 / counts, rtol=1e-6)


def test_names_and_not_positions_order_equals(points):
    names = np.array([f"c{i:03d}" for i in range(120)])
    near = smooth.nearest(points, 30)
    expected = smooth.averaging(smooth.balanced(near, 5, 6, names)).toarray()
    order = np.random.default_rng(1).permutation(120)
    again = smooth.nearest(points[order], 30)
    found = smooth.averaging(smooth.balanced(again, 5, 6, names[order])).toarray()
    np.testing.assert_allclose(found, expected[np.ix_(order, order)])


def test_metacells_average_the_nearest_cells_of_their_anchors(points):
    anchors = np.array([10, 99])
    weights = smooth.metacells(points, anchors, 5)
    assert weights.shape == (2, 120)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    near = smooth.nearest(points, 4, anchors)
    for row, anchor, others in zip(weights.toarray(), anchors, near, strict=True):
        assert set(np.flatnonzero(row)) == {anchor, *others}
    alone = smooth.metacells(points, anchors, 1)
    np.testing.assert_array_equal(alone.indices, anchors)


def test_components_are_those_of_pca_whatever_the_block(monkeypatch, points):
    wide = points @ np.random.default_rng(2).normal(size=(4, 9)) + 3.0
    expected = PCA(n_components=3).fit_transform(wide)
    for block in (4096, 50):
        monkeypatch.setattr(smooth, "BLOCK", block)
        found = smooth.principal(lambda cells: wide[cells], np.arange(120), np.arange(9), 3)
        np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-8, atol=1e-8)
