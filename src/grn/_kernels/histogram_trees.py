"""Gradient boosting on binned regulators, many targets at once, stopped as the exact one is."""

from __future__ import annotations

import numpy as np

from grn._kernels.bins import Bins
from grn._kernels.trees import Boosting, scaled

# targets that a processor computes side by side, and that one call holds; neither changes a number
_LANES, _BLOCK, _BYTES = 8, 64, 64_000_000


def block_size(n: int, targets: int, n_jobs: int) -> int:
    """How many targets one call of :func:`boosted_together` should take."""
    fit = min(_BLOCK, _BYTES // (4 * n), -(-targets // (4 * n_jobs)))
    return max(_LANES, fit // _LANES * _LANES)


def boosted_together(
    bins: Bins,
    Y: np.ndarray,
    columns: np.ndarray,
    *,
    seed: int,
    barred: np.ndarray | None = None,
    plan: Boosting | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Importances of some regulators, as :func:`grn._kernels.trees.boosted` gives them for one target.

    What differs from the exact trees beside the bins: the regulators tried are drawn for a level, not for each of its
    splits, and without coming back before all others had their turn; all targets see the same draws; and a tree after
    the first ``plan.first`` may learn at ``plan.pace`` times the rate, and then counts as so many.

    Parameters
    ----------
    bins
        Regulators.
    Y
        Targets (n, T) that vary.
    columns
        Regulators to use (k,), ascending.
    seed
        Seed. A target has the same importances whatever targets stand beside it.
    barred
        A regulator (T,) that a target may not use, itself; -1 for none.
    plan
        Parameters.

    Returns
    -------
    ndarray, ndarray
        Importances (T, k) and numbers of trees (T,). Cost: for a tree the cells outside the commonest bins of three
        times ``features`` k regulators, and some n; memory 5 n T bytes.
    """
    # numba takes its time to import
    from grn._kernels.boosting import boost

    plan = plan or Boosting()
    n, T = Y.shape
    lanes = 1 if T == 1 else _LANES
    places = -(-T // lanes) * lanes
    R = np.zeros((places // lanes, n, lanes), dtype=np.float32)
    for t in range(T):
        y = Y[:, t].astype(np.float64)
        R[t // lanes, :, t % lanes] = (y - y.mean()) / (y.std() or 1.0)
    own = np.full(places, -1, dtype=np.int32)
    if barred is not None:
        own[:T] = barred
    gains, trees = np.zeros((places, len(bins.sizes))), np.zeros(places, dtype=np.int64)
    shares = (plan.learning_rate, plan.rounds, plan.features, plan.cells, plan.window, plan.first, plan.pace)
    columns = np.asarray(columns, dtype=np.int64)
    order = boost(bins.arrays, columns, R, own, T, np.uint64(seed), shares, gains, trees, (0,) * lanes)
    importances, counts = np.zeros((T, len(columns))), np.zeros(T, dtype=np.int64)
    for place, t in enumerate(order):
        if t < T:
            importances[t], counts[t] = scaled(gains[place, columns], int(trees[place])), trees[place]
    return importances, counts
