"""What the names in a pickle lead to: small functions that build plain values, and no more than a file can hold."""

from __future__ import annotations

import codecs
import collections
import pickle
import re
from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np

from grn.models._pickle_scan import ROOM, PickleTooLargeError

_PLAIN_DTYPE = re.compile(r"[biufSU][0-9]+|O8?")
# an element of a container that a call copies
_ELEMENT = 8
# a pickle may copy its own content several times, as numbers of one type share their description
_TIMES = 16


class RefusedError(pickle.UnpicklingError):
    """A pickle asks for something that is neither a container nor a number."""


class Room:
    """Bytes that the calls of a pickle may still build.

    Parameters
    ----------
    size
        Size of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self.left = _TIMES * size + ROOM

    def take(self, size: int) -> None:
        """Count what a call builds."""
        self.left -= size
        if self.left < 0:
            raise PickleTooLargeError("its calls build more than it holds")

    def builders(self) -> Mapping[tuple[str, str], Callable[..., Any]]:
        """The functions behind the names ``(module, name)``."""
        makers: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "dtype"): _dtype,
            ("numpy", "ndarray"): _ndarray,
            ("_codecs", "encode"): self._encode,
        }
        for core in ("numpy.core", "numpy._core"):
            makers[f"{core}.multiarray", "scalar"] = self._scalar
            makers[f"{core}.multiarray", "_reconstruct"] = self._reconstruct
            makers[f"{core}.numeric", "_frombuffer"] = self._frombuffer
        for module in ("builtins", "__builtin__"):
            makers |= {(module, kind.__name__): self._container(kind) for kind in (dict, list, set, frozenset, tuple)}
            makers |= {(module, kind.__name__): self._bytes(kind) for kind in (bytes, bytearray)}
            makers |= {(module, kind.__name__): _number(kind) for kind in (str, int, float, bool)}
        makers["collections", "OrderedDict"] = self._container(collections.OrderedDict)
        return makers

    def _container(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        def build(*parts: Any) -> Any:
            self.take(_ELEMENT * sum(len(part) if isinstance(part, Sized) else 1 for part in parts))
            return kind(*parts)

        return build

    def _bytes(self, kind: Callable[..., Any]) -> Callable[..., Any]:
        def build(content: Any = b"", *encoding: Any) -> Any:
            if isinstance(content, str) and encoding in (("latin-1",), ("latin1",)):
                content = self._encode(content)
            if not isinstance(content, bytes | bytearray):
                raise RefusedError(f"{kind.__name__} of a {type(content).__name__}")
            self.take(len(content))
            return kind(content)

        return build

    def _encode(self, text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
        """Bytes, as old protocols write them."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise RefusedError(f"_codecs.encode with {encoding!r}")
        self.take(len(text))
        return codecs.latin_1_encode(text)[0]

    def _numbers(self, data: Any, dtype: Any) -> np.ndarray:
        if not isinstance(dtype, Dtype) or dtype.code.startswith("O"):
            raise RefusedError("an array of objects")
        if not isinstance(data, bytes | bytearray):
            raise RefusedError(f"numbers in a {type(data).__name__}")
        self.take(len(data))
        return np.frombuffer(bytes(data), dtype=dtype.value)

    def _scalar(self, dtype: Any, data: Any) -> Any:
        return self._numbers(data, dtype)[0].item()

    def _reconstruct(self, *_: Any) -> Array:
        return Array(self)

    def _frombuffer(self, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> Array:
        made = Array(self)
        made.__setstate__((1, shape, dtype, order == "F", data))
        return made


class Dtype:
    """What a numpy dtype becomes while its pickle is read; numpy's own would take any state it is given."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise RefusedError("numpy.dtype of another kind than numbers and texts")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise RefusedError(f"a numpy.dtype of byte order {order if isinstance(order, str) else type(order)}")
        self.order = order

    @property
    def value(self) -> np.dtype[Any]:
        """The dtype itself."""
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class Array:
    """What a numpy array becomes while its pickle is read."""

    __slots__ = ("room", "value")

    def __init__(self, room: Room) -> None:
        self.room, self.value = room, np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            self.room.take(_ELEMENT * len(data))
            flat = np.empty(len(data), dtype=object)
            flat[:] = data
        else:
            flat = self.room._numbers(data, dtype)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _dtype(code: Any, *_: Any) -> Dtype:
    return Dtype(code)


def _ndarray(*_: Any) -> Array:
    raise RefusedError("numpy.ndarray with a call")


def _number(kind: Callable[..., Any]) -> Callable[..., Any]:
    def build(*value: Any) -> Any:
        if len(value) > 1 or not all(isinstance(item, str | int | float) for item in value):
            raise RefusedError(f"{kind.__name__} of something else than a number or a text")
        return kind(*value)

    return build


def settled(value: Any, size: int) -> Any:
    """The same containers with arrays in place of what stood for them.

    Raises
    ------
    PickleTooLargeError
        If the containers hold each other more often than a file of ``size`` bytes can say, or themselves.
    """
    return _Settling(4 * size + ROOM)(value)[0]


class _Settling:
    """Copies every container once, however often it is met, and counts how often."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.done: dict[int, tuple[Any, int]] = {}
        self.kept: list[Any] = []
        self.open: set[int] = set()

    def __call__(self, value: Any) -> tuple[Any, int]:
        """The copy, and the number of values in it."""
        if isinstance(value, Array | Dtype):
            return value.value, 1
        if not isinstance(value, dict | list) and type(value) is not tuple:
            return value, 1
        key = id(value)
        if key in self.open:
            raise PickleTooLargeError("a container holds itself")
        if key not in self.done:
            self.open.add(key)
            self.done[key] = self._copy(value)
            self.kept.append(value)  # so that no other object takes its id
            self.open.discard(key)
        copied, weight = self.done[key]
        if weight > self.limit:
            raise PickleTooLargeError(f"its containers hold each other more than {self.limit} times")
        return copied, weight

    def _copy(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, dict):
            pairs = [(self(key), self(item)) for key, item in value.items()]
            weight = 1 + sum(key[1] + item[1] for key, item in pairs)
            return {key[0]: item[0] for key, item in pairs}, weight
        items = [self(item) for item in value]
        made = [item for item, _ in items]
        return made if isinstance(value, list) else tuple(made), 1 + sum(weight for _, weight in items)
