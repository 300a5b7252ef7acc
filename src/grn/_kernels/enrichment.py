"""Whether a set lies at the top of a ranking: pre-ranked gene set enrichment, with one null per size of a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# entries of one block of random sets
_AT_ONCE = 2**20


class Enrichment(NamedTuple):
    """What is known of a set in a ranking.

    Parameters
    ----------
    score
        Largest deviation of the running sum from 0, with its sign.
    normalised
        The score divided by the mean size of scores of the same sign of random sets of the same size; NaN without any.
    pval
        Share of these that are at least as large.
    leading
        Number of places, from the top, up to the largest deviation: members of the set there are its leading edge.
    """

    score: float
    normalised: float
    pval: float
    leading: int


class Ranking:
    r"""A ranking in which sets are looked for (Subramanian et al. 2005).

    With the places :math:`p_1 < \dots < p_k` of a set among N items of strength s, the running sum just behind member i
    is :math:`\sum_{j \le i} s_{p_j} / \sum_j s_{p_j} - (p_i - i) / (N - k)`; the score is where it is farthest from 0.

    Parameters
    ----------
    strength
        Strengths (N,) that are not negative, falling.
    draw
        Gives random sets (B, k) of k places among N, sorted, as ``draw(N, k)``.
    """

    def __init__(self, strength: np.ndarray, draw: Callable[[int, int], np.ndarray]) -> None:
        self._strength = np.asarray(strength, dtype=np.float64)
        self._draw = draw
        self._null: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._strength)

    def enrichment(self, places: np.ndarray) -> Enrichment:
        """Look for a set (k,) of places from 0, sorted; one that is empty or everything has no score."""
        k, n = len(places), len(self)
        if not 0 < k < n:
            return Enrichment(np.nan, np.nan, np.nan, 0)
        high, low, peak = deviations(self._strength, places[None])
        score = float(high[0] if high[0] > -low[0] else low[0])
        leading = int(places[peak[0]]) + 1
        null = self.null(k)
        same = null[null >= 0] if score >= 0 else null[null < 0]
        mean = abs(float(same.mean())) if len(same) else 0.0
        if mean == 0:
            return Enrichment(score, np.nan, np.nan, leading)
        beyond = (same >= score) if score >= 0 else (same <= score)
        return Enrichment(score, score / mean, float(beyond.mean()), leading)

    def null(self, k: int) -> np.ndarray:
        """Scores (B,) of random sets of k members; drawn once."""
        if k not in self._null:
            sets = self._draw(len(self), k)
            step = max(1, _AT_ONCE // k)
            scores = []
            for start in range(0, len(sets), step):
                high, low, _ = deviations(self._strength, sets[start : start + step])
                scores.append(np.where(high > -low, high, low))
            self._null[k] = np.concatenate(scores)
        return self._null[k]


def deviations(strength: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Largest and smallest value of the running sums of sets, and the member at which each is largest.

    Parameters
    ----------
    strength
        Strengths (N,), falling.
    places
        Sets (B, k) of sorted places, 0 < k < N.

    Returns
    -------
    ndarray, ndarray, ndarray
        Each (B,). Cost: B k, whatever N is.
    """
    n, k = len(strength), places.shape[1]
    gained = np.cumsum(strength[places], axis=1)  # (B, k)
    total = gained[:, -1:]
    # members without any strength count alike
    even = np.broadcast_to(np.arange(1, k + 1) / k, gained.shape)
    gained = np.divide(gained, total, out=even.copy(), where=total > 0)
    missed = (places - np.arange(k)) / (n - k)
    behind = gained - missed
    before = np.concatenate([np.zeros((len(places), 1)), gained[:, :-1]], axis=1) - missed
    return behind.max(axis=1), np.minimum(before.min(axis=1), 0.0), behind.argmax(axis=1)


def random_sets(n: int, k: int, times: int, random: np.random.Generator) -> np.ndarray:
    """Sets (times, k) of k places among n, sorted; all sets are equally likely. Cost: times n."""
    step = max(1, _AT_ONCE // n)
    blocks = [
        np.argpartition(random.random((min(step, times - start), n)), k - 1, axis=1)[:, :k]
        for start in range(0, times, step)
    ]
    return np.sort(np.concatenate(blocks), axis=1)
