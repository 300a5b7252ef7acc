"""Where cells would move on an embedding if their expression changed, seen through their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

# how sharply a neighbour that fits the change better is preferred
SIGMA = 0.05


def correlations(differences: np.ndarray, changes: np.ndarray, *, undefined: float = 0.0) -> np.ndarray:
    """Pearson correlation over genes of every difference with every change.

    Parameters
    ----------
    differences
        Neighbours minus the cell (k, G).
    changes
        Changes of the cell (R, G).
    undefined
        Value where a difference or a change does not vary.

    Returns
    -------
    ndarray
        (R, k), in the precision of the input.
    """
    apart = differences - differences.mean(axis=1, keepdims=True)
    moved = changes - changes.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("rg,rg->r", moved, moved))[:, None] * np.sqrt(np.einsum("kg,kg->k", apart, apart))
    correlation: np.ndarray = np.full(size.shape, undefined, dtype=size.dtype)
    np.divide(moved @ apart.T, size, out=correlation, where=size > 0)
    return correlation


def probabilities(rho: np.ndarray, *, sigma: float = SIGMA) -> np.ndarray:
    r"""Transition probabilities :math:`\exp(\rho_j/\sigma) / \sum_l \exp(\rho_l/\sigma)` along the last axis."""
    raised: np.ndarray = np.exp((rho - rho.max(axis=-1, keepdims=True)) / sigma)
    raised /= raised.sum(axis=-1, keepdims=True)
    return raised


def directions(embedding: np.ndarray, cells: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Unit vectors (B, k, D) from cells to neighbours (B, k); 0 for neighbours at the same place."""
    step = embedding[neighbours] - embedding[cells][:, None]
    length = np.linalg.norm(step, axis=2, keepdims=True)
    unit: np.ndarray = np.divide(step, length, out=np.zeros_like(step), where=length > 0)
    return unit


def shifts(
    values: np.ndarray,
    own: np.ndarray,
    neighbours: np.ndarray,
    units: np.ndarray,
    changes: Callable[[int], np.ndarray],
    *,
    sigma: float = SIGMA,
    undefined: float = 0.0,
    transitions: np.ndarray | None = None,
) -> np.ndarray:
    r"""Embedding shifts :math:`\sum_j (P_{ij} - 1/k)\,u_{ij}` of some cells under several changes each.

    Parameters
    ----------
    values
        Expression (U, G) of all cells that are needed.
    own
        Rows of the cells in ``values`` (B,).
    neighbours
        Rows of their neighbours in ``values`` (B, k).
    units
        Unit vectors to the neighbours (B, k, D).
    changes
        Gives the changes (R, G) of cell number ``b``.
    sigma, undefined
        See :func:`probabilities` and :func:`correlations`.
    transitions
        Table (B, k) to fill with the probabilities :math:`P_{ij}` under the first change.

    Returns
    -------
    ndarray
        (B, R, D), float64. Cost: B k G R multiplications; memory k G and R G.
    """
    steps = []
    if not len(own):
        return np.zeros((0, 2, units.shape[2]))
    for b in range(len(own)):
        rho = correlations(values[neighbours[b]] - values[own[b]], changes(b), undefined=undefined)
        chances = probabilities(rho.astype(np.float64), sigma=sigma)  # (R, k)
        if transitions is not None:
            transitions[b] = chances[0]
        steps.append((chances - 1.0 / neighbours.shape[1]) @ units[b])
    return np.stack(steps)


def sampled(neighbours: np.ndarray, draws: np.ndarray, count: int, odds: tuple[float, float]) -> np.ndarray:
    r"""Some of the neighbours of every cell, without replacement, near ones more often than far ones.

    The m that have the largest :math:`\log(u_j) / p_j`, which is a draw of one after the other with probabilities
    proportional to what is left of p (Efraimidis and Spirakis 2006), p falling linearly from the nearest to the last.

    Parameters
    ----------
    neighbours
        Neighbours (n, k), nearest first.
    draws
        Uniform numbers u (n, k).
    count
        Neighbours to draw, m.
    odds
        p of the nearest and of the last neighbour.

    Returns
    -------
    ndarray
        (n, m), nearest first.
    """
    chances = np.linspace(*odds, neighbours.shape[1])
    places = np.argsort(-np.log(draws) / chances, axis=1, kind="stable")[:, :count]  # (n, m)
    drawn: np.ndarray = np.take_along_axis(neighbours, np.sort(places, axis=1), axis=1)
    return drawn


def shuffled(change: np.ndarray, orders: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Negative controls (R, G): the values of a change (G,) on other genes (orders (R, G)) and with other signs."""
    controls: np.ndarray = change[orders] * signs
    return controls


def draw_shuffles(random: np.random.Generator, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders of genes (count, size), int32, and signs, int8, for :func:`shuffled`."""
    orders = np.tile(np.arange(size, dtype=np.int32), (count, 1))
    return random.permuted(orders, axis=1), random.choice(np.array([-1, 1], dtype=np.int8), size=(count, size))


def near_each_other(embedding: np.ndarray, *, bits: int = 10) -> np.ndarray:
    """Order of the cells along a Z-curve of the first two dimensions, so that blocks of it share neighbours."""
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    scaled = (embedding - low) / np.where(high > low, high - low, 1.0) * (2**bits - 1)
    place = scaled[:, :2].astype(np.int64)
    code = np.zeros(len(embedding), dtype=np.int64)
    for bit in range(bits):
        for axis in range(place.shape[1]):
            code |= (place[:, axis] >> bit & 1) << (bit * place.shape[1] + axis)
    return np.argsort(code, kind="stable")


def blocks(
    order: np.ndarray, neighbours: np.ndarray, *, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Split cells into blocks that need at most ``most`` cells together with their neighbours.

    Parameters
    ----------
    order
        Cells in the order to go through (n,).
    neighbours
        Positions of the neighbours of every cell (n, k).
    most
        Most cells that may be read for one block; a single cell may need more.

    Yields
    ------
    tuple
        Cells of the block (B,), cells to read (U,), and rows in the latter of the cells and of their neighbours.
    """
    start, size = 0, max(1, most // 2)
    while start < len(order):
        cells = order[start : start + size]
        needed = np.unique(np.concatenate([cells, neighbours[cells].ravel()]))
        if len(needed) > most and len(cells) > 1:
            size = max(1, len(cells) // 2)
            continue
        yield cells, needed, np.searchsorted(needed, cells), np.searchsorted(needed, neighbours[cells])
        start += len(cells)
        size = max(1, most // 2) if len(needed) < most // 2 else size


def grid_axes(embedding: np.ndarray, n_grid: int, *, parity: bool = False) -> list[np.ndarray]:
    """Coordinates of grid points along every dimension, from 2.5 % before the cells to 2.5 % behind them.

    There are ``n_grid`` along the longest side and as many along the others as have the same distance. ``parity``:
    ``n_grid`` along every side, to 2.5625 % behind the cells.
    """
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    first = low - 0.025 * (high - low)
    if parity:
        last = high + 0.025 * (high - first)
        return [np.linspace(start, stop, n_grid) for start, stop in zip(first, last, strict=True)]
    sides = 1.05 * (high - low)
    step = float(sides.max()) / (n_grid - 1)
    counts = np.maximum(np.ceil(sides / step - 1e-9).astype(int) + 1, 2)
    starts = (low + high - step * (counts - 1)) / 2
    return [start + step * np.arange(count) for start, count in zip(starts, counts, strict=True)]


def grid_points(axes: list[np.ndarray]) -> np.ndarray:
    """All points of a grid (M, D), the first dimension running fastest."""
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)


def kernel_weights(distances: np.ndarray, deviation: float, *, parity: bool = False) -> np.ndarray:
    r"""Gaussian weights :math:`\exp(-d^2/2s^2)`: 1 for a cell at the point (``parity``: the normal density)."""
    weight: np.ndarray = np.exp(-0.5 * np.square(distances / deviation))
    if parity:
        weight /= deviation * np.sqrt(2 * np.pi)
    return weight


def smooth_vectors(weights: np.ndarray, neighbours: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    r"""Mean of vectors around points, shrunk where there are few cells: :math:`\sum_i w_i v_i / \max(1, \sum_i w_i)`.

    Parameters
    ----------
    weights, neighbours
        Of the cells nearest to every point (M, k).
    vectors
        One per cell (n, D).

    Returns
    -------
    ndarray
        (M, D).
    """
    summed: np.ndarray = np.einsum("mk,mkd->md", weights, vectors[neighbours])
    summed /= np.maximum(1.0, weights.sum(axis=1))[:, None]
    return summed


def gradients(
    points: np.ndarray,
    embedding: np.ndarray,
    quantity: np.ndarray,
    weights: np.ndarray,
    neighbours: np.ndarray,
    *,
    deviation: float,
) -> np.ndarray:
    r"""Slopes of a quantity at points, from a plane fitted to the nearest cells.

    .. math:: b = (\tilde E^T W \tilde E + \lambda I)^{-1} \tilde E^T W q, \quad \lambda = 10^{-3} s^2 \sum_i w_i

    with places :math:`\tilde E` centred at their weighted mean. The small penalty gives cells on a line a slope of 0
    across it.

    Parameters
    ----------
    points
        Places (M, D).
    embedding
        Cells (n, D).
    quantity
        One number per cell (n,).
    weights, neighbours
        Of the cells nearest to every point (M, k).
    deviation
        Bandwidth s of the weights.

    Returns
    -------
    ndarray
        (M, D); 0 where all weights vanish.
    """
    slopes = np.zeros(points.shape)
    mass = weights.sum(axis=1)
    seen = np.flatnonzero(mass > 1e-12)
    weight = weights[seen] / mass[seen, None]
    place = embedding[neighbours[seen]]
    place = place - np.einsum("mk,mkd->md", weight, place)[:, None]
    spread = np.einsum("mk,mkd,mke->mde", weight, place, place) + 1e-3 * deviation**2 * np.eye(points.shape[1])
    slopes[seen] = np.linalg.solve(
        spread, np.einsum("mk,mkd,mk->md", weight, place, quantity[neighbours[seen]])[..., None]
    )[..., 0]
    return slopes
