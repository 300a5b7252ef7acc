"""Which of two genes answers the other: the part of a matrix of responses that its transpose does not share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# a pair has a direction if one way is at least so many times as strong as the other
RATIO = 2.0
# correlation of the two ways above which a model answers both alike, whatever its outliers
ALIKE = 0.98
# fewest genes among which noise can be told from a difference
FEWEST = 20
_ROUNDING = 1e-5
_STEPS = 10


@dataclass(frozen=True)
class Asymmetry:
    """What the responses of genes to each other say about direction.

    Parameters
    ----------
    stronger
        Pairs (n, n) of a source and a target where the target answers the source clearly more than the other way.
    share
        Part of the sum of squares of the centred responses that is antisymmetric: 0 if all pairs answer each other
        alike, .5 if the two ways have nothing in common; NaN where there are too few pairs.
    correlation
        Correlation of the centred responses with those of the other way.
    noise
        Difference between the two ways that noise explains; NaN where nothing is compared.
    pairs
        Number of unordered pairs with both responses.
    """

    stronger: np.ndarray
    share: float
    correlation: float
    noise: float
    pairs: int


def asymmetry(response: np.ndarray) -> Asymmetry:
    r"""Compare the response of every pair of genes with that of the other way.

    Responses are double-centred, so that genes which move or are moved more than others say nothing. A factor of each
    gene is divided out too, half the median over its partners of the logarithm of given over taken response: a louder
    gene is no regulator. With :math:`B` what is left, :math:`\sigma` = 1.4826 times the median
    :math:`|B_{ij} - B_{ji}|` over N pairs, the way from i to j is the stronger one if

    .. math:: |B_{ij}| - |B_{ji}| > \sigma \sqrt{2 \ln N}, \quad |B_{ij}| \ge 2 |B_{ji}|
        \quad\text{and}\quad |B_{ij}| > \mathrm{rms}(B),

    the largest difference that Gaussian noise leaves among N pairs, a clear one, and one of a pair that responds at
    all: differences have heavy tails, and twice next to nothing is nothing. Where most pairs differ, the differences
    count as noise and nothing is told; nor is it where the two ways correlate above .98.

    Parameters
    ----------
    response
        Responses (n, n), row source, column target; the diagonal is left aside, NaN stands for no response.
    """
    values = np.array(response, dtype=np.float64)
    n = len(values)
    np.fill_diagonal(values, np.nan)
    values[np.isnan(values.T)] = np.nan  # both ways or none
    first, second = np.nonzero(np.triu(~np.isnan(values), 1))
    nothing = Asymmetry(np.zeros((n, n), dtype=bool), float("nan"), float("nan"), float("nan"), len(first))
    if n < FEWEST or len(first) < FEWEST * (FEWEST - 1) // 2:
        return nothing
    centred = _centred(values, np.zeros(n))
    size = np.sqrt(np.nanmean(centred**2))
    if size <= _ROUNDING * np.nanmax(np.abs(values)):
        return nothing
    there, back = centred[first, second], centred[second, first]
    share = float(((there - back) ** 2).sum() / 2 / (there**2 + back**2).sum())
    correlation = float(np.corrcoef(np.append(there, back), np.append(back, there))[0, 1])
    if correlation > ALIKE:
        return replace(nothing, share=share, correlation=correlation)
    level = _level(values)
    noise = 1.4826 * float(np.median(np.abs(level[first, second] - level[second, first])))
    typical = float(np.sqrt(np.nanmean(level**2)))
    noise = max(noise, _ROUNDING * typical)
    strength = np.nan_to_num(np.abs(level))
    limit = noise * np.sqrt(2 * np.log(len(first)))
    stronger = (strength - strength.T > limit) & (strength >= RATIO * strength.T) & (strength > typical)
    return Asymmetry(stronger, share, correlation, limit, len(first))


def _level(values: np.ndarray) -> np.ndarray:
    """Centred responses of genes that are as loud as sources as they are as targets (n, n)."""
    gain = np.zeros(len(values))
    level = _centred(values, gain)
    for _ in range(_STEPS):
        step = _gains(level)
        if np.abs(step).max() < 1e-4:
            break
        gain += step
        level = _centred(values, gain)
    return level


def _centred(values: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Responses divided by the gains of their genes, without what is the same for all targets or for all sources.

    Such means became multiples of the gains, and of their inverses; both are left out of sources and of targets alike,
    so that a symmetric matrix stays symmetric. Without gains this is double-centring.
    """
    there = ~np.isnan(values)
    scaled = np.where(there, values * np.exp(gain[None, :] - gain[:, None]), 0.0)
    basis = np.stack([np.cosh(gain), np.sinh(gain)], axis=1)  # (n, 2)
    left, sizes, _ = np.linalg.svd(basis, full_matrices=False)
    axes = left[:, sizes > 1e-9 * sizes[0]]
    means = np.zeros_like(scaled)
    scale = np.abs(scaled).max(initial=0.0)
    for _ in range(100):
        # what is missing is as its gene has it on average
        filled = np.where(there, scaled, means)
        rest = filled - axes @ (axes.T @ filled)
        rest -= (rest @ axes) @ axes.T
        moved = float(np.abs((filled - rest - means)[~there]).max(initial=0.0))
        means = filled - rest
        if moved <= 1e-7 * scale:
            break
    return np.where(there, scaled - means, np.nan)


def _gains(centred: np.ndarray) -> np.ndarray:
    """Half the logarithm of how much louder a gene is as a source than as a target, by the median of its pairs (n,)."""
    size = np.abs(centred)
    usable = (size > 0) & (size.T > 0)  # not NaN either
    logs = np.log(np.where(usable, size, 1.0))
    # the missing last: a median of rows of different length
    ratio = np.sort(np.where(usable, logs - logs.T, np.inf), axis=1)
    count = usable.sum(axis=1)
    rows = np.arange(len(size))
    middle = (ratio[rows, np.maximum(count - 1, 0) // 2] + ratio[rows, np.minimum(count // 2, len(size) - 1)]) / 2
    return np.where(count > 0, middle, 0.0) / 2
