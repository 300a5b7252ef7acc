"""Trajectories of cells: a tree of edges, and where on it every cell is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.entries import UnsEntry, entry_of
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import hint
from grn._core.near import did_you_mean
from grn._kernels.tree import Tree
from grn._kernels.windows import Windows, moving_windows
from grn._object.genes import column
from grn.network.schema import storable

KEY = "trajectory"
_EDGES, _LINEAGES = ("edge", "start", "end", "length"), ("lineage", "edge", "order")


@dataclass(frozen=True)
class Trajectory:
    """Cells on a rooted tree; the positions of cells are those in the object.

    Parameters
    ----------
    edges
        Columns ``edge``, ``start``, ``end`` (names) and ``length``, each edge after the one that leads to its start.
    lineages
        Edges of every lineage (codes: rows of ``edges``), from the root to a leaf.
    edge
        Edge of every cell (n,), -1 off the trajectory.
    place
        Distance of every cell (n,) from the start of its edge, NaN off the trajectory.
    names
        Names of the cells (n,), by which ties are settled.
    """

    edges: pd.DataFrame
    lineages: Mapping[str, tuple[int, ...]]
    edge: np.ndarray
    place: np.ndarray
    names: np.ndarray = field(repr=False)

    @cached_property
    def nodes(self) -> list[str]:
        """Names of the nodes, the root first, then the ends of the edges."""
        return [str(self.edges["start"].iloc[0]), *map(str, self.edges["end"])]

    @cached_property
    def tree(self) -> Tree:
        """The edges as numbers."""
        code = {name: i for i, name in enumerate(self.nodes)}
        start, end = (np.array([code[str(name)] for name in self.edges[side]]) for side in ("start", "end"))
        return Tree(start, end, self.edges["length"].to_numpy(dtype=np.float64))

    @cached_property
    def time(self) -> np.ndarray:
        """Distance of every cell (n,) from the root, NaN off the trajectory."""
        on = self.edge >= 0
        time = np.full(len(self.edge), np.nan)
        time[on] = self.tree.time(self.edge[on], self.place[on])
        return time

    @cached_property
    def by_name(self) -> np.ndarray:
        """Positions of the cells that are on the trajectory (m,), in the order of their names."""
        order = np.argsort(self.names, kind="stable")
        positions: np.ndarray = order[self.edge[order] >= 0]
        return positions

    def cells(self, lineage: str) -> np.ndarray:
        """Positions of the cells on a lineage (m,), by their time, at one time by their names."""
        if lineage not in self.lineages:
            known = list(self.lineages)
            raise ParameterError(
                f"lineage={lineage!r}; the lineages are {', '.join(map(repr, known))}."
                f"{did_you_mean(str(lineage), known)}"
            )
        positions = self.by_name[np.isin(self.edge[self.by_name], self.lineages[lineage])]
        return positions[np.argsort(self.time[positions], kind="stable")]

    def bins(self, lineage: str, n: int | None = None) -> list[np.ndarray]:
        """Positions of the cells of a lineage in bins in the order of time: n of equal size, or one for every time.

        Bins differ by one cell at most, earlier ones being larger; cells at one time are divided by their names.
        """
        cells = self.cells(lineage)
        if n is None:
            return np.split(cells, np.flatnonzero(np.diff(self.time[cells]) > 0) + 1)
        note = f", as lineage {lineage!r} has {len(cells)} cells"
        return np.array_split(cells, checks.integer("n", n, least=1, most=max(1, len(cells)), note=note))

    def windows(self, n_cells: int, overlap: int, farthest: float | None = None) -> Windows:
        """Moving windows of nearest cells, see :func:`grn._kernels.windows.moving_windows`.

        Parameters
        ----------
        n_cells
            Cells of a window, at least 2 and at most those on the trajectory.
        overlap
            Cells that windows next to each other share at least, below ``n_cells``.
        farthest
            Most distance between windows next to each other, in units of the pseudotime; ``None`` for any.
        """
        there = len(self.by_name)
        note = f", as {there} cells are on the trajectory"
        n_cells = checks.integer("n_cells", n_cells, least=2, most=max(2, there), note=note)
        if there < n_cells:
            raise ParameterError(f"n_cells={n_cells}; {there} cells are on the trajectory, and a window needs 2.")
        overlap = checks.integer("overlap", overlap, least=0, most=n_cells - 1, note=" (below n_cells)")
        limit = np.inf if farthest is None else checks.number("farthest", farthest, above=0, note=", or None")
        span = float(self.tree.between_nodes.max())
        if limit < span / _MOST_WINDOWS:
            raise ParameterError(
                f"farthest={farthest} on a trajectory {span:.3g} long, so that windows are too many to use; pass more "
                f"than {span / _MOST_WINDOWS:.3g}, or None."
            )
        own = self.by_name
        windows = moving_windows(
            self.tree, self.edge[own], self.place[own], n_cells=n_cells, overlap=overlap, farthest=limit
        )
        if len(windows.jumps):
            hint(
                "%d of %d windows share fewer than %d cells with the one before, as many cells are at one place",
                len(windows.jumps), len(windows), overlap,
            )  # fmt: skip
        return Windows(**{**vars(windows), "cells": own[windows.cells]})


# windows along the longest way of a trajectory
_MOST_WINDOWS = 100_000


def write_trajectory(adata: AnnData, key: str, trajectory: Trajectory, params: Mapping[str, Any]) -> None:
    """Write a trajectory into an object of the same cells."""
    names = list(map(str, trajectory.edges["edge"]))
    orders = [
        {"lineage": lineage, "edge": names[edge], "order": order}
        for lineage, edges in trajectory.lineages.items()
        for order, edge in enumerate(edges)
    ]
    adata.obs[f"{key}_edge"] = pd.Categorical.from_codes(trajectory.edge, names)
    adata.obs[f"{key}_place"] = trajectory.place
    adata.obs[f"{key}_time"] = trajectory.time
    adata.uns[key] = {
        "edges": trajectory.edges.loc[:, list(_EDGES)].reset_index(drop=True),
        "lineages": pd.DataFrame(orders, columns=list(_LINEAGES)),
        "params": storable(dict(params)),
    }


def trajectory_of(adata: AnnData, key: str = KEY) -> Trajectory:
    """The trajectory that :func:`grn.pp.trajectory` wrote; an error if there is none, or what is there does not fit."""
    call = "grn.pp.trajectory(adata, ...)" if key == KEY else f"grn.pp.trajectory(adata, ..., key_added={key!r})"
    entry = entry_of(adata, key, what="trajectory", call=call)
    edges, lineages = _table(entry, "edges", _EDGES), _table(entry, "lineages", _LINEAGES)
    names = list(map(str, edges["edge"]))
    code = {name: i for i, name in enumerate(names)}
    try:
        length = edges["length"].to_numpy(dtype=np.float64)
        order = lineages["order"].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise entry.damaged(f"its numbers are none ({error})") from error
    if len(code) < len(edges) or not (np.isfinite(length) & (length > 0)).all() or not np.isfinite(order).all():
        raise entry.damaged("its edges have no names of their own, or no length above 0")
    _check_tree(entry, edges)
    members: dict[str, list[tuple[float, int]]] = {}
    for lineage, edge, rank in zip(lineages["lineage"], map(str, lineages["edge"]), order, strict=True):
        if edge not in code:
            raise entry.damaged(f"a lineage has the edge {edge!r}, which is not among the edges")
        members.setdefault(str(lineage), []).append((rank, code[edge]))
    paths = {lineage: tuple(edge for _, edge in sorted(listed)) for lineage, listed in members.items()}
    _check_paths(entry, edges, paths)
    edge, place = _cells(adata, key, entry, code, length)
    tidy = edges.assign(edge=names, start=edges["start"].astype(str), end=edges["end"].astype(str), length=length)
    return Trajectory(tidy.reset_index(drop=True), paths, edge, place, np.asarray(adata.obs_names, dtype=str))


def _table(entry: UnsEntry, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    table = entry.record.get(name)
    if not isinstance(table, pd.DataFrame) or table.empty or not table.columns.is_unique:
        raise entry.damaged(f"it has no table {name!r} with rows")
    if not set(columns) <= set(table.columns):
        raise entry.damaged(f"{name!r} has the columns {list(map(str, table.columns))[:8]}; expected {list(columns)}")
    return table


def _check_tree(entry: UnsEntry, edges: pd.DataFrame) -> None:
    """Refuse edges that do not lead away from one root, each after the one that leads to its start."""
    reached = {str(edges["start"].iloc[0])}
    for start, end in zip(map(str, edges["start"]), map(str, edges["end"]), strict=True):
        if start not in reached or end in reached:
            raise entry.damaged(f"the edge from {start!r} to {end!r} does not lead on from those before")
        reached.add(end)


def _check_paths(entry: UnsEntry, edges: pd.DataFrame, paths: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse lineages that do not lead on from the root."""
    start, end = list(map(str, edges["start"])), list(map(str, edges["end"]))
    for lineage, path in paths.items():
        stops = [start[0], *(end[edge] for edge in path)]
        if [start[edge] for edge in path] != stops[:-1]:
            raise entry.damaged(f"lineage {lineage!r} does not lead on from the root, edge by edge")


def _cells(
    adata: AnnData, key: str, entry: UnsEntry, code: Mapping[str, int], length: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Edge and place of every cell, from ``obs``."""
    for name in (f"{key}_edge", f"{key}_place"):
        if name not in adata.obs:
            raise ResultNotFoundError(f"obs has no column {name!r}, which belongs to {entry.where}. Call {entry.call}.")
    labels = column(adata.obs, f"{key}_edge")
    unknown = sorted(set(map(str, labels.dropna())) - set(code))
    if unknown:
        raise entry.damaged(f"obs[{key + '_edge'!r}] has {unknown[0]!r}, which is not among the edges")
    places = [code[str(label)] if known else -1 for label, known in zip(labels, labels.notna(), strict=True)]
    edge = np.array(places, dtype=np.int64)
    try:
        place = column(adata.obs, f"{key}_place").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise entry.damaged(f"obs[{key + '_place'!r}] holds no numbers ({error})") from error
    on = edge >= 0
    if not ((place[on] >= 0) & (place[on] <= length[edge[on]])).all():
        raise entry.damaged(f"obs[{key + '_place'!r}] has cells that are not on their edges")
    return edge, np.where(on, place, np.nan)
