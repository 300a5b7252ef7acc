"""Networks along a trajectory: one per moving window, smoothed along the tree, and what changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import GroupError
from grn._core.logging import logger, some
from grn._kernels.curves import curve_shapes, smoothed, strongest
from grn._kernels.scatter import BLOCK
from grn._kernels.windows import Windows
from grn._object.trajectory import Trajectory
from grn.methods.dictys.contexts import Context, Reading
from grn.methods.dictys.tables import Fitted
from grn.methods.edges import indexed
from grn.methods.inputs import Inputs

SHAPES = ("terminal", "transient", "switching", "peak")
# bandwidth as a share of the longest way from the root
_BANDWIDTH = 0.05


@dataclass(frozen=True)
class Along:
    """Windows of a trajectory.

    Parameters
    ----------
    trajectory
        The tree and its lineages.
    windows
        Points and cells.
    bandwidth
        Deviation of the Gaussian averages along the tree.
    """

    trajectory: Trajectory
    windows: Windows
    bandwidth: float

    def of_lineage(self, lineage: str) -> np.ndarray:
        """Windows on a lineage by their time; that at the root is on all of them."""
        edges = np.isin(self.windows.edge, self.trajectory.lineages[lineage])
        at_root = self.windows.before < 0
        inside = np.flatnonzero(edges | at_root)
        return inside[np.argsort(self.windows.time[inside], kind="stable")]


def along(
    inputs: Inputs, key: str, n_cells: int, overlap: int, farthest: float | None, bandwidth: float | None
) -> Along:
    """Windows of the trajectory that is stored under a key."""
    trajectory = inputs.trajectory(key)
    windows = trajectory.windows(n_cells, overlap, farthest)
    width = _BANDWIDTH * float(windows.time.max()) if bandwidth is None else float(bandwidth)
    logger.info("dictys: %d windows of %d cells", len(windows), n_cells)
    return Along(trajectory, windows, width)


def names_of(n_windows: int) -> list[str]:
    """Names of windows, in the order in which they come."""
    return [f"window_{number:04d}" for number in range(n_windows)]


def left_out(reading: Reading, cells: np.ndarray, min_cells: int) -> np.ndarray:
    """Genes (n_vars,) that are seen in too few cells of a window, or have one count in all of them."""
    n_vars = reading.expression.n_vars
    seen = np.zeros(n_vars, dtype=np.int64)
    low, high = np.full(n_vars, np.inf, dtype=np.float32), np.full(n_vars, -np.inf, dtype=np.float32)
    for first in range(0, len(cells), BLOCK):
        counts = reading.expression.counts(cells[first : first + BLOCK])
        seen += (counts > 0).sum(axis=0)
        np.minimum(low, counts.min(axis=0), out=low)
        np.maximum(high, counts.max(axis=0), out=high)
    alike: np.ndarray = low == high
    return alike | (seen < min_cells)


def check_windows(contexts: Sequence[Context | None], names: Sequence[str]) -> None:
    """Refuse windows without any pair of a regulator and a target."""
    empty = [name for name, context in zip(names, contexts, strict=True) if context is None]
    if empty:
        raise GroupError(
            f"{len(empty)} of {len(names)} windows have no regulator with a target among genes that vary and are seen: "
            f"{some(empty)}. Pass more cells per window, window_cells=, or a smaller min_cells."
        )


def _matrix(fitted: Sequence[Fitted], pairs: pd.MultiIndex, kind: str) -> np.ndarray:
    """Weights (W, K) of one kind of all pairs in all windows; NaN where a window lacks a gene."""
    table = np.full((len(fitted), len(pairs)), np.nan)
    for number, one in enumerate(fitted):
        target, source = one.pairs
        there = pd.MultiIndex.from_arrays([one.context.genes[one.context.source[source]], one.context.genes[target]])
        values = {
            "weight": one.weight,
            "raw": one.raw,
            "indirect": one.indirect,
            "raw_indirect": one.steady.effects,
            "damped": one.raw / one.steady.damping,
        }[kind]
        table[number, pairs.get_indexer(there)] = values[target, source]
    return table


def dynamic_tables(
    fitted: Sequence[Fitted], where: Along, names: np.ndarray, top_share: float
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Mean edges over windows, and the tables of what changes along the trajectory."""
    parts = [
        np.stack([one.context.genes[one.context.source[source]], one.context.genes[target]])
        for one in fitted
        for target, source in [one.pairs]
    ]
    both = np.unique(np.concatenate(parts, axis=1), axis=1)
    both = both[:, np.lexsort((names[both[1]], names[both[0]]))]
    pairs = pd.MultiIndex.from_arrays(both)
    means = {kind: np.nanmean(_matrix(fitted, pairs, kind), axis=0) for kind in ("raw", "indirect", "raw_indirect")}
    weights = _matrix(fitted, pairs, "weight")
    mean = np.nanmean(weights, axis=0)
    sign = np.where(mean == 0, np.nan, np.sign(mean))
    edges = indexed(names, both[0], both[1], weight=mean, sign=sign, **means)
    damped = indexed(names, both[0], both[1], weight=np.nanmean(_matrix(fitted, pairs, "damped"), axis=0))
    curves = np.nan_to_num(smoothed(weights, where.windows.distances(), where.bandwidth))
    active = strongest(curves, top_share)
    kept = active.any(axis=0)
    expression = _expression(fitted, where, np.unique(both[0]), names)
    tables = {"windows": _window_table(where), "simulation": damped}
    long = {"dynamics": [], "degrees": [], "regulator_curves": [], "edge_curves": []}  # type: dict[str, list[pd.DataFrame]]
    for lineage in where.trajectory.lineages:
        rows = where.of_lineage(lineage)
        time = where.windows.time[rows]
        long["dynamics"].append(
            _long(names, both[:, kept], curves[rows][:, kept], active[rows][:, kept], rows, time, lineage)
        )
        degrees = _degrees(names, both[0], curves[rows], active[rows], expression.iloc[rows], rows, time, lineage)
        long["degrees"].append(degrees)
        strength = degrees.pivot(index="source", columns="window", values="log_degree")
        order = names_of(len(where.windows))
        strength = strength[[order[row] for row in rows]]
        sources = {"source": strength.index.to_numpy()}
        long["regulator_curves"].append(_shapes(sources, strength.to_numpy(), time, lineage))
        ends = {"source": names[both[0][kept]], "target": names[both[1][kept]]}
        long["edge_curves"].append(_shapes(ends, curves[rows][:, kept].T, time, lineage))
    for name, frames in long.items():
        tables[name] = pd.concat(frames, ignore_index=True)
    return edges, {name: table.set_axis(table.index.astype(str), axis=0) for name, table in tables.items()}


def _window_table(where: Along) -> pd.DataFrame:
    windows, edges = where.windows, where.trajectory.edges["edge"].to_numpy()
    return pd.DataFrame(
        {
            "window": names_of(len(windows)),
            "edge": edges[windows.edge],
            "place": windows.place,
            "t": windows.time,
        }
    )


def _expression(fitted: Sequence[Fitted], where: Along, sources: np.ndarray, names: np.ndarray) -> pd.DataFrame:
    """Smoothed mean log shares of the regulators in the windows (W, S)."""
    table = np.full((len(fitted), len(sources)), np.nan)
    for number, one in enumerate(fitted):
        place = pd.Index(one.context.genes).get_indexer(sources)
        table[number, place >= 0] = one.level[place[place >= 0]]
    values = smoothed(table, where.windows.distances(), where.bandwidth)
    return pd.DataFrame(values, columns=names[sources])


def _long(
    names: np.ndarray,
    both: np.ndarray,
    curves: np.ndarray,
    active: np.ndarray,
    rows: np.ndarray,
    time: np.ndarray,
    lineage: str,
) -> pd.DataFrame:
    """A row per window of a lineage and edge."""
    n_edges = both.shape[1]
    labels = np.array(names_of(int(rows.max()) + 1))
    return pd.DataFrame(
        {
            "lineage": lineage,
            "window": np.repeat(labels[rows], n_edges),
            "t": np.repeat(time, n_edges),
            "source": np.tile(names[both[0]], len(rows)),
            "target": np.tile(names[both[1]], len(rows)),
            "weight": curves.ravel(),
            "active": active.ravel(),
        }
    )


def _degrees(
    names: np.ndarray,
    source: np.ndarray,
    curves: np.ndarray,
    active: np.ndarray,
    expression: pd.DataFrame,
    rows: np.ndarray,
    time: np.ndarray,
    lineage: str,
) -> pd.DataFrame:
    """Number and summed weights of the active targets of every regulator, and its expression, window by window."""
    labels = np.array(names_of(int(rows.max()) + 1))
    frames = []
    for regulator in np.unique(source):
        own = source == regulator
        degree = active[:, own].sum(axis=1)
        frames.append(
            pd.DataFrame(
                {
                    "lineage": lineage,
                    "window": labels[rows],
                    "t": time,
                    "source": names[regulator],
                    "degree": degree,
                    "log_degree": np.log2(degree + 1.0),
                    "strength": np.abs(curves[:, own] * active[:, own]).sum(axis=1),
                    "expression": expression[names[regulator]].to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _shapes(ends: dict[str, np.ndarray], curves: np.ndarray, time: np.ndarray, lineage: str) -> pd.DataFrame:
    """The four numbers of curves (K, W)."""
    shape = curve_shapes(curves, time)
    return pd.DataFrame({"lineage": lineage, **ends, **{name: getattr(shape, name) for name in SHAPES}})
