"""Entries of ``uns`` read with checks: anybody may have written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grn._core.errors import GrnError, ParameterError, ResultNotFoundError


@dataclass(frozen=True)
class UnsEntry:
    """A dict under a key of ``uns``; what does not fit is an error that names the entry and the call that makes it.

    Parameters
    ----------
    record
        The dict.
    where
        What it is called in errors: ``"uns['vvp']"``.
    call
        The call that makes it: ``"grn.tl.vvp(adata)"``.
    error
        What to raise.
    """

    record: Mapping[str, Any]
    where: str
    call: str
    error: type[GrnError] = ResultNotFoundError

    def damaged(self, fault: str) -> GrnError:
        """Build the error for something that does not fit."""
        return self.error(f"{self.where} is damaged: {fault}. Make it again with {self.call}.")

    def mapping(self, name: str) -> UnsEntry:
        """A dict within the dict; empty where there is none."""
        content = self.record.get(name, {})
        if not isinstance(content, Mapping):
            raise self.damaged(f"{name!r} is {_what(content)} and no dict")
        if not _is_named(content):
            raise self.damaged(f"{name!r} has keys that are no strings")
        return UnsEntry(content, f"{self.where}[{name!r}]", self.call, self.error)

    def names(self, name: str) -> np.ndarray:
        """A list of names, as an array of ``str`` objects (n,)."""
        array = _array(self._given(name))
        if array is None or array.ndim != 1 or not all(isinstance(item, str) for item in array.tolist()):
            raise self.damaged(f"{name!r} is {_what(self.record[name])} and no list of names")
        return array.astype(object)

    def numbers(self, name: str) -> np.ndarray:
        """A list of finite numbers, as float64 (n,)."""
        array = _array(self._given(name))
        if array is None or array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise self.damaged(f"{name!r} is {_what(self.record[name])} and no list of numbers")
        return array.astype(np.float64)

    def number(self, name: str, default: float) -> float:
        """A finite number, or the default where there is none."""
        value = self.record.get(name, default)
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
            raise self.damaged(f"{name!r} is {_what(value)} and no number")
        if isinstance(value, np.complexfloating) or not np.isfinite(value):
            raise self.damaged(f"{name!r} is {value!r} and no finite number")
        return float(value)

    def text(self, name: str, default: str = "") -> str:
        """A string, or the default where there is none."""
        value = self.record.get(name, default)
        if not isinstance(value, str):
            raise self.damaged(f"{name!r} is {_what(value)} and no string")
        return str(value)

    def _given(self, name: str) -> Any:
        if name not in self.record:
            raise self.damaged(f"it has no {name!r}")
        return self.record[name]


def entry_of(
    data: Any, key: object, *, what: str, call: str, listed: str = "", error: type[GrnError] = ResultNotFoundError
) -> UnsEntry:
    """The dict under a key of ``data.uns``.

    Parameters
    ----------
    data
        AnnData or MuData.
    key
        The key.
    what
        What should be there, for errors: ``"simulation"``.
    call
        The call that makes it.
    listed
        A sentence on what is there instead.
    error
        What to raise when something else is there.
    """
    uns = getattr(data, "uns", None)
    if uns is None:
        raise ParameterError(f"adata has type {type(data).__name__}; pass an AnnData.")
    if not isinstance(key, str):
        raise ParameterError(f"key={key!r}; pass the name of an entry of uns.")
    if key not in uns:
        raise ResultNotFoundError(f"uns has no {what} {key!r}.{listed} Make one with {call}.")
    entry = in_memory(uns[key])
    if not isinstance(entry, Mapping):
        raise error(f"uns[{key!r}] is {_what(entry)} and no {what}.{listed} Make one with {call}.")
    return UnsEntry(entry, f"uns[{key!r}]", call, error)


PROBES = ("vvp", "gradient_trajectory", "pert", "attention", "embedding", "perturbation_response")


def feature_entry(data: Any, key: str, *, listed: str = "") -> UnsEntry:
    """What ``uns[key]`` says of pair features: ``sources``, ``grid``, and of the right kind what else there is."""
    probe = next((name for name in PROBES if str(key).endswith(name)), "vvp")
    added = "" if key == probe else f", key_added={key!r}"
    entry = entry_of(data, key, what="pair features", call=f"grn.tl.{probe}(adata{added})", listed=listed)
    entry.names("sources")
    entry.numbers("grid")
    if "groups" in entry.record:
        entry.names("groups")
    for name in ("value_scale", "store", "store_sha256", "pair"):
        entry.text(name)
    entry.mapping("params")
    return entry


def in_memory(value: Any) -> Any:
    """What lies in ``uns``, with tables and arrays that :func:`anndata.experimental.read_lazy` left in a file read."""
    if hasattr(value, "to_memory"):
        return value.to_memory()
    if isinstance(value, Mapping):
        read = {name: in_memory(item) for name, item in value.items()}
        return value if all(read[name] is item for name, item in value.items()) else read
    return value.compute() if hasattr(value, "__dask_graph__") else value


def _is_named(value: Any) -> bool:
    """Whether all keys of nested dicts are strings."""
    return not isinstance(value, Mapping) or all(isinstance(k, str) and _is_named(item) for k, item in value.items())


def _array(value: Any) -> np.ndarray | None:
    """What may be a list, as an array."""
    if not isinstance(value, np.ndarray | list | tuple) and not hasattr(value, "to_numpy"):
        return None
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # ragged
        return None


def _what(value: object) -> str:
    """A value, shortly, for errors."""
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else ""
    return shown if shown and len(shown) <= 40 else f"a {type(value).__name__}"
