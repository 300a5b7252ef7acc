"""What a file of data may unpack to: a few bytes can ask for gigabytes, which are refused before they are made."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd
from anndata import AnnData, read_h5ad

# what any file may unpack to, and how many times its own size beyond: a table of zeros packs 200 times, an attack 1000
ROOM = 2**24
_TIMES = 400
_CELLS = 1000
_OPEN: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class FileTooLargeError(ValueError):
    """A file that would take far more memory than it has bytes."""


class _Unpacking(io.RawIOBase):
    """A packed stream that is read as long as it gives no more than packed data give."""

    def __init__(self, packed: IO[bytes], opened: IO[bytes]) -> None:
        super().__init__()
        self._packed, self._opened, self._given = packed, opened, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        block = self._opened.read(len(buffer))
        buffer[: len(block)] = block
        self._given += len(block)
        if self._given > ROOM and self._given > _TIMES * self._packed.tell():
            raise FileTooLargeError(f"it unpacks to more than {_TIMES} times its size")
        return len(block)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where its name says that it is packed.

    Raises
    ------
    FileTooLargeError
        While reading, when it gives far more than a file of its size holds.
    """
    with path.open("rb") as packed:
        how = _OPEN.get(path.suffix)
        if how is None:
            yield packed
            return
        with how(packed, "rb") as opened, io.BufferedReader(_Unpacking(packed, opened), 2**16) as content:
            yield content


def read_text(path: Path, **how: Any) -> pd.DataFrame:
    """A table in text, as ``pandas.read_csv`` reads it."""
    with unpacked(path) as content:
        table: pd.DataFrame = pd.read_csv(content, **how)
    return table


def read_parquet(path: Path, columns: list[str]) -> pd.DataFrame:
    """Columns of a parquet table.

    Raises
    ------
    FileTooLargeError
        If it says to have far more rows than its size allows.
    """
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    sizes = [group.column(j).total_uncompressed_size for group in groups for j in range(group.num_columns)]
    _check(max(8 * about.num_rows * about.num_columns, sum(sizes)), path)
    table: pd.DataFrame = pd.read_parquet(path, columns=columns)
    return table


def read_cells(path: Path) -> AnnData:
    """An h5ad file.

    Raises
    ------
    FileTooLargeError
        If its arrays are said to be far larger than the file.
    """
    import h5py

    sizes: list[int] = []

    def weigh(_: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            sizes.append(node.size * node.dtype.itemsize)

    with h5py.File(path, "r") as file:
        file.visititems(weigh)
    _check(sum(sizes), path)
    return read_h5ad(path)


def _check(size: int, path: Path) -> None:
    most = ROOM + _CELLS * path.stat().st_size
    if size > most:
        raise FileTooLargeError(f"it says to hold {size} bytes, more than {_CELLS} times its size")
