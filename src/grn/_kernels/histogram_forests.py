"""Random forests on binned regulators, many targets from the same drawn cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grn._kernels.trees import Forest

# targets that one call holds, which changes no number, and bytes that their values may take
_BLOCK, _BYTES = 32, 64_000_000


def block_size(n: int, targets: int, n_jobs: int) -> int:
    """How many targets one call of :func:`forests_together` should take."""
    return max(1, min(_BLOCK, _BYTES // (8 * n), -(-targets // (4 * n_jobs))))


def forests_together(
    codes: np.ndarray,
    sizes: np.ndarray,
    Y: np.ndarray,
    columns: Sequence[np.ndarray],
    *,
    seed: int,
    seeds: Sequence[int],
    plan: Forest,
) -> np.ndarray:
    """Importances of regulators, as :func:`grn._kernels.trees.forest` gives them for one target.

    What differs from the exact trees: the bins; all targets see the same drawn cells; and a threshold of extremely
    randomised trees is drawn among the bins, not between the least and the largest value.

    Parameters
    ----------
    codes, sizes
        Bins of the cells (n, S) and numbers of bins (S,), of :class:`grn._kernels.bins.Bins`.
    Y
        Targets (n, T) that vary.
    columns
        Regulators (k,) of every target, ascending.
    seed, seeds
        Seed of the cells that trees see, and of the regulators drawn for every target (T,). A target has the same
        importances whatever targets stand beside it.
    plan
        Parameters.

    Returns
    -------
    ndarray
        Mean decrease of variance (T, S), 0 for regulators that a target may not use; a row sums to at most 1. Cost:
        for a tree sqrt(k) times its depth times its cells, and S times its cells for all targets together.
    """
    # numba takes its time to import
    from grn._kernels.forests import grow_forests

    n, T = Y.shape
    scaled = np.ascontiguousarray(Y.T, dtype=np.float64)  # (T, n)
    scaled -= scaled.mean(axis=1, keepdims=True)
    scaled /= scaled.std(axis=1, keepdims=True)
    size = n if plan.cells is None else min(n, plan.cells)
    gains = np.zeros((T, codes.shape[1]))
    own = np.concatenate([np.asarray(k, dtype=np.int64) for k in columns])
    ends = np.cumsum([len(k) for k in columns])
    shape = (plan.trees, size, plan.leaf, int(plan.extra))
    states = np.asarray(seeds, dtype=np.uint64)
    grow_forests(codes, sizes, own, ends, scaled, np.uint64(seed), states, shape, gains)
    return gains / plan.trees
