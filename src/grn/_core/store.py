"""Features on disk: a zarr group that is written by many processes and survives being killed.

The folder holds one array (genes, sources, points x groups) per feature, format 2 of zarr, and an array ``finished``
with one byte per unit of work, which is some neighbouring sources of one group. Chunks are as wide as every unit is a
whole number of them, so that no two units share one. Files are written here and not by zarr because a killed run must
leave nothing behind that looks finished: every file is written beside its place, flushed to the disk and then moved,
and the byte of a unit comes after its chunks. Reading is left to zarr.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from grn._core.errors import GeneNameError, ParameterError, ResultNotFoundError
from grn._core.files import file_errors

LAYOUT = 1
FINISHED = "finished"
_PART = ".part"
_FOLLOWS = ("chunk", "gene_ids", "units", "work_sha256")
_LABELS = {
    "chunk": "sources of a chunk",
    "base_cells": "cells (their values, context=, groupby=, layer=)",
    "gene_ids": "the model's names of the genes",
    "grn_version": "version of grn",
    "model_sha256": "weights of the model",
    "work_sha256": "panels (targets=, the model's max_genes)",
}
Manifest = Mapping[str, Any]


def digest(manifest: Manifest) -> str:
    """Hash of a manifest."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def create(folder: Path, manifest: Manifest) -> str:
    """Prepare a folder, or go on with one of the same manifest; return the hash of the manifest.

    Parameters
    ----------
    folder
        The folder.
    manifest
        What the numbers depend on, as JSON. ``genes``, ``sources``, ``grid``, ``groups``, ``features``, ``units``
        (how many) and ``chunk`` (sources of one) also say how large the arrays are.

    Raises
    ------
    ParameterError
        If the folder holds something else.
    StorageError
        If it cannot be written.
    """
    held = _listed(folder)
    found = manifest_of(folder)
    if found is None and held:
        raise ParameterError(
            f"the folder {folder} holds something else ({', '.join(held[:3])}); pass a new or empty folder as store=."
        )
    if found is not None and found != manifest:
        raise ParameterError(
            f"the store {folder} was made for another call: {_differences(found, manifest)}. Pass another folder as "
            "store=, or delete this one to start anew."
        )
    with file_errors(folder, "write"):
        # one file after the other, the manifest first: a folder with anything but no manifest is not ours
        for name, text in _metadata(manifest).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                publish({path: json.dumps(text).encode()})
    return digest(manifest)


def write(folder: Path, unit: int, cubes: Mapping[str, np.ndarray], *, start: int, group: int, chunk: int) -> None:
    """Write the features (genes, sources, points) of a unit, then say that it is finished.

    Parameters
    ----------
    folder
        The store.
    unit
        Number of the unit.
    cubes
        Its features by name.
    start
        Place of its first source, a multiple of ``chunk``.
    group
        Number of its group.
    chunk
        Sources of one chunk.
    """
    codec = _codec()
    chunks = {
        folder / name / f"0.{(start + i) // chunk}.{group}": codec.encode(_padded(cube[:, i : i + chunk], chunk))
        for name, cube in cubes.items()
        for i in range(0, cube.shape[1], chunk)
    }
    with file_errors(folder, "write"):
        publish(chunks)
        publish({folder / FINISHED / str(unit): b"\x01"})


def is_written(folder: Path, unit: int) -> bool:
    """Whether a unit is finished."""
    return (folder / FINISHED / str(unit)).exists()


def finish(folder: Path) -> None:
    """Say that all units are there, and remove what killed processes left behind."""
    with file_errors(folder, "write"):
        publish({folder / FINISHED / ".zattrs": json.dumps({"complete": True}).encode()})
        for part in folder.rglob(f".*{_PART}"):
            part.unlink(missing_ok=True)


def publish(files: Mapping[Path, bytes]) -> None:
    """Write files so that each is there whole or not at all, and on the disk when this returns."""
    parts = {path: path.with_name(f".{path.name}.{uuid4().hex}{_PART}") for path in files}
    try:
        for path, part in parts.items():
            with part.open("xb") as handle:
                handle.write(files[path])
                handle.flush()
                os.fsync(handle.fileno())
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    for parent in {path.parent for path in files}:
        _sync(parent)


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a store, or ``None`` if there is none."""
    try:
        found = json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    manifest = found.get("grn") if isinstance(found, dict) else None
    return manifest if isinstance(manifest, dict) else None


def checked(folder: Path, sha256: str, *, key: str) -> dict[str, Any]:
    """The manifest of a finished store that an object names under a key.

    Raises
    ------
    ResultNotFoundError
        If the folder is gone, holds another store or an unfinished one.
    """
    fix = (
        f"If it was moved, set adata.uns[{key!r}]['store'] to the new path; otherwise run the probe again with "
        f"store= and key_added={key!r}."
    )
    manifest = manifest_of(folder)
    if manifest is None:
        raise ResultNotFoundError(f"the features {key!r} are in the store {folder}, which is not there. {fix}")
    if digest(manifest) != sha256:
        raise ResultNotFoundError(
            f"the store {folder} holds other features ({digest(manifest)[:12]}) than {key!r} of this object "
            f"({sha256[:12]}). {fix}"
        )
    if not (folder / FINISHED / ".zattrs").exists():
        raise ResultNotFoundError(f"the store {folder} is not finished: run the probe again with store= to go on.")
    return manifest


def open_array(folder: Path, feature: str) -> Any:
    """The array (genes, sources, points x groups) of a feature, read lazily."""
    import zarr

    return zarr.open_group(str(folder), mode="r")[feature]


def read(
    record: Mapping[str, Any],
    key: str,
    *,
    targets: Iterable[str],
    sources: Iterable[str],
    points: slice = slice(None),
    budget: int | None = None,
) -> np.ndarray:
    """Numbers (targets, sources, points) of some genes, one chunk after the other.

    Parameters
    ----------
    record, key
        What an object says of its features in ``uns``, and under which key.
    targets, sources
        Names.
    points
        Part of the third axis.
    budget
        Most bytes to read; ``None`` for any number.

    Raises
    ------
    ResultNotFoundError
        If the store is gone, or another one.
    GeneNameError
        If the store lacks a gene.
    ParameterError
        If there is more than the budget.
    """
    folder = Path(str(record["store"]))
    manifest = checked(folder, str(record.get("store_sha256", "")), key=key)
    rows = _positions(manifest["genes"], targets, f"genes of the store {folder}")
    columns = _positions(manifest["sources"], sources, f"sources of the store {folder}")
    array = open_array(folder, str(record["params"]["function"]))
    shape = (len(rows), len(columns), len(range(*points.indices(array.shape[2]))))
    asked = 4 * math.prod(shape)
    if budget is not None and asked > budget:
        raise ParameterError(
            f"{size(asked)} of features {key!r} were asked for, more than grn.settings.feature_budget "
            f"({size(budget)}); take a part with grn.get.features(..., sources=, targets=, group=) or raise it."
        )
    out = np.empty(shape, dtype=np.float32)
    if not out.size:
        return out
    chunk = array.chunks[1]
    for first in np.unique(columns // chunk) * chunk:
        wanted = np.flatnonzero(columns // chunk * chunk == first)
        block = array[:, int(first) : int(first) + chunk, points]
        out[:, wanted] = block[np.ix_(rows, columns[wanted] - first)]
    return out


def size(n_bytes: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.3g} {unit}" if n_bytes < 1000 else f"{n_bytes:.0f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.3g} TiB"


def _codec() -> Any:
    from numcodecs import Zstd

    return Zstd(level=1)


def _padded(block: np.ndarray, chunk: int) -> np.ndarray:
    """A chunk in full size; the last of an array may be short of sources."""
    out = np.full((block.shape[0], chunk, block.shape[2]), np.nan, dtype="<f4")
    out[:, : block.shape[1]] = block
    return out


def _metadata(manifest: Manifest) -> dict[str, Any]:
    """Files of metadata and what they say, the manifest first."""
    m = len(manifest["grid"])
    shape = (len(manifest["genes"]), len(manifest["sources"]), m * len(manifest["groups"]))
    cube = _array(shape, (shape[0], manifest["chunk"], m), "<f4", "NaN", _codec().get_config())
    files: dict[str, Any] = {".zattrs": {"grn": manifest}, ".zgroup": {"zarr_format": 2}}
    for feature in manifest["features"]:
        files[f"{feature}/.zarray"] = cube
        files[f"{feature}/.zattrs"] = {"_ARRAY_DIMENSIONS": ["target", "source", "point"]}
    files[f"{FINISHED}/.zarray"] = _array((manifest["units"],), (1,), "|u1", 0, None)
    return files


def _array(
    shape: Sequence[int], chunks: Sequence[int], dtype: str, fill: object, compressor: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": dtype,
        "fill_value": fill,
        "compressor": compressor,
        "filters": None,
        "order": "C",
        "dimension_separator": ".",
    }


def _listed(folder: Path) -> list[str]:
    """What is in a folder, without what a killed process left behind."""
    with file_errors(folder, "write"):
        return sorted(path.name for path in folder.iterdir() if path.suffix != _PART) if folder.exists() else []


def _differences(found: Manifest, wanted: Manifest) -> str:
    """What differs, for people; what only follows from something else is told when nothing else differs."""
    differ = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    plain = [name for name in differ if name not in _FOLLOWS]
    return "; ".join(_told(name, found.get(name), wanted.get(name)) for name in plain or differ)


def _told(name: str, there: Any, here: Any) -> str:
    label = _LABELS.get(name, name)
    if isinstance(there, list) and isinstance(here, list):
        at = next((i for i, (a, b) in enumerate(zip(there, here, strict=False)) if a != b), None)
        first = "" if at is None else f", first {there[at]!r} and {here[at]!r}"
        return f"{label} ({len(there)} there, {len(here)} here{first})"
    a, b = str(there), str(here)
    short = slice(12) if a[:12] != b[:12] else slice(None)
    return f"{label} ({a[short]} there, {b[short]} here)"


def _positions(names: Sequence[str], wanted: Iterable[str], what: str) -> np.ndarray:
    place = {name: i for i, name in enumerate(names)}
    listed = [str(name) for name in wanted]
    lost = [name for name in listed if name not in place]
    if lost:
        raise GeneNameError(
            f"{len(lost)} of {len(listed)} names are not among the {what}: {', '.join(lost[:5])}. Features are found "
            "by name; name genes as they were when the probe ran."
        )
    return np.array([place[name] for name in listed], dtype=np.int64)


def _sync(folder: Path) -> None:
    if os.name == "nt":  # no handle of a folder there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
