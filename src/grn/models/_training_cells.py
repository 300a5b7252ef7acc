"""Real cells as training material: one sparse matrix per data set, on its own scale of means and spreads."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from grn._core.errors import ExpressionError, GeneNameError, GeneOverlapError, ParameterError
from grn._core.feature_types import gene_mask
from grn._core.labels import unique_cells
from grn._kernels.expression import as_log, moments, row_blocks
from grn._kernels.matrix import open_matrix
from grn._kernels.matrix_parts import only
from grn._kernels.scan import detect_kind


@dataclass(frozen=True)
class CellSet:
    """Cells of one data set over the part of the vocabulary it measures.

    Parameters
    ----------
    name
        Name of the data set.
    X
        Log-normalised expression, CSR float32 (cells, genes).
    tokens
        Vocabulary position of every column.
    mean, std
        Moments of the columns over the cells that may be trained on.
    detection
        Fraction of cells with a non-zero value, per column.
    names
        Cell names.
    """

    name: str
    X: sp.csr_matrix
    tokens: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    detection: np.ndarray
    names: np.ndarray

    def z(self, rows: np.ndarray, columns: np.ndarray, lower: float, upper: float) -> np.ndarray:
        """Z-scores (rows, columns) float32, clipped."""
        dense: np.ndarray = self.X[rows][:, columns].toarray()
        z: np.ndarray = np.clip((dense - self.mean[columns]) / self.std[columns], lower, upper)
        return z.astype(np.float32)


def cell_sets(
    adatas: Any, vocabulary: Mapping[str, int], *, min_genes: int = 200, values: str = "auto"
) -> list[CellSet]:
    """Turn annotated matrices into training sets.

    Parameters
    ----------
    adatas
        One object, a list or a dict by name of objects with ``X``, ``var`` and ``var_names`` (AnnData).
        Genes are looked up in ``var["grn_symbol"]`` (written by ``grn.pp.align_genes``), else in ``var_names``.
    vocabulary
        Gene name to vocabulary position.
    min_genes
        Least number of known, varying genes of a data set.
    values
        What the values of all of them are: ``"counts"``, ``"linear"``, ``"log"``, or ``"auto"`` to find out.

    Raises
    ------
    ExpressionError
        If values are negative, NaN or missing.
    GeneNameError
        If two columns of a data set stand for one gene of the vocabulary.
    GeneOverlapError
        If a data set has fewer than ``min_genes`` genes of the vocabulary that vary.
    """
    return [_cell_set(name, adata, vocabulary, min_genes, values) for name, adata in _named(adatas)]


def _named(adatas: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(adatas, Mapping):
        named = [(str(name), adata) for name, adata in adatas.items()]
    else:
        listed = adatas if isinstance(adatas, Sequence) and not isinstance(adatas, str) else [adatas]
        named = [(f"set{i}", adata) for i, adata in enumerate(listed)]
    for name, adata in named:
        if not all(hasattr(adata, member) for member in ("X", "var", "var_names", "obs_names")):
            raise ParameterError(
                f"data set {name!r} has type {type(adata).__name__}; pass an AnnData, a list or a dict of AnnData."
            )
    if not named:
        raise ParameterError("adatas is empty; pass an AnnData, a list or a dict of AnnData.")
    return named


def _cell_set(name: str, adata: Any, vocabulary: Mapping[str, int], min_genes: int, values: str) -> CellSet:
    if adata.X is None:
        raise ExpressionError(f"data set {name!r} has no matrix X; set adata.X to counts or log-normalised values.")
    mask = gene_mask(adata.var)
    matrix = adata.X if mask is None else only(open_matrix(adata.X), mask)
    kind = detect_kind(matrix, values, where=f"X of data set {name!r}")
    if kind in ("scaled", "nan", "empty"):
        raise ExpressionError(
            f"the matrix of data set {name!r} is {kind}; expected counts or log-normalised values without NaN. "
            "Look at grn.pp.check_expression(adata) for a layer that fits."
        )
    symbols = adata.var["grn_symbol"] if "grn_symbol" in adata.var else adata.var_names
    pairs = [(str(symbol), column) for column, symbol in enumerate(symbols) if str(symbol) in vocabulary]
    pairs = [pair for pair in pairs if mask is None or mask[pair[1]]]
    known = sorted({symbol for symbol, _ in pairs}, key=vocabulary.__getitem__)
    if len(known) < len(pairs):
        twice = sorted(symbol for symbol, n in Counter(symbol for symbol, _ in pairs).items() if n > 1)
        raise GeneNameError(
            f"in data set {name!r} {len(twice)} genes stand in several columns, for example {twice[:3]}; keep one of "
            "each, or call grn.pp.align_genes(adata), which marks such columns as ambiguous."
        )
    position = dict(pairs)
    columns = np.array([position[symbol] for symbol in known], dtype=np.int64)
    if len(columns) == 0:
        raise GeneOverlapError(
            f"data set {name!r} shares no gene name with the vocabulary; call grn.pp.align_genes(adata) first."
        )
    X = sp.vstack(
        [sp.csr_matrix(as_log(block, kind)[:, columns], dtype=np.float32) for _, block in row_blocks(matrix)],
        format="csr",
    )
    tokens = np.array([vocabulary[g] for g in known], dtype=np.int64)
    mean, std = moments(X, "log")
    keep = std > 1e-6
    if keep.sum() < min_genes:
        raise GeneOverlapError(
            f"data set {name!r} has {int(keep.sum())} varying genes of the vocabulary "
            f"({len(vocabulary)} genes); at least {min_genes} are needed. "
            "Call grn.pp.align_genes(adata) first."
        )
    X = X[:, keep]
    detection = np.asarray((X > 0).mean(axis=0)).ravel()
    names = np.array(unique_cells(adata.obs_names), dtype=str)
    return CellSet(name, X, tokens[keep], mean[keep], std[keep], detection, names)


def in_order(sets: Sequence[CellSet]) -> list[CellSet]:
    """Sort data sets by name and their cells by name, so that training draws the same cells whatever their order."""
    ordered = []
    for cells in sorted(sets, key=lambda found: found.name):
        order = np.argsort(cells.names, kind="stable")
        ordered.append(replace(cells, X=cells.X[order], names=cells.names[order]))
    return ordered


def hold_out(cells: CellSet, fraction: float) -> tuple[CellSet, CellSet]:
    """Split off a fraction of the cells by the hash of their names; both parts keep the training part's moments.

    Nothing is split off where fewer than two cells, or no gene that varies, would be left to learn from.
    """
    whole = cells, replace(cells, X=cells.X[:0], names=cells.names[:0])
    hashed = np.array(
        [int.from_bytes(hashlib.sha256(f"{cells.name}\x1f{n}".encode()).digest()[:4], "little") for n in cells.names]
    )
    held = hashed < fraction * 2**32
    if not held.any() or (~held).sum() < 2:
        return whole
    mean, std = moments(cells.X[~held], "log")
    keep = std > 1e-6
    if not keep.any():
        return whole
    common = replace(cells, tokens=cells.tokens[keep], mean=mean[keep], std=std[keep], detection=cells.detection[keep])
    return (
        replace(common, X=cells.X[~held][:, keep], names=cells.names[~held]),
        replace(common, X=cells.X[held][:, keep], names=cells.names[held]),
    )
