"""Networks as scRank builds them: principal-component regression of resampled cells, denoised as a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd
import scipy.sparse as sp

from grn._core.device import resolve_device
from grn._core.errors import ExpressionError, ParameterError
from grn._core.logging import logger, progress
from grn._core.rng import child
from grn._kernels.pc_regression import coefficients, spectrum, spectrum_of_products, strongest
from grn._kernels.scan import scan
from grn._kernels.scatter import Scatter, scatter
from grn._kernels.tensor import cp_als, directed, mean_layer
from grn._object.expression import label, select, take
from grn._object.groups import cell_names
from grn.methods.cells import FEWEST, cells_of, report_constant
from grn.methods.record import METHODS, Method, Task
from grn.network import Network

Rows = Callable[[np.ndarray], np.ndarray]
Draw = tuple[np.ndarray, np.ndarray]

REFERENCE = "doi 10.1016/j.xcrm.2024.101568"
_FEW = 100  # up to as many cells, a resample has _SMALL
_SMALL = 25
_MANY_GENES = 6000


@dataclass(frozen=True)
class Recipe:
    """Parameters of one network, checked; see :func:`fit_scrank`."""

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
        whole |= {} if self.cells_per_resample is None else {"cells_per_resample": self.n_components + 2}
        for name, low in whole.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
                raise ParameterError(f"{name}={value!r}; pass an integer of at least {low}.")
        for name in ("quantile", "threshold"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
                raise ParameterError(f"{name}={value!r}; pass a number from 0 to below 1.")

    @property
    def rounding(self) -> int | None:
        """Digits of the weights behind the point, ``None`` for all of them; one in parity."""
        return 1 if self.parity and self.decimals is None else self.decimals


def fit_scrank(
    adata,
    task: Task,
    *,
    n_resamples: int = 10,
    n_components: int = 3,
    quantile: float = 0.95,
    rank: int = 5,
    threshold: float = 0.05,
    decimals: int | None = None,
    cells_per_resample: int | None = None,
    min_cells: int = FEWEST,
    min_group_cells: int = 26,
    device: str = "cpu",
    parity: bool = False,
) -> Network:
    """One network per group from all genes of the object; ``sources`` and ``targets`` choose the edges reported."""
    where = resolve_device(device)
    recipe = Recipe(
        n_resamples=n_resamples,
        n_components=n_components,
        quantile=quantile,
        rank=rank,
        threshold=threshold,
        decimals=decimals,
        cells_per_resample=cells_per_resample,
        parity=bool(parity),
        memory=task.memory_budget,
        device=str(where) if where.type == "cuda" else None,
    )
    least = n_components + 2
    if isinstance(min_group_cells, bool) or not isinstance(min_group_cells, Integral) or min_group_cells < least:
        raise ParameterError(f"min_group_cells={min_group_cells!r}; pass an integer of at least n_components + 2.")
    names = cell_names(adata)
    min_cells = 0 if parity else min_cells
    # genes that a group does not express at all take no part in its network, whatever the limit
    cells = cells_of(adata, task, min_cells=1 if min_cells == 0 else min_cells, min_group_cells=min_group_cells)
    _check_size(len(cells.names), recipe)
    rows = _as_given(adata, task) if parity else cells.expression.rows

    def group_fit(group: str, members: np.ndarray) -> sp.csr_array | None:
        own = np.flatnonzero(~cells.rare_in(group))
        if len(own) < recipe.n_components + 2:
            return None
        draws = [(members[cell], n) for cell, n in drawn(names[members], group, recipe, task.seed)]
        starts = starts_of(cells.names[own], group, recipe, task.seed)
        weights, varies = network_of(lambda rows_of: rows(rows_of)[:, own], draws, starts, recipe, task.n_jobs)
        if not varies.any():
            return None
        report_constant(cells.names[own], ~varies, group)
        if not weights.nnz:
            logger.warning("scrank finds no edge%s", f" in group {group!r}" if group else "", extra={"of": group})
        return _placed(weights, own, len(cells.names))

    parts, told = cells.each(group_fit)
    edges = _edges(cells.names, parts, cells.sources, cells.targets)
    params = {
        "n_resamples": n_resamples,
        "n_components": n_components,
        "quantile": quantile,
        "rank": rank,
        "threshold": threshold,
        "decimals": recipe.rounding,
        "cells_per_resample": cells_per_resample,
        "min_cells": min_cells,
        "min_group_cells": min_group_cells,
        "parity": recipe.parity,
        **told,
    }
    return Network(edges, genes=cells.names[cells.genes], directed=True, signed=True, params=params)


def drawn(names: np.ndarray, group: str, recipe: Recipe, seed: int) -> list[Draw]:
    """Per resample the positions of the cells drawn, with replacement and by name, and how often each was."""
    order = np.argsort(names, kind="stable")
    size = recipe.cells_per_resample or (len(names) // 2 if len(names) > _FEW else _SMALL)
    found = []
    for i in range(recipe.n_resamples):
        cells = child(seed, "scrank", "cells", group, str(i)).integers(len(names), size=size)
        places, counts = np.unique(cells, return_counts=True)
        found.append((order[places], counts))
    return found


def starts_of(names: np.ndarray, group: str, recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal starts of the tensor decomposition, keyed by gene and by resample."""
    genes = [child(seed, "scrank", "start", group, "gene", str(name)).normal(size=recipe.rank) for name in names]
    layers = [
        child(seed, "scrank", "start", group, "resample", str(i)).normal(size=recipe.rank)
        for i in range(recipe.n_resamples)
    ]
    return np.array(genes), np.array(layers)


def network_of(
    rows: Rows, draws: Sequence[Draw], starts: tuple[np.ndarray, np.ndarray], recipe: Recipe, n_jobs: int | None = None
) -> tuple[sp.csr_array, np.ndarray]:
    """The network of one group (row = regulator), and which genes varied in any resample."""
    layers, varies = [], np.zeros(len(starts[0]), dtype=bool)
    read = _layers(rows, draws, len(varies), recipe, n_jobs)
    for layer, varied in progress(read, total=len(draws), desc="scrank"):
        layers.append(layer)
        varies |= varied
    if not varies.any():
        return sp.csr_array((len(varies),) * 2), varies
    kept = np.flatnonzero(varies)
    factors = cp_als([layer[kept][:, kept] for layer in layers], columns=starts[0][kept], depth=starts[1])
    if not factors.converged:
        logger.warning("the tensor decomposition of scrank has not settled after %d passes", factors.n_iter)
    mean = mean_layer(factors)
    if not recipe.parity:
        mean[np.abs(mean) < recipe.threshold] = 0.0
    if recipe.rounding is not None:
        mean = np.round(mean, recipe.rounding)
    return _placed(sp.csr_array(directed(mean).T), kept, len(varies)), varies


def _placed(weights: sp.csr_array, genes: np.ndarray, n_genes: int) -> sp.csr_array:
    """Weights among some genes (positions) as weights among all."""
    found = weights.tocoo()
    return sp.csr_array((found.data, (genes[found.row], genes[found.col])), shape=(n_genes,) * 2)


def _layers(
    rows: Rows, draws: Sequence[Draw], n_genes: int, recipe: Recipe, n_jobs: int | None
) -> Iterator[tuple[sp.csr_array, np.ndarray]]:
    """Networks of the resamples, in their order; the cells are read by one thread."""
    jobs = 1 if n_jobs is None else n_jobs
    if jobs == 1:
        return (_layer(_read(rows, draw, n_genes), recipe) for draw in draws)
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=jobs, backend="threading", return_as="generator", pre_dispatch=jobs)
    return run(delayed(_layer)(_read(rows, draw, n_genes), recipe) for draw in draws)


def _read(rows: Rows, draw: Draw, n_genes: int) -> Draw | Scatter:
    """Values of the cells drawn and how often each was; their products where there are more cells than genes."""
    cells, counts = draw
    if len(cells) <= n_genes:
        return rows(cells), counts
    return scatter(rows, cells, weights=counts.astype(np.float64))


def _layer(read: Draw | Scatter, recipe: Recipe) -> tuple[sp.csr_array, np.ndarray]:
    if isinstance(read, Scatter):
        decomposed = spectrum_of_products(read.products, read.mean, read.count, device=recipe.device)
    else:
        decomposed = spectrum(*read, device=recipe.device)
    found = coefficients(decomposed, n_components=recipe.n_components, memory=recipe.memory // 2, device=recipe.device)
    varies = (decomposed.coordinates != 0).any(axis=0)
    return strongest(found, recipe.quantile, varies), varies


def _as_given(adata, task: Task) -> Rows:
    """Values as they are stored, as the authors' program takes them."""
    if task.use_raw and not adata.raw.var_names.equals(adata.var_names):
        raise ParameterError("parity=True reads values as they are stored, for the genes of adata.raw; use layer=.")
    matrix = select(adata, task.layer, use_raw=task.use_raw)
    kind = scan(matrix, peek=True).kind
    if kind != "counts":
        where = label(task.layer, use_raw=task.use_raw)
        logger.warning("%s holds no counts; the authors' program takes counts: pass layer=", where)

    def rows(cells: np.ndarray) -> np.ndarray:
        order = np.argsort(cells, kind="stable")
        block = take(matrix, cells[order])
        block = block.toarray() if sp.issparse(block) else np.asarray(block)
        out = np.empty_like(block)
        out[order] = block
        return out

    return rows


def _check_size(n_genes: int, recipe: Recipe) -> None:
    least = recipe.n_components + 2
    if n_genes < least:
        raise ExpressionError(
            f"the object has {n_genes} genes; a regression on {recipe.n_components} components needs {least}: take "
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


def _edges(
    names: np.ndarray, parts: Sequence[tuple[str, sp.csr_array]], sources: np.ndarray, targets: np.ndarray
) -> pd.DataFrame:
    frames = []
    for group, weights in parts:
        found = weights.tocoo()
        keep = np.isin(found.row, sources) & np.isin(found.col, targets)
        weight = found.data[keep]
        columns = {
            "source": pd.Categorical.from_codes(found.row[keep], categories=names),
            "target": pd.Categorical.from_codes(found.col[keep], categories=names),
            "weight": weight,
            "sign": np.sign(weight),
        }
        if group:
            columns["group"] = pd.Categorical.from_codes(
                np.full(len(weight), [name for name, _ in parts].index(group)), categories=[name for name, _ in parts]
            )
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


METHODS.add(
    "scrank",
    Method(
        "scrank",
        fit_scrank,
        "principal-component regression of resampled cells, denoised as a tensor (scRank, scTenifoldNet)",
        signed=True,
        probability=False,
        needs=("cells",),
        reference=REFERENCE,
        reads_model=False,
    ),
)
