"""Designs that ``mini`` could have had: from states of data sets to a score of pairs of genes, and its AUPRC on hESC.

``scripts/learning_curve_mini.py`` runs them. The states of all data sets are made once and kept in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pretrain_mini as training
import torch

import grn
from grn.bench import metrics
from grn.bench._gene_families import same_family
from grn.bench.negatives import Sample, sample
from grn.bench.splits import own_pairs
from grn.models._memory_fit import States, Table, factorise
from grn.models.memory import GRID, MemoryNetwork
from grn.models.translator import double_centred

NETWORKS = ("STRING", "Non-Specific")
PAIRS = ("all", "different families")
# figures of a design: of every network, by kind of pairs
COLUMNS = {f"{network}, {pairs}": (network, pairs) for network in NETWORKS for pairs in PAIRS}
SEEDS = 3
# scores (S, T) of sources and targets by symbol, NaN where a gene is not known
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Design:
    """Choices in which designs of the memory differ; the defaults are those of the weights in the package.

    Parameters
    ----------
    rank, table_rank
        Components that are kept, and that the table is fitted with.
    rounds
        Decompositions of the table.
    families
        Whether genes borrow factors from their families.
    power
        Power of the singular values.
    equal
        Whether every gene is given the same variance.
    precision
        How sharply a shown gene tells states apart; 0 is the limit, one Gaussian whose answers are straight lines.
    profile_weight
        How many data sets a file of profiles counts like.
    """

    rank: int = training.RANK
    table_rank: int = training.TABLE_RANK
    rounds: int = training.ROUNDS
    families: bool = True
    power: float = training.POWER
    equal: bool = True
    precision: float = training.PRECISION
    profile_weight: float = training.PROFILE_WEIGHT


@dataclass(frozen=True)
class StoredStates:
    """States of all data sets.

    Parameters
    ----------
    genes
        Vocabulary.
    states
        States by name of the data set.
    profiles
        Names of the files of profiles.
    """

    genes: np.ndarray
    states: dict[str, States]
    profiles: frozenset[str]

    @property
    def cells(self) -> list[str]:
        """Names of the data sets of cells."""
        return sorted(set(self.states) - self.profiles)


def read(data: Path, kept: Path) -> StoredStates:
    """States of all data sets under ``data``, made as for the weights, or read from the file ``kept``."""
    if not kept.is_file():
        cells = training.corpus(data)
        made = [training.summarised(s, is_profile=s.name in cells.profiles) for s in cells.fitted]
        arrays = {
            f"{part}/{s.name}": getattr(s, part) for s in made for part in ("tokens", "values", "share", "weight")
        }
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, genes=np.array(cells.genes), profiles=np.array(sorted(cells.profiles)), **arrays)
    with np.load(kept) as stored:
        names = sorted(name.removeprefix("tokens/") for name in stored if name.startswith("tokens/"))
        states = {
            name: States(
                name,
                stored[f"tokens/{name}"],
                stored[f"values/{name}"],
                stored[f"share/{name}"],
                float(stored[f"weight/{name}"]),
            )
            for name in names
        }
        return StoredStates(stored["genes"], states, frozenset(stored["profiles"].tolist()))


def table_of(corpus: StoredStates, names: Sequence[str], design: Design) -> tuple[Table, list[str]]:
    """The table of some data sets, and the genes that they have."""
    chosen = [corpus.states[name] for name in sorted(names)]
    held = np.unique(np.concatenate([s.tokens for s in chosen]))
    scale = design.profile_weight / training.PROFILE_WEIGHT
    chosen = [
        replace(
            s, tokens=np.searchsorted(held, s.tokens), weight=s.weight * (scale if s.name in corpus.profiles else 1)
        )
        for s in chosen
    ]
    rank = min(design.table_rank, sum(len(s.share) for s in chosen) - 1)
    return factorise(chosen, len(held), rank, rounds=design.rounds), corpus.genes[held].tolist()


def network_of(table: Table, genes: list[str], design: Design) -> MemoryNetwork:
    """The memory on a table."""
    network = training.network_of(table, genes, borrow=design.families, rank=design.rank, power=design.power)
    network.config = replace(network.config, precision=design.precision)
    if not design.equal:
        size = np.linalg.norm(table.genes - table.genes.mean(axis=0), axis=1)
        with torch.no_grad():
            network.embedding *= torch.as_tensor(size / np.sqrt(np.square(size).mean()), dtype=torch.float32)[:, None]
    return network


def readings(network: MemoryNetwork, sources: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Responses and derivatives (S, T, K) at the points of the grid, one source shown at a time, in closed form.

    The response is against the source at 0, as of :func:`grn.tl.vvp` with the background unknown.

    Parameters
    ----------
    network
        The memory.
    sources, targets
        Positions in its vocabulary (S,), (T,).
    """
    c = network.config
    with torch.no_grad():
        factors, states = network.embedding.numpy().astype(np.float64), network.states.numpy().astype(np.float64)
    shown, asked = states @ factors[sources].T, states @ factors[targets].T  # (C, S), (C, T)
    set_of, share = network.set_of.numpy(), network.share.detach().numpy().astype(np.float64)
    starts = np.flatnonzero(np.diff(set_of, prepend=-1))  # states are in the order of their data sets
    weight = network.weight.detach().numpy().astype(np.float64)
    weight /= weight.sum()
    precision = c.precision / (1 + 1 / c.crowding)

    def posterior(value: float) -> np.ndarray:
        evidence = precision * (value * shown - 0.5 * np.square(shown))  # (C, S)
        mass = share[:, None] * np.exp(evidence - np.maximum.reduceat(evidence, starts)[set_of])
        return mass / np.add.reduceat(mass, starts)[set_of] * weight[set_of, None]

    def answer(p: np.ndarray) -> np.ndarray:
        return c.gain * (p.T @ asked)  # (S, T)

    rest, response, slope = answer(posterior(0.0)), [], []
    for value in GRID:
        p = posterior(value)
        mean = np.add.reduceat(p * shown, starts) / weight[:, None]  # (H, S)
        response.append(answer(p) - rest)
        slope.append(precision * answer(p * (shown - mean[set_of])))
    return np.stack(response, axis=-1), np.stack(slope, axis=-1)


def scored(network: MemoryNetwork, genes: Sequence[str], *, read: str = "derivative", centred: bool = True) -> Score:
    """The score that a memory gives: its mean derivative or mean signed response, or the derivative at one point.

    Parameters
    ----------
    network
        The memory.
    genes
        Its vocabulary.
    read
        ``"derivative"``, ``"response"``, ``"factors"`` (one Gaussian: the product of the factors), or a point.
    centred
        Whether means over sources and over targets are taken out.
    """
    place = {gene: i for i, gene in enumerate(genes)}

    def score(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        rows, columns = ([i for i, gene in enumerate(names) if gene in place] for names in (sources, targets))
        at = [np.array([place[names[i]] for i in known]) for names, known in ((sources, rows), (targets, columns))]
        if read == "factors":
            factors = network.embedding.detach().numpy()
            values = factors[at[0]] @ factors[at[1]].T
        else:
            response, slope = readings(network, *at)
            points = {f"{point:g}": slope[..., i] for i, point in enumerate(GRID)}
            means = {"derivative": slope.mean(axis=-1), "response": (response * np.sign(GRID)).mean(axis=-1)}
            values = {**points, **means}[read]
        values = np.where(sources[rows][:, None] == targets[columns][None, :], np.nan, values)
        full = np.full((len(sources), len(targets)), np.nan)
        full[np.ix_(rows, columns)] = double_centred(values) if centred else values
        return full

    return score


def pooled(corpus: StoredStates, names: Sequence[str]) -> Score:
    """Co-variation of the states themselves, averaged over the data sets that have both genes: no table, no model."""

    def score(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        total, count = np.zeros((2, len(sources), len(targets)))
        for name in names:
            s = corpus.states[name]
            place = {gene: i for i, gene in enumerate(corpus.genes[s.tokens].tolist())}
            rows, columns = ([i for i, gene in enumerate(of) if gene in place] for of in (sources, targets))
            left, right = (
                s.values[:, [place[of[i]] for i in known]] for of, known in ((sources, rows), (targets, columns))
            )
            both = np.ix_(rows, columns)
            total[both] += s.weight * ((left * s.share[:, None]).T @ right)
            count[both] += training.PROFILE_WEIGHT if name in corpus.profiles else 1
        values = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return double_centred(np.where(sources[:, None] == targets[None, :], np.nan, values))

    return score


class Question:
    """Edges and degree-matched non-edges of hESC among the genes of the vocabulary, by network and kind of pairs.

    Parameters
    ----------
    genes
        Vocabulary.
    data
        Folder with ``beeline/``.
    """

    def __init__(self, genes: Sequence[str], data: Path) -> None:
        self.references = {name: grn.datasets.beeline("hESC", network=name, path=data) for name in NETWORKS}
        self.samples: dict[tuple[str, str], list[Sample]] = {}
        for name, reference in self.references.items():
            mask = (
                own_pairs(reference) & np.isin(reference.genes, genes) & np.isin(reference.regulators, genes)[:, None]
            )
            for pairs in PAIRS:
                apart = mask if pairs == "all" else mask & ~same_family(reference)
                self.samples[name, pairs] = [
                    sample(reference, negatives="degree_matched", mask=apart, rng=seed) for seed in range(SEEDS)
                ]

    def known(self, genes: Sequence[str]) -> int:
        """How many genes of the data set are among some."""
        return int(np.isin(self.references[NETWORKS[0]].genes, genes).sum())

    def areas(self, score: Score) -> dict[str, float]:
        """AUPRC by network and kind of pairs, mean over draws of non-edges; a pair that is not known scores 0."""
        scores = {
            name: np.nan_to_num(score(reference.regulators, reference.genes))
            for name, reference in self.references.items()
        }
        return {
            column: float(np.mean([metrics.auprc(d.labels, d.take(scores[name])) for d in self.samples[name, pairs]]))
            for column, (name, pairs) in COLUMNS.items()
        }
