"""What BEELINE's labels give away without any expression or model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.logging import one_voice
from grn._core.logging import progress as progress_bar
from grn._core.rng import RNGLike, child, seed_of
from grn.bench import floors, metrics
from grn.bench.audit import audit
from grn.bench.negatives import sample
from grn.bench.splits import split
from grn.datasets import beeline
from grn.datasets.reference import BEELINE, Reference

_NETWORKS = ("STRING", "Non-Specific", "Specific")
_TRANSFER = ("target is a regulator", "look-up", "degree", "labels")
# name -> negatives, whether only half of the non-edges are tested too, any two genes instead of regulator x gene
_WITHIN = {
    "uniform": ("uniform", False, False),
    "natural density": ("all", True, False),
    "any two genes": ("uniform", False, True),
    "configuration": ("configuration", False, False),
    "degree_matched": ("degree_matched", False, False),
}


def leakage(
    *, train: str = "hESC", size: int = 500, match: str = "symbol", path: str | Path | None = None
) -> pd.DataFrame:
    """Count what BEELINE's data sets share with the one trained on.

    Parameters
    ----------
    train
        Data set trained on.
    size
        500 or 1000.
    match
        ``"symbol"``: same letters, as BEELINE writes human and mouse alike; ``"ortholog"``: same family of orthologs.
    path
        Folder of BEELINE's tables; ``grn.settings.data_dir`` by default.

    Returns
    -------
    DataFrame
        One row per test set and network with the fields of :class:`grn.bench.audit.Audit`.

    Raises
    ------
    DataNotFoundError
        If BEELINE's tables are not found.
    ParameterError
        If an argument is unknown.

    Examples
    --------
    >>> import grn
    >>> grn.bench.leakage(path="nowhere")
    Traceback (most recent call last):
    ...
    grn._core.errors.DataNotFoundError: ...
    """
    rows = []
    for network in _NETWORKS:
        learned = beeline(train, network=network, size=size, path=path)
        for name in BEELINE:
            if name == learned.dataset:
                continue
            made = split(learned, test=beeline(name, network=network, size=size, path=path), match=match)
            rows.append({"train": learned.dataset, "test": name, "network": network, **audit(made).to_dict()})
    return pd.DataFrame(rows)


@one_voice
def label_floors(
    *,
    train: str = "hESC",
    size: int = 500,
    seeds: int = 3,
    path: str | Path | None = None,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """AUPRC that BEELINE's labels alone reach, under one choice of negatives after another.

    ``transfer``: labels of ``train`` applied to the other sets (uniform negatives). ``within``: degrees of half of the
    edges of a set, tested on the other half. Here, as in much of the literature, a listed regulator without any edge
    counts as a regulator of nothing.

    Parameters
    ----------
    train
        Data set whose labels are transferred.
    size
        500 or 1000.
    seeds
        Draws of negatives and halves.
    path
        Folder of BEELINE's tables; ``grn.settings.data_dir`` by default.
    rng
        First seed.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        Columns ``task`` (``transfer`` or ``within``), ``negatives``, ``floor``, ``test``, ``network``, ``value``
        (AUPRC), ``prevalence``, ``edges_with_partner``. ``negatives``: ``uniform``, ``natural density``,
        ``any two genes``, ``configuration`` (degrees matched as far as rejection sampling gets, edges thinned) and
        ``degree_matched`` (degrees equal exactly).

    Raises
    ------
    DataNotFoundError
        If BEELINE's tables are not found.
    ParameterError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> import grn
    >>> grn.bench.label_floors(path="nowhere")
    Traceback (most recent call last):
    ...
    grn._core.errors.DataNotFoundError: ...
    """
    seeds = checks.integer("seeds", seeds, least=1)
    first = seed_of(rng)
    rows: list[dict[str, object]] = []
    for network in _NETWORKS:
        references = {name: beeline(name, network=network, size=size, path=path) for name in BEELINE}
        learned = beeline(train, network=network, size=size, path=path)
        for name, reference in progress_bar(references.items(), total=len(references), desc=network):
            values = [row for i in range(seeds) for row in _within(reference, first + i)]
            if name != learned.dataset:
                values += [row for i in range(seeds) for row in _transferred(learned, reference, first + i)]
            mean = pd.DataFrame(values).groupby(["task", "negatives", "floor"], sort=False).mean().reset_index()
            rows += [{**row, "test": name, "network": network} for row in mean.to_dict("records")]
    columns = ["task", "negatives", "floor", "test", "network", "value", "prevalence", "edges_with_partner"]
    return pd.DataFrame(rows)[columns]


def _transferred(train: Reference, test: Reference, seed: int) -> list[dict[str, object]]:
    scores = floors.transfer(split(train, test=test, match="symbol"))
    drawn = sample(test, unlabelled="negative", rng=seed)
    return [
        {
            "task": "transfer",
            "negatives": "uniform",
            "floor": name,
            "value": metrics.auprc(drawn.labels, drawn.take(scores[name])),
            "prevalence": drawn.prevalence,
            "edges_with_partner": float("nan"),
        }
        for name in _TRANSFER
    ]


def _within(reference: Reference, seed: int) -> list[dict[str, object]]:
    """Degrees of one half of the edges against the other half."""
    rows: list[dict[str, object]] = []
    square = Reference(reference.edges, genes=reference.genes, regulators=reference.genes, organism=reference.organism)
    for name, (negatives, half_too, any_two) in _WITHIN.items():
        asked = square if any_two else reference
        half = child(seed, "halves").random(asked.labels.shape) < 0.5
        known = asked.labels & half
        mask = ~half if half_too else ~known
        drawn = sample(asked, negatives=negatives, mask=mask, unlabelled="negative", rng=seed)
        out = np.broadcast_to(np.log1p(known.sum(axis=1))[:, None], known.shape)
        into = np.broadcast_to(np.log1p(known.sum(axis=0))[None, :], known.shape)
        rows += [
            {
                "task": "within",
                "negatives": name,
                "floor": floor,
                "value": metrics.auprc(drawn.labels, drawn.take(table)),
                "prevalence": drawn.prevalence,
                "edges_with_partner": drawn.report.get("edges_with_partner", float("nan")),
            }
            for floor, table in (("out-degree", out), ("out-degree + in-degree", out + into))
        ]
    return rows
