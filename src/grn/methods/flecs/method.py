"""FLeCS: production and decay of genes on a prior network, fitted to paths of cells by optimal transport."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError
from grn._kernels.gene_ode import FITS, Solver, Training
from grn._kernels.ode import SOLVERS
from grn._object.smoothing import KEY, Smoothed
from grn._object.trajectory import KEY as TRAJECTORY
from grn.methods.flecs.equation import fitted as fitted_equation
from grn.methods.flecs.paths import NEIGHBOURS, WAYS, PathSetting, cell_paths
from grn.methods.flecs.prediction import knockout, response
from grn.methods.flecs.report import edge_table, tables, told, velocities
from grn.methods.flecs.wiring import wiring_of
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table
from grn.network import Network

_MOST_NETWORKS = 1000


def verify(
    *,
    paths: str | None,
    stages: str | None,
    first: object,
    last: object,
    n_bins: int | None,
    n_neighbors: int | None,
    max_paths: int | None,
    n_pcs: int,
    fit: str,
    n_ensemble: int,
    n_epochs: int,
    learning_rate: float,
    paths_per_step: int,
    noise: float,
    solver: str | None,
    step: float,
    symmetrize_prior: bool,
    second_order: bool,
    velocity: bool,
    scale: bool,
) -> None:
    """Refuse values out of range, unknown words, and arguments that do not go together."""
    checks.word("fit", fit, FITS)
    for word, value, valid in (("paths", paths, WAYS), ("solver", solver, SOLVERS)):
        if value is not None:
            checks.word(word, value, valid, note=", or None")
    for name, count, least in (("n_bins", n_bins, 2), ("n_neighbors", n_neighbors, 1), ("max_paths", max_paths, 2)):
        if count is not None:
            checks.integer(name, count, least=least, note=", or None")
    for name, count in {"n_pcs": n_pcs, "n_epochs": n_epochs, "paths_per_step": paths_per_step}.items():
        checks.integer(name, count, least=1)
    checks.integer("n_ensemble", n_ensemble, least=1, most=_MOST_NETWORKS)
    for name, number in {"learning_rate": learning_rate, "step": step}.items():
        checks.number(name, number, above=0)
    checks.number("noise", noise, least=0)
    flags = {"symmetrize_prior": symmetrize_prior, "second_order": second_order, "velocity": velocity, "scale": scale}
    for name, flag in flags.items():
        checks.flag(name, flag)
    _check_ends(paths, stages, first, last, n_bins)


def _check_ends(paths: str | None, stages: str | None, first: object, last: object, n_bins: int | None) -> None:
    if stages is None:
        if first is not None or last is not None:
            raise ParameterError("first= and last= are labels of a column of obs; pass its name as stages=.")
        return
    if paths == "bins":
        raise ParameterError(
            "paths='bins' follows a trajectory; make one of the stages, "
            f"grn.pp.trajectory(adata, time={stages!r}), and pass n_bins=None, or paths='neighbours'."
        )
    if n_bins is None:
        raise ParameterError("n_bins=None takes the times of a trajectory; with stages= pass the cells of a path.")


def ready(inputs: Inputs, *, trajectory: str = TRAJECTORY, stages: str | None = None) -> None:
    """Refuse an object without the trajectory, or the column of stages, that paths follow."""
    if stages is None:
        inputs.trajectory(trajectory)
    else:
        inputs.labels(stages)


def fit_flecs(
    inputs: Inputs,
    *,
    base_grn: pd.DataFrame | None = None,
    trajectory: str = TRAJECTORY,
    stages: str | None = None,
    first: str | Sequence[str] | None = None,
    last: str | Sequence[str] | None = None,
    paths: str | None = None,
    n_bins: int | None = 5,
    n_neighbors: int | None = None,
    max_paths: int | None = 1000,
    use_rep: str | None = None,
    n_pcs: int = 20,
    smooth: bool | str | sparse.spmatrix = True,
    scale: bool = True,
    symmetrize_prior: bool = False,
    second_order: bool = False,
    fit: str = "path",
    n_ensemble: int = 5,
    n_epochs: int = 50,
    learning_rate: float = 0.02,
    paths_per_step: int = 32,
    noise: float = 0.1,
    solver: str | None = None,
    step: float = 0.5,
    velocity: bool = True,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> Result:
    """Fit; parameters are those of :func:`grn.tl.flecs`."""
    inputs.need_cell_names()
    wiring = wiring_of(
        inputs,
        base_grn,
        min_cells=min_cells,
        symmetrize=symmetrize_prior or parity,
        second_order=second_order,
        parity=parity,
    )
    setting = PathSetting(
        trajectory,
        stages,
        first,
        last,
        paths or ("bins" if stages is None else "neighbours"),
        n_bins,
        NEIGHBOURS[0] if parity and n_neighbors is None else n_neighbors,
        max_paths,
        use_rep,
        n_pcs,
        parity,
    )
    cell_courses = cell_paths(inputs, setting)
    weights, made = inputs.neighbours(smooth)
    expression = inputs.cells.expression
    rows = expression.rows if weights is None else Smoothed(expression, weights, genes=wiring.genes).rows
    method = solver or ("dopri5" if parity else "rk4")
    training = Training(int(n_epochs), float(learning_rate), int(paths_per_step), fit, noise=noise, whole=parity)
    where = torch.device(inputs.task.device or "cpu")
    fitted = fitted_equation(
        inputs.names[wiring.genes],
        wiring,
        cell_courses,
        rows,
        training,
        Solver(method, step),
        n_networks=n_ensemble,
        seed=inputs.task.seed,
        device=where,
        scaled=scale and not parity,
        cache=inputs.task.cache,
    )
    network = Network(
        edge_table(inputs, fitted),
        genes=inputs.names,
        signed=True,
        params={
            **told(fitted, compare=fit == "path"),
            "solver": method,
            "step": float(step),
            "paths": setting.way,
            "smooth": KEY if smooth is True else smooth if isinstance(smooth, str | bool) else "given",
            "base_grn": base_grn is not None,
            "min_cells": inputs.min_cells,
            "rare_genes": inputs.cells.counts(),
        },
    )
    graphs = {} if made is None else {KEY: (weights, made)}
    layers = {"velocity": velocities(inputs, fitted)} if velocity else {}
    return Result(network, tables(inputs, fitted), graphs, layers)


METHODS.add(
    "flecs",
    Method(
        "flecs",
        fit_flecs,
        "FLeCS: a differential equation of genes on a prior network, fitted to paths of cells",
        verify=verify,
        ready=ready,
        whole=True,
        takes_prior=True,
        signed=True,
        probability=False,
        devices=("cuda", "mps"),
        needs=("cells", "time"),
        knockout=knockout,
        response=response,
        tables={
            "fit": Table("what a prediction needs: networks, and where paths start"),
            "rates": Table("bias and decay of genes", ("gene", "bias", "decay")),
            "paths": Table("cells of the paths", ("path", "lineage", "step", "cell")),
            "loss": Table("loss per round and network", ("epoch", "network", "loss")),
        },
        keeps_parts=True,
        confidence="stability",
        reference="Bertin et al. 2025, arXiv 2503.20027",
        system="FLeCS",
        year=2025,
        inputs="RNA, a prior network, a trajectory",
        cost="a solved equation per path and round",
        licence="MIT",
        page="methods/flecs",
    ),
)
