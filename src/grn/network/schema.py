"""The layout of a network in ``uns``: what is written, and how older layouts are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from grn._core.entries import UnsEntry, entry_of
from grn._core.errors import NetworkError, ParameterError
from grn._core.labels import keyed, labelled

VERSION = 2
ORIENTATION = "source regulates target"
# names of the arguments that were None; every other argument is stored under its own name
UNSET = "unset"
FLAGS = ("directed", "signed", "tested")


def plain(value: Any, *, name: str = "params") -> Any:
    """Copy a value that :func:`storable` can express: None, and dicts with str keys, arrays, scalars, DataFrames.

    Lists and tuples become arrays, paths strings.
    """
    if isinstance(value, Mapping):
        bad = [key for key in value if not isinstance(key, str) or not key or key == UNSET]
        if bad:
            raise NetworkError(
                f"{name} has keys that cannot be stored ({bad[0]!r}); use strings other than '' and {UNSET!r}."
            )
        return {key: None if item is None else plain(item, name=f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float | np.number | np.bool_):
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


def storable(value: Mapping[str, Any], *, name: str = "params") -> dict[str, Any]:
    """Copy a dict into what h5ad and zarr keep, which have no None, and no names with a slash.

    A name whose value is None is left out, and listed under ``"unset"`` of its dict; :func:`restored` puts it back.
    Keys are those of :func:`grn._core.labels.key_of`; :func:`grn._core.labels.labelled` gives the labels back.
    """
    return dict(keyed(_without_none(plain(value, name=name))))


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    given = {key: _without_none(item) for key, item in value.items() if item is not None}
    unset = [key for key, item in value.items() if item is None]
    return {**given, UNSET: np.array(unset)} if unset else given


def restored(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a dict that :func:`storable` made, with the names listed under ``"unset"`` as None."""
    params = {key: restored(item) if isinstance(item, Mapping) else item for key, item in stored.items()}
    unset = params.get(UNSET)
    names = list(unset) if isinstance(unset, list | tuple) else unset.ravel().tolist() if _is_array(unset) else [0]
    if all(isinstance(name, str) for name in names):
        del params[UNSET]
        params = {**dict.fromkeys(map(str, names)), **params}
    return params


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise NetworkError(f"{name} is a ragged list; store a dict of arrays.") from error
    if array.dtype == object:
        if not all(isinstance(item, str) for item in array.ravel()):
            raise NetworkError(f"{name} mixes types; store numbers or strings only.")
        array = array.astype(str)
    return array.copy()


def container(data: Any) -> Any:
    """Return ``data.uns``, or raise the error for objects that have none."""
    uns = getattr(data, "uns", None)
    if uns is None:
        raise ParameterError(f"got {type(data).__name__}; pass an AnnData or MuData.")
    return uns


def holder(data: Any, key: object) -> Any:
    """The object whose ``uns`` has an entry: of a MuData that has it not the first modality that has, if any."""
    container(data)
    parts = (data, *getattr(data, "mod", {}).values())
    return next((part for part in parts if key in part.uns), data) if isinstance(key, str) else data


def is_network(record: Any) -> bool:
    """Tell whether an entry of ``uns`` holds an edge table."""
    table = record.get("edges") if isinstance(record, Mapping) else None
    # a table of an object that is read lazily is no DataFrame yet
    return hasattr(table, "columns") and {"source", "target", "weight"} <= set(table.columns)


def is_regulons(record: Any) -> bool:
    """Tell whether an entry of ``uns`` holds the gene sets that :func:`grn.tl.regulons` makes of a network."""
    schema = record.get("schema") if isinstance(record, Mapping) else None
    return isinstance(schema, Mapping) and str(schema.get("kind")) == "regulons"


def read_record(data: Any, key: str) -> dict[str, Any]:
    """Look up ``uns[key]`` in the current layout, migrating an older one; whatever else lies there is an error."""
    data = holder(data, key)
    uns = container(data)
    there = [repr(name) for name, record in uns.items() if is_network(record)]
    listed = f" Networks are stored under {', '.join(there)}." if there else " The object holds no network."
    if isinstance(key, str) and isinstance(uns.get(key), pd.DataFrame):
        entry = UnsEntry({"edges": uns[key]}, f"uns[{key!r}]", _again(key), NetworkError)
    else:
        entry = entry_of(data, key, what="network", call=_again(key), listed=listed, error=NetworkError)
    if not isinstance(entry.record.get("edges"), pd.DataFrame):
        raise NetworkError(f"uns[{key!r}] holds no edge table.{listed} Make one with {_again(key)}.")
    schema = dict(entry.mapping("schema").record)
    _check_version(entry, schema)
    for name in FLAGS:
        if not isinstance(schema.get(name, False), bool | np.bool_):
            raise entry.damaged(f"schema[{name!r}] is {schema[name]!r} and neither true nor false")
    params = restored(labelled(entry.mapping("params").record))
    made = {**entry.record, "params": params, "schema": {"directed": True, **schema}}
    if "genes" in made:
        made["genes"] = entry.names("genes")
    return made


def _again(key: object) -> str:
    """The call that makes a network."""
    return "grn.tl.infer_network(adata)" if key == "grn" else f"grn.tl.infer_network(adata, key_added={key!r})"


def _check_version(entry: UnsEntry, schema: Mapping[str, Any]) -> None:
    """Refuse layouts of later versions; older ones are read as they are.

    Layout 0 is a bare edge table, possibly with params and flags; what it does not say is taken as directed. Layout 1
    has no column ``direction``: its flag holds for all edges.
    """
    version = schema.get("version", 0)
    try:
        number = int(version)
    except (TypeError, ValueError, OverflowError) as error:
        raise entry.damaged(f"schema['version'] is {version!r} and no integer") from error
    if number > VERSION:
        raise NetworkError(
            f"{entry.where} has layout version {number}, this grn reads up to {VERSION}. Run: pip install --upgrade grn"
        )
