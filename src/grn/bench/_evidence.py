"""Floors from outside the benchmark, where their data are at hand: the pretraining corpus and a prior network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from anndata import AnnData

from grn._core.errors import DataNotFoundError
from grn._core.logging import hint
from grn.bench import _corpus, floors
from grn.datasets import collectri
from grn.datasets.local_files import root
from grn.datasets.reference import Reference
from grn.genes import resolve


@dataclass(frozen=True)
class Floor:
    """A floor from outside: a function of a reference, and the hash of the files that it reads."""

    read: Callable[[Reference], np.ndarray]
    sha256: str

    def __call__(self, reference: Reference) -> np.ndarray:
        """Scores (regulators, genes)."""
        return self.read(reference)


def outside_floors(folder: Path, data: str | Path | None, *, show: bool | None) -> dict[str, Floor]:
    """Floors that need data beside the benchmark's own, by name; those without data are left out and logged.

    Parameters
    ----------
    folder
        Cache.
    data
        Folder with ``expression/`` and ``priors/``; ``grn.settings.data_dir`` by default.
    show
        Progress bars.
    """
    place = root(data)
    available: dict[str, Floor] = {}
    try:
        content = _corpus.content(_corpus.find(None, place))
        for name, read in (("corpus co-expression", _coexpression), ("corpus mean expression", _mean)):
            available[name] = Floor(partial(read, folder=folder, data=place, show=show), content)
    except DataNotFoundError as error:
        hint("no corpus floors: %s", error)
    try:
        edges = collectri(path=place).edges
        ends = edges["source"].to_numpy(dtype=str), edges["target"].to_numpy(dtype=str)
        content = hashlib.sha256("\n".join("\t".join(pair) for pair in zip(*ends, strict=True)).encode()).hexdigest()
        available["prior (CollecTRI)"] = Floor(partial(floors.prior, edges=ends, organism="human"), content)
    except DataNotFoundError as error:
        hint("no prior floor: %s", error)
    return available


def stand_in_cells(references: Iterable[Reference], data: str | Path | None, *, show: bool | None) -> AnnData | None:
    """Cells of the corpus over the human genes of some references, or ``None`` without a corpus."""
    place = root(data)
    wanted: set[str] = set()
    for reference in {reference.sha256: reference for reference in references}.values():
        wanted |= set(_symbols(reference).tolist())
    try:
        return _corpus.cells(sorted(wanted - {""}), path=place, show=show)
    except DataNotFoundError as error:
        hint("no stand-in cells: %s", error)
        return None


def _symbols(reference: Reference) -> np.ndarray:
    table = resolve(reference.genes, organism=reference.organism, orthologs="syntenic")
    return table["symbol"].to_numpy(dtype=str)


def _built(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> _corpus.Corpus:
    """The corpus over the genes of one reference, so that other references do not change its figures."""
    return _corpus.build(sorted(set(_symbols(reference).tolist()) - {""}), path=data, cache=folder, show=show)


def _coexpression(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    corpus, symbols = _built(reference, folder=folder, data=data, show=show), _symbols(reference)
    rows, columns = np.searchsorted(reference.genes, reference.regulators), np.flatnonzero(symbols != "")
    scores = np.full(reference.labels.shape, np.nan)
    known = np.flatnonzero(symbols[rows] != "")
    scores[np.ix_(known, columns)] = corpus.pairs(symbols[rows[known]], symbols[columns])
    return scores


def _mean(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    corpus, symbols = _built(reference, folder=folder, data=data, show=show), _symbols(reference)
    mean = np.full(len(symbols), np.nan)
    mean[symbols != ""] = corpus.mean(symbols[symbols != ""])
    return mean[np.searchsorted(reference.genes, reference.regulators)][:, None] + mean[None, :]
