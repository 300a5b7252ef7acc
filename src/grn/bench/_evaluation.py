"""Trials of a run: what is left out, the features they need, and their evaluation here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import joblib
import pandas as pd

from grn._core.cluster import each
from grn._core.device import torch_threads
from grn._core.errors import NetworkError
from grn._core.logging import AsHere, logger
from grn._core.logging import progress as progress_bar
from grn._core.settings import settings
from grn.bench._board import Board, Boards, BoardSetting
from grn.bench._trial import PROTOCOLS, Contest, Trainer, run_trial
from grn.bench._trial_store import TrialGroup, store_trial, stored_trial, trial_path
from grn.datasets.reference import Reference


def unfinished(groups: Sequence[TrialGroup], boards: Boards, contest: Contest) -> list[TrialGroup]:
    """Groups with a trial that is not kept."""
    return [group for group in groups if any(stored_trial(group, t, boards, contest) is None for t in group.tests)]


def read_features(groups: Sequence[TrialGroup], boards: Boards, contest: Contest, client: Any) -> None:
    """Read what the trials need into the cache, once per data set and with all threads."""
    if client is None:
        for board, variant, feature in _wanted(groups, boards, contest):
            logger.info("%s: %s of %d regulators", board.reference.name, feature, len(board.regulators))
            board.features(variant).cube(feature, board.regulators)
        boards.release()
        return
    # features that are read together stay together
    readings: dict[tuple[Board, str], list[str]] = {}
    for board, variant, feature in _wanted(groups, boards, contest):
        readings.setdefault((board, variant), []).append(feature)
    work = [(board.reference, variant, features) for (board, variant), features in readings.items()]
    shared = (_without_model(boards.setting), work)
    for _ in progress_bar(
        each(_read_there, boards.setting.model, shared, range(len(work)), client=client, ordered=False),
        total=len(work),
        desc="features",
        show=boards.setting.show,
    ):
        pass


def _read_there(model: Any, shared: tuple[BoardSetting, list[tuple[Reference, str, list[str]]]], number: int) -> None:
    """Read features of one data set on a worker."""
    setting, work = shared
    reference, variant, features = work[number]
    board = Board(reference, replace(setting, model=model))
    for feature in features:
        board.features(variant).cube(feature, board.regulators)


def _without_model(setting: BoardSetting) -> BoardSetting:
    """The setting as it travels, beside the model."""
    return replace(setting, model=None, show=False)


def left_out(groups: Sequence[TrialGroup], boards: Boards, contest: Contest) -> dict[str, list[str]]:
    """Columns ``test``, ``method`` and ``reason`` of what a data set does not allow; it is said, too."""
    trained, tested = _roles(groups, boards)
    rows: dict[str, list[str]] = {"test": [], "method": [], "reason": []}
    for board in dict.fromkeys([*trained, *tested]):
        reasons: dict[str, list[str]] = {}
        for entered in contest.competitors:
            asked = board in tested or (entered.trained and board in trained)
            reason = board.missing(entered) if asked else ""
            if reason:
                reasons.setdefault(reason, []).append(entered.name)
        for reason, names in reasons.items():
            logger.warning("%s: left out are %s, as %s", board.reference.name, "; ".join(names), reason)
            for name in names:
                for column, value in zip(rows, (board.reference.name, name, reason), strict=True):
                    rows[column].append(value)
    return rows


def _roles(groups: Sequence[TrialGroup], boards: Boards) -> tuple[dict[Board, None], dict[Board, None]]:
    """Boards that are trained on, and those that are tested; each once, in order."""
    trained = dict.fromkeys(boards(group.train) for group in groups)
    return trained, dict.fromkeys(boards(reference) for group in groups for reference in group.tests)


def _wanted(groups: Sequence[TrialGroup], boards: Boards, contest: Contest) -> Iterator[tuple[Board, str, str]]:
    """Boards, the weights and the features to read of them; none twice."""
    seen: set[tuple[str, ...]] = set()
    trained, tested = _roles(groups, boards)
    for board in dict.fromkeys([*trained, *tested]):
        for entered in contest.competitors:
            # without a translator to train, nothing is learned
            if board.missing(entered) or not (entered.trained or board in tested):
                continue
            for feature in entered.features:
                variant = entered.variant if entered.variant == "shuffled weights" else ""
                key = (board.reference.dataset, feature, variant, *board.regulators)
                if feature == "embedding" or key in seen:
                    continue
                seen.add(key)
                yield board, variant, feature


def evaluate(
    groups: Sequence[TrialGroup], boards: Boards, contest: Contest, *, n_jobs: int | None, client: Any
) -> Iterator[pd.DataFrame]:
    """Tables of all trials, in order; a warning in place of one that cannot be evaluated."""
    bar = progress_bar(range(sum(len(group.tests) for group in groups)), desc="trials", show=boards.setting.show)
    for tables in _evaluated(groups, boards, contest, n_jobs, client):
        for table in tables:
            next(bar, None)
            if isinstance(table, str):
                logger.warning("%s", table)
            else:
                yield table


def _evaluated(
    groups: Sequence[TrialGroup], boards: Boards, contest: Contest, n_jobs: int | None, client: Any
) -> Iterable[list[pd.DataFrame | str]]:
    """Tables of every group, or why there is none: here, in processes, or on workers."""
    if client is not None:
        shared = (_without_model(boards.setting), contest, list(groups))
        results = each(_group_there, boards.setting.model, shared, range(len(groups)), client=client)
        return (tables for _, tables in results)
    if n_jobs in (None, 1):
        return (_group(group, boards, contest) for group in groups)
    quiet = replace(boards.setting, show=False)
    surroundings = {name: getattr(settings, name) for name in ("device", "memory_budget", "feature_budget")}
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    tasks = (joblib.delayed(AsHere(_group_beside))(group, quiet, contest, surroundings) for group in groups)
    return iter(parallel(tasks))


def _group_there(
    model: Any, shared: tuple[BoardSetting, Contest, list[TrialGroup]], number: int
) -> list[pd.DataFrame | str]:
    """:func:`_group` on a worker."""
    setting, contest, groups = shared
    return _group(groups[number], Boards(replace(setting, model=model)), contest)


def _group_beside(
    group: TrialGroup, setting: BoardSetting, contest: Contest, surroundings: dict[str, Any]
) -> list[pd.DataFrame | str]:
    """:func:`_group` in a process of this machine, with the device and the budgets of the call."""
    with settings.override(**surroundings):
        return _group(group, Boards(setting), contest)


def _group(group: TrialGroup, boards: Boards, contest: Contest) -> list[pd.DataFrame | str]:
    """All trials of a group, finished ones from the cache; instead of one that cannot be evaluated, why."""
    trainer: Trainer | None = None
    tables: list[pd.DataFrame | str] = []
    with torch_threads(1):
        for reference in group.tests:
            table = stored_trial(group, reference, boards, contest)
            if table is None:
                trainer = trainer or Trainer(boards(group.train), PROTOCOLS[group.protocol])
                test = boards(reference)
                try:
                    table = run_trial(trainer, test, contest)
                except NetworkError as error:
                    tables.append(f"{group.train.name} -> {reference.name}, {group.protocol}: {error}")
                    continue
                finally:
                    test.release()
                store_trial(table, trial_path(group, reference, boards, contest))
            tables.append(table)
    boards.release()
    return tables
