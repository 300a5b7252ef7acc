"""Motifs that are enriched in sets of regions: by recovery curves, and against background regions."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import false_discovery_control

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import hint, logger, progress
from grn._core.rng import RNGLike, seed_of
from grn._kernels import recovery
from grn._kernels.rank_sum import rank_sum
from grn._object.container import check_target, target, validate
from grn.cistromes.background import Background, strata
from grn.cistromes.database import from_database
from grn.cistromes.evidence import Evidence, scanned
from grn.cistromes.sets import RegionSets, Sets, read_sets
from grn.genome import parse_regions
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData

METHODS = ("recovery", "differential")
# bits that are added to mean scores before they are divided: half a hit in the background
_LITTLE = 0.01
# share of a ranking that an area is taken over, and at least so many places or that share of a short ranking
TOP, FEWEST_PLACES, SHORT = 0.005, 500, 0.1
COLUMNS = [
    "set", "method", "motif", "factors", "enriched", "n_hits", "auc", "nes", "log2fc", "mean", "background", "pval",
    "qval",
]  # fmt: skip


@dataclass(frozen=True)
class Thresholds:
    """What a motif has to reach, and how far down rankings are read.

    Parameters
    ----------
    top, depth
        Shares of the ranking for areas (``None``: see :func:`places`) and for leading edges.
    min_nes
        Least normalised enrichment score.
    max_qval, min_log2fc, min_score
        Of the differential test; the last one is that of a hit.
    """

    top: float | None
    depth: float
    min_nes: float
    max_qval: float
    min_log2fc: float
    min_score: float

    def check(self) -> None:
        """Refuse what is out of range."""
        if self.top is not None:
            checks.number("top", self.top, above=0, most=1, note=", or None")
        checks.number("depth", self.depth, above=0, most=1)
        checks.number("min_nes", self.min_nes)
        checks.number("max_qval", self.max_qval, above=0, most=1)
        checks.number("min_log2fc", self.min_log2fc)
        checks.number("min_score", self.min_score)


@dataclass(frozen=True, eq=False)
class Tested:
    """What a method says: rows of the table, and the hits (U, rows) in the universe."""

    table: pd.DataFrame
    hits: sparse.csc_matrix


def write_enrichment(
    adata: AnnData,
    *,
    sets: Sets,
    method: str | Sequence[str],
    thresholds: Thresholds,
    max_background: int,
    match: Sequence[str] | None,
    key: str,
    database: str | os.PathLike[str] | None,
    overlap: float,
    key_added: str,
    rng: RNGLike,
    show: bool | None,
    copy: bool,
) -> AnnData | None:
    """Test all motifs in all sets and write what is enriched; see :func:`grn.tl.motif_enrichment`."""
    validate(adata, modality="atac")
    check_target(adata, copy=copy, key=key_added)
    methods = checks.words("method", method, METHODS)
    thresholds.check()
    seed = seed_of(rng)
    strata_of_regions = strata(adata.var, match)
    chosen = read_sets(adata, sets)
    if database is None:
        evidence = scanned(adata, key)
    else:
        evidence = _of_database(adata, database, methods, thresholds, overlap, match, show=show)
        strata_of_regions = np.zeros(len(evidence.names), dtype=np.int64)
    background = Background.of(evidence.names, strata_of_regions, max_background=max_background, seed=seed)
    parts = []
    if "recovery" in methods:
        parts.append(by_recovery(evidence, chosen, thresholds, show=show))
    if "differential" in methods:
        parts.append(by_difference(evidence, chosen, thresholds, background, show=show))
    table, hits = _together(evidence, chosen, parts)
    out = target(adata, copy=copy)
    params = {
        "method": methods, "sets": sets if isinstance(sets, str) else list(chosen.names), "motifs": key,
        "database": None if database is None else os.fspath(database), "overlap": overlap,
        **vars(thresholds), "max_background": max_background, "match": match, "rng": seed,
    }  # fmt: skip
    out.varm[key_added] = hits
    out.uns[key_added] = {
        "table": table,
        "factors": evidence.factors.astype({"motif": "category", "factor": "category"}),
        "params": storable({"function": "motif_enrichment", **params}),
    }
    _tell(table, chosen)
    return out if copy else None


def _of_database(
    adata: AnnData,
    database: str | os.PathLike[str],
    methods: list[str],
    thresholds: Thresholds,
    overlap: float,
    match: Sequence[str] | None,
    *,
    show: bool | None,
) -> Evidence:
    """Evidence of a file, of which the methods asked for can make use."""
    if not isinstance(database, str | os.PathLike):
        raise ParameterError(f"database has type {type(database).__name__}; pass the path of a Feather file.")
    if match is not None:
        raise ParameterError("match= reads columns of var, which regions of a database do not have; leave it out.")
    table = parse_regions(adata.var_names)
    evidence = from_database(database, table, overlap=overlap, depth=lambda n: places(thresholds, n)[1], show=show)
    if evidence.scores is None and "differential" in methods:
        raise ParameterError(
            f"{os.fspath(database)!r} holds rankings, and the differential test needs scores; pass method='recovery', "
            "or the database of scores."
        )
    return evidence


def by_recovery(evidence: Evidence, sets: RegionSets, thresholds: Thresholds, *, show: bool | None = None) -> Tested:
    """Normalised areas under recovery curves, and the leading edges of motifs above the threshold."""
    rankings = evidence.rankings
    member = evidence.within(sets.member)
    n_motifs = rankings.shape[1]
    top, depth = places(thresholds, rankings.n_places)
    if math.sqrt(max(n_motifs - 1, 0)) < thresholds.min_nes:
        hint(
            "of %d motifs none can reach a normalised score of %g (at most %.1f): scan more motifs, such as all of "
            "grn.pp.motifs(), or use method='differential'",
            n_motifs, thresholds.min_nes, math.sqrt(max(n_motifs - 1, 0)),
        )  # fmt: skip
    area = recovery.areas(rankings, member, top)  # (S, M)
    score = recovery.normalised(area)
    tables, hits = [], []
    for number, name in enumerate(progress(sets.names, desc="leading edges", show=show)):
        with np.errstate(invalid="ignore"):
            enriched = score[number] >= thresholds.min_nes
        motifs = np.flatnonzero(enriched)
        rows = member.indices[member.indptr[number] : member.indptr[number + 1]]
        part = sparse.csc_matrix((member.shape[1], n_motifs))
        if len(motifs):
            edges = recovery.leading_edges(rankings, rows, motifs, depth)
            at = edges.region, motifs[edges.motif]
            part = sparse.csc_matrix((np.ones(len(at[0])), at), shape=part.shape)
        tables.append(_rows(evidence, name, "recovery", enriched, auc=area[number], nes=score[number]))
        hits.append(part)
    return Tested(pd.concat(tables, ignore_index=True), sparse.hstack(hits, format="csc"))


def places(thresholds: Thresholds, n: int) -> tuple[int, int]:
    """Number of places of a ranking of n that areas are taken over, and that leading edges may reach.

    By default 0.5 % of the ranking, but no fewer than 500 places, or a tenth of it if that is less: of a thousand
    regions the first five say nothing.
    """
    top = max(TOP * n, min(FEWEST_PLACES, SHORT * n)) if thresholds.top is None else thresholds.top * n
    first = max(math.ceil(round(top, 6)), 1)
    return first, max(math.ceil(round(thresholds.depth * n, 6)), first)


def by_difference(
    evidence: Evidence,
    sets: RegionSets,
    thresholds: Thresholds,
    background: Background,
    *,
    show: bool | None = None,
) -> Tested:
    """Scores in the set against those in background regions, by rank sums."""
    scores = sparse.csr_matrix(evidence.scores)
    member = evidence.within(sets.member)
    tables, hits = [], []
    for number, name in enumerate(progress(sets.names, desc="differential", show=show)):
        rows = np.sort(member.indices[member.indptr[number] : member.indptr[number + 1]])
        others = background.draw(name, rows)
        inside = scores[rows]
        pooled = sparse.vstack([inside, scores[others]], format="csc")
        codes = np.r_[np.zeros(len(rows), dtype=np.int64), np.ones(len(others), dtype=np.int64)]
        pval = rank_sum(pooled, codes, 2)[1][0]
        mean = np.asarray(inside.mean(axis=0)).ravel()
        base = np.asarray(scores[others].mean(axis=0)).ravel()
        log2fc = np.log2((mean + _LITTLE) / (base + _LITTLE))
        qval = false_discovery_control(pval)
        enriched = (qval <= thresholds.max_qval) & (log2fc >= thresholds.min_log2fc)
        at = sparse.coo_matrix(inside)
        keep = enriched[at.col] & (at.data >= thresholds.min_score)
        where = rows[at.row[keep]], at.col[keep]
        hits.append(sparse.csc_matrix((np.ones(len(where[0])), where), shape=scores.shape))
        values = {"log2fc": log2fc, "mean": mean, "background": base, "pval": pval, "qval": qval}
        tables.append(_rows(evidence, name, "differential", enriched, **values))
    return Tested(pd.concat(tables, ignore_index=True), sparse.hstack(hits, format="csc"))


def _rows(evidence: Evidence, name: str, method: str, enriched: np.ndarray, **values: np.ndarray) -> pd.DataFrame:
    """Rows of the table for one set, in the order of the motifs."""
    blank = {column: np.nan for column in COLUMNS[6:] if column not in values}
    start = {"set": name, "method": method, "motif": evidence.motifs, "enriched": enriched}
    return pd.DataFrame({**start, **values, **blank})


def _together(evidence: Evidence, sets: RegionSets, parts: list[Tested]) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """One table, the enriched motifs of each set first, and the hits in regions of the object, column by row."""
    table = pd.concat([part.table for part in parts], ignore_index=True)
    hits = evidence.back(sparse.hstack([part.hits for part in parts], format="csr"))
    number = pd.Series(range(len(sets.names)), index=list(sets.names))[table["set"]].to_numpy()
    hits = sparse.csc_matrix(hits)
    if evidence.place is not None:
        # a region of the universe may overlap regions outside of the set
        hits = sparse.csc_matrix(hits.multiply(sets.member.T.tocsc()[:, number]))
    listed = evidence.factors[~evidence.factors["extended"]].groupby("motif", observed=True)["factor"].agg(", ".join)
    table["factors"] = table["motif"].map(listed).fillna("").astype(str)
    table["n_hits"] = np.diff(hits.indptr)
    strength = table["nes"].fillna(table["log2fc"].where(table["method"] == "differential")).to_numpy()
    by_method = np.array([METHODS.index(word) for word in table["method"]])
    order = np.lexsort([table["motif"], -np.nan_to_num(strength, nan=-np.inf), ~table["enriched"], by_method, number])
    table = table[COLUMNS].iloc[order].reset_index(drop=True)
    words = ["set", "method", "motif", "factors"]
    return table.astype(dict.fromkeys(words, "category")), sparse.csr_matrix(hits[:, order], dtype=np.int8)


def _tell(table: pd.DataFrame, sets: RegionSets) -> None:
    enriched = table[table["enriched"]]
    if enriched.empty:
        hint("no motif is enriched in any of the %d sets", len(sets.names))
    else:
        logger.info("%d pairs of a motif and a set are enriched in %d sets", len(enriched), enriched["set"].nunique())
