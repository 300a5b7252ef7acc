"""Scan sequences for many motifs at once.

Every word of :data:`Scanner.width` bases is looked up in a table of the motifs that it can be a part of: those whose
best other columns would lift the word to the threshold. Most words are a part of few motifs, so that a position costs
one look-up and the columns of few motifs, not those of all. What is found is exactly what scoring every position would
find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grn._kernels.motif_scores import UNKNOWN, reverse_complement

# numbers that work in flight may hold; a few arrays of this length
_BATCH = 1 << 20
_NEVER = -(1 << 40)


class Hits(NamedTuple):
    """Places at which a motif reaches its threshold, sorted by sequence, motif, start: arrays (n,).

    Of both strands at one place the better one counts, the forward one where they are equal.
    """

    sequence: np.ndarray
    motif: np.ndarray
    start: np.ndarray
    forward: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class _Part:
    """Where a motif on a strand is looked up, and what is left of it then."""

    offset: int  # of the word within the motif
    columns: np.ndarray  # left to score, the most telling first
    best: np.ndarray  # of the columns from each on (n + 1,)


class Scanner:
    """Motifs, ready to be looked for.

    Parameters
    ----------
    matrices
        Scores (L, 4) of every motif, whole numbers.
    thresholds
        Score that a hit has to reach, per motif.
    width
        Bases of a word that is looked up, 4 to 11. More take more time to prepare and less to scan; hits are the same.
    """

    def __init__(self, matrices: Sequence[np.ndarray], thresholds: Sequence[int], *, width: int = 8) -> None:
        self.n_motifs, self.width = len(matrices), width
        strands = [strand for matrix in matrices for strand in (matrix, reverse_complement(matrix))]
        self.threshold = np.repeat(np.asarray(thresholds, dtype=np.int64), 2)
        self.length = np.array([len(matrix) for matrix in strands], dtype=np.int64)
        self.margin = max([width, *self.length.tolist()])
        parts = [_part(matrix, width) for matrix in strands]
        self.offset = np.array([part.offset for part in parts], dtype=np.int64)
        self._columns(strands, parts)
        self._words(strands, parts)

    def scan(self, sequences: Sequence[np.ndarray]) -> Hits:
        """Hits in some sequences of coded bases; memory grows with their length and the number of hits."""
        text, first = self._joined(sequences)
        batches = [self._verified(text, *batch) for batch in self._candidates(text)]
        owner, start, score = (np.concatenate([part[k] for part in batches]) for k in range(3))
        whole = _unknown_before(text)
        keep = whole[start + self.length[owner]] == whole[start]
        owner, start, score = owner[keep], start[keep], score[keep]
        sequence = np.searchsorted(first, start, side="right") - 1
        return _one_per_place(sequence, owner, start - first[sequence], score)

    def _columns(self, strands: list[np.ndarray], parts: list[_Part]) -> None:
        """Tables of the columns beside the word, by strand and turn."""
        turns = max((len(part.columns) for part in parts), default=0)
        self.place = np.zeros((len(parts), turns), dtype=np.int64)
        self.score = np.full((len(parts), turns, UNKNOWN + 1), _NEVER, dtype=np.int64)
        self.best = np.zeros((len(parts), turns + 1), dtype=np.int64)
        self.turns = np.array([len(part.columns) for part in parts], dtype=np.int64)
        for number, (matrix, part) in enumerate(zip(strands, parts, strict=True)):
            n = self.turns[number]
            self.place[number, :n] = part.columns
            self.score[number, :n, :UNKNOWN] = matrix[part.columns]
            self.best[number, : n + 1] = part.best

    def _words(self, strands: list[np.ndarray], parts: list[_Part]) -> None:
        """For every word the strands that it can be a part of, and what it scores in each: sorted by word."""
        words, owners, scores = [], [], []
        for number, (matrix, part) in enumerate(zip(strands, parts, strict=True)):
            window = matrix[part.offset : part.offset + self.width]
            able, score = _able_words(window, self.threshold[number] - part.best[0])
            # a motif shorter than a word may be followed by anything
            free = 4 ** (self.width - len(window))
            words.append((able[:, None] * free + np.arange(free)).ravel())
            owners.append(np.full(len(words[-1]), number, dtype=np.int32))
            scores.append(np.repeat(score, free))
        word = np.concatenate([np.zeros(0, dtype=np.int64), *words])
        order = np.argsort(word, kind="stable")
        self.first = np.searchsorted(word[order], np.arange(4**self.width + 1))
        self.owner = np.concatenate([np.zeros(0, dtype=np.int32), *owners])[order]
        self.word_score = np.concatenate([np.zeros(0, dtype=np.int64), *scores]).astype(np.int32)[order]

    def _joined(self, sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """All sequences with an unknown base between them, and where each begins."""
        gap = np.full(1, UNKNOWN, dtype=np.uint8)
        margin = np.full(self.margin, UNKNOWN, dtype=np.uint8)
        text = np.concatenate([margin, *(part for sequence in sequences for part in (sequence, gap)), margin])
        sizes = np.array([len(sequence) + 1 for sequence in sequences], dtype=np.int64)
        return text, self.margin + np.cumsum(sizes) - sizes

    def _candidates(self, text: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places of words and of entries in the table of words, some at a time."""
        n = len(text) - self.width + 1
        base = np.where(text == UNKNOWN, 0, text).astype(np.int32)
        word = np.zeros(n, dtype=np.int32)
        for k in range(self.width):
            word = word * 4 + base[k : k + n]
        entries = (self.first[word + 1] - self.first[word]).astype(np.int64)
        total = np.cumsum(entries)
        low = 0
        while low < n:
            before = int(total[low - 1]) if low else 0
            high = max(int(np.searchsorted(total, before + _BATCH, side="right")), low + 1)
            sizes = entries[low:high]
            place = np.repeat(np.arange(low, high), sizes)
            shift = self.first[word[low:high]] - (total[low:high] - sizes - before)
            yield place, np.arange(len(place)) + np.repeat(shift, sizes)
            low = high

    def _verified(
        self, text: np.ndarray, place: np.ndarray, entry: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Strand, start and score of the candidates that reach the threshold."""
        owner = self.owner[entry]
        start, score = place - self.offset[owner], self.word_score[entry].astype(np.int64)
        inside = (start >= 0) & (start + self.length[owner] <= len(text))
        owner, start, score = owner[inside], start[inside], score[inside]
        done = []
        for turn in range(self.score.shape[1]):
            ended = self.turns[owner] == turn
            done.append((owner[ended], start[ended], score[ended]))
            owner, start, score = owner[~ended], start[~ended], score[~ended]
            score = score + self.score[owner, turn, text[start + self.place[owner, turn]]]
            able = score + self.best[owner, turn + 1] >= self.threshold[owner]
            owner, start, score = owner[able], start[able], score[able]
        done.append((owner, start, score))
        return tuple(np.concatenate([part[k] for part in done]) for k in range(3))  # type: ignore[return-value]


def _part(matrix: np.ndarray, width: int) -> _Part:
    """The word of a motif that tells most, and the other columns in the order of what they tell."""
    telling = matrix.max(axis=1) - matrix.mean(axis=1)
    size = min(width, len(matrix))
    offset = int(np.argmax(np.convolve(telling, np.ones(size), mode="valid")))
    others = np.r_[0:offset, offset + size : len(matrix)]
    columns = others[np.argsort(-telling[others], kind="stable")]
    best = matrix[columns].max(axis=1) if len(columns) else np.zeros(0, dtype=np.int64)
    return _Part(offset, columns, np.r_[np.cumsum(best[::-1])[::-1], 0])


def _able_words(window: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """All words of the width of a window (w, 4) that score at least so much, and their scores.

    Words grow by a base at a time, and are dropped once the best of what follows would not lift them: the work follows
    the number of words that are left, not the number of all words. The first base is the highest digit.
    """
    word, score = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    follows = np.r_[np.cumsum(window.max(axis=1)[::-1])[::-1][1:], 0]
    for column, best in zip(window, follows, strict=True):
        word = (word[:, None] * 4 + np.arange(4)).ravel()
        score = (score[:, None] + column).ravel()
        able = score + best >= least
        word, score = word[able], score[able]
    return word, score


def _unknown_before(text: np.ndarray) -> np.ndarray:
    """Number of unknown bases before every place (n + 1,)."""
    before: np.ndarray = np.r_[0, np.cumsum(text == UNKNOWN)]
    return before


def _one_per_place(sequence: np.ndarray, owner: np.ndarray, start: np.ndarray, score: np.ndarray) -> Hits:
    motif, reverse = owner // 2, owner % 2
    order = np.lexsort([reverse, -score, start, motif, sequence])
    sequence, motif, start = sequence[order], motif[order], start[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(sequence) != 0) | (np.diff(motif) != 0) | (np.diff(start) != 0)
    return Hits(sequence[first], motif[first], start[first], (reverse == 0)[order][first], score[order][first])
