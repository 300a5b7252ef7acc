"""From an object with knock-outs and times in ``obs`` to a :class:`Screen`: what is refused, what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import GroupError, ParameterError
from grn._core.logging import hint, logger
from grn._kernels.renge import Screen, control_levels, efficiency
from grn._object.expression import Expression
from grn.methods.cells import report_constant, tell_genes
from grn.methods.inputs import Inputs

MOST_GENES = 300
MIN_CELLS = 3
_VALUES = 2**23


@dataclass(frozen=True)
class Named:
    """A screen with its names: genes (G,) sorted, cells (n,) in the order of the screen, and what was left out."""

    screen: Screen
    genes: np.ndarray
    cells: np.ndarray
    dropped_genes: np.ndarray
    dropped_knockouts: np.ndarray

    @property
    def knocked(self) -> np.ndarray:
        """Names of the genes that are knocked out (S - 1,)."""
        return self.genes[self.screen.knocked]

    def efficiencies(self) -> pd.DataFrame:
        """``cell``, ``knockout``, ``time``, ``efficiency`` and ``dose`` of every cell with a knock-out."""
        screen, n_controls = self.screen, int(self.screen.sizes[0].sum())
        shares = efficiency(screen.values, screen.sizes)[n_controls:]
        level = control_levels(screen.values[:n_controls])[screen.knocked]
        sizes = screen.sizes[1:]
        knockout = np.repeat(np.arange(len(sizes)), sizes.sum(axis=1))
        return pd.DataFrame(
            {
                "cell": self.cells[n_controls:],
                "knockout": self.knocked[knockout],
                "time": np.repeat(np.tile(screen.times, len(sizes)), sizes.ravel()),
                "efficiency": shares,
                "dose": -level[knockout] * shares,
            }
        )


@dataclass(frozen=True)
class Columns:
    """Columns of ``obs`` with the knocked-out gene and the time, and the label of the control."""

    perturbation: str
    time: str
    control: str


def read_screen(
    inputs: Inputs, columns: Columns, genes: Sequence[str] | None, *, min_cells: int, seen: int = 0
) -> Named:
    """Read the cells of a screen, sorted by knock-out, time and name of the cell; genes sorted by name."""
    task, names = inputs.task, inputs.names
    if task.groupby is not None:
        raise ParameterError(
            f"groupby={task.groupby!r}: RENGE fits one network to all cells; for one per group call it on "
            f"adata[adata.obs[{task.groupby!r}] == ...].copy()."
        )
    cell = inputs.cell_names
    values = inputs.expression
    positions = _network_genes(inputs, genes)
    positions = positions[np.argsort(names[positions])]
    labels, times = _labels(inputs, columns), _times(inputs, columns)
    used, lost = _used(labels, names[positions], columns)
    used &= _filled(labels, times, used, columns, min_cells)
    cells = np.flatnonzero(used)
    # the control sorts first
    kinds = np.where(labels[cells] == columns.control, "", labels[cells])
    cells = cells[np.lexsort((cell[cells], times[cells], kinds))]
    table = _read(values, cells, positions)
    named = cell[cells], labels[cells], times[cells]
    return _complete(table, *named, names[positions], lost, columns, seen, task.taking)


def check_screen(inputs: Inputs, columns: Columns) -> None:
    """Refuse an object whose columns tell no knock-outs of its genes, or no times."""
    _labels(inputs, columns)
    _times(inputs, columns)


def _network_genes(inputs: Inputs, genes: Sequence[str] | None) -> np.ndarray:
    positions = inputs.positions(genes, "genes")
    if len(positions) > MOST_GENES:
        raise ParameterError(
            f"{len(positions)} genes: RENGE estimates a weight for every pair and takes at most {MOST_GENES}; pass the "
            "knocked-out genes and those you ask about, some tens, as genes=[...]."
        )
    if len(positions) < 2:
        raise ParameterError(f"genes has {len(positions)} name; a network needs at least two.")
    return positions


def _labels(inputs: Inputs, columns: Columns) -> np.ndarray:
    inputs.column(columns.perturbation, "perturbation")
    kinds, codes = inputs.labels(columns.perturbation)
    knockouts = [name if name == columns.control else inputs.spelled([name])[0] for name in kinds]
    labels = np.array(knockouts, dtype=str)[codes]  # (n_cells,)
    there = sorted(set(labels))
    if columns.control not in there:
        raise GroupError(
            f"no cell of obs[{columns.perturbation!r}] is labelled control={columns.control!r}; labels: "
            f"{', '.join(there[:6])}{', ...' if len(there) > 6 else ''}. Pass the label of the cells without knock-out."
        )
    unknown = sorted(set(there) - {columns.control} - set(inputs.names.tolist()))
    if unknown:
        raise GroupError(
            f"{len(unknown)} labels of obs[{columns.perturbation!r}] are neither the control nor gene names of the "
            f"object: {', '.join(unknown[:5])}. Labels must be names in adata.var_names: for guides such as 'GATA1_g2' "
            f"run adata.obs['gene'] = adata.obs[{columns.perturbation!r}].astype(str).str.split('_').str[0] and pass "
            "perturbation='gene'; drop cells with several guides or other labels."
        )
    return labels


def _times(inputs: Inputs, columns: Columns) -> np.ndarray:
    given = inputs.column(columns.time, "time")
    times = pd.to_numeric(given.astype(object), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(times).all():
        example = given.to_numpy()[np.flatnonzero(~np.isfinite(times))[0]]
        raise GroupError(
            f"obs[{columns.time!r}] must hold numbers (days since the knock-out); found {example!r}. Convert it: "
            f"adata.obs['days'] = adata.obs[{columns.time!r}].astype(str).str.extract(r'(\\d+)').astype(float)."
        )
    return times


def _used(labels: np.ndarray, genes: np.ndarray, columns: Columns) -> tuple[np.ndarray, list[str]]:
    """Cells of the control and of knock-outs in the network, and the knock-outs outside it."""
    used = np.isin(labels, [columns.control, *genes])
    lost = sorted(set(labels[~used]))
    if lost:
        logger.warning("%d knock-outs are not among genes= and are left out: %s", len(lost), ", ".join(lost[:8]))
    if set(labels[used]) == {columns.control}:
        raise GroupError("no knocked-out gene is among genes=; add the knocked-out genes.")
    return used, lost


def _filled(labels: np.ndarray, times: np.ndarray, used: np.ndarray, columns: Columns, min_cells: int) -> np.ndarray:
    """Cells whose knock-out has enough cells at their time; refuses times without controls, and a single time."""
    frame = pd.DataFrame({"label": labels, "time": times, "used": used})
    sizes = frame.groupby(["label", "time"])["used"].transform("sum").to_numpy()
    enough = sizes >= min_cells
    small = frame[used & ~enough].groupby(["label", "time"]).size()
    is_control = small.index.get_level_values("label") == columns.control
    kept = set(times[used & enough & (labels != columns.control)])
    poor = sorted(kept - set(times[used & enough & (labels == columns.control)]))
    if poor:
        raise GroupError(
            f"times {', '.join(f'{t:g}' for t in poor[:5])} have knock-outs but fewer than {min_cells} cells of the "
            f"control {columns.control!r}; add such cells or leave these times out."
        )
    if len(kept) < 2:
        raise GroupError(
            f"obs[{columns.time!r}] has {len(kept)} time(s) with at least {min_cells} cells of a knock-out; RENGE "
            "tells direct from indirect effects by their order in time and needs two or more, better four. For one "
            "time use another method, such as grn.tl.infer_network(adata, method='ridge')."
        )
    if (~is_control).any():
        told = [f"{label} at {time:g} ({size})" for (label, time), size in small[~is_control].items()]
        logger.warning("%d groups with fewer than %d cells are left out: %s", len(told), min_cells, ", ".join(told[:5]))
    return enough & np.isin(times, sorted(kept))


def _read(values: Expression, cells: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Values of some cells and genes (n, G), read in blocks."""
    out = np.empty((len(cells), len(genes)))
    step = max(1, _VALUES // values.n_vars)
    for start in range(0, len(cells), step):
        out[start : start + step] = values.rows(cells[start : start + step])[:, genes]
    return out


def _complete(
    table: np.ndarray,
    cells: np.ndarray,
    labels: np.ndarray,
    times: np.ndarray,
    genes: np.ndarray,
    lost: list[str],
    columns: Columns,
    seen: int,
    taking: Mapping[str, Sequence[str]] | None,
) -> Named:
    """Leave out genes that do not vary and knock-outs of genes that controls do not express, then count blocks."""
    constant, expressing = np.ptp(table, axis=0) == 0, (table > 0).sum(axis=0)
    report_constant(genes, constant & (expressing >= seen), "")
    rare = expressing < seen if taking is None else ~np.isin(genes, taking.get("", genes))
    tell_genes("", genes[~rare])
    if rare.any():
        names = ", ".join(genes[rare][:5])
        hint("%d genes are seen in fewer than min_cells=%d cells and are left out: %s", rare.sum(), seen, names)
    constant |= rare
    level = control_levels(table[labels == columns.control])
    silent = sorted(set(genes[level == 0]) & set(labels))
    if silent:
        logger.warning(
            "%d knocked-out genes are not expressed in controls, so their knock-out has no dose; left out: %s",
            len(silent),
            ", ".join(silent[:5]),
        )
    flat = sorted(set(genes[constant]) & set(labels))
    complete = ~np.isin(labels, [*silent, *flat])
    names = genes[~constant]
    knocked = sorted(set(labels[complete]) - {columns.control})
    if not knocked or len(names) < 2:
        raise GroupError(
            f"{len(names)} genes vary and {len(knocked)} of them are knocked out and expressed in controls; at least "
            "two and one are needed."
        )
    times, labels = times[complete], labels[complete]
    moments = np.unique(times)
    row = np.searchsorted(np.array(["", *knocked]), np.where(labels == columns.control, "", labels))
    sizes = np.zeros((1 + len(knocked), len(moments)), dtype=np.int64)
    np.add.at(sizes, (row, np.searchsorted(moments, times)), 1)
    screen = Screen(table[complete][:, ~constant], sizes, np.searchsorted(names, knocked), moments)
    left = np.array(sorted({*lost, *silent, *flat}), dtype=str)
    return Named(screen, names, cells[complete], genes[constant], left)
