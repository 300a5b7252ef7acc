"""Reading a store: every chunk is checked, and what is damaged is named and never served."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grn._core import sealed
from grn._core.errors import GeneNameError, ParameterError, ResultNotFoundError, StorageError
from grn._core.files import as_path
from grn._core.store import (
    FINISHED,
    LAYOUT,
    belongs,
    complete,
    described,
    digest,
    layout_of,
    manifest_of,
    older,
    read_chunk,
    size,
    unit_of,
)

# what makes the features of a store
_CALLS = {
    ("vvp",): "vvp",
    ("gradient_trajectory",): "gradient_trajectory",
    ("vvp", "gradient_trajectory"): "probe",
    ("pert",): "pert",
    ("perturbation_response",): "perturbation_response",
}
_NAMED = 5


@dataclass(frozen=True)
class StoredCube:
    """A feature (genes, sources, points x groups) of a store; what is taken of it is read and checked then.

    Parameters
    ----------
    folder
        The store.
    manifest
        What it holds.
    feature
        Name of the feature.
    """

    folder: Path
    manifest: Mapping[str, Any]
    feature: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of genes, sources, and points of all groups."""
        m = self.manifest
        return len(m["genes"]), len(m["sources"]), len(m["grid"]) * len(m["groups"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of the numbers."""
        return np.dtype(np.float32)

    def __getitem__(self, key: Any) -> np.ndarray:
        """A part, as of an array."""
        keys = key if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (3 - len(keys))
        taken = [np.arange(n)[k] for n, k in zip(self.shape, keys, strict=True)]
        values = self.take(*(np.atleast_1d(part) for part in taken))
        return values.reshape([n for part in taken for n in np.shape(part)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001
        """All of it."""
        return np.asarray(self[:], dtype=dtype)

    def take(self, rows: np.ndarray, columns: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Numbers (rows, columns, points), read one chunk after the other.

        Raises
        ------
        StorageError
            If a chunk is not as it was written; names all of those asked for.
        """
        m, chunk = len(self.manifest["grid"]), int(self.manifest["chunk"])
        out = np.empty((len(rows), len(columns), len(points)), dtype=np.float32)
        lost: list[tuple[int, int, str]] = []
        for i in np.unique(columns // chunk):
            wanted = np.flatnonzero(columns // chunk == i)
            for group in np.unique(points // m):
                inside = np.flatnonzero(points // m == group)
                try:
                    block = read_chunk(self.folder, self.manifest, self.feature, int(i), int(group))
                except sealed.Damaged as error:
                    lost.append((int(i), int(group), str(error)))
                    continue
                part = block[:, _run(columns[wanted] - i * chunk)][:, :, _run(points[inside] - group * m)]
                to, at = _run(wanted), _run(inside)
                if isinstance(to, slice) or isinstance(at, slice):
                    out[:, to, at] = part[_run(rows)]
                else:
                    out[:, to[:, None], at] = part[_run(rows)]
        if lost:
            raise StorageError(self._lost(lost))
        return out

    def _lost(self, lost: Sequence[tuple[int, int, str]]) -> str:
        """Which chunks are damaged, by feature, unit and sources, and what mends them."""
        chunks = "; ".join(self._named(*chunk) for chunk in lost[:_NAMED])
        more = f"; and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        return f"the store {self.folder} is damaged: {chunks}{more}. {mended(self.folder, self.manifest)}"

    def _named(self, i: int, group: int, what: str) -> str:
        chunk, names, groups = int(self.manifest["chunk"]), self.manifest["sources"], self.manifest["groups"]
        sources = names[i * chunk : (i + 1) * chunk]
        of = ", ".join(sources[:_NAMED]) + (f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else "")
        within = f" in group {groups[group]!r}" if groups[group] else ""
        return f"{self.feature!r} of {of}{within} (unit {self._unit(i * chunk, group)}, {what})"

    def _unit(self, source: int, group: int) -> str:
        """Number of the unit that a source and group belong to."""
        for number in range(self.manifest["units"]):
            unit = unit_of(self.folder, number)
            if unit is not None and unit[0] <= source < unit[1] and unit[2] == group:
                return str(number)
        return "unknown"


def _run(at: np.ndarray) -> slice | np.ndarray:
    """Positions as a slice where they follow each other, which costs less."""
    return slice(int(at[0]), int(at[-1]) + 1) if len(at) and (np.diff(at) == 1).all() else at


def mended(folder: Path, manifest: Mapping[str, Any]) -> str:
    """The call that makes damaged parts of a store again."""
    call = _CALLS.get(tuple(manifest["features"]), "probe")
    return (
        f"Run the call that made it again, grn.tl.{call}(adata, store={str(folder)!r}, ...) with the same arguments: "
        "it makes what is damaged anew and keeps the rest."
    )


def checked(folder: Path, sha256: str, *, key: str) -> dict[str, Any]:
    """The manifest of a finished store that an object names under a key, its descriptions being as they were written.

    Raises
    ------
    ResultNotFoundError
        If the folder is gone, holds another store or an unfinished one.
    StorageError
        If a description of the store is damaged.
    """
    fix = (
        f"If it was moved, set adata.uns[{key!r}]['store'] to the new path; otherwise run the probe again with "
        f"store= and key_added={key!r}."
    )
    manifest = manifest_of(folder)
    if manifest is None:
        layout = layout_of(folder)
        if layout is not None and layout < LAYOUT:
            raise ResultNotFoundError(older(folder))
        if belongs(folder, sha256):
            raise StorageError(
                f"the store {folder} is damaged: .zattrs is not as it was written. Run the call that made it again, "
                "with the same arguments and store=: it makes what is damaged anew and keeps the rest."
            )
        raise ResultNotFoundError(f"the features {key!r} are in the store {folder}, which is not there. {fix}")
    if digest(manifest) != sha256:
        raise ResultNotFoundError(
            f"the store {folder} holds other features ({digest(manifest)[:12]}) than {key!r} of this object "
            f"({sha256[:12]}). {fix}"
        )
    done = folder / FINISHED / ".zattrs"
    if not done.exists():
        raise ResultNotFoundError(f"the store {folder} is not finished: run the probe again with store= to go on.")
    for name, content in {**described(manifest), f"{FINISHED}/.zattrs": complete(sha256)}.items():
        try:
            same = (folder / name).read_bytes() == content
        except OSError:
            same = False
        if not same:
            raise StorageError(
                f"the store {folder} is damaged: {name} is not as it was written. {mended(folder, manifest)}"
            )
    return manifest


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
    StorageError
        If what is asked for is damaged.
    GeneNameError
        If the store lacks a gene.
    ParameterError
        If there is more than the budget.
    """
    folder = as_path(str(record["store"]), name=f"uns[{key!r}]['store']")
    manifest = checked(folder, str(record.get("store_sha256", "")), key=key)
    feature = str(record["params"]["function"])
    if feature not in manifest["features"]:
        raise ResultNotFoundError(
            f"the store {folder} has no feature {feature!r}, only {', '.join(manifest['features'])}; "
            f"uns[{key!r}]['params'] was changed. Run the probe again with store= and key_added={key!r}."
        )
    rows = _positions(manifest["genes"], targets, f"genes of the store {folder}")
    columns = _positions(manifest["sources"], sources, f"sources of the store {folder}")
    cube = StoredCube(folder, manifest, feature)
    taken = np.arange(cube.shape[2])[points]
    asked = 4 * math.prod((len(rows), len(columns), len(taken)))
    if budget is not None and asked > budget:
        raise ParameterError(
            f"{size(asked)} of features {key!r} were asked for, more than grn.settings.feature_budget "
            f"({size(budget)}); take a part with grn.get.features(..., sources=, targets=, group=) or raise it."
        )
    return cube.take(rows, columns, taken)


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
