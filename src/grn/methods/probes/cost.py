"""What a probe will cost, before it runs."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.device import torch_threads
from grn._core.logging import progress
from grn._core.store import size
from grn.methods.inputs import Inputs
from grn.methods.probes.base_cells import CONTEXTS, BaseCells, refuse_groups
from grn.methods.probes.execution import duration
from grn.methods.probes.features import (
    FEATURES,
    OF_RESPONSES,
    check_background,
    need_background,
    result_bytes,
    value_grid,
)
from grn.methods.probes.plan import Plan, batch_of, plan
from grn.methods.probes.readings import Both, Gradient, Reading, Vvp, background_of, bytes_per_gene
from grn.methods.probes.store_sink import sources_per_chunk
from grn.models import FoundationModel, Panel
from grn.models.protocol import need, virtual_cell

# seconds a timed batch may take
_PATIENCE = 2.5


@dataclass(frozen=True)
class Cost:
    """What a probe takes.

    Parameters
    ----------
    features
        What is read.
    model
        Name of the model.
    device
        Where it was, and would be, run.
    n_sources, n_targets, n_groups, n_points
        Genes the model knows, groups of cells, points of the grid.
    n_panels
        Sets of genes shown to the model together; the same for every group.
    panel_genes
        Genes of the largest of them.
    forward_passes, dual_passes
        Virtual cells to go through the model, without and with a derivative. Many go through it at once.
    flop
        Floating-point operations of the matrix products.
    seconds
        Time on this machine as it is now; NaN without a calibration.
    result_bytes
        Size of the features, in memory or, at most, on disk.
    work_bytes
        Memory beside the model, the object and the features; at most.
    n_files
        Files of a store.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3"]].copy()
    >>> cost = grn.tl.estimate_cost(adata, sources=["SPI1"], calibrate=False)
    >>> cost.forward_passes, cost.dual_passes, cost.result_bytes
    (1, 8, 256)
    """

    features: tuple[str, ...]
    model: str
    device: str
    n_sources: int
    n_targets: int
    n_groups: int
    n_points: int
    n_panels: int
    panel_genes: int
    forward_passes: int
    dual_passes: int
    flop: float
    seconds: float
    result_bytes: int
    work_bytes: int
    n_files: int

    def __repr__(self) -> str:
        groups = f" x {self.n_groups} groups" if self.n_groups > 1 else ""
        panels = "1 panel" if self.n_panels == 1 else f"{self.n_panels:,} panels"
        taken = "not measured" if math.isnan(self.seconds) else f"about {duration(self.seconds)} on {self.device}"
        lines = {
            "pairs": f"{self.n_sources:,} sources x {self.n_targets:,} targets x {self.n_points} points{groups}",
            "panels": f"{panels} of up to {self.panel_genes:,} genes",
            "passes": f"{self.forward_passes:,} forward, {self.dual_passes:,} dual",
            "operations": f"{self.flop:.2g} FLOP",
            "time": taken,
            "result": f"{size(self.result_bytes)}, with store= in {self.n_files:,} files",
            "work": f"up to {size(self.work_bytes)}",
        }
        head = f"Cost of {' and '.join(self.features)} of {self.model!r}"
        return "\n".join([head, *(f"  {name:<12}{text}" for name, text in lines.items())])


def cost_of(
    inputs: Inputs,
    features: Sequence[str],
    *,
    grid: Sequence[float] | None,
    background: str,
    context: str,
    calibrate: bool,
) -> Cost:
    """Cost of the probes of some features, from their plan; see :func:`grn.tl.estimate_cost`."""
    features = _wanted(features)
    task, model = inputs.task, inputs.task.model
    for name in features:
        need(model, "value" if name == "vvp" else "gradient", f"estimate_cost with features={name!r}")
    check_background(background, context, among=OF_RESPONSES)
    need_background(model, background)
    reading = _reading(features, model, grid, background)
    genes = inputs.pairs
    cells = BaseCells(_groups(inputs, context), {})
    work = plan(model, reading, cells, genes, batch_size=task.batch_size, memory_budget=task.memory_budget)
    forward, dual = passes(work, features)
    panel = _typical(work)
    with torch.no_grad(), torch_threads(task.n_jobs):
        plain, attention = _operations(model, panel, background)
        seconds = _seconds(work, panel, forward, dual, show=task.show) if calibrate else math.nan
    return Cost(
        features=features,
        model=model.name,
        device=str(getattr(model, "device", "cpu")),
        n_sources=len(genes.sources),
        n_targets=len(genes.targets),
        n_groups=len(cells.names),
        n_points=work.n_points,
        n_panels=sum(len(panels) for _, panels in work.strides),
        panel_genes=max(len(panel) for _, panels in work.strides for panel, _ in panels),
        forward_passes=forward,
        dual_passes=dual,
        flop=float(forward * (plain + attention) + dual * (2 * plain + 3 * attention)),
        seconds=seconds,
        result_bytes=result_bytes(work),
        work_bytes=_work_bytes(work),
        n_files=_files(work),
    )


def passes(work: Plan, features: tuple[str, ...]) -> tuple[int, int]:
    """Virtual cells of a plan that go through the model without and with a derivative."""
    forward = dual = 0
    for unit in work.units:
        sources = unit.stop - unit.start
        changed = sources * work.n_points
        n_panels = len(work.strides[unit.stride][1])
        if "vvp" in features:  # the cells without a change
            forward += n_panels * (sources if background_of(work.reading) == "unknown" else 1)
        if "gradient_trajectory" in features:
            dual += n_panels * changed
        else:
            forward += n_panels * changed
    return forward, dual


def _wanted(features: Sequence[str]) -> tuple[str, ...]:
    given = checks.words("features", features, FEATURES)
    return tuple(name for name in FEATURES if name in given)


def _reading(
    features: tuple[str, ...], model: FoundationModel, grid: Sequence[float] | None, background: str
) -> Reading:
    scale = model.value_scale
    if features == ("vvp",):
        return Vvp(value_grid(grid, scale.perturbation_grid, "grid"), background)
    points = value_grid(grid, scale.gradient_grid, "grid")
    return (Gradient if features == ("gradient_trajectory",) else Both)(points, background)


def _cell(model: FoundationModel, panel: Panel, background: str) -> Tensor:
    """A virtual cell (1, n) such as those that are read."""
    cell = virtual_cell(model, panel)
    if background == "unknown":
        others = torch.ones(len(cell), dtype=torch.bool, device=cell.device)
        others[panel.src_pos[:1].to(cell.device)] = False
        cell = cell.masked_fill(others, torch.nan)
    return cell[None]


def _groups(inputs: Inputs, context: str) -> tuple[str, ...]:
    groupby = inputs.task.groupby
    checks.word("context", context, CONTEXTS)
    if groupby is None:
        return ("",)
    if context == "virtual":
        refuse_groups(groupby)
    return inputs.groups[0]


def _typical(work: Plan) -> Panel:
    """The panel of median size; those of one plan differ little."""
    panels = sorted((panel for _, those in work.strides for panel, _ in those), key=len)
    return panels[len(panels) // 2]


def _work_bytes(work: Plan) -> int:
    """Memory of the largest batch, by the rule that sizes batches, and of the numbers of one unit on their way."""
    sizes = []
    for _, panels in work.strides:
        for panel, _ in panels:
            batch = batch_of(work.model, panel, work.batch_size, work.memory_budget)
            sizes.append(batch * bytes_per_gene(work.model) * len(panel))
    most = max(unit.stop - unit.start for unit in work.units)
    unit = 4 * len(work.genes.ids) * most * work.n_points * len(work.reading.features)
    return max(sizes) + 3 * unit


def _files(work: Plan) -> int:
    """Files of a store: chunks, one mark per unit, and what describes them."""
    chunks = -(-len(work.order) // sources_per_chunk(work)) * len(work.cells.names)
    return len(work.reading.features) * (chunks + 2) + len(work.units) + 4


def _operations(model: FoundationModel, panel: Panel, background: str) -> tuple[float, float]:
    """Operations of one virtual cell: in plain matrix products, and in those of attention."""
    from torch.utils.flop_counter import FlopCounterMode

    # torch counts neither oneDNN nor, by itself, its kernel of attention for the CPU
    kernels = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop}
    counter = FlopCounterMode(display=False, custom_mapping=kernels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the flag about a kind of device that is not there
        with torch.backends.mkldnn.flags(enabled=False), counter:
            model.respond(panel, _cell(model, panel, background))
    operations = {str(name): float(n) for name, n in counter.get_flop_counts().get("Global", {}).items()}
    attention = sum(n for name, n in operations.items() if "bmm" in name or "attention" in name)
    return sum(operations.values()) - attention, attention


def _attention_flop(q: Sequence[int], k: Sequence[int], v: Sequence[int], *rest: Any, **more: Any) -> int:
    return 2 * math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


def _seconds(work: Plan, panel: Panel, forward: int, dual: int, *, show: bool | None) -> float:
    """Time of all passes, from one batch of each kind."""
    model = work.model
    cell = _cell(model, panel, background_of(work.reading))  # (1, n)
    slow = _time(lambda: model.respond(panel, cell), model)
    batch = batch_of(model, panel, work.batch_size, work.memory_budget)
    many = work.n_points * max(1, batch // work.n_points) if len(work.order) > 1 else work.n_points
    total = 0.0
    if forward > dual:
        n = _cells(slow, min(batch, many))
        values = cell.repeat(n, 1)
        total += forward * _repeated(lambda: model.respond(panel, values), model, show=show) / n
    else:
        total += forward * slow
    if dual:
        first = _time(lambda: model.respond_dual(panel, cell, torch.ones_like(cell)), model)
        n = _cells(first, min(batch, many))
        values = cell.repeat(n, 1)
        tangents = torch.ones_like(values)
        total += dual * _repeated(lambda: model.respond_dual(panel, values, tangents), model, show=show) / n
    return total


def _cells(seconds: float, most: int) -> int:
    """Cells of which a batch can be timed, when one takes some seconds."""
    return int(np.clip(_PATIENCE / max(seconds, 1e-9), 1, most))


def _repeated(run: Callable[[], object], model: FoundationModel, *, show: bool | None) -> float:
    """Median time of a batch, of up to seven."""
    times: list[float] = []
    for _ in progress(range(7), desc="timing", show=show):
        times.append(_time(run, model))
        if sum(times) + times[-1] >= _PATIENCE:
            break
    return float(np.median(times))


def _time(run: Callable[[], object], model: FoundationModel) -> float:
    _wait(model)
    start = time.perf_counter()
    run()
    _wait(model)
    return time.perf_counter() - start


def _wait(model: FoundationModel) -> None:
    device = torch.device(getattr(model, "device", "cpu"))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
