"""Gradient boosting on binned regulators by XGBoost, stopped as the exact one is."""

from __future__ import annotations

from threading import local
from typing import Any

import numpy as np

from grn._core.optional import require
from grn._kernels.trees import DEPTH, Boosting, Monitor, scaled

_BINS = 32
_TREES = {
    "tree_method": "hist",
    "max_bin": _BINS,
    "max_depth": DEPTH,
    # cells out of bag have weight 0
    "min_child_weight": 0.5,
    "reg_lambda": 0.0,
    "base_score": 0.0,
    "nthread": 1,
    "verbosity": 0,
}


class Histograms:
    """Regulators in 32 bins each, used for all targets.

    Parameters
    ----------
    X
        Regulators (n, S), float32.

    Raises
    ------
    MissingDependencyError
        If XGBoost is not installed.
    """

    def __init__(self, X: np.ndarray) -> None:
        require("xgboost", extra="trees", purpose="boosting with mode='fast'")
        self._X = X
        # XGBoost does not promise that two threads may read one matrix
        self._own = local()

    def boosted(
        self, y: np.ndarray, columns: np.ndarray, *, seed: int, plan: Boosting | None = None
    ) -> tuple[np.ndarray, int]:
        """Importances of some regulators, as :func:`grn._kernels.trees.boosted` gives them.

        Parameters
        ----------
        y
            Target (n,) that varies.
        columns
            Regulators to use (k,), ascending. For all of them the bins are shared, else they are made anew.
        seed
            Seed.
        plan
            Parameters.

        Returns
        -------
        ndarray, int
            Importances (k,) and the number of trees. Cost: k n per level of a tree; memory one byte per value of X
            and thread.
        """
        xgboost = require("xgboost", extra="trees", purpose="boosting with mode='fast'")
        plan = plan or Boosting()
        bins = self._bins(columns)
        params = {**_TREES, "eta": plan.learning_rate, "colsample_bynode": plan.features, "seed": seed}
        if plan.cells >= 1:  # nothing is out of bag
            bins.set_label(_standardised(y))
            booster = xgboost.train({**params, "objective": "reg:squarederror"}, bins, plan.rounds)
            return _gains(booster, len(columns), plan.rounds), plan.rounds
        rounds = _Rounds(y, plan, seed)

        class Stop(xgboost.callback.TrainingCallback):  # type: ignore[name-defined,misc]
            """Asks after every round whether it was the last."""

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                return rounds.over

        booster = xgboost.train(params, bins, plan.rounds, obj=rounds.gradient, callbacks=[Stop()], verbose_eval=False)
        count = int(booster.num_boosted_rounds())
        if rounds.over and count > 1:
            count -= 1
            booster = booster[:count]
        return _gains(booster, len(columns), count), count

    def _bins(self, columns: np.ndarray) -> Any:
        """The binned columns; all of them are kept per thread."""
        whole = len(columns) == self._X.shape[1]
        if whole and hasattr(self._own, "bins"):
            return self._own.bins
        xgboost = require("xgboost", extra="trees", purpose="boosting with mode='fast'")
        X = self._X if whole else self._X[:, columns]
        bins = xgboost.QuantileDMatrix(X, label=np.zeros(len(X)), max_bin=_BINS, nthread=1)
        if whole:
            self._own.bins = bins
        return bins


def _gains(booster: Any, n: int, count: int) -> np.ndarray:
    """Importances (n,) that sum to the number of trees."""
    gains = np.zeros(n)
    for name, gain in booster.get_score(importance_type="total_gain").items():
        gains[int(name[1:])] = gain
    return scaled(gains, count)


def _standardised(y: np.ndarray) -> np.ndarray:
    """Mean 0 and unit variance: XGBoost leaves out splits that gain less than 1e-6."""
    y = y.astype(np.float64)
    values: np.ndarray = (y - y.mean()) / (y.std() or 1.0)
    return values


class _Rounds:
    """Draws the cells of every round and watches those out of bag."""

    def __init__(self, y: np.ndarray, plan: Boosting, seed: int) -> None:
        self._y = _standardised(y)
        self._monitor = Monitor(plan)
        self._random = np.random.default_rng(seed)
        self._kept = max(1, int(plan.cells * len(y)))
        self._out: np.ndarray | None = None
        self._residual = self._y
        self.over = False

    def gradient(self, predicted: np.ndarray, _bins: object) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and weight of every cell for the next tree, given what all trees so far predict."""
        residual = self._y - predicted
        if self._out is not None and len(self._out):
            # known one round late: the tree that is being asked for is one too many
            self.over = self._monitor.stops(self._residual, residual, self._out)
        order = self._random.permutation(len(residual))
        self._out, self._residual = order[self._kept :], residual
        weight = np.ones(len(residual))
        weight[self._out] = 0.0
        return -residual * weight, weight
