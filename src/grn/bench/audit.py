"""What train and test have in common, counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn.bench._identity import keys
from grn.datasets.reference import Reference

if TYPE_CHECKING:
    from grn.bench.splits import Split

__all__ = ["Audit", "audit", "compare"]


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
        told = [(label, "-" if np.isnan(value) else f"{value:.1%}") for label, value in rows]
        return "\n".join(f"  {label:<42} {value:>6}" for label, value in told)

    def to_dict(self) -> dict[str, float | str]:
        """The fields by name.

        Returns
        -------
        dict
            Name of a field -> its value.
        """
        return asdict(self)


def audit(split: Split) -> Audit:
    """Count what the two sides of a split share.

    Parameters
    ----------
    split
        A split from :func:`grn.bench.splits.split`.

    Returns
    -------
    Audit
        Printing it gives a table.

    Raises
    ------
    ParameterError
        If it is given something else.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, audit, splits
    >>> edges = pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]})
    >>> one, other = Reference(edges, dataset="a"), Reference(edges, dataset="b")
    >>> audit.audit(splits.split(one, test=other)).label_agreement
    1.0
    """
    if not hasattr(split, "test_mask"):
        raise ParameterError(f"got a {type(split).__name__}; pass what grn.bench.splits.split returns.")
    train, test = split.train, split.test
    train_keys = _Keys(train, split.match)
    test_keys = _Keys(test, split.match)
    used = split.train_mask.any(axis=1), split.train_mask.any(axis=0)
    learned_sources = set(train_keys.regulators[used[0]].tolist())
    learned_genes = learned_sources | set(train_keys.genes[used[1]].tolist())
    asked = split.test_mask.any(axis=1)
    tested_sources = test_keys.regulators[asked]
    tested_genes = test_keys.genes[split.test_mask.any(axis=0) | np.isin(test.genes, test.regulators[asked])]
    rows, columns = np.nonzero(test.labels & split.test_mask)
    pairs = test_keys.regulators[rows], test_keys.genes[columns]
    learned = _among(train_keys, split.train_mask, pairs)
    agreeing = _among(train_keys, split.train_mask & train.labels, pairs)
    return Audit(
        match=split.match,
        shared_genes=_share(np.isin(tested_genes, list(learned_genes))),
        shared_regulators=_share(np.isin(tested_sources, list(learned_sources))),
        shared_pairs=_share(learned),
        label_agreement=_share(agreeing[learned]),
        reciprocal=reciprocal(test, split.test_mask),
        evidence=len(test.evidence) / len(test.regulators),
        density=len(test) / max(1, len(test.evidence) * (len(test.genes) - 1)),
    )


def reciprocal(reference: Reference, mask: np.ndarray) -> float:
    """Share of the masked edges between regulators whose reverse is an edge too, masked or not."""
    inside = np.searchsorted(reference.genes, reference.regulators)
    return _share(reference.labels[:, inside].T[(reference.labels & mask)[:, inside]])


def compare(references: dict[str, Reference], *, match: str = "ortholog") -> pd.DataFrame:
    """How far the edges of several references are the same edges.

    Parameters
    ----------
    references
        References by name.
    match
        How genes are compared: ``"ortholog"`` or ``"symbol"``.

    Returns
    -------
    DataFrame
        Square: share of the edges of the row's reference that are edges of the column's.

    Raises
    ------
    ParameterError
        If ``match`` is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, audit
    >>> one = Reference(pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]}))
    >>> other = Reference(pd.DataFrame({"source": ["SPI1"], "target": ["CD14"]}))
    >>> audit.compare({"one": one, "other": other}).loc["one", "other"]
    np.float64(0.5)
    """
    pairs = {}
    for name, reference in references.items():
        if not isinstance(reference, Reference):
            raise ParameterError(f"{name!r} is a {type(reference).__name__}; pass grn.bench.Reference objects by name.")
        pairs[name] = _pairs_of(_Keys(reference, match), reference.labels)
    rows = {a: {b: len(pairs[a] & pairs[b]) / len(pairs[a]) for b in pairs} for a in pairs}
    return pd.DataFrame(rows).T


class _Keys:
    """Keys of the regulators and genes of a reference."""

    def __init__(self, reference: Reference, match: str) -> None:
        self.genes = keys(reference.genes, organism=reference.organism, match=match)
        self.regulators = self.genes[np.searchsorted(reference.genes, reference.regulators)]


def _among(found: _Keys, mask: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Which pairs of keys are among those a mask allows."""
    sources, rows = np.unique(found.regulators, return_inverse=True)
    targets, columns = np.unique(found.genes, return_inverse=True)
    grid = np.zeros((len(sources), len(targets)), dtype=bool)
    i, j = np.nonzero(mask)
    grid[rows[i], columns[j]] = True
    i, j = (
        np.searchsorted(known, asked).clip(max=len(known) - 1)
        for known, asked in zip((sources, targets), pairs, strict=True)
    )
    among: np.ndarray = grid[i, j] & (sources[i] == pairs[0]) & (targets[j] == pairs[1])
    return among


def _pairs_of(found: _Keys, mask: np.ndarray) -> set[tuple[str, str]]:
    rows, columns = np.nonzero(mask)
    return set(zip(found.regulators[rows].tolist(), found.genes[columns].tolist(), strict=True))


def _share(flags: np.ndarray | list[bool]) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")
