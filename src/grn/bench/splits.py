"""What may be learned from and what is tested: splits with a name, a seed and an audit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grn._core import checks
from grn._core.errors import NetworkError, ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn.bench._identity import keys
from grn.bench._overlap import overlap
from grn.datasets.reference import Reference

__all__ = ["SPLITS", "Split", "split"]

SPLITS = ("dataset", "pair", "target", "regulator", "both_genes")


@dataclass(frozen=True, eq=False)
class Split:
    """Pairs to learn from and pairs to test on.

    Parameters
    ----------
    name
        One of ``SPLITS``.
    match
        How genes of train and test are compared: ``"ortholog"`` or ``"symbol"``.
    train, test
        The references.
    train_mask, test_mask
        Pairs that may be used: bool (regulators, genes) of each reference. Pairs of a gene with itself never are.
    seed
        Seed of the split, when there was something to draw.
    """

    name: str
    match: str
    train: Reference
    test: Reference
    train_mask: np.ndarray
    test_mask: np.ndarray
    seed: int

    def __repr__(self) -> str:
        shared = overlap(self.train, self.test, train_mask=self.train_mask, test_mask=self.test_mask, match=self.match)
        drawn = f", seed {self.seed}" if self.train is self.test else ""
        head = f"Split {self.name!r} (genes compared by {self.match}{drawn}): {self.train.name} -> {self.test.name}"
        return f"{head}\n{shared}"


def split(
    train: Reference,
    *,
    test: Reference | None = None,
    by: str = "dataset",
    match: str = "ortholog",
    fraction: float = 0.5,
    rng: RNGLike = 0,
) -> Split:
    """Decide which pairs of two references, or of one, are learned from and which are tested.

    Parameters
    ----------
    train
        Reference to learn from.
    test
        Reference to test on. Without one, ``train`` itself is divided at random.
    by
        What train and test do not share: ``"dataset"`` nothing but the data set (the paper's), ``"pair"`` no pair, in
        either direction, ``"target"`` no gene of train is a tested target, ``"regulator"`` none is a tested regulator,
        ``"both_genes"`` none is tested at all.
    match
        When two genes are the same: ``"ortholog"`` (any chain of orthologs, or the same letters) or ``"symbol"``
        (the same letters in any case).
    fraction
        Share of the pairs or genes that go to the test, when one reference is divided.
    rng
        Seed of that division; drawn by gene, so orthologs and both directions of a pair stay together.

    Returns
    -------
    Split
        Masks over both references; printing it shows the audit.

    Raises
    ------
    ParameterError
        An argument is unknown or out of range, or ``by="dataset"`` was asked of one reference.
    NetworkError
        No edge is left on one of the sides.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, splits
    >>> edges = pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]})
    >>> one = Reference(edges, dataset="a")
    >>> other = Reference(edges.replace("HBB", "HBA1"), dataset="b")
    >>> int(splits.split(one, test=other, by="target").test_mask.sum())
    2
    """
    checks.word("by", by, SPLITS)
    for name, reference in (("train", train), ("test", test)):
        if not isinstance(reference, Reference) and not (name == "test" and reference is None):
            raise ParameterError(f"{name} is a {type(reference).__name__}; pass a grn.bench.Reference.")
    seed = seed_of(rng)
    if test is None or test is train:
        masks = _divide(train, by, match, fraction, seed)
        test = train
    else:
        masks = _apart(train, test, by, match)
    made = Split(by, match, train, test, *masks, seed)
    for side, reference, mask in (("train", train, made.train_mask), ("test", test, made.test_mask)):
        if not (reference.labels & mask).any():
            raise NetworkError(
                f"the split {by!r} leaves no edge of {reference.name} to {side}; choose a weaker split or another "
                "reference."
            )
    return made


def own_pairs(reference: Reference) -> np.ndarray:
    """All pairs of a reference but those of a gene with itself: bool (regulators, genes)."""
    mask: np.ndarray = reference.regulators[:, None] != reference.genes[None, :]
    return mask


def _apart(train: Reference, test: Reference, by: str, match: str) -> tuple[np.ndarray, np.ndarray]:
    """Masks for two references: everything of train, and of test what train does not touch."""
    known = keys(train.genes, organism=train.organism, match=match)
    genes = keys(test.genes, organism=test.organism, match=match)
    regulators = keys(test.regulators, organism=test.organism, match=match)
    mask = own_pairs(test)
    seen_target, seen_source = np.isin(genes, known), np.isin(regulators, known)
    if by in ("target", "both_genes"):
        mask &= ~seen_target[None, :]
    if by in ("regulator", "both_genes"):
        mask &= ~seen_source[:, None]
    if by == "pair":
        acting = keys(train.regulators, organism=train.organism, match=match)
        forward = np.isin(regulators, acting)[:, None] & seen_target[None, :]
        backward = seen_source[:, None] & np.isin(genes, acting)[None, :]
        mask &= ~(forward | backward)
    return own_pairs(train), mask


def _divide(reference: Reference, by: str, match: str, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks that divide one reference."""
    if by == "dataset":
        raise ParameterError("by='dataset' needs two references; pass test=, or divide one by 'pair' or by genes.")
    fraction = checks.number("fraction", fraction, above=0, below=1)
    genes = keys(reference.genes, organism=reference.organism, match=match)
    regulators = keys(reference.regulators, organism=reference.organism, match=match)
    mask = own_pairs(reference)
    if by == "pair":
        held = _held_pairs(regulators, genes, fraction, seed)
        return mask & ~held, mask & held
    names = np.unique(np.concatenate([genes, regulators]))
    draws = {name: child(seed, "split", name).random() < fraction for name in names.tolist()}
    target = np.array([draws[name] for name in genes.tolist()])[None, :]
    source = np.array([draws[name] for name in regulators.tolist()])[:, None]
    # a held gene has no part in training at all, or the reverse of a tested pair could be learned
    held = {"target": target, "regulator": source, "both_genes": target & source}[by]
    return mask & ~target & ~source, mask & held


def _held_pairs(regulators: np.ndarray, genes: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Draw unordered pairs: both directions of a pair and all its orthologs fall on one side.

    Every gene draws a number u; (u_i + u_j) mod 1 is uniform, the same for (j, i), and independent between two pairs.
    """
    names = np.unique(np.concatenate([regulators, genes]))
    draws = {name: child(seed, "split", name).random() for name in names.tolist()}
    source = np.array([draws[name] for name in regulators.tolist()])[:, None]
    target = np.array([draws[name] for name in genes.tolist()])[None, :]
    held: np.ndarray = (source + target) % 1.0 < fraction
    return held
