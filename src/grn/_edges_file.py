"""Tables of edges in text files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grn._core.errors import DataNotFoundError, ParameterError
from grn._core.files import UNREADABLE, check_access

if TYPE_CHECKING:
    import pandas as pd

_TABLES = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in _TABLES


def read_edges(path: Path) -> pd.DataFrame:
    """A table of edges, in which a gene may be called NA.

    Parameters
    ----------
    path
        ``.csv``, or ``.tsv`` and ``.txt`` with tabs.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    ParameterError
        If it cannot be read.
    """
    import pandas as pd

    if not path.is_file():
        raise DataNotFoundError(f"no file {path}; pass an object with a network (.h5ad), or a table of edges (.csv).")
    form = {"sep": _TABLES[path.suffix.lower()], "keep_default_na": False, "float_precision": "round_trip"}
    try:
        numbers = pd.read_csv(path, nrows=0, **form).columns.difference(["source", "target"])
        return pd.read_csv(
            path, na_values={name: [""] for name in numbers}, dtype={"source": str, "target": str}, **form
        )
    except UNREADABLE as error:
        check_access(path, error)
        raise ParameterError(f"{path} cannot be read as a table of edges ({' '.join(str(error).split())}).") from error
