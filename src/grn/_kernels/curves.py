"""Curves over points of a tree: smoothing along it, and four numbers that describe a curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grn._kernels.trajectory import around


class Shape(NamedTuple):
    """What K curves look like, each (K,).

    Parameters
    ----------
    terminal
        Last value less the first.
    transient
        Mean of the curve less that of the straight line from the first to the last value.
    switching
        Time at which a single step from the first to the last value would leave the same mean; NaN where these are
        equal, and kept within the times.
    peak
        Time at which the curve is farthest from the straight line.
    """

    terminal: np.ndarray
    transient: np.ndarray
    switching: np.ndarray
    peak: np.ndarray


def curve_shapes(values: np.ndarray, times: np.ndarray) -> Shape:
    """Four numbers of curves (K, W) at rising times (W,), by the trapezoidal rule."""
    span = times[-1] - times[0]
    if not span > 0:
        nothing = np.full(len(values), np.nan)
        return Shape(np.zeros(len(values)), np.zeros(len(values)), nothing, nothing)
    first, last = values[:, 0], values[:, -1]
    share = (times - times[0]) / span
    line = first[:, None] + (last - first)[:, None] * share
    mean = np.trapezoid(values, times, axis=1) / span
    change = last - first
    flat = np.abs(change) <= 1e-12 * np.maximum(1.0, np.abs(values).max(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        late = np.clip((last - mean) / change, 0.0, 1.0)
    switching = np.where(flat, np.nan, times[0] + late * span)
    away = values - line
    peak = np.where(np.abs(away).max(axis=1) > 0, times[np.abs(away).argmax(axis=1)], np.nan)
    return Shape(np.where(flat, 0.0, change), mean - 0.5 * (first + last), switching, peak)


def smoothed(values: np.ndarray, distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """Gaussian averages of curves (W, K) over points at ``distances`` (W, W) from each other; NaN is left out.

    Where no point has a value the average is NaN.
    """
    there = np.isfinite(values)
    known, total = (around(part, distances, bandwidth) for part in (there, np.where(there, values, 0.0)))
    averages: np.ndarray = np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)
    return averages


def strongest(values: np.ndarray, share: float) -> np.ndarray:
    """Which entries of every row (W, K) are among the largest in size: a share of all columns, at least one; not 0."""
    size = np.abs(np.nan_to_num(values))
    n = max(1, round(share * values.shape[1]))
    least = np.partition(size, values.shape[1] - n, axis=1)[:, values.shape[1] - n]
    chosen: np.ndarray = (size >= least[:, None]) & (size > 0)
    return chosen
