"""Simulated knock-outs over time with a planted network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn.datasets._toy import check_share, check_size, check_sizes, names_of, planted

_RADIUS = 0.7
_PACE = 0.5
_SPREAD = 0.3


def toy_perturbation(
    *,
    n_cells: int = 20,
    n_regulators: int = 8,
    n_targets: int = 12,
    n_knockouts: int | None = None,
    n_times: int = 3,
    signed: bool = True,
    efficiency: float = 1.0,
    confounder: float = 0.0,
    rng: RNGLike = 0,
) -> AnnData:
    r"""Simulate knock-outs over time as a linear dynamic on a planted network, in which regulators regulate each other.

    Row g of the matrix W holds the weights of the regulators of gene g; it is scaled so that its spectral radius is at
    most 0.7. Knocking out gene k moves the means by ``d(t)``, where gene k is held at ``d_k = -(b + s_t)_k``
    (minus its own mean) and the others follow from ``d(0) = 0`` with

    .. math:: d(t + 1) = \tfrac12 d(t) + \tfrac12 W d(t),

    so that late times show indirect effects too. A cell has the values

    .. math:: x = b + s_t + d(t) + f, \qquad f = W f + e + l h,

    where the fluctuations ``f`` run through the network as well: ``e`` is normal (deviation 0.3), ``h`` a hidden
    standard normal quantity of the cell with loadings ``l`` (normal, deviation ``confounder``), and ``s_t`` shifts all
    cells of one time (normal, deviation 0.1). In a knock-out nothing acts on gene k: its value is 0. Other values
    below 0 are set to 0. There are no counts: the values are log expression with Gaussian noise.

    Parameters
    ----------
    n_cells
        Number of cells per knock-out (and control) and time.
    n_regulators
        Number of regulators, real human transcription factors; they are targets too.
    n_targets
        Number of targets that are no regulators; 0 for a network among regulators.
    n_knockouts
        How many regulators, from the first on, are knocked out; all by default.
    n_times
        Number of time points, 1, 2, ...
    signed
        Whether about 40 % of the edges repress; else all activate.
    efficiency
        Probability (0 to 1) that a cell with a guide is in fact edited; the others behave as controls.
    confounder
        Deviation of the loadings on the hidden quantity; 0 for none.
    rng
        Seed, generator or ``None``. Randomness is keyed by gene name (the scale of W depends on all regulators).

    Returns
    -------
    AnnData
        ``X`` (CSR float32, ``(n_knockouts + 1) * n_times * n_cells`` cells); ``obs["perturbation"]`` (``"control"`` or
        the gene), ``obs["time"]`` (float), ``obs["edited"]`` (bool) and ``obs["hidden"]``, which no method may read;
        ``var["is_regulator"]``, ``var["loading"]``; ``uns["truth"]`` (DataFrame ``source, target, weight, sign``: the
        non-zero entries of W).

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> import grn.datasets
    >>> adata = grn.datasets.toy_perturbation(n_cells=5, n_regulators=3, n_targets=4, n_times=2)
    >>> adata.shape, adata.obs["perturbation"].unique().tolist()
    ((40, 7), ['control', 'GATA1', 'SPI1', 'TAL1'])
    """
    sizes = {"n_cells": n_cells, "n_regulators": n_regulators, "n_times": n_times}
    check_sizes({**sizes, **({"n_targets": n_targets} if n_targets != 0 else {})})
    n_knockouts = n_regulators if n_knockouts is None else n_knockouts
    check_sizes({"n_knockouts": n_knockouts})
    if n_regulators < 2 or n_knockouts > n_regulators:
        raise ParameterError(
            f"n_regulators={n_regulators}, n_knockouts={n_knockouts}; pass at least 2 regulators and no more "
            "knock-outs than regulators."
        )
    check_share("efficiency", efficiency, below=False)
    check_size("confounder", confounder)
    seed = seed_of(rng)
    regulators, targets = names_of(n_regulators, n_targets)
    names = [*regulators, *targets]
    truth = _network(seed, regulators, targets, signed=signed)
    weights = _matrix(truth, names)
    loading = np.array([confounder * child(seed, "loading", name).normal() for name in names])
    base = np.array([child(seed, "base", name).normal(2.5, 0.3) for name in names])
    parts = [
        _condition(seed, names, label, time, n_cells, (weights, base, loading, efficiency))
        for time in range(1, n_times + 1)
        for label in ["control", *regulators[:n_knockouts]]
    ]
    obs = pd.concat([table for _, table in parts])
    obs["perturbation"] = pd.Categorical(obs["perturbation"], categories=["control", *regulators[:n_knockouts]])
    var = pd.DataFrame({"is_regulator": np.arange(len(names)) < n_regulators, "loading": loading}, index=names)
    values = np.concatenate([values for values, _ in parts])
    return AnnData(X=sparse.csr_matrix(values.astype(np.float32)), obs=obs, var=var, uns={"truth": truth})


def _network(seed: int, regulators: list[str], targets: list[str], *, signed: bool) -> pd.DataFrame:
    """Edges of a stable network in which no gene regulates itself."""
    parts = [
        planted(seed, name, [other for other in regulators if other != name], signed=signed)
        for name in [*regulators, *targets]
    ]
    truth = pd.concat(parts, ignore_index=True)
    radius = np.abs(np.linalg.eigvals(_matrix(truth, regulators))).max()
    truth["weight"] *= min(1.0, _RADIUS / max(radius, 1e-12))
    return truth


def _matrix(truth: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Weights with targets in rows, restricted to some genes."""
    place = pd.Index(names)
    row, column = place.get_indexer(truth["target"]), place.get_indexer(truth["source"])
    inside = (row >= 0) & (column >= 0)
    matrix = np.zeros((len(names), len(names)))
    matrix[row[inside], column[inside]] = truth["weight"].to_numpy()[inside]
    return matrix


def _condition(
    seed: int,
    names: list[str],
    label: str,
    time: int,
    n_cells: int,
    world: tuple[np.ndarray, np.ndarray, np.ndarray, float],
) -> tuple[np.ndarray, pd.DataFrame]:
    """Values and annotation of the cells of one knock-out at one time."""
    weights, base, loading, efficiency = world
    where = (label, str(time))
    edited = np.full(n_cells, label != "control")
    edited &= child(seed, "edited", *where).random(n_cells) < efficiency
    hidden = child(seed, "hidden", *where).normal(size=n_cells)
    noise = np.column_stack([child(seed, "cells", name, *where).normal(0.0, _SPREAD, n_cells) for name in names])
    noise += np.outer(hidden, loading)
    shift = np.array([child(seed, "time", name, str(time)).normal(0.0, 0.1) for name in names])
    identity = np.eye(len(names))
    values = base + shift + noise @ np.linalg.inv(identity - weights).T
    if edited.any():
        gene = names.index(label)
        cut = weights.copy()
        cut[gene] = 0.0
        noise = noise * (np.arange(len(names)) != gene)
        change = _course(weights, gene, base[gene] + shift[gene], time)
        moved = base + shift + change + noise @ np.linalg.inv(identity - cut).T
        moved[:, gene] = 0.0
        values = np.where(edited[:, None], moved, values)
    obs = pd.DataFrame(
        {"perturbation": label, "time": float(time), "edited": edited, "hidden": hidden},
        index=[f"{label}_{time}_{k + 1}" for k in range(n_cells)],
    )
    return np.maximum(values, 0.0), obs


def _course(weights: np.ndarray, gene: int, level: float, time: int) -> np.ndarray:
    """Mean change of all genes some time after a gene is lost."""
    change = np.zeros(len(weights))
    change[gene] = -level
    for _ in range(time):
        change = (1 - _PACE) * change + _PACE * weights @ change
        change[gene] = -level
    return change
