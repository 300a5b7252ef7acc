"""Networks as scRank builds them: principal-component regression of resampled cells, denoised as a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from grn._core import checks
from grn._core.errors import ExpressionError
from grn._core.logging import logger, progress
from grn._core.rng import child
from grn._kernels.pc_regression import coefficients, spectrum, spectrum_of_products, strongest
from grn._kernels.scatter import Scatter, scatter
from grn._kernels.tensor import cp_als, directed, mean_layer

Rows = Callable[[np.ndarray], np.ndarray]
Draw = tuple[np.ndarray, np.ndarray]

_FEW = 100  # up to as many cells, a resample has _SMALL
_SMALL = 25
_MANY_GENES = 6000


@dataclass(frozen=True)
class Resampling:
    """Parameters of one network, checked; see :func:`grn.tl.scrank`."""

    n_resamples: int = 10
    n_components: int = 3
    quantile: float = 0.95
    rank: int = 5
    threshold: float = 0.05
    decimals: int | None = None
    cells_per_resample: int | None = None
    parity: bool = False
    memory: int = 256 * 2**20
    device: str | None = None

    def __post_init__(self) -> None:
        whole = {"n_resamples": 1, "n_components": 1, "rank": 1}
        whole |= {} if self.decimals is None else {"decimals": 1}
        checks.integer("n_components", self.n_components, least=1)
        whole |= {} if self.cells_per_resample is None else {"cells_per_resample": self.n_components + 2}
        for name, low in whole.items():
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), least=low))
        for name in ("quantile", "threshold"):
            checks.number(name, getattr(self, name), least=0, below=1)

    @property
    def rounding(self) -> int | None:
        """Digits of the weights behind the point, ``None`` for all of them; one in parity."""
        return 1 if self.parity and self.decimals is None else self.decimals


def drawn(names: np.ndarray, group: str, resampling: Resampling, seed: int) -> list[Draw]:
    """Per resample the positions of the cells drawn, with replacement and by name, and how often each was."""
    order = np.argsort(names, kind="stable")
    size = resampling.cells_per_resample or (len(names) // 2 if len(names) > _FEW else _SMALL)
    resamples = []
    for i in range(resampling.n_resamples):
        cells = child(seed, "scrank", "cells", group, str(i)).integers(len(names), size=size)
        places, counts = np.unique(cells, return_counts=True)
        resamples.append((order[places], counts))
    return resamples


def starts_of(names: np.ndarray, group: str, resampling: Resampling, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal starts of the tensor decomposition, keyed by gene and by resample."""
    genes = [child(seed, "scrank", "start", group, "gene", str(name)).normal(size=resampling.rank) for name in names]
    layers = [
        child(seed, "scrank", "start", group, "resample", str(i)).normal(size=resampling.rank)
        for i in range(resampling.n_resamples)
    ]
    return np.array(genes), np.array(layers)


def network_of(
    rows: Rows,
    draws: Sequence[Draw],
    starts: tuple[np.ndarray, np.ndarray],
    resampling: Resampling,
    n_jobs: int | None = None,
) -> tuple[sp.csr_array, np.ndarray]:
    """The network of one group (row = regulator), and which genes varied in any resample."""
    layers, varies = [], np.zeros(len(starts[0]), dtype=bool)
    read = _layers(rows, draws, len(varies), resampling, n_jobs)
    for layer, varied in progress(read, total=len(draws), desc="scrank"):
        layers.append(layer)
        varies |= varied
    if not varies.any():
        return sp.csr_array((len(varies),) * 2), varies
    varying = np.flatnonzero(varies)
    factors = cp_als([layer[varying][:, varying] for layer in layers], columns=starts[0][varying], depth=starts[1])
    if not factors.converged:
        logger.warning("the tensor decomposition of scrank has not settled after %d passes", factors.n_iter)
    mean = mean_layer(factors)
    if not resampling.parity:
        mean[np.abs(mean) < resampling.threshold] = 0.0
    if resampling.rounding is not None:
        mean = np.round(mean, resampling.rounding)
    return placed(sp.csr_array(directed(mean).T), varying, len(varies)), varies


def placed(weights: sp.csr_array, genes: np.ndarray, n_genes: int) -> sp.csr_array:
    """Weights among some genes (positions) as weights among all."""
    entries = weights.tocoo()
    return sp.csr_array((entries.data, (genes[entries.row], genes[entries.col])), shape=(n_genes,) * 2)


def _layers(
    rows: Rows, draws: Sequence[Draw], n_genes: int, resampling: Resampling, n_jobs: int | None
) -> Iterator[tuple[sp.csr_array, np.ndarray]]:
    """Networks of the resamples, in their order; the cells are read by one thread."""
    jobs = 1 if n_jobs is None else n_jobs
    if jobs == 1:
        return (_layer(_read(rows, draw, n_genes), resampling) for draw in draws)
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=jobs, backend="threading", return_as="generator", pre_dispatch=jobs)
    return run(delayed(_layer)(_read(rows, draw, n_genes), resampling) for draw in draws)


def _read(rows: Rows, draw: Draw, n_genes: int) -> Draw | Scatter:
    """Values of the cells drawn and how often each was; their products where there are more cells than genes."""
    cells, counts = draw
    if len(cells) <= n_genes:
        return rows(cells), counts
    return scatter(rows, cells, weights=counts.astype(np.float64))


def _layer(read: Draw | Scatter, resampling: Resampling) -> tuple[sp.csr_array, np.ndarray]:
    if isinstance(read, Scatter):
        decomposed = spectrum_of_products(read.products, read.mean, read.count, device=resampling.device)
    else:
        decomposed = spectrum(*read, device=resampling.device)
    weights = coefficients(
        decomposed, n_components=resampling.n_components, memory=resampling.memory // 2, device=resampling.device
    )
    varies = (decomposed.coordinates != 0).any(axis=0)
    return strongest(weights, resampling.quantile, varies), varies


def check_size(n_genes: int, resampling: Resampling) -> None:
    """Refuse fewer genes than a regression needs; say what many cost."""
    least = resampling.n_components + 2
    if n_genes < least:
        raise ExpressionError(
            f"the object has {n_genes} genes; a regression on {resampling.n_components} components needs {least}: take "
            "more genes, or a smaller n_components."
        )
    if n_genes > _MANY_GENES:
        logger.warning(
            "scrank makes matrices of all %d x %d genes (%.0f GiB each); keep some thousand variable genes, regulators "
            "and drug targets: adata[:, genes]",
            n_genes,
            n_genes,
            n_genes**2 * 8 / 2**30,
        )
