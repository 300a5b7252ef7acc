"""Nearest points, exactly and region by region, and the order in which a graph is read fastest."""

import numba
import numpy as np
import pytest
from scipy import sparse

from grn._kernels import neighbours
from grn._kernels.neighbours import nearest, nearly_nearest, reading_order


@pytest.fixture(scope="module")
def cells():
    """Types that overlap, in noise of full dimension: what principal components of cells look like."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(6, 20))
    return centres[random.integers(6, size=1500)] + 0.6 * random.normal(size=(1500, 20))


def recall(found, expected):
    shared = [len(set(one) & set(two)) for one, two in zip(found, expected, strict=True)]
    return np.mean(shared) / expected.shape[1]


@pytest.mark.slow  # pynndescent compiles itself
def test_nearly_all_neighbours_are_found_nearest_first_and_without_the_point(cells):
    expected = nearest(cells, 60)
    found = nearly_nearest(cells, 60)
    assert found.shape == (1500, 60) and found.dtype == np.int32
    assert recall(found, expected) > 0.97
    distance = np.linalg.norm(cells[found] - cells[:, None], axis=2)
    assert (np.diff(distance, axis=1) >= -1e-6).all() and (distance > 0).all()
    assert all(len(set(row)) == 60 for row in found)


@pytest.mark.parametrize("copies", [2, 40])
def test_equally_far_points_come_by_position_however_coordinates_are_rounded(cells, copies):
    """More copies of a point than are looked at beyond those asked for, and coordinates turned by rounding."""
    few = np.repeat(cells[:6, :3], copies, axis=0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    far = np.linalg.norm(few[:, None] - few[None], axis=2).round(6)
    np.fill_diagonal(far, np.inf)
    expected = np.argsort(far, axis=1, kind="stable")[:, : copies + 2]
    for points in (few, few @ turn, few * 3.7 + 1e-10 * np.random.default_rng(2).normal(size=few.shape)):
        np.testing.assert_array_equal(nearest(points, copies + 2), expected)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 8, 9])
def test_few_points_find_as_many_as_asked_for(cells, k):
    found = nearly_nearest(cells[:10], k)
    np.testing.assert_array_equal(found, nearest(cells[:10], k))


@pytest.mark.slow  # pynndescent compiles itself
def test_identical_points_have_neighbours_too():
    points = np.concatenate([np.zeros((200, 3)), np.ones((50, 3))])
    found = nearly_nearest(points, 10)
    assert all(cell not in row and len(set(row)) == 10 for cell, row in enumerate(found))


@pytest.mark.slow  # pynndescent compiles itself
def test_the_size_of_a_look_and_the_number_of_threads_change_nothing(monkeypatch, cells):
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        expected = nearly_nearest(cells, 40)
        numba.set_num_threads(before)
        monkeypatch.setattr(neighbours, "QUERIES", 301)
        np.testing.assert_array_equal(nearly_nearest(cells, 40), expected)
    finally:
        numba.set_num_threads(before)


def test_rows_that_share_neighbours_are_read_together(cells):
    order = np.random.default_rng(1).permutation(1500)
    near = nearest(cells[order], 60)
    graph = sparse.csr_matrix((np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, 60)), shape=(1500, 1500))

    def needed(rows):
        return np.mean([len(np.unique(graph[part].indices)) for part in np.split(rows, 15)])

    found = reading_order(graph)
    np.testing.assert_array_equal(np.sort(found), np.arange(1500))
    assert needed(found) < 0.6 * needed(np.arange(1500))
