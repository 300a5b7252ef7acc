"""Specificity against scipy's distance."""

import numpy as np
from scipy.spatial.distance import jensenshannon

from grn._kernels.specificity import specificity


def test_specificity_is_one_minus_the_distance_of_scipy():
    random = np.random.default_rng(0)
    scores, codes = random.random((60, 7)) * (random.random((60, 7)) < 0.6), random.integers(-1, 3, 60)
    table = specificity(scores, codes, 3)
    inside = codes >= 0
    for group in range(3):
        for column in range(7):
            distance = jensenshannon(scores[inside, column], codes[inside] == group)
            np.testing.assert_allclose(table[group, column], 1 - distance, atol=1e-12)


def test_a_score_of_one_group_alone_is_wholly_specific():
    codes = np.repeat([0, 1], 5)
    table = specificity((codes == 0)[:, None].astype(float), codes, 3)
    np.testing.assert_allclose(table[:2, 0], [1.0, 1 - np.sqrt(np.log(2))])
    assert np.isnan(table[2, 0])


def test_nothing_is_told_of_zeros():
    assert np.isnan(specificity(np.zeros((4, 1)), np.array([0, 0, 1, 1]), 2)).all()
