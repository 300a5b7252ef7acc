"""Which pairs of a reference join two genes of one family: paralogues are linked in most references."""

from __future__ import annotations

import numpy as np

from grn.datasets.reference import Reference
from grn.genes import families, resolve
from grn.genes.families import KINDS


def family_labels(reference: Reference) -> np.ndarray:
    """Families of the genes of a reference by every kind that there is: (kinds, genes).

    A mouse gene is filed under its human ortholog, and under its own name where it has none, so that both organisms
    are judged alike.
    """
    table = resolve(reference.genes, organism=reference.organism, orthologs="syntenic")
    human = table["symbol"].to_numpy(dtype=str)
    symbols = np.where(human != "", human, np.char.upper(np.asarray(reference.genes, dtype=str)))
    return np.stack([families(symbols, kind=kind) for kind in KINDS])


def same_family(reference: Reference) -> np.ndarray:
    """Whether two genes share a family of any kind: bool (regulators, genes)."""
    labels = family_labels(reference)
    rows = np.searchsorted(reference.genes, reference.regulators)
    same: np.ndarray = (labels[:, rows, None] == labels[:, None, :]).any(axis=0)
    return same


def family_means(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of the pairs that join the families of two genes, NaN where none is known.

    Parameters
    ----------
    values
        A score of all pairs (G, G), NaN where nothing is known and for a gene with itself.
    labels
        Family of every gene (G,).
    """
    _, codes = np.unique(labels, return_inverse=True)
    n = int(codes.max()) + 1
    known = np.isfinite(values)
    members = np.zeros((n, len(codes)))
    members[codes, np.arange(len(codes))] = 1.0
    sums = members @ np.where(known, values, 0.0) @ members.T  # (families, families)
    counts = members @ known.astype(np.float64) @ members.T
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    spread: np.ndarray = means[codes[:, None], codes[None, :]]
    return spread
