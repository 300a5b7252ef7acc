"""Pair features of a backbone over the genes of a reference, kept on disk regulator by regulator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from anndata import AnnData

from grn import genes as gene_tables
from grn import tl
from grn._core import sealed
from grn._core.errors import CapabilityError, GeneOverlapError
from grn._core.logging import progress
from grn._object.values import expression
from grn._object.vocabulary import model_genes
from grn.models import FoundationModel, Moments
from grn.pp import align_genes

_BLOCK = 32
_MEAN_CELL = "mean_cell_"
_VERSION = "2"


def _both(
    adata: AnnData, model: FoundationModel, sources: Sequence[str], *, background: str = "fixed", prefix: str = ""
) -> None:
    """Read VVP and the gradient trajectory, in one pass when their grids agree."""
    scale = model.value_scale
    given = {"model": model, "sources": sources, "background": background, "progress": False}
    if "gradient" in model.capabilities and scale.perturbation_grid == scale.gradient_grid:
        tl.probe(adata, key_added=prefix, **given)  # type: ignore[arg-type]
        return
    tl.vvp(adata, key_added=f"{prefix}vvp", **given)  # type: ignore[arg-type]
    if "gradient" in model.capabilities:
        tl.gradient_trajectory(adata, key_added=f"{prefix}gradient_trajectory", **given)  # type: ignore[arg-type]


def _moving(adata: AnnData, model: FoundationModel, sources: Sequence[str]) -> None:
    tl.gradient_trajectory(
        adata, model=model, sources=sources, background="moving", key_added="gradient_moving", progress=False
    )


_unknown = partial(_both, background="unknown", prefix="unknown_")


def _mean_cell(adata: AnnData, model: FoundationModel, sources: Sequence[str]) -> None:
    tl.probe(adata, model=model, sources=sources, context="mean", key_added=_MEAN_CELL, progress=False)


def _pert(adata: AnnData, model: FoundationModel, sources: Sequence[str]) -> None:
    tl.pert(adata, model=model, sources=sources, progress=False)


def _attention(adata: AnnData, model: FoundationModel, sources: Sequence[str]) -> None:
    tl.attention(adata, model=model, sources=sources, progress=False)


class Reader(NamedTuple):
    """How a feature is read: the call, what of the cells it needs (``""`` for nothing), what the model must offer.

    ``background`` is where the other genes are, as translators know it.
    """

    read: Callable[[AnnData, FoundationModel, Sequence[str]], None]
    cells: str
    capabilities: tuple[str, ...]
    background: str = "fixed"


READERS = {
    "vvp": Reader(_both, "", ("value",)),
    "gradient_trajectory": Reader(_both, "", ("gradient",)),
    "gradient_moving": Reader(_moving, "", ("gradient",), "moving"),
    "unknown_vvp": Reader(_unknown, "", ("unknown",), "unknown"),
    "unknown_gradient_trajectory": Reader(_unknown, "", ("unknown", "gradient"), "unknown"),
    "mean_cell_vvp": Reader(_mean_cell, "mean cell", ("gradient",)),
    "mean_cell_gradient_trajectory": Reader(_mean_cell, "mean cell", ("gradient",)),
    "pert": Reader(_pert, "mean cell", ("value",)),
    "attention": Reader(_attention, "cells", ("attention",)),
}


class BackboneFeatures:
    """What one backbone says about the pairs of one universe of genes.

    Parameters
    ----------
    model
        The backbone.
    genes
        Names of the universe (G,), sorted.
    organism
        Whose symbols they are; mouse genes reach a human model through orthologs, never through letter case.
    cells
        Log-normalised cells with these genes, for the probes of real cells.
    cache
        Folder in which features are kept; in memory only by default.
    show
        Progress bar.
    """

    def __init__(
        self,
        model: FoundationModel,
        genes: Iterable[str],
        organism: str,
        *,
        cells: AnnData | None = None,
        cache: Path | None = None,
        show: bool | None = None,
    ) -> None:
        self.model, self.cells, self.show = model, cells, show
        self.genes = np.asarray(list(genes), dtype=str)
        self._bare = _without_cells(self.genes, organism)
        vocabulary = {*model.source_genes, *model.target_genes}
        self.ids = model_genes(
            self._bare, model.gene_id_kind, vocabulary=vocabulary, organism=getattr(model, "organism", "human")
        )
        self.sources = np.isin(self.ids, list(model.source_genes))
        self.targets = np.isin(self.ids, list(model.target_genes))
        self._cache = cache
        self._memory: dict[tuple[str, str], np.ndarray] = {}
        described = [model.sha256, _VERSION, *gene_tables.versions().values(), *self.genes, *map(str, self.ids)]
        self._key = hashlib.sha256("\x1f".join(described).encode()).hexdigest()[:16]

    @cached_property
    def _cells_key(self) -> str:
        """Hash of the cells; it is asked for once per regulator."""
        return "" if self.cells is None else fingerprint(self.cells)

    @cached_property
    def embeddings(self) -> np.ndarray:
        """Embeddings (G, d) of all genes; NaN rows for those the model does not know."""
        tl.embedding(self._bare, model=self.model, key_added="X_model")
        return np.asarray(self._bare.varm["X_model"])

    def can(self, feature: str) -> str:
        """Say why a feature cannot be read; an empty string if it can."""
        reader = READERS[feature]
        lacking = [name for name in reader.capabilities if name not in self.model.capabilities]
        if lacking:
            return f"{self.model.name} lacks the capability {lacking[0]!r}"
        return "there are no cells" if reader.cells and self.cells is None else ""

    def cube(self, feature: str, sources: Sequence[str]) -> np.ndarray:
        """Features (G, S, K) of all pairs of some sources, reading what is not kept yet.

        Parameters
        ----------
        feature
            One of ``READERS``.
        sources
            Names (S,) the model knows.

        Raises
        ------
        CapabilityError
            If the model or the data do not offer it.
        GeneOverlapError
            If the model does not know a source.
        """
        reason = self.can(feature)
        if reason:
            raise CapabilityError(f"{feature} cannot be read: {reason}.")
        if feature.startswith(_MEAN_CELL) and self._mean_is_baseline:
            return self.cube(feature.removeprefix(_MEAN_CELL), sources)
        rows = np.searchsorted(self.genes, sources)
        if not self.sources[rows].all():
            lost = np.asarray(sources)[~self.sources[rows]]
            raise GeneOverlapError(f"{self.model.name} does not know {len(lost)} sources such as {lost[0]}.")
        missing = [name for name in sources if self._kept(feature, name) is None]
        # maps of attention hold all pairs at once; other features cost by the regulator and are kept in blocks
        size = max(1, len(missing)) if feature == "attention" else _BLOCK
        blocks = [missing[i : i + size] for i in range(0, len(missing), size)]
        for block in progress(blocks, desc=feature, show=self.show) if blocks else ():
            self._read(feature, block)
        cubes = {name: self._kept(feature, name) for name in sources}
        lost = [name for name, values in cubes.items() if values is None]
        if lost:
            raise CapabilityError(f"{self.model.name} gave no {feature} for {len(lost)} sources such as {lost[0]}.")
        return np.stack(list(cubes.values()), axis=1)

    @cached_property
    def _mean_is_baseline(self) -> bool:
        """Whether the mean cell is the virtual cell, as on a scale of z-scores; then nothing need be read twice."""
        adata = self._with_cells()
        known = np.flatnonzero(self.ids != "")
        values = expression(adata)
        mean, std = (moment[known] for moment in values.moments())  # (genes known,) each
        cell = self.model.encode_cells(mean[None], self.ids[known].tolist(), reference=Moments(mean, std))
        return bool(np.allclose(cell.cpu().numpy(), self.model.value_scale.baseline, atol=1e-5))

    def _read(self, feature: str, sources: Sequence[str]) -> None:
        reader = READERS[feature]
        adata = self._with_cells() if reader.cells else self._bare.copy()
        reader.read(adata, self.model, sources)
        for name in READERS:
            if name not in adata.varm or READERS[name].read is not reader.read:
                continue
            values = np.asarray(adata.varm[name], dtype=np.float32)
            for i, source in enumerate(np.asarray(adata.uns[name]["sources"], dtype=str)):
                self._keep(name, str(source), np.ascontiguousarray(values[:, i]))

    def object(self, *, cells: bool) -> AnnData:
        """The universe with its cells, or without any, aligned with the model."""
        return self._with_cells() if cells else self._bare.copy()

    def _with_cells(self) -> AnnData:
        if self.cells is None:
            raise CapabilityError("there are no cells to read real-cell probes from.")
        adata = self.cells[:, self.genes].copy()
        adata.var = self._bare.var.copy()
        return adata

    def _path(self, feature: str, source: str) -> Path | None:
        if self._cache is None:
            return None
        cells = f"-{self._cells_key}" if READERS[feature].cells and self._cells_key else ""
        return self._cache / "features" / f"{feature}-{self._key}{cells}" / f"{quote(source, safe='')}.sealed"

    def _kept(self, feature: str, source: str) -> np.ndarray | None:
        if (feature, source) in self._memory:
            return self._memory[feature, source]
        path = self._path(feature, source)
        return None if path is None else sealed.kept(path, self._values)

    def _values(self, content: memoryview) -> np.ndarray:
        """Features (G, K) of one source, as they were kept."""
        values = sealed.unpacked(content)["values"]
        if values.ndim != 2 or len(values) != len(self.genes) or values.dtype != np.float32:
            raise ValueError("it holds other values")
        return values

    def _keep(self, feature: str, source: str, values: np.ndarray) -> None:
        path = self._path(feature, source)
        if path is None:
            self._memory[feature, source] = values
            return
        # a file per regulator: to wait for the disk each time took longer than to read the model
        sealed.keep(path, sealed.packed({"values": values}), durable=False)


def _without_cells(genes: np.ndarray, organism: str) -> AnnData:
    """An object that holds gene names only: virtual cells need no more."""
    adata = AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
    align_genes(adata, organism=organism, orthologs="syntenic", min_overlap=0.0)
    return adata


def fingerprint(cells: AnnData) -> str:
    """Hash of the values and genes of some cells."""
    values = cells.X.toarray() if hasattr(cells.X, "toarray") else np.asarray(cells.X)
    digest = hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    digest.update("\n".join(map(str, cells.var_names)).encode())
    return digest.hexdigest()[:12]
