"""Colours of cells by a column of ``obs``: numbers with a bar, or groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn.pl._colors import LINES, line_colors
from grn.pl._edge_data import near
from grn.pl._style import INK, SMALL

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# colours of more groups than there are colours of lines
MANY = "tab20"


def cell_values(adata: AnnData, name: str) -> np.ndarray | pd.Series:
    """Numbers, or a categorical column."""
    if name not in adata.obs:
        raise ParameterError(f"obs has no column {name!r}." + near(name, adata.obs.columns))
    values = adata.obs[name]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(dtype=float)
    return values.astype(str).where(values.notna(), "none").astype("category")


def group_colors(adata: AnnData, name: str, values: pd.Series, palette: object) -> list[Any]:
    """A colour per group: of the palette, else those that scanpy stored for the column."""
    groups = [str(group) for group in values.cat.categories]
    stored = adata.uns.get(f"{name}_colors")
    if palette is None and isinstance(stored, np.ndarray | list | tuple) and "none" not in groups:
        column = adata.obs[name]
        known = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else groups
        if len(stored) == len(known):
            palette = dict(zip(map(str, known), map(str, stored), strict=True))
    if palette is None and len(groups) > len(LINES):
        palette = MANY
    return line_colors(palette, len(groups), names=groups)


def scale_of(values: np.ndarray, shades: Colormap) -> Any:
    """What a colour bar needs of a column of numbers."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return ScalarMappable(Normalize(low, high), cmap=shades)


def bar(ax: Axes, image: Any, label: str) -> None:
    """A small colour bar below an axes."""
    drawn = ax.figure.colorbar(image, ax=ax, location="bottom", shrink=0.6, aspect=18, pad=0.02)
    drawn.set_label(label, fontsize=SMALL, color=INK)
    drawn.outline.set_visible(False)
    drawn.ax.tick_params(labelsize=SMALL, width=0.6, length=2, pad=2)
    drawn.ax.locator_params(nbins=3)
