"""Cistromes: the regions in which motifs of a factor are enriched, over all sets of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import MotifError, RegionError, ResultNotFoundError
from grn._core.logging import hint, logger, some
from grn._object.cistromes import store_cistromes
from grn._object.container import check_target, target, validate
from grn.cistromes.annotation import Annotation, annotated, ways_of
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def write_cistromes(
    adata: AnnData,
    *,
    annotation: Annotation | None,
    inferred: Sequence[str],
    min_regions: int,
    key: str,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Join the hits of the motifs of every factor and write them; see :func:`grn.tl.cistromes`."""
    validate(adata, modality="atac")
    check_target(adata, copy=copy, key=key_added)
    checks.integer("min_regions", min_regions, least=1)
    inferred = ways_of(inferred)
    table, hits, stored = enrichment_of(adata, key)
    pairs = stored if annotation is None else annotated(annotation, inferred)
    enriched = np.flatnonzero(table["enriched"].to_numpy(dtype=bool))
    if not len(enriched):
        raise RegionError(
            f"uns[{key!r}] has no enriched motif, so that there are no cistromes; relax the thresholds of "
            "grn.tl.motif_enrichment."
        )
    motifs = _of_motifs(table, enriched, pairs)
    matrix, columns = _joined(hits[:, enriched], motifs)
    large = columns["n_regions"].to_numpy() >= min_regions
    if not large.any():
        raise RegionError(
            f"no cistrome has min_regions={min_regions} regions; the largest has {columns['n_regions'].max()}."
        )
    if not large.all():
        small = columns["source"] + np.where(columns["extended"], " (extended)", "")
        counts = int((~large).sum()), len(large), min_regions
        hint("%d of %d cistromes have fewer than %d regions: %s", *counts, some(small[~large].tolist(), 5))
    out = target(adata, copy=copy)
    store_cistromes(out, matrix[:, large], columns[large], key=key_added)
    out.uns[key_added]["motifs"] = motifs.drop(columns="column").astype({"set": "category", "method": "category"})
    params: dict[str, Any] = {"inferred": inferred, "min_regions": min_regions, "key": key}
    given = "table" if isinstance(annotation, pd.DataFrame) else annotation
    out.uns[key_added]["params"] = storable({"function": "cistromes", "annotation": given, **params})
    logger.info("wrote cistromes of %d factors to varm[%r]", columns["source"][large].nunique(), key_added)
    return out if copy else None


def enrichment_of(adata: AnnData, key: str) -> tuple[pd.DataFrame, sparse.csc_matrix, pd.DataFrame]:
    """Table, hits (R, rows of the table) and factors of :func:`grn.tl.motif_enrichment`."""
    stored = adata.uns.get(key)
    if key not in adata.varm or not isinstance(stored, Mapping) or not {"table", "factors"} <= set(stored):
        raise ResultNotFoundError(f"varm[{key!r}] holds no enriched motifs; call grn.tl.motif_enrichment(adata) first.")
    factors = stored["factors"].astype({"motif": str, "factor": str, "extended": bool})
    words = dict.fromkeys(("set", "method", "motif", "factors"), str)
    return stored["table"].astype(words), sparse.csc_matrix(adata.varm[key]), factors


def _of_motifs(table: pd.DataFrame, enriched: np.ndarray, pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per enriched motif, set and factor, with the column of its hits."""
    rows = table.iloc[enriched][["set", "method", "motif"]].assign(column=np.arange(len(enriched)))
    motifs = rows.merge(pairs, on="motif").rename(columns={"factor": "source"})
    if motifs.empty:
        raise MotifError(
            f"none of the {rows['motif'].nunique()} enriched motifs ({some(rows['motif'].unique(), 3)}) has a factor; "
            "pass annotation=, a cisTarget table (.tbl) or a DataFrame motif, factor."
        )
    without = sorted(set(rows["motif"]) - set(motifs["motif"]))
    if without:
        hint("%d of %d enriched motifs have no factor: %s", len(without), rows["motif"].nunique(), some(without, 3))
    return motifs.sort_values(["source", "extended", "set", "method", "motif"], ignore_index=True)


def _joined(hits: sparse.csc_matrix, motifs: pd.DataFrame) -> tuple[sparse.csc_matrix, pd.DataFrame]:
    """Cistromes (R, C), and ``source, extended, n_regions`` per column: direct ones first, then those of all motifs."""
    names = {(source, False): rows for source, rows in motifs[~motifs["extended"]].groupby("source")["column"]}
    more = set(motifs.loc[motifs["extended"], "source"])
    names |= {(source, True): rows for source, rows in motifs.groupby("source")["column"] if source in more}
    keys = sorted(names)
    columns = np.repeat(np.arange(len(keys)), [len(names[key]) for key in keys])
    rows = np.concatenate([names[key].to_numpy() for key in keys])
    joins = sparse.csc_matrix((np.ones(len(rows)), (rows, columns)), shape=(hits.shape[1], len(keys)))
    matrix = sparse.csc_matrix(hits.astype(np.float64) @ joins)
    matrix.data = np.ones_like(matrix.data)
    table = pd.DataFrame(keys, columns=["source", "extended"])
    return matrix, table.assign(n_regions=np.diff(matrix.indptr).astype(np.int64))
