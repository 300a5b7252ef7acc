"""What a probe reads of a model: plain records, so that they travel to other processes.

Each is called with a model, a panel, the base cells, a group and the columns of some sources of the panel (s,), and
returns their numbers (s, R, K): K values per source and target, the features of the reading side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from grn._core.logging import logger
from grn._kernels import perturb
from grn.methods.probes.base_cells import BaseCells
from grn.models import FoundationModel, Panel

# features of one unit of work, which are held in memory as a whole
_UNIT_BYTES = 128 * 2**20


class Reading(Protocol):
    """One probe; ``background`` says where the other genes are, ``"fixed"`` where a reading has no such attribute."""

    features: tuple[str, ...]
    points: np.ndarray

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """Numbers (s, R, features x points)."""


@dataclass(frozen=True, eq=False)
class Vvp:
    """``M(v, g_i <- v_p) - M(v, g_i <- v_b)`` at the points."""

    points: np.ndarray
    background: str = "fixed"
    features: ClassVar[tuple[str, ...]] = ("vvp",)

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base = cells.base(model, group, panel)
        columns = columns.to(base.device)
        others, resting = _surroundings(base, columns, self.background)
        blocks = perturb.perturb(
            lambda values: model.respond(panel, values),
            others,
            columns,
            _on(self.points, base),
            batch=batch,
            resting=resting,
        )
        return torch.cat([block for _, block in blocks])


@dataclass(frozen=True, eq=False)
class Gradient:
    """``d M(v, g_i <- v_t) / d v_i`` at the points.

    In the moving background all genes are at v_t, so that all sources share the points. Where the targets of the panel
    are few against the sources of the unit, reverse mode is the cheaper way to the same numbers.
    """

    points: np.ndarray
    background: str = "fixed"
    features: ClassVar[tuple[str, ...]] = ("gradient_trajectory",)

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base = cells.base(model, group, panel)
        columns, points = columns.to(base.device), _on(self.points, base)
        moving = self.background == "moving"
        if moving and _reverse_pays(model, len(columns), len(panel.targets)):
            try:
                return self._reverse(model, panel, base, columns, batch)
            except perturb.NoReverse as why:
                logger.info("moving background: %r is read in forward mode; %s", model.name, why)
        blocks = perturb.gradient(
            lambda v, t: model.respond_dual(panel, v, t),
            _surroundings(base, columns, self.background)[0],
            columns,
            points,
            batch=batch,
            moving=moving,
        )
        return torch.cat([block for _, block in blocks])

    def unit_size(self, model: FoundationModel, panels: Sequence[Panel], n_sources: int, n_vars: int) -> int | None:
        """Sources of a unit that make reverse mode pay; ``None`` where forward mode is cheaper."""
        if self.background != "moving":
            return None
        most = max(1, _UNIT_BYTES // (4 * n_vars * len(self.points)))
        size = -(-n_sources // -(-n_sources // most))
        targets = max(len(panel.targets) for panel in panels)
        reverse = _reverse_pays(model, size, targets)
        n, what = (targets, "targets") if reverse else (n_sources, "sources")
        logger.info("moving background: %s mode over %d %s", "reverse" if reverse else "forward", n, what)
        return size if reverse else None

    def _reverse(self, model: FoundationModel, panel: Panel, base: Tensor, columns: Tensor, batch: int) -> Tensor:
        return perturb.reverse_gradient(
            lambda values: model.respond(panel, values),
            lambda v, t: model.respond_dual(panel, v, t),
            base,
            columns,
            _on(self.points, base),
            batch=batch,
            # what the dual passes of a batch may take, see grn.methods.probes.plan.batch_of
            room=batch * bytes_per_gene(model) * len(panel),
        )


@dataclass(frozen=True, eq=False)
class Both:
    """Both probes at the same points, in dual passes."""

    points: np.ndarray
    background: str = "fixed"
    features: ClassVar[tuple[str, ...]] = ("vvp", "gradient_trajectory")

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base = cells.base(model, group, panel)
        columns = columns.to(base.device)
        others, resting = _surroundings(base, columns, self.background)
        blocks = perturb.perturb_and_gradient(
            lambda values: model.respond(panel, values),
            lambda v, t: model.respond_dual(panel, v, t),
            others,
            columns,
            _on(self.points, base),
            batch=batch,
            resting=resting,
        )
        return torch.cat([torch.cat([value, slope], dim=-1) for _, value, slope in blocks])


@dataclass(frozen=True, eq=False)
class ZeroOut:
    """``M(mean) - M(mean, gene i not expressed)``."""

    points: np.ndarray
    features: ClassVar[tuple[str, ...]] = ("pert",)

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base, zero = cells.base(model, group, panel), cells.silent(model, panel)
        columns = columns.to(base.device)
        changed = (zero != base)[columns]
        blocks = perturb.perturb(
            lambda values: model.respond(panel, values), base, columns, zero[columns][:, None], batch=batch
        )
        # a gene that is silent already loses exactly nothing, not the rounding of another batch
        return -torch.cat([block for _, block in blocks]) * changed[:, None, None]


@dataclass(frozen=True, eq=False)
class Flag:
    """Response to the model's own perturbation flag of gene i."""

    points: np.ndarray
    features: ClassVar[tuple[str, ...]] = ("perturbation_response",)

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base = cells.base(model, group, panel)
        origin = model.respond_flag(panel, base[None], torch.zeros_like(base)[None])[0]  # type: ignore[attr-defined]
        flags = torch.eye(len(panel), device=base.device)[columns.to(base.device)]
        responses = [
            model.respond_flag(panel, base.expand(len(part), -1), part) - origin  # type: ignore[attr-defined]
            for part in flags.split(batch)
        ]
        return torch.cat(responses).unsqueeze(-1)


@dataclass(frozen=True, eq=False)
class Contrast:
    """Response to the intervention on i instead of the control, one point per context of the model."""

    points: np.ndarray
    features: ClassVar[tuple[str, ...]] = ("perturbation_response",)

    def __call__(
        self, model: FoundationModel, panel: Panel, cells: BaseCells, group: int, columns: Tensor, batch: int
    ) -> Tensor:
        """See :class:`Reading`."""
        base = cells.base(model, group, panel)
        switched = torch.eye(len(panel), device=base.device)[columns.to(base.device)]
        responses = []
        for i in range(len(self.points)):
            where = torch.tensor([i], device=base.device)
            control = model.respond(panel, base[None], context=where)
            parts = [model.respond(panel, part, context=where) - control for part in switched.split(batch)]
            responses.append(torch.cat(parts))
        return torch.stack(responses, dim=-1)


def background_of(reading: Reading) -> str:
    """Where the genes are that a reading does not move."""
    return str(getattr(reading, "background", "fixed"))


def bytes_per_gene(model: FoundationModel) -> int:
    """Memory of one gene of one virtual cell during a dual pass."""
    return int(getattr(model, "bytes_per_gene", 16384))


def _surroundings(base: Tensor, columns: Tensor, background: str) -> tuple[Tensor, Tensor | None]:
    """The cell (n,) around a source, and values of the sources (S,) at rest where each has such a cell of its own."""
    if background != "unknown":
        return base, None
    return torch.full_like(base, torch.nan), base[columns]


def _reverse_pays(model: FoundationModel, sources: int, targets: int) -> bool:
    """Whether a model can be read in reverse mode, and that is the cheaper way to one point of all sources."""
    # in bfloat16 the two modes round differently, and forward mode is what the documentation promises
    exact = getattr(model, "dtype", "float32") != "bfloat16"
    return exact and perturb.reverse_pays(sources, targets, getattr(model, "pass_costs", perturb.TRANSFORMER))


def _on(points: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(points, dtype=like.dtype, device=like.device)
