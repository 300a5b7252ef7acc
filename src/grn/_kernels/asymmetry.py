"""Which of two genes answers the other: the part of a matrix of responses that its transpose does not share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

# a pair has a direction if one way is at least so many times as strong as the other
RATIO = 2.0
# correlation of the two ways above which a model answers both alike, whatever its outliers
ALIKE = 0.98
# fewest genes among which noise can be told from a difference
FEWEST = 20
_ROUNDING = 1e-5
_STEPS = 10
# responses that are worked on at a time
_NUMBERS = 2**18


@dataclass(frozen=True)
class Asymmetry:
    """What the responses of genes to each other say about direction.

    Parameters
    ----------
    stronger
        Pairs (n, n) of a source and a target where the target answers the source clearly more than the other way.
    share
        Part of the sum of squares of the centred responses that is antisymmetric: 0 if all pairs answer each other
        alike, .5 if the two ways have nothing in common; NaN where there are too few pairs.
    correlation
        Correlation of the centred responses with those of the other way.
    noise
        Difference between the two ways that noise explains; NaN where nothing is compared.
    pairs
        Number of unordered pairs with both responses.
    """

    stronger: np.ndarray
    share: float
    correlation: float
    noise: float
    pairs: int


def asymmetry(response: np.ndarray) -> Asymmetry:
    r"""Compare the response of every pair of genes with that of the other way.

    Responses are double-centred, so that genes which move or are moved more than others say nothing. A factor of each
    gene is divided out too, half the median over its partners of the logarithm of given over taken response: a louder
    gene is no regulator. With :math:`B` what is left, :math:`\sigma` = 1.4826 times the median
    :math:`|B_{ij} - B_{ji}|` over N pairs, the way from i to j is the stronger one if

    .. math:: |B_{ij}| - |B_{ji}| > \sigma \sqrt{2 \ln N}, \quad |B_{ij}| \ge 2 |B_{ji}|
        \quad\text{and}\quad |B_{ij}| > \mathrm{rms}(B),

    the largest difference that Gaussian noise leaves among N pairs, a clear one, and one of a pair that responds at
    all: differences have heavy tails, and twice next to nothing is nothing. Where most pairs differ, the differences
    count as noise and nothing is told; nor is it where the two ways correlate above .98.

    Parameters
    ----------
    response
        Responses (n, n), row source, column target; the diagonal is left aside, NaN stands for no response.
    """
    values = np.asarray(response, dtype=np.float64)
    n = len(values)
    paired = _Paired(values)
    nothing = Asymmetry(np.zeros((n, n), dtype=bool), float("nan"), float("nan"), float("nan"), paired.count)
    if n < FEWEST or paired.count < FEWEST * (FEWEST - 1) // 2:
        return nothing
    centred = _Centred(paired, np.zeros(n)).moments()
    if centred.size <= _ROUNDING * paired.largest:
        return nothing
    share, correlation = centred.share, centred.correlation
    if correlation > ALIKE:
        return replace(nothing, share=share, correlation=correlation)
    level = _level(paired)
    noise = 1.4826 * float(np.median(level.differences()))
    typical = level.moments().size
    noise = max(noise, _ROUNDING * typical)
    limit = noise * np.sqrt(2 * np.log(paired.count))
    stronger = nothing.stronger
    for rows in paired.blocks():
        there, back = (np.nan_to_num(np.abs(part)) for part in level.both_ways(rows))
        stronger[rows] = (there - back > limit) & (there >= RATIO * back) & (there > typical)
    return Asymmetry(stronger, share, correlation, limit, paired.count)


class _Paired:
    """Responses (n, n) of genes to each other where both ways are known, read some rows at a time.

    Nothing else of the size of the matrix is held, so that thousands of genes need little more than their responses.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.count, self.largest = 0, 0.0
        for rows in self.blocks():
            there = self.known(rows)
            self.count += int(there.sum())
            self.largest = max(self.largest, float(np.abs(values[rows][there]).max(initial=0.0)))
        self.count //= 2

    def __len__(self) -> int:
        return len(self.values)

    def blocks(self) -> Iterator[slice]:
        """Rows that are read at a time."""
        step = max(1, _NUMBERS // max(1, len(self)))
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def known(self, rows: slice) -> np.ndarray:
        """Pairs of some rows (k, n) of which both ways are known."""
        there: np.ndarray = ~(np.isnan(self.values[rows]) | np.isnan(self.values[:, rows].T))
        place = np.arange(rows.start, rows.stop)
        there[np.arange(len(place)), place] = False
        return there


@dataclass(frozen=True)
class _Moments:
    """Root of the mean square, antisymmetric share and correlation of the two ways, over all pairs."""

    size: float
    share: float
    correlation: float


class _Centred:
    """Responses divided by the gains of their genes, without what is the same for all targets or for all sources.

    Such means became multiples of the gains, and of their inverses; both are left out of sources and of targets alike,
    so that a symmetric matrix stays symmetric. Without gains this is double-centring. What is left out is of low rank,
    axes @ left + right @ axes.T, and never made as a whole.
    """

    def __init__(self, paired: _Paired, gain: np.ndarray) -> None:
        self.paired = paired
        self._up, self._down = np.exp(gain), np.exp(-gain)
        basis = np.stack([np.cosh(gain), np.sinh(gain)], axis=1)  # (n, 2)
        columns, sizes, _ = np.linalg.svd(basis, full_matrices=False)
        self._axes = columns[:, sizes > 1e-9 * sizes[0]]  # (n, a)
        self._left = np.zeros((self._axes.shape[1], len(paired)))
        self._right = np.zeros_like(self._axes)
        for _ in range(100):
            moved, scale = self._fit()
            if moved <= 1e-7 * scale:
                break

    def _fit(self) -> tuple[float, float]:
        """Fit the means once, missing responses being as the means were; how far those moved, and the largest."""
        axes = self._axes
        left, right = np.zeros_like(self._left), np.zeros_like(self._right)
        scale = 0.0
        for rows in self.paired.blocks():
            there = self.paired.known(rows)
            scaled = self._scaled(rows)
            scale = max(scale, float(np.abs(scaled[there]).max(initial=0.0)))
            filled = np.where(there, scaled, self._means(rows))
            left += axes[rows].T @ filled
            right[rows] = filled @ axes
        right -= axes @ (left @ axes)
        old, self._left, self._right = (self._left, self._right), left, right
        moved = 0.0
        for rows in self.paired.blocks():
            change = self._means(rows) - (axes[rows] @ old[0] + old[1][rows] @ axes.T)
            moved = max(moved, float(np.abs(change[~self.paired.known(rows)]).max(initial=0.0)))
        return moved, scale

    def _scaled(self, rows: slice, *, back: bool = False) -> np.ndarray:
        values = self.paired.values
        if back:
            return np.asarray(values[:, rows].T * self._up[rows, None] * self._down)
        return np.asarray(values[rows] * self._up * self._down[rows, None])

    def _means(self, rows: slice, *, back: bool = False) -> np.ndarray:
        axes = self._axes
        if back:
            return np.asarray(self._left[:, rows].T @ axes.T + axes[rows] @ self._right.T)
        return np.asarray(axes[rows] @ self._left + self._right[rows] @ axes.T)

    def both_ways(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Centred responses of all targets to some sources (k, n), and of these to all, NaN but for known pairs."""
        there = self.paired.known(rows)
        first, second = (
            np.where(there, self._scaled(rows, back=back) - self._means(rows, back=back), np.nan)
            for back in (False, True)
        )
        return first, second

    def moments(self) -> _Moments:
        """Sums over the pairs, each of them counted from both sides."""
        square = product = apart = total = 0.0
        for rows in self.paired.blocks():
            there, back = self.both_ways(rows)
            square += float(np.nansum(there**2))
            product += float(np.nansum(there * back))
            apart += float(np.nansum((there - back) ** 2))
            total += float(np.nansum(there))
        n = 2 * self.paired.count
        mean = total / n
        spread = square / n - mean**2
        correlation = (product / n - mean**2) / spread if spread > 0 else float("nan")
        return _Moments(float(np.sqrt(square / n)), apart / 4 / square if square else float("nan"), correlation)

    def differences(self) -> np.ndarray:
        """Absolute difference of the two ways of every pair (pairs,)."""
        parts = []
        for rows in self.paired.blocks():
            there, back = self.both_ways(rows)
            once = np.arange(rows.start, rows.stop)[:, None] < np.arange(len(self.paired))
            parts.append(np.abs(there - back)[once & ~np.isnan(there)])
        return np.concatenate(parts)

    def gains(self) -> np.ndarray:
        """Half the logarithm of how much louder a gene is as a source than as a target, by the median of its pairs."""
        return np.concatenate([_half_median(*self.both_ways(rows)) for rows in self.paired.blocks()])


def _half_median(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Half the median over a row of the logarithm of one way over the other (k,); 0 for rows without pairs."""
    there, back = np.abs(there), np.abs(back)
    usable = (there > 0) & (back > 0)  # not NaN either
    # the missing last: a median of rows of different length
    logs = (np.log(np.where(usable, size, 1.0)) for size in (there, back))
    ratio = np.sort(np.where(usable, np.subtract(*logs), np.inf), axis=1)
    count = usable.sum(axis=1)
    rows = np.arange(len(ratio))
    last = ratio.shape[1] - 1
    middle = (ratio[rows, np.maximum(count - 1, 0) // 2] + ratio[rows, np.minimum(count // 2, last)]) / 2
    return np.where(count > 0, middle, 0.0) / 2


def _level(paired: _Paired) -> _Centred:
    """Centred responses of genes that are as loud as sources as they are as targets."""
    gain = np.zeros(len(paired))
    level = _Centred(paired, gain)
    for _ in range(_STEPS):
        step = level.gains()
        if np.abs(step).max() < 1e-4:
            break
        gain += step
        level = _Centred(paired, gain)
    return level
