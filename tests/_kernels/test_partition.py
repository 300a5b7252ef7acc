"""Points divided into compact parts."""

import numpy as np
import pytest

from grn._kernels.partition import partition


@pytest.fixture(scope="module")
def points():
    random = np.random.default_rng(0)
    return random.normal(size=(5, 6))[random.integers(5, size=9000)] * 8 + random.normal(size=(9000, 6))


def test_parts_are_compact_and_of_about_the_size_asked_for(points):
    parts = partition(points, 40)
    sizes = np.bincount(parts)
    assert 9000 / 40 * 0.7 < len(sizes) < 9000 / 40 * 1.3
    assert sizes.min() >= 40 / 3 and sizes.max() < 3 * 40

    def spread(codes):
        means = np.stack([np.bincount(codes, weights=column) for column in points.T], axis=1) / sizes[:, None]
        return np.square(points - means[codes]).sum()

    random = np.random.default_rng(1).permutation(parts)
    assert spread(parts) < 0.02 * spread(random)
    # clouds that lie apart are not put together
    cloud = np.unique(np.round(points / 8), axis=0, return_inverse=True)[1]
    assert len(np.unique(cloud)) >= 5


def test_parts_are_numbered_as_they_occur_and_do_not_depend_on_the_sign_of_a_coordinate(points):
    parts = partition(points, 100)
    assert (np.diff(np.unique(parts, return_index=True)[1]) > 0).all()
    np.testing.assert_array_equal(partition(points * np.array([1, -1, 1, 1, -1, 1]), 100), parts)


def test_few_and_identical_points():
    np.testing.assert_array_equal(partition(np.zeros((5, 2)), 10), 0)
    sizes = np.bincount(partition(np.zeros((100, 2)), 10))
    assert sizes.sum() == 100 and len(sizes) == 10 and sizes.max() == 10
    assert partition(np.arange(4.0)[:, None], 1).tolist() == [0, 1, 2, 3]
