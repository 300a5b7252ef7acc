"""Pickles of strangers: plain containers, numbers and tensors only; nothing in a file is ever called.

Names in a pickle lead to builtins, to torch's own tensor builders, to the small functions below, or nowhere. What they
lead to cannot be changed from within the pickle either: functions are handed out as bound calls, classes of this
package not at all.
"""

from __future__ import annotations

import codecs
import pickle
import re
import tarfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError

_BUILTINS = ("dict", "list", "set", "frozenset", "tuple", "str", "bytes", "bytearray", "int", "float", "bool")
# libraries that training loops are written with; what they store beside the parameters is not needed
_TRAINING = frozenset(
    "torch lightning lightning_fabric lightning_utilities pytorch_lightning torchmetrics "
    "argparse jsonargparse omegaconf functools pathlib scprint".split()
)
_GLOBAL = re.compile(r"GLOBAL (\w[\w.]*)")
_ZIP, _LFS = b"PK\x03\x04", b"version https://git-lfs"
_PLAIN_DTYPE = re.compile(r"[biufSU][0-9]+|O8?")


class _Refused(pickle.UnpicklingError):
    """A pickle asks for something that is neither a container nor a number."""


class _Dtype:
    """What a numpy dtype becomes while its pickle is read; numpy's own would take any state it is given."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise _Refused(f"numpy.dtype({code!r})")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise _Refused(f"a numpy.dtype of byte order {order!r}")
        self.order = order

    @property
    def value(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]


class _Array:
    """What a numpy array becomes while its pickle is read."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        flat = np.array(data, dtype=object) if isinstance(data, list) else _numbers(data, dtype)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _numbers(data: Any, dtype: Any) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or dtype.code.startswith("O"):
        raise _Refused("an array of objects")
    return np.frombuffer(bytes(data), dtype=dtype.value)


def _dtype(code: Any, *_: Any) -> _Dtype:
    return _Dtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
    return _numbers(data, dtype)[0].item()


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, dtype, order == "F", data))
    return made


def _ndarray(*_: Any) -> _Array:
    raise _Refused("numpy.ndarray with a call")


def _encode(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """Bytes, as old protocols write them."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused(f"_codecs.encode with {encoding!r}")
    return codecs.latin_1_encode(text)[0]


_OWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _ndarray,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    _OWN[(f"{_core}.multiarray", "scalar")] = _scalar
    _OWN[(f"{_core}.multiarray", "_reconstruct")] = _reconstruct
    _OWN[(f"{_core}.numeric", "_frombuffer")] = _frombuffer


def _sealed(function: Callable[..., Any]) -> Any:
    """The function without its attributes, which a pickle could set."""
    return function.__call__  # type: ignore[operator]  # a method-wrapper, which has none of its own


class _Plain(pickle.Unpickler):
    """Builds containers, numbers and numpy values; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _BUILTINS:
            return super().find_class("builtins", name)
        if (module, name) in (("collections", "OrderedDict"), ("collections", "defaultdict")):
            return super().find_class(module, name)
        if (module, name) in _OWN:
            return _sealed(_OWN[module, name])
        raise _Refused(f"{module}.{name}")


def read_pickle(path: Path) -> dict[Any, Any]:
    """A pickled dictionary of plain keys and values; numpy scalars become Python numbers.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file.
    WeightsError
        If it is truncated, no dictionary, or asks for code to be run.
    """
    if not path.is_file():
        raise WeightsNotFoundError(f"no file {path}.")
    check_start(path)
    try:
        with path.open("rb") as handle:
            found = _settled(_Plain(handle).load())
    except _Refused as error:
        raise WeightsError(
            f"{path} asks for {error}, which is neither a container nor a number; it was not run. A dictionary file "
            "of the model's authors holds plain values only."
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise WeightsError(f"{path} is not a readable pickle ({_cause(error)}); fetch it again.") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path} holds a {type(found).__name__}; expected a dictionary.")
    return found


def _settled(value: Any) -> Any:
    """The same containers with arrays in place of what stood for them."""
    if isinstance(value, _Array | _Dtype):
        return value.value
    if isinstance(value, dict):
        return {_settled(key): _settled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_settled(item) for item in value]
    return tuple(map(_settled, value)) if type(value) is tuple else value


def check_start(path: Path) -> None:
    """Refuse files that are something else than their name says, as failed downloads are."""
    with path.open("rb") as handle:
        start = handle.read(len(_LFS))
    if not start:
        raise WeightsError(f"{path} is empty; fetch it again.")
    if start == _LFS:
        raise WeightsError(f"{path} is a Git LFS pointer, not the file itself; run 'git lfs pull' where it came from.")
    if start.lstrip().startswith(b"<"):
        raise WeightsError(f"{path} is a web page, not a file of parameters; the download asked for something first.")


def read_torch(path: Path) -> Any:
    """Content of a ``torch.save`` file: tensors and plain containers.

    Files of a training loop may hold more; such objects are replaced by inert stand-ins, not run, if they come from
    the libraries such loops are written with.

    Raises
    ------
    WeightsNotFoundError
        If there is no such file.
    WeightsError
        If it is truncated, no torch file, or asks for code to be run.
    """
    if not path.is_file():
        raise WeightsNotFoundError(f"no file {path}; pass the path of a checkpoint.")
    check_start(path)
    if tarfile.is_tarfile(path):  # torch before 2.6 runs pickles in such a file whatever it is asked
        raise WeightsError(f"{path} is a tar archive; expected a file that torch.save wrote. Unpack or convert it.")
    try:
        with path.open("rb") as handle:  # given a path, torch goes by its suffix
            return torch.load(handle, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with path.open("rb") as handle:
            archive = handle.read(len(_ZIP)) == _ZIP
        if archive:
            return _read_inert(path)
        wanted = _GLOBAL.search(str(error))
        what = f"asks for {wanted[1]}; it was not run" if wanted else f"is not a readable torch file ({_cause(error)})"
        raise WeightsError(f"{path} {what}. Fetch it again from the model's authors.") from None
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(
            f"{path} is not a readable torch file ({_cause(error)}); it may be truncated. Fetch it again."
        ) from error


class _StandIn(dict):  # type: ignore[type-arg]
    """What an object of a training loop becomes: it can be built and filled, and does nothing."""

    origin: ClassVar[str] = ""

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)

    def append(self, _: Any) -> None:
        """Take part of a list subclass."""

    def extend(self, _: Any) -> None:
        """Take parts of a list subclass."""

    def add(self, _: Any) -> None:
        """Take part of a set subclass."""


class _Inert(_Plain):
    met: ClassVar[list[str]] = []

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _sealed(getattr(torch._utils, name))
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        try:
            return super().find_class(module, name)
        except _Refused:
            if module.split(".")[0] in _TRAINING:
                self.met.append(f"{module}.{name}")
                return type(name, (_StandIn,), {"origin": f"{module}.{name}"})
            raise


def _no_stream(*_: Any, **__: Any) -> Any:
    """Where torch would read a file that is no archive, with none of the above between it and the pickle."""
    raise pickle.UnpicklingError("no archive of torch.save")


def _read_inert(path: Path) -> Any:
    """An archive whose unknown objects are stand-ins, none of them among parameters."""
    met: list[str] = []
    unpickler = type("_Inert", (_Inert,), {"met": met})
    reader = types.SimpleNamespace(Unpickler=unpickler, load=_no_stream, __name__="grn")
    try:
        with path.open("rb") as handle:
            found = torch.load(handle, map_location="cpu", weights_only=False, pickle_module=reader)
        if not met:
            return _settled(found)
    except _Refused as error:
        raise WeightsError(
            f"{path} asks for {error}, which no checkpoint needs; it was not run. Fetch it again from the authors."
        ) from None
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(f"{path} is not a readable torch file ({_cause(error)}). Fetch it again.") from error
    state = found.get("state_dict") if isinstance(found, dict) else None
    if not isinstance(state, dict):
        raise WeightsError(
            f"{path} holds more than tensors and plain values ({met[0]}), and no 'state_dict' among it. Save the "
            "state_dict of the model alone."
        )
    for key, value in state.items():
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)  # of rows, as LPM has
        if not (names or isinstance(value, Tensor)):
            origin = getattr(value, "origin", type(value).__name__)
            raise WeightsError(f"{key!r} in the state_dict of {path} is {origin}; expected a tensor.")
    hyper = found.get("hyper_parameters")
    hyper = hyper if isinstance(hyper, dict) else {}
    kept = {key: value for key, value in hyper.items() if not isinstance(value, _StandIn)}
    return {"state_dict": state, "hyper_parameters": _settled(kept)}


def _cause(error: BaseException) -> str:
    """What went wrong in one line, without torch's advice to load the file unsafely."""
    text = str(error).strip() or type(error).__name__
    wanted = _GLOBAL.search(text)
    if wanted:
        return f"it asks for {wanted[1]}"
    return (text.rpartition("WeightsUnpickler error:")[2].strip().splitlines() or ["damaged"])[0][:200]
