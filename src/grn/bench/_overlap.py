"""What two masked references share: the counts behind the audit of a split."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from grn.bench._identity import keys
from grn.datasets.reference import Reference


@dataclass(frozen=True)
class Audit:
    """Overlap of what is learned and what is tested; shares are of the test side, NaN where there is nothing.

    Parameters
    ----------
    match
        How genes were compared.
    shared_genes
        Share of the tested genes that occur in training.
    shared_regulators
        Share of the tested regulators that are regulators in training.
    shared_pairs
        Share of the tested edges that join a training regulator and a training gene.
    label_agreement
        Share of those edges that are edges in training too.
    reciprocal
        Share of the tested edges between two regulators that are listed in the other direction too.
    evidence
        Share of the listed regulators of the test reference with at least one edge; the rest is unlabelled.
    density
        Share of the pairs of those regulators that are edges.
    """

    match: str
    shared_genes: float
    shared_regulators: float
    shared_pairs: float
    label_agreement: float
    reciprocal: float
    evidence: float
    density: float

    def __str__(self) -> str:
        rows = (
            ("genes also in training", self.shared_genes),
            ("regulators also in training", self.shared_regulators),
            ("edges on pairs of training", self.shared_pairs),
            ("  of these, edges in training too", self.label_agreement),
            ("edges between regulators listed both ways", self.reciprocal),
            ("listed regulators with any evidence", self.evidence),
            ("density of edges among these", self.density),
        )
        shares = [(label, "-" if np.isnan(value) else f"{value:.1%}") for label, value in rows]
        return "\n".join(f"  {label:<42} {share:>6}" for label, share in shares)

    def to_dict(self) -> dict[str, float | str]:
        """The fields by name.

        Returns
        -------
        dict
            Name of a field -> its value.
        """
        return asdict(self)


def overlap(train: Reference, test: Reference, *, train_mask: np.ndarray, test_mask: np.ndarray, match: str) -> Audit:
    """Count what the pairs that are learned from and those that are tested share.

    Parameters
    ----------
    train, test
        The references.
    train_mask, test_mask
        Pairs in use: bool (regulators, genes) of each reference.
    match
        How genes are compared: ``"ortholog"`` or ``"symbol"``.
    """
    train_keys = ReferenceKeys(train, match)
    test_keys = ReferenceKeys(test, match)
    used = train_mask.any(axis=1), train_mask.any(axis=0)  # (R,), (G,)
    learned_sources = set(train_keys.regulators[used[0]].tolist())
    learned_genes = learned_sources | set(train_keys.genes[used[1]].tolist())
    tested = test_mask.any(axis=1)
    tested_sources = test_keys.regulators[tested]
    tested_genes = test_keys.genes[test_mask.any(axis=0) | np.isin(test.genes, test.regulators[tested])]
    rows, columns = np.nonzero(test.labels & test_mask)
    pairs = test_keys.regulators[rows], test_keys.genes[columns]
    learned = _among(train_keys, train_mask, pairs)
    agreeing = _among(train_keys, train_mask & train.labels, pairs)
    return Audit(
        match=match,
        shared_genes=_share(np.isin(tested_genes, list(learned_genes))),
        shared_regulators=_share(np.isin(tested_sources, list(learned_sources))),
        shared_pairs=_share(learned),
        label_agreement=_share(agreeing[learned]),
        reciprocal=reciprocal(test, test_mask),
        evidence=len(test.evidence) / len(test.regulators),
        density=len(test) / max(1, len(test.evidence) * (len(test.genes) - 1)),
    )


def reciprocal(reference: Reference, mask: np.ndarray) -> float:
    """Share of the masked edges between regulators whose reverse is an edge too, masked or not."""
    inside = np.searchsorted(reference.genes, reference.regulators)
    return _share(reference.labels[:, inside].T[(reference.labels & mask)[:, inside]])


class ReferenceKeys:
    """Keys of the regulators and genes of a reference."""

    def __init__(self, reference: Reference, match: str) -> None:
        self.genes = keys(reference.genes, organism=reference.organism, match=match)
        self.regulators = self.genes[np.searchsorted(reference.genes, reference.regulators)]


def _among(reference: ReferenceKeys, mask: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Which pairs of keys are among those a mask allows."""
    sources, rows = np.unique(reference.regulators, return_inverse=True)
    targets, columns = np.unique(reference.genes, return_inverse=True)
    grid = np.zeros((len(sources), len(targets)), dtype=bool)
    i, j = np.nonzero(mask)
    grid[rows[i], columns[j]] = True
    i, j = (
        np.searchsorted(names, wanted).clip(max=len(names) - 1)
        for names, wanted in zip((sources, targets), pairs, strict=True)
    )
    among: np.ndarray = grid[i, j] & (sources[i] == pairs[0]) & (targets[j] == pairs[1])
    return among


def edge_keys(reference: ReferenceKeys, mask: np.ndarray) -> set[tuple[str, str]]:
    """Keys (source, target) of the pairs of a mask (regulators, genes)."""
    rows, columns = np.nonzero(mask)
    return set(zip(reference.regulators[rows].tolist(), reference.genes[columns].tolist(), strict=True))


def _share(flags: np.ndarray | list[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")
