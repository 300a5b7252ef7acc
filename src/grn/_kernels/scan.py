"""One pass over a matrix: the range of its values, what is wrong with them, and what scale they are on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from grn._core import checks
from grn._core.logging import logger
from grn._kernels import matrix as _matrix
from grn._kernels.matrix import open_matrix, pieces, take
from grn._kernels.matrix_parts import Block, Source
from grn._kernels.scale import CELLS, LINEAR_ABOVE, Decision, Kind, judge

VALUES = ("auto", "counts", "linear", "log")
# negative values this much smaller than the largest one are noise of rounding
_NOISE = 1e-5


@dataclass(frozen=True)
class Scan:
    """What one pass over a matrix tells about its values.

    Parameters
    ----------
    n_cells
        Number of cells.
    low, high
        Smallest and largest finite value; NaN when there is none.
    integer
        Whether all finite values are whole numbers.
    n_nan, n_infinite, n_negative
        Numbers of such values.
    n_zero_cells
        Cells with zeros only.
    constant
        Genes with one value in all cells, mask (n_vars,).
    totals
        Sums of the cells (n_cells,).
    decision
        What scale the values are on.
    """

    n_cells: int
    low: float
    high: float
    integer: bool
    n_nan: int
    n_infinite: int
    n_zero_cells: int
    constant: np.ndarray
    decision: Decision
    n_negative: int = 0
    totals: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def kind(self) -> Kind:
        """One of counts, log, linear, scaled, empty; of the finite values."""
        return self.decision.kind

    @property
    def noise(self) -> bool:
        """Whether there are negative values, all so small that they stand for zero."""
        return self.n_negative > 0 and self.low >= -_NOISE * self.high


def scan(matrix: Any, *, peek: bool = False) -> Scan:
    """Look at all values in one pass, and then more closely at some cells; with ``peek`` at up to 512 lines only."""
    source = open_matrix(matrix)
    if peek and 0 not in source.shape:
        source = open_matrix(_matrix.peek(source))
    n_cells, n_vars = source.shape
    low, high, bad = np.full(n_vars, np.inf), np.full(n_vars, -np.inf), np.zeros(n_vars, dtype=bool)
    totals, sizes = np.zeros(n_cells), np.zeros(n_cells)
    integer, n_nan, n_infinite, n_negative = True, 0, 0, 0
    for piece in pieces(source):
        block = piece.values
        values = block.data if sparse.issparse(block) else block
        finite = np.isfinite(values)
        whole = bool(finite.all())
        n_nan += 0 if whole else int(np.isnan(values).sum())
        n_infinite += 0 if whole else int((~finite).sum())
        sound = values if whole else values[finite]
        integer = integer and bool(np.all(sound == np.rint(sound)))
        n_negative += int((sound < 0).sum())
        added = block.sum(axis=1)
        totals[piece.rows] += added
        sizes[piece.rows] += added if values.size and values.min() >= 0 else abs(block).sum(axis=1)
        bottom, top = _range(block, finite, whole=whole)
        low[piece.columns] = np.minimum(low[piece.columns], bottom)
        high[piece.columns] = np.maximum(high[piece.columns], top)
        if not whole:
            bad[piece.columns] |= _spoilt(block)
    known = np.isfinite(low) & np.isfinite(high)
    smallest = float(low[known].min()) if known.any() else np.nan
    largest = float(high[known].max()) if known.any() else np.nan
    seen = Scan(
        n_cells=n_cells,
        low=smallest,
        high=largest,
        integer=integer,
        n_nan=n_nan,
        n_infinite=n_infinite - n_nan,
        n_negative=n_negative,
        n_zero_cells=int((sizes == 0).sum()) if n_vars else 0,
        constant=(low == high) & ~bad,
        totals=np.where(np.isfinite(totals), np.maximum(totals, 0.0), totals),
        decision=Decision("empty", "there are no values other than zero"),
    )
    return _decided(seen, source)


def _decided(found: Scan, source: Source) -> Scan:
    if np.isnan(found.low) or (found.low == 0 and found.high == 0):
        return found
    if found.low < 0 and not found.noise:
        decision = Decision("scaled", f"{found.n_negative} values are negative, down to {found.low:.3g}")
    elif found.integer:
        decision = Decision("counts", "all values are whole numbers")
    elif found.high > LINEAR_ABOVE:
        decision = judge(np.zeros((0, 0)), found.high)
    else:
        decision = judge(_sample(source, found.totals), found.high)
    return replace(found, decision=decision)


def _sample(source: Source, totals: np.ndarray) -> np.ndarray:
    """Some whole cells, dense: evenly spaced by their totals, so that their order does not matter."""
    order = np.argsort(totals, kind="stable")
    order = order[np.nan_to_num(totals[order]) > 0]
    n = min(len(order), CELLS, max(16, _matrix.VALUES // max(1, source.shape[1])))
    if not n:
        return np.zeros((0, source.shape[1]))
    chosen = np.sort(order[np.unique(np.linspace(0, len(order) - 1, n).astype(np.int64))])
    block = take(source, chosen)
    dense: np.ndarray = block.toarray() if sparse.issparse(block) else block
    positive: np.ndarray = np.maximum(np.nan_to_num(dense, posinf=0.0, neginf=0.0), 0.0)
    return positive


def detect_kind(matrix: Any, values: str = "auto", *, where: str = "the matrix") -> Kind:
    """Scale of an expression matrix, or what the user says it is.

    ``nan`` holds NaN or infinity, ``empty`` has no cells or genes, ``scaled`` negative values, ``counts`` whole numbers
    only; for ``linear`` (FPKM, TPM, corrected counts) and ``log`` see :func:`grn._kernels.scale.judge`. Weak evidence
    is a warning.
    """
    if 0 in matrix.shape:
        return "empty"
    seen = scan(matrix)
    if seen.n_nan or seen.n_infinite:
        return "nan"
    if seen.kind == "empty":
        return "counts"
    return settled(seen, values, where).kind


def settled(found: Scan, values: str, where: str) -> Decision:
    """The scale that values are read on: as the user says, else as it was found; says so where that is in doubt."""
    checks.word("values", values, VALUES)
    decision = found.decision
    if decision.kind in ("scaled", "empty", "nan"):
        return decision
    if found.noise:
        logger.warning(
            "%s holds %d negative values down to %.2g, noise of rounding beside a maximum of %.3g: taken for zero",
            where,
            found.n_negative,
            found.low,
            found.high,
        )
    if values == "auto":
        if not decision.sure:
            other = "linear" if decision.kind == "log" else "log"
            logger.warning(
                "%s is taken for %s values on weak evidence: %s; pass values=%r if they are %s",
                where,
                decision.kind,
                decision.why,
                other,
                "not" if other == "linear" else "logarithms",
            )
        return decision
    kind: Kind = "counts" if values == "counts" else "linear" if values == "linear" else "log"
    against = {kind, decision.kind} == {"log", "linear"} or {kind, decision.kind} == {"log", "counts"}
    if against and decision.sure:
        logger.warning("values=%r was given for %s, although %s", values, where, decision.why)
    return Decision(kind, f"values={values!r} was given", how="given")


def _range(block: Block, finite: np.ndarray, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest finite value of every gene; infinite where there is none."""
    low = block if whole else _replaced(block, finite, np.inf)
    high = block if whole else _replaced(block, finite, -np.inf)
    if not sparse.issparse(block):
        return low.min(axis=0), high.max(axis=0)
    return low.tocsc().min(axis=0).toarray().ravel(), high.tocsc().max(axis=0).toarray().ravel()


def _replaced(block: Block, finite: np.ndarray, instead: float) -> Block:
    """A block with another value for those that are not finite."""
    if not sparse.issparse(block):
        return np.where(finite, block, instead)
    changed = block.copy()
    changed.data[~finite] = instead
    return changed


def _spoilt(block: Block) -> np.ndarray:
    """Genes with a value that is not finite."""
    spoilt: np.ndarray = ~np.isfinite(np.asarray(abs(block).sum(axis=0)).ravel())
    return spoilt
