"""Cells from the file formats that single-cell programs write, or an error that says how to bring them into one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grn._core.errors import DataNotFoundError, GrnError, MissingDependencyError, ParameterError
from grn._core.files import make_folder, written
from grn._core.logging import hint, root_left_alone

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

MUDATA = ".h5mu"
_ELSEWHERE = {
    ".rds": "is a file of R; write an .h5ad from there, with zellkonverter::writeH5AD or SeuratDisk",
    ".mtx": "is a matrix without names; pass the folder that holds it with barcodes and features",
}
_TEXT = (".csv", ".tsv", ".txt", ".gz", ".xlsx", ".parquet")


def read_cells(path: Path) -> AnnData | MuData:
    """Read an object.

    Parameters
    ----------
    path
        ``.h5ad``, ``.h5mu``, ``.zarr``, the ``.h5`` of 10x (cellranger or CellBender), ``.loom``, or a folder with
        10x's ``matrix.mtx``.

    Raises
    ------
    DataNotFoundError
        If there is nothing.
    ParameterError
        If it is of another format, or damaged.
    MissingDependencyError
        If a loom file is given and loompy is not installed.
    """
    if not path.exists():
        raise DataNotFoundError(f"no file {path}; pass the path of an .h5ad file, a 10x .h5 file or a .loom file.")
    read = _reader(path)
    try:
        return read(path)
    except GrnError:
        raise
    except Exception as error:  # readers raise what they like on a damaged file
        raise ParameterError(f"{path} cannot be read as {_FORMATS[read]} file ({_line(error)}).") from error


def write_cells(data: AnnData | MuData, path: Path, *, option: str) -> None:
    """Write an object, a MuData as it is: its modalities keep their columns to themselves.

    Parameters
    ----------
    data
        The object.
    path
        File to write; its folder is made.
    option
        What named the file, for errors.
    """
    make_folder(path.absolute().parent)
    with written(path, name=option) as place, _columns_apart():
        getattr(data, f"write_{'h5mu' if hasattr(data, 'mod') else 'h5ad'}")(place)


def _reader(path: Path) -> Callable[[Path], AnnData | MuData]:
    suffix = path.suffix.lower()
    if path.is_dir():
        if any((path / name).is_file() for name in ("matrix.mtx", "matrix.mtx.gz")):
            return _folder
        if any((path / name).is_file() for name in (".zgroup", "zarr.json")):
            return _zarr
        raise ParameterError(f"{path} is a folder and holds neither a zarr group nor 10x's matrix.mtx; pass a file.")
    if suffix in _ELSEWHERE:
        raise ParameterError(f"{path} {_ELSEWHERE[suffix]}.")
    if suffix in _TEXT:
        raise ParameterError(
            f"{path} is a table; read it with scanpy (adata = sc.read_csv(path), cells as rows) and write an .h5ad "
            "file: adata.write_h5ad('cells.h5ad')."
        )
    if suffix == MUDATA:
        return _h5mu
    if suffix == ".loom":
        return _loom
    if suffix == ".h5":
        return _h5
    return _h5ad


def _h5ad(path: Path) -> AnnData:
    import anndata as ad

    return ad.read_h5ad(path)


def _h5mu(path: Path) -> MuData:
    import mudata

    with _columns_apart():
        return mudata.read_h5mu(path)


@contextmanager
def _columns_apart() -> Iterator[None]:
    """Keep MuData from copying columns of its modalities, of which it warns."""
    import mudata

    with root_left_alone(), mudata.set_options(pull_on_update=False):
        yield


def _zarr(path: Path) -> AnnData:
    import anndata as ad

    return ad.read_zarr(path)


def _loom(path: Path) -> AnnData:
    import anndata as ad

    if importlib.util.find_spec("loompy") is None:
        raise MissingDependencyError(
            f"{path} is a loom file, which needs loompy: pip install loompy, or write an .h5ad file where there is one."
        )
    return _unique(ad.io.read_loom(path))


def _h5(path: Path) -> AnnData:
    """The matrix of 10x, or an object whose file was named ``.h5``."""
    import h5py

    with h5py.File(path) as file:
        there = set(file)
    if {"X", "obs", "var"} <= there:
        return _h5ad(path)
    import scanpy as sc

    return _unique(sc.read_10x_h5(path))


def _folder(path: Path) -> AnnData:
    import scanpy as sc

    return _unique(sc.read_10x_mtx(path))


def _unique(adata: AnnData) -> AnnData:
    """The object with names that do not repeat."""
    twice = int(adata.var_names.duplicated().sum())
    if twice:
        adata.var_names_make_unique()
        hint("%d gene names occur more than once and got a number: a gene keeps its name where it comes first", twice)
    if not adata.obs_names.is_unique:
        adata.obs_names_make_unique()
    return adata


_FORMATS: dict[Callable[[Path], AnnData | MuData], str] = {
    _h5ad: "an .h5ad",
    _h5mu: "an .h5mu",
    _zarr: "a zarr",
    _loom: "a loom",
    _h5: "a 10x .h5",
    _folder: "a 10x matrix.mtx",
}


def _line(error: Exception) -> str:
    """What an error says, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + " ..."
