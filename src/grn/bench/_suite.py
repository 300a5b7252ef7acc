"""Every perturbation experiment on disk, scored by every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from anndata import AnnData

from grn._core.errors import DataNotFoundError, GrnError, ParameterError
from grn._core.logging import logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._core.rng import RNGLike, seed_of
from grn.bench import _targets
from grn.bench._averages import COLUMNS, summarise
from grn.bench._experiments import EXPERIMENTS, Experiment, Judged
from grn.bench._suite_readings import Readings
from grn.bench._targets import METRICS, Scores
from grn.network import Network

Method = Callable[[AnnData], pd.DataFrame | Network]


@one_voice
def suite(
    *,
    methods: Mapping[str, Method] | None = None,
    data: Sequence[str] | None = None,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Score methods on every perturbation experiment that is on disk.

    Parameters
    ----------
    methods
        Name -> function of an AnnData that gives an edge table (or a :class:`grn.Network`). The object holds the
        unperturbed cells only (none for Perturb-seq), all measured genes and the lost regulators
        (``var["is_regulator"]``); regulators that were not measured are columns of zeros with ``var["measured"]``
        false; ``uns`` has ``organism`` (``"simulated"`` for DREAM4) and ``matrix``. A method that cannot score an
        object raises an error of ``grn.errors``, whose message becomes the note. By default readings of ``mini``
        with the shipped translators; ``{}`` for the floors alone.
    data
        Experiments: ``"dream4"``, ``"thp1"``, ``"perturbseq"``, ``"nkx2-1"``; all by default.
    path
        Folder ``perturbation`` of the data, or the one that holds it; ``grn.settings.data_dir`` by default.
    cache
        Folder in which features of the default methods are kept.
    rng
        Seed of the bootstrap.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        As :func:`score`. A method that cannot be applied has one row per data with NaN and its reason in ``note``.
        Rows of ``kind`` ``"oracle"`` are a second measurement of the same loss: the knock-out itself against true
        edges, the knock-down against the knock-out, the other cell line.

    Raises
    ------
    ParameterError
        An experiment is unknown.
    DataNotFoundError
        None of the experiments is on disk.
    StorageError
        The folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    The experiments differ in size: 500 regulators of simulated data, 25 of which 9 are measured, 17 in each of two cell
    lines, and 1. The default methods take minutes, most of them for the 7 225 genes of Perturb-seq.

    Examples
    --------
    >>> from grn.bench import perturbation
    >>> table = perturbation.suite(data=["thp1"], methods={})  # doctest: +SKIP
    >>> table["method"].unique().tolist()  # doctest: +SKIP
    ['random', 'mean effect', 'in-degree', 'mean expression', '|correlation|']
    """
    wanted = list(EXPERIMENTS) if data is None else [data] if isinstance(data, str) else list(data)
    unknown = [name for name in wanted if name not in EXPERIMENTS]
    if unknown or not wanted:
        raise ParameterError(f"data={data!r}; choose from {', '.join(EXPERIMENTS)}.")
    entered = Readings(cache=cache).methods() if methods is None else _targets.named(methods)
    results: dict[str, list[pd.DataFrame]] = {}
    notes: dict[tuple[str, str], str] = {}
    absent = None
    for name in progress_bar(wanted, desc="experiments"):
        try:
            for experiment in EXPERIMENTS[name](path):
                _enter(experiment, entered, results, notes)
        except DataNotFoundError as error:
            logger.warning("%s is left out: %s", name, error)
            absent = error
    if not results and absent is not None:
        raise absent
    seed = seed_of(rng)
    return pd.concat([_table(name, parts, notes, seed) for name, parts in results.items()], ignore_index=True)


def _enter(
    experiment: Experiment,
    methods: Mapping[str, Method],
    results: dict[str, list[pd.DataFrame]],
    notes: dict[tuple[str, str], str],
) -> None:
    """Judge all methods on one experiment."""
    predicted: dict[str, pd.DataFrame | Network | GrnError] = {}
    for name, method in methods.items():
        logger.info("%s: %s", experiment.name, name)
        try:
            predicted[name] = method(experiment.given.copy())
        except GrnError as error:
            predicted[name] = error
    for judged in experiment.judged:
        table, failed = _judge(judged, predicted)
        results.setdefault(judged.data, []).append(table.assign(source=experiment.name + ": " + table["source"]))
        notes.update({(judged.data, name): reason for name, reason in failed.items()})


def _judge(
    judged: Judged, predicted: Mapping[str, pd.DataFrame | Network | GrnError]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Figures of every regulator, and the reasons of methods that have none."""
    measured = _targets.measured(judged.effects)
    at = _targets.rows(measured, judged.regulators)
    entered: dict[str, Scores] = {}
    failed: dict[str, str] = {}
    for name, edges in predicted.items():
        try:
            if isinstance(edges, GrnError):
                raise edges
            entered[name] = _targets.scores(name, edges, measured)
        except GrnError as error:
            failed[name] = str(error)
    again = {name: _targets.scores(name, edges, measured) for name, edges in judged.again.items()}
    kinds = {
        "method": entered,
        "ablation": _targets.listings(entered),
        "floor": _targets.floors(measured),
        "oracle": again,
    }
    parts = [
        _targets.figures(n, kind, given, measured, at) for kind, named in kinds.items() for n, given in named.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[table["metric"].isin(judged.metrics)], failed


def _table(data: str, parts: list[pd.DataFrame], notes: dict[tuple[str, str], str], seed: int) -> pd.DataFrame:
    """Averages of one data set over its experiments; a method that failed on one of them is noted, not averaged."""
    reasons = {name: reason for (where, name), reason in notes.items() if where == data}
    table = pd.concat(parts, ignore_index=True)
    averages = summarise(table[~table["method"].isin(list(reasons))], data=data, seed=seed)
    lost = {"data": data, "regulators": "all", "kind": "method", "metric": METRICS[0], "n_regulators": 0}
    failed = [{**lost, "method": name, "note": reason} for name, reason in reasons.items()]
    return pd.concat([averages, pd.DataFrame(failed, columns=COLUMNS)], ignore_index=True) if failed else averages
