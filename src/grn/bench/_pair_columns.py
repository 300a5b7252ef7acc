"""Scores by named columns of a pair: a logistic regression, shipped or fitted, on responses, families and motifs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn.methods import Method
from grn.methods.probes.side_information import COLUMNS, side_information
from grn.methods.probes.universal import ALL_COLUMNS, RESPONSE, SAME_FAMILY, WHOLE_RESPONSE, responses
from grn.models import FoundationModel
from grn.models.pair_translator import PENALTY, PairTranslator, embedded, fitted

FEATURE = "unknown_gradient_trajectory"
MOTIFS = tuple(name for name in COLUMNS if name not in SAME_FAMILY)
UNTRAINED = "untrained SVD"
TRAINED = "train"
_RENAMED = "shuffled names"
# parameters of the record that columns stand for; with another the record itself is fitted
_OF_COLUMNS = ("relatives",)


@dataclass(frozen=True)
class ColumnScore:
    """Columns of a pair and what makes a score of them.

    Parameters
    ----------
    translator
        ``"train"``, or the name of a shipped one.
    columns
        Those it reads.
    relatives
        ``"counted"``, or ``"neutral"``: that two genes are of one family is not said.
    untrained
        Whether the response is that of a plain singular value decomposition of the corpus.
    """

    translator: str
    columns: tuple[str, ...]
    relatives: str
    untrained: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """Features of the model behind the columns."""
        return (FEATURE,) if WHOLE_RESPONSE in self.columns and not self.untrained else ()

    @property
    def probes(self) -> tuple[str, ...]:
        """The probe behind each feature."""
        return ("gradient_trajectory",) if self.features else ()

    @property
    def trained(self) -> bool:
        """Whether the translator is fitted on the training set."""
        return self.translator == TRAINED

    def seen(self, model: FoundationModel, variant: str) -> str:
        """What it has read, for tables that compare methods."""
        if not self.trained:
            return embedded(model, self.translator).seen
        parts = []
        if self.untrained:
            parts.append("pretraining cells")
        elif self.features and variant != "shuffled weights":
            parts.append(str(getattr(model, "seen", "pretraining cells")))
        if set(self.columns) & set(SAME_FAMILY) and "gene names" not in ", ".join(parts):
            parts.append("gene names")
        if set(self.columns) & set(MOTIFS):
            parts.append("promoter motifs")
        return ", ".join([*parts, "training labels"])


def readable(record: Method) -> bool:
    """Whether a method is a regression on columns that are known here."""
    return bool(record.columns) and set(record.columns) <= set(ALL_COLUMNS)


def column_score(record: Method, params: Mapping[str, Any], columns: Any, *, variant: str) -> ColumnScore:
    """What the parameters of a method mean in columns, with ``translator`` among them.

    Parameters
    ----------
    record
        The method.
    params
        What the entry says.
    columns
        Columns of a translator that is fitted here; ``None`` for all of the method.
    variant
        What is done to the model.
    """
    given = {**record.parameters(), **params}
    translator = given["translator"]
    if columns is not None and translator != TRAINED:
        raise ParameterError("columns= is for translator='train'; a shipped translator reads those it was made for.")
    if columns is None:
        columns = (WHOLE_RESPONSE,) if translator == "cells" else record.columns
    listed = tuple(checks.words("columns", columns, record.columns))
    score = ColumnScore(str(translator), listed, str(given.get("relatives", "counted")), variant == UNTRAINED)
    if not score.trained and variant in ("shuffled weights", UNTRAINED):
        raise ParameterError(
            f"variant={variant!r} needs translator='train': a shipped translator knows the responses of the weights as "
            "they are."
        )
    return score


def stands_for(params: Mapping[str, Any]) -> bool:
    """Whether columns say the same as the record with these parameters (without ``translator``)."""
    return not set(params) - set(_OF_COLUMNS)


def untrained_response(values: np.ndarray) -> dict[str, np.ndarray]:
    """The column of a decomposition of the corpus (G, S), on the scale of a response; 0 where nothing is known."""
    centred = responses(values[..., None], np.zeros(1))[f"{RESPONSE}0"]
    return {f"{RESPONSE}0": np.where(np.isnan(centred), 0.0, centred)}


class PairColumns:
    """Columns (genes, regulators in use) of all pairs of a data set, each formed once.

    Parameters
    ----------
    sources, targets
        Names in the model (S,) and (G,); human symbols.
    response
        Columns of the response by what is done to the model.
    renamed
        What was said of the pairs of other names.
    """

    def __init__(
        self,
        sources: np.ndarray,
        targets: np.ndarray,
        response: Callable[[str], Mapping[str, np.ndarray]],
        renamed: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._sources, self._targets = sources, targets
        self._response, self._renamed = response, renamed
        self._tables: dict[str, Mapping[str, np.ndarray]] = {}

    def read(self, score: ColumnScore, variant: str) -> dict[str, np.ndarray]:
        """The columns that a score reads."""
        parts = {}
        if WHOLE_RESPONSE in score.columns:
            parts |= self._table(WHOLE_RESPONSE, variant)
        side = self._table("side", _RENAMED if variant == _RENAMED else "")
        neutral = SAME_FAMILY if score.relatives == "neutral" else ()
        for name in score.columns:
            if name != WHOLE_RESPONSE:
                parts[name] = np.zeros_like(side[name]) if name in neutral else side[name]
        return parts

    def _table(self, part: str, variant: str) -> Mapping[str, np.ndarray]:
        key = f"{part}, {variant}"
        if key not in self._tables:
            if variant == _RENAMED:
                plain = self._table(part, "")
                self._tables[key] = {name: self._renamed(values) for name, values in plain.items()}
            elif part == WHOLE_RESPONSE:
                self._tables[key] = self._response(variant)
            else:
                self._tables[key] = side_information(self._sources, self._targets)
        return self._tables[key]


def fitted_on(table: Mapping[str, np.ndarray], labels: np.ndarray, model: FoundationModel) -> PairTranslator:
    """A logistic regression of labels (N,) on columns (N,), fitted like the shipped ones."""
    known = ~np.isnan(np.stack(list(table.values()))).any(axis=0)
    return fitted(
        TRAINED,
        {name: column[known] for name, column in table.items()},
        labels[known],
        weights=np.ones(int(known.sum())),
        penalty=PENALTY,
        background="unknown",
        model=model,
        seen="training labels",
    )
