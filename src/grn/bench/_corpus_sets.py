"""The data sets of a corpus, of cells or of whole-body profiles: names, files, and values over wanted genes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import anndata as ad
import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import DataNotFoundError, ExpressionError, ParameterError
from grn._core.files import as_path, check_access
from grn._kernels.expression import as_log, row_blocks
from grn._kernels.scale import Kind
from grn._kernels.scan import detect_kind
from grn.datasets import local_files
from grn.genes import detect_organism, resolve
from grn.genes.tables import ORGANISMS

CELLS, PROFILES = "expression", "profiles"
_PER_MILLION = 1e6


def training_sets() -> tuple[str, ...]:
    """Names of the data sets that ``mini`` was trained on, from its card.

    Returns
    -------
    tuple of str
        Sorted.

    Examples
    --------
    >>> len(training_sets()) > 20
    True
    """
    card = json.loads(files("grn.models").joinpath("weights", "mini.json").read_text(encoding="utf-8"))
    return tuple(sorted(entry["name"] for entry in card["training_sets"]))


def unique(names: Iterable[str], what: str) -> np.ndarray:
    """Names sorted, each once; at least one."""
    listed: np.ndarray = np.unique(np.asarray(checks.names(what, names), dtype=str))
    listed = listed[listed != ""]
    if not len(listed):
        raise ParameterError(f"{what} is empty; pass at least one name.")
    return listed


def find(names: Sequence[str] | None, path: str | Path | None) -> dict[str, Path]:
    """Files by name of data set, sorted; by default those that ``mini`` was trained on.

    A name is a file of cells in ``expression/``, or else one of profiles in ``profiles/``.
    """
    if path is not None and as_path(path).is_file():
        raise ParameterError(f"path={str(path)!r} is a file; pass the folder that holds expression/<name>.h5ad.")
    files_of = {}
    for name in unique(training_sets() if names is None else names, "names").tolist():
        places = (local_files.find(folder, f"{name}.h5ad", path=path) for folder in (CELLS, PROFILES))
        place = next((place for place in places if place is not None), None)
        if place is None:
            raise _absent(name, path)
        files_of[name] = place
    return files_of


def _absent(name: str, path: str | Path | None) -> DataNotFoundError:
    return local_files.not_found(
        CELLS,
        f"{name}.h5ad",
        path=path,
        what=f"the data set {name!r} of the corpus",
        where_published="the source that its name gives (tissue, author and year, or accession)",
    )


def is_profile(path: Path) -> bool:
    """Whether a file holds means over tissues, cell types or cell lines instead of cells."""
    return path.parent.name == PROFILES


def read(name: str, path: Path) -> tuple[AnnData, Kind]:
    """Read one data set and tell its scale: counts, linear or log; profiles say theirs in ``uns["matrix"]``."""
    try:
        adata = ad.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        check_access(path, error)
        raise ExpressionError(
            f"data set {name!r} ({path.name}) cannot be read: {error}. Get the file again."
        ) from error
    kind: Kind = "empty" if adata.X is None else detect_kind(adata.X, where=f"X of data set {name!r}")
    if is_profile(path) and kind in ("counts", "linear", "log"):
        # logarithms to base 2 reach values that would be counts in cells
        kind = "log" if "log" in str(adata.uns.get("matrix", "")).lower() else "linear"
    if kind in ("scaled", "nan", "empty"):
        raise ExpressionError(
            f"the matrix of data set {name!r} is {kind}; expected counts or log-normalised values without NaN. "
            f"Repair {path.name}, or leave the set out with names=."
        )
    return adata, kind


def listed(
    adata: AnnData, kind: Kind, genes: np.ndarray, *, rows: np.ndarray | None = None
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Log-normalised values of the genes that a data set of cells lists, and the position of each among ``genes``.

    Counts become log1p of counts per 10 000 over all genes of the file; values on a log scale are taken as they are.

    Parameters
    ----------
    adata, kind
        A data set and its scale, from :func:`read`.
    genes
        Human symbols wanted, sorted.
    rows
        Positions of the cells; by default all, sorted by name, so that sums do not depend on their order.
    """
    columns, places = _columns(adata, genes)
    X = adata.X[_by_name(adata) if rows is None else rows]
    blocks = [sparse.csr_matrix(as_log(block, kind)[:, columns], dtype=np.float32) for _, block in row_blocks(X)]
    return sparse.vstack(blocks, format="csr"), places


def profiled(adata: AnnData, kind: Kind, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (profiles, genes) of a file of profiles on a log scale, and the position of each gene among ``genes``.

    Linear values become log2(1 + parts per million over all genes of the file); logarithms are taken as they are.

    Parameters
    ----------
    adata, kind
        Profiles and their scale, from :func:`read`.
    genes
        Human symbols wanted, sorted.
    """
    columns, places = _columns(adata, genes)
    X = adata.X[_by_name(adata)]
    dense = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)
    if kind != "log":
        dense = np.log2(1 + dense / np.maximum(dense.sum(axis=1, keepdims=True), 1e-12) * _PER_MILLION)
    return dense[:, columns].astype(np.float32), places


def _by_name(adata: AnnData) -> np.ndarray:
    return np.argsort(np.asarray(adata.obs_names, dtype=str), kind="stable")


def _columns(adata: AnnData, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of wanted genes, one each, and the positions of these; an approved symbol outranks other names."""
    organism = adata.uns.get("organism")
    if organism not in ORGANISMS:
        organism = detect_organism(adata.var_names)
    names = np.asarray(adata.var_names, dtype=str)
    symbols = resolve(names, organism=organism, orthologs="syntenic")["symbol"].to_numpy(dtype=str)
    columns = np.flatnonzero(np.isin(symbols, genes))
    columns = columns[np.lexsort((names[columns], names[columns] != symbols[columns], symbols[columns]))]
    unique_symbols, first = np.unique(symbols[columns], return_index=True)
    return columns[first], np.searchsorted(genes, unique_symbols)
