"""Matrices of cells x genes in pieces of bounded size: arrays, sparse matrices, h5ad and zarr files, dask arrays.

A container is read along its lines: cells, or genes where genes lie together (CSC, dask chunks of whole columns).
Every element is read once per pass, and no piece is larger than :data:`VALUES` unless a single line or dask chunk is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from grn._core.errors import ParameterError
from grn._core.logging import progress
from grn._core.optional import require
from grn._kernels.ahead import ahead
from grn._kernels.matrix_parts import Block, Changed, Lines, Source, Window, positions

# entries of a piece (stored ones, where it is sparse); work on one takes some 100 bytes of memory
VALUES = 2**21
# spans from which a pass over the cells shows a bar
_MANY = 16
# entries between two wanted lines of a file that are cheaper to read than to skip
_GAP = 2**15
# entries of a dask chunk of sparse type for every one that is assumed to be stored
_SPARSE = 8


@dataclass(frozen=True)
class Piece:
    """Whole rows or whole columns of a matrix: where they stand, and float64 values, dense, CSR or CSC."""

    rows: Lines
    columns: Lines
    values: Block


def open_matrix(matrix: Any) -> Source:
    """Any container as a source; nothing is read but the row pointers of sparse files."""
    if isinstance(matrix, _Sparse | _SparseFile | _Dense | _Chunked | Window | Changed):
        return matrix
    if isinstance(matrix, np.ndarray):
        return _Dense(matrix)
    if sp.issparse(matrix):
        return _Sparse(matrix)
    if hasattr(matrix, "__dask_graph__"):
        return _Chunked(matrix)
    if hasattr(matrix, "group") and getattr(matrix, "format", None) in ("csr", "csc"):
        return _SparseFile(matrix)
    if all(hasattr(matrix, name) for name in ("shape", "dtype", "chunks")):
        return _Dense(matrix)
    kind = type(matrix)
    raise ParameterError(
        f"the matrix has type {kind.__module__}.{kind.__qualname__}; expected a numpy array, a scipy CSR or CSC "
        "matrix, a dask array, or a data set of an h5ad or zarr file. Convert it to one of these."
    )


def window(source: Source, rows: np.ndarray | None, columns: np.ndarray | None) -> Source:
    """Part of a source that is no part itself, by positions in any order; ``None`` is all. Nothing is copied."""
    return source if rows is None and columns is None else Window(source, rows, columns)


def by_rows(source: Source) -> Source:
    """The source with cells as its lines if it is a CSC matrix in memory, which is copied; else as it is."""
    if source.axis == 1 and isinstance(source, _Sparse):
        return _Sparse(source.matrix.tocsr())
    if source.axis == 1 and isinstance(source, Window):
        return Window(by_rows(source.base), source.rows, source.columns)
    if isinstance(source, Changed):
        return Changed(by_rows(source.base), source.change)
    return source


def pieces(source: Source, keep: np.ndarray | None = None) -> Iterator[Piece]:
    """Pieces that cover the matrix once, or the cells of a mask ``keep``."""
    rows = None if keep is None else np.flatnonzero(keep)
    spans = list(source.spans()) if 0 not in source.shape else []
    if keep is not None and source.axis == 0:
        spans = [lines for lines in (_inside(span, keep) for span in spans) if lines is not None]
    show = None if len(spans) >= _MANY else False
    for lines, block in zip(progress(spans, desc="reading cells", show=show), ahead(source.read, spans), strict=True):
        step = _step(block, source.axis)
        for start in range(0, block.shape[source.axis], step):
            part = slice(start, start + step)
            if source.axis == 0:
                yield Piece(_inner(lines, part), slice(None), plain(block[part]))
            elif rows is None:
                yield Piece(slice(None), _inner(lines, part), plain(block[:, part]))
            else:
                yield Piece(rows, _inner(lines, part), plain(block[:, part][rows]))


def _inside(span: Lines, keep: np.ndarray) -> Lines | None:
    """The cells of a span that are in a mask; ``None`` for none."""
    cells = positions(span)
    inside = keep[cells]
    return None if not inside.any() else span if inside.all() else cells[inside]


def take(source: Source, rows: Lines) -> Block:
    """Some cells, in the order asked for, as float64 CSR or dense; a source of genes is read as a whole."""
    if source.axis == 0:
        return plain(source.read(rows))
    return to_rows(source, rows)


def to_rows(source: Source, rows: Lines = slice(None)) -> Block:
    """Some cells of a source of genes as float64, dense or CSR."""
    parts = [(piece.columns, piece.values[rows]) for piece in pieces(source)]
    if not parts:
        return np.zeros((len(positions(rows, source.shape[0])), source.shape[1]))
    place = np.concatenate([positions(columns) for columns, _ in parts])
    blocks = [block for _, block in parts]
    whole = sp.hstack(blocks, format="csr") if sp.issparse(blocks[0]) else np.hstack(blocks)
    return whole if (np.diff(place) == 1).all() else whole[:, np.argsort(place)]


def peek(source: Source, *, lines: int = 512, runs: int = 16) -> Block:
    """Some lines, in evenly spaced runs, as float64; cells, too, of a matrix in memory that is stored by genes."""
    if source.axis == 1 and _in_memory(source):
        n = source.shape[0]
        most = max(1, min(lines, VALUES // max(1, source.shape[1] // _SPARSE)))
        return to_rows(source, np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)))
    n = source.shape[source.axis]
    lines = max(1, min(lines, VALUES // max(1, source.shape[1 - source.axis] // _SPARSE)))
    if n <= lines:
        return plain(source.read(slice(0, n)))
    length = max(1, lines // runs)
    starts = np.linspace(0, n - length, min(runs, lines)).astype(np.int64)
    return plain(source.read(np.unique(starts[:, None] + np.arange(length))))


def _in_memory(source: Any) -> bool:
    return isinstance(source, _Sparse) or (isinstance(source, Window | Changed) and _in_memory(source.base))


def plain(block: Block) -> Block:
    """A copy as float64: dense, or CSR or CSC without entries that are stored twice."""
    if not sp.issparse(block):
        return np.array(block, dtype=np.float64)
    made = sp.csc_array if block.format == "csc" else sp.csr_array
    block = made(block, dtype=np.float64, copy=True)
    block.sum_duplicates()
    return block


class _Dense:
    """An array in memory or in a file."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self._chunk = None if isinstance(matrix, np.ndarray) else matrix.chunks
        tall = self._chunk is not None and self._chunk[0] >= self.shape[0] and self._chunk[1] < self.shape[1]
        self.axis = int(tall)

    def spans(self) -> Iterator[Lines]:
        wide = max(1, self.shape[1 - self.axis])
        step = max(1, VALUES // wide)
        if self._chunk is not None:
            chunk = int(self._chunk[self.axis])
            # a chunk is read as a whole anyway; do so once, unless it is much too large
            step = max(chunk, step // chunk * chunk) if chunk * wide <= 8 * VALUES else step
        return _ranges(self.shape[self.axis], step)

    def read(self, lines: Lines) -> Block:
        if isinstance(self._matrix, np.ndarray):
            return np.asarray(self._matrix[lines])
        if isinstance(lines, slice):
            return np.asarray(self._matrix[lines] if self.axis == 0 else self._matrix[:, lines])
        chunk = 1 if self._chunk is None else int(self._chunk[self.axis])
        wide = self.shape[1 - self.axis]

        def far(before: np.ndarray, after: np.ndarray) -> np.ndarray:
            skip: np.ndarray = (before // chunk != after // chunk) & ((after - before) * wide > _GAP)
            return skip

        return _gather(self, lines, far)


class _Sparse:
    """A scipy matrix; formats other than CSR and CSC become CSR."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix if matrix.format in ("csr", "csc") else matrix.tocsr()
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.axis = int(self.matrix.format == "csc")

    def spans(self) -> Iterator[Lines]:
        return _even(self.matrix.indptr)

    def read(self, lines: Lines) -> Block:
        return self.matrix[lines] if self.axis == 0 else self.matrix[:, lines]


class _SparseFile:
    """A CSR or CSC group of an h5ad or zarr file."""

    def __init__(self, dataset: Any) -> None:
        self.shape = (int(dataset.shape[0]), int(dataset.shape[1]))
        self.axis = int(dataset.format == "csc")
        group = dataset.group
        self._data, self._indices = group["data"], group["indices"]
        # 64 bits, since a file may hold more than 2**31 entries; those of a piece fit 32
        self._indptr = np.asarray(group["indptr"][:], dtype=np.int64)

    def spans(self) -> Iterator[Lines]:
        return _even(self._indptr)

    def read(self, lines: Lines) -> Block:
        if not isinstance(lines, slice):
            return _gather(self, lines, lambda a, b: self._indptr[b] - self._indptr[a + 1] > _GAP)
        start, stop, _ = lines.indices(self.shape[self.axis])
        first, last = int(self._indptr[start]), int(self._indptr[stop])
        pointers = self._indptr[start : stop + 1] - first
        shape = (stop - start, self.shape[1]) if self.axis == 0 else (self.shape[0], stop - start)
        values = np.asarray(self._data[first:last])
        if values.dtype == np.float16:  # which scipy does not slice
            values = values.astype(np.float32)
        index = np.int32 if last - first < 2**31 and max(self.shape) < 2**31 else np.int64
        entries = (
            values,
            np.asarray(self._indices[first:last]).astype(index, copy=False),
            pointers.astype(index, copy=False),
        )
        return (sp.csr_array if self.axis == 0 else sp.csc_array)(entries, shape=shape)


class _Chunked:
    """A dask array, read along its chunks."""

    def __init__(self, matrix: Any) -> None:
        self._dask = require("dask", extra="dask", purpose="reading dask arrays")
        self._matrix = matrix
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))
        self.axis = int(matrix.numblocks[0] == 1 and matrix.numblocks[1] > 1)
        self._edges = np.concatenate([[0], np.cumsum(matrix.chunks[self.axis], dtype=np.int64)])

    def spans(self) -> Iterator[Lines]:
        wide = self.shape[1 - self.axis]
        stored = wide if isinstance(self._matrix._meta, np.ndarray) else wide // _SPARSE
        return _even(self._edges * max(1, stored), self._edges)

    def read(self, lines: Lines) -> Block:
        if not isinstance(lines, slice):
            return _gather(self, lines, self._far)
        start, stop, _ = lines.indices(self.shape[self.axis])
        first = max(0, int(np.searchsorted(self._edges, start, side="right")) - 1)
        last = max(first + 1, int(np.searchsorted(self._edges, stop, side="left")))
        blocks = self._matrix.blocks[first:last] if self.axis == 0 else self._matrix.blocks[:, first:last]
        parts = blocks.to_delayed()
        # joined here, since dask cannot join every sparse type
        found = iter(self._dask.compute(*parts.ravel()))
        whole = _join([[_known(next(found)) for _ in row] for row in parts], self.axis)
        part = slice(start - int(self._edges[first]), stop - int(self._edges[first]))
        return whole[part] if self.axis == 0 else whole[:, part]

    def _far(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Whether lines are in different chunks."""
        chunks = (np.searchsorted(self._edges, lines, side="right") for lines in (before, after))
        other: np.ndarray = np.not_equal(*chunks)
        return other


def _ranges(n: int, step: int) -> Iterator[slice]:
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _even(load: np.ndarray, edges: np.ndarray | None = None) -> Iterator[slice]:
    """Ranges of lines with up to VALUES entries, from the entries before every edge; at least one step each."""
    edges = np.arange(len(load)) if edges is None else edges
    load, start = load.astype(np.int64) + edges, 0
    while start < len(load) - 1:
        stop = max(start + 1, int(np.searchsorted(load, load[start] + VALUES, side="right")) - 1)
        yield slice(int(edges[start]), int(edges[stop]))
        start = stop


def _step(block: Block, axis: int) -> int:
    """Lines of a block that was read that go into a piece."""
    lines = max(1, int(block.shape[axis]))
    entries = int(block.nnz) + lines if sp.issparse(block) else int(block.size)
    return lines if entries <= 2 * VALUES else max(1, lines // -(-entries // VALUES))


def _inner(lines: Lines, part: slice) -> Lines:
    if isinstance(lines, slice):
        return slice(lines.start + part.start, min(lines.start + part.stop, lines.stop))
    return lines[part]


def _gather(source: Source, lines: np.ndarray, far: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Block:
    """Lines in any order: read once each, by rising position, in runs that end where the next line is far."""
    if not len(lines):
        return source.read(slice(0, 0))
    unique, back = np.unique(lines, return_inverse=True)
    runs = np.split(unique, np.flatnonzero(far(unique[:-1], unique[1:])) + 1)
    parts = []
    for run in runs:
        block, inside = source.read(slice(int(run[0]), int(run[-1]) + 1)), run - run[0]
        whole = len(run) == block.shape[source.axis]
        parts.append(block if whole else block[inside] if source.axis == 0 else block[:, inside])
    block = _join([[part] for part in parts] if source.axis == 0 else [parts], source.axis)
    if len(back) == len(unique) and (np.diff(back) == 1).all():
        return block
    return block[back] if source.axis == 0 else block[:, back]


def _join(grid: list[list[Block]], axis: int) -> Block:
    if len(grid) == len(grid[0]) == 1:
        return grid[0][0]
    if not any(sp.issparse(block) for row in grid for block in row):
        return np.block(grid)
    form = "csr" if axis == 0 else "csc"
    rows = [sp.hstack(row, format=form) if len(row) > 1 else row[0] for row in grid]
    return sp.vstack(rows, format=form) if len(rows) > 1 else rows[0]


def _known(chunk: Any) -> Block:
    """A chunk of a dask array as a numpy array or scipy CSR or CSC matrix."""
    if isinstance(chunk, np.ndarray) or (sp.issparse(chunk) and chunk.format in ("csr", "csc")):
        return chunk
    if hasattr(chunk, "tocsr"):
        return chunk.tocsr()
    try:
        return np.asarray(chunk)
    except TypeError as error:
        kind = type(chunk)
        raise ParameterError(
            f"chunks of the dask array have type {kind.__module__}.{kind.__qualname__}; expected numpy arrays or scipy "
            "sparse matrices. Convert them with matrix.map_blocks(...)."
        ) from error
