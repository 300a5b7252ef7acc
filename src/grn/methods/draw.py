"""Which cells a recipe reads."""

from __future__ import annotations

import numpy as np

from grn._core import checks
from grn._core.rng import sample_names
from grn._object.groups import cell_names, groups


def draw_cells(
    adata, groupby: str | None, max_cells: int | None, seed: int, *, among: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Rows of the cells to read, by group; one group ``""`` without grouping.

    At most ``max_cells`` per group (``None``: all), drawn by the hash of their names, in the order of the hashes, so
    that the order of the cells does not matter; with ``among`` only cells of that mask.
    """
    if max_cells is not None:
        max_cells = checks.integer("max_cells", max_cells, least=1, note=", or None for all cells")
    found = [("", np.ones(adata.n_obs, dtype=bool))] if groupby is None else groups(adata, groupby)
    places = [(name, np.flatnonzero(mask if among is None else mask & among)) for name, mask in found]
    if max_cells is not None and any(len(rows) > max_cells for _, rows in places):
        cell_names(adata)
    drawn = {}
    for name, rows in places:
        size = len(rows) if max_cells is None else max_cells
        drawn[name] = rows[sample_names([str(adata.obs_names[r]) for r in rows], size, seed)]
    return drawn
