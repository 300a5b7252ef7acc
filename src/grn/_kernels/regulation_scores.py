"""Scores of regulators, regions and genes made of population networks and of the means of a group of cells."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats

# what is added so that no factor of a product is zero, and how influence falls with distance (bases)
_FLOOR, _OFFSET, _SCALE = 0.1, 0.5, 25_000.0


class Pairs(NamedTuple):
    """Pairs of a region and a gene: positions (n,) of both, and a number each."""

    region: np.ndarray
    gene: np.ndarray
    values: np.ndarray


class Strongest(NamedTuple):
    """Sums over regions (T, S), and the region with the largest term: its position, -1 where no term is positive."""

    total: np.ndarray
    region: np.ndarray


def relative(means: np.ndarray) -> np.ndarray:
    """Means of features over their own mean; as they are where that is zero."""
    middle = means.mean()
    return means / middle if middle > 0 else means


def decay(distance: np.ndarray) -> np.ndarray:
    """Influence of a region at a distance (bases, of any sign) from the start of a gene."""
    influence: np.ndarray = np.exp(-(_OFFSET + np.abs(distance) / _SCALE))
    return influence


def potential(binding: np.ndarray, motifs: np.ndarray | None) -> np.ndarray:
    """How likely regulators act on regions (R, S) in any cells: learned binding and that by motifs, over their means.

    The mean of the learned binding is that of its positive part, and its negatives count as zero.
    """
    positive = binding > 0
    # plain numbers, which leave the precision of the matrices as it is
    middle = float(binding[positive].mean(dtype=np.float64)) if positive.any() else 1.0
    score: np.ndarray = binding / middle
    np.maximum(score, 0.0, out=score)
    score += _FLOOR
    if motifs is not None:
        middle = float(motifs.mean(dtype=np.float64))
        score += motifs / middle if middle > 0 else 0.0
    return score


def binding_in(potential: np.ndarray, regions: np.ndarray, regulators: np.ndarray) -> np.ndarray:
    """Binding (R, S) in cells with relative accessibility (R,) and relative expression of regulators (S,)."""
    binding: np.ndarray = (regions[:, None] + _FLOOR) * potential
    binding *= regulators + _FLOOR
    return binding


def cis_in(cis: Pairs, distance: np.ndarray, regions: np.ndarray, genes: np.ndarray, *, floor: float = 0.0) -> Pairs:
    """Influence of regions on genes in cells with relative accessibility (R,) and relative expression of genes (G,).

    ``floor`` is added to the population scores: 0.1 with a prior from bulk data, else 0.
    """
    near = (cis.values + floor) * decay(distance)
    values = (regions[cis.region] + _FLOOR) * near * (genes[cis.gene] + _FLOOR)
    return Pairs(cis.region, cis.gene, values)


def trans(binding: np.ndarray, cis: Pairs, n_genes: int) -> Strongest:
    """Influence of regulators on genes through regions: binding (R, S) transposed times cis (R, G).

    Parameters
    ----------
    binding
        Binding (R, S).
    cis
        Pairs of a region and a gene, each once.
    n_genes
        Number of genes T.

    Returns
    -------
    Strongest
        Sums (T, S) and the region behind the largest term; of equal ones the first.
    """
    total = np.zeros((n_genes, binding.shape[1]), dtype=binding.dtype)
    region = np.full(total.shape, -1, dtype=np.int64)
    order = np.lexsort((cis.region, cis.gene))
    bounds = np.searchsorted(cis.gene[order], np.arange(n_genes + 1))
    for gene, (first, last) in enumerate(pairwise(bounds)):
        if first == last:
            continue
        places = order[first:last]
        terms = binding[cis.region[places]] * cis.values[places, None]  # (regions of the gene, S)
        total[gene] = terms.sum(axis=0)
        best = terms.argmax(axis=0)
        region[gene] = np.where(terms.max(axis=0) > 0, cis.region[places][best], -1)
    return Strongest(total, region)


def quantile_normalised(values: np.ndarray) -> np.ndarray:
    """Values (n, G) with the same distribution in all cells, the mean of every rank; ties share theirs."""
    return with_levels(values, np.sort(values, axis=1).mean(axis=0))


def with_levels(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Values (n, G) replaced by the level (G,), ascending, of their rank in the cell; ties share the mean of theirs."""
    ranks = stats.rankdata(values, axis=1)  # (n, G)
    ends = np.concatenate([[0.0], np.cumsum(levels)])
    # ties of k values with the mean rank r have the ranks r - (k - 1) / 2 to r + (k - 1) / 2
    last = stats.rankdata(values, axis=1, method="max").astype(np.int64)
    first = np.rint(2 * ranks).astype(np.int64) - last
    normalised: np.ndarray = (ends[last] - ends[first - 1]) / (last - first + 1)
    return normalised


def activity(network: np.ndarray, values: np.ndarray) -> np.ndarray:
    r"""Activity (n, S) of regulators in cells, from the expression of their targets.

    .. math:: a = \frac{N^\top x - E^\top x}{E^\top x}, \qquad E = \frac{r\, c^\top}{\sum N}

    Parameters
    ----------
    network
        Weights N (T, S), none negative; r and c are its sums over rows and columns.
    values
        Normalised expression x of the targets (n, T).

    Returns
    -------
    ndarray
        NaN where nothing is expected: a regulator without targets, a cell without expression.
    """
    expected = np.outer(values @ network.sum(axis=1), network.sum(axis=0)) / network.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        score: np.ndarray = np.where(expected > 0, (values @ network - expected) / expected, np.nan)
    return score


def higher_inside(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether columns of ``values`` (n, S) are higher in some cells (mask) than in the others: t and p, one-sided.

    Student's t-test of equal variances. NaN where a column has missing values or does not vary.
    """
    t, p = np.full((2, values.shape[1]), np.nan)
    varies = np.ptp(values, axis=0) > 0  # False where values are missing
    t[varies], p[varies] = stats.ttest_ind(values[inside][:, varies], values[~inside][:, varies], alternative="greater")
    return t, p
