"""The layout of a network in ``uns``: what is written, and how older layouts are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError, ParameterError, ResultNotFoundError
from grn._core.labels import keyed

VERSION = 1
ORIENTATION = "source regulates target"


def storable(value: Any, *, name: str = "params") -> Any:
    """Copy a value into what h5ad and zarr keep: :func:`plain`, with labels as keys that they take.

    Keys are those of :func:`grn._core.labels.key_of`; :func:`grn._core.labels.labelled` gives the labels back.
    """
    return keyed(plain(value, name=name))


def plain(value: Any, *, name: str = "params") -> Any:
    """Copy a value as dicts with str keys, arrays, scalars and DataFrames.

    ``None`` becomes the string ``"None"``, lists and tuples become arrays, paths strings.
    """
    if value is None:
        return "None"
    if isinstance(value, Mapping):
        bad = [key for key in value if not isinstance(key, str) or not key]
        if bad:
            raise NetworkError(f"{name} has keys that cannot be stored ({bad[0]!r}); use strings that are not empty.")
        return {key: plain(item, name=f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, bool | int | float | str | np.number | np.bool_):
        return value
    if isinstance(value, pd.DataFrame):
        return value.copy()
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, list | tuple | np.ndarray | pd.Index | pd.Series):
        return _array(value, name)
    raise NetworkError(
        f"{name} has type {type(value).__name__}, which h5ad cannot keep; store a number, string or array."
    )


def _array(value: Any, name: str) -> np.ndarray:
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise NetworkError(f"{name} is a ragged list; store a dict of arrays.") from error
    if found.dtype == object:
        if not all(isinstance(item, str) for item in found.ravel()):
            raise NetworkError(f"{name} mixes types; store numbers or strings only.")
        found = found.astype(str)
    return found.copy()


def container(data: Any) -> Any:
    """Return ``data.uns``, or raise the error for objects that have none."""
    found = getattr(data, "uns", None)
    if found is None:
        raise ParameterError(f"got {type(data).__name__}; pass an AnnData or MuData.")
    return found


def is_network(record: Any) -> bool:
    """Tell whether an entry of ``uns`` holds an edge table."""
    table = record.get("edges") if isinstance(record, Mapping) else None
    return isinstance(table, pd.DataFrame) and {"source", "target", "weight"} <= set(table.columns)


def read_record(data: Any, key: str) -> dict[str, Any]:
    """Look up ``uns[key]`` in the current layout, migrating an older one."""
    uns = container(data)
    if key not in uns:
        there = [repr(name) for name, record in uns.items() if is_network(record)]
        listed = f" Networks are stored under {', '.join(there)}." if there else " The object holds no network."
        raise ResultNotFoundError(f"uns has no network {key!r}.{listed} Make one with grn.tl.infer_network(adata).")
    record = uns[key]
    if isinstance(record, pd.DataFrame):
        record = {"edges": record}
    if not isinstance(record, Mapping) or not isinstance(record.get("edges"), pd.DataFrame):
        raise NetworkError(
            f"uns[{key!r}] holds no edge table; make one with grn.tl.infer_network(adata, key_added={key!r})."
        )
    return _migrate(dict(record), key)


def _migrate(record: dict[str, Any], key: str) -> dict[str, Any]:
    version = dict(record.get("schema", {})).get("version", 0)
    try:
        number = int(version)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"uns[{key!r}]['schema']['version'] is {version!r}; expected an integer.") from error
    if number > VERSION:
        raise NetworkError(
            f"uns[{key!r}] has layout version {number}, this grn reads up to {VERSION}. Run: pip install --upgrade grn"
        )
    return record if number == VERSION else _from_unversioned(record)


def _from_unversioned(record: dict[str, Any]) -> dict[str, Any]:
    """Layout 0: a bare edge table, possibly with params and flags; what it does not say is taken as directed."""
    schema = {"directed": True, **dict(record.get("schema", {})), "version": VERSION, "orientation": ORIENTATION}
    return {**record, "params": dict(record.get("params", {})), "schema": schema}
