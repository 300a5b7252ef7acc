"""The two probes of a frozen model, on bare tensors.

Both walk over virtual cells that differ from a base cell in one gene. For sources
S and grid points M, virtual value perturbation costs S * M + 1 forward passes;
the gradient trajectory costs S * T dual passes (about three forwards each), each
giving the derivative of *all* targets. When both are wanted on one grid, a dual
pass yields both, since its primal output is the perturbed response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Respond = Callable[[Tensor], Tensor]
RespondDual = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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
    respond: Respond, base: Tensor, columns: Tensor, grid: Tensor, *, batch: int
) -> Iterator[tuple[int, Tensor]]:
    """Virtual value perturbation ``M(v, g_i <- v_p) - M(v)``.

    Yields
    ------
    tuple
        First source of the block and the responses (s, R, M).
    """
    origin = respond(base[None])[0]
    for start, values, _ in blocks(base, columns, grid, batch):
        out = _chunked(respond, values, batch)
        yield start, _cube(out - origin, grid.shape[-1])


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


def perturb_and_gradient(
    respond: Respond, respond_dual: RespondDual, base: Tensor, columns: Tensor, grid: Tensor, *, batch: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Both probes on one grid for the price of the gradient trajectory.

    Yields
    ------
    tuple
        First source of the block, responses (s, R, M) and derivatives (s, R, M).
    """
    origin = respond(base[None])[0]
    for start, values, tangents in blocks(base, columns, grid, batch):
        out, tangent = _chunked_dual(respond_dual, values, tangents, batch)
        yield start, _cube(out - origin, grid.shape[-1]), _cube(tangent, grid.shape[-1])


def _chunked(respond: Respond, values: Tensor, batch: int) -> Tensor:
    return torch.cat([respond(part) for part in torch.split(values, batch)])


def _chunked_dual(respond_dual: RespondDual, values: Tensor, tangents: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    pairs = zip(torch.split(values, batch), torch.split(tangents, batch), strict=True)
    parts = [respond_dual(v, t) for v, t in pairs]
    return torch.cat([p for p, _ in parts]), torch.cat([t for _, t in parts])


def _cube(rows: Tensor, points: int) -> Tensor:
    return rows.reshape(-1, points, rows.shape[1]).transpose(1, 2)
