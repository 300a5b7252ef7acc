"""Pair features of a frozen model on an object: every probe returns the same record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grn._core import checks
from grn._core.cluster import check_client
from grn._core.errors import CapabilityError, ParameterError
from grn._core.logging import hint
from grn._core.store import size
from grn._core.stored import StoredCube
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.methods.probes.base_cells import base_cells
from grn.methods.probes.execution import ArraySink, run
from grn.methods.probes.plan import Plan, plan
from grn.methods.probes.readings import Both, Gradient, Reading, Vvp, ZeroOut, background_of
from grn.methods.probes.store_sink import StoreSink
from grn.models import FoundationModel
from grn.models.protocol import BACKGROUNDS, need

# what one pass on the gradient grid gives
FEATURES = ("vvp", "gradient_trajectory")
# a response has no moving background, as all sources would share it
OF_RESPONSES = ("fixed", "unknown")


@dataclass(frozen=True)
class PairFeatures:
    """A feature cube and what its axes mean.

    Parameters
    ----------
    values
        float32 (n_vars, S, K), group-major along K; NaN where unknown and on self pairs. An array in memory, or, with
        a store, one that reads what is taken of it.
    sources
        Rows of the object that are sources (S,); with a store in its order.
    grid
        The points of one group (M,), so K = groups x M.
    groups
        Names of the groups; one empty name when there is no grouping.
    genes
        How names were matched.
    feature
        Name of the feature, as translators know it.
    background
        Where the other genes were: ``"fixed"``, ``"moving"`` or ``"unknown"``.
    store, store_sha256
        Folder that holds the values, and the hash of its manifest; ``None`` and ``""`` without a store.
    """

    values: Any
    sources: np.ndarray
    grid: np.ndarray
    groups: tuple[str, ...]
    genes: PairGenes
    feature: str
    background: str = "fixed"
    store: Path | None = None
    store_sha256: str = ""

    def of_group(self, i: int) -> np.ndarray:
        """The cube (n_vars, S, M) of one group."""
        m = len(self.grid)
        cube: np.ndarray = self.values[:, :, i * m : (i + 1) * m]
        return cube


def value_grid(grid: Sequence[float] | None, default: Sequence[float], name: str) -> np.ndarray:
    """A user's grid or the model's, checked: finite, distinct, at least one value."""
    try:
        values = np.asarray(default if grid is None else grid, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name}={grid!r} is not a list of numbers.") from error
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or len(set(values.tolist())) < len(values):
        raise ParameterError(f"{name}={grid!r}; pass a list of distinct finite numbers, such as {list(default)}.")
    return values


def vvp(
    inputs: Inputs,
    *,
    grid: Sequence[float] | None = None,
    background: str = "fixed",
    context: str = "virtual",
    order: Sequence[str] | None = None,
    store: Path | None = None,
) -> PairFeatures:
    """Virtual value perturbation; ``context``, ``order`` and ``store`` are those of :func:`collect`."""
    model = inputs.task.model
    need(model, "value", "virtual value perturbation")
    points = value_grid(grid, model.value_scale.perturbation_grid, "grid")
    check_background(background, context, among=OF_RESPONSES)
    need_background(model, background)
    return collect(inputs, Vvp(points, background), context=context, order=order, store=store)["vvp"]


def gradient_trajectory(
    inputs: Inputs,
    *,
    grid: Sequence[float] | None = None,
    background: str = "fixed",
    context: str = "virtual",
    order: Sequence[str] | None = None,
    store: Path | None = None,
) -> PairFeatures:
    """Gradient trajectory by forward mode; ``context``, ``order`` and ``store`` are those of :func:`collect`."""
    model = inputs.task.model
    need(model, "gradient", "gradient trajectory")
    points = value_grid(grid, model.value_scale.gradient_grid, "grid")
    check_background(background, context)
    need_background(model, background)
    reading = Gradient(points, background)
    return collect(inputs, reading, context=context, order=order, store=store)["gradient_trajectory"]


def check_background(background: str, context: str | None, *, among: Sequence[str] = BACKGROUNDS) -> None:
    """Refuse a background there is none of, or that leaves nothing of the context; ``None`` is not decided yet."""
    checks.word("background", background, among)
    if background != "fixed" and context not in (None, "virtual"):
        does = "sets all genes to the grid value" if background == "moving" else "hides all genes but one"
        raise ParameterError(f"background={background!r} {does}; it needs context='virtual'.")


# features computed before, by context and background; None where there are none
Stored = Callable[[str, str], dict[str, PairFeatures] | None]


def need_background(model: FoundationModel, background: str) -> None:
    """Refuse a background that means nothing to a model."""
    if background == "unknown":
        need(model, "unknown", "background='unknown'")
    if background == "moving" and model.gradient_kind != "exact":
        raise CapabilityError(
            f"background='moving' sets all genes to one value, which means nothing to {model.name!r} "
            f"({model.value_scale.name}); use background='fixed'."
        )


def both(
    inputs: Inputs,
    *,
    grid: Sequence[float] | None = None,
    background: str = "fixed",
    context: str = "virtual",
    order: Sequence[str] | None = None,
    store: Path | None = None,
) -> dict[str, PairFeatures]:
    """Both probes on one grid by their names, for the price of the gradient trajectory."""
    model = inputs.task.model
    need(model, "gradient", "the joint probe")
    points = value_grid(grid, model.value_scale.gradient_grid, "grid")
    check_background(background, context, among=OF_RESPONSES)
    need_background(model, background)
    return collect(inputs, Both(points, background), context=context, order=order, store=store)


def pert(inputs: Inputs, *, order: Sequence[str] | None = None, store: Path | None = None) -> PairFeatures:
    """Zero-out on the real mean cell: M(mean)_j - M(mean, gene i not expressed)_j."""
    need(inputs.task.model, "value", "the zero-out perturbation")
    nothing = np.zeros(1, dtype=np.float32)
    return collect(inputs, ZeroOut(nothing), context="mean", order=order, store=store)["pert"]


def collect(
    inputs: Inputs,
    reading: Reading,
    *,
    context: str,
    order: Sequence[str] | None = None,
    store: Path | None = None,
) -> dict[str, PairFeatures]:
    """Read a probe, unit by unit, into one cube per feature.

    Parameters
    ----------
    inputs
        Model, genes and cells.
    reading
        What is read of the model.
    context
        ``"virtual"``: all genes at the baseline; ``"mean"``: the mean real cell, per group.
    order
        Names in the order in which the model is shown them; ``None`` for that of its vocabulary.
    store
        Folder that features go to instead of memory.
    """
    task = inputs.task
    check_client(task.client)
    genes = inputs.pairs_in(order)
    cells = base_cells(inputs, genes, context=context)
    work = plan(task.model, reading, cells, genes, batch_size=task.batch_size, memory_budget=task.memory_budget)
    if store is not None:
        return _stored(inputs, work, store)
    check_features(result_bytes(work), task.feature_budget)
    sink = ArraySink(work)
    run(work, sink, client=task.client, show=task.show)
    for name, values in sink.cubes.items():
        _tell_missing(values, genes, name)
    axes = (genes.sources, reading.points, cells.names, genes)
    return {n: PairFeatures(v, *axes, n, background_of(reading)) for n, v in sink.cubes.items()}


def _stored(inputs: Inputs, work: Plan, store: Path) -> dict[str, PairFeatures]:
    from grn import __version__

    identity = {"genes": inputs.names.tolist(), "grn_version": __version__}
    sink = StoreSink(store, work, identity)
    run(work, sink, client=inputs.task.client, show=inputs.task.show)
    sha256 = sink.finish()
    axes, background = (work.order, work.reading.points, work.cells.names, work.genes), background_of(work.reading)
    return {
        name: PairFeatures(StoredCube(sink.path, sink.manifest, name), *axes, name, background, sink.path, sha256)
        for name in work.reading.features
    }


def result_bytes(work: Plan) -> int:
    """Size of the cubes of a plan."""
    pairs = len(work.genes.ids) * len(work.order) * len(work.cells.names)
    return 4 * pairs * work.n_points * len(work.reading.features)


def check_features(n_bytes: int, budget: int | None) -> None:
    """Refuse features that are too large for memory."""
    if budget is not None and n_bytes > budget:
        raise ParameterError(
            f"the features take {size(n_bytes)}, more than grn.settings.feature_budget ({size(budget)}); pass "
            "store='folder' to a probe such as grn.tl.probe, which keeps them on disk, pass fewer sources, or raise "
            "the setting."
        )


def _tell_missing(values: np.ndarray, genes: PairGenes, feature: str) -> None:
    """Say when a model gave no answer for a target, as for genes that are absent from a cell of ranks."""
    # a gene is no target of itself, so a single source has no answer to give
    other = genes.targets[:, None] != genes.sources
    unread = np.isnan(values[genes.targets]).all(axis=2)
    missing = int(((unread | ~other).all(axis=1) & other.any(axis=1)).sum())
    if missing:
        hint("%s: %d of %d targets could not be read and stay NaN", feature, missing, len(genes.targets))
