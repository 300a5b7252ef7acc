"""Regulon activity per group of cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.docs import document
from grn._core.errors import GroupError, ParameterError, ResultNotFoundError
from grn._object.container import check_type
from grn._object.groups import label_codes
from grn._object.modalities import from_mudata
from grn.pl._colors import SNIPPETS as COLORS
from grn.pl._colors import color_scale
from grn.pl._edge_data import near
from grn.pl._heatmap import draw_matrix, leaf_order
from grn.pl._output import SNIPPETS as OUTPUT
from grn.pl._output import Drawn, Output
from grn.pl._style import COLUMN_MM, INK, TEXT

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

_CELL_MM = 3.0


@document(**OUTPUT, **COLORS)
@from_mudata
def activity(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    groupby: str,
    key: str = "score_ulm",
    n_sources: int = 25,
    standardize: bool = True,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    figsize: tuple[float, float] | None = None,
    save: str | Path | None = None,
    show: bool = False,
    return_fig: bool = False,
) -> Drawn:
    r"""Draw the mean regulon activity of groups, for the regulators most specific to each.

    With :math:`m_{gs}` the mean of regulator :math:`s` in group :math:`g`, specificity is
    :math:`m_{gs} - \max_{h \ne g} m_{hs}`; groups take their most specific regulator
    in turn until ``n_sources`` are chosen. Cells without a score (NaN) do not count; a group without any is light grey
    and comes last. Both axes are clustered by average linkage.

    Parameters
    ----------
    adata
        AnnData with activities, as decoupler writes them.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    groupby
        Column of ``adata.obs``. Categories without cells are ignored.
    key
        Slot in ``adata.obsm`` that holds a DataFrame of cells by regulators.
    n_sources
        Most regulators to draw.
    standardize
        Scale each regulator to mean 0 and standard deviation 1 over all cells first;
        regulators that do not vary become 0.
    ax
        Axes to draw on; ``None`` opens a figure of 89 mm, wider for more than 15 groups.
    %(cmap)s
    %(figure)s

    Returns
    -------
    matplotlib.axes.Axes
        Regulators in rows, groups in columns; red above 0, blue below.

    Raises
    ------
    ResultNotFoundError
        ``obsm`` has no such key.
    GroupError
        ``obs`` has no such column, or some cells have no group.
    ParameterError
        ``adata`` is no AnnData, ``obsm[key]`` is not a DataFrame of finite numbers, or ``n_sources`` is not a
        positive integer.

    Examples
    --------
    >>> import anndata as ad, grn, numpy as np, pandas as pd
    >>> cells = ["c1", "c2", "c3", "c4"]
    >>> adata = ad.AnnData(np.ones((4, 1), dtype="float32"), obs=pd.DataFrame({"type": list("BBMM")}, index=cells))
    >>> adata.obsm["score_ulm"] = pd.DataFrame({"SPI1": [0.0, 0.1, 2.0, 2.2], "PAX5": [3.0, 2.8, 0.2, 0.0]},
    ...                                        index=cells)
    >>> ax = grn.pl.activity(adata, groupby="type")
    >>> sorted(tick.get_text() for tick in ax.get_yticklabels())
    ['PAX5', 'SPI1']
    """
    check_type(adata)
    output = Output.of(ax=ax, figsize=figsize, save=save, show=show, return_fig=return_fig)
    n_sources = checks.integer("n_sources", n_sources, least=1)
    scores = _scores(adata, key)
    labels = _labels(adata, groupby)
    if standardize:
        scores = _standardized(scores)
    means = scores.groupby(labels, observed=True).mean().T.sort_index(axis=0).sort_index(axis=1)
    means = means.loc[sorted(specific(means, n_sources))]
    filled = means.fillna(0.0).to_numpy()
    means = means.iloc[leaf_order(filled), leaf_order(filled.T)]
    scale = color_scale(means.to_numpy(), diverging=True, cmap=cmap)
    rows, columns = means.shape
    ax = output.axes(max(COLUMN_MM, 44 + _CELL_MM * columns), max(45, 26 + _CELL_MM * rows))
    draw_matrix(ax, means, scale, label=f"mean activity ({'z-score' if standardize else key})")
    ax.set_xlabel(groupby, fontsize=TEXT, color=INK)
    ax.set_ylabel("regulator", fontsize=TEXT, color=INK)
    return output.finish(ax)


def _scores(adata: AnnData, key: str) -> pd.DataFrame:
    if key not in adata.obsm:
        raise ResultNotFoundError(
            f"obsm has no {key!r}; compute it with grn.tl.activity(adata)." + near(key, adata.obsm)
        )
    scores = adata.obsm[key]
    if not isinstance(scores, pd.DataFrame):
        raise ParameterError(
            f"obsm[{key!r}] is a {type(scores).__name__}; a DataFrame of cells by regulators is needed."
        )
    numbers = [pd.api.types.is_numeric_dtype(dtype) for dtype in scores.dtypes]
    if not all(numbers) or not scores.shape[1] or np.isinf(scores.to_numpy(dtype=float)).any():
        raise ParameterError(f"obsm[{key!r}] is empty or has values that are not finite numbers; recompute it.")
    scores = scores.astype(float).dropna(axis=1, how="all")
    if scores.empty:
        raise ParameterError(f"obsm[{key!r}] has no scores, only NaN; recompute it.")
    return scores


def _standardized(scores: pd.DataFrame) -> pd.DataFrame:
    values = scores.to_numpy()
    centre, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    # a constant column has rounding noise for a spread
    varies = spread > 1e-9 * np.nanmax(np.abs(values), axis=0)
    scaled = np.where(varies, (values - centre) / np.where(varies, spread, 1.0), 0.0 * values)
    return pd.DataFrame(scaled, index=scores.index, columns=scores.columns)


def _labels(adata: AnnData, groupby: str) -> pd.Series:
    if groupby not in adata.obs:
        raise GroupError(f"obs has no column {groupby!r}." + near(groupby, adata.obs.columns))
    labels = adata.obs[groupby]
    names, codes = label_codes(adata.obs, groupby)
    return pd.Series(np.array(names, dtype=object)[codes], index=labels.index)


def specific(means: pd.DataFrame, count: int) -> list[str]:
    """Let groups choose in turn, each its most specific regulator that is left."""
    # a regulator without a score in a group is specific to others
    values = means.fillna(-1e9).to_numpy()
    order = []
    for column in range(values.shape[1]):
        others = np.delete(values, column, axis=1).max(axis=1) if values.shape[1] > 1 else np.zeros(len(values))
        order.append(np.argsort(-(values[:, column] - others), kind="stable"))
    taken: dict[int, None] = {}
    for rank in range(len(values)):
        for ranking in order:
            if len(taken) < count:
                taken.setdefault(int(ranking[rank]))
    return [str(means.index[row]) for row in taken]
