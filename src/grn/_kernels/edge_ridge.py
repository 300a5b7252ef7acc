"""Ridge coefficients of given edges: every target on its own regulators, from products of blocks of cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grn._kernels.ridge import bag_products, plain_ridge
from grn._kernels.scatter import Rows


def edge_ridge(
    rows: Rows,
    cells: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    alpha: float,
    *,
    centre: np.ndarray,
    memory: int,
) -> np.ndarray:
    """Ridge coefficients (E,) of edges: change of the target per unit of the source, other sources equal.

    Parameters
    ----------
    rows
        Gives the values (k, n_vars) of some cells.
    cells
        Positions of the cells (n,).
    source, target
        Positions of the genes of every edge (E,); no gene with itself.
    alpha
        Penalty, above 0, on the scale of sums of squares over the cells.
    centre
        Values near the means (n_vars,).
    memory
        Bytes for products.
    """
    order = np.lexsort((source, target))
    targets, first = np.unique(target[order], return_index=True)
    regulators = np.split(source[order], first[1:])
    once = np.ones((1, len(cells)))
    coefficients = np.empty(len(source))
    coefficients[order] = np.concatenate(
        [
            plain_ridge(inner[0], cross[0], places, alpha)
            for _, inner, cross, places in products_of_targets(rows, cells, regulators, targets, once, centre, memory)
        ]
    )
    return coefficients


def products_of_targets(
    rows: Rows,
    cells: np.ndarray,
    lists: list[np.ndarray],
    targets: np.ndarray,
    counts: np.ndarray,
    centre: np.ndarray,
    memory: int,
    scale: np.ndarray | None = None,
    used: np.ndarray | None = None,
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, list[np.ndarray]]]:
    """Products of all regulators, and with some targets at a time, as many as the memory holds.

    Parameters
    ----------
    rows, cells, centre
        As in :func:`edge_ridge`.
    lists
        Positions of the regulators of every target.
    targets
        Positions of the targets (G,).
    counts
        How often every bag holds every cell (B, n).
    memory
        Bytes for products with targets.
    scale
        What every regulator is divided by (n_vars,); ``None`` for nothing.
    used
        Positions of the regulators to form products of (T,); by default those on the lists.

    Yields
    ------
    part, inner, cross, places
        The part of the targets (P of them), products among regulators (B, T, T) and with these targets (B, T, P), and
        the rows of their regulators in these. Cells are read once per part.
    """
    used = np.unique(np.concatenate(lists)) if used is None else used
    step = max(1, memory // (8 * len(counts) * len(used)))
    inner: np.ndarray | None = None
    for start in range(0, len(targets), step):
        part = slice(start, start + step)
        columns = targets[part] if inner is not None else np.concatenate([used, targets[part]])
        cross = bag_products(rows, cells, used, columns, counts, centre)
        if scale is not None:
            cross /= scale[used][:, None]
        if inner is None:
            inner, cross = cross[:, :, : len(used)].copy(), cross[:, :, len(used) :]
            if scale is not None:
                inner /= scale[used]
        yield part, inner, cross, [np.searchsorted(used, regulators) for regulators in lists[part]]
