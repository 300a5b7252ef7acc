"""GENIE3: the regulators that a random forest uses to predict a target.

Source: Huynh-Thu et al. 2010, PLoS ONE 5:e12776.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn._kernels.trees import Forest, forest
from grn.methods.forest_blocks import forest_importances
from grn.methods.group import Group
from grn.methods.record import METHODS, Method
from grn.methods.trees import COPIES, Drawn, Learner, Trees, check_mode, draw, importances

_KINDS = ("forest", "extra")
# leaves and bootstraps of mode="fast"
_LEAF, _CELLS = 2, 4000
# trees whose time is taken beforehand
_TRIAL = 3


def verify(*, mode: str, trees: str, n_trees: int, parity: bool) -> None:
    """Refuse values out of range, and a mode that the original does not have."""
    check_mode(mode)
    checks.word("trees", trees, _KINDS)
    checks.integer("n_trees", n_trees, least=1)
    if parity and mode == "fast":
        raise ParameterError("parity=True repeats the original, which has no fast mode; pass mode='exact'.")


def fit(
    group: Group,
    *,
    prepared: Drawn,
    mode: str = "exact",
    trees: str = "forest",
    n_trees: int = 1000,
    parity: bool = False,
) -> np.ndarray | None:
    """Grow forests in one group.

    Parameters
    ----------
    group
        Its cells.
    prepared
        Those that are read.
    mode
        ``"exact"`` grows trees to the last cell (scikit-learn); ``"fast"`` looks at histograms of 32 bins, leaves at
        least 2 cells in a leaf and draws at most 4 000 cells for a tree.
    trees
        ``"forest"`` for a random forest, ``"extra"`` for extremely randomised trees.
    n_trees
        Trees per target.
    parity
        As arboreto does: one seed, the order of the object, and importances that sum to 1 for every target however
        badly it is predicted. Exact mode only.
    """
    plan = Forest(extra=trees == "extra", trees=n_trees, shares=parity)
    if mode == "fast":
        together, trial = partial(forest_importances, replace(plan, leaf=_LEAF, cells=_CELLS)), None
    else:
        together, trial = None, (partial(forest, seed=0, plan=replace(plan, trees=_TRIAL)), n_trees / _TRIAL)
    grown = Trees("genie3", partial(_learner, plan), parity=parity, together=together, trial=trial)
    return importances(group, prepared.of(group, "genie3"), grown)


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
        verify=verify,
        prepare=draw,
        copies=COPIES,
        takes_prior=True,
        needs=("cells",),
        uses_client=True,
        keeps_parts=True,
        reference="Huynh-Thu et al. 2010, doi 10.1371/journal.pone.0012776",
        system="GENIE3",
        year=2010,
        inputs="RNA",
        cost="a forest per target",
        licence="GPL (>= 2)",
        page="methods/baselines",
    ),
)
