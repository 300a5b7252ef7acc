"""Cells of which some genes are unknown: NaN among the values stands for a gene that is not shown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad


def unknown(values: Tensor) -> Tensor:
    """Which values (B, n) are unknown."""
    return torch.isnan(forward_ad.unpack_dual(values).primal)


def among_shown(values: Tensor, read: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Read-out (B, R) of cells (B, n), for a network that simply leaves out what it is not shown.

    Parameters
    ----------
    values
        Values, NaN where unknown; may be dual.
    read
        Called with the columns (k,) that some cells show and their values (b, k): all cells that show just these.
    """
    patterns, pattern_of = torch.unique(~unknown(values), dim=0, return_inverse=True)
    if len(patterns) == 1:
        columns = patterns[0].nonzero().squeeze(-1)
        return read(columns, values[:, columns])
    rows = [(pattern_of == i).nonzero().squeeze(-1) for i in range(len(patterns))]
    columns_of = [pattern.nonzero().squeeze(-1) for pattern in patterns]
    parts = [read(columns, values[r][:, columns]) for r, columns in zip(rows, columns_of, strict=True)]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def places(columns: Tensor, wanted: Tensor, n: int) -> Tensor:
    """Where columns (R,) of a panel of n genes stand among those shown (k,); -1 for those that are not."""
    place = torch.full((n,), -1, dtype=torch.long, device=columns.device)
    place[columns] = torch.arange(len(columns), device=columns.device)
    return place[wanted]
