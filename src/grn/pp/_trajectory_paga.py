"""A trajectory from a PAGA graph: groups of cells as nodes, each following an earlier one that it is connected to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from anndata import AnnData
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from grn._core import checks
from grn._core.entries import UnsEntry, entry_of
from grn._core.errors import GroupError
from grn._core.labels import texts
from grn._core.logging import hint
from grn._core.near import did_you_mean
from grn._object.trajectory import Trajectory
from grn.pp._trajectory_lineages import Node, obs_column, on_path, table_of, times

GRAPH = "connectivities"


def of_paga(adata: AnnData, paga: str, pseudotime: str, root: str) -> Trajectory:
    """Cells on the tree of their groups, at their pseudotime."""
    names, codes, weights = _groups(adata, paga)
    if not isinstance(root, str) or root not in names:
        near = did_you_mean(str(root), names)
        raise GroupError(f"root={checks.shown(root)} is no group of uns[{paga!r}]; groups: {', '.join(names)}.{near}")
    time = times(adata, pseudotime, "pseudotime", codes >= 0)
    parents, at = _tree(names, codes, weights, time, names.index(root), f"obs[{pseudotime!r}]")
    ending = _followed(adata, names, codes, weights, time, parents, at)
    leaves = [code for code in parents if code not in parents.values()]
    for leaf in leaves:
        at[leaf] = time[ending == leaf].max()
    order = sorted(parents, key=lambda code: (at[code], names[code]))
    row_of = {code: row for row, code in enumerate(order)}
    node = [Node(name, float(when)) for name, when in zip(names, at, strict=True)]
    rows = [(node[parents[code]], node[code]) for code in order]
    edge, place = np.full(adata.n_obs, -1), np.full(adata.n_obs, np.nan)
    paths: dict[str, tuple[int, ...]] = {}
    for code in parents:
        path = _path(code, parents, row_of)
        own = np.flatnonzero(ending == code)
        edge[own], place[own] = on_path([rows[row] for row in path], np.array(path), time[own])
        if code in leaves:
            paths[names[code]] = tuple(path)
    at_root = ending == names.index(root)
    edge[at_root], place[at_root] = min(row_of[c] for c in parents if parents[c] == names.index(root)), 0.0
    return Trajectory(table_of(rows), dict(sorted(paths.items())), edge, place, np.asarray(adata.obs_names, dtype=str))


def _groups(adata: AnnData, key: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the groups that have cells, group of every cell (-1 for none), and how they are connected (G, G)."""
    entry = entry_of(adata, key, what="PAGA graph", call="sc.tl.paga(adata, groups=...)")
    labels = obs_column(adata, entry.text("groups"), "groups of paga")
    weights = _weights(entry)
    categories = list(labels.cat.categories) if hasattr(labels, "cat") else sorted(labels.dropna().unique())
    if weights.shape != (len(categories), len(categories)):
        raise entry.damaged(
            f"it connects {weights.shape[0]} groups, and obs[{entry.text('groups')!r}] has {len(categories)}"
        )
    codes = labels.astype("category").cat.set_categories(categories).cat.codes.to_numpy().astype(np.int64)
    sizes = np.bincount(codes[codes >= 0], minlength=len(categories))
    there = np.flatnonzero(sizes)
    if len(there) < 2:
        raise GroupError(f"{len(there)} groups of obs[{entry.text('groups')!r}] have cells; a tree needs 2.")
    off = int((codes < 0).sum())
    if off:
        hint("%d of %d cells have no group and are off the trajectory", off, adata.n_obs)
    place = np.append(np.cumsum(sizes > 0) - 1, -1)
    return (
        texts([categories[i] for i in there], f"obs[{entry.text('groups')!r}]"),
        place[codes],
        weights[np.ix_(there, there)],
    )


def _weights(entry: UnsEntry) -> np.ndarray:
    """Connectivities (G, G), symmetric."""
    stored = entry.record.get(GRAPH)
    try:
        weights = np.asarray(stored.todense() if sparse.issparse(stored) else stored, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise entry.damaged(f"{GRAPH!r} holds no numbers ({error})") from error
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not np.isfinite(weights).all():
        raise entry.damaged(f"{GRAPH!r} is no square matrix of finite numbers")
    return np.maximum(weights, weights.T)


def _tree(
    names: list[str], codes: np.ndarray, weights: np.ndarray, time: np.ndarray, root: int, where: str
) -> tuple[dict[int, int], np.ndarray]:
    """The group that each one follows, and the time of every group (G,): the median, at the root the first of all."""
    begin, at = np.array([np.quantile(time[codes == code], [0.25, 0.5]) for code in range(len(names))]).T  # (G,)
    at[root] = time[codes >= 0].min()
    parents: dict[int, int] = {}
    for code in range(len(names)):
        if code == root:
            continue
        # of sisters, which share the time, the one with the smaller median is no mother
        others = [other for other in range(len(names)) if at[other] < at[code]]
        earlier = [other for other in others if at[other] < begin[code]] or others
        if not earlier:
            raise GroupError(
                f"{where} of group {names[code]!r} does not grow from its smallest value, {at[code]:g}, which is that "
                f"of the root {names[root]!r}. Pass another root=, or a pseudotime that begins there."
            )
        parents[code] = min(earlier, key=lambda other, code=code: (-weights[code, other], names[other]))
        if weights[code, parents[code]] <= 0:
            raise GroupError(
                f"group {names[code]!r} is not connected to any group that is earlier by {where}; leave its cells out, "
                "pass another root=, or find more neighbours: sc.pp.neighbors(adata), sc.tl.paga(adata)."
            )
    return parents, at


def _followed(
    adata: AnnData,
    names: list[str],
    codes: np.ndarray,
    weights: np.ndarray,
    time: np.ndarray,
    parents: Mapping[int, int],
    at: np.ndarray,
) -> np.ndarray:
    """The group (n,) whose edge, or one before it, a cell is on: its own, or a later one if it is past that."""
    ending = codes.copy()
    for node in np.argsort(at, kind="stable"):
        children = sorted((code for code in parents if parents[code] == node), key=lambda code: names[code])
        past = np.flatnonzero((ending == node) & (time > at[node]))
        if len(children) == 1:
            ending[past] = children[0]
        elif children and len(past):
            ending[past] = _nearest_child(adata, names, codes, weights[node], parents, children, past)
    return ending


def _nearest_child(
    adata: AnnData,
    names: list[str],
    codes: np.ndarray,
    weights: np.ndarray,
    parents: Mapping[int, int],
    children: list[int],
    cells: np.ndarray,
) -> np.ndarray:
    """The child (m,) whose cells, or those after it, are nearest to some cells on the graph of neighbours."""
    default = max(children, key=lambda code: weights[code])
    graph = adata.obsp.get(GRAPH)
    if graph is None:
        hint("obsp has no %r, so that cells at a branching follow the most connected group, %s", GRAPH, names[default])
        return np.full(len(cells), default)
    closeness = sparse.csr_matrix(graph, dtype=np.float64)
    closeness.eliminate_zeros()
    closeness.data = 1.0 / closeness.data
    below = [np.isin(codes, _descendants(child, parents)) for child in children]
    steps = [dijkstra(closeness, directed=False, indices=np.flatnonzero(b), min_only=True)[cells] for b in below]
    nearest = np.array(children)[np.argmin(steps, axis=0)]
    lost = np.isinf(steps).all(axis=0)
    if lost.any():
        hint("%d cells at a branching are not joined to what follows; they go to %s", int(lost.sum()), names[default])
    return np.where(lost, default, nearest)


def _descendants(code: int, parents: Mapping[int, int]) -> list[int]:
    """A group and all that follow it."""
    return [code, *(below for child in parents if parents[child] == code for below in _descendants(child, parents))]


def _path(code: int, parents: Mapping[int, int], row_of: Mapping[int, int]) -> list[int]:
    """Rows of the edges from the root to a group."""
    path: list[int] = []
    while code in parents:
        path.append(row_of[code])
        code = parents[code]
    return path[::-1]
