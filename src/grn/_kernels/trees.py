"""How much each regulator lowers the error of trees that predict a target."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

DEPTH = 3


@dataclass(frozen=True)
class Boosting:
    """Parameters of stochastic gradient boosting, by default those published for GRNBoost2.

    Parameters
    ----------
    learning_rate, rounds
        Shrinkage of a tree and most trees.
    features, cells
        Share of the regulators tried at a split and of the cells a tree sees.
    window
        Boosting stops when the mean improvement out of bag over so many rounds is below 0.
    paired
        Whether a round's improvement is that of its own cells out of bag. Without, it compares the cells out of bag
        of this round with those of the round before, as scikit-learn does since 1.3, which stops after some 30 rounds.
    friedman
        Whether splits are compared by Friedman's formula of the same gain, as boosting in scikit-learn did until 1.8,
        where this scikit-learn has it: equal gains are told apart by their last bit, which differs.
    first, pace
        Trees on histograms alone: after the first so many, a tree has ``pace`` times the learning rate and counts as
        so many.
    """

    learning_rate: float = 0.01
    rounds: int = 5000
    features: float = 0.1
    cells: float = 0.9
    window: int = 25
    first: int = 300
    pace: int = 1
    paired: bool = True
    friedman: bool = False

    @property
    def criterion(self) -> str:
        """Name of the criterion in scikit-learn."""
        return "friedman_mse" if self.friedman and has_friedman() else "squared_error"


def has_friedman() -> bool:
    """Whether this scikit-learn has Friedman's formula; since 1.9 its name stands for another one."""
    from sklearn.tree import _criterion

    return hasattr(_criterion, "FriedmanMSE")


class Monitor:
    """Decides when to stop from the error of cells out of bag.

    Parameters
    ----------
    plan
        ``window`` and ``paired``.
    """

    def __init__(self, plan: Boosting) -> None:
        self._paired = plan.paired
        self._last: float | None = None
        self._recent: deque[float] = deque(maxlen=plan.window)

    def stops(self, before: np.ndarray, after: np.ndarray, out: np.ndarray) -> bool:
        """Take in the residuals (n,) before and after a round and the cells out of bag; whether it was the last."""
        new = float(np.mean(np.square(after[out])))
        old = float(np.mean(np.square(before[out]))) if self._paired or self._last is None else self._last
        self._last = new
        self._recent.append(old - new)
        return len(self._recent) == self._recent.maxlen and sum(self._recent) < 0


def draw(n: int, size: int, random: np.random.RandomState) -> np.ndarray:
    """Mask (n,) of ``size`` cells drawn without replacement: selection sampling (Knuth, algorithm S).

    scikit-learn's boosting draws its cells in this way from the same generator, so that seeds mean the same.
    """
    chances = (random.uniform(size=n) * np.arange(n, 0, -1)).tolist()
    drawn, left = [False] * n, size
    for i, chance in enumerate(chances):
        if chance < left:
            drawn[i] = True
            left -= 1
    return np.array(drawn)


def boosted(X: np.ndarray, y: np.ndarray, *, seed: int, plan: Boosting | None = None) -> tuple[np.ndarray, int]:
    """Importances of regulators in stochastic gradient boosting with exact splits (GRNBoost2, Moerman et al. 2019).

    Parameters
    ----------
    X
        Regulators (n, S), float32; fastest in Fortran order.
    y
        Target (n,).
    seed
        Seed of ``numpy.random.RandomState``.
    plan
        Parameters.

    Returns
    -------
    ndarray, int
        Importances (S,) that sum to the number of trees, or all 0 if no tree has a split; the number of trees. Cost:
        depth times n log n times ``features`` S per tree; memory beside X a few arrays of n.
    """
    from sklearn import config_context
    from sklearn.tree import DecisionTreeRegressor

    plan = plan or Boosting()
    # the generator that scikit-learn draws from, so that seeds mean what they mean in the original
    random = np.random.RandomState(seed)
    n = len(y)
    size = max(1, int(plan.cells * n))
    y = y.astype(np.float64)
    # summed in the order of scikit-learn, whose ties between equal splits are broken by the last bit
    predicted = np.full(n, np.average(y, weights=np.ones(n)))
    residual = y - predicted
    monitor, gains, count = Monitor(plan), np.zeros(X.shape[1]), 0
    with config_context(skip_parameter_validation=True):
        for _ in range(plan.rounds):
            # nothing is drawn where all cells are seen
            inside = draw(n, size, random) if size < n else np.ones(n, dtype=bool)
            tree = DecisionTreeRegressor(
                criterion=plan.criterion, max_depth=DEPTH, max_features=plan.features, random_state=random
            )
            tree.fit(X, residual, sample_weight=inside.astype(np.float64), check_input=False)
            if tree.tree_.node_count > 1:
                gains += tree.tree_.compute_feature_importances(normalize=False)
            count += 1
            predicted += plan.learning_rate * tree.tree_.predict(X)[:, 0]
            after = y - predicted
            if size < n and monitor.stops(residual, after, ~inside):
                break
            residual = after
    return scaled(gains, count), count


def scaled(gains: np.ndarray, count: int) -> np.ndarray:
    """Gains as shares, times the number of trees."""
    total = float(gains.sum())
    return gains * (count / total) if total > 0 else np.zeros(len(gains))


@dataclass(frozen=True)
class Forest:
    """Parameters of a forest, by default those published for GENIE3.

    Parameters
    ----------
    extra
        Extremely randomised trees on all cells instead of a random forest on bootstraps.
    trees
        Number of trees.
    leaf
        Fewest cells in a leaf.
    cells
        Most cells in a bootstrap; ``None`` for as many as there are.
    shares
        Whether every tree's importances are divided by their sum, as scikit-learn does. The published importance is
        the decrease of the variance itself, so that a target that is predicted better has larger ones.
    """

    extra: bool = False
    trees: int = 1000
    leaf: int = 1
    cells: int | None = None
    shares: bool = False


def forest(X: np.ndarray, y: np.ndarray, *, seed: int, plan: Forest | None = None) -> np.ndarray:
    """Importances of regulators in a forest of which every split looks at sqrt(S) regulators (Huynh-Thu et al. 2010).

    Parameters
    ----------
    X
        Regulators (n, S), float32.
    y
        Target (n,) that varies; scaled to unit variance here unless importances are shares.
    seed
        Seed of the forest.
    plan
        Parameters.

    Returns
    -------
    ndarray
        Mean decrease of variance per regulator (S,), sum at most 1; or shares that sum to 1. Cost: trees times sqrt(S)
        n log n times their depth.
    """
    from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

    plan = plan or Forest()
    y = y.astype(np.float64)
    y = y if plan.shares else (y - y.mean()) / y.std()
    common = {
        "n_estimators": plan.trees,
        "max_features": "sqrt",
        "min_samples_leaf": plan.leaf,
        "random_state": seed,
        "n_jobs": 1,
    }
    if plan.extra:
        model = ExtraTreesRegressor(**common)
    else:
        few = plan.cells is not None and plan.cells < len(y)
        model = RandomForestRegressor(max_samples=plan.cells if few else None, **common)
    model.fit(X, y)
    if plan.shares:
        importances: np.ndarray = model.feature_importances_
        return importances
    gains = np.zeros(X.shape[1])
    for tree in model.estimators_:
        gains += tree.tree_.compute_feature_importances(normalize=False)
    return gains / plan.trees
