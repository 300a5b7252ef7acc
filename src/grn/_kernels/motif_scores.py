"""Scores of sequence motifs: bases as numbers, log-odds on a grid, and the exact distribution of a score by chance.

A motif of L columns is scanned with whole numbers (L, 4): its log-odds in bits, rounded to multiples of :data:`STEP`.
Sums of whole numbers are the same in any order and on any machine, so that all ways to scan give the same hits, and the
distribution of the score of a random word is known exactly. An entry is off by at most ``STEP / 2`` and a score by at
most ``L * STEP / 2``: 0.1 bits for the 20 columns of a long motif.
"""

from __future__ import annotations

import numpy as np

STEP = 0.01
UNKNOWN = 4
# bases by their letter, in upper and lower case; all else is unknown
_CODES = np.full(256, UNKNOWN, dtype=np.uint8)
for _code, _letters in enumerate(("Aa", "Cc", "Gg", "TtUu")):
    _CODES[[ord(letter) for letter in _letters]] = _code


def encode(sequence: str | bytes) -> np.ndarray:
    """Bases as numbers (n,) uint8: A, C, G, T are 0 to 3, everything else 4.

    Examples
    --------
    >>> encode("ACgtN").tolist()
    [0, 1, 2, 3, 4]
    """
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    codes: np.ndarray = _CODES[np.frombuffer(letters, dtype=np.uint8)]
    return codes


def log_odds(counts: np.ndarray, background: np.ndarray, pseudocount: float) -> np.ndarray:
    r"""Log-odds (L, 4) in bits of the bases in every column.

    .. math:: s_{lb} = \log_2 \frac{n_{lb} + k q_b}{(\sum_b n_{lb} + k)\, q_b}

    Parameters
    ----------
    counts
        How often each base was seen in each column (L, 4).
    background
        Share q of each base by chance (4,).
    pseudocount
        Number k of further observations per column that follow the background.
    """
    total = counts.sum(axis=1, keepdims=True) + pseudocount
    odds: np.ndarray = np.log2((counts + pseudocount * background) / (total * background))
    return odds


def on_grid(scores: np.ndarray) -> np.ndarray:
    """Scores in units of :data:`STEP`, rounded: int64."""
    grid: np.ndarray = np.rint(scores / STEP).astype(np.int64)
    return grid


def reverse_complement(matrix: np.ndarray) -> np.ndarray:
    """The motif as it is read on the other strand."""
    other: np.ndarray = matrix[::-1, ::-1]
    return other


def chances(matrix: np.ndarray, background: np.ndarray) -> tuple[int, np.ndarray]:
    """How likely a random word scores as high: by dynamic programming over the columns.

    Parameters
    ----------
    matrix
        Whole numbers (L, 4).
    background
        Share of each base (4,), independent of its neighbours.

    Returns
    -------
    lowest, tail
        The lowest score of a word, and the chance of a score of at least ``lowest + i`` (n,), for all up to the
        highest.

    Notes
    -----
    Time and memory are linear in the range of scores. Sums run from the rarest words, so that small chances are exact
    to rounding.
    """
    low = matrix.min(axis=1)
    above = matrix - low[:, None]
    mass = np.ones(1)
    for column in above:
        wider = np.zeros(len(mass) + int(column.max()))
        for share, shift in zip(background, column, strict=True):
            wider[shift : shift + len(mass)] += share * mass
        mass = wider
    tail: np.ndarray = np.cumsum(mass[::-1])[::-1]
    return int(low.sum()), tail


def threshold(matrix: np.ndarray, background: np.ndarray, pvalue: float) -> int:
    """The lowest score that a random word reaches with a chance of at most ``pvalue``.

    One more than the highest score if no word is as rare.
    """
    lowest, tail = chances(matrix, background)
    # sums of shares that should be equal differ by rounding
    return lowest + int((tail > pvalue * (1 + 1e-9)).sum())
