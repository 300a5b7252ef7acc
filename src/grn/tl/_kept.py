"""Repetitions of a fit kept in a folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from grn._core.files import file_errors, make_folder
from grn._core.store import digest, publish
from grn.methods._frozen import Frozen
from grn.tl._rerun import Axes, Edges, Rerun


@dataclass(frozen=True)
class Kept:
    """Edges of repetitions by name; without a folder nothing is kept."""

    folder: Path | None

    def get(self, name: str, make: Callable[[], tuple[Edges, ...]]) -> tuple[Edges, ...]:
        """What was kept under a name, else what ``make`` gives, kept from now on."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npz"
        found = _read(path)
        if found is None:
            found = make()
            with file_errors(path, "write"):
                publish({path: _bytes(found)})
        return found


def kept(
    cache: Path | None, rerun: Rerun, axes: Axes, frozen: Frozen, again: Edges, *, plan: Mapping[str, Any]
) -> Kept:
    """A folder within ``cache`` that belongs to this network, these cells and the arguments in ``plan``."""
    if cache is None:
        return Kept(None)
    from grn import __version__

    columns = [name for name in (rerun.task.groupby, plan.get("strata")) if name is not None]
    told = {
        "version": __version__,
        "method": rerun.record.name,
        "own": {name: _told(value) for name, value in sorted(rerun.own.items())},
        "chosen": repr(sorted((name, sorted(values.items())) for name, values in rerun.chosen.items())),
        "model": "" if rerun.task.model is None else rerun.task.model.sha256,
        "task": [rerun.task.groupby, rerun.task.seed, rerun.layer, rerun.use_raw],
        "axes": [axes.groups, axes.sources, axes.targets, axes.loops],
        "cells": _hash(frozen.values.data, frozen.values.indices, frozen.values.indptr),
        "names": [[str(name) for name in frozen.names], [str(name) for name in frozen.obs.index]],
        "obs": [_told(frozen.obs[columns].astype(str))],
        "network": _hash(again.keys, again.weights),
        **plan,
    }
    folder = cache / digest(told)[:16]
    make_folder(folder)
    return Kept(folder)


def _told(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return _hash(pd.util.hash_pandas_object(value.astype(str), index=True).to_numpy())
    if isinstance(value, Mapping):
        return repr({str(name): _told(item) for name, item in sorted(value.items())})
    return _hash(value) if isinstance(value, np.ndarray) else repr(value)


def _hash(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()


def _bytes(parts: tuple[Edges, ...]) -> bytes:
    buffer = io.BytesIO()
    arrays = {f"{i}_{f.name}": getattr(part, f.name) for i, part in enumerate(parts) for f in fields(part)}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _read(path: Path) -> tuple[Edges, ...] | None:
    """What a file holds; ``None`` if there is none, or it cannot be read and is to be made again."""
    try:
        with np.load(path, allow_pickle=False) as found:
            n = max(1, len(found.files) // len(fields(Edges)))
            return tuple(Edges(**{f.name: found[f"{i}_{f.name}"] for f in fields(Edges)}) for i in range(n))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
