"""Which transcription factors have a motif in which regions: from hits of motifs to hits of their factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse


@dataclass(frozen=True, eq=False)
class FactorHits:
    """Regions with a motif of a factor, sorted by factor and region, each pair once.

    Parameters
    ----------
    factors
        Symbols (F,), sorted.
    factor, region, motif
        Position of the factor, row of the region and column of its best motif there (N,).
    score
        Score of that motif in bits (N,).
    """

    factors: np.ndarray
    factor: np.ndarray
    region: np.ndarray
    motif: np.ndarray
    score: np.ndarray


def factor_hits(best: sparse.spmatrix, motifs: Sequence[str], factors: pd.DataFrame) -> FactorHits:
    """Take the best motif of every factor in every region; of equal ones the first by name.

    Parameters
    ----------
    best
        Scores (R, M), nothing where there is no hit.
    motifs
        Names (M,).
    factors
        ``motif`` and ``factor``, one row per pair.
    """
    by_motif = sparse.csc_matrix(best)
    column = {str(name): position for position, name in enumerate(motifs)}
    columns_of: dict[str, list[str]] = {}
    for motif, factor in factors[["motif", "factor"]].astype(str).itertuples(index=False):
        if motif in column:
            columns_of.setdefault(factor, []).append(motif)
    names = sorted(columns_of)
    parts = [_of_factor(by_motif, [column[motif] for motif in sorted(set(columns_of[name]))]) for name in names]
    region, motif, score = (
        np.concatenate([part[k] for part in parts]) if parts else np.zeros(0, dtype=dtype)
        for k, dtype in enumerate((np.int64, np.int64, np.float64))
    )
    factor = np.repeat(np.arange(len(names)), [len(part[0]) for part in parts])
    return FactorHits(np.array(names, dtype=object), factor, region, motif, score)


def _of_factor(best: sparse.csc_matrix, columns: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Region, motif and score of every region that has one of some motifs, which are in the order of their names."""
    spans = [slice(best.indptr[column], best.indptr[column + 1]) for column in columns]
    region = np.concatenate([best.indices[span] for span in spans]).astype(np.int64)
    score = np.concatenate([best.data[span] for span in spans]).astype(np.float64)
    motif = np.repeat(columns, [span.stop - span.start for span in spans])
    order = np.lexsort([-score, region])  # stable: of equal scores the first name stays first
    order = order[np.diff(region[order], prepend=-1) != 0]
    return region[order], motif[order], score[order]
