"""Which pairs count as non-edges: samples with a name, a seed and a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import NetworkError, ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn._kernels.rewire import configuration, degree_matched
from grn.bench.splits import own_pairs
from grn.datasets.reference import Reference

__all__ = ["NEGATIVES", "Sample", "sample"]

NEGATIVES = ("all", "uniform", "degree_matched", "configuration", "hard")
UNLABELLED = ("excluded", "negative")


@dataclass(frozen=True, eq=False)
class Sample:
    """Edges and non-edges of a reference.

    Parameters
    ----------
    reference
        Where the labels come from.
    sources, targets
        Positions in ``reference.regulators`` and ``reference.genes`` (N,), sorted.
    labels
        1 for edges, 0 for non-edges (N,).
    negatives
        How non-edges were drawn.
    seed
        Seed of the draw.
    report
        Counts: edges lost for want of a partner, regulators left out, convergence of the exchange.
    """

    reference: Reference
    sources: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    negatives: str
    seed: int
    report: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {name:<28} {value:g}" for name, value in self.report.items())
        return (
            f"Sample of {self.reference.name}, negatives {self.negatives!r}, seed {self.seed}: {self.n_pos:,} edges, "
            f"{self.n_neg:,} non-edges (prevalence {self.prevalence:.3f}){lines}"
        )

    @property
    def n_pos(self) -> int:
        """Number of edges."""
        return int(self.labels.sum())

    @property
    def n_neg(self) -> int:
        """Number of non-edges."""
        return len(self.labels) - self.n_pos

    @property
    def prevalence(self) -> float:
        """Share of edges: what the AUPRC of a random score comes close to where pairs are many."""
        return self.n_pos / len(self.labels)

    @property
    def pairs(self) -> pd.DataFrame:
        """The pairs by name: ``source``, ``target``, ``label``."""
        return pd.DataFrame(
            {
                "source": self.reference.regulators[self.sources],
                "target": self.reference.genes[self.targets],
                "label": self.labels,
            }
        )

    def take(self, grid: np.ndarray) -> np.ndarray:
        """Values of the pairs from a table over the whole reference.

        Parameters
        ----------
        grid
            Values (regulators, genes).

        Returns
        -------
        ndarray
            Values (N,).
        """
        values: np.ndarray = grid[self.sources, self.targets]
        return values


def sample(
    reference: Reference,
    *,
    negatives: str = "uniform",
    mask: np.ndarray | None = None,
    ratio: float = 1.0,
    unlabelled: str = "excluded",
    scores: np.ndarray | None = None,
    rng: RNGLike = 0,
) -> Sample:
    """Choose non-edges for the edges of a reference.

    Parameters
    ----------
    reference
        Reference with the edges.
    negatives
        ``"all"``: every pair that is no edge (natural density). ``"uniform"``: drawn at random (1:1 is the paper's).
        ``"degree_matched"``: edges exchange their targets at random; a pair that is an edge before and after is left
        out, so every regulator and every target has exactly as many edges as non-edges and node degrees tell nothing.
        ``"configuration"``: targets are dealt out anew and clashes exchanged at random, as
        commonly done; where a network is dense many non-edges are never found, edges are thinned at random to their
        number, and degrees tell again. ``"hard"``: per regulator as many as it has edges, the ones with the highest
        ``scores``.
    mask
        Pairs that may be used: bool (regulators, genes), as ``Split.test_mask``; all but self-pairs by default.
    ratio
        Non-edges per edge with ``"uniform"``.
    unlabelled
        What pairs of regulators without any edge are: ``"excluded"``, or ``"negative"`` as much of the literature has
        it, which makes "was this regulator assayed" part of the question.
    scores
        Values (regulators, genes) for ``"hard"``, such as absolute correlations; NaN pairs are not drawn.
    rng
        Seed of the draw.

    Returns
    -------
    Sample
        Edges and non-edges, sorted by regulator and target.

    Raises
    ------
    NetworkError
        No edge or no non-edge is left.
    ParameterError
        An argument is unknown or does not fit.

    Notes
    -----
    Degree-matched: regulators meet in random pairs, 80 rounds, and deal their targets out anew; pairs that are edges
    again leave both sides. ``report`` gives the share of edges that found a partner and whether it had settled. If
    edges are random given the degrees, edges and non-edges have the same distribution, so no score of nodes, be it a
    sum or a product, tells them apart. Under 1 s for 500 regulators x 1 000 genes.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, negatives
    >>> edges = pd.DataFrame({"source": ["A", "A", "B", "B"], "target": ["C", "D", "E", "F"]})
    >>> drawn = negatives.sample(Reference(edges), negatives="degree_matched")
    >>> drawn.n_pos == drawn.n_neg
    True
    """
    _check(reference, negatives, ratio, unlabelled)
    seed = seed_of(rng)
    allowed = own_pairs(reference)
    if mask is not None:
        if np.shape(mask) != allowed.shape:
            raise ParameterError(f"mask has shape {np.shape(mask)}; pass (regulators, genes) = {allowed.shape}.")
        allowed = allowed & np.asarray(mask, dtype=bool)
    bare = ~reference.labels.any(axis=1)
    edges = reference.labels & allowed
    if not edges.any():
        raise NetworkError(f"no edge of {reference.name} is among the pairs that may be used; give a larger mask.")
    free = allowed & ~reference.labels
    if unlabelled == "excluded":
        free[bare] = False
    report: dict[str, float] = {"regulators_without_evidence": float(bare.sum())}
    number = int(edges.sum())
    if negatives == "all":
        drawn = free
    elif negatives == "uniform":
        drawn = _uniform(free, round(ratio * edges.sum()), seed)
    elif negatives == "hard":
        drawn = _hard(free, edges, scores, seed)
    else:
        match = _degree_matched if negatives == "degree_matched" else _configuration
        edges, drawn, counts = match(edges, free, seed)
        report |= counts
    if not drawn.any():
        raise NetworkError(
            f"no non-edge of {reference.name} can be drawn with negatives={negatives!r} for {number} edges; "
            "use 'uniform', or a reference with more regulators and genes."
        )
    if negatives == "uniform":
        report["edges_wanting"] = float(max(0, round(ratio * edges.sum()) - drawn.sum()))
    rows, columns = np.nonzero(edges | drawn)
    return Sample(reference, rows, columns, edges[rows, columns].astype(np.int8), negatives, seed, report)


def _check(reference: Reference, negatives: str, ratio: float, unlabelled: str) -> None:
    if not isinstance(reference, Reference):
        raise ParameterError(f"reference is a {type(reference).__name__}; pass a grn.bench.Reference.")
    checks.word("negatives", negatives, NEGATIVES)
    checks.word("unlabelled", unlabelled, UNLABELLED)
    checks.number("ratio", ratio, above=0)


def _uniform(free: np.ndarray, number: int, seed: int) -> np.ndarray:
    pool = np.flatnonzero(free)
    chosen = child(seed, "uniform").choice(pool, min(number, len(pool)), replace=False)
    drawn = np.zeros(free.size, dtype=bool)
    drawn[chosen] = True
    return drawn.reshape(free.shape)


def _hard(free: np.ndarray, edges: np.ndarray, scores: np.ndarray | None, seed: int) -> np.ndarray:
    """Per regulator the non-edges with the highest scores; equal scores by lot."""
    if scores is None or np.shape(scores) != free.shape:
        raise ParameterError(
            f"negatives='hard' needs scores of shape {free.shape}; got "
            f"{'none' if scores is None else np.shape(scores)}. Pass absolute correlations, for instance."
        )
    lot = child(seed, "hard").random(free.shape)
    try:
        given = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"scores are no numbers ({error}); pass one number or NaN per pair.") from error
    eligible = free & ~np.isnan(given)
    drawn = np.zeros(free.shape, dtype=bool)
    for row, wanted in enumerate(edges.sum(axis=1)):
        columns = np.flatnonzero(eligible[row])
        order = np.lexsort((lot[row, columns], -given[row, columns]))[:wanted]
        drawn[row, columns[order]] = True
    return drawn


def _degree_matched(edges: np.ndarray, free: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Edges that found a partner, their non-edges, and how the exchange went."""
    paired, drawn, exchange = degree_matched(edges, free, child(seed, "degree_matched"))
    counts = {
        "edges_with_partner": float(paired.sum() / edges.sum()),
        "rounds": float(len(exchange.overlap)),
        "settled": float(exchange.settled),
        "largest_degree_difference": _degree_difference(paired, drawn),
    }
    return paired, drawn, counts


def _configuration(edges: np.ndarray, free: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """The configuration model with rejection, edges thinned to the number of non-edges found."""
    sources, targets = np.nonzero(edges)
    random = child(seed, "configuration")
    dealt, fine = configuration(sources, targets, free, random)
    drawn, thinned = np.zeros_like(edges), np.zeros_like(edges)
    drawn[sources[fine], dealt[fine]] = True
    chosen = random.choice(len(sources), int(fine.sum()), replace=False)
    thinned[sources[chosen], targets[chosen]] = True
    return (
        thinned,
        drawn,
        {
            "edges_with_partner": float(fine.mean()),
            "settled": float(fine.all()),
            "largest_degree_difference": _degree_difference(thinned, drawn),
        },
    )


def _degree_difference(edges: np.ndarray, drawn: np.ndarray) -> float:
    """Largest difference between the numbers of edges and non-edges of a node."""
    return float(max(np.abs(edges.sum(axis=i) - drawn.sum(axis=i)).max() for i in (0, 1)))
