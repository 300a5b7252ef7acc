"""The two probes of a frozen model, on bare tensors.

Both walk over virtual cells that differ from a base cell in one gene. For sources
S and grid points M, virtual value perturbation costs S * M + 1 forward passes, or
S * (M + 1) where every source is compared with a cell of its own;
the gradient trajectory costs S * T dual passes (see PassCosts), each
giving the derivative of *all* targets. When both are wanted on one grid, a dual
pass yields both, since its primal output is the perturbed response.

Where all genes move together, all sources share one point, and reverse mode is an
alternative: one backward pass per target and point gives *all* sources. The two
cost in forward passes per point::

    forward mode    dual * S
    reverse mode    record * rows + backward * R
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Respond = Callable[[Tensor], Tensor]
RespondDual = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_ROWS = 16
_AGREEMENT = 1e-2


class PassCosts(NamedTuple):
    """What passes of a model cost, in forward passes; a model says its own in an attribute ``pass_costs``.

    The defaults are medians over the transformers of this package, which scatter within 3.1-4.3, 1.1-1.4 and 1.2-1.6.

    Parameters
    ----------
    dual
        A pass that carries a tangent.
    record
        A pass that can be followed backwards.
    backward
        Following it.
    """

    dual: float = 3.3
    record: float = 1.2
    backward: float = 1.4


TRANSFORMER = PassCosts()


class NoReverse(Exception):
    """A model cannot be read in reverse mode, or not within the memory given."""


def reverse_pays(sources: int, targets: int, costs: PassCosts = TRANSFORMER) -> bool:
    """Whether reverse mode is the cheaper one where all sources share a point."""
    return costs.record * min(_ROWS, targets) + costs.backward * targets < costs.dual * sources


def grid_cells(base: Tensor, columns: Tensor, grid: Tensor, *, moving: bool = False) -> tuple[Tensor, Tensor]:
    """Virtual cells and one-hot tangents for every (source, grid point), source-major.

    Parameters
    ----------
    base
        Base cell (n,).
    columns
        Panel column of every source (S,).
    grid
        Values (M,), or one row of them per source (S, M).
    moving
        ``False``: the source moves to the grid value, all others stay at ``base``.
        ``True``: every gene moves to the grid value.

    Returns
    -------
    tuple of Tensor
        Values and tangents, both (S * M, n).
    """
    S, M, n = len(columns), grid.shape[-1], len(base)
    points = grid.expand(S, M).flatten()
    values = base.expand(S * M, n).clone()
    if moving:
        values[:] = points[:, None]
    rows = torch.arange(S * M, device=base.device)
    where = columns.repeat_interleave(M)
    values[rows, where] = points
    tangents = torch.zeros_like(values)
    tangents[rows, where] = 1.0
    return values, tangents


def blocks(
    base: Tensor, columns: Tensor, grid: Tensor, batch: int, *, moving: bool = False
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Batches of whole sources: (first source, values, tangents), at least one source each."""
    step = max(1, batch // grid.shape[-1])
    for start in range(0, len(columns), step):
        part = slice(start, start + step)
        values, tangents = grid_cells(base, columns[part], grid[part] if grid.dim() == 2 else grid, moving=moving)
        yield start, values, tangents


def perturb(
    respond: Respond, base: Tensor, columns: Tensor, grid: Tensor, *, batch: int, resting: Tensor | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Virtual value perturbation ``M(v, g_i <- v_p) - M(v)``.

    Parameters
    ----------
    resting
        Values of the sources (S,) in the cells that their responses are compared with, ``M(v, g_i <- v_b)``; ``None``
        compares all of them with the base cell itself.

    Yields
    ------
    tuple
        First source of the block and the responses (s, R, M).
    """
    origins = _origins(respond, base, columns, resting, batch)
    for start, values, _ in blocks(base, columns, grid, batch):
        out = _cube(_chunked(respond, values, batch), grid.shape[-1])
        yield start, out - origins[start : start + len(out)].unsqueeze(-1)


def gradient(
    respond_dual: RespondDual, base: Tensor, columns: Tensor, grid: Tensor, *, batch: int, moving: bool = False
) -> Iterator[tuple[int, Tensor]]:
    """Gradient trajectory ``d M(v, g_i <- v_t) / d v_i``, exact.

    Yields
    ------
    tuple
        First source of the block and the derivatives (s, R, T).
    """
    for start, values, tangents in blocks(base, columns, grid, batch, moving=moving):
        _, tangent = _chunked_dual(respond_dual, values, tangents, batch)
        yield start, _cube(tangent, grid.shape[-1])


def reverse_gradient(
    respond: Respond,
    respond_dual: RespondDual,
    base: Tensor,
    columns: Tensor,
    grid: Tensor,
    *,
    batch: int,
    room: int,
) -> Tensor:
    """Gradient trajectory with the moving background by reverse mode; float tolerance apart, that of :func:`gradient`.

    Parameters
    ----------
    base
        A cell (n,); only its form counts.
    columns
        Panel columns of the sources (S,), distinct.
    grid
        Values (T,) that all genes take.
    batch
        Most virtual cells in a pass.
    room
        Bytes that the intermediate values of a pass may take.

    Returns
    -------
    Tensor
        Derivatives (S, R, T).

    Raises
    ------
    NoReverse
        If the responses cannot be followed backwards, if that does not give the derivative that forward mode gives
        (checked at the first point, along one direction in all sources), or if not even one cell fits ``room``.
    """
    rows = _rows(respond, base.new_full((1, len(base)), float(grid[0])), batch=batch, room=room)
    found: list[Tensor] = []
    for point in grid:
        slopes = _slopes(respond, point.expand(rows, len(base)), columns)
        if not found and not _agrees(respond_dual, point.expand(1, len(base)), columns, slopes):
            raise NoReverse("its responses, followed backwards, do not give the derivative of forward mode")
        found.append(slopes)
    return torch.stack(found, dim=-1)


def perturb_and_gradient(
    respond: Respond,
    respond_dual: RespondDual,
    base: Tensor,
    columns: Tensor,
    grid: Tensor,
    *,
    batch: int,
    resting: Tensor | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Both probes on one grid for the price of the gradient trajectory; ``resting`` as in :func:`perturb`.

    Yields
    ------
    tuple
        First source of the block, responses (s, R, M) and derivatives (s, R, M).
    """
    origins = _origins(respond, base, columns, resting, batch)
    for start, values, tangents in blocks(base, columns, grid, batch):
        out, tangent = (_cube(x, grid.shape[-1]) for x in _chunked_dual(respond_dual, values, tangents, batch))
        yield start, out - origins[start : start + len(out)].unsqueeze(-1), tangent


def _origins(respond: Respond, base: Tensor, columns: Tensor, resting: Tensor | None, batch: int) -> Tensor:
    """Responses (S, R) of the cells that those of the sources are compared with."""
    if resting is None:
        return respond(base[None]).expand(len(columns), -1)
    if not len(columns):
        return base.new_empty(0, 0)
    return _chunked(respond, grid_cells(base, columns, resting[:, None])[0], batch)


def _chunked(respond: Respond, values: Tensor, batch: int) -> Tensor:
    return torch.cat([respond(part) for part in torch.split(values, batch)])


def _chunked_dual(respond_dual: RespondDual, values: Tensor, tangents: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    pairs = zip(torch.split(values, batch), torch.split(tangents, batch), strict=True)
    parts = [respond_dual(v, t) for v, t in pairs]
    return torch.cat([p for p, _ in parts]), torch.cat([t for _, t in parts])


def _cube(rows: Tensor, points: int) -> Tensor:
    return rows.reshape(-1, points, rows.shape[1]).transpose(1, 2)


def _recorded(respond: Respond, values: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        start = values.clone().requires_grad_()
        try:
            out = respond(start)
        except RuntimeError as error:
            raise NoReverse(str(error).split("\n")[0]) from error
    if not out.requires_grad:
        raise NoReverse("its responses do not record what they were computed from")
    return start, out


def _rows(respond: Respond, cell: Tensor, *, batch: int, room: int) -> int:
    """Identical cells to record at once: one backward pass then serves as many targets."""
    sizes: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if x.requires_grad:  # weights do not
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        _, out = _recorded(respond, cell)
    size = max(1, sum(sizes.values()))
    if size > room:
        raise NoReverse(f"its intermediate values take {size} bytes of the {room} given")
    targets = out.shape[1]
    passes = -(-targets // min(_ROWS, batch, room // size, max(1, targets)))
    return -(-targets // max(1, passes))


def _slopes(respond: Respond, values: Tensor, columns: Tensor) -> Tensor:
    """Derivatives (S, R) of all targets at one point, given as identical cells (rows, n)."""
    start, out = _recorded(respond, values)
    (rows, targets), parts = out.shape, []
    for first in range(0, targets, rows):
        these = torch.arange(min(rows, targets - first), device=out.device)
        wanted = torch.zeros_like(out)
        wanted[these, first + these] = 1.0
        try:
            (slope,) = torch.autograd.grad(out, start, wanted, retain_graph=first + rows < targets)
        except RuntimeError as error:
            raise NoReverse(str(error).split("\n")[0]) from error
        parts.append(slope[: len(these), columns])
    return torch.cat(parts).T


def _agrees(respond_dual: RespondDual, cell: Tensor, columns: Tensor, slopes: Tensor) -> bool:
    signs = 1.0 - 2.0 * (torch.arange(len(columns), device=cell.device) % 2).to(slopes)
    tangent = torch.zeros_like(cell)
    tangent[0, columns] = signs.to(tangent)
    _, expected = respond_dual(cell.contiguous(), tangent)
    # over all targets: at the kink of an activation rounding decides on the slope of single ones
    return bool((signs @ slopes - expected[0].to(slopes)).norm() <= _AGREEMENT * slopes.norm())
