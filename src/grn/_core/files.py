"""Files that users name: what the system says about them becomes one error, which says what was found and what to do.

Everything that reads or writes such a path goes through here: :func:`as_path` before anything else, :func:`output_file`
or :func:`output_folder` before a long computation (they leave nothing behind), :func:`written` or :func:`file_errors`
around the work itself.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grn._core.errors import GrnError, ParameterError, StorageError

PathLike = str | os.PathLike[str]
PART = ".part"
# what readers of text and tables, packed or not, raise for a content that they cannot read
UNREADABLE = (OSError, ValueError, EOFError, zlib.error)

_ELSEWHERE = "pass a path that can be written"
# errors of the system -> what was found, what to do
_KNOWN = {
    errno.ENOSPC: ("the disk is full", "free space, or pass a path on another disk"),
    errno.EDQUOT: ("the quota of the disk is used up", "free space, or pass a path on another disk"),
    errno.EFBIG: ("the file would be larger than the system allows", "raise the limit, or pass another path"),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.EACCES: ("permission is denied", "change the permissions, or pass another path"),
    errno.EPERM: ("permission is denied", "change the permissions, or pass another path"),
    errno.EISDIR: ("it is a folder", "pass the path of a file"),
    errno.ELOOP: ("its symbolic links lead in a circle", "pass another path"),
}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}


def as_path(path: PathLike, *, name: str = "path") -> Path:
    """A path as given, ``~`` as the home folder.

    Parameters
    ----------
    path
        What the user gave.
    name
        Name of the argument.

    Raises
    ------
    ParameterError
        If it is no path, or empty.
    StorageError
        If no file can have that name.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path).strip():
        raise ParameterError(f"{name}={path!r}; pass the path of a file or folder.")
    text = os.fspath(path)
    try:
        os.lstat(text)
    except UnicodeEncodeError as error:
        raise _error(text, "use", "its name holds characters that no file name can have", "rename it") from error
    except ValueError as error:
        raise _error(text, "use", "its name holds a NUL character", "leave it out") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise storage_error(text, "use", error) from error
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user
        return Path(text)


@contextmanager
def file_errors(path: PathLike, doing: str) -> Iterator[None]:
    """Turn what the system says about a file into the error of the package.

    Parameters
    ----------
    path
        The file or folder.
    doing
        ``"read"`` or ``"write"``.

    Raises
    ------
    StorageError
        If it cannot be done.
    """
    try:
        yield
    except GrnError:
        raise
    except OSError as error:
        raise storage_error(path, doing, error) from error


def check_access(path: PathLike, error: BaseException) -> None:
    """Raise what the system said, for readers that raise the same kind of error for a content they cannot read.

    Raises
    ------
    StorageError
        If it was the system.
    """
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, GrnError):
        raise storage_error(path, "read", error) from error


def storage_error(path: PathLike, doing: str, error: OSError) -> StorageError:
    """What the system said about a path, as the error of the package."""
    problem, fix = _explained(Path(path), doing, error)
    made = _error(path, doing, problem, fix)
    made.errno, made.filename = error.errno, os.fspath(path)
    return made


def is_file(path: Path) -> bool:
    """Whether there is such a file.

    Raises
    ------
    StorageError
        If the system does not let us see.
    """
    with file_errors(path, "read"):
        return path.is_file()


def output_file(path: PathLike, *, name: str = "path") -> Path:
    """The path of a file that can be written, checked before the work that ends there.

    Raises
    ------
    ParameterError
        If it is no path.
    StorageError
        If it is a folder, its folder does not exist, or nothing can be written there.
    """
    place = as_path(path, name=name)
    with file_errors(place, "write"):
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if not _is_special(place):
            _try(place.parent)
    return place


def output_folder(path: PathLike, *, name: str = "path") -> Path:
    """The path of a folder that can be written, or made; absolute, as processes with other working folders may use it.

    Raises
    ------
    ParameterError
        If it is no path.
    StorageError
        If it is a file, or nothing can be written there.
    """
    place = as_path(path, name=name).absolute()
    with file_errors(place, "write"):
        there = next(p for p in (place, *place.parents) if os.path.lexists(p))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file")
        _try(there)
    return place


def make_folder(path: Path) -> None:
    """Make a folder, and those around it.

    Raises
    ------
    StorageError
        If that cannot be done.
    """
    with file_errors(path, "write"):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def written(path: PathLike, *, name: str = "path") -> Iterator[Path]:
    """A place for the new content of a file, which takes the place of the old once all of it is written.

    Raises
    ------
    ParameterError
        If it is no path.
    StorageError
        If it cannot be written; what was there is then as before.
    """
    import shutil
    from uuid import uuid4

    place = output_file(path, name=name)
    with file_errors(place, "write"):
        if _is_special(place):
            yield place
            return
        place = place.resolve()  # a link stays a link
        # readers and writers go by the last suffixes, such as .csv.gz
        part = place.with_name(f".{uuid4().hex}{PART}" + "".join(s for s in place.suffixes[-2:] if len(s) < 16))
        try:
            yield part
            if place.exists():
                shutil.copymode(place, part)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


def _is_special(place: Path) -> bool:
    """Whether it is a device or a pipe, which nothing can take the place of."""
    return place.exists() and not place.is_file()


def _try(folder: Path) -> None:
    import tempfile  # with the rest of it, a sixth of the time that importing grn takes

    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise
        # as in /proc, where the system makes all files itself
        raise OSError(errno.ENOTSUP, f"no file can be made in {folder}") from error


def _explained(path: Path, doing: str, error: OSError) -> tuple[str, str]:
    """What was found, and what to do."""
    if error.errno in _KNOWN:
        return _KNOWN[error.errno]
    if error.errno == errno.ENAMETOOLONG:
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
        return f"its name is too long ({longest} bytes in one part, {len(os.fsencode(path))} in all)", "shorten it"
    if error.errno in _NO_FOLDER:
        there = next((p for p in (*reversed(path.parents), path) if p.exists() and not p.is_dir()), path)
        return f"{_shown(there)} is a file where a folder is needed", "move that file, or pass another path"
    if error.errno == errno.ENOENT and doing == "write":
        lost = next((p for p in reversed(path.parents) if not p.exists()), None)
        if lost is None:
            return "a file or folder vanished while it was written", "leave it alone, and make the call again"
        return f"there is no folder {_shown(lost)}", "create it first"
    if error.errno == errno.ENOENT:
        return "it does not exist", "check the path"
    return str(error.strerror or error).rstrip("."), "pass another path"


def _error(path: PathLike, doing: str, found: str, fix: str) -> StorageError:
    return StorageError(f"cannot {doing} {_shown(path)}: {found}; {fix}.")


def _shown(path: PathLike) -> str:
    """A path for people, on one line."""
    text = os.fspath(path)
    text = text if len(text) <= 160 else f"{text[:100]} ... {text[-40:]}"
    return text if text.isprintable() else ascii(text)
