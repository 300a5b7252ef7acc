"""A lazy view on log-normalised values of dense, CSR, CSC and backed matrices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError, LayerError, ParameterError
from grn._kernels.expression import LINEAR_ABOVE, RunningMoments, log_normalize

_BLOCK_VALUES = 2**24
_PEEK_CELLS = 512


@dataclass(frozen=True)
class Scan:
    """What one pass over a matrix tells about its values."""

    n_cells: int
    low: float
    high: float
    integer: bool
    n_nan: int
    n_infinite: int
    n_zero_cells: int
    constant: np.ndarray

    @property
    def kind(self) -> str:
        """One of counts, log, linear, scaled, empty."""
        nothing = self.n_cells == 0 or len(self.constant) == 0 or np.isnan(self.low)
        if nothing or (self.low == 0 and self.high == 0):
            return "empty"
        if self.low < 0:
            return "scaled"
        if self.integer:
            return "counts"
        return "linear" if self.high > LINEAR_ABOVE else "log"


def sources(adata: AnnData) -> dict[str, Any]:
    """Matrices of the object by the argument that selects them."""
    found: dict[str, Any] = {} if adata.X is None else {"layer=None": adata.X}
    found.update({f"layer={name!r}": adata.layers[name] for name in adata.layers})
    if adata.raw is not None:
        found["use_raw=True"] = adata.raw.X
    return found


def label(layer: str | None, *, use_raw: bool) -> str:
    """Where values come from, in words a user knows."""
    if use_raw:
        return "adata.raw"
    return "adata.X" if layer is None else f"adata.layers[{layer!r}]"


def select(adata: AnnData, layer: str | None, *, use_raw: bool) -> Any:
    """Return the matrix asked for or say which exist."""
    if layer is not None and use_raw:
        raise ParameterError(f"layer={layer!r} and use_raw=True were both given; pass one of them.")
    exists = ", ".join(sources(adata)) or "none"
    if use_raw:
        if adata.raw is None:
            raise LayerError(f"use_raw=True was asked for but adata.raw is None; available: {exists}.")
        return adata.raw.X
    if layer is not None and layer not in adata.layers:
        raise LayerError(f"the object has no layer {layer!r}; available: {exists}.")
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        raise LayerError(f"adata.X is empty (None); available: {exists}.")
    return matrix


def by_rows(matrix: Any) -> Any:
    """Return the matrix in a form that is cheap to slice by rows; compressed columns become compressed rows."""
    if getattr(matrix, "format", None) == "csc":
        return (matrix if sparse.issparse(matrix) else matrix.to_memory()).tocsr()
    return matrix


def take(matrix: Any, rows: slice | np.ndarray) -> sparse.csr_array | np.ndarray:
    """Read rows in the order asked for as float64, from memory or disk."""
    if isinstance(rows, slice) or sparse.issparse(matrix) or isinstance(matrix, np.ndarray):
        return _plain(matrix[rows])
    unique, back = np.unique(rows, return_inverse=True)  # files want increasing positions
    first, stop = int(unique[0]), int(unique[-1]) + 1
    if stop - first <= 4 * len(unique):
        return _plain(matrix[first:stop])[rows - first]
    return _plain(matrix[unique])[back]


def _plain(block: Any) -> sparse.csr_array | np.ndarray:
    if hasattr(block, "compute"):
        block = block.compute()
    if sparse.issparse(block):
        block = sparse.csr_array(block, dtype=np.float64, copy=True)
        block.sum_duplicates()
        return block
    return np.array(block, dtype=np.float64)


def slices(n_cells: int, n_vars: int) -> Iterator[slice]:
    """Row ranges of bounded size."""
    step = max(1, _BLOCK_VALUES // max(1, n_vars))
    for start in range(0, n_cells, step):
        yield slice(start, min(start + step, n_cells))


def scan(matrix: Any, *, peek: bool = False) -> Scan:
    """Look at all values, or with ``peek`` at those of up to 512 evenly spaced cells."""
    matrix = matrix if peek else by_rows(matrix)
    n_cells, n_vars = matrix.shape
    if peek and n_cells > _PEEK_CELLS:
        matrix = take(matrix, np.unique(np.linspace(0, n_cells - 1, _PEEK_CELLS).astype(int)))
        n_cells = matrix.shape[0]
    low, high = np.full(n_vars, np.inf), np.full(n_vars, -np.inf)
    integer, n_nan, n_infinite, n_zero = True, 0, 0, 0
    for rows in slices(n_cells, n_vars) if n_vars else ():
        block = take(matrix, rows)
        values = block.data if sparse.issparse(block) else block
        finite = np.isfinite(values)
        n_nan += int(np.isnan(values).sum())
        n_infinite += int((~finite).sum())
        integer = integer and bool(np.all(values[finite] == np.rint(values[finite])))
        n_zero += int(np.sum(abs(block).sum(axis=1) == 0))
        top, bottom = block.max(axis=0), block.min(axis=0)
        if sparse.issparse(block):
            top, bottom = top.toarray().ravel(), bottom.toarray().ravel()
        low, high = np.minimum(low, bottom), np.maximum(high, top)
    known = np.isfinite(low) & np.isfinite(high)
    return Scan(
        n_cells=n_cells,
        low=float(low[known].min()) if known.any() else np.nan,
        high=float(high[known].max()) if known.any() else np.nan,
        integer=integer,
        n_nan=n_nan,
        n_infinite=n_infinite - n_nan,
        n_zero_cells=n_zero,
        constant=low == high,
    )


def holding(adata: AnnData, kinds: tuple[str, ...], *, but: Any = None) -> list[str]:
    """Arguments that select a matrix of one of the kinds, leaving out the matrix ``but``."""
    found = []
    for argument, matrix in sources(adata).items():
        if argument == but:
            continue
        seen = scan(matrix, peek=True)
        if seen.kind in kinds and not seen.n_nan and not seen.n_infinite:
            found.append(argument)
    return found


def argument_of(layer: str | None, *, use_raw: bool) -> str:
    """Name a matrix the way :func:`sources` does."""
    return "use_raw=True" if use_raw else f"layer={layer!r}"


def remedy(adata: AnnData, kinds: tuple[str, ...], layer: str | None, *, use_raw: bool) -> str:
    """Say which other matrix of the object fits, or how to make one."""
    other = holding(adata, kinds, but=argument_of(layer, use_raw=use_raw))
    if other:
        return f"Pass {' or '.join(other)}, which holds such values."
    if "log" in kinds:
        return "Keep the counts and run sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)."
    return "Load the object with its counts, for example into adata.layers['counts']."


class Expression:
    """Log-normalised values of an object, read in blocks of cells.

    Counts (and linear values such as CPM) become log1p of counts per 10 000 of the cell; values that are on a
    log scale are passed through. Nothing is ever densified as a whole.
    """

    def __init__(self, matrix: Any, kind: str, columns: np.ndarray | None, *, integer: bool = False) -> None:
        self._matrix = by_rows(matrix)
        self._columns = columns
        self.kind, self.integer = kind, integer
        self.n_cells = int(self._matrix.shape[0])
        self.n_vars = int(self._matrix.shape[1]) if columns is None else len(columns)

    def moments(self, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and population standard deviation per gene, float64 (n_vars,), over all cells or those of a mask."""
        keep = None if mask is None else self._positions(mask)
        running = RunningMoments(self.n_vars)
        for rows in slices(self.n_cells, self._matrix.shape[1]):
            if keep is None:
                running.add(self._block(rows))
                continue
            inside = keep[np.searchsorted(keep, rows.start) : np.searchsorted(keep, rows.stop)]
            if len(inside):
                running.add(self._block(inside))
        if running.count == 0:
            raise ExpressionError("the mask selects no cells; mean and deviation need at least one.")
        return running.result()

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Values of some cells, float32 dense (k, n_vars), in the order of ``index`` (positions or a mask)."""
        index = np.asarray(index)
        index = self._positions(index) if index.dtype == bool else index.astype(np.int64)
        if index.size == 0:
            return np.zeros((0, self.n_vars), dtype=np.float32)
        if index.min() < -self.n_cells or index.max() >= self.n_cells:
            raise ParameterError(f"cell positions run from {index.min()} to {index.max()}; there are {self.n_cells}.")
        block = self._block(index % self.n_cells)
        return np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=np.float32)

    def totals(self, index: np.ndarray) -> np.ndarray | None:
        """Counts per cell (k,) over all genes, for positions or a mask; ``None`` unless the matrix holds counts."""
        if not self.integer:
            return None
        index = np.asarray(index)
        index = self._positions(index) if index.dtype == bool else index.astype(np.int64)
        found: np.ndarray = np.zeros(len(index))
        for part in slices(len(index), self._matrix.shape[1]):
            found[part] = np.asarray(take(self._matrix, index[part]).sum(axis=1)).ravel()
        return found

    def _positions(self, mask: np.ndarray) -> np.ndarray:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.n_cells,):
            raise ParameterError(
                f"the mask has dtype {mask.dtype} and shape {mask.shape}; pass booleans of shape ({self.n_cells},)."
            )
        return np.flatnonzero(mask)

    def _block(self, rows: slice | np.ndarray) -> sparse.csr_array | np.ndarray:
        block = take(self._matrix, rows)
        if self.kind == "counts":
            block = log_normalize(block)
        return block if self._columns is None else block[:, self._columns]
