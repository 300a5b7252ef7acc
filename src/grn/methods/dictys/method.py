"""Dictys: counts of cells as draws from the steady state of a linear stochastic process with a sparse network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from grn._core import checks
from grn._core.errors import GroupError, ParameterError
from grn._core.logging import logger, some
from grn._kernels.ou_fit import Fit, Setting
from grn._kernels.scatter import BLOCK
from grn._object.expression import Expression
from grn.methods.cells import none_varies, report_constant, tell_skipped
from grn.methods.chromatin_prior import AUTO
from grn.methods.dictys.contexts import Context, Reading, check_memory, fit_contexts
from grn.methods.dictys.dynamic import Along, along, check_windows, dynamic_tables, left_out, names_of
from grn.methods.dictys.mask import regulator_mask, with_decay
from grn.methods.dictys.prediction import knockout
from grn.methods.dictys.tables import Fitted, edges_of, fit_table, level_table, loss_table, simulation_table
from grn.methods.edges import stacked
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table

# steps by default, and of the original; the rate of Adam falls to the same share over all steps
STEPS, ORIGINAL_STEPS = 2000, 4000
_LAST_RATE = 0.999**ORIGINAL_STEPS


def verify(
    *,
    n_regulators: int | None,
    n_factors: int,
    rank: int | None,
    n_steps: int | None,
    tolerance: float | None,
    max_cells: int | None,
    covariates: Sequence[str] | None,
    bandwidth: float | None,
    top_share: float,
    window_cells: int,
    window_overlap: int,
) -> None:
    """Refuse values out of range."""
    counts = {"n_regulators": n_regulators, "rank": rank, "n_steps": n_steps}
    for name, value in counts.items():
        if value is not None:
            checks.integer(name, value, least=1, note=", or None")
    if max_cells is not None:
        checks.integer("max_cells", max_cells, least=2, note=", or None")
    checks.integer("n_factors", n_factors, least=0)
    checks.integer("window_cells", window_cells, least=2)
    checks.integer("window_overlap", window_overlap, least=0)
    checks.number("top_share", top_share, above=0, most=1)
    if bandwidth is not None:
        checks.number("bandwidth", bandwidth, above=0, note=", or None")
    if tolerance is not None:
        checks.number("tolerance", tolerance, least=0, note=", or None")
    if covariates is not None:
        checks.names("covariates", covariates, what="columns of obs")


def fit(
    inputs: Inputs,
    *,
    base_grn: pd.DataFrame | str | None = AUTO,
    n_regulators: int | None = 20,
    covariates: Sequence[str] | None = None,
    n_factors: int = 0,
    rank: int | None = None,
    n_steps: int | None = None,
    tolerance: float | None = 2e-4,
    min_cells: int = MIN_CELLS_SEEN,
    max_cells: int | None = None,
    trajectory: str | None = None,
    window_cells: int = 1000,
    window_overlap: int = 875,
    farthest: float | None = None,
    bandwidth: float | None = None,
    top_share: float = 0.01,
    parity: bool = False,
) -> Result:
    """Fit; parameters are those of :func:`grn.tl.dictys`."""
    if trajectory is not None and inputs.task.groupby is not None:
        raise ParameterError("groupby= and trajectory= were both given; pass one of them.")
    base_grn = with_decay(base_grn)
    reading = _reading(inputs, covariates, n_factors, rank, _setting(n_steps, tolerance, parity=parity), parity)
    inputs.read_cells(min_cells=min_cells, sources=_listed_sources(inputs, base_grn))
    mask = regulator_mask(inputs, base_grn, n_regulators)
    where = None
    if trajectory is None:
        contexts = _contexts(inputs, mask, reading, max_cells, min_cells)
    else:
        where = along(inputs, trajectory, window_cells, window_overlap, farthest, bandwidth)
        contexts = _windows(inputs, mask, reading, where, min_cells)
    check_memory(contexts, reading, "max_cells" if where is None else "window_cells")
    fits: list[Fit | None] = [None] * len(contexts)
    for place, fitted in fit_contexts(contexts, reading):
        fits[place] = fitted
    done = [
        Fitted(context, fitted, parity) for context, fitted in zip(contexts, fits, strict=True) if fitted is not None
    ]
    if where is not None:
        return _dynamic_result(inputs, done, reading, where, top_share, min_cells)
    return _result(inputs, done, reading, min_cells)


def _setting(n_steps: int | None, tolerance: float | None, *, parity: bool) -> Setting:
    steps = (ORIGINAL_STEPS if parity else STEPS) if n_steps is None else int(n_steps)
    if parity:
        return Setting(n_steps=steps, tolerance=None, sampled=True, haste=1.0)
    return Setting(n_steps=steps, tolerance=tolerance, decay=_LAST_RATE ** (1.0 / steps))


def _reading(
    inputs: Inputs,
    covariates: Sequence[str] | None,
    n_factors: int,
    rank: int | None,
    setting: Setting,
    parity: bool,  # noqa: FBT001
) -> Reading:
    task, counts = inputs.task, inputs.counts
    if task.batch_size is not None:
        checks.integer("batch_size", task.batch_size, least=1)
    totals = counts.totals()
    return Reading(
        expression=counts,
        totals=np.zeros(0) if totals is None else totals,
        covariates=_covariates(inputs, covariates),
        n_factors=int(n_factors),
        rank=None if rank is None else int(rank),
        setting=setting,
        parity=bool(parity),
        seed=task.seed,
        memory=task.memory_budget,
        batch_size=task.batch_size,
        device=torch.device(task.device or "cpu"),
        cache=task.cache,
    )


def _covariates(inputs: Inputs, columns: Sequence[str] | None) -> np.ndarray:
    """Columns of obs as numbers (n_cells, K); one of a label against all others for each label but the first."""
    parts = []
    for name in columns or ():
        values = inputs.column(name, "covariates")
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            parts.append(values.to_numpy(np.float64)[:, None])
        else:
            labels = values.astype(str)
            parts.append(
                np.stack([labels == label for label in sorted(set(labels))[1:]], axis=1).astype(np.float64)
                if labels.nunique() > 1
                else np.zeros((len(labels), 0))
            )
    table = np.concatenate(parts, axis=1) if parts else np.zeros((inputs.n_cells, 0))
    if not np.isfinite(table).all():
        raise GroupError(f"covariates= {', '.join(columns or ())} hold infinite values; expected finite numbers.")
    return table


def _listed_sources(inputs: Inputs, base_grn: pd.DataFrame | None) -> Sequence[str] | None:
    """The regulators of the base GRN, where there is one."""
    table = inputs.prior(base_grn)
    return None if table is None else sorted(set(table["source"].astype(str)) & set(inputs.names.tolist()))


def _contexts(
    inputs: Inputs, mask: np.ndarray, reading: Reading, max_cells: int | None, min_cells: int
) -> list[Context]:
    """One context per group: cells with counts, genes that are seen, regulators with a target."""
    cells, totals = inputs.cells, reading.totals
    empty = (totals == 0) & (cells.codes >= 0)
    if empty.any():
        logger.warning("dictys: %d cells without counts are left out", int(empty.sum()))
    constant = constant_genes(reading.expression, cells.codes, len(cells.groups))
    taking = np.isin(np.arange(len(cells.names)), cells.genes)
    drawn = {} if max_cells is None else inputs.drawn(int(max_cells), among=totals > 0)
    out = []
    for code, (name, members) in enumerate(cells):
        report_constant(cells.names, constant[code] & ~cells.rare[code] & taking, name)
        rare = cells.rare[code] | constant[code]
        members = np.sort(drawn.get(name, members[totals[members] > 0]))
        if name in drawn:
            rare = rare | left_out(reading, members, min_cells)
        context = context_of(inputs, mask, name, members, rare)
        if context is None:
            tell_skipped(name)
            logger.warning("dictys: no pair of the mask is left in group %r, which gets no network", name)
        else:
            out.append(context)
    if not out:
        raise none_varies(cells.groups)
    return out


def context_of(inputs: Inputs, mask: np.ndarray, name: str, members: np.ndarray, rare: np.ndarray) -> Context | None:
    """Cells of a group or window with the genes and pairs that are in its model; ``None`` where no pair is left.

    Cells and genes come in the order of their names, so that sums are rounded alike whatever their order in the object.
    """
    cells = inputs.cells
    used = mask & ~rare[cells.targets][:, None] & ~rare[cells.sources]
    regulating = cells.sources[used.any(axis=0)]
    genes = np.union1d(cells.targets[~rare[cells.targets]], regulating)
    if not len(regulating) or len(genes) < 2 or len(members) < 2:
        return None
    genes, regulating = (part[np.argsort(cells.names[part], kind="stable")] for part in (genes, regulating))
    place = np.full(len(cells.names), -1)
    place[genes] = np.arange(len(genes))
    columns = np.full(len(cells.names), -1)
    columns[regulating] = np.arange(len(regulating))
    allowed = np.zeros((len(genes), len(regulating)), dtype=bool)
    target, source = np.nonzero(used)
    allowed[place[cells.targets[target]], columns[cells.sources[source]]] = True
    members = members[np.argsort(inputs.barcodes[members], kind="stable")]
    return Context(name, members, genes, place[regulating], allowed)


def constant_genes(counts: Expression, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Genes (n_groups, n_vars) with the same count in all cells of a group, by one look at all cells."""
    low = np.full((n_groups, counts.n_vars), np.inf, dtype=np.float32)
    high = np.full((n_groups, counts.n_vars), -np.inf, dtype=np.float32)
    for first in range(0, len(codes), BLOCK):
        cells = np.flatnonzero(codes[first : first + BLOCK] >= 0) + first
        values = counts.counts(cells)
        for code in np.unique(codes[cells]):
            part = values[codes[cells] == code]
            np.minimum(low[code], part.min(axis=0), out=low[code])
            np.maximum(high[code], part.max(axis=0), out=high[code])
    constant: np.ndarray = low == high
    return constant


def _result(inputs: Inputs, fitted: Sequence[Fitted], reading: Reading, min_cells: int) -> Result:
    grouped = inputs.task.groupby is not None
    _tell_late(fitted, reading, grouped=grouped)
    parts = [(one.context.name, edges_of(one, inputs.names)) for one in fitted]
    params = _told(inputs, fitted, reading, min_cells)
    tables = {
        "levels": level_table(fitted, inputs.names),
        "loss": loss_table(fitted),
        "simulation": simulation_table(fitted, inputs.names),
        "fit": fit_table(fitted, inputs.names),
    }
    return Result(stacked(inputs.names, parts, params=params, signed=True), tables)


def _dynamic_result(
    inputs: Inputs, fitted: Sequence[Fitted], reading: Reading, where: Along, top_share: float, min_cells: int
) -> Result:
    """Mean edges over windows, and what changes."""
    _tell_late(fitted, reading, grouped=True)
    edges, tables = dynamic_tables(fitted, where, inputs.names, top_share)
    params = {**_told(inputs, fitted, reading, min_cells), "bandwidth": where.bandwidth, "n_windows": len(fitted)}
    everything = {
        **tables,
        "levels": level_table(fitted, inputs.names).rename(columns={"group": "window"}),
        "loss": loss_table(fitted).rename(columns={"group": "window"}),
        "fit": fit_table(fitted, inputs.names),
    }
    return Result(stacked(inputs.names, [("", edges)], params=params, signed=True), everything)


def _windows(inputs: Inputs, mask: np.ndarray, reading: Reading, where: Along, min_cells: int) -> list[Context]:
    """One context per window."""
    names = names_of(len(where.windows))
    contexts = []
    for name, cells in zip(names, where.windows.cells, strict=True):
        members = cells[reading.totals[cells] > 0]
        contexts.append(context_of(inputs, mask, name, members, left_out(reading, members, min_cells)))
    check_windows(contexts, names)
    return [context for context in contexts if context is not None]


def _tell_late(fitted: Sequence[Fitted], reading: Reading, *, grouped: bool) -> None:
    late = [one.context.name for one in fitted if not one.fit.converged and not reading.parity]
    if late and reading.setting.tolerance is not None:
        where = f" in {some(late)}" if grouped else ""
        logger.warning("dictys: the objective still falls after n_steps=%d%s", reading.setting.n_steps, where)


def _told(inputs: Inputs, fitted: Sequence[Fitted], reading: Reading, min_cells: int) -> dict[str, Any]:
    return {
        "n_steps": reading.setting.n_steps,
        "steps": {one.context.name or "all": int(one.fit.losses[-1, 0]) + 1 for one in fitted},
        "damping": {one.context.name or "all": one.steady.damping for one in fitted},
        "rare_genes": inputs.cells.counts(),
        "min_cells": min_cells,
    }


METHODS.add(
    "dictys",
    Method(
        "dictys",
        fit,
        "Dictys: the steady state of a stochastic network, fitted to raw counts",
        verify=verify,
        knockout=knockout,
        whole=True,
        takes_prior=True,
        signed=True,
        probability=False,
        devices=("cuda",),
        needs=("cells", "counts"),
        tables={
            "levels": Table("mean log share and variance of every gene", ("gene", "mean", "variance")),
            "loss": Table("parts of the objective", ("step", "prior", "steady", "counts", "total")),
            "simulation": Table("coefficients of simulations", ("source", "target", "weight")),
            "fit": Table("networks and levels, for predictions"),
            "windows": Table("windows along a trajectory", ("window", "edge", "place", "t")),
            "dynamics": Table("edges along a trajectory", ("lineage", "window", "t", "source", "target", "weight")),
            "degrees": Table("regulators along a trajectory", ("lineage", "window", "t", "source", "degree")),
            "regulator_curves": Table("shapes of curves of regulators", ("lineage", "source", "terminal", "transient")),
            "edge_curves": Table("shapes of curves of edges", ("lineage", "source", "target", "terminal")),
        },
        advice="weights are direct effects per standard deviation; the column indirect has what a change comes to",
        keeps_parts=True,
        reference="Wang et al. 2023, doi 10.1038/s41592-023-01971-3",
        system="Dictys",
        year=2023,
        inputs="raw counts; base GRN",
        cost="some thousand steps over cells x genes",
        licence="AGPL-3.0",
        page="methods/dictys",
    ),
)
