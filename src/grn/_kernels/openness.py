"""In which groups of cells regions are open more often than in the others: G-tests of numbers of cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special, stats

# regions in work at a time
_AT_ONCE = 1 << 20


class Contrast(NamedTuple):
    """Groups against the others (G, R): log2 of the ratio of their rates, signed root of G, p-value."""

    log2fc: np.ndarray
    score: np.ndarray
    pval: np.ndarray


def contrast(counts: np.ndarray) -> Contrast:
    r"""Compare the rate of every group with that of all others.

    Under the null hypothesis the cells in which a region is open fall on a group as all open regions of all cells do,
    so that the depth of cells cancels. With k of K on the group, which has a share p of all,

    .. math:: G = 2\Big(k \ln\frac{k}{pK} + (K - k) \ln\frac{K - k}{(1 - p) K}\Big),

    which follows a chi-squared distribution of one degree. Half a cell is added to both sides of the ratio.

    Parameters
    ----------
    counts
        Open cells by group (G, R).
    """
    share = counts.sum(axis=1, keepdims=True) / max(counts.sum(), 1.0)  # (G, 1)
    result = Contrast(*(np.zeros_like(counts) for _ in range(3)))
    step = max(1, _AT_ONCE // len(counts))
    for first in range(0, counts.shape[1], step):
        part = slice(first, first + step)
        mine = counts[:, part]
        total = mine.sum(axis=0)
        other, expected = total - mine, share * total
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log2((mine + 0.5) / share) - np.log2((other + 0.5) / (1 - share))
        deviance = 2 * (_times_log(mine, expected) + _times_log(other, total - expected))
        result.log2fc[:, part] = np.where(np.isfinite(ratio), ratio, 0)
        result.score[:, part] = np.sign(mine - expected) * np.sqrt(np.maximum(deviance, 0))
        result.pval[:, part] = stats.chi2.sf(np.maximum(deviance, 0), 1)
    return result


def _times_log(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    safe = np.where(expected > 0, expected, 1.0)
    values: np.ndarray = special.xlogy(seen, seen / safe)
    return values
