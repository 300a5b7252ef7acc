"""Entries with the records they name: what a trial needs to know of each, and who cannot take part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError
from grn.bench._backbone_features import READERS
from grn.bench._entries import READINGS, VARIANTS, Entry
from grn.bench._pair_columns import TRAINED, UNTRAINED, ColumnScore, column_score, readable, stands_for
from grn.methods import METHODS, Method
from grn.methods.probes.score import check_background, check_grid, translators_for
from grn.models import FoundationModel, load
from grn.models.pair_translator import embedded
from grn.models.translator import Translator
from grn.network import Network

# parameters of records with which features are kept on disk and translated
_OF_A_READING = ("context", "background", "centred", "protocol")
_KEPT = {*READERS, "embedding"}
MEAN_CELL = "mean cell"


@dataclass(frozen=True)
class FeatureScore:
    """Features of a model and what makes scores of them.

    Parameters
    ----------
    features
        Features, as ``READERS`` names them; with several, their logits are averaged.
    probes
        The probe behind each feature, whose translators it takes.
    translator
        ``"train"``, ``None`` for the feature itself, or what ``translators_for`` takes.
    centred
        Whether the feature itself is compared within its regulator and its target.
    """

    features: tuple[str, ...]
    probes: tuple[str, ...]
    translator: Any
    centred: bool = False

    @property
    def trained(self) -> bool:
        """Whether a translator is fitted on the training set."""
        return is_trained(self.translator)


@dataclass(frozen=True)
class Competitor:
    """An entry and its record.

    Parameters
    ----------
    name
        Name in the table.
    kind
        ``"method"`` or ``"ablation"``.
    record
        The method.
    params
        Parameters of the record.
    variant
        What is done to the model.
    reading
        Features or columns to score by; ``None`` where the record itself is fitted.
    key
        All that its scores depend on beside the data, for the cache; ``None`` if that cannot be told.
    """

    name: str
    kind: str
    record: Method
    params: Mapping[str, Any]
    variant: str
    reading: FeatureScore | ColumnScore | None
    key: str | None

    @property
    def features(self) -> tuple[str, ...]:
        """Features to read; none where the record itself is fitted."""
        return () if self.reading is None else self.reading.features

    @property
    def trained(self) -> bool:
        """Whether a translator is fitted on the training set."""
        return self.reading is not None and self.reading.trained

    @property
    def cells(self) -> str:
        """What it reads of the cells of the data set: ``"cells"``, their ``"mean cell"``, or ``""`` for nothing."""
        if self.reading is not None:
            read = {READERS[feature].cells for feature in self.features if feature in READERS} - {""}
            return min(read, default="")
        if "cells" in (*self.record.needs, *self.record.optional):
            return "cells"
        return MEAN_CELL if self.params.get("context") == "mean" else ""

    @property
    def reads_cells(self) -> bool:
        """Whether it reads cells of the data set."""
        return self.cells != ""

    def probability(self, scores: np.ndarray) -> np.ndarray | None:
        """The probabilities behind scores, whichever the method gives; ``None`` for a score that is none."""
        if not self.record.probability:
            return None
        if self.reading is None:
            return None if self.params.get("translator", "") is None else scores
        strength = isinstance(self.reading, FeatureScore) and self.reading.translator is None
        return None if strength else np.asarray(expit(scores))


def is_trained(translator: Any) -> bool:
    """Whether this stands for a translator that is fitted on the training set."""
    return isinstance(translator, str) and translator == TRAINED


def competitor(entry: Entry) -> Competitor:
    """An entry with its record; an error if there is none, or if it refuses a parameter."""
    record = _record(entry.method)
    if entry.variant not in VARIANTS:
        raise ParameterError(f"variant={entry.variant!r}; use one of {', '.join(map(repr, VARIANTS))}.")
    if entry.variant and not record.reads_model:
        raise ParameterError(f"variant={entry.variant!r} is done to a model, and method {entry.method!r} reads none.")
    params: dict[str, Any] = checks.mapping("params", entry.params, example="{'translator': None}")
    reading: FeatureScore | ColumnScore | None = None
    if readable(record):
        reading = _columns(record, params, entry.variant)
    elif record.features and _KEPT.issuperset(record.features):
        translates = "translator" in record.parameters()
        translator = params.pop("translator", TRAINED if translates else None)
        record.verified(params)
        reading = _reading(record, params, translator)
        if reading is None and is_trained(translator):
            asked = ", ".join(f"{name}=" for name in params if name == "protocol" or name not in _OF_A_READING)
            raise ParameterError(
                f"{entry.name!r} cannot be trained on the training set: features are not kept with {asked}. Leave it "
                f"out, or pass translator=None{' or a shipped one such as ' + repr('string') if translates else ''}."
            )
        if translator is not None or translates:
            params["translator"] = translator
    if entry.variant == UNTRAINED and not isinstance(reading, ColumnScore):
        able = ", ".join(repr(name) for name in METHODS if readable(METHODS[name]))
        raise ParameterError(f"variant={UNTRAINED!r} is for {able} with translator='train'.")
    if reading is None:
        record.verified(params)
    kind = entry.kind or ("ablation" if entry.variant else "method")
    return Competitor(entry.name, kind, record, params, entry.variant, reading, _key(entry, record))


def _columns(record: Method, params: dict[str, Any], variant: str) -> ColumnScore | None:
    """The columns that say the same as the record with these parameters; takes what is not the record's out of them."""
    columns = params.pop("columns", None)
    asked = {name: value for name, value in params.items() if name != "translator" or not is_trained(value)}
    record.verified(asked)
    rest = {name: value for name, value in params.items() if name != "translator"}
    if stands_for(rest):
        return column_score(record, params, columns, variant=variant)
    if columns is not None or is_trained(params.get("translator")):
        asked_for = ", ".join(f"{name}=" for name in rest)
        raise ParameterError(f"{record.name!r} cannot be trained on the training set with {asked_for}; leave it out.")
    return None


def _record(method: str) -> Method:
    if method in READINGS and method not in METHODS:
        raise ParameterError(
            f"{method!r} is a label of the published tables, not a method; pass grn.bench.READINGS[{method!r}]."
        )
    return METHODS[method]


def _reading(record: Method, params: Mapping[str, Any], translator: Any) -> FeatureScore | None:
    """The features that say the same as the record, if such are kept."""
    if len(record.features) > 1 and translator is None:
        raise ParameterError(
            f"method {record.name!r} averages translated features; pass translator='train' or a shipped one, or enter "
            f"{' and '.join(map(repr, record.features))} with translator=None."
        )
    paper = params.get("protocol", "paper") == "paper"
    if set(params) - set(_OF_A_READING) or not paper:
        return None  # what is recommended for a model is not known yet
    features = record.features
    if params.get("context") == "mean":
        features = tuple(f"mean_cell_{probe}" for probe in features)
    if params.get("background") == "moving":
        features = ("gradient_moving",)
    if params.get("background") == "unknown":
        features = tuple(f"unknown_{probe}" for probe in features)
    if features == ("embedding",) and translator is None:
        return None  # the record compares them
    if params.get("centred") and translator is not None:
        raise ParameterError("centred=True is for raw strengths; pass translator=None with it.")
    return FeatureScore(features, record.features, translator, bool(params.get("centred")))


def obstacle(record: Method, model: FoundationModel | None) -> str:
    """Why a record cannot be scored in the benchmark with a model; an empty string if it can."""
    more = [need for need in record.needs if need not in ("cells", "model")]
    if more:
        return f"it reads {' and '.join(more)}, which data sets of the benchmark do not have"
    family = getattr(model, "family", None)
    if record.family and family != record.family:
        name = "no model" if model is None else f"{model.name!r}"
        return f"it reads models of the family {record.family}, and {name} is {family or 'another'}"
    return ""


def check_record(record: Method, model: FoundationModel | None) -> None:
    """Refuse a record that cannot be scored with a model, whatever the data."""
    reason = obstacle(record, model)
    if reason:
        able = [name for name in METHODS if not obstacle(METHODS[name], model)]
        raise CapabilityError(f"method {record.name!r} cannot be scored: {reason}. Those that can: {', '.join(able)}.")


def shipped_translators(reading: FeatureScore, model: FoundationModel) -> dict[str, Translator]:
    """Translators that were not fitted here, by feature; none where the feature itself is the score."""
    if reading.translator is None or reading.trained:
        return {}
    of_probe = translators_for(model, reading.translator, reading.probes)
    grids = {"vvp": model.value_scale.perturbation_grid, "gradient_trajectory": model.value_scale.gradient_grid}
    for probe, translator in of_probe.items():
        if probe in grids:
            check_grid(translator, np.asarray(grids[probe]))
    for feature, probe in zip(reading.features, reading.probes, strict=True):
        if feature in READERS:
            check_background(of_probe[probe], READERS[feature].background)
    return {feature: of_probe[probe] for feature, probe in zip(reading.features, reading.probes, strict=True)}


def shipped_hashes(entered: Competitor, model: FoundationModel | None) -> list[str]:
    """Hashes of the translators behind a score that were not fitted here; none where the model has none."""
    reading = entered.reading
    if model is None or reading is None or reading.trained:
        return []
    try:
        if isinstance(reading, ColumnScore):
            return [embedded(model, reading.translator).sha256]
        return [translator.sha256 for translator in shipped_translators(reading, model).values()]
    except CapabilityError:
        return []


def chosen(
    methods: Iterable[str | Entry] | None, model: str | FoundationModel
) -> tuple[list[Competitor], FoundationModel | None]:
    """Who competes, the readings of the published tables by default; and the model, loaded if any of them reads it."""
    if isinstance(methods, str | Entry):
        raise ParameterError(f"methods={methods!r} is a single method; pass a list such as [{methods!r}].")
    if methods is not None and (isinstance(methods, Mapping) or not isinstance(methods, Iterable)):
        raise ParameterError(f"methods={checks.shown(methods)}; pass a list such as ['ridge', 'vvp'].")
    entries = [_entry(given) for given in (READINGS.values() if methods is None else methods)]
    competitors = [competitor(entry) for entry in entries]
    names = [entered.name for entered in competitors]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"{twice[0]!r} is the name of several methods; tell them apart by Entry(label=...).")
    loaded = load(model) if any(entered.record.reads_model for entered in competitors) else None
    for entered in competitors:
        check_record(entered.record, loaded)
        if loaded is not None and methods is not None:
            _check_translators(entered, loaded)  # of the default readings, boards say who is left out
    return competitors, loaded


def _check_translators(entered: Competitor, model: FoundationModel) -> None:
    """Refuse translators before anything is read."""
    if isinstance(entered.reading, ColumnScore):
        if not entered.reading.trained:
            embedded(model, entered.reading.translator)
    elif entered.reading is not None:
        shipped_translators(entered.reading, model)
    elif entered.params.get("translator") is not None and entered.record.features:
        translators_for(model, entered.params["translator"], entered.record.features)


def _entry(given: object) -> Entry:
    if isinstance(given, str):
        return Entry(given)
    if isinstance(given, Entry):
        return given
    raise ParameterError(
        f"methods has an entry {given!r}; pass names of grn.tl.methods() or grn.bench.Entry('vvp', {{'translator': "
        "None}})."
    )


def _key(entry: Entry, record: Method) -> str | None:
    """All that an entry depends on; nothing is known of what a function of the user does."""
    if not record.fit.__module__.startswith("grn."):
        return None
    params = _content({**record.parameters(), **entry.params})
    return None if params is None else repr((entry.method, params, entry.variant, entry.name, entry.kind))


def _content(value: Any) -> str | None:
    """What a parameter holds, as text; ``None`` if that cannot be told."""
    if value is None or isinstance(value, str | bool | int | float | np.generic):
        return repr(value)
    if isinstance(value, Translator):
        return value.sha256
    if isinstance(value, Network):
        value = value.edges
    if isinstance(value, pd.DataFrame):
        return hashlib.sha256(value.to_csv().encode()).hexdigest()
    if isinstance(value, Mapping):
        value = [item for name in sorted(value, key=str) for item in (str(name), value[name])]
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return None
    parts = [_content(item) for item in value]
    return None if None in parts else repr(parts)
