"""Which regions a regulator binds: cistromes that were given, or motif hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import ParameterError, RegionError
from grn._core.logging import hint, some
from grn._object.chromatin import Chromatin
from grn._object.cistromes import cistrome_table

EVIDENCE = ("direct", "extended")


@dataclass(frozen=True)
class Bound:
    """Regions by regulator.

    Parameters
    ----------
    cistromes
        By evidence, regions (R, S) that a regulator binds.
    score
        How well its motif fits there (R, S); ``None`` where nothing is known.
    """

    cistromes: Mapping[str, sparse.csc_array]
    score: sparse.csc_array | None

    def table(self, regions: np.ndarray, sources: np.ndarray) -> pd.DataFrame:
        """Rows ``source, region, extended``, by source and region."""
        parts = [pd.DataFrame({"s": np.zeros(0, dtype=int), "r": np.zeros(0, dtype=int), "extended": False})]
        for evidence, matrix in self.cistromes.items():
            at = matrix.tocoo()
            parts.append(pd.DataFrame({"s": at.col, "r": at.row, "extended": evidence == "extended"}))
        rows = pd.concat(parts, ignore_index=True)
        names = {"source": sources[rows["s"]].astype(str), "region": regions[rows["r"]].astype(str)}
        table = pd.DataFrame({**names, "extended": rows["extended"]})
        table = table.sort_values(["source", "extended", "region"], ignore_index=True)
        return table.astype({"source": "category", "region": "category"})


def bound_regions(
    chromatin: Chromatin, sources: np.ndarray, *, cistromes: str | pd.DataFrame | None, motifs: str | None
) -> Bound:
    """Cistromes of some regulators.

    Parameters
    ----------
    chromatin
        Regions.
    sources
        Names of the regulators (S,).
    cistromes
        Table ``source, region`` and, if there are two kinds, ``extended``; ``score`` where motifs are ranked. A key of
        stored cistromes. ``None`` takes motif hits, as direct evidence.
    motifs
        Key of the motif hits; ``None``, without cistromes, for no evidence of binding at all.
    """
    if cistromes is None and motifs is None:
        return Bound({}, None)
    if isinstance(cistromes, str):
        cistromes = cistrome_table(chromatin.regions.atac, cistromes)
    table = _of_motifs(chromatin, str(motifs)) if cistromes is None else _checked(cistromes, chromatin)
    column = pd.Index(sources).get_indexer(table["source"].astype(str))
    row = chromatin.places_of(table["region"])
    there = (column >= 0) & (row >= 0)
    if not there.any():
        raise RegionError(
            "no regulator of the object has a region: cistromes are of "
            f"{some(table['source'].astype(str).unique(), 3)}, regulators are {some(sources, 3)}. "
            "Pass sources=, or motifs of factors that are in the object."
        )
    bare = len(sources) - len(np.unique(column[there]))
    if bare:
        hint("%d of %d regulators have no region and get no eRegulon", bare, len(sources))
    shape = (len(chromatin.names), len(sources))
    # of a pair of which nothing is said the evidence is direct, as in annotations of motifs
    extended = table["extended"].isin([True]).to_numpy() if "extended" in table else np.zeros(len(table), dtype=bool)
    matrices = {}
    for evidence, kind in zip(EVIDENCE, (~extended, extended), strict=True):
        chosen = there & kind
        if chosen.any():
            ones = np.ones(int(chosen.sum()), dtype=bool)
            matrices[evidence] = sparse.csc_array((ones, (row[chosen], column[chosen])), shape=shape)
    return Bound(matrices, _scores(table, row, column, there, shape))


def _scores(
    table: pd.DataFrame, row: np.ndarray, column: np.ndarray, there: np.ndarray, shape: tuple[int, int]
) -> sparse.csc_array | None:
    """The best score of a regulator in a region; the lowest where it is missing."""
    if "score" not in table:
        return None
    score = pd.to_numeric(table["score"], errors="coerce").to_numpy(dtype=float)
    wrong = int(((np.isnan(score) & table["score"].notna().to_numpy()) | np.isinf(score)).sum())
    if wrong:
        raise ParameterError(f"cistromes= has {wrong} scores that are no finite numbers; pass numbers, or no score.")
    score = np.where(np.isnan(score), np.nanmin(score, initial=0.0), score)
    best = pd.DataFrame({"r": row, "s": column, "score": score})[there]
    best = best.groupby(["r", "s"], as_index=False)["score"].max()
    return sparse.csc_array((best["score"], (best["r"], best["s"])), shape=shape)


def _of_motifs(chromatin: Chromatin, key: str) -> pd.DataFrame:
    """Regions with a motif of a factor and the score of the best."""
    hits = chromatin.factor_hits(key)
    return pd.DataFrame(
        {"source": hits.factors[hits.factor], "region": chromatin.names[hits.region], "score": hits.score}
    )


def _checked(table: object, chromatin: Chromatin) -> pd.DataFrame:
    columns = list(table.columns) if isinstance(table, pd.DataFrame) else []
    lacking = [name for name in ("source", "region") if name not in columns]
    if not isinstance(table, pd.DataFrame) or lacking:
        raise ParameterError(
            f"cistromes= has {columns[:6] or type(table).__name__}; expected a table source, region (and extended), or "
            "None for the motif hits of grn.pp.scan_motifs."
        )
    return chromatin.with_copies(table, "source")
