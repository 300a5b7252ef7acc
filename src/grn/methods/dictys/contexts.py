"""Sets of cells, groups or windows, each with its genes and the pairs that may be edges, and their fits in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grn._core.checkpoints import States
from grn._core.errors import ParameterError
from grn._core.logging import logger, progress
from grn._core.rng import child
from grn._core.store import size as told_size
from grn._kernels import ou_fit
from grn._kernels.ou_cells import Counts
from grn._kernels.ou_fit import Fit, Shape
from grn._kernels.ou_start import SetStart, Start, moment_start, set_start
from grn._object.expression import Expression
from grn.methods.resume import Part, part_of

# bytes that an entry of the counts takes while it is fitted: itself, and the posterior with the moments of Adam
_BYTES = 4 * 7
# copies of an entry of the network or the covariance at the same time, and bytes of the blocks of cells in a step
_NETWORK, _BLOCKS = 14, 2**24
# fewest cells that are worth to be named in an error
_FEWEST = 16
# parameters of the start, beside counts and masks
_PARAMETERS = {"covariates", "level", "factors", "network", "noise", "effects"}
# sizes of small contexts are rounded up to multiples of these: cells, genes, regulators, factors
_STEPS = (16, 8, 4, 4)
# entries up to which a context is small
_SMALL = 2**15
# deviation of the starting network in parity, and share of its leading components the noise starts with
_JITTER, _NOISE = 0.01, 0.1
# looks at the objective are this many steps apart
_TICK = 10


@dataclass(frozen=True)
class Context:
    """One set of cells.

    Parameters
    ----------
    name
        Name of the group or window.
    cells
        Positions of its cells (n,).
    genes, source
        Positions in the object of its genes (G,), and of its regulators among these (S,).
    mask
        Pairs (G, S) of target and regulator that may be edges.
    """

    name: str
    cells: np.ndarray
    genes: np.ndarray
    source: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What contexts are read from, and how they are fitted.

    Parameters
    ----------
    expression
        Counts of all cells.
    totals
        Counts per cell over all genes (n_cells,).
    covariates
        Covariates of all cells (n_cells, K), standardised.
    n_factors
        Factors of the covariance beyond the number of regulators.
    rank
        Most factors of the covariance; ``None`` for no limit.
    setting
        How the objective is minimised.
    parity
        Start and draw as the original does.
    seed, memory, batch_size, device
        Seed, bytes, most contexts fitted together, and where.
    cache
        Folder of parts that are kept.
    """

    expression: Expression
    totals: np.ndarray
    covariates: np.ndarray
    n_factors: int
    rank: int | None
    setting: ou_fit.Setting
    parity: bool
    seed: int
    memory: int
    batch_size: int | None
    device: torch.device
    cache: Path | None = None

    def part(self, context: Context) -> Part:
        """The fit of a context in the cache: the same for equal numbers, whatever the cells and genes are called."""
        return part_of(self.cache, "dictys", lambda: self._identity(context))

    def _identity(self, context: Context) -> dict[str, Any]:
        """Everything that the fit of a context depends on."""
        drawn = [self.seed, context.name] if self.parity else None
        return {
            "counts": self.counts_of(context),
            "depth": self.totals[context.cells],
            "covariates": self.covariates_of(context),
            "mask": context.mask,
            "source": context.source,
            "factors": [self.n_factors, self.n_factors_of(context), padded_shape(context, self)],
            "setting": self.setting,
            "drawn": drawn,
            "device": self.device.type,
            "small": is_small(context, self),
        }

    def n_factors_of(self, context: Context) -> int:
        """Factors of the covariance of a context."""
        most = min(len(context.genes), len(context.cells)) - 1
        rank = len(context.source) + self.n_factors
        return max(1, min(rank if self.rank is None else min(rank, self.rank), most))

    def counts_of(self, context: Context) -> np.ndarray:
        """Counts (n, G) of a context, read in blocks."""
        out = np.empty((len(context.cells), len(context.genes)), dtype=np.float32)
        step = max(1, 2**22 // self.expression.n_vars)
        for first in range(0, len(out), step):
            out[first : first + step] = self.expression.counts(context.cells[first : first + step])[:, context.genes]
        return out

    def covariates_of(self, context: Context) -> np.ndarray:
        """Covariates (n, K) of a context with a mean of 0, a deviation of 1, and uncorrelated; constant ones go."""
        values = self.covariates[context.cells]
        values = values - values.mean(axis=0)
        spread = values.std(axis=0)
        values = values[:, spread > 1e-9] / spread[spread > 1e-9]
        if not values.shape[1]:
            return values
        vectors, sizes, _ = np.linalg.svd(values, full_matrices=False)
        return np.asarray((vectors * sizes)[:, sizes > 1e-6 * sizes[0]])


def is_small(context: Context, reading: Reading) -> bool:
    """Whether double precision costs nothing."""
    return len(context.cells) * len(context.genes) <= _SMALL and reading.device.type != "mps" and not reading.parity


def padded_shape(context: Context, reading: Reading) -> tuple[int, ...]:
    """Cells, genes, regulators, factors and covariates of a context, rounded up but for parity."""
    sizes = (len(context.cells), len(context.genes), len(context.source), reading.n_factors_of(context))
    steps = (1, 1, 1, 1) if reading.parity else _STEPS
    rounded = tuple(-(-size // step) * step for size, step in zip(sizes, steps, strict=True))
    return (*rounded, reading.covariates.shape[1])


def batches(contexts: Sequence[Context], reading: Reading) -> list[list[int]]:
    """Places of contexts that are fitted together: of similar size, as many as fit into memory.

    Small ones of one shape, once padded, are fitted together; a large context is fitted alone where that is no slower:
    so the numbers of one do not depend on the others.
    """
    if reading.parity:
        return [[place] for place in range(len(contexts))]
    together: dict[tuple[int, ...], list[int]] = {}
    for place in sorted(range(len(contexts)), key=lambda place: contexts[place].name):
        together.setdefault(padded_shape(contexts[place], reading), []).append(place)
    out = []
    for (n_cells, n_genes, *_), places in together.items():
        alone = reading.device.type == "cpu" and not is_small(contexts[places[0]], reading)
        most = 1 if alone else max(1, reading.memory // (n_cells * n_genes * _BYTES))
        most = most if reading.batch_size is None else min(most, reading.batch_size)
        out += [places[first : first + most] for first in range(0, len(places), most)]
    return out


def bytes_of(context: Context, reading: Reading) -> int:
    """Most bytes that the fit of a context takes: entries of cells x genes, and those of the network and covariance."""
    n_cells, n_genes, n_sources, rank, _ = padded_shape(context, reading)
    size = 2 if is_small(context, reading) else 1
    return size * (_BYTES * n_cells * n_genes + 4 * n_genes * _NETWORK * (n_sources + rank) + _BLOCKS)


def check_memory(contexts: Sequence[Context], reading: Reading, argument: str) -> None:
    """Refuse, before anything is fitted, a context that takes more than the budget.

    Raises
    ------
    ParameterError
        Names the value of ``argument`` that fits.
    """
    needs = [bytes_of(context, reading) for context in contexts]
    logger.info("dictys: the largest fit takes %s", told_size(max(needs)))
    worst = int(np.argmax(needs))
    need, context = needs[worst], contexts[worst]
    if need <= reading.memory:
        return
    n_cells, n_genes = len(context.cells), len(context.genes)
    rest = need - _BYTES * n_cells * n_genes
    most = (reading.memory - rest) // (_BYTES * n_genes) // _STEPS[0] * _STEPS[0]
    where = f" of {context.name!r}" if context.name else ""
    fewer = f"{argument}={most}, fewer targets=" if most >= _FEWEST else "fewer targets="
    raise ParameterError(
        f"the fit of {n_cells} cells x {n_genes} genes{where} takes {told_size(need)}, more than "
        f"grn.settings.memory_budget ({told_size(reading.memory)}); pass {fewer}, or raise it: "
        f"grn.settings.memory_budget = {-(-need // 2**20)} * 2**20."
    )


def fit_contexts(contexts: Sequence[Context], reading: Reading) -> Iterator[tuple[int, Fit]]:
    """Places and fits of contexts, each as soon as it is done; those in the cache are not fitted again."""
    together = batches(contexts, reading)
    ticks = -(-reading.setting.n_steps // _TICK)
    bar = progress(range(len(together) * ticks), desc="dictys")
    for number, places in enumerate(together):
        tick, waiting = number * ticks, {}
        for place in places:
            part = reading.part(contexts[place])
            fitted = part.result(fit_of_arrays)
            if fitted is None:
                waiting[place] = part
            else:
                yield place, fitted
        for some in _level(waiting):
            for place, fitted in _fit_batch(contexts, some, reading):
                if fitted is None:
                    tick += next(bar, None) is not None
                else:
                    yield place, fitted
        for _ in range(tick, (number + 1) * ticks):
            next(bar, None)
    for _ in bar:
        pass


def _level(waiting: Mapping[int, Part]) -> list[dict[int, Part]]:
    """Parts that were interrupted after the same number of steps, which go on together."""
    steps: dict[int, dict[int, Part]] = {}
    for place, part in waiting.items():
        with part.state() as arrays:
            taken = 0 if arrays is None else int(arrays["steps"])
        steps.setdefault(taken, {})[place] = part
    return [steps[taken] for taken in sorted(steps, reverse=True)]


def _fit_batch(
    contexts: Sequence[Context], parts: Mapping[int, Part], reading: Reading
) -> Iterator[tuple[int, Fit | None]]:
    """Places and fits of some contexts that are fitted together, kept before they are given; ``None`` on the way."""
    places = list(parts)
    counts, shape, start = _batch([contexts[place] for place in places], reading)
    draws, paired = None, is_small(contexts[places[0]], reading)
    if reading.setting.sampled:
        draws = torch.Generator()
        draws.manual_seed(int(child(reading.seed, "dictys", contexts[places[0]].name).integers(2**31)))
    states = States(list(parts.values()))
    for k, fitted in ou_fit.fit(counts, shape, start, reading.setting, draws=draws, paired=paired, states=states):
        if fitted is None:
            yield -1, None
            continue
        place = places[k]
        fitted = replace(fitted, network=fitted.network[:, : len(contexts[place].source)])
        parts[place].finish({field.name: np.asarray(getattr(fitted, field.name)) for field in fields(Fit)})
        yield place, fitted


def fit_of_arrays(arrays: Mapping[str, np.ndarray]) -> Fit:
    """A fit that was kept."""
    given = {field.name: arrays[field.name] for field in fields(Fit)}
    return Fit(**{**given, "rate": float(given["rate"]), "converged": bool(given["converged"])})


def _batch(contexts: Sequence[Context], reading: Reading) -> tuple[Counts, Shape, Start]:
    """Contexts of one padded shape as tensors."""
    covariates = [reading.covariates_of(context) for context in contexts]
    ranks = [reading.n_factors_of(context) for context in contexts]
    n_sets = len(contexts)
    n_cells, n_genes, n_sources, rank, n_covariates = padded_shape(contexts[0], reading)
    shapes: dict[str, tuple[int, ...]] = {
        "counts": (n_cells, n_genes),
        "depth": (n_cells,),
        "cells": (n_cells,),
        "genes": (n_genes,),
        "covariates": (n_cells, n_covariates),
        "mask": (n_genes, n_sources),
        "used": (rank,),
        "level": (n_genes,),
        "factors": (n_genes, rank),
        "network": (n_genes, n_sources),
        "noise": (n_genes, reading.n_factors),
        "effects": (n_covariates, n_genes),
    }
    new = {
        name: np.zeros((n_sets, *shape), dtype=np.float64 if name in _PARAMETERS else np.float32)
        for name, shape in shapes.items()
    }
    new["diagonal"] = np.ones((n_sets, n_genes))
    source = np.zeros((n_sets, n_sources), dtype=np.int64)
    for place, context in enumerate(contexts):
        n, g, s = len(context.cells), len(context.genes), len(context.source)
        k, q = covariates[place].shape[1], ranks[place]
        counts = reading.counts_of(context)
        depth = reading.totals[context.cells].astype(np.float64)
        begin = _begin(counts, depth, covariates[place], q, parity=reading.parity)
        new["counts"][place, :n, :g], new["depth"][place, :n] = counts, depth
        new["cells"][place, :n], new["genes"][place, :g], new["used"][place, :q] = 1.0, 1.0, 1.0
        new["covariates"][place, :n, :k], new["mask"][place, :g, :s] = covariates[place], context.mask
        source[place, :s] = context.source
        _place_start(new, place, begin, reading, context.name)
    kind = torch.float64 if is_small(contexts[0], reading) else torch.float32
    tensors = {name: torch.as_tensor(value, device=reading.device, dtype=kind) for name, value in new.items()}
    counts = Counts(*(tensors[name] for name in ("counts", "depth", "cells", "genes", "covariates")))
    shape = Shape(torch.as_tensor(source, device=reading.device), tensors["mask"], tensors["used"])
    rate = torch.ones(n_sets, dtype=kind, device=reading.device)
    start = Start(
        tensors["level"],
        tensors["diagonal"],
        tensors["factors"],
        tensors["network"],
        rate,
        tensors["noise"],
        tensors["effects"],
    )
    return counts, shape, start


def _place_start(new: dict[str, np.ndarray], place: int, start: SetStart, reading: Reading, name: str) -> None:
    """Where one context starts, in the arrays of its batch."""
    g, q, k = *start.factors.shape, len(start.effects)
    new["level"][place, :g], new["diagonal"][place, :g] = start.level, start.diagonal
    new["factors"][place, :g, :q], new["effects"][place, :k, :g] = start.factors, start.effects
    n_noise = min(reading.n_factors, q)
    new["noise"][place, :g, :n_noise] = _NOISE * start.factors[:, :n_noise]
    if reading.parity:
        random = child(reading.seed, "dictys", "start", name)
        new["network"][place] = _JITTER * random.standard_normal(new["network"][place].shape)


def _begin(counts: np.ndarray, depth: np.ndarray, covariates: np.ndarray, rank: int, *, parity: bool) -> SetStart:
    """Start of one context from its counts (n, G)."""
    if parity:
        return set_start(lambda part: counts[part], depth, covariates, rank, root=True)
    return moment_start(lambda part: counts[part], depth, covariates, rank)
