"""Granger causality between all genes of a few series at once: does the past of one say more than the own past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import log_ndtr

# what the original adds to p before it takes the logarithm
FLOOR = 1e-25
# share of the spread of a source that has to be left beside the own past of the target
_SPREAD = 1e-12


def granger(series: Sequence[np.ndarray], *, memory: int = 64 * 2**20) -> np.ndarray:
    r"""Evidence -ln p (G, G), row = source, column = target, of the chi-squared test with lag one.

    The target at t is explained by itself at t - 1 (residual sum of squares :math:`R_0`), then by the source at t - 1
    too (:math:`R_1`). With n steps, :math:`n (R_0 - R_1) / R_1` is compared with chi-squared with one degree of
    freedom. Of several series the steps are stacked, and each has an intercept of its own.

    Parameters
    ----------
    series
        Values over equal steps (T, G), one array per series; T of at least 3.
    memory
        Bytes that a block of targets may take.

    Returns
    -------
    ndarray
        float64; 0 on the diagonal, of constant genes, and where a source is a copy of the target.
    """
    past = np.concatenate([values[:-1] - values[:-1].mean(axis=0) for values in map(_double, series)])  # (n, G)
    now = np.concatenate([values[1:] - values[1:].mean(axis=0) for values in map(_double, series)])
    n, n_genes = past.shape
    spread = np.einsum("ng,ng->g", past, past)
    evidence = np.zeros((n_genes, n_genes))
    for block in _blocks(n_genes, max(1, memory // (24 * n * n_genes))):
        statistic = _statistic(past, now[:, block], past[:, block], spread, spread[block])  # (b, G)
        evidence[:, block] = -log_p(statistic).T
    np.fill_diagonal(evidence, 0.0)
    return evidence


def log_p(statistic: np.ndarray) -> np.ndarray:
    """Logarithm of p of chi-squared with one degree of freedom, also where p is too small for a number."""
    p: np.ndarray = np.minimum(np.log(2.0) + log_ndtr(-np.sqrt(statistic)), 0.0)
    return p


def floored(evidence: np.ndarray) -> np.ndarray:
    """Evidence with the floor of the original, -ln(p + 1e-25): at most 57.6."""
    floored: np.ndarray = -np.logaddexp(-evidence, np.log(FLOOR))
    return floored


def _statistic(
    past: np.ndarray, now: np.ndarray, before: np.ndarray, spread: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Statistic (b, G) of b targets (n, b), now and before, given the spread of all sources (G,) and their own (b,).

    Residuals are written out, as differences of sums of squares are lost in rounding where a series is smooth.
    """
    n = len(past)
    scale = np.where(own > 0, own, 1.0)
    rest = now - before * (np.einsum("nb,nb->b", now, before) / scale)  # (n, b): what the own past leaves
    sources = past - before.T[:, :, None] * ((before.T @ past) / scale[:, None])[:, None]  # (b, n, G)
    left = np.einsum("bng,bng->bg", sources, sources)
    usable = left > _SPREAD * spread
    slope = np.einsum("nb,bng->bg", rest, sources) / np.where(usable, left, 1.0)
    first = np.einsum("nb,nb->b", rest, rest)
    usable &= (first > _SPREAD * np.einsum("nb,nb->b", now, now))[:, None]
    sources *= -slope[:, None]
    sources += rest.T[:, :, None]  # what both leave
    second = np.einsum("bng,bng->bg", sources, sources)
    gain: np.ndarray = np.square(slope) * left  # R0 - R1
    statistic: np.ndarray = np.zeros_like(gain)
    np.divide(n * gain, second, out=statistic, where=usable & (second > 0))
    return statistic


def _blocks(n: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))


def _double(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
