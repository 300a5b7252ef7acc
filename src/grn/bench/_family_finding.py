"""How much of a reference is paralogues that are linked with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import DataNotFoundError, NetworkError
from grn._core.logging import hint, logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._core.rng import RNGLike, seed_of
from grn.bench import metrics
from grn.bench._gene_families import family_labels
from grn.bench.negatives import sample
from grn.bench.splits import split
from grn.datasets import beeline, literature
from grn.datasets.reference import BEELINE, Reference
from grn.genes.families import KINDS

_NETWORKS = ("STRING", "Non-Specific", "Specific")
_COLLECTIONS = ("CollecTRI", "TRRUST")
ANY = "any"


@one_voice
def family_links(
    *,
    train: str = "hESC",
    size: int = 500,
    seeds: int = 3,
    path: str | Path | None = None,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Count the edges and the degree-matched non-edges that join two genes of one family.

    Asked are the pairs that the protocol ``"strict"`` tests after training on ``train``: no gene of it, nor an
    ortholog. Paralogues share texts, experiments and domains, and so edges; a score that knows who is related to whom
    predicts these without knowing anything of regulation.

    Parameters
    ----------
    train
        Data set whose genes are left out.
    size
        500 or 1000.
    seeds
        Draws of non-edges.
    path
        Folder with ``beeline/`` and, for CollecTRI and TRRUST, ``priors/``; ``grn.settings.data_dir`` by default.
    rng
        First seed.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        One row per network, test set and family: ``network``, ``test``, ``unit``, ``family`` (``stem``, ``prefix``,
        ``domain`` or ``any`` of them, see :func:`grn.genes.families`), ``edges`` and ``non_edges`` (shares that join
        one family), ``value`` (AUPRC of "one family" alone; 0.5 is chance), ``n_pos``.

    Raises
    ------
    DataNotFoundError
        If BEELINE's tables are not found.
    NetworkError
        If no test set has such pairs; single ones that have none are left out with a warning.
    ParameterError
        If an argument is unknown or out of range.

    Notes
    -----
    Seconds per network: no model and no expression is read.

    Examples
    --------
    >>> import grn
    >>> grn.bench.family_links(path="nowhere")
    Traceback (most recent call last):
    ...
    grn._core.errors.DataNotFoundError: ...
    """
    seeds = checks.integer("seeds", seeds, least=1)
    first = seed_of(rng)
    rows: list[dict[str, object]] = []
    learned = {network: beeline(train, network=network, size=size, path=path) for network in _NETWORKS}
    tests = [
        (network, beeline(name, network=network, size=size, path=path))
        for network in _NETWORKS
        for name in BEELINE
        if name != learned[network].dataset
    ]
    try:
        # regulators and targets, as in the directed network
        tests += [("Non-Specific", literature(name, size=size, path=path)) for name in _COLLECTIONS]
    except DataNotFoundError as error:
        hint("CollecTRI and TRRUST are left out: %s", error)
    for network, reference in progress_bar(tests, desc="families", show=progress):
        try:
            mask = split(learned[network], test=reference, by="both_genes").test_mask
            rows += _counted(reference, mask, [first + i for i in range(seeds)])
        except NetworkError as error:
            logger.warning("%s is left out: %s", reference.name, error)
    if not rows:
        raise NetworkError(f"no data set has pairs without genes of {train}; the warnings above say why for each.")
    return pd.DataFrame(rows)


def _counted(reference: Reference, mask: np.ndarray, seeds: list[int]) -> list[dict[str, object]]:
    """Rows of one test set."""
    labels = family_labels(reference)
    at = np.searchsorted(reference.genes, reference.regulators)
    same = labels[:, at, None] == labels[:, None, :]  # (kinds, regulators, genes)
    tables = {**dict(zip(KINDS, same, strict=True)), ANY: same.any(axis=0)}
    drawn = [sample(reference, negatives="degree_matched", mask=mask, rng=seed) for seed in seeds]
    rows: list[dict[str, object]] = []
    for family, table in tables.items():
        joined = [part.take(table).astype(np.float64) for part in drawn]
        shares = [[float(j[d.labels == y].mean()) for j, d in zip(joined, drawn, strict=True)] for y in (1, 0)]
        areas = [metrics.auprc(d.labels, j) for j, d in zip(joined, drawn, strict=True)]
        facts = {"network": reference.network, "test": reference.dataset, "unit": reference.unit, "family": family}
        facts |= {"edges": float(np.mean(shares[0])), "non_edges": float(np.mean(shares[1]))}
        rows.append({**facts, "value": float(np.mean(areas)), "n_pos": float(np.mean([d.n_pos for d in drawn]))})
    return rows
