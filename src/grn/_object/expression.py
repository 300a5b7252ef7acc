"""A lazy view on log-normalised values of matrices in memory, in files and of dask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError, LayerError, ParameterError
from grn._core.logging import logger
from grn._kernels import matrix as _matrix
from grn._kernels.expression import RunningMoments, as_log, group_moments, log_normalize, seen
from grn._kernels.matrix import by_rows, open_matrix, pieces, window
from grn._kernels.matrix_parts import Source
from grn._kernels.scale import Decision
from grn._kernels.scan import VALUES

Pair = tuple[np.ndarray, np.ndarray]
# which matrices were asked for, as (layer, use_raw), while somebody wants to know
_READS: ContextVar[Reads | None] = ContextVar("grn_reads", default=None)


class Reads(list[tuple[str | None, bool]]):
    """Which matrices were asked for, what scale the last one was read on, and the views on them.

    Within one call a matrix is looked at once, however many functions ask for it.
    """

    decision: Decision | None = None

    def __init__(self, outer: Reads | None = None) -> None:
        super().__init__()
        # by the id of the object, which is kept beside its view so that no other gets that id
        self.views: dict[tuple[Any, ...], tuple[AnnData, Expression]] = {} if outer is None else outer.views

    @property
    def told(self) -> dict[str, str]:
        """What ``params`` say of it: ``values``, and whether that was ``"detected"`` or ``"given"``."""
        if self.decision is None:
            return {}
        return {"values": self.decision.kind, "values_from": self.decision.how}


def note(decision: Decision) -> None:
    """Remember on what scale values are read, if somebody wants to know."""
    reads = _READS.get()
    if reads is not None:
        reads.decision = decision


def view_of(
    adata: AnnData, layer: str | None, make: Callable[[], Expression], *, use_raw: bool, values: str
) -> Expression:
    """The view that was made of a matrix within this call, else the one that ``make`` gives, remembered from now on."""
    reads = _READS.get()
    if reads is None:
        return make()
    key = (id(adata), layer, use_raw, values)
    if key in reads.views:
        reads.append((layer, use_raw))
    else:
        reads.views[key] = adata, make()
    view = reads.views[key][1]
    note(view.decision)
    return view


def values_of(params: Mapping[str, Any]) -> str:
    """What stored ``params`` say that the values were; ``"auto"`` if they do not."""
    values = params.get("values")
    return values if isinstance(values, str) and values in VALUES else "auto"


def sources(adata: AnnData) -> dict[str, Source]:
    """Matrices of the object by the argument that selects them; none is read or copied."""
    whole = _whole(adata)
    matrices = {} if whole.X is None else {"layer=None": _held(adata, lambda a: a.X)}
    matrices.update({f"layer={name!r}": _held(adata, lambda a, name=name: a.layers[name]) for name in whole.layers})
    if adata.raw is not None:
        matrices["use_raw=True"] = _held(adata, lambda a: a.raw.X, raw=True)
    return matrices


def _whole(adata: AnnData) -> AnnData:
    """The object that a view is a view of."""
    parent = getattr(adata, "_adata_ref", None) if adata.is_view else None
    return adata if parent is None else parent


def _held(adata: AnnData, get: Callable[[AnnData], Any], *, raw: bool = False) -> Source:
    """A matrix of an object; a view is read through the matrix of its parent, which may be too large to subset."""
    whole = _whole(adata)
    source = open_matrix(get(whole))
    if whole is adata:
        return source
    rows, columns = (_part(index, n) for index, n in ((adata._oidx, whole.n_obs), (adata._vidx, whole.n_vars)))
    return window(source, rows, None if raw else columns)


def _part(index: Any, n: int) -> np.ndarray | None:
    """Positions that an index of a view stands for; ``None`` for all."""
    everything = isinstance(index, slice) and index.indices(n) == (0, n, 1)
    return None if everything else np.arange(n)[index]


def label(layer: str | None, *, use_raw: bool) -> str:
    """Where values come from, in words a user knows."""
    if use_raw:
        return "adata.raw"
    return "adata.X" if layer is None else f"adata.layers[{layer!r}]"


@contextmanager
def reads_of() -> Iterator[Reads]:
    """List the matrices, as ``(layer, use_raw)``, that are asked for within a ``with`` block."""
    reads = Reads(_READS.get())
    token = _READS.set(reads)
    try:
        yield reads
    finally:
        _READS.reset(token)


def argument_of(layer: str | None, *, use_raw: bool) -> str:
    """Name a matrix the way :func:`sources` does."""
    return "use_raw=True" if use_raw else f"layer={layer!r}"


def select(adata: AnnData, layer: str | None, *, use_raw: bool) -> Source:
    """Return the matrix asked for or say which exist."""
    reads = _READS.get()
    if reads is not None:
        reads.append((layer, use_raw))
    if layer is not None and use_raw:
        raise ParameterError(f"layer={layer!r} and use_raw=True were both given; pass one of them.")
    whole = _whole(adata)
    if use_raw and adata.raw is None:
        raise LayerError(f"use_raw=True was asked for but adata.raw is None; available: {_exists(adata)}.")
    if layer is not None and layer not in whole.layers:
        raise LayerError(f"the object has no layer {layer!r}; available: {_exists(adata)}.")
    if layer is None and not use_raw and whole.X is None:
        raise LayerError(f"adata.X is empty (None); available: {_exists(adata)}.")
    if use_raw:
        return _held(adata, lambda a: a.raw.X, raw=True)
    return _held(adata, lambda a: a.X if layer is None else a.layers[layer])


def _exists(adata: AnnData) -> str:
    return ", ".join(sources(adata)) or "none"


def take(matrix: Any, rows: slice | np.ndarray) -> sparse.csr_array | np.ndarray:
    """Read rows in the order asked for as float64, from memory or disk."""
    return _matrix.take(open_matrix(matrix), rows)


class Expression:
    """Log-normalised values of an object, read in pieces of bounded size.

    Counts (and linear values such as CPM) become log1p of counts per 10 000 of the cell; values that are on a
    log scale are passed through. Nothing is ever densified as a whole.

    Parameters
    ----------
    matrix
        Cells x genes, in memory or not.
    decision
        What scale the values are on; all but logarithms are normalised.
    columns
        Genes to keep after normalising; ``None`` is all.
    totals
        Totals of the cells (n_cells,), as :func:`grn._kernels.scan.scan` gives them.
    """

    def __init__(self, matrix: Any, decision: Decision, columns: np.ndarray | None, *, totals: np.ndarray) -> None:
        self._source, self._cells = open_matrix(matrix), None
        self._columns, self._totals = columns, totals
        self.decision, self.kind = decision, decision.kind
        self.n_cells = self._source.shape[0]
        self.n_vars = self._source.shape[1] if columns is None else len(columns)

    def moments(self, mask: np.ndarray | None = None) -> Pair:
        """Mean and population standard deviation per gene, float64 (n_vars,), over all cells or those of a mask."""
        codes = np.zeros(self.n_cells, dtype=np.int64)
        if mask is not None:
            codes -= 1
            codes[self._positions(mask)] = 0
        return self._result(self._moments(codes, 1)[0])

    def group_moments(self, codes: np.ndarray) -> tuple[Pair, list[Pair]]:
        """Mean and deviation over all cells, and those of every group, in one pass over the matrix.

        ``codes`` (n_cells,) are the groups of the cells, from 0; -1 is no group.
        """
        n_groups = int(codes.max()) + 1
        by_group = self._moments(np.where(codes < 0, n_groups, codes), n_groups + 1)
        everyone = RunningMoments(self.n_vars)
        for part in by_group:
            everyone.join(part)
        return self._result(everyone), [self._result(part) for part in by_group[:-1]]

    def profiles(self, codes: np.ndarray) -> np.ndarray:
        """One log-normalised profile per group of cells, float64 (n_groups, n_vars); -1 is no group.

        Counts are summed over the cells of a group and normalised then, so that a cell counts by its depth; logarithms
        are averaged.
        """
        n_groups = int(codes.max()) + 1
        parts = group_moments(self._source, "log", codes, n_groups, columns=self._columns)
        means = np.stack([self._result(part)[0] for part in parts])
        if self.kind == "log":
            return means
        inside = codes >= 0
        total = np.bincount(codes[inside], weights=self._totals[inside], minlength=n_groups)
        return np.asarray(log_normalize(means, total / np.bincount(codes[inside], minlength=n_groups)))

    def seen(self, codes: np.ndarray) -> np.ndarray:
        """Number of cells of every group in which a gene is above zero (n_groups, n_vars); -1 is no group."""
        return seen(self._source, codes, int(codes.max()) + 1, columns=self._columns)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Values of some cells, float32 dense (k, n_vars), in the order of ``index`` (positions or a mask)."""
        return self._read(self._index(index), log=True)

    def _read(self, index: np.ndarray, *, log: bool) -> np.ndarray:
        out = np.empty((len(index), self.n_vars), dtype=np.float32)
        source = self._by_cells()
        if source.axis == 1:
            self._read_by_genes(index, out, log=log)
            return out
        order = np.argsort(index, kind="stable")
        step = max(1, _matrix.VALUES // self._source.shape[1])
        for start in range(0, len(index), step):
            part = order[start : start + step]
            block = _matrix.take(source, index[part])
            block = self._log(block, index[part]) if log else block
            out[part] = _dense(block if self._columns is None else block[:, self._columns])
        return out

    def counts(self, index: np.ndarray) -> np.ndarray:
        """Counts of some cells as they are stored, float32 dense (k, n_vars), in the order of ``index``."""
        if self.kind != "counts":
            raise ExpressionError(
                f"the values are on a {self.kind} scale ({self.decision.why}), and the method models raw counts; pass "
                "the layer that holds them: layer='counts'."
            )
        return self._read(self._index(index), log=False)

    def columns(self, genes: np.ndarray) -> sparse.csr_matrix:
        """Values of some genes in all cells, float64 (n_cells, G), in one pass; for values that are mostly zero."""
        place = np.full(self._source.shape[1], -1)
        place[np.asarray(genes) if self._columns is None else self._columns[genes]] = np.arange(len(genes))
        rows, columns, values = [], [], []
        for piece in pieces(self._source):
            part = sparse.coo_matrix(self._log(piece.values, np.arange(self.n_cells)[piece.rows]))
            where = place[np.arange(len(place))[piece.columns]][part.col]
            wanted = where >= 0
            rows.append(np.arange(self.n_cells)[piece.rows][part.row[wanted]])
            columns.append(where[wanted])
            values.append(part.data[wanted])
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(entries, shape=(self.n_cells, len(genes)))

    def blocks(self, genes: np.ndarray) -> Iterator[tuple[np.ndarray, sparse.csr_matrix]]:
        """Values of some genes, float64 (c, G), in some cells and then others, as they are stored; all of them once.

        A matrix that is stored by genes comes as one block.
        """
        if self._source.axis == 1:
            yield np.arange(self.n_cells), self.columns(genes)
            return
        columns = np.asarray(genes) if self._columns is None else self._columns[genes]
        for piece in pieces(self._source):
            cells = np.arange(self.n_cells)[piece.rows]
            yield cells, sparse.csr_matrix(sparse.csr_matrix(self._log(piece.values, cells))[:, columns])

    def totals(self, index: np.ndarray | None = None) -> np.ndarray | None:
        """Counts per cell (k,) over all genes, for positions or a mask; ``None`` unless the matrix holds counts."""
        if self.kind != "counts":
            return None
        return self._totals.copy() if index is None else self._totals[self._index(index)]

    def _by_cells(self) -> Source:
        """The matrix in the form that gives single cells fastest, without copying what is not in memory."""
        if self._cells is None:
            self._cells = by_rows(self._source)
            if self._cells.axis == 1:
                logger.warning(
                    "the matrix is stored by genes (CSC) and not in memory: all of it is read for every look at single "
                    "cells; where memory allows, store it by cells: adata = adata.to_memory(); "
                    "adata.X = adata.X.tocsr(); adata.write_h5ad(path)"
                )
        return self._cells

    def _moments(self, codes: np.ndarray, n_groups: int) -> list[RunningMoments]:
        return group_moments(self._source, self.kind, codes, n_groups, totals=self._totals, columns=self._columns)

    def _result(self, moments: RunningMoments) -> Pair:
        if self.n_vars and moments.count.max() == 0:
            raise ExpressionError("the mask selects no cells; mean and deviation need at least one.")
        return moments.result()

    def _read_by_genes(self, index: np.ndarray, out: np.ndarray, *, log: bool) -> None:
        """Rows of a matrix that is stored by genes: one pass over all of it."""
        if not len(index):
            return
        place = np.arange(self._source.shape[1]) if self._columns is None else self._columns
        slot = np.full(self._source.shape[1], -1)
        slot[place] = np.arange(len(place))
        for piece in pieces(self._source):
            where = slot[piece.columns]
            block = self._log(piece.values[index], index) if log else piece.values[index]
            out[:, where[where >= 0]] = _dense(block)[:, where >= 0]

    def _log(self, block: Any, cells: np.ndarray) -> Any:
        return as_log(block, self.kind, self._totals[cells])

    def _index(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        if index.dtype == bool:
            return self._positions(index)
        index = index.astype(np.int64)
        if index.size and (index.min() < -self.n_cells or index.max() >= self.n_cells):
            raise ParameterError(f"cell positions run from {index.min()} to {index.max()}; there are {self.n_cells}.")
        return index % self.n_cells

    def _positions(self, mask: np.ndarray) -> np.ndarray:
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.n_cells,):
            raise ParameterError(
                f"the mask has dtype {mask.dtype} and shape {mask.shape}; pass booleans of shape ({self.n_cells},)."
            )
        return np.flatnonzero(mask)


def _dense(block: Any) -> np.ndarray:
    return block.toarray() if sparse.issparse(block) else block
