"""What scale values are on, judged from some whole cells: counts, linear or logarithmic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["counts", "linear", "log", "scaled", "nan", "empty"]

# log1p of counts per 10 000 stays below 10 and log2(TPM + 1) below 20; what is larger is linear
LINEAR_ABOVE = 50.0
LOG_BELOW = 22.0
# cells that are looked at, and of these those that are looked at one by one
CELLS, _CLOSELY = 256, 64
# spread of the totals of cells that were normalised to one total; exponentials enlarge what rounding did
_SAME, _SAME_LOG = 0.005, 0.02
_TOLERANCE, _FITS, _MARGIN = 0.06, 0.8, 0.25
_FEW = 20

Row = np.ndarray
_UNDONE: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "log1p": np.expm1,
    "log2": lambda x: np.exp2(x) - 1.0,
    "log10": lambda x: np.power(10.0, x) - 1.0,
    "square root": np.square,
}
_LOGS = ("log1p", "log2", "log10")


@dataclass(frozen=True)
class Decision:
    """What scale values are on.

    Parameters
    ----------
    kind
        ``counts``, ``linear``, ``log``, ``scaled``, ``nan`` or ``empty``.
    why
        The evidence, in words.
    sure
        Whether the evidence is strong.
    how
        ``"detected"`` or ``"given"``.
    """

    kind: Kind
    why: str
    sure: bool = True
    how: str = "detected"


def judge(block: np.ndarray, high: float) -> Decision:
    """Tell linear from logarithmic values that are not negative and not all whole numbers.

    Four facts decide, the strongest first: cells whose totals agree, as they are or after a logarithm is undone; whole
    numbers; cells whose values are multiples of their smallest one, as they are or after a logarithm is undone, which
    is true of everything that was made from counts and holds for any genes of a cell; and, where none of these is the
    case, the largest value and the shape of the distribution.

    Parameters
    ----------
    block
        Some whole cells, dense (c, genes).
    high
        Largest value of the whole matrix.
    """
    if high > LINEAR_ABOVE:
        return Decision("linear", f"the maximum is {high:.3g}; logarithms of expression stay below {LINEAR_ABOVE:g}")
    block = block[block.any(axis=1)]
    rows = [row[row > 0] for row in block]
    values = np.concatenate(rows) if rows else np.zeros(0)
    if len(values) < _FEW:
        why = f"the maximum is {high:.3g} and only {len(values)} values that are not zero were seen"
        return Decision("log", why, sure=False)
    decision = _by_totals(block, high) or _by_whole_numbers(values) or _by_multiples(rows)
    return decision or _by_shape(values, high)


def _by_totals(block: np.ndarray, high: float) -> Decision | None:
    """Cells that were normalised to one total and kept all their genes."""
    if len(block) < 5:
        return None
    spread = {}
    for name, undo in _UNDONE.items():
        totals = undo(block).sum(axis=1)
        spread[name] = float(totals.std() / totals.mean())
    logs = min(spread[name] for name in _LOGS)
    plain, root = spread["linear"], spread["square root"]
    if plain <= _SAME and (2 * plain < logs or high < 0.5):
        return Decision("linear", f"the values of every cell sum to {block.sum(axis=1).mean():.4g}")
    if logs <= _SAME_LOG and 2 * logs < plain:
        name = min(_LOGS, key=spread.__getitem__)
        total = _UNDONE[name](block).sum(axis=1).mean()
        return Decision("log", f"with {name} undone the values of every cell sum to {total:.4g}")
    if root <= _SAME and 2 * root < min(plain, logs):
        return _root("the squares of the values of every cell have one sum")
    return None


def _root(why: str) -> Decision:
    return Decision("log", f"{why}: these are square roots, which are used as they are", sure=False)


def _by_whole_numbers(values: np.ndarray) -> Decision | None:
    """Counts that were rounded on their way, or of which some reads were split between genes.

    Logarithms of counts to base 2 have many whole numbers too, but most of them are 1.
    """
    share, large = _whole(values), values[values > 1.25]
    if share < (0.6 if len(large) >= _FEW else 0.98) or (len(large) and _whole(large) < 0.6):
        return None
    return Decision("linear", f"{share:.1%} of the values are whole numbers")


def _whole(values: np.ndarray) -> float:
    return float((np.abs(values - np.rint(values)) <= 1e-3 * np.maximum(1.0, values)).mean())


def _by_multiples(rows: list[Row]) -> Decision | None:
    """Values of a cell that are multiples of one number, once what was done to them is undone."""
    grid = _grid(np.concatenate(rows[:_CLOSELY]))
    # what was rounded to a few digits consists of multiples in any case
    fine = [row for row in _spaced(rows) if row.min() > 10 * grid]
    fit = {name: _fit(fine, undo) for name, undo in _UNDONE.items()}
    plain, logs = fit["linear"], max(fit[name] for name in _LOGS)
    if plain >= _FITS and plain >= logs + _MARGIN:
        return Decision("linear", "the values of a cell are multiples of one number")
    if logs >= _FITS and logs >= plain + _MARGIN:
        name = max(_LOGS, key=fit.__getitem__)
        return Decision("log", f"with {name} undone the values of a cell are multiples of one number")
    if fit["square root"] >= _FITS and fit["square root"] >= max(plain, logs) + _MARGIN:
        return _root("the squares of the values of a cell are multiples of one number")
    return None


def _spaced(rows: list[Row]) -> list[Row]:
    """Some of the cells, evenly spaced."""
    return [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, _CLOSELY).astype(int))]


def _grid(values: np.ndarray) -> float:
    """The decimal that all values were rounded to; 0 if they were not."""
    for digits in range(6):
        step = 10.0**-digits
        parts = values / step
        if (np.abs(parts - np.rint(parts)) <= 1e-6 * np.maximum(1.0, parts)).mean() > 0.99:
            return step
    return 0.0


def _fit(rows: list[Row], undo: Callable[[np.ndarray], np.ndarray]) -> float:
    """Share of the values of a cell that are small multiples of its smallest, half or a third of it; the median."""
    ratios = np.concatenate([undo(row) / undo(row.min()) for row in rows]) if rows else np.zeros(0)
    shares = _best(ratios, np.repeat(np.arange(len(rows)), [len(row) for row in rows]), len(rows))
    shares = shares[~np.isnan(shares)]
    if len(shares) >= 3:
        return float(np.median(shares))
    # cells with few genes tell together
    share = _shares(ratios, np.zeros(len(ratios), dtype=np.int64), 1, _FEW)[0]
    return 0.0 if np.isnan(share) else float(share)


def _best(ratios: np.ndarray, cells: np.ndarray, n_cells: int) -> np.ndarray:
    """The best share of every cell (n_cells,), NaN where there is none; ``cells`` tells whose a ratio is."""
    whole, *parts = (_shares(ratios * n, cells, n_cells, 5, above=1.25 * n) for n in (1, 2, 3))
    # halves and thirds fit more easily
    best = np.fmax(*(part - 0.1 for part in parts))
    better: np.ndarray = np.where(np.isnan(whole) | (best > whole), best + 0.1, whole)
    return better


def _shares(ratios: np.ndarray, cells: np.ndarray, n_cells: int, few: int, *, above: float = 1.25) -> np.ndarray:
    """Share of the ratios of every cell that are near whole numbers (n_cells,); NaN where there are few."""
    seen = (ratios > above) & (ratios < 10.5)
    near = seen & (np.abs(ratios - np.rint(ratios)) < _TOLERANCE)
    sizes, hits = (np.bincount(cells[mask], minlength=n_cells) for mask in (seen, near))
    shares: np.ndarray = np.divide(hits, sizes, out=np.full(n_cells, np.nan), where=sizes >= few)
    return shares


def _by_shape(values: np.ndarray, high: float) -> Decision:
    """Counts with fractions lie near whole numbers and have a long tail, which logarithms do not have."""
    middle = values[(values > 1.1) & (values < 10.5)]
    near = float((np.abs(middle - np.rint(middle)) < 0.05).mean()) if len(middle) >= _FEW else 0.0
    spread = float(values.std())
    skew = float(((values - values.mean()) ** 3).mean() / spread**3) if spread > 1e-9 * high else 0.0
    if high > LOG_BELOW:
        return Decision(
            "linear", f"the maximum is {high:.3g}, more than log2 of a million (skewness {skew:.2g})", skew > 1
        )
    if near >= 0.3:
        return Decision("linear", f"{near:.0%} of the values above 1 are near whole numbers", sure=False)
    if high < 0.5:
        return Decision("linear", f"the maximum is {high:.3g}", sure=False)
    if skew > 2.5 and high > 10:
        return Decision("linear", f"few values are large (skewness {skew:.2g}, maximum {high:.3g})", sure=False)
    return Decision("log", f"the maximum is {high:.3g} (skewness {skew:.2g})", skew < 2 and near < 0.2)
