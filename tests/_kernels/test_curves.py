"""Shapes of curves with known answers, and smoothing that leaves out what is missing."""

import numpy as np

from grn._kernels.curves import curve_shapes, smoothed, strongest


def test_shapes_of_known_curves():
    times = np.linspace(2.0, 6.0, 401)
    step = (times >= 3.0).astype(float)
    line = 0.5 * (times - 2.0)
    bump = np.exp(-0.5 * ((times - 4.0) / 0.2) ** 2)
    flat = np.full_like(times, 1.3)
    shape = curve_shapes(np.stack([step, line, bump, flat]), times)
    np.testing.assert_allclose(shape.terminal, [1.0, 2.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(shape.switching[:2], [3.0, 4.0], atol=0.01)
    assert np.isnan(shape.switching[2:]).all() and np.isnan(shape.peak[3])
    np.testing.assert_allclose(shape.transient[1:], [0.0, 0.2 * np.sqrt(2 * np.pi) / 4.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(shape.peak[[0, 2]], [3.0, 4.0], atol=0.011)
    falling = curve_shapes(1.0 - step[None], times)
    np.testing.assert_allclose([falling.switching[0], falling.terminal[0]], [3.0, -1.0], atol=0.01)


def test_shapes_at_a_single_time_are_nothing():
    shape = curve_shapes(np.ones((2, 1)), np.array([3.0]))
    assert (shape.terminal == 0).all() and np.isnan(shape.switching).all()


def test_averages_leave_out_what_is_missing():
    distances = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0)))
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan], [5.0, np.nan]])
    got = smoothed(values, distances, 0.5)
    weight = np.exp(-0.5 * (distances[1] / 0.5) ** 2)
    np.testing.assert_allclose(got[1, 0], (weight[[0, 2, 3]] @ [1.0, 3.0, 5.0]) / weight[[0, 2, 3]].sum())
    assert np.isnan(got[:, 1]).all()


def test_the_strongest_share_of_every_row():
    values = np.array([[0.1, -5.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, 0.5]])
    np.testing.assert_array_equal(strongest(values, 0.5)[0], [False, True, True, False])
    assert not strongest(values, 0.5)[1].any()
    np.testing.assert_array_equal(strongest(values, 0.01)[2], [True, True, True, False])
