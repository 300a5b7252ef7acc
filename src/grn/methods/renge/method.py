"""RENGE: a network from a time series of knock-outs, direct effects told from indirect ones by their delay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger, some
from grn._core.rng import child
from grn._kernels.dynamics import Parameters, series_terms
from grn._kernels.renge import Start, control_levels, moments, random_start, start_of
from grn._kernels.renge_fit import Fit, Setting, fit, refit
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, MIN_CELLS_SEEN, Method, Result, Table, Task
from grn.methods.renge.prediction import knockout
from grn.methods.renge.screen import MIN_CELLS, Columns, Named, check_screen, read_screen
from grn.methods.renge.search import DEPTHS, ChosenSetting, choose, kept_jobs
from grn.network import Network

SEARCHES = ("own", "optuna")
FOLDS = ("knockout_time", "knockout")
TESTS = ("knocked_out", "all")


@dataclass(frozen=True)
class Tested:
    """Standard deviation, p and q of every weight (G, G); NaN on the diagonal, and p and q where nothing is tested."""

    deviation: np.ndarray
    pval: np.ndarray
    qval: np.ndarray


def ready(inputs: Inputs, *, perturbation: str = "perturbation", time: str = "time", control: str = "control") -> None:
    """Refuse an object without the columns of a screen."""
    check_screen(inputs, Columns(perturbation, time, control))


def fit_renge(
    inputs: Inputs,
    *,
    perturbation: str = "perturbation",
    time: str = "time",
    control: str = "control",
    genes: Sequence[str] | None = None,
    n_k: int | None = None,
    C: float | None = None,
    l1_ratio: float | None = None,
    n_boot: int = 30,
    tested: str = "knocked_out",
    n_trials: int = 30,
    search: str = "own",
    folds: str = "knockout_time",
    min_cells: int = MIN_CELLS_SEEN,
    parity: bool = False,
) -> Result:
    """Fit.

    Parameters
    ----------
    inputs
        Cells and, as ``sources`` and ``targets``, the edges to list.
    perturbation, time
        Columns of ``obs``: the knocked-out gene, and the time since.
    control
        Label of cells without knock-out.
    genes
        Genes of the network; all by default.
    n_k, C, l1_ratio
        Longest path, strength and kind of the penalty; what is ``None`` is searched for.
    n_boot
        Refits behind p-values, 0 for none.
    tested
        Which sources have p-values.
    n_trials, search, folds
        Settings tried, by which search, and what is left out together.
    min_cells
        Fewest cells of the screen in which a gene must be above zero; 0 for no limit, as with ``parity``.
    parity
        Follow the original in every detail.
    """
    task = inputs.task
    columns = Columns(perturbation, time, control)
    seen = 0 if parity else checks.integer("min_cells", min_cells, least=0)
    named = read_screen(inputs, columns, genes, min_cells=1 if parity else MIN_CELLS, seen=seen)
    listed = _listed(inputs, named)
    blocks = moments(named.screen)
    chosen = choose(
        named,
        blocks,
        {"C": C, "l1_ratio": l1_ratio, "n_k": n_k},
        n_trials=n_trials,
        engine=search,
        by_time=folds == "knockout_time",
        seed=task.seed,
        n_jobs=task.n_jobs or 1,
        parity=parity,
        cache=task.cache,
    )
    start = start_of(blocks, named.screen.knocked)
    if parity:
        start = random_start(start, child(task.seed, "renge", "start"))
    fitted = fit(blocks, named.screen, chosen.setting, start)
    if not fitted.converged:
        logger.warning("renge: the fit did not converge; a larger C makes it easier")
    tests = None
    if n_boot:
        everyone = parity or tested == "all"
        tests = _test(named, fitted, chosen.setting, start, n_boot, task, everyone=everyone)
    params = {
        **_told(named, chosen, fitted),
        "perturbation": perturbation,
        "time": time,
        "control": control,
        "genes": named.genes,
        "n_boot": n_boot,
        "tested": tested,
        "n_trials": n_trials,
        "folds": folds,
        "min_cells": seen,
        "parity": parity,
    }
    tables = {"fit": _fitted(named, fitted), "efficiency": named.efficiencies()}
    if chosen.trials is not None:
        tables["trials"] = chosen.trials
    edges = _edges(named, fitted, tests, chosen.setting, listed)
    network = Network(edges, genes=named.genes, signed=True, tested=tests is not None, params=params)
    return Result(network, tables)


def significance(
    network: np.ndarray, refits: np.ndarray, sources: np.ndarray | None = None, *, parity: bool = False
) -> Tested:
    """Tests of weights (G, G) of some sources (positions; all by default) against the spread of refits (B, G, G).

    z is the weight in standard deviations of the refits. It is compared with Student's t with B - 1 degrees of freedom,
    as the deviation itself is an estimate. In parity it is compared with the normal, and the diagonal, with p = 1,
    counts among the tests of Benjamini and Hochberg.
    """
    deviation = refits.std(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(network / deviation)
    pval = 2.0 * (stats.norm.sf(z) if parity else stats.t.sf(z, len(refits) - 1))
    pval[network == 0] = 1.0
    counted = np.ones(network.shape, dtype=bool) if parity else ~np.eye(len(network), dtype=bool)
    if sources is not None:
        counted[:, np.setdiff1d(np.arange(len(network)), sources)] = False
    qval = np.full(network.shape, np.nan)
    qval[counted] = stats.false_discovery_control(pval[counted])
    pval[~counted] = np.nan
    for table in (deviation, pval, qval):
        np.fill_diagonal(table, np.nan)
    return Tested(deviation, pval, qval)


def _test(
    named: Named,
    fitted: Fit,
    setting: Setting,
    start: Start,
    n_boot: int,
    task: Task,
    *,
    everyone: bool,
) -> Tested:
    if n_boot < 10:
        logger.warning("renge: %d refits make a rough standard deviation; 30 are usual", n_boot)
    warm = Start(fitted.at, start.most)
    again = partial(refit, named.screen, setting, warm, task.seed)
    done = kept_jobs(again, range(n_boot), task.n_jobs or 1, desc="renge refits", cache=task.cache)
    refits = np.array(done)
    return significance(fitted.at.network, refits, None if everyone else named.screen.knocked, parity=setting.parity)


def total_effects(at: Parameters, named: Named, depth: int) -> np.ndarray:
    """Effect of every gene, held at its value, through paths of up to ``depth`` steps (target, source)."""
    everyone = np.eye(len(named.genes))
    return series_terms(at.network, everyone, 1.0 - everyone, depth).sum(axis=1).T


def _edges(
    named: Named, fitted: Fit, tested: Tested | None, setting: Setting, listed: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    source, target = (part.ravel() for part in np.meshgrid(*listed, indexing="ij"))
    pairs = source != target
    source, target = source[pairs], target[pairs]
    weight = fitted.at.network[target, source]
    knocked = np.isin(source, named.screen.knocked)
    frame = pd.DataFrame(
        {
            "source": pd.Categorical.from_codes(source, categories=named.genes),
            "target": pd.Categorical.from_codes(target, categories=named.genes),
            "weight": weight,
            "sign": np.where(weight == 0, np.nan, np.sign(weight)),
            "total": total_effects(fitted.at, named, setting.n_k)[target, source],
            "knocked_out": knocked,
            # what follows a knock-out is no cause of it
            "direction": np.where(knocked, "response", "none"),
        }
    )
    if tested is not None:
        frame["pval"], frame["qval"] = tested.pval[target, source], tested.qval[target, source]
        frame["deviation"] = tested.deviation[target, source]
    return frame


def _listed(inputs: Inputs, named: Named) -> tuple[np.ndarray, np.ndarray]:
    """Positions among the genes of the network of the sources and targets asked for."""
    task = inputs.task
    sides = []
    for what, wanted in (("sources", task.sources), ("targets", task.targets)):
        if wanted is None:
            sides.append(np.arange(len(named.genes)))
            continue
        asked = inputs.names[inputs.positions(wanted, what)]
        positions = np.flatnonzero(np.isin(named.genes, asked))
        if len(positions) < len(asked):
            lost = some(asked[~np.isin(asked, named.genes)])
            n_lost = len(asked) - len(positions)
            logger.warning("%d of %d %s are not in the network: %s", n_lost, len(asked), what, lost)
        if not len(positions):
            raise ParameterError(f"none of {what}= is in the network; add them to genes=.")
        sides.append(positions)
    return sides[0], sides[1]


def _told(named: Named, chosen: ChosenSetting, fitted: Fit) -> dict[str, object]:
    return {
        "C": chosen.setting.C,
        "l1_ratio": chosen.setting.l1_ratio,
        "n_k": chosen.setting.n_k,
        "search": chosen.engine,
        **({} if chosen.trials is None else {"search_score": chosen.score, "search_floor": chosen.floor}),
        "loss": fitted.loss,
        "converged": fitted.converged,
        "n_cells_used": len(named.screen.values),
        "knocked_out": named.knocked,
        "dropped_genes": named.dropped_genes,
        "dropped_knockouts": named.dropped_knockouts,
    }


def _fitted(named: Named, fitted: Fit) -> dict[str, object]:
    """Everything a prediction needs."""
    alpha = np.full(len(named.genes), np.nan)
    alpha[named.screen.knocked] = fitted.at.alpha
    return {
        "genes": named.genes,
        "times": named.screen.times,
        "network": fitted.at.network,
        "level": fitted.at.level,
        "alpha": alpha,
        "beta": fitted.at.beta,
        "gamma": fitted.at.gamma,
        "control_level": control_levels(named.screen.values[: named.screen.sizes[0].sum()]),
    }


def verify(
    *,
    n_k: int | None,
    C: float | None,
    l1_ratio: float | None,
    n_boot: int,
    n_trials: int,
    search: str,
    folds: str,
    tested: str,
) -> None:
    """Refuse values out of range and unknown words."""
    for name, value, low in (("n_k", n_k, DEPTHS[0]), ("n_boot", n_boot, 0), ("n_trials", n_trials, 1)):
        if value is None and name == "n_k":
            continue
        checks.integer(name, value, least=low)
    if n_boot == 1:
        raise ParameterError("n_boot=1 has no spread; pass 30, or 0 for no p-values.")
    for name, value, high in (("C", C, None), ("l1_ratio", l1_ratio, 1.0)):
        if value is None:
            continue
        checks.number(name, value, least=0, most=high, note=", or None to search for it")
    valid_words = {"search": SEARCHES, "folds": FOLDS, "tested": TESTS}
    for name, value in {"search": search, "folds": folds, "tested": tested}.items():
        checks.word(name, value, valid_words[name])


METHODS.add(
    "renge",
    Method(
        "renge",
        fit_renge,
        "RENGE: signed edges with q-values from a time series of knock-outs",
        verify=verify,
        ready=ready,
        knockout=knockout,
        whole=True,
        signed=True,
        probability=False,
        direction="response",
        needs=("cells", "perturbation", "time"),
        tables={
            "fit": Table("what a prediction needs: network, levels and delays"),
            "efficiency": Table("how strongly cells show their knock-out", ("cell", "knockout", "efficiency")),
            "trials": Table("settings that the search tried"),
        },
        keeps_parts=True,
        confidence="pval, qval",
        reference="Ishikawa et al. 2023, doi 10.1038/s42003-023-05594-4",
        system="RENGE",
        year=2023,
        inputs="RNA, knock-outs over time",
        cost="a fit per setting and refit, whatever the number of cells",
        licence="MIT",
        page="methods/renge",
    ),
)
