"""Which regulators a target may have: all but itself, or those of a base GRN."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import GeneOverlapError
from grn._core.logging import logger
from grn.methods.cells import Cells
from grn.pp import base_grn as read_base_grn


def allowed_pairs(adata, cells: Cells, base_grn: pd.DataFrame | None) -> np.ndarray:
    """Mask (T, S) of the pairs of a target and another gene that may regulate it.

    Parameters
    ----------
    adata
        The object that ``cells`` were read from.
    cells
        Its sources and targets.
    base_grn
        Table ``source, target`` of the pairs to look at; ``None`` for all.

    Raises
    ------
    GeneOverlapError
        If the table lists no pair of a source and a target.
    """
    other: np.ndarray = cells.targets[:, None] != cells.sources
    if base_grn is None:
        return other
    table = read_base_grn(base_grn, adata=adata)
    names = pd.Index(cells.names)
    rows = pd.Index(cells.targets).get_indexer(names.get_indexer(table["target"].astype(str)))
    columns = pd.Index(cells.sources).get_indexer(names.get_indexer(table["source"].astype(str)))
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise GeneOverlapError(
            f"none of the {len(table)} edges of the base GRN joins one of {len(cells.sources)} sources and one of "
            f"{len(cells.targets)} targets; pass sources=sorted(set(base_grn['source'])) or another table."
        )
    if not inside.all():
        logger.info("%d edges of the base GRN lie outside the sources and targets asked for", (~inside).sum())
    listed = np.zeros(other.shape, dtype=bool)
    listed[rows[inside], columns[inside]] = True
    return listed & other


def spread(cells: Cells, values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Values (T, S) as a matrix (n_vars, S) with NaN where ``keep`` is False and for genes that are no targets."""
    found = np.full((len(cells.names), len(cells.sources)), np.nan)
    found[cells.targets] = np.where(keep, values, np.nan)
    return found
