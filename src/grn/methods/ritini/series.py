"""Series of gene values along the lineages of a trajectory: what the model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from grn._core.errors import ExpressionError, GeneOverlapError, ParameterError
from grn._core.logging import some
from grn._core.near import did_you_mean
from grn._kernels.scatter import gathered
from grn._kernels.trajectory import average_path
from grn._object.expression import take
from grn._object.trajectory import Trajectory
from grn.methods.cells import none_varies, report_constant
from grn.methods.inputs import Inputs

# dense attention: every gene looks at every other
MOST_GENES = 1000


@dataclass(frozen=True)
class Lineage:
    """Values of all genes along one lineage.

    Parameters
    ----------
    name
        Name of the lineage.
    times
        Equally many steps apart (T,).
    values
        Values (T, G), as they were read.
    """

    name: str
    times: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Series:
    """Values of the genes of a network along lineages.

    Parameters
    ----------
    genes
        Names (G,), sorted: nothing depends on their order in the object.
    regulator, target
        Which of them may act, and for which edges are listed (G,).
    lineages
        Values, on the scale they were read on.
    mean, spread
        What values are centred and divided by, for all genes alike or per gene (1,) or (G,).
    """

    genes: np.ndarray
    regulator: np.ndarray
    target: np.ndarray
    lineages: tuple[Lineage, ...]
    mean: np.ndarray
    spread: np.ndarray

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values as the model is given them."""
        return ((values - self.mean) / self.spread).astype(np.float32)


def read_series(
    inputs: Inputs,
    *,
    key: str,
    lineages: Sequence[str] | None,
    n_times: int | None,
    bandwidth: float | None,
    scale: str,
    min_cells: int,
    points: int,
    listed: Sequence[str] | None = None,
) -> Series:
    """Average paths of all lineages, or the cells themselves.

    Parameters
    ----------
    inputs
        The object, and who may act on whom.
    key
        Name of the trajectory.
    lineages
        Names of some lineages; all by default.
    n_times
        Points of a path; ``None`` takes every cell as a point, and values as they are stored.
    bandwidth
        Standard deviation of the weights of cells, as a share of the time of the lineage.
    scale
        ``"all"`` or ``"gene"``: what is divided by one standard deviation.
    min_cells
        Fewest cells in which a gene is above zero.
    points
        Fewest points of a path: one window.
    listed
        Sources where none are asked for; ``None`` for marked or known regulators.
    """
    trajectory = inputs.trajectory(key)
    names = _chosen(trajectory, lineages)
    sources, targets = _sides(inputs, min_cells, listed, averaged=n_times is not None)
    genes = np.union1d(sources, targets)
    genes = genes[np.argsort(inputs.names[genes], kind="stable")]
    if len(genes) > MOST_GENES:
        raise ParameterError(
            f"{len(genes)} genes are sources or targets; ritini takes at most {MOST_GENES}, as every gene may look at "
            "every other: pass sources=[...] and targets=[...], such as the most variable genes."
        )
    paths = [_path(inputs, trajectory, name, genes, n_times, bandwidth, points) for name in names]
    stacked = np.concatenate([path.values for path in paths])
    # averages of equal values differ by rounding
    vary = np.ptp(stacked, axis=0) > 1e-9 * np.abs(stacked).max(axis=0)
    constant = np.zeros(len(inputs.names), dtype=bool)
    constant[genes[~vary]] = True
    report_constant(inputs.names, constant, "")
    genes = genes[vary]
    regulator, target = np.isin(genes, sources), np.isin(genes, targets)
    if not regulator.any() or not target.any() or len(genes) < 2:
        raise none_varies(("",))
    mean, spread = _scale(stacked[:, vary], scale)
    kept = tuple(Lineage(path.name, path.times, path.values[:, vary]) for path in paths)
    return Series(inputs.names[genes], regulator, target, kept, mean, spread)


def _scale(values: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
    if scale == "gene":
        return values.mean(axis=0), values.std(axis=0, ddof=1)
    return np.array([values.mean()]), np.array([values.std(ddof=1)])


def _chosen(trajectory: Trajectory, lineages: Sequence[str] | None) -> list[str]:
    known = sorted(map(str, trajectory.lineages))
    if lineages is None:
        return known
    strange = [name for name in lineages if name not in known]
    if strange or not len(lineages):
        told = f"has no lineage {some(strange)}" if strange else "has lineages, of which none was asked for"
        near = did_you_mean(str(strange[0]), known) if strange else ""
        raise ParameterError(f"the trajectory {told} (lineages=); they are {', '.join(map(repr, known))}.{near}")
    return sorted(set(lineages))


def _sides(
    inputs: Inputs, min_cells: int, listed: Sequence[str] | None, *, averaged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of sources and targets that are seen in enough cells."""
    if averaged:
        cells = inputs.read_cells(min_cells=min_cells, sources=listed)
        seen = ~cells.rare.all(axis=0)
        return cells.sources[seen[cells.sources]], cells.targets[seen[cells.targets]]
    task = inputs.task
    named = listed if task.sources is None else task.sources
    sources = np.flatnonzero(inputs.regulators) if named is None else inputs.positions(named, "sources")
    if not len(sources):
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, organism=...) or "
            "pass sources=[...]."
        )
    return np.sort(sources), np.sort(inputs.positions(task.targets, "targets"))


def _path(
    inputs: Inputs,
    trajectory: Trajectory,
    name: str,
    genes: np.ndarray,
    n_times: int | None,
    bandwidth: float | None,
    points: int,
) -> Lineage:
    cells = trajectory.cells(name)
    times = trajectory.time[cells]
    if n_times is None:
        _check_length(name, len(np.unique(times)), points, "cells at different times, each a point of the path")
        if len(np.unique(times)) < len(times):
            raise ParameterError(
                f"n_times=None takes every cell as a point, but of the {len(times)} cells of lineage {name!r} some are "
                "at the same time; pass n_times=100."
            )
        return Lineage(name, times, _stored(inputs, cells, genes))
    _check_length(name, len(np.unique(times)), 2, "cells at different times")
    at = np.linspace(times[0], times[-1], n_times)
    width = (times[-1] - times[0]) * (2.0 / n_times if bandwidth is None else bandwidth)
    values = gathered(inputs.expression.rows, cells, genes)
    return Lineage(name, at, average_path(values, times, at, width))


def _check_length(name: str, there: int, least: int, what: str) -> None:
    if there < least:
        raise ParameterError(f"lineage {name!r} has {there} {what}; at least {least} are needed.")


def _stored(inputs: Inputs, cells: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Values of cells as they are stored (n, G)."""
    order = np.argsort(cells, kind="stable")
    block = take(inputs.stored_values(), cells[order])
    dense = np.asarray(block.toarray() if sp.issparse(block) else block, dtype=np.float64)[:, genes]
    values = np.empty_like(dense)
    values[order] = dense
    if not np.isfinite(values).all():
        raise ExpressionError(f"{int((~np.isfinite(values)).sum())} values along the trajectory are no finite numbers.")
    return values
