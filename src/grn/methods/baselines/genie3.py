"""GENIE3: the regulators that a random forest uses to predict a target.

Source: Huynh-Thu et al. 2010, PLoS ONE 5:e12776.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._kernels.trees import Forest, forest
from grn.methods.baselines.trees import Learner, Trees, check_mode, positive, tree_network
from grn.methods.cells import FEWEST
from grn.methods.record import METHODS, Method, Task
from grn.network import Network

_KINDS = ("forest", "extra")
# leaves and bootstraps of mode="fast"
_LEAF, _CELLS = 10, 1000


def fit(
    adata,
    task: Task,
    *,
    mode: str = "exact",
    trees: str = "forest",
    n_trees: int = 1000,
    max_cells: int | None = None,
    base_grn: pd.DataFrame | None = None,
    min_cells: int = FEWEST,
    parity: bool = False,
) -> Network:
    """Grow forests.

    Parameters
    ----------
    adata
        The object.
    task
        Genes, cells, groups and workers.
    mode
        ``"exact"`` grows trees to the last cell; ``"fast"`` leaves at least 10 cells in a leaf and draws
        at most 1 000 cells for a tree.
    trees
        ``"forest"`` for a random forest, ``"extra"`` for extremely randomised trees.
    n_trees
        Trees per target.
    max_cells
        Most cells per group, drawn by name; ``None`` for all.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; 0 for no limit.
    parity
        As arboreto does: one seed, the order of the object, and importances that sum to 1 for every target however
        badly it is predicted. Exact mode only.
    """
    check_mode(mode)
    if trees not in _KINDS:
        raise ParameterError(f"trees={trees!r} is unknown; use {' or '.join(map(repr, _KINDS))}.")
    positive("n_trees", n_trees)
    if parity and mode == "fast":
        raise ParameterError("parity=True repeats the original, which has no fast mode; pass mode='exact'.")
    few = {"leaf": _LEAF, "cells": _CELLS} if mode == "fast" else {}
    plan = Forest(extra=trees == "extra", trees=n_trees, shares=parity, **few)
    grown = Trees("genie3", partial(_learner, plan), threads=False, parity=parity)
    params = {"mode": mode, "trees": trees, "n_trees": n_trees}
    return tree_network(adata, task, grown, base_grn=base_grn, max_cells=max_cells, min_cells=min_cells, params=params)


def _learner(plan: Forest, X: np.ndarray) -> Learner:
    return partial(_grow, X, plan)


def _grow(X: np.ndarray, plan: Forest, y: np.ndarray, columns: np.ndarray, seed: int) -> np.ndarray:
    chosen = X if len(columns) == X.shape[1] else X[:, columns]
    return forest(chosen, y, seed=seed, plan=plan)


METHODS.add(
    "genie3",
    Method(
        "genie3",
        fit,
        "importance of regulators in a random forest of every target; unsigned",
        signed=False,
        probability=False,
        needs=("cells",),
        reference="doi 10.1371/journal.pone.0012776",
        reads_model=False,
    ),
)
