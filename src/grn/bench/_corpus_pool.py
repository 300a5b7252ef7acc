"""Co-expression pooled over data sets: |Fisher z| without node effects, on one scale, averaged."""

from __future__ import annotations

import numpy as np
from scipy import sparse

VERSION = 2  # of the computation below; part of every cache key
MIN_SHARE, MIN_CELLS = 0.01, 10
LARGEST_R = 0.99
# contexts, not cells, are what counts: a file of profiles weighs as much as this many data sets of cells
PROFILE_WEIGHT = 4
_BLOCK = 512


class Pool:
    """Sums over data sets."""

    def __init__(self, n: int) -> None:
        self.total = np.zeros((n, n), dtype=np.float32)
        self.count = np.zeros((n, n), dtype=np.uint16)
        self.sums, self.lists = np.zeros(n), np.zeros(n, dtype=np.int64)
        self.n_sets = np.zeros(n, dtype=np.int64)

    def add(self, X: sparse.csr_matrix, columns: np.ndarray) -> None:
        """Take in the cells of one data set; ``columns`` says which gene each column is."""
        self.sums[columns] += np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
        self.lists[columns] += 1
        seen = np.asarray((X > 0).sum(axis=0)).ravel() >= max(MIN_CELLS, MIN_SHARE * X.shape[0])
        self._pool(X[:, seen].toarray(), columns[seen], weight=1)

    def add_profiles(self, X: np.ndarray, columns: np.ndarray) -> None:
        """Take in profiles, dense; they have no part in the mean expression, which is that of cells."""
        self._pool(X, columns, weight=PROFILE_WEIGHT)

    def _pool(self, dense: np.ndarray, columns: np.ndarray, *, weight: int) -> None:
        varies = dense.std(axis=0, dtype=np.float64) > 1e-6
        dense, at = dense[:, varies], columns[varies]
        z = pair_scores(dense)
        if z is None:
            return
        z *= np.float32(weight)
        self.n_sets[at] += 1
        for start in range(0, len(at), _BLOCK):
            rows = at[start : start + _BLOCK, None]
            self.total[rows, at] += z[start : start + _BLOCK]
            self.count[rows, at] += weight

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Co-expression, mean expression and number of data sets per gene."""
        np.fill_diagonal(self.count, 0)
        unknown = self.count == 0
        np.divide(self.total, self.count, out=self.total, where=~unknown, casting="same_kind")
        self.total[unknown] = np.nan
        mean = np.divide(self.sums, self.lists, out=np.full(len(self.sums), np.nan), where=self.lists > 0)
        return self.total, mean.astype(np.float32), self.n_sets


def pair_scores(X: np.ndarray) -> np.ndarray | None:
    """``|Fisher z|`` of all pairs of varying columns without row and column effects, in units of its spread.

    Parameters
    ----------
    X
        Cells x genes, dense; no constant column.

    Returns
    -------
    ndarray or None
        float32 (genes, genes), exactly symmetric, 0 on the diagonal; ``None`` when fewer than four genes or no spread
        leave nothing to compare.

    Examples
    --------
    >>> import numpy as np
    >>> z = pair_scores(np.random.default_rng(0).normal(size=(20, 5)))
    >>> bool(np.allclose(z.sum(axis=0), 0, atol=1e-5))
    True
    """
    n = X.shape[1]
    if n < 4:
        return None
    centred = X - X.mean(axis=0, dtype=np.float64)
    unit = (centred / np.sqrt(np.square(centred).sum(axis=0))).astype(np.float32)
    z = unit.T @ unit
    np.abs(z, out=z)
    np.minimum(z, LARGEST_R, out=z)
    np.arctanh(z, out=z)
    np.fill_diagonal(z, 0.0)
    sums = z.sum(axis=0, dtype=np.float64)
    grand = sums.sum() / (n * (n - 1))
    # least-squares effects without the diagonal: z_ij = grand + effect_i + effect_j
    effect = (sums - (n - 1) * grand) / (n - 2)
    squares = 0.0
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        # the sum first, so that rounding is the same for (i, j) and (j, i)
        z[rows] -= (effect[rows, None] + effect[None, :]) + grand
        squares += float(np.square(z[rows], dtype=np.float64).sum())
    squares -= float(np.square(np.diag(z), dtype=np.float64).sum())
    np.fill_diagonal(z, 0.0)
    spread = np.sqrt(squares / (n * (n - 1)))
    if not spread > 1e-6:
        return None
    z /= np.float32(spread)
    return z
