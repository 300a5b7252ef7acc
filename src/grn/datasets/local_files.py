"""Find and read data that users keep on disk; nothing here uses the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from grn._core.errors import DataNotFoundError, NetworkError
from grn._core.files import UNREADABLE, as_path, check_access, file_errors
from grn._core.settings import settings
from grn.datasets._unpack_limit import read_parquet, read_text


def root(path: str | os.PathLike[str] | None) -> Path | None:
    """Folder or file to look in: the argument of a loader, else the setting; None when neither is given."""
    given = settings.data_dir if path is None else path
    if given is None:
        return None
    return as_path(given)


def find(*parts: str, path: str | os.PathLike[str] | None = None) -> Path | None:
    """Find a file or folder of a data set, or None.

    Parameters
    ----------
    parts
        Where it lies below ``grn.settings.data_dir``: folders, then the name. A name that ends in ``.gz`` is also
        found unpacked.
    path
        The thing itself, or a folder that holds it or one of ``parts``; default: ``grn.settings.data_dir``.
    """
    start = root(path)
    if start is None:
        return None
    with file_errors(start, "read"):
        if start.is_file():
            return start if Path(parts[-1]).suffix else None
        return next((place for place in _places(start, parts) if place.exists()), None)


def locate(*parts: str, path: str | os.PathLike[str] | None = None, what: str, where_published: str) -> Path:
    """Find a file or folder of a data set, or say where to get it.

    Parameters
    ----------
    parts
        Where it lies below ``grn.settings.data_dir``: folders, then the name.
    path
        The thing itself, or a folder that holds it or one of ``parts``; default: ``grn.settings.data_dir``.
    what
        Name of the data set for the message.
    where_published
        Address at which it can be had, for the message.

    Raises
    ------
    DataNotFoundError
        It is not there.
    """
    file = find(*parts, path=path)
    if file is None:
        raise not_found(*parts, path=path, what=what, where_published=where_published)
    return file


def not_found(
    *parts: str, path: str | os.PathLike[str] | None = None, what: str, where_published: str
) -> DataNotFoundError:
    """Make the error for data that are not on disk."""
    start, name = root(path), "/".join(parts)
    if start is None:
        looked = "grn.settings.data_dir is not set and no path= was passed"
    else:
        label = "grn.settings.data_dir" if path is None else "path"
        held = f"holds no {name}" if start.exists() else "does not exist"
        looked = f"{label}={str(start)!r} {held}"
    return DataNotFoundError(
        f"{what} was not found: {looked}. It is published at {where_published}. Download it and pass its file or "
        f"folder as path=, or point grn.settings.data_dir (before starting Python: GRN_DATA_DIR) to the folder with "
        f"{name}."
    )


def _places(start: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for skipped in range(len(parts)):
        place = start.joinpath(*parts[skipped:])
        yield place
        if place.suffix == ".gz":
            yield place.with_suffix("")
    if start.name == parts[-1]:
        yield start


def read_columns(
    path: Path, columns: Mapping[str, tuple[str, ...]], *, optional: Sequence[str] = (), header: bool = True
) -> pd.DataFrame:
    """Read some columns of a parquet, comma- or tab-separated table; text stays text, "NA" too.

    Parameters
    ----------
    path
        File ``.parquet``, ``.csv`` or ``.tsv``, the last two also packed (``.gz``).
    columns
        Name in the result -> names it may have in the file, the preferred one first.
    optional
        Names in the result that may be missing.
    header
        Whether the first line of a text file holds the names; else they are those of the result, in order.

    Raises
    ------
    NetworkError
        The file cannot be read, or lacks a column.
    """
    try:
        there = _header(path) if header else list(columns)
        chosen = {name: spelling for name, known in columns.items() for spelling in known[::-1] if spelling in there}
        missing = [" or ".join(columns[name]) for name in columns if name not in {*chosen, *optional}]
        if missing:
            has = ", ".join(map(str, there[:12])) or "none"
            raise NetworkError(f"{path.name} lacks the column(s) {', '.join(missing)}; it has {has}.")
        wanted = list(chosen.values())
        table = read_parquet(path, wanted) if _packed(path) else _text(path, wanted, header=header)
    except NetworkError:
        raise
    except UNREADABLE as error:
        check_access(path, error)
        raise NetworkError(f"{path.name} cannot be read ({error}); download it again.") from error
    return pd.DataFrame({name: table[column] for name, column in chosen.items()})


def columns_of(path: Path) -> list[str]:
    """Names of the columns of a table that :func:`read_columns` reads.

    Raises
    ------
    NetworkError
        The file cannot be read.
    """
    try:
        return _header(path)
    except UNREADABLE as error:
        check_access(path, error)
        raise NetworkError(f"{path.name} cannot be read ({error}); download it again.") from error


def _packed(path: Path) -> bool:
    return path.suffix == ".parquet"


def _header(path: Path) -> list[str]:
    if _packed(path):
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)
    return list(read_text(path, sep=_separator(path), nrows=0).columns)


def _text(path: Path, columns: list[str], *, header: bool) -> pd.DataFrame:
    how = {"header": 0, "usecols": columns} if header else {"header": None, "names": columns}
    return read_text(path, sep=_separator(path), dtype=str, keep_default_na=False, **how)


def _separator(path: Path) -> str:
    return "\t" if Path(path.name.removesuffix(".gz")).suffix in (".tsv", ".txt") else ","


def sha256_of(path: Path) -> str:
    """Hash of a file, as hexadecimal digits."""
    with file_errors(path, "read"), path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
