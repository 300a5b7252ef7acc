"""How a memory is made: states of every data set, and one low-rank table of genes and states over all of them.

States of a data set are means of z-scores over clusters of its cells, after all but the leading principal components
are removed: co-variation between states is what single cells tell about regulation, the rest is mostly noise. Rows of
a data set that are means already (tissues, cell types) are states as they are. Data sets are put on one scale by the
spread of the co-variation between genes, and genes that a data set lacks are filled in by the table itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from scipy.cluster.vq import kmeans2

from grn._core.logging import progress
from grn._core.rng import child
from grn.models._training_cells import CellSet
from grn.models.memory import SCALE

CELLS = {"components": 10, "states": 24}
PROFILES = {"components": 30, "states": 150}


@dataclass(frozen=True)
class States:
    """States of one data set.

    Parameters
    ----------
    name
        Name of the data set.
    tokens
        Vocabulary positions of its genes (n,), ascending.
    values
        Mean z-scores, centred over the states by their shares: (states, n) float32.
    share
        Share of the cells in every state (states,), summing to 1.
    weight
        Weight of the data set divided by the spread of its co-variation.
    """

    name: str
    tokens: np.ndarray
    values: np.ndarray
    share: np.ndarray
    weight: float


def states_of(cells: CellSet, *, components: int, states: int, weight: float, means: bool = False) -> States:
    """Summarise a data set by its states.

    Parameters
    ----------
    cells
        Cells, or profiles that are means already.
    components
        Leading principal components that are kept.
    states
        Most states; with ``means``, fewer rows than these are taken as they are.
    weight
        How much the data set counts.
    means
        Whether rows are means: then components only find the clusters, and their values stay whole.
    """
    order = np.argsort(cells.names, kind="stable")
    columns = np.argsort(cells.tokens, kind="stable")
    z = cells.z(order, columns, SCALE.lower, SCALE.upper)  # (cells, n)
    z -= z.mean(axis=0, dtype=np.float64).astype(np.float32)
    if means and len(z) <= states:
        values, share = z, np.full(len(z), 1 / len(z))
    else:
        values, share = _clusters(z, components, min(states, max(2, len(z) // 4)), cells.name, whole=means)
    values = values - (share @ values).astype(np.float32)
    return States(cells.name, cells.tokens[columns], values, share, weight / spread(values, share))


def _clusters(z: np.ndarray, components: int, n: int, name: str, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Means of clusters of cells and the share of each; without ``whole`` of their leading components only."""
    k = min(components, len(z) - 1)
    energy, axes = spl.eigsh((z @ z.T).astype(np.float64), k=k, v0=np.arange(1.0, len(z) + 1))  # (k,), (cells, k)
    energy = np.maximum(energy, 0.0)
    axes = axes * np.where(axes.sum(axis=0) < 0, -1.0, 1.0)  # the sign of an eigenvector is arbitrary
    seed = int(child(0, "states", name).integers(2**31))
    _, label = kmeans2(axes * np.sqrt(energy), n, seed=seed, minit="++", missing="warn")
    _, label = np.unique(label, return_inverse=True)
    share = np.bincount(label) / len(label)
    mean = sp.csr_matrix((1 / np.bincount(label)[label], (label, np.arange(len(label)))))  # (states, cells)
    shown = z if whole else axes.astype(np.float32) @ (axes.T.astype(np.float32) @ z)
    return np.asarray(mean @ shown, dtype=np.float32), share


def spread(values: np.ndarray, share: np.ndarray) -> float:
    """Root mean square, over pairs of genes, of the covariance between states without node effects.

    The sum of squares over all pairs is that of the Gram matrix of the states, so genes x genes is never formed.
    """
    rows = (values - values.mean(axis=1, keepdims=True)) * np.sqrt(share)[:, None]  # (states, n)
    n = rows.shape[1]
    gram = (rows @ rows.T).astype(np.float64)
    diagonal = np.square(np.square(rows, dtype=np.float64).sum(axis=0)).sum()
    return float(np.sqrt(max(np.square(gram).sum() - diagonal, 1e-12) / (n * (n - 1))))


@dataclass(frozen=True)
class Table:
    """The low-rank table ``values = states @ genes.T`` over all data sets.

    Parameters
    ----------
    genes
        Gene factors (G, d) float32.
    states
        State factors (C, d) float32.
    share
        Share of a state in its data set (C,).
    set_of
        Number of the data set of a state (C,).
    weight
        Weight of a data set (H,).
    error
        Share of the weighted squares of the known entries that the table does not explain, per round.
    """

    genes: np.ndarray
    states: np.ndarray
    share: np.ndarray
    set_of: np.ndarray
    weight: np.ndarray
    error: tuple[float, ...]


def factorise(
    sets: Sequence[States], n_genes: int, d: int, *, rounds: int, on_round: Callable[[int, float], None] | None = None
) -> Table:
    """Fit the table by its leading singular vectors, filling unknown entries in with what the last round says.

    A weighted least squares fit over the entries that are known, by expectation maximisation: every round replaces
    what is unknown by its value in the table and decomposes again.

    Parameters
    ----------
    sets
        States of the data sets.
    n_genes, d
        Genes of the vocabulary, and rank of the table.
    rounds
        Decompositions.
    on_round
        Called with the number and the error of each.
    """
    root = np.concatenate([np.sqrt(s.weight * s.share) for s in sets]).astype(np.float32)  # (C,)
    table = np.zeros((len(root), n_genes), dtype=np.float32)
    known = np.zeros((len(sets), n_genes), dtype=bool)
    set_of = np.repeat(np.arange(len(sets)), [len(s.share) for s in sets])
    for i, s in enumerate(sets):
        known[i, s.tokens] = True
        table[np.ix_(set_of == i, s.tokens)] = s.values * root[set_of == i, None]
    filled, error = table.copy(), []
    for step in progress(range(rounds), desc="table"):
        # through the Gram matrix of the states, since genes are many times more
        energy, left = spl.eigsh((filled @ filled.T).astype(np.float64), k=d, v0=np.ones(len(root)))  # (C, d)
        left = left.astype(np.float32)
        right = left.T @ filled  # (d, G)
        missed = total = 0.0
        for i in range(len(sets)):
            rows, seen = set_of == i, known[i]
            guess = left[rows] @ right
            missed += float(np.square(table[np.ix_(rows, seen)] - guess[:, seen], dtype=np.float64).sum())
            total += float(np.square(table[np.ix_(rows, seen)], dtype=np.float64).sum())
            filled[np.ix_(rows, ~seen)] = guess[:, ~seen]
        error.append(missed / total)
        if on_round is not None:
            on_round(step, error[-1])
    order = np.argsort(-energy)
    sign = np.where(right[order].sum(axis=1) < 0, -1.0, 1.0).astype(np.float32)
    genes = np.ascontiguousarray(right[order].T) * sign
    states = left[:, order] * sign / root[:, None]
    share = np.concatenate([s.share for s in sets]).astype(np.float32)
    weight = np.array([s.weight for s in sets], dtype=np.float32)
    return Table(genes, states, share, set_of, weight, tuple(error))


def equalised(
    table: Table, families: Sequence[tuple[np.ndarray, float]], *, rank: int, power: float
) -> tuple[np.ndarray, np.ndarray]:
    """Factors in which components, genes and their families count as they should: what makes the table a memory.

    A few components (proliferation, haematopoiesis) hold most of the variance, and a gene of little variance has little
    of everything. Singular values are therefore raised to a power, genes borrow from their families, and every gene is
    given the same variance over the states; the mean over genes of every state is taken out.

    Parameters
    ----------
    table
        The table.
    families
        Per kind of family the label of every gene (G,) and the weight of the family's mean beside the gene's own
        factors, which count 1.
    rank
        Leading components that are kept.
    power
        Power of the singular values; 1 leaves them.

    Returns
    -------
    tuple of ndarray
        Gene factors (G, rank) and state factors (C, rank) float32; over all states, by share and weight, a gene has
        variance 1.
    """
    left, size, right = np.linalg.svd(table.genes - table.genes.mean(axis=0), full_matrices=False)
    own = left[:, :rank] * size[:rank] ** power  # (G, rank)
    genes = own.astype(np.float64)
    for label, strength in families:
        genes = genes + strength * _family_means(own, label)
    genes -= genes.mean(axis=0)
    genes /= np.linalg.norm(genes, axis=1, keepdims=True)
    genes -= genes.mean(axis=0)
    # the weighted second moment of the table's states is the identity over the sum of the weights
    states = table.states @ right[:rank].T * np.sqrt(table.weight.sum())
    return genes.astype(np.float32), states.astype(np.float32)


def _family_means(genes: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Mean factors of the family of every gene (G, d)."""
    _, code, size = np.unique(label, return_inverse=True, return_counts=True)
    total = np.zeros((len(size), genes.shape[1]))
    np.add.at(total, code, genes)
    return (total / size[:, None])[code]
