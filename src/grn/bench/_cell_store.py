"""Finished cells of the benchmark on disk, by all that they depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd

from grn import genes as gene_tables
from grn._core.logging import logger
from grn.bench._board import Setting
from grn.bench._cell import Contest
from grn.bench._features import fingerprint
from grn.datasets._reference import Reference

_VERSION = "4"


@dataclass(frozen=True)
class Group:
    """Cells that share their translators: one training set, one protocol."""

    train: Reference
    tests: tuple[Reference, ...]
    protocol: str


def cell_path(group: Group, reference: Reference, setting: Setting, contest: Contest) -> Path | None:
    """Where a finished cell is kept; functions of the user have no name to keep them by."""
    if contest.scorers:
        return None
    told = [
        _VERSION,
        *_described(group.train),
        *_described(reference),
        group.protocol,
        *gene_tables.versions().values(),
        "" if setting.model is None else setting.model.sha256,
        str(setting.max_regulators),
        str(setting.epochs),
        str(setting.stand_in is not None),
        repr(contest.recipes),
        f"{contest.seeds} {contest.n_boot} {contest.seed}",
        *sorted(contest.extra_floors),
    ]
    key = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    return setting.cache / "cells" / f"{key}.parquet"


def _described(reference: Reference) -> list[str]:
    """All of a reference that a cell depends on."""
    cells = "" if reference.expression is None else fingerprint(reference.expression)
    return [reference.sha256, reference.name, reference.organism, reference.unit, str(reference.directed), cells]


def stored_cell(group: Group, reference: Reference, setting: Setting, contest: Contest) -> pd.DataFrame | None:
    """A finished cell, if there is one."""
    path = cell_path(group, reference, setting, contest)
    if path is None or not path.exists():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        logger.warning("%s is damaged (%s) and is computed anew", path, error)
        return None


def store_cell(table: pd.DataFrame, path: Path | None) -> None:
    """Keep a finished cell, whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{uuid4().hex}.part")
    table.to_parquet(part, index=False)
    part.replace(path)
