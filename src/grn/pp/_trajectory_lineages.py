"""A trajectory of cells that have a time and belong to lineages: lineages part after the last cell they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import GroupError, ParameterError
from grn._core.labels import texts
from grn._core.logging import hint, logger
from grn._core.near import did_you_mean
from grn._object.genes import column
from grn._object.groups import label_codes
from grn._object.trajectory import Trajectory

ROOT, MAIN = "root", "main"


class Lineages(NamedTuple):
    """Names of lineages (L), and which cells belong to them (n, L)."""

    names: list[str]
    members: np.ndarray


class Node(NamedTuple):
    """An end of an edge: its name and its time."""

    name: str
    time: float


def of_pseudotime(adata: AnnData, pseudotime: str, lineages: Any) -> Trajectory:
    """A trajectory along a column of numbers."""
    membership = lineages_of(adata, lineages)
    time = times(adata, pseudotime, "pseudotime", membership.members.any(axis=1))
    return _Growth(adata, time, membership, f"obs[{pseudotime!r}]").trajectory()


def of_stages(adata: AnnData, time: str, lineages: Any) -> Trajectory:
    """A trajectory with a node for every stage of a column of ordered labels, or of numbers."""
    membership = lineages_of(adata, lineages)
    values, stages = _stages(adata, time, membership.members.any(axis=1))
    return _Growth(adata, values, membership, f"obs[{time!r}]", stages).trajectory()


def times(adata: AnnData, name: object, argument: str, on: np.ndarray) -> np.ndarray:
    """A column of ``obs`` as numbers (n,), finite in the cells of a mask."""
    values = obs_column(adata, name, argument)
    if values.dtype == bool or not pd.api.types.is_numeric_dtype(values):
        raise ParameterError(
            f"obs[{name!r}] holds {values.dtype} and no numbers ({argument}=). Convert it, adata.obs[{name!r}] = "
            f"pd.to_numeric(adata.obs[{name!r}]), or pass ordered labels as time=."
        )
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = int((~np.isfinite(numbers[on])).sum())
    if bad:
        raise ParameterError(
            f"{bad} of {int(on.sum())} cells have no finite number in obs[{name!r}] ({argument}=). Leave them out, "
            f"adata = adata[np.isfinite(adata.obs[{name!r}])].copy(); diffusion pseudotime is infinite in cells that "
            "the graph of neighbours does not join to the root."
        )
    return numbers


def obs_column(adata: AnnData, name: object, argument: str) -> pd.Series:
    """A column of ``obs`` that an argument names."""
    if not isinstance(name, str) or name not in adata.obs:
        there = ", ".join(map(str, adata.obs.columns)) or "none"
        near = did_you_mean(str(name), list(map(str, adata.obs.columns)))
        raise GroupError(f"adata.obs has no column {checks.shown(name)} ({argument}=); columns: {there}.{near}")
    return column(adata.obs, name)


def _stages(adata: AnnData, name: str, on: np.ndarray) -> tuple[np.ndarray, dict[float, str]]:
    """Time of every cell (n,), and the label of every time: numbers as they are, ordered labels 0, 1, 2, ..."""
    values = obs_column(adata, name, "time")
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered:
        names, codes = label_codes(pd.DataFrame({name: values[on]}), name)
        time = np.full(len(values), np.nan)
        time[on] = codes
        return time, dict(enumerate(names))  # type: ignore[arg-type]
    if not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
        raise ParameterError(
            f"obs[{name!r}] holds labels without an order (time=). Give them one, adata.obs[{name!r}] = "
            f"pd.Categorical(adata.obs[{name!r}], categories=[...], ordered=True), or make numbers of them."
        )
    time = times(adata, name, "time", on)
    return time, {float(value): f"{value:g}" for value in np.unique(time[on])}


def lineages_of(adata: AnnData, lineages: Any) -> Lineages:
    """Who belongs to which lineage, from a column of labels, several of booleans, a table, or everybody to one."""
    if lineages is None:
        return Lineages([MAIN], np.ones((adata.n_obs, 1), dtype=bool))
    if isinstance(lineages, str):
        obs_column(adata, lineages, "lineages")
        names, codes = label_codes(adata.obs, lineages, gaps=True)
        found = Lineages(list(names), codes[:, None] == np.arange(len(names)))
    elif isinstance(lineages, pd.DataFrame):
        found = _members(lineages.reindex(adata.obs_names), "lineages")
    else:
        listed = checks.names("lineages", lineages, what="columns of obs")
        columns = {name: obs_column(adata, name, "lineages") for name in listed}
        found = _members(pd.DataFrame(columns, index=adata.obs_names), "lineages")
    _check_lineages(found)
    return found


def _members(table: pd.DataFrame, argument: str) -> Lineages:
    """Membership from columns of booleans; a missing one is no."""
    names = texts(table.columns, argument)
    if len(set(names)) < len(names) or not names:
        raise ParameterError(f"{argument} has the columns {names[:8]}; expected one column for each lineage.")
    for name, (_, values) in zip(names, table.items(), strict=True):
        if not values.dropna().isin([False, True]).all():
            raise ParameterError(
                f"column {name!r} of {argument} holds {checks.shown(values.dropna().iloc[0])}; expected True and "
                "False, whether a cell belongs to the lineage. Labels of lineages are passed as one column."
            )
    return Lineages(names, table.eq(True).to_numpy(dtype=bool))  # noqa: FBT003


def _check_lineages(lineages: Lineages) -> None:
    empty = [name for name, members in zip(lineages.names, lineages.members.T, strict=True) if not members.any()]
    if empty or not lineages.names:
        raise GroupError(
            f"lineages= names {len(lineages.names)} lineages of which {len(empty)} have no cell"
            f"{': ' + ', '.join(map(repr, empty[:5])) if empty else ''}. Leave these out; names of cells in a table "
            "are those of adata.obs_names."
        )
    if ROOT in lineages.names:
        raise GroupError(f"a lineage is called {ROOT!r}, which is the name of the first node; rename it.")
    off = int((~lineages.members.any(axis=1)).sum())
    if off:
        hint("%d of %d cells belong to no lineage and are off the trajectory", off, len(lineages.members))


class _Growth:
    """The tree of some lineages, grown from its root."""

    def __init__(
        self,
        adata: AnnData,
        time: np.ndarray,
        lineages: Lineages,
        where: str,
        stages: Mapping[float, str] | None = None,
    ) -> None:
        self.adata, self.time, self.lineages, self.where, self.stages = adata, time, lineages, where, stages or {}
        self.rows: list[tuple[Node, Node]] = []
        self.paths: list[list[int]] = [[] for _ in lineages.names]
        self.parting = partings(time, lineages.members)  # (L, L)

    def trajectory(self) -> Trajectory:
        """The cells on the tree."""
        on = self.lineages.members.any(axis=1)
        first = float(self.time[on].min())
        if float(self.time[on].max()) == first:
            raise ParameterError(
                f"{self.where} is {first:g} in all cells, so that nothing is before or after; pass a column that grows."
            )
        everybody = tuple(range(len(self.lineages.names)))
        root = self.stages.get(first, ROOT) if len(everybody) == 1 else ROOT
        self._grow(everybody, Node(root, first))
        edges = table_of(self.rows)
        paths = {name: tuple(path) for name, path in zip(self.lineages.names, self.paths, strict=True)}
        edge, place = self._places()
        logger.info("trajectory: %d edges, %d lineages", len(edges), len(paths))
        return Trajectory(edges, paths, edge, place, np.asarray(self.adata.obs_names, dtype=str))

    def _grow(self, group: tuple[int, ...], node: Node) -> None:
        """Edges of the lineages of a group from a node on."""
        apart = float(self.parting[np.ix_(group, group)].min())
        if apart > node.time:
            node = self._edge(group, node, apart)
        elif len(group) == 1:
            name = self.lineages.names[group[0]]
            raise GroupError(
                f"lineage {name!r} has no cell after {apart:g} of {self.where}, where it parts from others; leave it "
                "out, or give it cells of its own."
            )
        if len(group) > 1:
            for part in _components(self.parting, group, apart):
                self._grow(part, node)

    def _edge(self, group: tuple[int, ...], node: Node, until: float) -> Node:
        """Go on from a node to a time, over the stages between; the node there."""
        name = "+".join(sorted(self.lineages.names[i] for i in group))
        alone = len(self.lineages.names) == 1
        between = [stage for stage in self.stages if node.time < stage < until]
        for stop in (*between, until):
            stage = self.stages.get(stop)
            inner = stage if alone and stage is not None else name if stop == until else f"{name} {stage}"
            for lineage in group:
                self.paths[lineage].append(len(self.rows))
            self.rows.append((node, Node(inner, stop)))
            node = self.rows[-1][1]
        return node

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Edge (-1 for none) and place (n,) of every cell: on the path of any of its lineages, at its time."""
        edge, place = np.full(len(self.time), -1), np.full(len(self.time), np.nan)
        for path, members in zip(self.paths, self.lineages.members.T, strict=True):
            own = np.flatnonzero(members)
            edge[own], place[own] = on_path([self.rows[i] for i in path], np.array(path), self.time[own])
        return edge, place


def partings(time: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Time (L, L) until which two lineages are one: of their last common cell, and with others in between.

    If one lineage goes with a second for longer than with a third, the second parts from the third where the first
    does.
    """
    lineages = members.shape[1]
    begin = time[members.any(axis=1)].min()
    apart = np.empty((lineages, lineages))
    for one in range(lineages):
        for two in range(one, lineages):
            shared = time[members[:, one] & members[:, two]]
            apart[one, two] = apart[two, one] = shared.max() if len(shared) else begin
    ends = np.diag(apart).copy()
    for through in range(lineages):
        apart = np.maximum(apart, np.minimum(apart[:, [through]], apart[[through]]))
    np.fill_diagonal(apart, ends)
    return apart


def _components(parting: np.ndarray, group: Sequence[int], time: float) -> list[tuple[int, ...]]:
    """The lineages that are still together after a time."""
    parts: list[tuple[int, ...]] = []
    left = list(group)
    while left:
        part = tuple(i for i in left if i == left[0] or parting[left[0], i] > time)
        parts.append(part)
        left = [i for i in left if i not in part]
    return parts


def on_path(nodes: Sequence[tuple[Node, Node]], edges: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and places (m,) on a path at some times; a cell at the time of a node is on the edge that leads there."""
    starts = np.array([start.time for start, _ in nodes])
    ends = np.array([end.time for _, end in nodes])
    step = np.minimum(np.searchsorted(ends, time, side="left"), len(nodes) - 1)
    return edges[step], np.clip(time - starts[step], 0.0, ends[step] - starts[step])


def table_of(rows: Sequence[tuple[Node, Node]]) -> pd.DataFrame:
    """The edges as a table."""
    made = [(f"{start.name}>{end.name}", start.name, end.name, end.time - start.time) for start, end in rows]
    return pd.DataFrame(made, columns=["edge", "start", "end", "length"])
