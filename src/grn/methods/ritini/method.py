"""RiTINI: attention of a neural ODE on a graph of genes, trained along a trajectory, as a network over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from grn._core import checks
from grn._core.checkpoints import Arrays, States
from grn._core.errors import ParameterError
from grn._kernels.graph_ode import Graph, Parameters, random_start
from grn._kernels.graph_ode_fit import Aims
from grn._kernels.graph_ode_readings import Trained
from grn._kernels.graph_ode_train import Schedule, train
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table
from grn.methods.resume import part_of
from grn.methods.ritini.prediction import knockout, response
from grn.methods.ritini.prior import PRIORS, Prior, prior_of
from grn.methods.ritini.readings import edges_of, predictions_of, read_dynamics
from grn.methods.ritini.series import Series, read_series
from grn.methods.ritini.windows import Cut, cut
from grn.network import Network

SCALES = ("all", "gene")
# rate of Adam, windows per step and dropout: ours, and those of the original
_OURS, _ORIGINAL = (5e-3, 16, 0.0), (1e-3, 4, 0.1)


def verify(
    *,
    n_times: int | None,
    bandwidth: float | None,
    prior: str,
    base_grn: object,
    prior_threshold: float,
    permissive: bool,
    history: int,
    horizon: int,
    n_epochs: int,
    learning_rate: float | None,
    batch_size: int | None,
    graph_weight: float,
    entropy_weight: float,
    dropout: float | None,
    scale: str,
    effects: bool,
    n_dynamics: int | None,
    parity: bool,
) -> None:
    """Refuse values out of range and unknown words."""
    checks.word("prior", prior, PRIORS)
    checks.word("scale", scale, SCALES)
    for name, flag in (("permissive", permissive), ("effects", effects), ("parity", parity)):
        checks.flag(name, flag)
    checks.number("prior_threshold", prior_threshold, least=0)
    checks.integer("history", history, least=1)
    checks.integer("horizon", horizon, least=3 if parity else 1, note=" with parity=True" if parity else "")
    checks.integer("n_epochs", n_epochs, least=1)
    for name, value in (("batch_size", batch_size), ("n_dynamics", n_dynamics)):
        if value is not None:
            checks.integer(name, value, least=1, note=", or None")
    if learning_rate is not None:
        checks.number("learning_rate", learning_rate, above=0, note=", or None")
    if dropout is not None:
        checks.number("dropout", dropout, least=0, below=1, note=", or None")
    if bandwidth is not None:
        checks.number("bandwidth", bandwidth, above=0, note=", as a share of the lineage, or None")
    for name, weight in (("graph_weight", graph_weight), ("entropy_weight", entropy_weight)):
        checks.number(name, weight, least=0)
    if n_times is not None:
        checks.integer("n_times", n_times, least=history + horizon, note=", history and horizon, or None")
    if prior == "base_grn" and base_grn is None:
        raise ParameterError("prior='base_grn' without base_grn=; pass a table of sources and targets.")


def ready(inputs: Inputs, *, trajectory: str = "trajectory") -> None:
    """Refuse an object without the trajectory."""
    inputs.trajectory(trajectory)


def fit(
    inputs: Inputs,
    *,
    trajectory: str = "trajectory",
    lineages: Sequence[str] | None = None,
    n_times: int | None = 100,
    bandwidth: float | None = None,
    prior: str = "granger",
    base_grn: pd.DataFrame | None = None,
    prior_threshold: float = 30.0,
    permissive: bool = False,
    history: int = 5,
    horizon: int = 5,
    n_epochs: int = 200,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    graph_weight: float = 3e-4,
    entropy_weight: float = 5e-4,
    dropout: float | None = None,
    scale: str = "gene",
    effects: bool = True,
    n_dynamics: int | None = 1000,
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> Result:
    """Fit; parameters are those of :func:`grn.tl.ritini`."""
    task = inputs.task
    chosen = None if lineages is None else checks.names("lineages", lineages, what="lineages")
    least = checks.integer("min_cells", min_cells, least=0)
    history, horizon, n_epochs = int(history), int(horizon), int(n_epochs)
    n_times, batch_size, n_dynamics = (None if n is None else int(n) for n in (n_times, batch_size, n_dynamics))
    series = read_series(
        inputs,
        key=trajectory,
        lineages=chosen,
        n_times=n_times,
        bandwidth=bandwidth,
        scale="all" if parity else scale,
        min_cells=0 if parity else least,
        points=history + horizon,
        listed=_listed(inputs, base_grn, permissive=permissive),
    )
    pairs = prior_of(
        inputs,
        series,
        prior=prior,
        base_grn=base_grn,
        threshold=prior_threshold,
        permissive=permissive,
        parity=parity,
    )
    rate, size, share = (
        usual if given is None else given
        for given, usual in zip((learning_rate, batch_size, dropout), _ORIGINAL if parity else _OURS, strict=True)
    )
    schedule = Schedule(n_epochs, rate, size, share, seed=task.seed, memory=task.memory_budget)
    cuts = cut(series, history, horizon, parity=parity)
    like = torch.zeros((), device=task.device or "cpu")
    trained, curve = _trained(pairs, cuts, schedule, like, (graph_weight, entropy_weight), task.cache)
    return _result(series, pairs, cuts, trained, curve, effects=effects, n_dynamics=n_dynamics, used=schedule)


def _listed(inputs: Inputs, base_grn: pd.DataFrame | None, *, permissive: bool) -> list[str] | None:
    """The sources of a base GRN that are genes of the object; where others may act too, regulators beside them."""
    table = inputs.prior(base_grn)
    if table is None:
        return None
    further = inputs.names[inputs.regulators].tolist() if permissive else []
    return sorted({*table["source"].astype(str), *further} & {*inputs.names.tolist()})


def _trained(
    pairs: Prior, cuts: Cut, schedule: Schedule, like: torch.Tensor, weights: tuple[float, float], cache: Path | None
) -> tuple[Trained, np.ndarray]:
    """The model, and its loss by epoch."""
    with torch.no_grad():
        parameters = Parameters.of(random_start(schedule.seed), like)
        graph = Graph(pairs.allowed, like)
        prior = torch.as_tensor(pairs.listed, dtype=like.dtype, device=like.device)
        aims = Aims(prior, *weights, first=cuts.first)
        windows = cuts.windows(like)
        part = part_of(
            cache,
            "ritini",
            lambda: {
                "windows": [windows.histories.cpu().numpy(), windows.futures.cpu().numpy()],
                "pairs": [pairs.allowed, pairs.listed],
                "schedule": replace(schedule, memory=0),
                "aims": [*weights, cuts.first, cuts.n_steps],
                "device": like.device.type,
            },
        )
        curve = part.get(
            lambda arrays: _read(arrays, parameters),
            lambda: train(parameters, graph, windows, aims, schedule, cuts.n_steps, States([part])),
            lambda curve: {"vector": parameters.vector.cpu().numpy(), "curve": curve},
        )
    if not np.isfinite(curve).all():
        raise ParameterError(
            f"the loss is no number after epoch {int(np.isfinite(curve).all(axis=1).sum())}; pass a smaller "
            f"learning_rate than {schedule.rate:g}."
        )
    return Trained(parameters, graph, cuts.n_steps, windows, cuts.first, schedule.memory), curve


def _read(arrays: Arrays, parameters: Parameters) -> np.ndarray:
    """The curve of a training that was kept, with its parameters put into place."""
    parameters.vector.copy_(torch.from_numpy(arrays["vector"]))
    return arrays["curve"]


@torch.no_grad()
def _result(
    series: Series,
    pairs: Prior,
    cuts: Cut,
    trained: Trained,
    curve: np.ndarray,
    *,
    effects: bool,
    n_dynamics: int | None,
    used: Schedule,
) -> Result:
    """Edges and tables."""
    dynamics = read_dynamics(series, pairs, cuts, trained)
    edges = edges_of(series, pairs, dynamics, trained, effects=effects)
    predictions, errors = predictions_of(series, cuts, trained)
    params = {
        "learning_rate": used.rate,
        "batch_size": used.batch_size,
        "dropout": used.dropout,
        "n_windows": len(trained.windows),
        "n_prior": int(pairs.listed.sum()),
        "without_sources": series.genes[~pairs.allowed.any(axis=1)],
        "lineages": np.array([lineage.name for lineage in series.lineages]),
        "best_epoch": int(np.argmin(curve[:, 0])),
        **errors,
    }
    tables: dict[str, Any] = {
        "dynamics": dynamics.table(n_dynamics),
        "predictions": predictions,
        "loss": pd.DataFrame(curve, columns=["total", "prediction", "graph", "entropy"]).rename_axis("epoch"),
        "prior": pairs.table(series.genes),
        "fit": _fitted(series, pairs, cuts, trained),
    }
    tables["loss"] = tables["loss"].reset_index()
    return Result(Network(edges, genes=series.genes, signed=False, params=params), tables)


def _fitted(series: Series, pairs: Prior, cuts: Cut, trained: Trained) -> dict[str, Any]:
    """Everything a prediction needs."""
    return {
        "genes": series.genes,
        "lineages": np.array([lineage.name for lineage in series.lineages]),
        "bounds": np.cumsum([0, *(len(lineage.times) for lineage in series.lineages)]),
        "times": np.concatenate([lineage.times for lineage in series.lineages]),
        "values": np.concatenate([lineage.values for lineage in series.lineages]),
        "mean": np.broadcast_to(series.mean, len(series.genes)).copy(),
        "spread": np.broadcast_to(series.spread, len(series.genes)).copy(),
        "allowed": pairs.allowed,
        "history": cuts.history,
        "n_steps": cuts.n_steps,
        **trained.parameters.arrays(),
    }


METHODS.add(
    "ritini",
    Method(
        "ritini",
        fit,
        "RiTINI: attention of a neural ODE on a graph of genes along a trajectory",
        verify=verify,
        ready=ready,
        whole=True,
        signed=False,
        probability=False,
        devices=("cuda",),
        needs=("cells", "time"),
        takes_prior=True,
        knockout=knockout,
        response=response,
        tables={
            "dynamics": Table("attention over time", ("lineage", "t", "source", "target", "weight")),
            "predictions": Table("what histories predict", ("lineage", "t", "gene", "observed", "predicted")),
            "loss": Table("loss by epoch", ("epoch", "total", "prediction", "graph", "entropy")),
            "prior": Table("pairs of the prior", ("source", "target")),
            "fit": Table("what a prediction needs: model, graph and paths"),
        },
        keeps_parts=True,
        reference="Bhaskar et al. 2023, Learning on Graphs Conference",
        advice="attention adds up to 1 over the sources of a gene: it tells sources of one gene apart, and no more",
        system="RiTINI",
        year=2023,
        inputs="RNA, a trajectory; a base GRN if there is one",
        cost="windows x genes x layers per epoch, and pairs of genes",
        licence="non-commercial",
        page="methods/ritini",
    ),
)
