"""Finished trials on disk, by all that they depend on."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grn import genes as gene_tables
from grn._core import sealed
from grn.bench._board import Boards
from grn.bench._competitors import shipped_hashes
from grn.bench._trial import Contest
from grn.datasets.reference import Reference

_VERSION = "10"


@dataclass(frozen=True)
class TrialGroup:
    """Trials that share their translators: one training set, one protocol."""

    train: Reference
    tests: tuple[Reference, ...]
    protocol: str


def trial_path(group: TrialGroup, reference: Reference, boards: Boards, contest: Contest) -> Path | None:
    """Where a finished trial is kept; functions of the user have no name to keep them by."""
    keys = [entered.key for entered in contest.competitors]
    if contest.scorers or None in keys:
        return None
    from grn import __version__

    setting = boards.setting
    facts = [
        _VERSION,
        __version__,
        *boards(group.train).facts,
        *boards(reference).facts,
        group.protocol,
        *gene_tables.versions().values(),
        "" if setting.model is None else setting.model.sha256,
        str(setting.max_regulators),
        str(setting.epochs),
        repr(keys),
        *(" ".join(shipped_hashes(entered, setting.model)) for entered in contest.competitors),
        f"{contest.seeds} {contest.n_boot} {contest.seed}",
        *sorted(f"{name} {getattr(floor, 'sha256', '')}" for name, floor in contest.extra_floors.items()),
    ]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return setting.cache / "trials" / f"{key}.sealed"


def stored_trial(group: TrialGroup, reference: Reference, boards: Boards, contest: Contest) -> pd.DataFrame | None:
    """A finished trial, if there is one."""
    path = trial_path(group, reference, boards, contest)
    return None if path is None else sealed.kept(path, lambda content: pd.read_parquet(io.BytesIO(content)))


def store_trial(table: pd.DataFrame, path: Path | None) -> None:
    """Keep a finished trial, whole or not at all."""
    if path is None:
        return
    content = io.BytesIO()
    table.to_parquet(content, index=False)
    sealed.keep(path, content.getvalue())
