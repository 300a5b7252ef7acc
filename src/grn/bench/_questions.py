"""What is asked of a test set: all of its pairs, and those of different families, each with non-edges of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn._core.logging import hint
from grn._core.rng import child
from grn._kernels.rewire import rewire
from grn.bench._gene_families import same_family
from grn.bench.negatives import Sample, sample
from grn.datasets.reference import Reference

Places = tuple[np.ndarray, np.ndarray]

ALL, DIFFERENT = "all", "different families"
PAIRS = (ALL, DIFFERENT)


@dataclass(frozen=True)
class Question:
    """Pairs that are asked about, edges and non-edges drawn among them, and their nulls.

    Parameters
    ----------
    pairs
        One of ``PAIRS``.
    mask
        Pairs that may be asked about: bool (regulators, genes).
    samples
        Edges and non-edges, one sample per seed.
    nulls
        The same with edges exchanged for others of the same degrees; ``None`` where nothing could be drawn.
    one_way
        Edges between two regulators whose reverse could have been an edge and is none.
    """

    pairs: str
    mask: np.ndarray
    samples: list[Sample]
    nulls: list[Sample | None]
    one_way: Places


def questions(reference: Reference, mask: np.ndarray, negatives: str, seeds: Sequence[int]) -> Iterator[Question]:
    """The question about all pairs, then the one about pairs of different families.

    Edges join genes of one family more often than non-edges do. Leaving such pairs out of a sample would change the
    prevalence and unmatch the degrees; non-edges are drawn anew among the pairs that remain, so both questions have the
    same prevalence, and degrees tell as much, or as little, in both.
    """
    yield _question(reference, ALL, mask, negatives, seeds)
    try:
        yield _question(reference, DIFFERENT, mask & ~same_family(reference), negatives, seeds)
    except NetworkError as error:
        hint("%s: no figures for pairs of different families: %s", reference.name, error)


def _question(reference: Reference, pairs: str, mask: np.ndarray, negatives: str, seeds: Sequence[int]) -> Question:
    samples = [sample(reference, negatives=negatives, mask=mask, rng=seed) for seed in seeds]
    nulls = [_rewired(reference, mask, negatives, seed) for seed in seeds]
    return Question(pairs, mask, samples, nulls, _one_way(reference, mask))


def _rewired(reference: Reference, mask: np.ndarray, negatives: str, seed: int) -> Sample | None:
    """A sample whose edges were exchanged for others of the same degrees; what is scored on it is not about pairs."""
    rows, columns = np.nonzero(reference.labels & mask)
    new = rewire(rows, columns, mask.shape, child(seed, "rewired"), closed=~mask)
    edges = pd.DataFrame({"source": reference.regulators[rows], "target": reference.genes[new.targets]})
    null = Reference(edges, genes=reference.genes, regulators=reference.regulators, organism=reference.organism)
    try:
        return sample(null, negatives=negatives, mask=mask, rng=seed)
    except NetworkError:
        return None


def _one_way(reference: Reference, mask: np.ndarray) -> Places:
    """Edges between two regulators whose reverse could have been an edge and is none; none if direction is moot."""
    inside = np.searchsorted(reference.genes, reference.regulators)
    square = reference.labels[:, inside]
    both = mask[:, inside] & mask[:, inside].T
    rows, columns = np.nonzero(square & ~square.T & both & reference.directed)
    return rows, columns


def asked(reference: Reference, questions: Sequence[Question]) -> np.ndarray:
    """All pairs that some figure needs: bool (regulators, genes)."""
    wanted = np.zeros(reference.labels.shape, dtype=bool)
    inside = np.searchsorted(reference.genes, reference.regulators)
    for question in questions:
        for part in (*question.samples, *question.nulls):
            if part is not None:
                wanted[part.sources, part.targets] = True
        rows, columns = question.one_way
        wanted[rows, inside[columns]] = wanted[columns, inside[rows]] = True
    return wanted
