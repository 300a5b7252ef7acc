"""Groups of cells by the labels of a column, and the names of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import GroupError
from grn._core.labels import texts, unique_cells
from grn._core.logging import some
from grn._core.rng import sample_names
from grn._object.container import check_type
from grn._object.genes import column

# fewest cells whose values say anything of a group
MIN_CELLS = 10
# fewest cells whose mean stands for a group; a mean is noisy where there are few, but no edge is made of chance alone
FEWEST_OF_A_MEAN = 3


def groups(adata: AnnData, groupby: str, *, min_cells: int = FEWEST_OF_A_MEAN) -> list[tuple[str, np.ndarray]]:
    """Give the groups of cells of a column of ``obs`` as names and masks.

    Parameters
    ----------
    adata
        The object.
    groupby
        Column of ``adata.obs``. Groups come in category order; categories without cells are ignored.
    min_cells
        Fewest cells a group may have.

    Raises
    ------
    GroupError
        If the column is missing, holds NaN or labels that cannot be told apart, or a group has too few cells.
    """
    names, codes = group_codes(adata, groupby, min_cells=min_cells)
    return [(name, codes == code) for code, name in enumerate(names)]


def group_codes(
    adata: AnnData, groupby: str, *, min_cells: int = FEWEST_OF_A_MEAN
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the groups of :func:`groups`, and the number of the group of every cell (n_obs,)."""
    check_type(adata)
    names, codes = label_codes(adata.obs, groupby)
    if not names:
        raise GroupError(f"the object has no cells, so obs[{groupby!r}] has no groups.")
    check_sizes(names, codes, groupby, min_cells)
    return names, codes


def check_sizes(names: tuple[str, ...], codes: np.ndarray, groupby: str, min_cells: int) -> None:
    """Refuse groups of too few cells."""
    sizes = np.bincount(codes, minlength=len(names))
    small = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True) if size < min_cells]
    if small:
        raise GroupError(
            f"{len(small)} of {len(names)} groups of obs[{groupby!r}] have fewer than {min_cells} cells: "
            f"{some(small, 5)}. Leave them out or merge them into larger groups."
        )


def label_codes(obs: Any, name: str, *, gaps: bool = False) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels of a column as text, in category order, and the number of the label of every cell.

    Parameters
    ----------
    obs
        ``adata.obs``.
    name
        The column.
    gaps
        Whether cells may have no label; their number is -1.

    Raises
    ------
    GroupError
        If the column is missing, holds NaN (unless ``gaps``), or labels that cannot be told apart or stored.
    """
    if not isinstance(name, str) or name not in obs:
        columns = ", ".join(map(str, obs.columns)) or "none"
        raise GroupError(f"adata.obs has no column {name!r}; columns: {columns}.")
    values = column(obs, name)
    missing = int(values.isna().sum())
    if missing and not gaps:
        raise GroupError(
            f"{missing} of {len(values)} cells have no value in obs[{name!r}]; "
            f"drop them: adata = adata[adata.obs[{name!r}].notna()].copy()."
        )
    where = f"obs[{name!r}]"
    if pd.api.types.infer_dtype(values, skipna=True) in ("mixed", "mixed-integer", "mixed-integer-float"):
        # pandas takes True for 1, and orders what it cannot sort as it comes
        known = values.notna().to_numpy()
        labels = pd.Categorical(texts(values[known], where))
        codes = np.full(len(values), -1, dtype=np.int64)
        codes[known] = labels.codes
        return tuple(labels.categories), codes
    values = values.astype("category").cat.remove_unused_categories()
    return tuple(texts(values.cat.categories, where)), values.cat.codes.to_numpy().astype(np.int64)


def cell_names(adata: AnnData) -> np.ndarray:
    """Names of the cells for what draws by them; raises :class:`grn.errors.CellNameError` for duplicates."""
    return np.array(unique_cells(adata.obs_names), dtype=str)


def draw_cells(
    adata, groupby: str | None, max_cells: int | None, seed: int, *, among: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Rows of the cells to read, by group; one group ``""`` without grouping.

    At most ``max_cells`` per group (``None``: all), drawn by the hash of their names, in the order of the hashes, so
    that the order of the cells does not matter; with ``among`` only cells of that mask.
    """
    if max_cells is not None:
        max_cells = checks.integer("max_cells", max_cells, least=1, note=", or None for all cells")
    masks = [("", np.ones(adata.n_obs, dtype=bool))] if groupby is None else groups(adata, groupby)
    places = [(name, np.flatnonzero(mask if among is None else mask & among)) for name, mask in masks]
    if max_cells is not None and any(len(rows) > max_cells for _, rows in places):
        cell_names(adata)
    drawn = {}
    for name, rows in places:
        size = len(rows) if max_cells is None else max_cells
        drawn[name] = rows[sample_names([str(adata.obs_names[r]) for r in rows], size, seed)]
    return drawn
