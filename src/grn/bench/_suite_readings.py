"""Readings of a foundation model as competitors of the perturbation suite, their features read once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import expit

from grn._core.errors import CapabilityError
from grn._core.files import output_folder
from grn.bench._backbone_features import BackboneFeatures
from grn.bench._competitors import Competitor, FeatureScore, competitor, shipped_translators
from grn.bench._entries import READINGS, Entry
from grn.genes import tables
from grn.methods import Task
from grn.methods.edges import to_network
from grn.methods.inputs import environment
from grn.methods.probes.embedding import pair_embeddings, pairing
from grn.methods.probes.score import slope
from grn.methods.runner import fit
from grn.models import FoundationModel, load
from grn.models.translator import double_centred

# what the suite scores by default; without a training set, translators are those that are shipped
_ENTRIES = (
    Entry("ugrn", {"translator": "string"}, label="Ens"),
    Entry("ugrn", {"translator": "chip"}, label="Ens, ChIP"),
    Entry("vvp", {"translator": "string"}, label="VVP"),
    Entry("gradient_trajectory", {"translator": "string"}, label="GDT"),
    Entry("embedding", {"translator": "string"}, label="Emb"),
    READINGS["universal"],
    READINGS["universal (relatives counted)"],
    READINGS["universal (cells)"],
    READINGS["VVP (raw)"],
    READINGS["GDT (raw)"],
    READINGS["Pert (origin)"],
)


class Readings:
    """The readings of one model.

    Parameters
    ----------
    model
        Name or model.
    cache
        Folder in which features are kept; in memory only by default.
    """

    def __init__(self, model: str | FoundationModel = "mini", *, cache: str | Path | None = None) -> None:
        self.model = load(model)
        self._cache = None if cache is None else output_folder(cache, name="cache")
        self._features: dict[tuple[str, ...], BackboneFeatures] = {}

    def methods(self) -> dict[str, Callable[[AnnData], pd.DataFrame]]:
        """Name -> function of the unperturbed cells that gives an edge table."""
        entered = [competitor(entry) for entry in _ENTRIES]
        return {f"{self.model.name} {given.name}": partial(self._edges, given) for given in entered}

    def _edges(self, entered: Competitor, adata: AnnData) -> pd.DataFrame:
        backbone = self._of(adata)
        names = backbone.genes
        wanted = np.isin(names, adata.var_names[adata.var["is_regulator"].to_numpy(dtype=bool)])
        rows = np.flatnonzero(wanted & backbone.sources)
        if not len(rows):
            raise CapabilityError(f"{self.model.name} knows none of the {int(wanted.sum())} regulators.")
        if not isinstance(entered.reading, FeatureScore):
            task = Task(
                **environment(self.model, "auto", progress=False, record=entered.record), sources=names[rows].tolist()
            )
            return fit(backbone.object(cells=entered.reads_cells), entered.record, task, entered.params).edges
        reading, features = entered.reading, entered.reading.features
        cubes = {name: self._cube(backbone, name, rows) for name in features}
        effect = self._slope(reading, cubes)
        signed = features != ("embedding",)
        if reading.translator is not None:
            chosen = shipped_translators(reading, self.model)
            strength = expit(np.mean([chosen[name].logits(cubes[name]) for name in features], axis=0))
            effect = np.where(effect < 0, -1.0, 1.0) * strength if signed else strength
        effect = np.array(effect, dtype=np.float64)
        effect[~backbone.targets] = np.nan
        effect[rows, np.arange(len(rows))] = np.nan
        return to_network(names, rows, [("", {"weight": effect})], params={}, signed=signed).edges

    def _slope(self, reading: FeatureScore, cubes: dict[str, np.ndarray]) -> np.ndarray:
        """Signed effect of the last feature: of the gradient where there are both."""
        probe, cube, scale = reading.probes[-1], cubes[reading.features[-1]], self.model.value_scale
        grid = np.asarray(scale.perturbation_grid, dtype=np.float64)
        effect: np.ndarray = slope(probe, cube, grid if probe == "vvp" else np.zeros(1), scale.baseline)
        return double_centred(effect) if reading.centred else effect

    def _cube(self, backbone: BackboneFeatures, feature: str, rows: np.ndarray) -> np.ndarray:
        if feature == "embedding":
            return pair_embeddings(backbone.embeddings, rows, pairing(self.model))
        return backbone.cube(feature, backbone.genes[rows])

    def _of(self, adata: AnnData) -> BackboneFeatures:
        organism = str(adata.uns.get("organism", ""))
        if organism not in tables.ORGANISMS:
            raise CapabilityError(
                f"{self.model.name} knows genes by name, and those of this data are {organism or 'of no organism'}."
            )
        genes = tuple(sorted(map(str, adata.var_names)))
        cells = adata if adata.n_obs else None
        if (organism, *genes) not in self._features:
            self._features[organism, *genes] = BackboneFeatures(
                self.model, genes, organism, cells=cells, cache=self._cache, show=False
            )
        return self._features[organism, *genes]
