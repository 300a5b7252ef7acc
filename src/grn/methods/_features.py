"""Pair features of a frozen model on an object: every probe returns the same record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from grn._core.device import rows_per_batch
from grn._core.errors import CapabilityError, ParameterError
from grn._core.logging import logger, progress
from grn._kernels import perturb
from grn.methods._genes import PairGenes, pair_genes, panels
from grn.models import FoundationModel, Moments, Panel
from grn.models._protocol import need, virtual_cell
from grn.pp._anndata import expression, groups

CONTEXTS = ("virtual", "mean")


@dataclass(frozen=True)
class PairFeatures:
    """A feature cube and what its axes mean.

    Parameters
    ----------
    values
        float32 (n_vars, S, K), group-major along K; NaN where unknown and on self pairs.
    sources
        Rows of the object that are sources (S,).
    grid
        The points of one group (M,), so K = groups x M.
    groups
        Names of the groups; one empty name when there is no grouping.
    genes
        How names were matched.
    feature
        Name of the feature, as translators know it.
    """

    values: np.ndarray
    sources: np.ndarray
    grid: np.ndarray
    groups: tuple[str, ...]
    genes: PairGenes
    feature: str

    def of_group(self, i: int) -> np.ndarray:
        """The cube (n_vars, S, M) of one group."""
        m = len(self.grid)
        return self.values[:, :, i * m : (i + 1) * m]


@dataclass(frozen=True)
class Request:
    """What every probe needs to know.

    Parameters
    ----------
    model
        The frozen model, on its device.
    sources, targets
        Names, or ``None`` for regulators and all genes.
    context
        ``"virtual"``: all genes at the baseline; ``"mean"``: the mean real cell, per group.
    groupby, layer, use_raw
        Which cells and values the mean is taken of.
    batch_size
        Virtual cells per pass; ``None`` decides from ``memory_budget`` (bytes).
    show
        Progress bar.
    """

    model: FoundationModel
    sources: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    context: str = "virtual"
    groupby: str | None = None
    layer: str | None = None
    use_raw: bool = False
    batch_size: int | None = None
    memory_budget: int = 512 * 2**20
    show: bool | None = None

    def batch(self, panel: Panel) -> int:
        """Virtual cells per pass."""
        if self.batch_size is not None:
            if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
                raise ParameterError(f"batch_size={self.batch_size!r}; pass a positive integer or None.")
            return self.batch_size
        per_gene = getattr(self.model, "bytes_per_gene", 16384)
        return rows_per_batch(per_gene * len(panel), self.memory_budget, limit=16)


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

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        respond = lambda values: request.model.respond(panel, values)  # noqa: E731
        return perturb.perturb(respond, base, panel.src_pos.to(base.device), _on(points, base), batch=batch)

    return collect(adata, request, points, pieces, "vvp")


def gradient_trajectory(
    adata, request: Request, *, grid: Sequence[float] | None = None, background: str = "fixed"
) -> PairFeatures:
    """Gradient trajectory by forward mode."""
    need(request.model, "gradient", "gradient trajectory")
    points = value_grid(grid, request.model.value_scale.gradient_grid, "grid")
    if background not in ("fixed", "moving"):
        raise ParameterError(f"background={background!r}; use 'fixed' or 'moving'.")
    if background == "moving" and request.model.gradient_kind != "exact":
        raise CapabilityError(
            f"background='moving' sets all genes to one value, which means nothing to {request.model.name!r} "
            f"({request.model.value_scale.name}); use background='fixed'."
        )
    if background == "moving" and request.context != "virtual":
        raise ParameterError("background='moving' sets all genes to the grid value; it needs context='virtual'.")

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        respond_dual = lambda v, t: request.model.respond_dual(panel, v, t)  # noqa: E731
        columns = panel.src_pos.to(base.device)
        return perturb.gradient(
            respond_dual, base, columns, _on(points, base), batch=batch, moving=background == "moving"
        )

    return collect(adata, request, points, pieces, "gradient_trajectory")


def both(adata, request: Request, *, grid: Sequence[float] | None = None) -> tuple[PairFeatures, PairFeatures]:
    """Both probes on one grid, for the price of the gradient trajectory."""
    need(request.model, "gradient", "the joint probe")
    points = value_grid(grid, request.model.value_scale.gradient_grid, "grid")
    m = len(points)

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        found = perturb.perturb_and_gradient(
            lambda values: request.model.respond(panel, values),
            lambda v, t: request.model.respond_dual(panel, v, t),
            base,
            panel.src_pos.to(base.device),
            _on(points, base),
            batch=batch,
        )
        return ((start, torch.cat([value, slope], dim=-1)) for start, value, slope in found)

    joint = collect(adata, request, np.concatenate([points, points]), pieces, "probe")
    cubes = joint.values.reshape(*joint.values.shape[:2], len(joint.groups), 2, m)
    parts = [np.ascontiguousarray(cubes[:, :, :, i].reshape(*cubes.shape[:2], -1)) for i in (0, 1)]
    first, second = (
        PairFeatures(part, joint.sources, points, joint.groups, joint.genes, name)
        for part, name in zip(parts, ("vvp", "gradient_trajectory"), strict=True)
    )
    return first, second


def pert(adata, request: Request) -> PairFeatures:
    """Zero-out on the real mean cell: M(mean)_j - M(mean, gene i not expressed)_j."""
    need(request.model, "value", "the zero-out perturbation")
    cells = _Cells(adata, request)

    def pieces(panel: Panel, base: Tensor, batch: int) -> Iterator[tuple[int, Tensor]]:
        zero = cells.encode(np.zeros((1, adata.n_vars)), panel, None)[0]
        columns = panel.src_pos.to(base.device)
        changed = (zero != base)[columns]
        respond = lambda values: request.model.respond(panel, values)  # noqa: E731
        found = perturb.perturb(respond, base, columns, zero[columns][:, None], batch=batch)
        # a gene that is silent already loses exactly nothing, not the rounding of another batch
        return ((start, -block * changed[start : start + len(block), None, None]) for start, block in found)

    return collect(adata, request, np.zeros(1, dtype=np.float32), pieces, "pert", cells=cells)


def refuse_groups(groupby: str) -> NoReturn:
    """Say why what uses no measurement cannot differ between groups."""
    raise ParameterError(
        f"groupby={groupby!r} was given, but virtual cells and embeddings use no measurement, so every group would get "
        "the same network; pass context='mean' to read the probes at each group's mean cell."
    )


def encode(model: FoundationModel, X: np.ndarray, moments: Moments, column: dict[str, int], panel: Panel) -> Tensor:
    """Rows of log-normalised expression (cells, n_vars) as values of a panel (cells, n).

    Parameters
    ----------
    model
        A model; with ``encodes_whole_cells`` the value of a gene depends on the other genes of its cell, and all genes
        it knows are encoded, so that panels do not matter.
    X, moments
        Cells, and the moments of their data set per column.
    column
        Column of every gene the model knows.
    panel
        The genes wanted.
    """
    whole = getattr(model, "encodes_whole_cells", False)
    genes = tuple(column) if whole else panel.genes
    columns = np.array([column[g] for g in genes])
    reference = Moments(moments.mean[columns], moments.std[columns], moments.total)
    values = model.encode_cells(X[:, columns], genes, reference=reference)
    if not whole:
        return values
    place = {gene: i for i, gene in enumerate(genes)}
    return values[:, [place[g] for g in panel.genes]]


class _Cells:
    """Base cells of a request: virtual, or the mean real cell of every group."""

    def __init__(self, adata, request: Request) -> None:
        if request.context not in CONTEXTS:
            raise ParameterError(f"context={request.context!r}; use one of {', '.join(CONTEXTS)}.")
        self.request = request
        self.genes = pair_genes(adata, request.model, request.sources, request.targets)
        self.column = {gene: i for i, gene in enumerate(self.genes.ids) if gene}
        self.names: tuple[str, ...] = ("",)
        if request.context == "virtual":
            if request.groupby is not None:
                refuse_groups(request.groupby)
            return
        values = expression(adata, layer=request.layer, use_raw=request.use_raw)
        self.reference = Moments(*values.moments())
        self.means = [self.reference.mean]
        masks = [np.ones(adata.n_obs, dtype=bool)]
        if request.groupby is not None:
            found = groups(adata, request.groupby)
            self.names = tuple(name for name, _ in found)
            masks = [mask for _, mask in found]
            self.means = [values.moments(mask)[0] for mask in masks]
        totals = [values.totals(mask) for mask in masks]
        self.totals = [None if total is None else total.mean(keepdims=True) for total in totals]

    def encode(self, X: np.ndarray, panel: Panel, total: np.ndarray | None) -> Tensor:
        """Rows of log-normalised expression (cells, n_vars) with their counts on the model's scale (cells, n)."""
        return encode(self.request.model, X, replace(self.reference, total=total), self.column, panel)

    def base(self, group: int, panel: Panel) -> Tensor:
        """Base cell (n,) of a group."""
        if self.request.context == "virtual":
            return virtual_cell(self.request.model, panel)
        return self.encode(self.means[group][None], panel, self.totals[group])[0]


def collect(
    adata,
    request: Request,
    points: np.ndarray,
    pieces: Callable[[Panel, Tensor, int], Iterator[tuple[int, Tensor]]],
    feature: str,
    *,
    cells: _Cells | None = None,
) -> PairFeatures:
    """Read a probe block by block of panels, groups and sources into one cube.

    ``pieces(panel, base, batch)`` yields the first source of a block and its numbers (s, R, K).
    """
    cells = cells or _Cells(adata, request)
    genes, m = cells.genes, len(points)
    slot = {row: i for i, row in enumerate(genes.sources)}
    out = np.full((adata.n_vars, len(genes.sources), m * len(cells.names)), np.nan, dtype=np.float32)
    parts = panels(request.model, genes)
    total = sum(len(src) for _, src, _ in parts) * len(cells.names)
    with torch.no_grad():
        blocks = (
            (group, src[start : start + len(block)], tgt, block)
            for panel, src, tgt in parts
            for group in range(len(cells.names))
            for start, block in pieces(panel, cells.base(group, panel), request.batch(panel))
        )
        bar = progress(range(total), desc=feature, show=request.show)
        for group, rows, tgt, block in blocks:
            columns = [slot[r] for r in rows]
            cube = block.transpose(0, 1).cpu().numpy()
            out[np.ix_(tgt, columns, range(group * m, (group + 1) * m))] = cube
            for _ in rows:
                next(bar, None)
    out[genes.sources, np.arange(len(genes.sources))] = np.nan
    _tell_missing(out[genes.targets], feature)
    return PairFeatures(out, genes.sources, points, cells.names, genes, feature)


def _tell_missing(values: np.ndarray, feature: str) -> None:
    """Say when a model gave no answer for a target, as for genes that are absent from a cell of ranks."""
    missing = int(np.isnan(values).all(axis=(1, 2)).sum())
    if missing:
        logger.info("%s: %d of %d targets could not be read and stay NaN", feature, missing, len(values))


def _on(points: np.ndarray, like: Tensor) -> Tensor:
    return torch.as_tensor(points, dtype=like.dtype, device=like.device)
