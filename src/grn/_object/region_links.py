"""Links of regions and genes that were stored with the regions of an object, or passed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import RegionError, ResultNotFoundError

EXPECTED = "expected region, gene[, distance, score], as grn.pp.link_regions writes them"


def links_of(atac: AnnData, links: str | pd.DataFrame, *, where: str) -> pd.DataFrame:
    """A table of links that has rows, their regions and genes, and numbers where it should.

    Parameters
    ----------
    atac
        The regions.
    links
        The table, or the key of one that :func:`grn.pp.link_regions` wrote.
    where
        What the user calls the regions.

    Raises
    ------
    ResultNotFoundError
        If nothing is stored under that key.
    RegionError
        If the table is none of links.
    """
    if isinstance(links, pd.DataFrame):
        return _checked(links, "links=")
    if not isinstance(links, str):
        raise RegionError(f"links has type {type(links).__name__}; pass a DataFrame, a key of uns, or None.")
    stored = atac.uns.get(links)
    if not isinstance(stored, Mapping) or not isinstance(stored.get("table"), pd.DataFrame):
        raise ResultNotFoundError(
            f"uns[{links!r}] of {where} holds no links; make them with grn.pp.link_regions(mdata, "
            f"key_added={links!r}), or pass a table: {EXPECTED}."
        )
    return _checked(stored["table"], f"uns[{links!r}]['table'] of {where}")


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN where it is missing."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    try:
        return table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise RegionError(f"{name} of the links holds no numbers ({error}); {EXPECTED}.") from error


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    missing = [name for name in ("region", "gene") if name not in table.columns]
    if missing or table.empty:
        lacks = f"lacks {' and '.join(missing)}" if missing else "has no rows"
        raise RegionError(f"{where} {lacks} (columns {list(map(str, table.columns[:8]))}); {EXPECTED}.")
    for name in ("distance", "score"):
        numbers(table, name)
    return table
