"""A sealed file: there whole or not at all, and its content only as it was written.

The content lies behind its CRC-32, as the codec ``crc32`` of numcodecs has it, so zarr checks the chunks it reads.
Files are written beside their place, flushed to the disk and then moved. Any number of processes may write the same
file, and any may be killed: what a killed one leaves behind is a part, which nobody reads and :func:`sweep` removes.
"""

from __future__ import annotations

import io
import os
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np

from grn._core.files import PART, file_errors, make_folder
from grn._core.logging import logger

T = TypeVar("T")

CODEC = {"id": "crc32"}
_HEAD = 4
_TRIES = 3
# bytes that are read at a time
_READ = 2**24
# seconds after which a part is left behind, whoever wrote it: no file takes a day
_OLD = 24 * 3600
# what readers raise for content that is none of theirs
UNREADABLE = (ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error)


class Damaged(Exception):
    """A file is not as it was written; caught by those who can make it again or say how to."""


def seal(content: bytes) -> bytes:
    """Content behind its checksum."""
    return zlib.crc32(content).to_bytes(_HEAD, "little") + content


def unseal(sealed: bytes) -> memoryview:
    """The content.

    Raises
    ------
    Damaged
        If the checksum is another.
    """
    if len(sealed) <= _HEAD:
        raise Damaged("it is empty" if not sealed else "it is cut off")
    content = memoryview(sealed)[_HEAD:]
    if zlib.crc32(content) != int.from_bytes(sealed[:_HEAD], "little"):
        raise Damaged("its checksum is another")
    return content


def read(path: Path) -> memoryview:
    """The content of a sealed file.

    Raises
    ------
    Damaged
        If it is not there, or not as it was written.
    """
    try:
        return unseal(path.read_bytes())
    except FileNotFoundError as error:
        raise Damaged("it is missing") from error
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror or error}") from error


def kept(path: Path, decode: Callable[[memoryview], T]) -> T | None:
    """What was kept in a sealed file; ``None`` if nothing was, or it is damaged, which is logged.

    Parameters
    ----------
    path
        The file.
    decode
        Function that reads the content.
    """
    try:
        return decode(read(path))
    except (Damaged, *UNREADABLE) as error:
        if os.path.lexists(path):
            logger.warning("%s is damaged (%s) and is made again", path, error)
        return None


def keep(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a sealed file, and its folder if need be.

    Parameters
    ----------
    path
        Where to.
    content
        What the file holds.
    durable
        Whether it is on the disk when this returns. Many small files that are quickly made again need not be: what a
        failure of the machine leaves of one is damaged, and is told from whole ones.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    make_folder(path.parent)
    with file_errors(path, "write"):
        publish({path: seal(content)}, durable=durable)


def packed(arrays: Mapping[str, np.ndarray], *, compress: bool = False) -> bytes:
    """Named arrays as bytes."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(content: bytes | memoryview) -> dict[str, np.ndarray]:
    """What :func:`packed` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class _Summed(io.RawIOBase):
    """Passes bytes on, and knows their checksum."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle, self.crc = handle, 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.crc = zlib.crc32(content, self.crc)
        return self.handle.write(content)


def keep_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, durable: bool = True) -> None:
    """Write named arrays to a sealed file as :func:`packed` has them, without a copy of all of them in memory.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    make_folder(path.parent)
    part = part_of(path)
    with file_errors(path, "write"):
        try:
            with part.open("xb") as handle:
                handle.write(bytes(_HEAD))
                summed = _Summed(handle)
                np.savez(summed, **arrays)  # type: ignore[arg-type]
                handle.seek(0)
                handle.write(summed.crc.to_bytes(_HEAD, "little"))
                if durable:
                    handle.flush()
                    os.fsync(handle.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if durable:
            _sync(path.parent)


@contextmanager
def kept_arrays(path: Path) -> Iterator[Mapping[str, np.ndarray] | None]:
    """Named arrays of a sealed file, each read when it is asked for; ``None`` if there are none, or it is damaged.

    A damaged file is told in the log.
    """
    try:
        handle = path.open("rb")
    except OSError:
        yield None
        return
    with handle:
        arrays = None
        try:
            _check_sum(handle)
            arrays = np.load(handle, allow_pickle=False)
        except (Damaged, OSError, *UNREADABLE) as error:
            logger.warning("%s is damaged (%s) and is made again", path, error)
        yield arrays


def _check_sum(handle: BinaryIO) -> None:
    """Compare the checksum of an open file with its content, which is then the next to be read."""
    head, crc = handle.read(_HEAD), 0
    while block := handle.read(_READ):
        crc = zlib.crc32(block, crc)
    if len(head) < _HEAD or crc != int.from_bytes(head, "little"):
        raise Damaged("its checksum is another")
    handle.seek(_HEAD)


def publish(files: Mapping[Path, bytes], *, durable: bool = True) -> None:
    """Write files so that each is there whole or not at all; ``durable`` ones are on the disk when this returns."""
    parts = {path: part_of(path) for path in files}
    try:
        for path, part in parts.items():
            _write(part, files[path], durable=durable)
        for path, part in parts.items():
            _move(part, path, files[path])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    for parent in {path.parent for path in files} if durable else ():
        _sync(parent)


def claim(path: Path, content: bytes) -> bool:
    """Write a file that must not be there yet; whether it was not, also when several processes try at once."""
    part = part_of(path)
    try:
        _write(part, content)
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            _move(part, path, content)
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def part_of(path: Path) -> Path:
    """Where the new content of a file is written, by this process."""
    return path.with_name(f".{_host()}.{os.getpid()}.{uuid4().hex}{PART}")


def sweep(folder: Path) -> None:
    """Remove, in a folder and those below, the parts of processes that are gone, and parts of a day ago.

    Those of other machines count as alive until then. A process that was taken for dead writes its part again.
    """
    for part in folder.rglob(f".*{PART}"):
        if _is_left(part):
            part.unlink(missing_ok=True)


def _is_left(part: Path) -> bool:
    try:
        age = time.time() - part.stat().st_mtime
    except OSError:
        return False
    named = re.fullmatch(r"\.([^.]*)\.(\d+)\.[0-9a-f]{32}\.part", part.name)
    return age > _OLD or (named is not None and named[1] == _host() and not _runs(int(named[2])))


def _runs(pid: int) -> bool:
    """Whether there is a process of that number here."""
    if os.name == "nt":  # a signal ends a process there, whatever its number
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _host() -> str:
    return re.sub(r"[^0-9A-Za-z-]", "-", socket.gethostname())[:32]


def _write(part: Path, content: bytes, *, durable: bool = True) -> None:
    with part.open("xb") as handle:
        handle.write(content)
        if durable:
            handle.flush()
            os.fsync(handle.fileno())


def _move(part: Path, path: Path, content: bytes) -> None:
    for _ in range(_TRIES):
        try:
            part.replace(path)
        except FileNotFoundError:  # somebody took this process for dead and swept it away
            _write(part, content)
        else:
            return
    part.replace(path)


def _sync(folder: Path) -> None:
    if os.name == "nt":  # no handle of a folder there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
