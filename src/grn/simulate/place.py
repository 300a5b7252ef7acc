"""Where cells are on an embedding, and with what numbers a flow is measured there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ExpressionError, ParameterError
from grn._core.logging import hint
from grn._object.genes import column

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Place:
    """Where cells are, and what a flow is measured with.

    Parameters
    ----------
    embedding
        Coordinates (n, 2).
    pseudotime
        One number per cell (n,), NaN for cells off the trajectory, or ``None``.
    n_neighbors
        Neighbours on the embedding that a cell may move towards.
    n_grid
        Grid points along each side.
    bandwidth
        Deviation of the smoothing kernel, in steps of the grid.
    min_mass
        Fewest cells, weighted by the kernel, for a grid point to be shown.
    n_controls
        Number of shuffles for p-values.
    own_change
        Whether the change of the perturbed genes themselves counts.
    sampling
        Share of the neighbours that count, and the odds of the nearest and of the last one; ``None`` for all.
    keep_transitions
        Whether the transition probabilities are wanted.
    """

    embedding: np.ndarray
    pseudotime: np.ndarray | None
    n_neighbors: int
    n_grid: int
    bandwidth: float
    min_mass: float
    n_controls: int
    own_change: bool
    sampling: tuple[float, tuple[float, float]] | None = None
    keep_transitions: bool = False


def place_of(
    adata: AnnData,
    basis: str,
    pseudotime: str | None,
    *,
    n_neighbors: int | None,
    n_grid: int,
    bandwidth: float,
    min_mass: float,
    n_controls: int,
    own_change: bool,
    sampled_fraction: float = 1.0,
    sampling_probs: tuple[float, float] = (0.5, 0.1),
    keep_transitions: bool = False,
) -> Place:
    """Check the embedding and the pseudotime; of the numbers only what depends on the cells."""
    if basis not in adata.obsm:
        raise ParameterError(f"obsm has no {basis!r}; it has {', '.join(map(repr, adata.obsm)) or 'nothing'}.")
    embedding = np.asarray(adata.obsm[basis], dtype=np.float64)
    if embedding.ndim != 2 or embedding.shape[1] < 2 or not np.isfinite(embedding[:, :2]).all():
        raise ParameterError(f"obsm[{basis!r}] has shape {embedding.shape}; pass two or more finite columns.")
    most = adata.n_obs - 2
    if most < 2:
        raise ExpressionError(f"the object has {adata.n_obs} cells; a flow on an embedding needs at least 4.")
    n_neighbors = min(max(2, adata.n_obs // 5), 100) if n_neighbors is None else n_neighbors
    n_neighbors = checks.integer("n_neighbors", n_neighbors, least=2, most=most, note=", the cells but two")
    if np.ptp(embedding[:, :2], axis=0).min() <= 0:
        raise ParameterError(
            f"all cells have the same coordinate in obsm[{basis!r}]; pass an embedding that spreads them."
        )
    time = None if pseudotime is None else _pseudotime(adata, pseudotime)
    return Place(
        embedding[:, :2].copy(), time, n_neighbors, int(n_grid), float(bandwidth), float(min_mass), int(n_controls),
        own_change,
        _sampling(sampled_fraction, sampling_probs, n_neighbors), keep_transitions,
    )  # fmt: skip


def _sampling(fraction: float, odds: tuple[float, float], n_neighbors: int) -> tuple[float, tuple[float, float]] | None:
    """Share and odds of a sample of the neighbours; ``None`` for all of them."""
    if fraction == 1:
        return None
    if n_sampled(fraction, n_neighbors) < 2:
        raise ParameterError(
            f"sampled_fraction={fraction!r} leaves fewer than two of n_neighbors={n_neighbors}, between which nothing "
            f"can be preferred; pass at least {2 / n_neighbors:.3g}."
        )
    return float(fraction), (float(odds[0]), float(odds[1]))


def n_sampled(fraction: float, k: int) -> int:
    """Neighbours in a sample of that share of k of them."""
    return int(fraction * k + 1e-9)


def _pseudotime(adata: AnnData, name: str) -> np.ndarray:
    if name not in adata.obs:
        raise ParameterError(f"obs has no column {name!r}; compute a pseudotime, for example with sc.tl.dpt(adata).")
    values = column(adata.obs, name)
    if not pd.api.types.is_numeric_dtype(values):
        raise ParameterError(f"obs[{name!r}] holds no numbers; pass a pseudotime.")
    time = values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    time[~np.isfinite(time)] = np.nan
    known = int(np.isfinite(time).sum())
    if known < 3 or np.nanmax(time) <= np.nanmin(time):
        raise ParameterError(f"obs[{name!r}] has {known} finite values; pass at least three that differ.")
    if known < len(time):
        hint("%d of %d cells have no %s and do not count for the score", len(time) - known, len(time), name)
    return time
