"""Which regulators a target may have: all but itself, or those of a base GRN."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import GeneOverlapError
from grn._core.logging import logger
from grn.methods.cells import Cells


def allowed_pairs(cells: Cells, prior: pd.DataFrame | None) -> np.ndarray:
    """Mask (T, S) of the pairs of a target and another gene that may regulate it.

    Parameters
    ----------
    cells
        Sources and targets.
    prior
        Table ``source, target`` of the pairs to look at, in names of the object; ``None`` for all.

    Raises
    ------
    GeneOverlapError
        If the table lists no pair of a source and a target.
    """
    other: np.ndarray = cells.targets[:, None] != cells.sources  # (T, S)
    if prior is None:
        return other
    names = pd.Index(cells.names)
    rows = pd.Index(cells.targets).get_indexer(names.get_indexer(prior["target"].astype(str)))
    columns = pd.Index(cells.sources).get_indexer(names.get_indexer(prior["source"].astype(str)))
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise GeneOverlapError(
            f"none of the {len(prior)} edges of the base GRN joins one of {len(cells.sources)} sources and one of "
            f"{len(cells.targets)} targets; pass sources=sorted(set(base_grn['source'])) or another table."
        )
    if not inside.all():
        logger.info("%d edges of the base GRN lie outside the sources and targets asked for", (~inside).sum())
    listed = np.zeros(other.shape, dtype=bool)
    listed[rows[inside], columns[inside]] = True
    return listed & other
