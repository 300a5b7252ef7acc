"""How much the openness of each region near a gene tells of its expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.stats import rankdata

from grn._core.blocks import HERE, Workers, in_blocks
from grn._core.logging import progress
from grn._core.rng import child
from grn._kernels.bins import Bins
from grn._kernels.histogram_trees import boosted_together
from grn._kernels.trees import Boosting, boosted
from grn.methods.resume import resumed
from grn.methods.trees import PARITY_SEED

NAME = "scenicplus regions"
# genes whose importances are kept in one file
_TOGETHER = 32


@dataclass(frozen=True)
class Growing:
    """How trees of regions are grown.

    Parameters
    ----------
    mode
        ``"exact"`` or ``"fast"``.
    n_trees
        Trees per gene.
    seed, group
        Seed of the task and name of the group, which with the name of a gene give its seed.
    workers, show
        Who computes, and whether to show progress.
    parity
        One seed for all genes.
    cache
        Folder of genes that are done.
    """

    mode: str
    n_trees: int
    seed: int
    group: str = ""
    workers: Workers = HERE
    show: bool | None = False
    parity: bool = False
    cache: Path | None = None

    @property
    def plan(self) -> Boosting:
        """The parameters published for SCENIC+: all cells, no early stop."""
        return Boosting(rounds=self.n_trees, cells=1.0, friedman=self.parity)

    def seed_of(self, gene: str) -> int:
        """Seed of a gene."""
        return PARITY_SEED if self.parity else int(child(self.seed, NAME, self.group, gene).integers(2**31))


def region_importances(
    openness: sparse.csc_array,
    expression: sparse.csc_array,
    names: np.ndarray,
    near: list[np.ndarray],
    growing: Growing,
) -> tuple[np.ndarray, np.ndarray]:
    """Importance and Spearman correlation of every region near a gene, gene after gene.

    Parameters
    ----------
    openness
        Regions (n, R).
    expression
        Genes (n, G).
    names
        Names of the genes (G,).
    near
        Regions of every gene, positions among R, in the order in which trees see them.
    growing
        How trees are grown.

    Returns
    -------
    ndarray, ndarray
        Importances that sum to 1 per gene, and correlations, each (L,) for the L regions in ``near``; 0 and NaN where
        the gene does not vary. Cost: trees per gene; memory the sparse matrices and the regions of one gene per worker.
    """
    trees = _Trees(openness, expression, growing.mode, growing.plan)

    def job(g: int) -> tuple[int, np.ndarray, int]:
        return g, near[g], growing.seed_of(str(names[g]))

    def grow(listed: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        threads = growing.mode == "fast"
        done = in_blocks(_of_gene, trees, map(job, listed), growing.workers, total=len(listed), threads=threads)
        return zip(listed, done, strict=True)

    results = resumed(growing.cache, NAME, lambda: {"trees": trees}, range(len(near)), job, grow, together=_TOGETHER)
    by_gene = dict(progress(results, total=len(near), desc=NAME, show=growing.show))
    parts = [by_gene[g] for g in range(len(near))]
    whole = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))  # (2, L)
    return whole[0], whole[1]


@dataclass(frozen=True)
class _Trees:
    """What the trees of all genes share: regions (n, R), genes (n, G) and how they are grown."""

    openness: sparse.csc_array
    expression: sparse.csc_array
    mode: str
    plan: Boosting


def _of_gene(trees: _Trees, job: tuple[int, np.ndarray, int]) -> np.ndarray:
    """Importances and correlations (2, k) of the regions (k,) of a gene, given a seed."""
    gene, regions, seed = job
    X = np.asfortranarray(trees.openness[:, regions].toarray(), dtype=np.float32)  # (n, k)
    return _shares(trees.mode, trees.plan, X, trees.expression[:, [gene]].toarray().ravel(), seed)


def _shares(mode: str, plan: Boosting, X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Importances and correlations (2, k) of the regions of one gene."""
    if not X.shape[1] or y.max() == y.min():
        return np.stack([np.zeros(X.shape[1]), np.full(X.shape[1], np.nan)])
    if mode == "fast":
        together, counts = boosted_together(Bins.of(X), y[:, None], np.arange(X.shape[1]), seed=seed, plan=plan)
        gains, count = together[0], int(counts[0])
    else:
        gains, count = boosted(X, y, seed=seed, plan=plan)
    return np.stack([np.maximum(gains, 0.0) / count, spearman_with(X, y)])


def spearman_with(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman correlation (k,) of columns (n, k) with values (n,), ties sharing their mean rank; NaN if constant."""
    ranks, of_y = rankdata(X, axis=0), rankdata(y)
    ranks -= ranks.mean(axis=0)
    of_y -= of_y.mean()
    scale = np.sqrt((ranks**2).sum(axis=0) * (of_y**2).sum())
    return np.divide(of_y @ ranks, scale, out=np.full(X.shape[1], np.nan), where=scale > 0)
