"""Parts of a long computation kept in a folder, so that a call that was interrupted goes on where it stopped.

A part has two files: its result, once it is finished, and its state on the way, written from time to time. Both are
sealed (:mod:`grn._core.sealed`) and named by a hash of everything that goes into the part. Parts of other data or
arguments have other names: they lie beside and are never read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from grn._core import sealed

T = TypeVar("T")
Arrays = Mapping[str, np.ndarray]

_RESULT, _STATE = "sealed", "state"
# seconds between two states, and how many times longer than writing one that is at least
_EVERY, _SHARE = 30.0, 20.0


def fingerprint(value: Any) -> str:
    """Hash of texts, numbers, arrays, dense or compressed sparse, functions by name, and of what is made of these.

    That is: mappings, sequences, dataclasses and partials.

    Raises
    ------
    TypeError
        For anything else.
    """
    made = hashlib.sha256()
    _digest(value, made)
    return made.hexdigest()


def _digest(value: Any, made: Any) -> None:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        made.update(f"array {value.dtype.str} {value.shape} ".encode())
        made.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif isinstance(value, np.ndarray | list | tuple):
        made.update(f"list {len(value)} ".encode())
        for item in value:
            _digest(item, made)
    elif isinstance(value, Mapping):
        made.update(f"mapping {len(value)} ".encode())
        for name, item in sorted(value.items()):
            _digest(name, made)
            _digest(item, made)
    elif (inside := _inside(value)) is not None:
        _digest(inside, made)
    elif isinstance(value, FunctionType):
        made.update(f"function {value.__module__}.{value.__qualname__} ".encode())
    elif value is None or isinstance(value, str | bool | int | float | np.generic):
        told = value.item() if isinstance(value, np.generic) else value
        text = repr(told)
        made.update(f"{type(told).__name__} {len(text)} {text} ".encode())
    else:
        raise TypeError(f"{type(value).__name__} has no fingerprint")


def _inside(value: Any) -> list[Any] | dict[str, Any] | None:
    """What a sparse matrix, a partial or a dataclass holds; ``None`` for all others."""
    if sparse.issparse(value) and value.format in ("csr", "csc"):
        return [value.format, value.data, value.indices, value.indptr, value.shape]
    if isinstance(value, partial):
        return ["partial", value.func, value.args, value.keywords]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return None


class Part:
    """One part of a computation; without a folder nothing is kept.

    Parameters
    ----------
    folder
        Where its files are.
    name
        Hash of everything that goes into it.
    """

    def __init__(self, folder: Path | None = None, name: str = "") -> None:
        self._result = None if folder is None else folder / f"{name}.{_RESULT}"
        self._state = None if folder is None else folder / f"{name}.{_STATE}"

    def result(self, decode: Callable[[Arrays], T]) -> T | None:
        """What the finished part gave, of its arrays; ``None`` if it is not finished, or its file is damaged."""
        if self._result is None:
            return None
        return sealed.kept(self._result, lambda content: decode(sealed.unpacked(content)))

    def finish(self, arrays: Arrays) -> None:
        """Keep the result, and drop the state."""
        if self._result is None or self._state is None:
            return
        sealed.keep_arrays(self._result, arrays)
        self._state.unlink(missing_ok=True)

    @contextmanager
    def state(self) -> Iterator[Arrays | None]:
        """Arrays of the last state, each read when it is asked for; ``None`` if there is none, or it is damaged."""
        if self._state is None:
            yield None
            return
        with sealed.kept_arrays(self._state) as arrays:
            yield arrays

    def save(self, arrays: Arrays) -> None:
        """Keep a state in the place of the one before."""
        if self._state is not None:
            sealed.keep_arrays(self._state, arrays, durable=False)

    def get(self, decode: Callable[[Arrays], T], make: Callable[[], T], encode: Callable[[T], Arrays]) -> T:
        """The result that is kept, else what ``make`` gives, kept from now on."""
        kept = self.result(decode)
        if kept is None:
            kept = make()
            self.finish(encode(kept))
        return kept


class States:
    """States of parts that are computed together, written from time to time.

    Parameters
    ----------
    parts
        The parts.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._next = time.monotonic() + _EVERY

    def offer(self, places: Iterable[int], state: Callable[[int], Arrays]) -> None:
        """Write the states of the parts at some places, if it is time.

        Parameters
        ----------
        places
            Places of the parts that are not finished.
        state
            Gives the arrays of the part that is the k-th of these.
        """
        begin = time.monotonic()
        if begin < self._next:
            return
        for k, place in enumerate(places):
            self.parts[place].save(state(k))
        end = time.monotonic()
        self._next = end + max(_EVERY, _SHARE * (end - begin))
