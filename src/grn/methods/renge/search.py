"""Choice of RENGE's penalty and path length: folds of knock-outs, and a search by optuna or of our own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from grn._core.logging import AsHere, logger, progress
from grn._core.optional import require
from grn._core.rng import child
from grn._kernels.dynamics import BlockMoments
from grn._kernels.renge import random_start, start_of
from grn._kernels.renge_fit import Setting, Trial, floor
from grn.methods.renge.screen import Named
from grn.methods.resume import resumed

N_FOLDS = 5
DEPTHS = (1, 4)
# log10 of the range of C and of l1_ratio
_LOW, _HIGH = -10.0, 0.0
J = TypeVar("J")
Point = dict[str, float]
# points and their scores, fold by fold
Tried = list[tuple[Point, np.ndarray]]
# scores (n_folds,) of every point
Scores = Callable[[Sequence[Point]], list[np.ndarray]]


@dataclass(frozen=True)
class ChosenSetting:
    """Setting that was chosen, how, and every trial (None when everything was given)."""

    setting: Setting
    engine: str
    score: float
    floor: float
    trials: pd.DataFrame | None


def choose(
    found: Named,
    blocks: BlockMoments,
    given: Mapping[str, float | None],
    *,
    n_trials: int,
    engine: str,
    by_time: bool,
    seed: int,
    n_jobs: int,
    parity: bool,
    cache: Path | None = None,
) -> ChosenSetting:
    """The setting given, its missing parts searched for."""
    free = [name for name in ("C", "l1_ratio", "n_k") if given[name] is None]
    fixed = {name: float(value) for name, value in given.items() if value is not None}
    if not free:
        return ChosenSetting(_setting(fixed, parity=parity), "given", np.nan, np.nan, None)
    folds = make_folds(found, by_time=by_time, seed=seed)
    starts = [start_of(blocks.keep(folds != fold), found.screen.knocked) for fold in range(folds.max() + 1)]
    if parity:
        starts = [random_start(start, child(seed, "renge", "start", str(i))) for i, start in enumerate(starts)]
    trial = Trial(found.screen, blocks, folds, starts, fixed, parity)
    logger.info("renge: searching %s in %d trials (%s search)", ", ".join(free), n_trials, engine)
    scores = partial(kept_jobs, trial, n_jobs=n_jobs, desc="renge search", cache=cache)
    tried = (_optuna if engine == "optuna" else _own)(scores, free, n_trials, seed)
    table = pd.DataFrame([{**fixed, **point, "score": values.mean()} for point, values in tried])
    best, values = tried[strongest(tried, only_best=parity)]
    value = float(values.mean())
    setting = _setting({**fixed, **best}, parity=parity)
    best_of = (setting.C, setting.l1_ratio, setting.n_k, 100 * value)
    logger.info("renge: C=%.3g, l1_ratio=%.3g, n_k=%d explain %.1f %% of the variance left out", *best_of)
    least = floor(found.screen, blocks, folds)
    if value <= least or (setting.n_k == 1 and not by_time and "n_k" in free):
        logger.warning(
            "renge: no setting predicts knock-outs left out better than no effect (%.3f; the mean of all cells: %.3f), "
            "so the choice means little. Pass C, l1_ratio and n_k, or folds='knockout_time'",
            value,
            least,
        )
    return ChosenSetting(setting, engine, value, least, table)


def strongest(tried: Tried, *, only_best: bool = False) -> int:
    """The trial with the largest C of those that are no more than one standard error worse than the best.

    The error is that of the difference to the best over folds. With ``only_best`` the best itself.
    """
    best = int(np.argmax([values.mean() for _, values in tried]))
    if only_best:
        return best
    near = []
    for i, (_, values) in enumerate(tried):
        gap = tried[best][1] - values
        if i == best or gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap)):
            near.append(i)
    order = [(tried[i][0].get("C", 0.0), tried[i][0].get("l1_ratio", 0.0), -tried[i][0].get("n_k", 0.0)) for i in near]
    return near[order.index(max(order))]


def make_folds(named: Named, *, by_time: bool, seed: int) -> np.ndarray:
    """Fold of every block (S, T): a knock-out (or a knock-out at a time) is in one fold, as is the control of a time.

    Groups go to the fold with the fewest cells, the largest first, those of one size in an order drawn by their names.
    """
    sizes = named.screen.sizes
    where = {f"control {t:g}": (0, i) for i, t in enumerate(named.screen.times)}
    for s, name in enumerate(named.knocked, start=1):
        if by_time:
            where |= {f"{name} {t:g}": (s, i) for i, t in enumerate(named.screen.times) if sizes[s, i]}
        else:
            where[str(name)] = (s, slice(None))
    folds = np.zeros(sizes.shape, dtype=np.int64)
    load = np.zeros(min(N_FOLDS, len(where)))
    cells = {name: int(sizes[places].sum()) for name, places in where.items()}
    for name in sorted(where, key=lambda name: (-cells[name], child(seed, "renge", "fold", name).random())):
        fold = int(np.argmin(load))
        folds[where[name]] = fold
        load[fold] += cells[name]
    return folds


def _setting(point: Mapping[str, float], *, parity: bool) -> Setting:
    return Setting(point["C"], point["l1_ratio"], int(point["n_k"]), parity)


def _results(task: Callable[[J], np.ndarray], jobs: Sequence[J], n_jobs: int, *, desc: str) -> Iterator[np.ndarray]:
    """Results of a function for jobs, in processes if asked for; they do not depend on the number of these."""
    if len(jobs) < 2:  # a bar of one is none
        return map(task, jobs)
    if n_jobs == 1:
        results = map(task, jobs)
    else:
        results = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(AsHere(task))(job) for job in jobs)
    return progress(results, total=len(jobs), desc=desc)


def kept_jobs(
    task: Callable[[J], np.ndarray],
    jobs: Sequence[J],
    n_jobs: int,
    *,
    desc: str,
    cache: Path | None,
) -> list[np.ndarray]:
    """Results of a function, with all it holds a partial or a dataclass, for jobs; those in the cache are read."""

    def compute(places: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        return zip(places, _results(task, [jobs[place] for place in places], n_jobs, desc=desc), strict=True)

    done = dict(resumed(cache, desc, lambda: {"task": task}, range(len(jobs)), jobs.__getitem__, compute))
    return [done[place] for place in range(len(jobs))]


def _own(scores: Scores, free: list[str], n_trials: int, seed: int) -> Tried:
    """Two thirds of the trials on a Latin hypercube, the rest around the best of them."""
    random = child(seed, "renge", "search")
    n_wide = max(1, n_trials - n_trials // 3)
    cells = np.stack([random.permutation(n_wide) for _ in free], axis=1)
    wide = [_point(free, row) for row in (cells + random.random(cells.shape)) / n_wide]
    tried = list(zip(wide, scores(wide), strict=True))
    best = max(tried, key=lambda one: one[1].mean())[0]
    middle = np.array([_place(name, best[name]) for name in free])
    near = [
        _point(free, np.clip(middle + random.normal(0.0, 0.1, len(free)), 0.0, 1.0)) for _ in range(n_trials - n_wide)
    ]
    return tried + list(zip(near, scores(near), strict=True))


def _point(free: list[str], places: np.ndarray) -> Point:
    """Values at places in the unit cube: equal shares for path lengths, logarithmic for the penalty.

    Half of all penalties are above 10^-2.5: much smaller ones are all alike, as they do nothing.
    """
    point = {}
    for name, place in zip(free, places, strict=True):
        if name == "n_k":
            point[name] = float(min(DEPTHS[0] + int(place * (DEPTHS[1] - DEPTHS[0] + 1)), DEPTHS[1]))
        else:
            point[name] = float(10.0 ** (_HIGH - (_HIGH - _LOW) * (1.0 - place) ** 2))
    return point


def _place(name: str, value: float) -> float:
    if name == "n_k":
        return (value - DEPTHS[0] + 0.5) / (DEPTHS[1] - DEPTHS[0] + 1)
    return float(1.0 - np.sqrt((_HIGH - np.log10(value)) / (_HIGH - _LOW)))


def _optuna(scores: Scores, free: list[str], n_trials: int, seed: int) -> Tried:
    """Tree-structured Parzen estimator of optuna, a third of the trials at random; one after the other."""
    optuna = require("optuna", extra="search", purpose="search='optuna'")

    tried: Tried = []
    bar = progress(range(n_trials + 1), desc="renge search")
    next(bar)

    def objective(suggest) -> float:
        point = {}
        for name in free:
            if name == "n_k":
                point[name] = float(suggest.suggest_int(name, *DEPTHS))
            else:
                point[name] = suggest.suggest_float(name, 10.0**_LOW, 10.0**_HIGH, log=True)
        tried.append((point, scores([point])[0]))
        next(bar, None)
        return float(tried[-1][1].mean())

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            drawn = int(child(seed, "renge", "optuna").integers(2**31))
            sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=max(1, n_trials // 3), seed=drawn)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            study.optimize(objective, n_trials=n_trials)
    finally:
        optuna.logging.set_verbosity(before)
    return tried
