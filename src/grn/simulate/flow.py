"""The flow of cells on an embedding after a simulated perturbation, beside that of negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from grn._core.logging import progress
from grn._core.rng import child, name_codes, pair_draws, sample_names
from grn._core.settings import settings as defaults
from grn._kernels import flow as kernel
from grn.simulate.place import Place, n_sampled
from grn.simulate.propagation import GeneIntervention, LinearCells

# cells of a group that p-values are computed from, at most; shuffles cost far more than the flow itself
_COUNTED = 1000
# cells whose neighbours are drawn at a time
_CELLS_DRAWN = 4096


@dataclass(frozen=True)
class Flow:
    """Shifts of cells (n, 2), those of the control, tables of the grid and the groups, and transitions (n, n)."""

    shift: np.ndarray
    control: np.ndarray
    grid: pd.DataFrame
    groups: pd.DataFrame
    transitions: sparse.csr_matrix | None = None


def _sampled(place: Place, neighbours: np.ndarray, names: list[str], seed: int) -> np.ndarray:
    """The neighbours that count (n, m), drawn by the names of both cells."""
    if place.sampling is None:
        return neighbours
    fraction, odds = place.sampling
    codes = name_codes(seed, "neighbours", names)
    drawn = np.empty((len(neighbours), n_sampled(fraction, neighbours.shape[1])), dtype=neighbours.dtype)
    for start in range(0, len(neighbours), _CELLS_DRAWN):
        rows = slice(start, start + _CELLS_DRAWN)
        draws = pair_draws(codes[rows, None], codes[neighbours[rows]])
        drawn[rows] = kernel.sampled(neighbours[rows], draws, drawn.shape[1], odds)
    return drawn


def flow_of(
    model: LinearCells,
    settings: tuple[GeneIntervention, ...],
    place: Place,
    names: list[str],
    seed: int,
) -> Flow:
    """Shifts of all cells under the perturbation and the controls, on the grid and per group."""
    nearest = NearestNeighbors(n_neighbors=place.n_neighbors + int(model.parity)).fit(place.embedding)
    distances, neighbours = nearest.kneighbors()
    axes = kernel.grid_axes(place.embedding, place.n_grid, parity=model.parity)
    deviation = place.bandwidth * float(np.mean([axis[1] - axis[0] for axis in axes]))
    slope = None
    if place.pseudotime is not None:
        weights = kernel.kernel_weights(distances, deviation)
        slope = _slopes(place, place.embedding, weights, neighbours, deviation)
        known = np.isfinite(place.pseudotime)
        slope = np.where(known[:, None], slope / _size(slope[known]), 0.0)
    del distances
    neighbours = _sampled(place, neighbours, names, seed)
    moves = _moves(model, settings, place, neighbours, names, seed, slope)
    points = kernel.grid_points(axes)
    distances, near = nearest.kneighbors(points, n_neighbors=place.n_neighbors)
    weights = kernel.kernel_weights(distances, deviation, parity=model.parity)
    grid = _grid_table(place, points, weights, near, deviation, moves)
    groups = _group_table(model, place, moves, slope)
    return Flow(moves.shift, moves.control, grid, groups, _matrix(moves.transitions, neighbours))


def _matrix(transitions: np.ndarray | None, neighbours: np.ndarray) -> sparse.csr_matrix | None:
    """Probabilities (n, k) of going to neighbours (n, k) as a matrix of cells by cells; one entry per neighbour."""
    if transitions is None:
        return None
    n, k = neighbours.shape
    starts = np.arange(n + 1, dtype=np.int64) * k
    matrix = sparse.csr_matrix((transitions.ravel(), neighbours.ravel(), starts), shape=(n, n))
    matrix.sort_indices()
    return matrix


def _slopes(
    place: Place, points: np.ndarray, weights: np.ndarray, neighbours: np.ndarray, deviation: float
) -> np.ndarray:
    """Gradient of pseudotime at points, from the cells that have one."""
    time = np.asarray(place.pseudotime)
    weights = weights * np.isfinite(time)[neighbours]
    return kernel.gradients(points, place.embedding, np.nan_to_num(time), weights, neighbours, deviation=deviation)


def _size(vectors: np.ndarray) -> float:
    """Root of the mean squared length, 1 where all are 0."""
    length = float(np.sqrt(np.square(vectors).sum(axis=1).mean())) if len(vectors) else 0.0
    return length or 1.0


@dataclass(frozen=True)
class _Moves:
    """What :func:`_moves` finds.

    Parameters
    ----------
    shift, control
        Shifts of the cells and of their own shuffles (n, 2).
    counted
        Cells that the p-values are computed from (n,), a mask.
    moved
        Sums over the counted cells of every group: the perturbation, then the shared shuffles (groups, 1 + R, 2).
    scored
        The same of the inner products with development (groups, 1 + R).
    transitions
        Probabilities of going to each neighbour (n, k), float32, if wanted.
    """

    shift: np.ndarray
    control: np.ndarray
    counted: np.ndarray
    moved: np.ndarray
    scored: np.ndarray
    transitions: np.ndarray | None


def _moves(
    model: LinearCells,
    settings: tuple[GeneIntervention, ...],
    place: Place,
    neighbours: np.ndarray,
    names: list[str],
    seed: int,
    slope: np.ndarray | None,
) -> _Moves:
    """Shifts of all cells, of their own shuffles, and sums over the shuffles that all cells share.

    The control has an own shuffle per cell; for the p-values all cells share a shuffle, which leaves them as much
    alike as they are and asks only whether it matters which genes respond.
    """
    columns = _compared(model, own_change=place.own_change)
    shared = kernel.draw_shuffles(child(seed, "shuffles"), place.n_controls, len(columns))
    n, n_groups = len(model.codes), len(model.groups)
    counted = _counted(model.codes, names, seed) if place.n_controls else np.zeros(n, dtype=bool)
    moved, scored = np.zeros((n_groups, 1 + place.n_controls, 2)), np.zeros((n_groups, 1 + place.n_controls))
    chances = np.empty(neighbours.shape, dtype=np.float32) if place.keep_transitions else None
    moves = _Moves(np.empty((n, 2)), np.empty((n, 2)), counted, moved, scored, chances)
    most = int(np.clip(defaults.memory_budget // (16 * model.n_vars), 64, 8192))
    parts = kernel.blocks(kernel.near_each_other(place.embedding), neighbours, most=most)
    for cells, needed, rows, near in progress(parts, desc="flow"):
        values = model.read(needed)
        full = np.zeros((len(cells), model.n_vars), dtype=np.float32)
        full[:, model.columns] = model.change(cells, values[rows][:, model.columns], settings)
        values, full = values[:, columns], full[:, columns]
        units = kernel.directions(place.embedding, cells, neighbours[cells])
        for part, shuffles in ((counted[cells], shared), (~counted[cells], None)):
            some = cells[part]
            variants = partial(_variants, full[part], [names[c] for c in some], seed, shuffles)
            going = None if chances is None else np.empty(near[part].shape)
            shifted = kernel.shifts(
                values, rows[part], near[part], units[part], variants,
                undefined=1.0 if model.parity else 0.0, transitions=going,
            )  # fmt: skip
            if chances is not None:
                chances[some] = going
            moves.shift[some], moves.control[some] = shifted[:, 0], shifted[:, 1]
            if shuffles is not None:
                real_and_shared = np.delete(shifted, 1, axis=1)
                np.add.at(moved, model.codes[some], real_and_shared)
                if slope is not None:
                    np.add.at(scored, model.codes[some], np.einsum("brd,bd->br", real_and_shared, slope[some]))
    return moves


def _compared(model: LinearCells, *, own_change: bool) -> np.ndarray:
    """Columns of the genes over which changes are compared with neighbours."""
    if model.parity:
        return np.arange(model.n_vars)
    return model.columns if own_change else np.delete(model.columns, model.genes)


def _counted(codes: np.ndarray, names: list[str], seed: int) -> np.ndarray:
    """Some cells of every group, drawn by name."""
    mask = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        cells = np.flatnonzero(codes == code)
        mask[cells[sample_names([names[c] for c in cells], _COUNTED, seed)]] = True
    return mask


def _variants(
    change: np.ndarray, names: list[str], seed: int, shared: tuple[np.ndarray, np.ndarray] | None, b: int
) -> np.ndarray:
    """The change of cell b, its own shuffle, and the shared ones if there are any."""
    real = change[b]
    alone = kernel.draw_shuffles(child(seed, "control", names[b]), 1, len(real))
    changes = [real[None], kernel.shuffled(real, *alone)]
    return np.concatenate(changes if shared is None else [*changes, kernel.shuffled(real, *shared)])


def _grid_table(
    place: Place, points: np.ndarray, weights: np.ndarray, near: np.ndarray, deviation: float, moves: _Moves
) -> pd.DataFrame:
    """Flow, control and, with a pseudotime, development and scores at the points of the grid."""
    mass = weights.sum(axis=1)
    table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1], "mass": mass, "shown": mass >= place.min_mass})
    vectors = {
        "flow": kernel.smooth_vectors(weights, near, moves.shift),
        "control": kernel.smooth_vectors(weights, near, moves.control),
    }
    if place.pseudotime is not None:
        slope = _slopes(place, points, weights, near, deviation)
        vectors["development"] = slope / _size(slope[table["shown"].to_numpy()])
    for name, vector in vectors.items():
        table[f"{name}_x"], table[f"{name}_y"] = vector.T
    if place.pseudotime is not None:
        table["score"] = (vectors["flow"] * vectors["development"]).sum(axis=1)
        table["control_score"] = (vectors["control"] * vectors["development"]).sum(axis=1)
    return table


def _group_table(model: LinearCells, place: Place, moves: _Moves, slope: np.ndarray | None) -> pd.DataFrame:
    """Mean shift and mean score of every group, with what shuffles give and how often they give as much."""
    counts = np.bincount(model.codes, minlength=len(model.groups))
    table = pd.DataFrame({"group": [group or "all" for group in model.groups], "n_cells": counts})
    mean = _group_means(moves.shift, model.codes, counts)
    table["shift_x"], table["shift_y"] = mean.T
    table["shift"] = np.linalg.norm(mean, axis=1)
    used = np.bincount(model.codes[moves.counted], minlength=len(counts))
    lengths = np.linalg.norm(moves.moved, axis=2) / np.maximum(used, 1)[:, None]
    table["control_shift"], table["p_shift"] = _against(lengths)
    if slope is None:
        return table
    # cells off the trajectory have slope 0 and do not count
    known = np.isfinite(place.pseudotime)
    on = np.maximum(np.bincount(model.codes[known], minlength=len(counts)), 1)
    table["score"] = _group_means((moves.shift * slope).sum(axis=1, keepdims=True), model.codes, on)[:, 0]
    used = np.bincount(model.codes[moves.counted & known], minlength=len(counts))
    table["control_score"], table["p_score"] = _against(moves.scored / np.maximum(used, 1)[:, None])
    return table


def _group_means(vectors: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    summed = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(summed, codes, vectors)
    return summed / counts[:, None]


def _against(values: np.ndarray) -> tuple[Any, Any]:
    """Mean size of the shuffled values (G, 1 + R), and the share of all that are at least as large as the first."""
    if values.shape[1] == 1:
        return np.nan, np.nan
    size = np.abs(values)
    reached = (size >= size[:, :1] * (1 - 1e-9)).sum(axis=1)
    return size[:, 1:].mean(axis=1), reached / values.shape[1]
