"""Repetitions of a fit kept in a folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core import sealed
from grn._core.files import file_errors
from grn._core.store import digest
from grn._object.chromatin import chromatin_of
from grn.trust.frozen import Frozen
from grn.trust.numbers import Axes, Edges
from grn.trust.rerun import Rerun

_SUFFIX = "sealed"
# of keys, weights, signs, rows
_KINDS = "iffi"


@dataclass(frozen=True)
class StoredRepetitions:
    """Edges of repetitions by name; without a folder nothing is stored."""

    folder: Path | None

    def __contains__(self, name: str) -> bool:
        """Whether there is a file for a repetition, which may turn out to be damaged."""
        return self.folder is not None and self._path(name).exists()

    def get(self, name: str, make: Callable[[], tuple[Edges, ...]]) -> tuple[Edges, ...]:
        """What is stored under a name, else what ``make`` gives, stored from now on."""
        if self.folder is None:
            return make()
        path = self._path(name)
        repetition = sealed.kept(path, _edges)
        if repetition is None:
            repetition = make()
            sealed.keep(path, _bytes(repetition))
        return repetition

    def _path(self, name: str) -> Path:
        return Path(self.folder or "") / f"{name}.{_SUFFIX}"


def stored_repetitions(
    cache: Path | None, rerun: Rerun, axes: Axes, frozen: Frozen, again: Edges, *, plan: Mapping[str, Any]
) -> StoredRepetitions:
    """A folder within ``cache`` that belongs to this network, these cells and the arguments in ``plan``."""
    if cache is None:
        return StoredRepetitions(None)
    from grn import __version__

    columns = [name for name in (rerun.task.groupby, plan.get("strata")) if name is not None]
    identity = {
        "version": __version__,
        "method": [rerun.record.name, rerun.record.copies],
        "arguments": {name: _identity(value) for name, value in sorted(rerun.arguments.items())},
        "chosen": repr(sorted((name, sorted(values.items())) for name, values in rerun.chosen.items())),
        "model": "" if rerun.task.model is None else rerun.task.model.sha256,
        "task": [rerun.task.groupby, rerun.task.seed, rerun.layer, rerun.use_raw, rerun.values],
        "axes": [axes.groups, axes.sources, axes.targets, axes.loops],
        "cells": _hash(frozen.values.data, frozen.values.indices, frozen.values.indptr),
        "names": [[str(name) for name in frozen.names], [str(name) for name in frozen.obs.index]],
        "obs": [_identity(frozen.obs[columns].astype(str))],
        "network": _hash(again.keys, again.weights),
        **plan,
    }
    if "regions" in rerun.record.needs:
        identity["chromatin"] = _chromatin(frozen.part(), rerun.arguments)
    folder = cache / digest(identity)[:16]
    with file_errors(folder, "write"):
        sealed.sweep(folder)
    return StoredRepetitions(folder)


def _chromatin(cells: AnnData, arguments: Mapping[str, Any]) -> dict[str, str]:
    """What is beside the cells: accessibility, regions, and all that was stored of these which a method may read."""
    chromatin = chromatin_of(cells)
    atac = chromatin.regions.atac
    keys = {"links", *atac.varm, *(value for value in arguments.values() if isinstance(value, str))}
    stored = {f"uns {key}": _identity(atac.uns[key]) for key in keys if key in atac.uns}
    stored |= {f"varm {key}": _identity(atac.varm[key]) for key in atac.varm}
    names = digest({"regions": chromatin.names.tolist()})
    return {**stored, "names": names, "values": _identity(chromatin.rows(np.arange(cells.n_obs)))}


def _identity(value: Any) -> str:
    if sparse.issparse(value):
        matrix = sparse.csr_matrix(value)
        return _hash(matrix.data, matrix.indices, matrix.indptr)
    if isinstance(value, pd.DataFrame):
        return _hash(pd.util.hash_pandas_object(value.astype(str), index=True).to_numpy())
    if isinstance(value, Mapping):
        return repr({str(name): _identity(item) for name, item in sorted(value.items())})
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.dtype.hasobject else _hash(value)
    return repr(value)


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()


def _bytes(parts: tuple[Edges, ...]) -> bytes:
    arrays = {f"{i}_{f.name}": getattr(part, f.name) for i, part in enumerate(parts) for f in fields(part)}
    return sealed.packed(arrays, compress=True)


def _edges(content: bytes | memoryview) -> tuple[Edges, ...]:
    """What :func:`_bytes` wrote, and nothing else."""
    arrays, names = sealed.unpacked(content), [f.name for f in fields(Edges)]
    n = len(arrays) // len(names)
    if not n or {*arrays} != {f"{i}_{name}" for i in range(n) for name in names}:
        raise ValueError("it holds other arrays")
    parts = tuple(Edges(**{name: arrays[f"{i}_{name}"] for name in names}) for i in range(n))
    for part in parts:
        shapes = {getattr(part, name).shape for name in names}
        kinds = "".join(getattr(part, name).dtype.kind for name in names)
        if shapes != {(len(part.keys),)} or kinds != _KINDS:
            raise ValueError("its arrays have other shapes or types")
    return parts
