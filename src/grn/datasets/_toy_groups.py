"""Simulated groups of cells whose planted networks differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn.datasets._toy import assemble, check_share, check_size, check_sizes, counts_of, names_of, planted

_SIGNAL = 0.8
_NOISE = 0.4


def toy_groups(
    *,
    n_cells: int = 600,
    n_regulators: int = 8,
    n_targets: int = 40,
    n_groups: int = 2,
    n_donors: int = 6,
    signed: bool = True,
    specific: float = 0.5,
    trajectory: float = 0.5,
    confounder: float = 0.0,
    donor_effect: float = 0.0,
    dropout: float = 0.0,
    rng: RNGLike = 0,
) -> AnnData:
    r"""Simulate groups of cells on a forked path, in which some edges exist in one group only.

    A regulator r has in cell c, of group g, donor d and pseudotime u (uniform from 0 to 1), the activity

    .. math:: z_{rc} = a_r (2 u_c - 1) + 2 u_c m_{rg} + q_{rd} + e_{rc},

    with the slope ``a`` normal (deviation ``trajectory``), the level ``m`` of the group normal (deviation 0.8), the
    shift ``q`` of the donor normal (deviation ``donor_effect``) and ``e`` standard normal. Log rates are

    .. math:: \mu_r + 0.8 z_{rc} + l_r h_c, \qquad \mu_t + \sum_r w_{rtg} z_{rc} + l_t h_c + 0.4 e_{tc}

    for regulators and targets, where ``w`` is the planted weight or 0 where the edge does not exist in the group, and
    ``h`` is a hidden standard normal quantity of the cell that acts on every gene with a loading ``l`` (normal,
    deviation ``confounder``). Counts are Poisson with a cell-specific depth.

    Parameters
    ----------
    n_cells
        Number of cells, dealt to groups and donors in turn.
    n_regulators
        Number of regulators, real human transcription factors.
    n_targets
        Number of targets, real human genes that are no regulators. Each has one to three regulators.
    n_groups
        Number of groups.
    n_donors
        Number of donors, each in one group; at least ``n_groups``.
    signed
        Whether about 40 % of the edges repress; else all activate.
    specific
        Probability (0 to 1) that an edge exists in one group only, drawn per edge.
    trajectory
        Deviation of the change of regulators along pseudotime, in units of their noise.
    confounder
        Deviation of the loadings on the hidden quantity, on the log scale; 0 for none.
    donor_effect
        Deviation of the shift of regulators between donors, in units of their noise.
    dropout
        Probability (0 to below 1) that a count is lost.
    rng
        Seed, generator or ``None``. Randomness is keyed by gene name, so adding genes leaves the others as they are
        (up to normalisation).

    Returns
    -------
    AnnData
        ``X`` log1p of counts per 10 000 (CSR float32), ``layers["counts"]``; ``obs["group"]``, ``obs["donor"]``,
        ``obs["pseudotime"]`` and ``obs["hidden"]`` (h, which no method may read); ``obsm["X_toy"]`` (n_cells, 2):
        pseudotime, and a fork with one branch per group, with noise; ``var["is_regulator"]``, ``var["loading"]``;
        ``uns["truth"]``: DataFrame ``source, target, weight, sign, group, specific``, one row per edge and group in
        which it exists, ``specific`` where it exists in no other.

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> import grn.datasets
    >>> adata = grn.datasets.toy_groups(n_cells=60, n_regulators=3, n_targets=5)
    >>> adata.uns["truth"].columns.tolist()
    ['source', 'target', 'weight', 'sign', 'group', 'specific']
    >>> adata.obs.groupby("group", observed=True)["donor"].nunique().tolist()
    [3, 3]
    """
    sizes = {"n_cells": n_cells, "n_regulators": n_regulators, "n_targets": n_targets}
    check_sizes({**sizes, "n_groups": n_groups, "n_donors": n_donors})
    if not n_groups <= n_donors <= n_cells:
        raise ParameterError(
            f"n_groups={n_groups}, n_donors={n_donors}, n_cells={n_cells}; every group needs a donor, every donor a "
            "cell: pass n_groups <= n_donors <= n_cells."
        )
    check_share("dropout", dropout)
    check_share("specific", specific, below=False)
    for name, value in (("trajectory", trajectory), ("confounder", confounder), ("donor_effect", donor_effect)):
        check_size(name, value)
    seed = seed_of(rng)
    regulators, targets = names_of(n_regulators, n_targets)
    donor = np.arange(n_cells) % n_donors
    group = donor % n_groups
    time = child(seed, "pseudotime").random(n_cells)
    activity = _activity(seed, regulators, group, donor, time, deviations=(trajectory, donor_effect))
    edges = pd.concat([planted(seed, target, regulators, signed=signed) for target in targets], ignore_index=True)
    truth = _by_group(seed, edges, n_groups, specific)
    hidden = child(seed, "hidden").normal(size=n_cells)
    loading = np.array([confounder * child(seed, "loading", name).normal() for name in [*regulators, *targets]])
    rates = _log_rates(seed, activity, targets, truth, group) + np.outer(hidden, loading)
    adata = assemble(counts_of(seed, rates, dropout), rates.columns, group, n_regulators)
    labels = [f"donor_{k + 1}" for k in range(n_donors)]
    adata.obs["donor"] = pd.Categorical.from_codes(donor, categories=labels)
    adata.obs["pseudotime"] = time
    adata.obs["hidden"] = hidden
    adata.var["loading"] = loading
    fork = 2.0 * time * (group - (n_groups - 1) / 2)
    noise = child(seed, "embedding").normal(0.0, 0.05, size=(n_cells, 2))
    adata.obsm["X_toy"] = np.column_stack([2.0 * time, fork]) + noise
    adata.uns["truth"] = _named(truth)
    return adata


def _activity(
    seed: int,
    regulators: list[str],
    group: np.ndarray,
    donor: np.ndarray,
    time: np.ndarray,
    *,
    deviations: tuple[float, float],
) -> dict[str, np.ndarray]:
    """Activity of every regulator in every cell."""
    trajectory, donor_effect = deviations
    activity = {}
    for name in regulators:
        slope = trajectory * child(seed, "slope", name).normal()
        level = np.array([child(seed, "level", name, str(k)).normal(0.0, 0.8) for k in range(group.max() + 1)])
        shift = np.array([child(seed, "donor", name, str(k)).normal() for k in range(donor.max() + 1)])
        noise = child(seed, "cells", name).normal(size=len(group))
        activity[name] = slope * (2 * time - 1) + 2 * time * level[group] + donor_effect * shift[donor] + noise
    return activity


def _by_group(seed: int, edges: pd.DataFrame, n_groups: int, specific: float) -> pd.DataFrame:
    """One row per edge and number of a group in which it exists."""
    rows = []
    for position, (source, target) in enumerate(zip(edges["source"], edges["target"], strict=True)):
        random = child(seed, "specific", source, target)
        alone = n_groups > 1 and random.random() < specific
        codes = [int(random.integers(n_groups))] if alone else range(n_groups)
        rows += [(position, code, alone) for code in codes]
    table = pd.DataFrame(rows, columns=["position", "group", "specific"])
    repeated = edges.iloc[table["position"]].reset_index(drop=True)
    return repeated.assign(group=table["group"], specific=table["specific"])


def _log_rates(
    seed: int, activity: dict[str, np.ndarray], targets: list[str], truth: pd.DataFrame, group: np.ndarray
) -> pd.DataFrame:
    """Log rates of all genes without the hidden quantity, cells in rows."""
    rates = {name: _SIGNAL * values for name, values in activity.items()}
    for target in targets:
        rates[target] = _NOISE * child(seed, "cells", target).normal(size=len(group))
    for source, target, weight, code in truth[["source", "target", "weight", "group"]].itertuples(index=False):
        rates[target] = rates[target] + weight * activity[source] * (group == code)
    return pd.DataFrame({name: values + child(seed, "base", name).normal(2.0, 0.5) for name, values in rates.items()})


def _named(truth: pd.DataFrame) -> pd.DataFrame:
    return truth.assign(group=[f"group_{code + 1}" for code in truth["group"]])
