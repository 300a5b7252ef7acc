"""A trajectory from tables of its edges and of where the cells are, as other programs leave them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import hint
from grn._core.near import did_you_mean
from grn._kernels.tree import from_root, pieces_and_cycle
from grn._object.trajectory import Trajectory

# by which places may lie beyond the ends of an edge, as a share of its length, as numbers are rounded in tables
_ROUNDING = 1e-6


def of_table(adata: AnnData, edges: Any, cells: Any, root: str | None) -> Trajectory:
    """Cells on edges that were given, turned so that all of them lead away from the root."""
    table = _edges(edges)
    nodes = sorted({*table["start"], *table["end"]})
    start, end = (np.array([nodes.index(name) for name in table[side]]) for side in ("start", "end"))
    _check_tree(table, nodes, start, end)
    order, against = from_root(start, end, nodes.index(_root(table, nodes, root)))
    edge, place = _places(adata, table, cells)
    on = edge >= 0
    turned = on & against[np.where(on, edge, 0)]
    place[turned] = table["length"].to_numpy()[edge[turned]] - place[turned]
    rank = np.argsort(order)
    edge[on] = rank[edge[on]]
    table.loc[against, ["start", "end"]] = table.loc[against, ["end", "start"]].to_numpy()
    table = table.iloc[order].reset_index(drop=True)
    trajectory = Trajectory(table, {}, edge, place, np.asarray(adata.obs_names, dtype=str))
    paths = {trajectory.nodes[leaf]: path for leaf, path in trajectory.tree.paths().items()}
    empty = [leaf for leaf, path in sorted(paths.items()) if not np.isin(edge, path).any()]
    if empty:
        raise GroupError(
            f"{len(empty)} of {len(paths)} lineages have no cell on any of their edges: those to "
            f"{', '.join(map(repr, empty[:5]))}. Leave these edges out."
        )
    return Trajectory(table, dict(sorted(paths.items())), edge, place, trajectory.names)


def _edges(edges: Any) -> pd.DataFrame:
    """Edges with names, ends and lengths, in the order of their names."""
    if not isinstance(edges, pd.DataFrame) or not {"start", "end", "length"} <= set(edges.columns) or edges.empty:
        given = list(map(str, edges.columns))[:8] if isinstance(edges, pd.DataFrame) else type(edges).__name__
        raise ParameterError(f"edges has {given}; pass a table with rows and the columns start, end, length[, edge].")
    for name in {"edge", "start", "end"} & set(edges.columns):
        if edges[name].isna().any():
            raise ParameterError(f"column {name!r} of edges has {int(edges[name].isna().sum())} missing names.")
    start, end = (edges[side].astype(str).to_numpy() for side in ("start", "end"))
    names = edges["edge"].astype(str).to_numpy() if "edge" in edges else _joined(start, end)
    try:
        length = edges["length"].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"column 'length' of edges holds no numbers ({error}).") from error
    bad = [str(name) for name, value in zip(names, length, strict=True) if not (np.isfinite(value) and value > 0)]
    if bad:
        raise ParameterError(f"{len(bad)} edges have no length above 0, for example {bad[:3]}; join their two nodes.")
    table = pd.DataFrame({"edge": names, "start": start, "end": end, "length": length})
    if table["edge"].duplicated().any():
        twice = table["edge"][table["edge"].duplicated()].iloc[0]
        raise ParameterError(f"edges has {twice!r} more than once; each edge has a row, and a name of its own.")
    return table.sort_values("edge", ignore_index=True)


def _joined(start: Any, end: Any) -> np.ndarray:
    return np.array([f"{a}>{b}" for a, b in zip(start, end, strict=True)], dtype=object)


def _check_tree(table: pd.DataFrame, nodes: list[str], start: np.ndarray, end: np.ndarray) -> None:
    """Refuse edges that close a cycle, or that do not hang together."""
    pieces, closing = pieces_and_cycle(start, end, len(nodes))
    if closing is not None:
        raise ParameterError(
            f"edge {table['edge'].iloc[closing]!r} closes a cycle, and lineages of a cycle have no end; leave out one "
            "of its edges."
        )
    if pieces.max():
        parts = [[nodes[i] for i in np.flatnonzero(pieces == piece)][:3] for piece in (0, 1)]
        raise ParameterError(
            f"edges fall into {pieces.max() + 1} pieces, such as that of {parts[0]} and that of {parts[1]}; pass one "
            "connected tree, or make a trajectory of each piece from its cells alone."
        )


def _root(table: pd.DataFrame, nodes: list[str], root: str | None) -> str:
    """The node to begin with: that asked for, or the only one that no edge ends at."""
    if root is not None:
        if not isinstance(root, str) or root not in nodes:
            near = did_you_mean(str(root), nodes)
            raise ParameterError(
                f"root={checks.shown(root)} is no node of edges; nodes: {', '.join(nodes[:10])}"
                f"{', ...' if len(nodes) > 10 else ''}.{near}"
            )
        return root
    first = sorted(set(table["start"]) - set(table["end"]))
    if len(first) != 1:
        raise ParameterError(
            f"{len(first)} nodes of edges begin an edge and end none{': ' if first else ''}{', '.join(first[:5])}; say "
            "where the trajectory begins: root='...'."
        )
    return first[0]


def _places(adata: AnnData, table: pd.DataFrame, cells: Any) -> tuple[np.ndarray, np.ndarray]:
    """Edge (row of the table, -1 for none) and place of every cell, from a table by the names of the cells."""
    listed = set(cells.columns) if isinstance(cells, pd.DataFrame) else set()
    if "place" not in listed or not ({"edge"} <= listed or {"start", "end"} <= listed):
        given = sorted(map(str, listed))[:8] or type(cells).__name__
        raise ParameterError(
            f"cells has {given}; pass a table by the names of the cells, with the columns edge and place, or start, "
            "end and place."
        )
    if not cells.index.is_unique:
        raise ParameterError(f"cells has {cells.index[cells.index.duplicated()][0]!r} more than once; keep one row.")
    own = cells[cells.index.isin(adata.obs_names)]
    if own.empty:
        raise ParameterError(
            f"none of the {len(cells)} names of cells is in adata.obs_names; it has for example "
            f"{list(adata.obs_names[:2])}, the table {list(cells.index[:2])}."
        )
    rows, places = _rows(own, table)
    position = adata.obs_names.get_indexer(own.index)
    edge, place = np.full(adata.n_obs, -1), np.full(adata.n_obs, np.nan)
    edge[position], place[position] = rows, places
    off = int((edge < 0).sum())
    if off or len(own) < len(cells):
        hint(
            "%d of %d cells are on no edge and off the trajectory; %d rows of cells= are of no cell of the object",
            off, adata.n_obs, len(cells) - len(own),
        )  # fmt: skip
    return edge, place


def _rows(cells: pd.DataFrame, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Row of the edge (-1 for none) and place of the cells of a table."""
    row_of = {name: row for row, name in enumerate(table["edge"])}
    reverse: dict[str, int] = {}
    if "edge" in cells:
        known, names = cells["edge"].notna().to_numpy(), cells["edge"].astype(str).to_numpy()
    else:
        known = cells[["start", "end"]].notna().all(axis=1).to_numpy()
        names = _joined(cells["start"].astype(str), cells["end"].astype(str))
        row_of = {name: row for row, name in enumerate(_joined(table["start"], table["end"]))}
        reverse = {name: row for row, name in enumerate(_joined(table["end"], table["start"]))}
    unknown = sorted({str(name) for name in names[known]} - set(row_of) - set(reverse))
    if unknown:
        near = did_you_mean(unknown[0], list(row_of))
        raise ParameterError(
            f"cells are on {unknown[0]!r}, which is no edge; edges: {', '.join(list(row_of)[:8])}"
            f"{', ...' if len(row_of) > 8 else ''}.{near}"
        )
    rows = np.array([row_of.get(n, reverse.get(n, -1)) if k else -1 for n, k in zip(names, known, strict=True)])
    backwards = np.array([k and n not in row_of for n, k in zip(names, known, strict=True)], dtype=bool)
    return rows, _checked_places(cells, rows, backwards, table)


def _checked_places(cells: pd.DataFrame, rows: np.ndarray, backwards: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    try:
        place = cells["place"].to_numpy(dtype=np.float64, na_value=np.nan).copy()
    except (TypeError, ValueError) as error:
        raise ParameterError(f"column 'place' of cells holds no numbers ({error}).") from error
    length = np.where(rows >= 0, table["length"].to_numpy()[rows], np.nan)
    place[backwards] = length[backwards] - place[backwards]
    on, slack = rows >= 0, _ROUNDING * length
    bad = np.flatnonzero(on & ~((place >= -slack) & (place <= length + slack)))
    if len(bad):
        cell = bad[0]
        raise ParameterError(
            f"{len(bad)} cells are not on their edges; {cells.index[cell]!r} has place {cells['place'].iloc[cell]} on "
            f"an edge of length {length[cell]:g}. Places are distances from the start of the edge, 0 to its length."
        )
    return np.where(on, np.clip(place, 0.0, length), np.nan)
