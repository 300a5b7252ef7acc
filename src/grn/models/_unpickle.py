"""Pickles of strangers: plain containers, numbers and tensors only; nothing in a file is ever called.

Names in a pickle lead to builtins, to torch's own tensor builders, to the small functions below, or nowhere. What they
lead to cannot be changed from within the pickle either: functions are handed out as bound calls, classes of this
package not at all.
"""

from __future__ import annotations

import io
import mmap
import pickle
import re
import tarfile
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn.models._pickle_scan import PickleContents, PickleTooLargeError, scan
from grn.models._pickle_values import RefusedError, Room, settled

# libraries that training loops are written with; what they store beside the parameters is not needed
_TRAINING = frozenset(
    "torch lightning lightning_fabric lightning_utilities pytorch_lightning torchmetrics "
    "argparse jsonargparse omegaconf functools pathlib scprint".split()
)
_GLOBAL = re.compile(r"GLOBAL (\w[\w.]*)")
_ZIP, _LFS = b"PK\x03\x04", b"version https://git-lfs"
# pickles of a file that torch wrote before it wrote archives: a number, a version, the machine, the content, the keys
_PICKLES = 5


def _sealed(function: Callable[..., Any]) -> Any:
    """The function without its attributes, which a pickle could set."""
    return function.__call__  # type: ignore[operator]  # a method-wrapper, which has none of its own


class _Plain(pickle.Unpickler):
    """Builds containers, numbers and numpy values; refuses everything else."""

    size: ClassVar[int] = 0

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._own = Room(self.size).builders()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "defaultdict"):
            return super().find_class(module, name)
        if (module, name) in self._own:
            return _sealed(self._own[module, name])
        raise RefusedError(f"{module}.{name}")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[mmap.mmap, int]]:
    """A file from which no more can be read than there is, whatever it claims, and its size."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content, len(content)


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
        with _opened(path) as (content, size):
            scan(content, size)
            content.seek(0)
            plain = settled(type("_Plain", (_Plain,), {"size": size})(content).load(), size)
    except RefusedError as error:
        raise WeightsError(
            f"{path} asks for {error}, which is neither a container nor a number; it was not run. A dictionary file "
            "of the model's authors holds plain values only."
        ) from None
    except Exception as error:  # a damaged pickle raises almost anything
        raise WeightsError(f"{path} is not a readable pickle ({_cause(error)}); fetch it again.") from error
    if not isinstance(plain, dict):
        raise WeightsError(f"{path} holds a {type(plain).__name__}; expected a dictionary.")
    return plain


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
    if _is_tar(path):  # torch before 2.6 runs pickles in such a file whatever it is asked
        raise WeightsError(f"{path} is a tar archive; expected a file that torch.save wrote. Unpack or convert it.")
    with path.open("rb") as handle:
        archive = handle.read(len(_ZIP)) == _ZIP
    size = path.stat().st_size
    try:
        asked = _scan_archive(path, size) if archive else _scan_stream(path)
        if asked.names & _ALLOCATES:  # torch would build as much of these as it is told to
            return _read_inert(path, size) if archive else _refuse(path, sorted(asked.names & _ALLOCATES)[0])
        with path.open("rb") as handle:  # given a path, torch goes by its suffix
            return settled(torch.load(handle, map_location="cpu", weights_only=True), size)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        if archive:
            return _read_inert(path, size)
        wanted = _GLOBAL.search(str(error))
        what = f"asks for {wanted[1]}; it was not run" if wanted else f"is not a readable torch file ({_cause(error)})"
        raise WeightsError(f"{path} {what}. Fetch it again from the model's authors.") from None
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(
            f"{path} is not a readable torch file ({_cause(error)}); it may be truncated. Fetch it again."
        ) from error


# calls that torch's guarded reader makes with any argument
_ALLOCATES = frozenset(
    "builtins.bytearray __builtin__.bytearray builtins.set __builtin__.set collections.Counter _codecs.encode "
    "torch._utils._rebuild_meta_tensor_no_storage torch._utils._rebuild_sparse_tensor torch._utils._rebuild_qtensor "
    "torch._utils._rebuild_wrapper_subclass torch._utils._rebuild_nested_tensor torch._tensor._rebuild_from_type_v2 "
    "torch._utils._rebuild_device_tensor_from_numpy".split()
)
# bytes of a number, by the name of its storage
_WIDTHS = {"Double": 8, "Long": 8, "ComplexFloat": 8, "ComplexDouble": 16, "Float": 4, "Int": 4, "QInt32": 4}
_WIDTHS |= {"Half": 2, "BFloat16": 2, "Short": 2}


def _refuse(path: Path, name: str) -> None:
    raise WeightsError(f"{path} asks for {name}; it was not run. Fetch it again from the model's authors.")


def _is_tar(path: Path) -> bool:
    """Whether a file is a tar archive as it is; a packed one is no file of torch either way."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except (tarfile.TarError, OSError, ValueError, EOFError):
        return False


def _scan_archive(path: Path, size: int) -> PickleContents:
    """What the pickle of an archive asks for, once its records are as large as they say and the file holds them."""
    with zipfile.ZipFile(path) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if any(name.endswith("constants.pkl") for name in records):
            raise ValueError("a TorchScript archive holds code; save the state_dict of the model")
        packed = [name for name, record in records.items() if record.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise PickleTooLargeError(f"its record {packed[0]!r} is packed, which torch.save does not do")
        if len(records) < len(archive.infolist()) or sum(record.file_size for record in records.values()) > size:
            raise PickleTooLargeError("its records are larger than the file")
        name = next((name for name in records if name.endswith("data.pkl")), None)
        if name is None:
            return PickleContents()
        with archive.open(name) as opened:
            contents = scan(io.BytesIO(opened.read()), size)
    folder = name.removesuffix("data.pkl")
    for storage in contents.storages:
        key, wanted = _storage(storage)
        record = records.get(f"{folder}data/{key}")
        if record is None or wanted > record.file_size:
            raise PickleTooLargeError(f"its tensors need more numbers than the record {key!r} has")
    return contents


def _scan_stream(path: Path) -> PickleContents:
    """What all pickles of a file without archive ask for."""
    whole = PickleContents()
    with _opened(path) as (content, size):
        for _ in range(_PICKLES):
            contents = scan(content, size)
            whole.names |= contents.names
            whole.storages += contents.storages
    if sum(dict(map(_storage, whole.storages)).values()) > size:
        raise PickleTooLargeError("its tensors need more numbers than the file has")
    return whole


def _storage(identifier: tuple[Any, ...]) -> tuple[str, int]:
    """Key and size in bytes of the numbers behind a tensor, as torch identifies them."""
    kind, name, key, _, n, *_ = identifier
    if kind != "storage" or not isinstance(name, str) or not isinstance(key, str) or not isinstance(n, int):
        raise ValueError("a storage that torch.save does not write")
    return key, n * _WIDTHS.get(name.rpartition(".")[2].removesuffix("Storage"), 1)


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
        except RefusedError:
            if module.split(".")[0] in _TRAINING:
                self.met.append(f"{module}.{name}")
                return type(name, (_StandIn,), {"origin": f"{module}.{name}"})
            raise


def _no_stream(*_: Any, **__: Any) -> Any:
    """Where torch would read a file that is no archive, with none of the above between it and the pickle."""
    raise pickle.UnpicklingError("no archive of torch.save")


def _read_inert(path: Path, size: int) -> Any:
    """An archive whose unknown objects are stand-ins, none of them among parameters."""
    met: list[str] = []
    unpickler = type("_Inert", (_Inert,), {"met": met, "size": size})
    reader = types.SimpleNamespace(Unpickler=unpickler, load=_no_stream, __name__="grn")
    try:
        with path.open("rb") as handle:
            content = torch.load(handle, map_location="cpu", weights_only=False, pickle_module=reader)
        if not met:
            return settled(content, size)
    except RefusedError as error:
        raise WeightsError(
            f"{path} asks for {error}, which no checkpoint needs; it was not run. Fetch it again from the authors."
        ) from None
    except Exception as error:  # a damaged archive raises almost anything
        raise WeightsError(f"{path} is not a readable torch file ({_cause(error)}). Fetch it again.") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
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
    hyper = content.get("hyper_parameters")
    hyper = hyper if isinstance(hyper, dict) else {}
    plain = {key: value for key, value in hyper.items() if not isinstance(value, _StandIn)}
    return {"state_dict": state, "hyper_parameters": settled(plain, size)}


def _cause(error: BaseException) -> str:
    """What went wrong in one line, without torch's advice to load the file unsafely."""
    text = str(error).strip() or type(error).__name__
    wanted = _GLOBAL.search(text)
    if wanted:
        return f"it asks for {wanted[1]}"
    return (text.rpartition("WeightsUnpickler error:")[2].strip().splitlines() or ["damaged"])[0][:200]
