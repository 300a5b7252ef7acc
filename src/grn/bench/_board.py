"""A reference as one backbone sees it: which pairs it can score, and what it says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import CapabilityError, GeneOverlapError
from grn._core.rng import child, sample_names
from grn.bench import floors
from grn.bench._ablate import modules, shuffled_weights
from grn.bench._backbone_features import READERS, BackboneFeatures, fingerprint
from grn.bench._board_cells import cells_of
from grn.bench._competitors import Competitor, shipped_translators
from grn.bench._method_scorer import strengths
from grn.bench._pair_columns import FEATURE, UNTRAINED, ColumnScore, PairColumns, fitted_on, untrained_response
from grn.bench.negatives import Sample
from grn.bench.splits import own_pairs
from grn.datasets.reference import Reference
from grn.methods import Task
from grn.methods.inputs import environment
from grn.methods.probes.embedding import pair_embeddings, pairing
from grn.methods.probes.score import slope
from grn.methods.probes.translator_fit import fit_on_pairs
from grn.methods.probes.universal import responses
from grn.models import FoundationModel
from grn.models.pair_translator import PairTranslator, embedded
from grn.models.translator import Translator, TranslatorConfig, double_centred
from grn.models.translator_training import FitSettings


@dataclass(frozen=True)
class BoardSetting:
    """What all boards of one run have in common.

    Parameters
    ----------
    model
        The backbone; without one all genes are asked about.
    cache
        Folder of features.
    max_regulators
        Most regulators per data set, drawn by name; all by default.
    stand_in
        Cells (log-normalised, human symbols) for data sets that come without expression.
    decomposition
        Co-expression of the corpus in its leading components, by its name among the floors; none without a corpus.
    epochs
        Most epochs of a translator.
    show
        Progress bars.
    """

    model: FoundationModel | None
    cache: Path
    max_regulators: int | None = None
    stand_in: AnnData | None = None
    decomposition: Mapping[str, Callable[[Reference], np.ndarray]] = field(default_factory=dict)
    epochs: int = 200
    show: bool | None = None


class Board:
    """One reference and one backbone.

    Parameters
    ----------
    reference
        The reference.
    setting
        Backbone, cache and limits.
    """

    def __init__(self, reference: Reference, setting: BoardSetting) -> None:
        self.reference, self.setting = reference, setting
        self.cells, self.cells_are = cells_of(reference, setting.stand_in)
        self._features: dict[str, BackboneFeatures] = {}
        self._cubes: dict[tuple[str, str], np.ndarray] = {}
        self._weights: dict[tuple[str, int], np.ndarray] = {}
        self._logits: dict[tuple[str, str, str], np.ndarray] = {}
        self._floors: dict[str, np.ndarray] = {}
        rows = np.searchsorted(reference.genes, reference.evidence)
        known = np.ones(len(rows), dtype=bool) if setting.model is None else self.features("").sources[rows]
        able = [str(name) for name in reference.evidence[known]]
        if not able:
            raise GeneOverlapError(
                f"{setting.model.name} knows none of the {len(reference.evidence)} regulators with evidence in "
                f"{reference.name}; check organism= of the reference ({reference.organism})."
            )
        self._able = np.searchsorted(reference.regulators, able)
        limit = setting.max_regulators
        self.regulators = able if limit is None else sorted(able[i] for i in sample_names(able, limit, 0))
        self.rows = np.searchsorted(reference.regulators, self.regulators)

    @cached_property
    def mask(self) -> np.ndarray:
        """Pairs the backbone can score: bool (regulators, genes)."""
        mask = own_pairs(self.reference)
        if self.setting.model is not None:
            mask &= self.features("").targets[None, :]
        used = np.zeros(len(mask), dtype=bool)
        used[self.rows] = True
        return mask & used[:, None]

    @property
    def coverage(self) -> float:
        """Share of the edges between genes the backbone knows, whatever the limit on regulators."""
        labels = self.reference.labels
        targets = slice(None) if self.setting.model is None else self.features("").targets
        return float(labels[self._able][:, targets].sum() / labels.sum())

    def features(self, variant: str) -> BackboneFeatures:
        """Features of the backbone, or of its shuffled weights."""
        kind = variant if variant == "shuffled weights" else ""
        if kind not in self._features:
            model = shuffled_weights(self.setting.model) if kind else self.setting.model
            self._features[kind] = BackboneFeatures(
                model,
                self.reference.genes,
                self.reference.organism,
                cells=self.cells,
                cache=self.setting.cache,
                show=self.setting.show,
            )
        return self._features[kind]

    def missing(self, entered: Competitor) -> str:
        """Why a competitor cannot be scored here; an empty string if it can."""
        if not entered.record.reads_model:
            return "" if self.cells_are == "own" else "there are no cells of its own"
        features = self.features("")
        if entered.variant == "shuffled weights" and not modules(features.model):
            return f"{features.model.name} holds no torch module"
        if isinstance(entered.reading, ColumnScore):
            lacks = self._unknown_columns(entered.reading)
            if lacks:
                return lacks
        if entered.reading is None:
            if "embedding" in entered.record.features and "embedding" not in features.model.capabilities:
                return f"{features.model.name} has no embeddings"
            return "there are no cells" if entered.reads_cells and self.cells is None else ""
        for feature in entered.features:
            lacks = "" if "embedding" in features.model.capabilities else f"{features.model.name} has no embeddings"
            reason = features.can(feature) if feature in READERS else lacks
            if reason:
                return reason
        return ""

    def _unknown_columns(self, score: ColumnScore) -> str:
        """Why the columns of a score, or its translator, are not to be had here; an empty string if they are."""
        if score.untrained and not self.setting.decomposition:
            return "there is no corpus"
        if score.trained:
            return ""
        try:
            seen = embedded(self.setting.model, score.translator).seen
        except CapabilityError as error:
            return str(error).split(";")[0]
        return "the shipped translator has learned its labels" if f"{self.reference.dataset} labels" in seen else ""

    def cube(self, feature: str, variant: str) -> np.ndarray:
        """Features (genes, regulators in use, K); NaN where the backbone knows nothing."""
        key = (feature, variant)
        if key not in self._cubes:
            # those of embeddings are large: one of them at a time
            for name, other in list(self._cubes) if feature == "embedding" else []:
                if name == feature:
                    del self._cubes[name, other]
            self._cubes[key] = self._cube(feature, variant)
        return self._cubes[key]

    def _cube(self, feature: str, variant: str) -> np.ndarray:
        features = self.features(variant)
        if feature == "embedding":
            rows = np.searchsorted(self.reference.genes, self.regulators)
            values = pair_embeddings(features.embeddings, rows, pairing(self.setting.model))
        else:
            values = features.cube(feature, self.regulators)
        return self._renamed(values) if variant == "shuffled names" else values

    def _renamed(self, values: np.ndarray) -> np.ndarray:
        """What was said of the pairs (genes, regulators in use, ...) of other names."""
        order = self._other_names()
        place = {row: i for i, row in enumerate(np.searchsorted(self.reference.genes, self.regulators))}
        sources = [place[order[row]] for row in place]
        renamed: np.ndarray = values[order][:, sources]
        return renamed

    def _other_names(self) -> np.ndarray:
        """A permutation of the known genes, regulators in use among themselves and all others among themselves."""
        used = np.searchsorted(self.reference.genes, self.regulators)
        others = np.setdiff1d(np.flatnonzero(self.features("").targets), used)
        order = np.arange(len(self.reference.genes))
        for rows in (used, others):
            order[rows] = child(0, "shuffled names", self.reference.dataset).permutation(rows)
        return order

    def grid(self, values: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        """Scores (genes, regulators in use) as a table (regulators, genes) of the reference."""
        full = np.full((len(self.reference.regulators), len(self.reference.genes)), np.nan, dtype=dtype)
        full[self.rows] = values.T
        return full

    def untranslated(self, entered: Competitor) -> np.ndarray:
        """The strength that the feature itself gives: absolute mean effect, or mean attention (regulators, genes)."""
        scale = self.setting.model.value_scale
        grid = np.asarray(scale.perturbation_grid, dtype=np.float64)
        parts = []
        probes = entered.reading.probes if entered.reading is not None else ()
        for feature, probe in zip(entered.features, probes, strict=True):
            cube = self.cube(feature, entered.variant)
            strength = slope(probe, cube, grid if probe == "vvp" else np.zeros(1), scale.baseline)
            centred = entered.reading is not None and entered.reading.centred
            parts.append(np.abs(double_centred(strength) if centred else strength))
        return self.grid(np.mean(parts, axis=0))

    def fit(self, feature: str, variant: str, sample: Sample, *, seed: int, members: int = 1) -> Translator:
        """Train a translator on sampled pairs of this reference."""
        model, cube = self.features(variant).model, self.cube(feature, variant)
        scale = model.value_scale
        grids = {"vvp": scale.perturbation_grid, "gradient": scale.gradient_grid}
        config = TranslatorConfig(
            feature=feature,
            points=cube.shape[-1],
            # in a sum E_i + E_j centring leaves nothing
            view="raw" if feature == "embedding" else "both",
            members=members,
            model=model.name,
            model_sha256=model.sha256,
            grid=next((tuple(map(float, grid)) for kind, grid in grids.items() if kind in feature), ()),
            background=READERS[feature].background if feature in READERS else "fixed",
        )
        settings = FitSettings(epochs=self.setting.epochs)
        return fit_on_pairs(
            cube, sample.pairs, self.reference.genes, self.regulators, config, settings=settings, seed=seed
        )

    def translated(
        self, entered: Competitor, translators: Mapping[str, Translator], only: np.ndarray | None = None
    ) -> np.ndarray:
        """Mean logit over the features of a competitor (regulators, genes), of all pairs or ``only`` of these."""
        wanted = None if only is None else only[self.rows].T
        parts = [
            self._logits_of(feature, entered.variant, translators[feature], wanted) for feature in entered.features
        ]
        return self.grid(np.mean(parts, axis=0))

    def _logits_of(self, feature: str, variant: str, translator: Translator, wanted: np.ndarray | None) -> np.ndarray:
        """Logits (genes, regulators in use); those of the pairs of a trial are kept until it ends."""
        if wanted is None:
            return translator.logits(self.cube(feature, variant))
        key = (feature, variant, translator.sha256)
        if key not in self._logits:
            self._logits[key] = translator.logits(self.cube(feature, variant), only=wanted)
        return self._logits[key]

    @cached_property
    def columns(self) -> PairColumns:
        """Columns of all pairs in use."""
        rows, ids = np.searchsorted(self.reference.genes, self.regulators), self.features("").ids
        return PairColumns(ids[rows], ids, self._response, self._renamed)

    def _response(self, variant: str) -> dict[str, np.ndarray]:
        """Columns (genes, regulators in use) of the response, of the model or of what stands in for it."""
        if variant == UNTRAINED:
            (name,) = self.setting.decomposition
            return untrained_response(self.floors(self.setting.decomposition)[name][self.rows].T)
        grid = np.asarray(self.setting.model.value_scale.gradient_grid, dtype=np.float64)
        return responses(self.cube(FEATURE, variant), grid)

    def fit_columns(self, score: ColumnScore, variant: str, drawn: Sample) -> PairTranslator:
        """Train a regression on the columns of sampled pairs of this reference."""
        places = np.searchsorted(self.rows, drawn.sources)
        table = {name: values[drawn.targets, places] for name, values in self.columns.read(score, variant).items()}
        return fitted_on(table, drawn.labels, self.setting.model)

    def by_columns(self, score: ColumnScore, variant: str, translator: PairTranslator) -> np.ndarray:
        """Logits of a regression on columns (regulators, genes)."""
        return self.grid(translator.logits(self.columns.read(score, variant)), np.float64)

    def fixed(self, entered: Competitor, seed: int) -> np.ndarray:
        """Scores (regulators, genes) of a competitor that learns nothing from a training set."""
        if entered.reading is None:
            # no protocol and no training set changes these; names are unique within a run
            key = (entered.name, seed)
            if key not in self._weights:
                self._weights[key] = self._fitted_weights(entered, seed)
            return self.grid(self._weights[key], np.float64)
        if isinstance(entered.reading, ColumnScore):
            shipped = embedded(self.setting.model, entered.reading.translator)
            return self.by_columns(entered.reading, entered.variant, shipped)
        if entered.reading.translator is None:
            return self.untranslated(entered)
        return self.translated(entered, shipped_translators(entered.reading, self.setting.model))

    def _fitted_weights(self, entered: Competitor, seed: int) -> np.ndarray:
        """Absolute weights (genes, regulators in use) that the record gives all pairs; 0 for those it does not list."""
        model, adata = None, self.object
        if entered.record.reads_model:
            features = self.features(entered.variant)
            model, adata = features.model, features.object(cells=entered.reads_cells)
        task = Task(
            **environment(model, "auto", progress=False, record=entered.record), sources=self.regulators, seed=seed
        )
        genes = pd.MultiIndex.from_product([self.regulators, self.reference.genes])
        weights = strengths(adata, entered.record, task, entered.params).reindex(genes).fillna(0.0).to_numpy()
        values = weights.reshape(len(self.regulators), -1).T  # (G, S)
        return self._renamed(values) if entered.variant == "shuffled names" else values

    def floors(self, outside: Mapping[str, Callable[[Reference], np.ndarray]]) -> dict[str, np.ndarray]:
        """Floors (regulators, genes) that no training set and no protocol changes, each formed once."""
        if not self._floors:
            self._floors = {"same family": floors.same_family(self.reference), **floors.expression(self.reference)}
        for name in outside:
            if name not in self._floors:
                self._floors[name] = outside[name](self.reference)
        return {name: table for name, table in self._floors.items() if name in outside or name in floors.NAMES}

    @cached_property
    def facts(self) -> list[str]:
        """All of the reference that a trial depends on, the cells that stand in for its own among it."""
        stand_in = self.cells if self.cells_are == "stand-in" else None
        return [*_facts(self.reference), "" if stand_in is None else fingerprint(stand_in)]

    def release(self) -> None:
        """Let go of what is large and quickly read or formed anew."""
        self._cubes.clear()
        self._logits.clear()
        vars(self).pop("columns", None)  # formed anew when it is asked for
        self._features.pop("shuffled weights", None)

    @property
    def object(self) -> AnnData:
        """All genes, the cells of the data set where they cover these, and which genes are regulators."""
        genes = self.reference.genes
        if self.cells is not None and self.cells_are == "own":
            adata = self.cells[:, genes].copy()
        else:
            adata = AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
        adata.var["is_regulator"] = np.isin(genes, self.reference.regulators)
        adata.uns["organism"] = self.reference.organism
        return adata


class Boards:
    """The boards of a run within one process, each formed once.

    Parameters
    ----------
    setting
        What they have in common.
    """

    def __init__(self, setting: BoardSetting) -> None:
        self.setting = setting
        self._boards: dict[tuple[str, ...], Board] = {}
        # references are kept, so that no other is at their place in memory
        self._known: dict[int, tuple[Reference, Board]] = {}

    def __call__(self, reference: Reference) -> Board:
        """The board of a reference; one for all references of the same content."""
        if id(reference) not in self._known:
            key = tuple(_facts(reference))
            if key not in self._boards:
                self._boards[key] = Board(reference, self.setting)
            self._known[id(reference)] = reference, self._boards[key]
        return self._known[id(reference)][1]

    def release(self) -> None:
        """Let go of what is large and quickly read or formed anew."""
        for board in self._boards.values():
            board.release()


def _facts(reference: Reference) -> list[str]:
    """What tells a reference from others."""
    names = [reference.dataset, reference.network, reference.size, reference.organism, reference.unit]
    measured = "" if reference.expression is None else fingerprint(reference.expression)
    return [reference.sha256, *names, str(reference.directed), measured]
