"""GRNBoost2: the regulators that a boosted ensemble of small trees uses to predict a target.

Source: Moerman et al. 2019, Bioinformatics 35:2159.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._kernels.histogram_trees import Histograms
from grn._kernels.trees import Boosting, boosted
from grn.methods.baselines.trees import Learner, Trees, check_mode, positive, tree_network
from grn.methods.cells import FEWEST
from grn.methods.record import METHODS, Method, Task
from grn.network import Network


def fit(
    adata,
    task: Task,
    *,
    mode: str = "exact",
    max_rounds: int = 5000,
    max_cells: int | None = None,
    base_grn: pd.DataFrame | None = None,
    min_cells: int = FEWEST,
    parity: bool = False,
) -> Network:
    """Boost.

    Parameters
    ----------
    adata
        The object.
    task
        Genes, cells, groups and workers.
    mode
        ``"exact"`` looks at every possible split (scikit-learn), ``"fast"`` at histograms (XGBoost).
    max_rounds
        Most trees per target; boosting stops earlier when it no longer lowers the error of cells out of bag.
    max_cells
        Most cells per group, drawn by name; ``None`` for all.
    base_grn
        Table ``source, target`` of the regulators a target may have; ``None`` for all.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; 0 for no limit.
    parity
        As arboreto 0.1.6 does with scikit-learn 1.3 or newer: one seed, the order of the object, and a
        stopping rule that compares different cells. Exact mode only.
    """
    check_mode(mode)
    positive("max_rounds", max_rounds)
    if parity and mode == "fast":
        raise ParameterError("parity=True repeats the original, which has no fast mode; pass mode='exact'.")
    plan = Boosting(rounds=max_rounds, paired=not parity)
    learner = partial(_fast if mode == "fast" else _exact, plan)
    trees = Trees("grnboost2", learner, threads=mode == "fast", parity=parity)
    params = {"mode": mode, "max_rounds": max_rounds}
    return tree_network(adata, task, trees, base_grn=base_grn, max_cells=max_cells, min_cells=min_cells, params=params)


def _exact(plan: Boosting, X: np.ndarray) -> Learner:
    return partial(_boost, X, plan)


def _boost(X: np.ndarray, plan: Boosting, y: np.ndarray, columns: np.ndarray, seed: int) -> np.ndarray:
    chosen = X if len(columns) == X.shape[1] else np.asfortranarray(X[:, columns])
    return boosted(chosen, y, seed=seed, plan=plan)[0]


def _fast(plan: Boosting, X: np.ndarray) -> Learner:
    return partial(_boost_bins, Histograms(X), plan)


def _boost_bins(bins: Histograms, plan: Boosting, y: np.ndarray, columns: np.ndarray, seed: int) -> np.ndarray:
    return bins.boosted(y, columns, seed=seed, plan=plan)[0]


METHODS.add(
    "grnboost2",
    Method(
        "grnboost2",
        fit,
        "importance of regulators in gradient boosting of every target; unsigned",
        signed=False,
        probability=False,
        needs=("cells",),
        reference="doi 10.1093/bioinformatics/bty916",
        reads_model=False,
    ),
)
