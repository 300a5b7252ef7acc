"""Do scores tell the direction of edges that are known one way only? Chance is one half."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grn._core.rng import child
from grn.bench.metrics import auprc
from grn.datasets.reference import Reference


def direction(
    reference: Reference,
    tables: Sequence[np.ndarray],
    one_way: tuple[np.ndarray, np.ndarray],
    *,
    n_boot: int,
    seed: int,
) -> tuple[float, np.ndarray]:
    """Share of one-way edges whose direction the score prefers, ties one half, and replicates for its interval.

    Regulators are drawn with replacement, an edge with both of its regulators: it counts as often as the product of
    both draws. The same regulators are drawn for every score, so that scores can be compared by replicates.

    Parameters
    ----------
    reference
        The test reference.
    tables
        Scores (regulators, genes), one table per seed.
    one_way
        Positions of sources and targets among the regulators (N,).
    n_boot, seed
        Number of replicates, and their seed.
    """
    nothing = np.full(n_boot, np.nan)
    if not len(one_way[0]):
        return float("nan"), nothing
    there, back = both_ways(reference, tables, one_way)
    differences = there - back
    right = np.where(np.isnan(differences), np.nan, (np.sign(differences) + 1) / 2)
    scored = ~np.isnan(right).all(axis=0)
    if not scored.any():
        return float("nan"), nothing
    share = np.nanmean(right[:, scored], axis=0)
    regulators, ends = np.unique(np.stack(one_way)[:, scored], return_inverse=True)
    first, second = ends.reshape(2, -1)
    # of all regulators, so that scores that know fewer pairs are drawn alike
    everyone = np.unique(np.stack(one_way))
    even = np.full(len(everyone), 1 / len(everyone))
    times = child(seed, "direction").multinomial(len(everyone), even, size=n_boot)[:, np.isin(everyone, regulators)]
    weights = times[:, first] * times[:, second]  # (B, N)
    total = weights.sum(axis=1)
    replicates = np.divide(weights @ share, total, out=nothing, where=total > 0)
    return float(share.mean()), replicates


def direction_auprc(
    reference: Reference, tables: Sequence[np.ndarray], one_way: tuple[np.ndarray, np.ndarray]
) -> float:
    """AUPRC of one-way edges against their reverses, all in one list; chance is one half, and so is a symmetric score.

    Pairs that lack a score in a table are left out of its list. NaN where no table has a pair.
    """
    areas: dict[int, float] = {}
    for table in tables:
        if id(table) not in areas:
            there, back = both_ways(reference, [table], one_way)[:, 0]
            known = ~np.isnan(there + back)
            labels = np.repeat([1, 0], known.sum())
            scores = np.concatenate([there[known], back[known]])
            areas[id(table)] = auprc(labels, scores) if len(labels) else float("nan")
    values = [areas[id(table)] for table in tables if not np.isnan(areas[id(table)])]
    return float(np.mean(values)) if values else float("nan")


def both_ways(reference: Reference, tables: Sequence[np.ndarray], one_way: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Scores of one-way edges, and of their reverses: (2, tables, N)."""
    rows, columns = one_way
    inside = np.searchsorted(reference.genes, reference.regulators)
    there = [table[rows, inside[columns]] for table in tables]
    back = [table[columns, inside[rows]] for table in tables]
    return np.stack([np.stack(there), np.stack(back)]).astype(np.float64)
