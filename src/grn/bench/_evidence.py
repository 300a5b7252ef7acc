"""Floors from outside the benchmark, where their data are at hand: the pretraining corpus, co-expression, priors."""

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
from grn.bench._external_priors import COEXPRESSION, PROMOTERS, coexpressed, motif_hits
from grn.bench._gene_families import family_labels, family_means
from grn.datasets import collectri
from grn.datasets.local_files import find, root
from grn.datasets.reference import Reference
from grn.genes import resolve

_IN_COLLECTRI = ("CollecTRI", "TRRUST")
# the floor that decomposes the corpus, to as many components as mini has
DECOMPOSITION = "corpus SVD"
_RANK = 128


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
        pooled = {
            "corpus co-expression": _coexpression,
            DECOMPOSITION: _decomposed,
            "family co-expression": _family_coexpression,
            "corpus mean expression": _mean,
        }
        for name, read in pooled.items():
            available[name] = Floor(partial(read, folder=folder, data=place, show=show), content)
    except DataNotFoundError as error:
        hint("no corpus floors: %s", error)
    try:
        edges = collectri(path=place).edges
        ends = edges["source"].to_numpy(dtype=str), edges["target"].to_numpy(dtype=str)
        content = hashlib.sha256("\n".join("\t".join(pair) for pair in zip(*ends, strict=True)).encode()).hexdigest()
        available["prior (CollecTRI)"] = Floor(partial(_published, edges=ends), content)
    except DataNotFoundError as error:
        hint("no prior floor: %s", error)
    listed = {name: file for name in COEXPRESSION if (file := find("priors", name, path=place)) is not None}
    if listed:
        files = {file: _corpus.content({name: file}) for name, file in listed.items()}
        content = hashlib.sha256("".join(files.values()).encode()).hexdigest()
        available["external co-expression"] = Floor(partial(coexpressed, files=files), content)
    promoters = find("priors", PROMOTERS, path=place)
    if promoters is not None:
        content = _corpus.content({PROMOTERS: promoters})
        available["motif prior"] = Floor(partial(motif_hits, file=promoters), content)
    missing = [name for name in (*COEXPRESSION, PROMOTERS) if find("priors", name, path=place) is None]
    if missing:
        hint("no floors of %s, as priors/ does not hold them", ", ".join(missing))
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


def _published(reference: Reference, *, edges: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Edges of CollecTRI; nothing where they are, or hold, the very labels that are asked about."""
    if reference.network in _IN_COLLECTRI:
        return np.full(reference.labels.shape, np.nan)
    return floors.prior(reference, edges, "human")


def _built(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> _corpus.Corpus:
    """The corpus over the genes of one reference, so that other references do not change its figures."""
    return _corpus.build(sorted(set(_symbols(reference).tolist()) - {""}), path=data, cache=folder, show=show)


def _coexpression(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    values = _all_pairs(reference, folder=folder, data=data, show=show)
    return values[np.searchsorted(reference.genes, reference.regulators)]


def _decomposed(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    """Co-expression of the corpus in its leading components over the genes of the reference: untrained, no families."""
    values = _all_pairs(reference, folder=folder, data=data, show=show)
    known = np.isfinite(values)
    size, axes = np.linalg.eigh(np.where(known, values, 0.0))  # (G,), (G, G)
    leading = np.argsort(-np.abs(size), kind="stable")[:_RANK]
    reduced = (axes[:, leading] * size[leading]) @ axes[:, leading].T
    return np.where(known, reduced, np.nan)[np.searchsorted(reference.genes, reference.regulators)]


def _all_pairs(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    """Co-expression of the corpus for all genes of a reference (G, G); NaN where it does not know."""
    corpus, symbols = _built(reference, folder=folder, data=data, show=show), _symbols(reference)
    known = np.flatnonzero(symbols != "")
    values = np.full((len(symbols), len(symbols)), np.nan)
    values[np.ix_(known, known)] = corpus.pairs(symbols[known], symbols[known])
    return values


def _family_coexpression(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    """Mean co-expression of the families of two genes, over the genes of the reference."""
    values = _all_pairs(reference, folder=folder, data=data, show=show)
    stems = family_labels(reference)[0]
    return family_means(values, stems)[np.searchsorted(reference.genes, reference.regulators)]


def _mean(reference: Reference, *, folder: Path, data: Path | None, show: bool | None) -> np.ndarray:
    corpus, symbols = _built(reference, folder=folder, data=data, show=show), _symbols(reference)
    mean = np.full(len(symbols), np.nan)
    mean[symbols != ""] = corpus.mean(symbols[symbols != ""])
    return mean[np.searchsorted(reference.genes, reference.regulators)][:, None] + mean[None, :]
