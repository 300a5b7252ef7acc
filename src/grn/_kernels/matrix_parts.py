"""Matrices that are read through others: some of their cells and genes, or changed values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

Block = Any  # dense ndarray, CSR where lines are cells, CSC where lines are genes
Lines = slice | np.ndarray


class Source(Protocol):
    """A matrix that is read by lines.

    Parameters
    ----------
    shape
        Cells and genes.
    axis
        0 if lines are cells, 1 if they are genes.
    """

    shape: tuple[int, int]
    axis: int

    def spans(self) -> Iterator[Lines]:
        """Lines to read at a time; together all of them."""

    def read(self, lines: Lines) -> Block:
        """Some lines, in the order asked for, over all of the other axis; of the type they are stored in."""


def clipped(source: Source) -> Source:
    """The source with negative values read as zero."""

    def change(block: Block, _lines: Lines, _axis: int) -> Block:
        if not sp.issparse(block):
            return np.maximum(block, 0)
        block = block.copy()
        block.data = np.maximum(block.data, 0)
        return block

    return Changed(source, change)


def only(source: Source, columns: np.ndarray) -> Source:
    """The source with genes outside a mask ``columns`` (genes,) read as zero."""

    def change(block: Block, lines: Lines, axis: int) -> Block:
        mask = columns if axis == 0 else columns[lines]
        if not sp.issparse(block):
            return np.where(mask, block, 0)
        block = block.copy()
        column = block.indices if block.format == "csr" else np.repeat(np.arange(block.shape[1]), np.diff(block.indptr))
        block.data = np.where(mask[column], block.data, 0)
        block.eliminate_zeros()
        return block

    return Changed(source, change)


class Window:
    """Some rows and columns of a source, read in the order in which they are stored."""

    def __init__(self, base: Source, rows: np.ndarray | None, columns: np.ndarray | None) -> None:
        self.base, self.rows, self.columns, self.axis = base, rows, columns, base.axis
        self._lines, self._other = (rows, columns) if base.axis == 0 else (columns, rows)
        sizes = [n if lines is None else len(lines) for n, lines in zip(base.shape, (rows, columns), strict=True)]
        self.shape = (sizes[0], sizes[1])

    def spans(self) -> Iterator[Lines]:
        if self._lines is None:
            yield from self.base.spans()
            return
        order = np.argsort(self._lines, kind="stable")
        stored = self._lines[order]
        for span in self.base.spans():
            found = positions(span)
            first, last = np.searchsorted(stored, (found[0], found[-1] + 1))
            if first < last:
                yield order[first:last]

    def read(self, lines: Lines) -> Block:
        block = self.base.read(lines if self._lines is None else self._lines[lines])
        if self._other is None:
            return block
        return block[:, self._other] if self.axis == 0 else block[self._other]


class Changed:
    """A source whose blocks are changed as they are read."""

    def __init__(self, base: Source, change: Callable[[Block, Lines, int], Block]) -> None:
        self.base, self.shape, self.axis, self.change = base, base.shape, base.axis, change

    def spans(self) -> Iterator[Lines]:
        return self.base.spans()

    def read(self, lines: Lines) -> Block:
        return self.change(self.base.read(lines), lines, self.axis)


def positions(lines: Lines, n: int | None = None) -> np.ndarray:
    if isinstance(lines, slice):
        return np.arange(*lines.indices(n)) if n is not None else np.arange(lines.start, lines.stop)
    return lines
