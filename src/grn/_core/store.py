"""Features on disk: a zarr group that is written by many processes and survives being killed.

The folder holds one array (genes, sources, points x groups) per feature, format 2 of zarr, and an array ``finished``
with three numbers per unit of work, which is some neighbouring sources of one group: its first source, the one after
its last, and its group. Chunks are as wide as every unit is a whole number of them, so that no two units share one.
Files are written here and not by zarr because a killed run must leave nothing behind that looks finished: every file
is whole or not there (:mod:`grn._core.sealed`), and the numbers of a unit come after its chunks. Every chunk carries a
checksum; the manifest carries its own hash, and all other files follow from it, so a file that is not as it was written
is known, whichever it is. Reading is in :mod:`grn._core.stored`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grn._core import sealed
from grn._core.errors import ParameterError
from grn._core.files import PART, file_errors, make_folder
from grn._core.logging import logger

LAYOUT = 2
FINISHED = "finished"
_SEAL = "sha256"
_FOLLOWS = ("chunk", "gene_ids", "units", "work_sha256")
_LABELS = {
    "chunk": "sources of a chunk",
    "base_cells": "cells (their values, context=, groupby=, layer=)",
    "gene_ids": "the model's names of the genes",
    "grn_version": "version of grn",
    "model_sha256": "weights of the model",
    "work_sha256": "panels (targets=, order=, the model's max_genes)",
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
    sha256, files = digest(manifest), described(manifest)
    root = folder / ".zattrs"
    with file_errors(folder, "write"):
        held = _listed(folder)
        _check_same(folder, held, manifest)
        make_folder(folder)
        # the manifest first: a folder with anything but no manifest is not ours; of two calls at once, one is first
        if not held and not sealed.claim(root, files[root.name]):
            _check_same(folder, _listed(folder), manifest)
        for name, content in files.items():
            path = folder / name
            if path.is_file() and path.read_bytes() == content:
                continue
            if path.exists():
                logger.warning("%s is damaged and is written again", path)
            make_folder(path.parent)
            sealed.publish({path: content})
    return sha256


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

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    codec = _codec()
    stop = start + max(cube.shape[1] for cube in cubes.values())
    chunks = {
        _chunk_path(folder, name, (start + i) // chunk, group): sealed.seal(
            codec.encode(_padded(cube[:, i : i + chunk], chunk))
        )
        for name, cube in cubes.items()
        for i in range(0, cube.shape[1], chunk)
    }
    mark = np.array([start, stop, group], dtype="<i4")
    with file_errors(folder, "write"):
        sealed.publish(chunks)
        sealed.publish({folder / FINISHED / str(unit): sealed.seal(mark.tobytes())})


def unit_of(folder: Path, unit: int) -> tuple[int, int, int] | None:
    """First source, the one after the last, and group of a finished unit; ``None`` for others."""
    try:
        span = np.frombuffer(sealed.read(folder / FINISHED / str(unit)), dtype="<i4")
    except (sealed.Damaged, ValueError):
        return None
    return (int(span[0]), int(span[1]), int(span[2])) if len(span) == 3 else None


def damage(folder: Path, unit: int, manifest: Manifest, *, place: tuple[int, int, int]) -> str | None:
    """What keeps a unit at a place from being read: ``""`` if it was never finished, ``None`` if nothing.

    Parameters
    ----------
    folder, unit
        The store, and the number of the unit.
    manifest
        What the store holds.
    place
        The unit's first source, the one after its last, and its group.
    """
    path = folder / FINISHED / str(unit)
    if unit_of(folder, unit) != place:
        return f"{path.name} of {FINISHED} is not as it was written" if path.exists() else ""
    start, stop, group = place
    chunk = manifest["chunk"]
    for feature in manifest["features"]:
        for i in range(start // chunk, -(-stop // chunk)):
            try:
                read_chunk(folder, manifest, feature, i, group)
            except sealed.Damaged as error:
                return f"chunk {i} of {feature}: {error}"
    return None


def finish(folder: Path, sha256: str) -> None:
    """Say that all units are there, and remove what killed processes left behind.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with file_errors(folder, "write"):
        sealed.publish({folder / FINISHED / ".zattrs": complete(sha256)})
        sealed.sweep(folder)


def complete(sha256: str) -> bytes:
    """What says that a store is finished."""
    return json.dumps({"complete": True, _SEAL: sha256}).encode()


def read_chunk(folder: Path, manifest: Manifest, feature: str, i: int, group: int) -> np.ndarray:
    """The chunk ``i`` of sources (genes, sources, points) of a group.

    Raises
    ------
    Damaged
        If it is missing, or not as it was written.
    """
    shape = len(manifest["genes"]), manifest["chunk"], len(manifest["grid"])
    content = sealed.read(_chunk_path(folder, feature, i, group))
    try:
        chunk: np.ndarray = np.frombuffer(_codec().decode(content), dtype="<f4").reshape(shape)
    except (RuntimeError, ValueError) as error:
        raise sealed.Damaged(f"it is no chunk: {error}") from error
    return chunk


def _chunk_path(folder: Path, feature: str, i: int, group: int) -> Path:
    return folder / feature / f"0.{i}.{group}"


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a store, or ``None`` if there is none, or it is damaged."""
    attributes = _attributes(folder)
    manifest = attributes.get("grn")
    return manifest if isinstance(manifest, dict) and attributes.get(_SEAL) == digest(manifest) else None


def layout_of(folder: Path) -> int | None:
    """The layout a folder says it has; ``None`` for a folder that says none."""
    manifest = _attributes(folder).get("grn")
    layout = manifest.get("layout") if isinstance(manifest, dict) else None
    return layout if isinstance(layout, int) else None


def belongs(folder: Path, sha256: str) -> bool:
    """Whether any description in a folder names a manifest, although others may be damaged or gone."""
    for path in (folder / ".zattrs", *sorted(folder.glob("*/.zattrs"))):
        try:
            if sha256.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def described(manifest: Manifest) -> dict[str, bytes]:
    """Files that describe a store, the manifest first."""
    m, sha256 = len(manifest["grid"]), digest(manifest)
    shape = (len(manifest["genes"]), len(manifest["sources"]), m * len(manifest["groups"]))
    cube = _array(shape, (shape[0], manifest["chunk"], m), "<f4", "NaN", [_codec().get_config()])
    files: dict[str, Any] = {".zattrs": {_SEAL: sha256, "grn": manifest}, ".zgroup": {"zarr_format": 2}}
    for feature in manifest["features"]:
        files[f"{feature}/.zarray"] = cube
        files[f"{feature}/.zattrs"] = {"_ARRAY_DIMENSIONS": ["target", "source", "point"], _SEAL: sha256}
    files[f"{FINISHED}/.zarray"] = _array((3 * manifest["units"],), (3,), "<i4", 0, None)
    return {name: json.dumps(text).encode() for name, text in files.items()}


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


def _array(
    shape: Sequence[int], chunks: Sequence[int], dtype: str, fill: object, filters: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    """Description of an array; the checksum is outermost, so that it is checked before anything is unpacked."""
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": dtype,
        "fill_value": fill,
        "compressor": sealed.CODEC,
        "filters": filters,
        "order": "C",
        "dimension_separator": ".",
    }


def _attributes(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / ".zattrs").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _listed(folder: Path) -> list[str]:
    """What is in a folder, without what a killed process left behind."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != PART) if folder.exists() else []


def _check_same(folder: Path, held: Sequence[str], manifest: Manifest) -> None:
    """Refuse a folder that holds anything but a store of this manifest, be it damaged."""
    earlier = manifest_of(folder)
    if earlier == manifest or not held or (earlier is None and belongs(folder, digest(manifest))):
        return
    if earlier is not None:
        raise ParameterError(
            f"the store {folder} was made for another call: {_differences(earlier, manifest)}. Pass another folder as "
            "store=, or delete this one to start anew."
        )
    layout = layout_of(folder)
    if layout is not None and layout < LAYOUT:
        raise ParameterError(older(folder))
    if layout is not None:
        raise ParameterError(
            f"the store {folder} is damaged, and was made for another call. Pass another folder as store=, or delete "
            "this one to start anew."
        )
    raise ParameterError(
        f"the folder {folder} holds something else ({', '.join(held[:3])}); pass a new or empty folder as store=."
    )


def older(folder: Path) -> str:
    """What to do with a store of a layout before this one."""
    return (
        f"the store {folder} was written by an older version of grn, without checksums (layout {layout_of(folder)}, "
        f"now {LAYOUT}), and is not read any more. Run the probe again with another folder as store=, or delete this."
    )


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
