"""CellOracle: every target regressed on the regulators that a base GRN allows, by bagged or Bayesian ridge."""

from __future__ import annotations

from functools import partial
from numbers import Integral

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import ParameterError
from grn._object.smoothing import weights_for
from grn.methods.celloracle.regression import Bags, Problem, fit_group, fit_plain, problem, smoothing
from grn.methods.cells import FEWEST
from grn.methods.penalty import OF_SUMS, check_penalty
from grn.methods.record import METHODS, Method, Task
from grn.network import Network

FITS = ("bagging", "bayesian")


def fit(
    adata,
    task: Task,
    *,
    base_grn: pd.DataFrame | None = None,
    fit: str = "bagging",
    alpha: float = 10.0,
    n_bags: int = 20,
    smooth: bool | str | sparse.spmatrix = True,
    min_cells: int = FEWEST,
    parity: bool = False,
) -> Network:
    """Regress, and keep all allowed pairs.

    Parameters
    ----------
    adata
        The object.
    task
        Genes, cells and groups; without ``sources`` the regulators of ``base_grn``.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all.
    fit
        ``"bagging"`` or ``"bayesian"``.
    alpha, n_bags
        Penalty and number of bags of ``"bagging"``.
    smooth
        ``True`` (weights in ``obsp["grn_smooth"]``, else computed with the defaults of ``grn.pp.smooth``), ``False``,
        a key of ``obsp``, or weights.
    min_cells
        Fewest cells of a group in which a gene must be above zero, before smoothing, to have edges there; 0 for no
        limit, as with ``parity``.
    parity
        Draw bags as the original program does.
    """
    check(fit, alpha, n_bags)
    by_name, least = fit == "bagging" and not parity, 0 if parity else min_cells
    if smooth is True:
        weights = weights_for(adata, layer=task.layer, use_raw=task.use_raw, values=task.values)
    else:
        weights = smoothing(adata, smooth)
    data = problem(adata, task, base_grn, weights, min_cells=least, parity=parity, drawn=by_name)
    told = {
        "base_grn": base_grn is not None,
        "fit": fit,
        **({"alpha": float(alpha), "n_bags": int(n_bags)} if fit == "bagging" else {}),
        "smooth": smooth if isinstance(smooth, str) else weights is not None,
        "min_cells": least,
        "parity": parity,
    }
    bags = Bags(int(n_bags), float(alpha), parity, task.seed, task.n_jobs, task.memory_budget)
    return network_of(data, bags if fit == "bagging" else None, told)


_MOST_BAGS = 100_000


def check(fit: str, alpha: float, n_bags: int) -> None:
    """Refuse numbers out of range."""
    if fit not in FITS:
        raise ParameterError(f"fit={fit!r} is unknown; use one of {', '.join(FITS)}.")
    check_penalty("alpha", alpha, OF_SUMS)
    if isinstance(n_bags, bool) or not isinstance(n_bags, Integral) or not 2 <= n_bags <= _MOST_BAGS:
        raise ParameterError(f"n_bags={n_bags!r}; pass an integer from 2, as a t-test needs two bags, to {_MOST_BAGS}.")


def network_of(data: Problem, bags: Bags | None, params: dict) -> Network:
    """Regress every group and put the edges together."""
    names = data.cells.names
    frames = []
    parts, told = data.cells.each(partial(fit_group, data, bags=bags), data)
    for group, (source, target, found) in parts:
        frame = _frame(names, source, target, found.mean, group, data.cells.groups)
        frames.append(frame.assign(pval=found.pvalue, coef_variance=found.variance))
    edges = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Network(edges, genes=names, directed=True, signed=True, tested=True, params={**params, **told})


def simulation(data: Problem, edges: pd.DataFrame, *, alpha: float, memory: int) -> pd.DataFrame:
    """Fit the edges of every group anew, without bags and scales.

    Parameters
    ----------
    data
        What the network was fitted on.
    edges
        Edges ``source, target[, group]`` to fit.
    alpha
        Penalty, at least 1e-5.
    memory
        Bytes for products.

    Returns
    -------
    DataFrame
        ``source, target, weight[, group]``; change of the target per unit of the source.
    """
    names = data.cells.names
    index = pd.Index(names)
    frames = []
    for group, members in data:
        part = edges[edges["group"] == group] if "group" in edges else edges
        if part.empty:
            continue
        source, target = (index.get_indexer(part[side].astype(object)) for side in ("source", "target"))
        weight = fit_plain(data, group, members, source, target, alpha, memory)
        frames.append(_frame(names, source, target, weight, group, data.cells.groups))
    return pd.concat(frames, ignore_index=True)


def _frame(
    names: np.ndarray, source: np.ndarray, target: np.ndarray, weight: np.ndarray, group: str, groups: tuple[str, ...]
) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=names),
            "target": pd.Categorical.from_codes(target, categories=names),
            "weight": weight,
        }
    )
    if group:
        frame["group"] = pd.Categorical([group] * len(frame), categories=list(groups))
    return frame


METHODS.add(
    "celloracle",
    Method(
        "celloracle",
        fit,
        "CellOracle: bagged or Bayesian ridge of smoothed targets on the regulators of a base GRN",
        signed=True,
        probability=False,
        needs=("cells",),
        reference="Kamimoto et al. 2023",
        reads_model=False,
    ),
)
