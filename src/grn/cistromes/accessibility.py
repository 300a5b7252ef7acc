"""Regions that are open more often in the cells of one label than in all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from grn._core import checks
from grn._core.errors import GroupError, RegionError
from grn._core.logging import hint, logger, some
from grn._kernels.expression import seen
from grn._kernels.openness import Contrast, contrast
from grn._kernels.scan import scan
from grn._object.container import check_target, target, validate
from grn._object.expression import select
from grn._object.groups import group_codes
from grn.cistromes.sets import store_sets
from grn.genome import parse_regions

if TYPE_CHECKING:
    from anndata import AnnData

    from grn._kernels.matrix_parts import Source

# entries of a matrix of which more are above zero are imputed values, not fragments
_DENSE = 0.9


def write_region_sets(
    adata: AnnData,
    *,
    groupby: str,
    max_qval: float,
    min_log2fc: float,
    max_regions: int | None,
    layer: str | None,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Find and write the sets; see :func:`grn.tl.region_sets`."""
    params: dict[str, Any] = {name: value for name, value in locals().items() if name not in {"adata", "copy"}}
    validate(adata, modality="atac")
    check_target(adata, copy=copy, key=key_added)
    checks.number("max_qval", max_qval, above=0, most=1)
    checks.number("min_log2fc", min_log2fc, least=0)
    if max_regions is not None:
        checks.integer("max_regions", max_regions, least=1, note=", or None for all")
    parse_regions(adata.var_names)
    labels, codes = group_codes(adata, groupby)
    if len(labels) < 2:
        raise GroupError(f"obs[{groupby!r}] has one label, {labels[0]!r}; regions are compared between labels.")
    counts = open_counts(select(adata, layer, use_raw=False), codes, len(labels))
    table = _table(adata, labels, counts, contrast(counts), max_qval, min_log2fc)
    if table.empty:
        raise RegionError(
            f"no region is open more often in a label of obs[{groupby!r}] at max_qval={max_qval:g}, "
            f"min_log2fc={min_log2fc:g}; lower these, or pass sets of your own to grn.tl.motif_enrichment."
        )
    if max_regions is not None:
        table = table[table.groupby("set").cumcount() < max_regions]
    empty = [label for label in labels if label not in set(table["set"])]
    if empty:
        hint("%d of %d labels have no region of their own: %s", len(empty), len(labels), some(empty, 5))
    out = target(adata, copy=copy)
    store_sets(out, table, {"method": "region_sets", **params, "labels": list(labels)}, key=key_added)
    logger.info("wrote %d regions of %d labels to uns[%r]", len(table), table["set"].nunique(), key_added)
    return out if copy else None


def open_counts(source: Source, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Number of cells of every group (G, R) in which a region is open.

    Raises
    ------
    RegionError
        If values are NaN, infinite or negative, nothing is open, or nearly everything is.
    """
    values = scan(source)
    if values.n_nan or values.n_infinite or values.n_negative:
        raise RegionError(
            f"accessibility holds {values.n_nan} NaN, {values.n_infinite} infinite and {values.n_negative} negative "
            "values; expected fragments per cell and region, as counts or 0 and 1. Pass the layer with these: layer=..."
        )
    sizes = np.bincount(codes, minlength=n_groups)[:, None]
    counts = seen(source, codes, n_groups)
    share = counts.sum() / max(sizes.sum() * counts.shape[1], 1)
    if not 0 < share <= _DENSE:
        raise RegionError(
            f"{share:.0%} of the values are above zero; expected fragments per cell and region, as counts or 0 and 1, "
            "of which most are zero. Of imputed accessibility, pass the layer with the counts: layer=..."
        )
    return counts.astype(np.float64)


def _table(
    adata: AnnData, labels: tuple[str, ...], counts: np.ndarray, contrasts: Contrast, max_qval: float, min_log2fc: float
) -> pd.DataFrame:
    """Regions of every label, the strongest first."""
    names = adata.var_names.to_numpy(dtype=object)
    parts = []
    for number, label in enumerate(labels):
        qval = false_discovery_control(contrasts.pval[number])
        chosen = (qval <= max_qval) & (contrasts.log2fc[number] >= min_log2fc) & (contrasts.score[number] > 0)
        rows = np.flatnonzero(chosen)
        rows = rows[np.lexsort([names[rows].astype(str), -contrasts.score[number, rows]])]
        parts.append(
            pd.DataFrame(
                {
                    "set": label,
                    "region": names[rows],
                    "score": contrasts.score[number, rows],
                    "log2fc": contrasts.log2fc[number, rows],
                    "n_cells": counts[number, rows].astype(np.int64),
                    "pval": contrasts.pval[number, rows],
                    "qval": qval[rows],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
