"""A gene circuit of Hill functions as a chemical Langevin equation, for simulated cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grn._core.rng import child

_STEP = 0.06


@dataclass(frozen=True)
class Circuit:
    """Genes with their rates, and edges sorted by target; every gene has at least one edge."""

    genes: tuple[str, ...]
    decay: np.ndarray  # (G,)
    start: np.ndarray  # (G,), levels of cells at time 0
    source: np.ndarray  # (E,)
    target: np.ndarray  # (E,)
    strength: np.ndarray  # (E,), below 0 for repression
    threshold: np.ndarray  # (E,)
    steep: np.ndarray  # (E,), exponent 4 instead of 2

    def activity(self, levels: np.ndarray) -> np.ndarray:
        """Production of every gene (G, ...), as a share of the largest, at some levels (G, ...)."""
        over_edges = (-1, *(1,) * (levels.ndim - 1))
        power = (levels[self.source] / self.threshold.reshape(over_edges)) ** 2  # (E, ...)
        power[self.steep] *= power[self.steep]
        share = power / (1.0 + power)
        strength = self.strength.reshape(over_edges)
        factors = np.where(strength > 0, 1.0 - strength, 1.0) + strength * share
        first = np.searchsorted(self.target, np.arange(len(self.genes)))
        product: np.ndarray = np.multiply.reduceat(factors, first, axis=0)
        return product


@dataclass(frozen=True)
class Course:
    """Levels of the same cells in several worlds, (W, n, G)."""

    sampled: np.ndarray  # each cell at its own time
    end: np.ndarray


def simulate(
    circuit: Circuit,
    seed: int,
    label: str,
    times: np.ndarray,
    *,
    end: float,
    molecules: float,
    lost: Sequence[int | None],
) -> Course:
    """Follow cells from time 0 to the end by Euler and Maruyama, in worlds that lack one gene or none.

    Cells have the same noise in all worlds, keyed by gene, so that worlds differ by what is lost alone.

    Parameters
    ----------
    circuit
        The genes.
    seed, label
        What the noise is keyed by, beside the gene.
    times
        When each cell is sampled (n,), from 0 to ``end``.
    end
        Length of the course.
    molecules
        Molecules of a gene at level 1: the more, the less noise.
    lost
        One entry per world: the position of a gene without production, or None.
    """
    genes, n = len(circuit.genes), len(times)
    works = np.ones((genes, len(lost), 1))
    for world, gene in enumerate(lost):
        if gene is not None:
            works[gene, world] = 0.0
    streams = [child(seed, "course", label, name) for name in circuit.genes]
    levels = circuit.start[:, None, None] * works * np.ones((1, 1, n))  # (G, W, n)
    steps = int(np.ceil(end / _STEP))
    step, stop = end / steps, np.rint(times / (end / steps)).astype(int)
    decay = circuit.decay[:, None, None]
    sampled = np.empty_like(levels)
    for number in range(steps + 1):
        now = np.flatnonzero(stop == number)
        sampled[..., now] = levels[..., now]
        if number == steps:
            break
        made = decay * circuit.activity(levels) * works
        gone = decay * levels
        noise = np.stack([stream.standard_normal(n) for stream in streams])[:, None]  # (G, 1, n)
        levels = levels + step * (made - gone) + np.sqrt(step * (made + gone) / molecules) * noise
        levels = np.maximum(levels, 0.0)
    return Course(sampled.transpose(1, 2, 0), levels.transpose(1, 2, 0))
