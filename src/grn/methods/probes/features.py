"""Pair features of a frozen model on an object: every probe returns the same record."""

from __future__ import annotations

from collections.abc import Sequence
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
from grn._kernels.scan import check_values
from grn.methods.genes import PairGenes, pair_genes
from grn.methods.probes.base_cells import base_cells
from grn.methods.probes.execution import ArraySink, run
from grn.methods.probes.plan import Plan, batch_of, check_batch, plan
from grn.methods.probes.readings import Both, Gradient, Reading, Vvp, ZeroOut
from grn.methods.probes.store_sink import StoreSink
from grn.models import FoundationModel, Panel
from grn.models.protocol import need


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
    store, store_sha256
        Folder that holds the values, and the hash of its manifest; ``None`` and ``""`` without a store.
    """

    values: Any
    sources: np.ndarray
    grid: np.ndarray
    groups: tuple[str, ...]
    genes: PairGenes
    feature: str
    store: Path | None = None
    store_sha256: str = ""

    def of_group(self, i: int) -> np.ndarray:
        """The cube (n_vars, S, M) of one group."""
        m = len(self.grid)
        found: np.ndarray = self.values[:, :, i * m : (i + 1) * m]
        return found


@dataclass(frozen=True)
class Request:
    """What every probe needs to know.

    Parameters
    ----------
    model
        The frozen model, on its device.
    sources, targets
        Names, or ``None`` for regulators and all genes.
    order
        Names in the order in which the model is shown them; ``None`` for that of its vocabulary.
    context
        ``"virtual"``: all genes at the baseline; ``"mean"``: the mean real cell, per group.
    groupby, layer, use_raw, values
        Which cells and values the mean is taken of.
    batch_size
        Virtual cells per pass; ``None`` decides from ``memory_budget`` (bytes).
    show
        Progress bar.
    feature_budget
        Bytes that features may use in memory; ``None`` for any number.
    store
        Folder that features go to instead of memory.
    client
        dask client whose workers do the work.
    """

    model: FoundationModel
    sources: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    order: Sequence[str] | None = None
    context: str = "virtual"
    groupby: str | None = None
    layer: str | None = None
    use_raw: bool = False
    values: str = "auto"
    batch_size: int | None = None
    memory_budget: int = 512 * 2**20
    show: bool | None = None
    feature_budget: int | None = None
    store: Path | None = None
    client: Any = None

    def __post_init__(self) -> None:
        """Refuse a scale of values that is none, also where no cells are read."""
        check_values(self.values)

    def batch(self, panel: Panel) -> int:
        """Virtual cells per pass."""
        check_batch(self.batch_size)
        return batch_of(self.model, panel, self.batch_size, self.memory_budget)


def value_grid(grid: Sequence[float] | None, default: Sequence[float], name: str) -> np.ndarray:
    """A user's grid or the model's, checked: finite, distinct, at least one value."""
    try:
        values = np.asarray(default if grid is None else grid, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name}={grid!r} is not a list of numbers.") from error
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or len(set(values.tolist())) < len(values):
        raise ParameterError(f"{name}={grid!r}; pass a list of distinct finite numbers, such as {list(default)}.")
    return values


def vvp(adata, request: Request, *, grid: Sequence[float] | None = None) -> PairFeatures:
    """Virtual value perturbation."""
    need(request.model, "value", "virtual value perturbation")
    points = value_grid(grid, request.model.value_scale.perturbation_grid, "grid")
    return collect(adata, request, Vvp(points))["vvp"]


def gradient_trajectory(
    adata, request: Request, *, grid: Sequence[float] | None = None, background: str = "fixed"
) -> PairFeatures:
    """Gradient trajectory by forward mode."""
    need(request.model, "gradient", "gradient trajectory")
    points = value_grid(grid, request.model.value_scale.gradient_grid, "grid")
    checks.word("background", background, ("fixed", "moving"))
    if background == "moving" and request.model.gradient_kind != "exact":
        raise CapabilityError(
            f"background='moving' sets all genes to one value, which means nothing to {request.model.name!r} "
            f"({request.model.value_scale.name}); use background='fixed'."
        )
    if background == "moving" and request.context != "virtual":
        raise ParameterError("background='moving' sets all genes to the grid value; it needs context='virtual'.")
    reading = Gradient(points, moving=background == "moving")
    return collect(adata, request, reading)["gradient_trajectory"]


def both(adata, request: Request, *, grid: Sequence[float] | None = None) -> tuple[PairFeatures, PairFeatures]:
    """Both probes on one grid, for the price of the gradient trajectory."""
    need(request.model, "gradient", "the joint probe")
    points = value_grid(grid, request.model.value_scale.gradient_grid, "grid")
    found = collect(adata, request, Both(points))
    return found["vvp"], found["gradient_trajectory"]


def pert(adata, request: Request) -> PairFeatures:
    """Zero-out on the real mean cell: M(mean)_j - M(mean, gene i not expressed)_j."""
    need(request.model, "value", "the zero-out perturbation")
    return collect(adata, request, ZeroOut(np.zeros(1, dtype=np.float32)))["pert"]


def collect(adata, request: Request, reading: Reading) -> dict[str, PairFeatures]:
    """Read a probe, unit by unit, into one cube per feature: in memory, or in the store asked for."""
    check_client(request.client)
    genes = pair_genes(adata, request.model, request.sources, request.targets, request.order)
    cells = base_cells(
        adata,
        genes,
        context=request.context,
        groupby=request.groupby,
        layer=request.layer,
        use_raw=request.use_raw,
        values=request.values,
    )
    work = plan(
        request.model,
        reading,
        cells,
        genes,
        batch_size=request.batch_size,
        memory_budget=request.memory_budget,
    )
    if request.store is not None:
        return _stored(adata, request, work)
    check_features(result_bytes(work), request.feature_budget)
    sink = ArraySink(work)
    run(work, sink, client=request.client, show=request.show)
    for name, values in sink.cubes.items():
        _tell_missing(values, genes, name)
    return {n: PairFeatures(v, genes.sources, reading.points, cells.names, genes, n) for n, v in sink.cubes.items()}


def _stored(adata, request: Request, work: Plan) -> dict[str, PairFeatures]:
    from grn import __version__

    identity = {"genes": [str(name) for name in adata.var_names], "grn_version": __version__}
    sink = StoreSink(request.store, work, identity)
    run(work, sink, client=request.client, show=request.show)
    sha256 = sink.finish()
    axes = (work.order, work.reading.points, work.cells.names, work.genes)
    return {
        name: PairFeatures(StoredCube(sink.path, sink.manifest, name), *axes, name, sink.path, sha256)
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
