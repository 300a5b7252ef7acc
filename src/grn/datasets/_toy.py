"""Simulated cells with a planted network."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, sample_names, seed_of
from grn.genes import tables

_FIRST = ("GATA1", "SPI1", "TAL1", "KLF1", "CEBPA", "RUNX1", "MYB", "IRF8", "PAX5", "TCF7", "EBF1", "FOXO1")
_SIGNAL = 0.8
_NOISE = 0.4
_NEGATIVE = 0.4


def toy(
    *,
    n_cells: int = 300,
    n_regulators: int = 8,
    n_targets: int = 40,
    n_groups: int = 2,
    signed: bool = True,
    dropout: float = 0.0,
    rng: RNGLike = 0,
) -> AnnData:
    """Simulate cells in which each target follows one to three regulators.

    A regulator r has the activity ``z_rc = m_r,group(c) + e_rc`` in cell c, with ``m`` normal (deviation 0.8) and
    ``e`` standard normal. Log rates are ``mu_r + 0.8 z_rc`` for regulators and
    ``mu_t + sum_r weight_rt z_rc + 0.4 e_tc`` for targets, where the squared weights of a target sum to 0.64.
    Counts are Poisson with a cell-specific depth.

    Parameters
    ----------
    n_cells
        Number of cells.
    n_regulators
        Number of regulators, real human transcription factors.
    n_targets
        Number of targets, real human genes that are no regulators.
    n_groups
        Number of groups of cells, in which regulators differ in mean activity.
    signed
        Whether about 40 % of the edges repress; else all activate.
    dropout
        Probability (0 to below 1) that a count is lost.
    rng
        Seed, generator or ``None``. Randomness is keyed by gene name, so adding genes leaves the others as they are
        (up to normalisation).

    Returns
    -------
    AnnData
        ``X`` log1p of counts per 10 000 (CSR float32, n_cells x (n_regulators + n_targets)), ``layers["counts"]``,
        ``obs["group"]``, ``var["is_regulator"]`` and ``uns["truth"]`` (DataFrame ``source, target, weight, sign``:
        the planted coefficients on the log scale).

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> import grn.datasets
    >>> adata = grn.datasets.toy(n_cells=50, n_regulators=3, n_targets=5)
    >>> adata.shape
    (50, 8)
    >>> list(adata.uns["truth"].columns)
    ['source', 'target', 'weight', 'sign']
    """
    check_sizes({"n_cells": n_cells, "n_regulators": n_regulators, "n_targets": n_targets, "n_groups": n_groups})
    check_groups(n_groups, n_cells)
    check_share("dropout", dropout)
    seed = seed_of(rng)
    regulators, targets = names_of(n_regulators, n_targets)
    group = np.arange(n_cells) % n_groups
    truth = pd.concat([planted(seed, target, regulators, signed=signed) for target in targets], ignore_index=True)
    rates = _log_rates(seed, regulators, targets, truth, group)
    adata = assemble(counts_of(seed, rates, dropout), rates.columns, group, n_regulators)
    adata.uns["truth"] = truth
    return adata


def check_sizes(sizes: dict[str, int]) -> None:
    """Refuse what is no integer of at least 1."""
    for name, value in sizes.items():
        checks.integer(name, value, least=1)


def check_groups(n_groups: int, n_cells: int) -> None:
    """Refuse groups that would have no cell."""
    if n_groups > n_cells:
        raise ParameterError(f"n_groups={n_groups} is more than n_cells={n_cells}; every group needs a cell.")


def check_share(name: str, value: float, *, below: bool = True) -> None:
    """Refuse what is no probability; 1 itself is allowed unless ``below``."""
    checks.number(name, value, least=0, **({"below": 1} if below else {"most": 1}))


def check_size(name: str, value: float) -> None:
    """Refuse what is no finite number of at least 0."""
    checks.number(name, value, least=0)


def names_of(n_regulators: int, n_targets: int) -> tuple[list[str], list[str]]:
    """Pick genes with a usual symbol and a mouse ortholog, the same ones for every seed."""
    known, other = _usual_names()
    if n_regulators > len(_FIRST) + len(known) or n_targets > len(other):
        raise ParameterError(
            f"n_regulators={n_regulators}, n_targets={n_targets}: there are names for at most "
            f"{len(_FIRST) + len(known)} regulators and {len(other)} targets."
        )
    return [*_FIRST, *known][:n_regulators], list(other[:n_targets])


@cache
def _usual_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Regulators beyond the first ones and other genes, each in a random order that is always the same."""
    usual = {
        pair.symbol
        for pairs in tables.orthologs().values()
        for pair in pairs
        if pair.kind == "one2one" and re.fullmatch(r"[A-Z]{2,}[A-Z0-9]*", pair.symbol)
    }
    listed = tables.regulator_sources("human")
    known = sorted(name for name in usual if name in listed and name not in _FIRST)
    other = sorted(usual - set(listed))
    known, other = ([names[i] for i in sample_names(names, len(names), 0)] for names in (known, other))
    return tuple(known), tuple(other)


def planted(seed: int, target: str, regulators: list[str], *, signed: bool) -> pd.DataFrame:
    """Draw the regulators of a target and their weights."""
    random = child(seed, "edges", target)
    size = min(int(random.integers(1, 4)), len(regulators))
    chosen = [regulators[i] for i in sample_names(regulators, size, int(random.integers(2**32)))]
    strength = random.uniform(0.5, 1.5, size=3)[:size]
    negative = random.random(size=3)[:size] < _NEGATIVE
    sign = np.where(negative & signed, -1.0, 1.0)
    weight = _SIGNAL * sign * strength / np.sqrt((strength**2).sum())
    return pd.DataFrame({"source": chosen, "target": target, "weight": weight, "sign": sign})


def _log_rates(
    seed: int, regulators: list[str], targets: list[str], truth: pd.DataFrame, group: np.ndarray
) -> pd.DataFrame:
    """Log rates of all genes, cells in rows."""
    activity = {}
    for name in regulators:
        level = np.array([child(seed, "level", name, str(k)).normal(0.0, 0.8) for k in range(group.max() + 1)])
        activity[name] = level[group] + child(seed, "cells", name).normal(size=len(group))
    rates = {name: _SIGNAL * values for name, values in activity.items()}
    for target in targets:
        rates[target] = _NOISE * child(seed, "cells", target).normal(size=len(group))
    for source, target, weight in truth[["source", "target", "weight"]].itertuples(index=False):
        rates[target] = rates[target] + weight * activity[source]
    return pd.DataFrame({name: values + child(seed, "base", name).normal(2.0, 0.5) for name, values in rates.items()})


def counts_of(seed: int, rates: pd.DataFrame, dropout: float) -> np.ndarray:
    depth = child(seed, "depth").lognormal(0.0, 0.2, size=len(rates))
    counts = np.empty(rates.shape, dtype=np.float32)
    for position, name in enumerate(rates.columns):
        random = child(seed, "counts", name)
        drawn = random.poisson(depth * np.exp(rates[name].to_numpy()))
        seen = child(seed, "dropout", name).random(size=len(rates)) >= dropout
        counts[:, position] = drawn * seen
    return counts


def assemble(counts: np.ndarray, names: pd.Index, group: np.ndarray, n_regulators: int) -> AnnData:
    """Expression of simulated cells, without the truth."""
    totals = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    scaled = np.log1p(np.divide(counts * 1e4, totals, out=np.zeros(counts.shape), where=totals > 0))
    labels = np.array([f"group_{k + 1}" for k in range(group.max() + 1)])
    return AnnData(
        X=sparse.csr_matrix(scaled.astype(np.float32)),
        layers={"counts": sparse.csr_matrix(counts)},
        obs=pd.DataFrame(
            {"group": pd.Categorical(labels[group], categories=labels)},
            index=[f"cell_{k + 1}" for k in range(len(group))],
        ),
        var=pd.DataFrame({"is_regulator": np.arange(len(names)) < n_regulators}, index=names),
    )
