from itertools import product

import numpy as np
import pytest

from grn._kernels import motif_scores as scores
from grn._kernels.motif_scan import Hits, Scanner

EVEN = np.full(4, 0.25)
SKEWED = np.array([0.3, 0.2, 0.2, 0.3])


def drawn(length, seed, background=SKEWED):
    counts = np.random.default_rng(seed).dirichlet(np.full(4, 0.4), size=length) * 50
    return scores.on_grid(scores.log_odds(counts, background, 1.0))


def sequence(n, seed, unknown=0.0):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, n).astype(np.uint8)
    return np.where(random.random(n) < unknown, np.uint8(scores.UNKNOWN), codes)


def by_brute_force(matrices, thresholds, sequences):
    hits = []
    for s, codes in enumerate(sequences):
        for m, (matrix, least) in enumerate(zip(matrices, thresholds, strict=True)):
            for start in range(len(codes) - len(matrix) + 1):
                word = codes[start : start + len(matrix)]
                if (word == scores.UNKNOWN).any():
                    continue
                both = [int(strand[np.arange(len(word)), word].sum()) for strand in (matrix, matrix[::-1, ::-1])]
                if max(both) >= least:
                    hits.append((s, m, start, both[0] >= both[1], max(both)))
    return hits


def rows(hits: Hits):
    return list(zip(*(part.tolist() for part in hits), strict=True))


@pytest.fixture(scope="module")
def motifs():
    matrices = [drawn(length, seed) for seed, length in enumerate((1, 3, 5, 8, 9, 12, 17, 24))]
    # words of one base are never rare
    return matrices, [scores.threshold(matrix, SKEWED, max(5e-3, 0.4 ** len(matrix))) for matrix in matrices]


@pytest.mark.parametrize("width", [4, 8])
def test_hits_are_those_of_every_position(motifs, width):
    sequences = [sequence(n, n, unknown) for n, unknown in ((300, 0.0), (1, 0.0), (0, 0.0), (7, 0.0), (250, 0.03))]
    expected = by_brute_force(*motifs, sequences)
    assert rows(Scanner(*motifs, width=width).scan(sequences)) == expected
    assert len(expected) > 30 and {m for _, m, *_ in expected} == set(range(8))


@pytest.mark.parametrize("length", [1, 2, 5, 8])
@pytest.mark.parametrize("background", [EVEN, SKEWED], ids=["even", "skewed"])
def test_chances_are_those_of_all_words(length, background):
    matrix = drawn(length, length, background)
    words = np.array(list(product(range(4), repeat=length)))
    of_word = matrix[np.arange(length), words].sum(axis=1)
    share = background[words].prod(axis=1)
    lowest, tail = scores.chances(matrix, background)
    assert (lowest, lowest + len(tail) - 1) == (of_word.min(), of_word.max())
    for score in np.unique(of_word):
        assert tail[score - lowest] == pytest.approx(share[of_word >= score].sum(), rel=1e-9)


@pytest.mark.parametrize("pvalue", [0.5, 1e-2, 1e-3, 1e-4])
def test_a_threshold_is_the_lowest_score_that_is_rare_enough(pvalue):
    matrix = drawn(6, 3)
    words = np.array(list(product(range(4), repeat=6)))
    of_word, share = matrix[np.arange(6), words].sum(axis=1), SKEWED[words].prod(axis=1)
    least = scores.threshold(matrix, SKEWED, pvalue)
    assert share[of_word >= least].sum() <= pvalue * (1 + 1e-9) < share[of_word >= least - 1].sum() + 1e-15


def test_words_as_rare_as_the_pvalue_count():
    certain = scores.on_grid(scores.log_odds(np.eye(4)[[0, 1, 2, 3]] * 100, EVEN, 1.0))
    scanner = Scanner([certain], [scores.threshold(certain, EVEN, 4.0**-4)])
    assert [hit[:3] for hit in rows(scanner.scan([scores.encode("ACGTACGA")]))] == [(0, 0, 0)]
    assert scores.threshold(certain, EVEN, 4.0**-5) == certain.max(axis=1).sum() + 1
    assert not rows(Scanner([certain], [scores.threshold(certain, EVEN, 1e-9)]).scan([scores.encode("ACGTACGT")]))


def test_rounding_is_within_its_bound():
    counts = np.random.default_rng(1).dirichlet(np.ones(4), size=15) * 80
    exact = scores.log_odds(counts, SKEWED, 1.0)
    words = np.random.default_rng(2).integers(0, 4, size=(2000, 15))
    at = np.arange(15), words
    off = scores.on_grid(exact)[at].sum(axis=1) * scores.STEP - exact[at].sum(axis=1)
    assert 0 < np.abs(off).max() <= 15 * scores.STEP / 2


def test_both_strands_are_one(motifs):
    codes = sequence(400, 5)
    other = 3 - codes[::-1]
    scanner = Scanner(*motifs)
    length = np.array([len(matrix) for matrix in motifs[0]])
    there = [(m, start, score) for _, m, start, _, score in rows(scanner.scan([codes]))]
    back = [(m, 400 - length[m] - start, score) for _, m, start, _, score in rows(scanner.scan([other]))]
    assert sorted(there) == sorted(back) and len(there) > 10


def test_hits_do_not_depend_on_batches_order_or_company(motifs, monkeypatch):
    sequences = [sequence(120, seed) for seed in range(9)]
    together = rows(Scanner(*motifs).scan(sequences))
    alone = [(k, *hit[1:]) for k, codes in enumerate(sequences) for hit in rows(Scanner(*motifs).scan([codes]))]
    backwards = [(8 - k, *hit) for k, *hit in rows(Scanner(*motifs).scan(sequences[::-1]))]
    monkeypatch.setattr("grn._kernels.motif_scan._BATCH", 7)
    assert together == alone == sorted(backwards) == rows(Scanner(*motifs).scan(sequences))


def test_planted_words_are_found_where_they_are():
    matrix = drawn(14, 8)
    best = matrix.argmax(axis=1).astype(np.uint8)
    codes = sequence(2000, 1)
    codes[100:114], codes[900:914] = best, 3 - best[::-1]
    hits = Scanner([matrix], [scores.threshold(matrix, SKEWED, 1e-7)]).scan([codes])
    assert {(100, True), (900, False)} <= set(zip(hits.start.tolist(), hits.forward.tolist(), strict=True))


def test_letters():
    assert scores.encode("acgtuNRx-\u00e9").tolist() == [0, 1, 2, 3, 3, 4, 4, 4, 4, 4]


def test_no_motif_and_no_sequence(motifs):
    assert rows(Scanner([], []).scan([sequence(50, 0)])) == rows(Scanner(*motifs).scan([])) == []
