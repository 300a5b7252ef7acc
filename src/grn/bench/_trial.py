"""One trial: one training set, one test set, one protocol, all methods and floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import ParameterError
from grn.bench import floors
from grn.bench._board import Board
from grn.bench._competitors import MEAN_CELL, Competitor, is_trained
from grn.bench._direction import direction, direction_auprc
from grn.bench._figures import Figures, evaluate, gain_rows
from grn.bench._pair_columns import ColumnScore
from grn.bench._published_figures import published, published_label
from grn.bench._questions import ALL, Question, asked, questions
from grn.bench.audit import Audit, audit
from grn.bench.metrics import auprc
from grn.bench.negatives import Sample, sample
from grn.bench.splits import Split, split
from grn.datasets.reference import Reference
from grn.models.pair_translator import PairTranslator
from grn.models.translator import Translator

Scorer = Callable[[AnnData, pd.DataFrame], np.ndarray]

# parameters that take known edges, and how the column ``seen`` calls these
_NETWORKS = {"base_grn": "a base GRN", "prior": "a prior network"}


@dataclass(frozen=True)
class Protocol:
    """How a trial is evaluated.

    Parameters
    ----------
    name
        ``"paper"`` or ``"strict"``.
    by
        The split.
    negatives
        Negatives of training and of test.
    """

    name: str
    by: str
    negatives: str


PROTOCOLS = {
    "paper": Protocol("paper", "dataset", "uniform"),
    "strict": Protocol("strict", "both_genes", "degree_matched"),
}


@dataclass(frozen=True)
class Contest:
    """What competes in every trial.

    Parameters
    ----------
    competitors
        Methods with their parameters.
    scorers
        Functions of the caller: ``score(adata, pairs) -> array``.
    seeds
        Draws of negatives and translators.
    n_boot
        Bootstrap replicates.
    seed
        First seed.
    extra_floors
        Name -> function of a reference that gives scores (regulators, genes).
    """

    competitors: tuple[Competitor, ...]
    scorers: Mapping[str, Scorer]
    seeds: int
    n_boot: int
    seed: int
    extra_floors: Mapping[str, Callable[[Reference], np.ndarray]]


class Trainer:
    """Translators of one training board under one protocol, fitted on first use."""

    def __init__(self, board: Board, protocol: Protocol) -> None:
        self.board, self.protocol = board, protocol
        self._fitted: dict[tuple[str, str, int], Translator] = {}
        self._regressions: dict[tuple[str, int], PairTranslator] = {}
        self._drawn: dict[int, Sample] = {}

    def scores(self, entered: Competitor, test: Board, seed: int, only: np.ndarray | None = None) -> np.ndarray:
        """Scores (regulators, genes) of a test board by what was learned here; at least of ``only`` these pairs."""
        if isinstance(entered.reading, ColumnScore):
            return test.by_columns(entered.reading, entered.variant, self._regression(entered.reading, entered, seed))
        return test.translated(entered, self.get(entered, seed), only)

    def _regression(self, score: ColumnScore, entered: Competitor, seed: int) -> PairTranslator:
        key = (entered.name, seed)
        if key not in self._regressions:
            self._regressions[key] = self.board.fit_columns(score, entered.variant, self._sample(seed))
        return self._regressions[key]

    def _sample(self, seed: int) -> Sample:
        """The pairs to learn from, the same for all that learns."""
        if seed not in self._drawn:
            given = {"negatives": self.protocol.negatives, "mask": self.board.mask, "rng": seed}
            self._drawn[seed] = sample(self.board.reference, **given)
        return self._drawn[seed]

    def get(self, entered: Competitor, seed: int) -> dict[str, Translator]:
        """The translators of a competitor by feature."""
        translators = {}
        for feature in entered.features:
            key = (entered.variant, feature, seed)
            if key not in self._fitted:
                self._fitted[key] = self.board.fit(feature, entered.variant, self._sample(seed), seed=seed)
            translators[feature] = self._fitted[key]
        return translators


def run_trial(train: Trainer, test: Board, contest: Contest) -> pd.DataFrame:
    """Evaluate all methods and floors of one trial; rows as documented at :func:`grn.bench.run`."""
    protocol, reference = train.protocol, test.reference
    made = split(train.board.reference, test=reference, by=protocol.by)
    mask = made.test_mask & test.mask
    seeds = [contest.seed + i for i in range(contest.seeds)]
    asked_about = list(questions(reference, mask, protocol.negatives, seeds))
    wanted = asked(reference, asked_about)
    grids, kinds, notes = _grids(train, test, contest, made, mask, wanted, seeds)
    for name, score in contest.scorers.items():
        grids[name], kinds[name] = [_of_user(name, score, test, wanted)] * len(seeds), "method"
    seen, shared = _seen(contest.competitors, test), audit(made)
    labels = {entered.name: published_label(entered) for entered in contest.competitors}
    tables = []
    for question in asked_about:
        figures, kinds_here = _figures(question, reference, grids, kinds, seeds, contest)
        facts = _facts(train.board, test, protocol, shared, question, contest)
        rows = pd.DataFrame([{**facts, **row} for row in _rows(figures, kinds_here, notes, seen)])
        tables.append(rows.assign(published=[_published(row, labels) for row in rows.to_dict("records")]))
    return pd.concat(tables, ignore_index=True)


def _figures(
    question: Question,
    reference: Reference,
    grids: Mapping[str, Sequence[np.ndarray]],
    kinds: Mapping[str, str],
    seeds: Sequence[int],
    contest: Contest,
) -> tuple[dict[str, Figures], dict[str, str]]:
    """Figures of every score on one question, and its kind; degrees of the test network are those of the question."""
    drawn = [floors.own_degree(reference, mask=question.mask, rng=seed) for seed in seeds]
    grids = {**grids, **{name: [degrees[name] for degrees in drawn] for name in drawn[0]}}
    scores = [
        {name: _known(part.take(tables[i])) for name, tables in grids.items()}
        for i, part in enumerate(question.samples)
    ]
    figures = evaluate(question.samples, scores, n_boot=contest.n_boot, seed=contest.seed)
    for name, figure in figures.items():
        figure.values["auprc_rewired"] = _mean_auprc(question.nulls, grids[name])
        figure.values["direction"], figure.replicates["direction"] = direction(
            reference, grids[name], question.one_way, n_boot=contest.n_boot, seed=contest.seed
        )
        figure.values["auprc_direction"] = direction_auprc(reference, grids[name], question.one_way)
    return figures, {**kinds, **dict.fromkeys(drawn[0], "oracle")}


def _published(row: Mapping[str, Any], labels: Mapping[str, str]) -> float:
    """What the paper reports, whose pairs are all pairs."""
    if row["pairs"] != ALL:
        return float("nan")
    facts = {name: row[name] for name in ("train", "network", "test", "protocol", "metric")}
    return published(labels.get(row["method"], ""), **facts)


def _grids(
    train: Trainer,
    test: Board,
    contest: Contest,
    made: Split,
    mask: np.ndarray,
    wanted: np.ndarray,
    seeds: Sequence[int],
) -> tuple[dict[str, list[np.ndarray]], dict[str, str], dict[str, str]]:
    """Scores (regulators, genes) per method and seed, the kind of every method, and remarks."""
    grids: dict[str, list[np.ndarray]] = {}
    kinds: dict[str, str] = {}
    notes: dict[str, str] = {}
    for entered in contest.competitors:
        if test.missing(entered) or (entered.trained and train.board.missing(entered)):
            continue
        if entered.trained:
            grids[entered.name] = [train.scores(entered, test, seed, wanted) for seed in seeds]
        else:
            grids[entered.name] = [test.fixed(entered, contest.seed)] * len(seeds)
        kinds[entered.name] = entered.kind
        if entered.reads_cells and test.cells_are != "own":
            where = "at the mean cell" if entered.cells == MEAN_CELL else "in cells"
            notes[entered.name] = f"read {where} of the corpus"
    learned = floors.transfer(made)
    fixed = test.floors(contest.extra_floors)
    for name, table in learned.items():
        grids[name], kinds[name] = [table] * len(seeds), "floor"
    for name, table in fixed.items():
        # a floor that knows few of the pairs would be judged on ties
        if np.isnan(table[mask]).mean() <= 0.5:
            grids[name], kinds[name] = [table] * len(seeds), "floor"
    return grids, kinds, notes


def _known(values: np.ndarray) -> np.ndarray:
    """Pairs a floor knows nothing of rank last, tied."""
    if not np.isnan(values).any():
        return values
    bottom = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return np.where(np.isnan(values), bottom, values)


def _of_user(name: str, score: Scorer, test: Board, asked: np.ndarray) -> np.ndarray:
    """Call a function of the user on all pairs that are asked about, and check what it gives back."""
    reference = test.reference
    rows, columns = np.nonzero(asked)
    pairs = pd.DataFrame({"source": reference.regulators[rows], "target": reference.genes[columns]})
    values = np.asarray(score(test.object, pairs.copy()))
    real = np.issubdtype(values.dtype, np.number) and not np.iscomplexobj(values)
    if values.shape != (len(pairs),) or not real:
        raise ParameterError(
            f"{name!r} gave {values.dtype} of shape {values.shape} for {len(pairs)} pairs; return one number per row "
            "of pairs, in its order."
        )
    if not np.isfinite(values).all():
        raise ParameterError(
            f"{name!r} gave {int((~np.isfinite(values)).sum())} NaN or infinite scores for {len(pairs)} pairs of "
            f"{reference.name}; give pairs it cannot score its lowest value."
        )
    table = np.full(asked.shape, np.nan)
    table[rows, columns] = values
    return table


def _mean_auprc(samples: Sequence[Sample | None], tables: Sequence[np.ndarray]) -> float:
    """AUPRC averaged over the samples there are."""
    areas = [auprc(s.labels, _known(s.take(t))) for s, t in zip(samples, tables, strict=True) if s is not None]
    return float(np.mean(areas)) if areas else float("nan")


def _rows(
    figures: dict[str, Figures], kinds: dict[str, str], notes: Mapping[str, str], seen: Mapping[str, str]
) -> list[dict[str, object]]:
    """Tidy rows with the gain over the best floor and remarks."""
    metrics = list(next(iter(figures.values())).values)
    return [
        {**row, "seen": seen.get(str(row["method"]), "not told"), "note": notes.get(str(row["method"]), "")}
        for row in gain_rows(figures, kinds, metrics)
    ]


def _seen(competitors: Sequence[Competitor], test: Board) -> dict[str, str]:
    """What every floor and reading has read, for who compares methods that know different things."""
    seen = dict(floors.SEEN)
    learned = getattr(test.setting.model, "seen", "pretraining cells")
    for entered in competitors:
        if isinstance(entered.reading, ColumnScore):
            if not test.missing(entered):
                seen[entered.name] = entered.reading.seen(test.setting.model, entered.variant)
            continue
        parts = [] if entered.variant == "shuffled weights" or not entered.record.reads_model else [learned]
        if test.cells_are == "own" and entered.reads_cells:
            parts.append("test cells")
        seen[entered.name] = ", ".join([*parts, *_labels_read(entered)]) or "nothing"
    return seen


def _labels_read(entered: Competitor) -> list[str]:
    """Labels and prior networks behind a competitor."""
    translator = entered.params.get("translator") if entered.reading is None else entered.reading.translator
    named = translator if isinstance(translator, str) else "of its own"
    labels = [] if translator is None else ["training labels" if is_trained(translator) else f"labels ({named})"]
    return [*labels, *(what for name, what in _NETWORKS.items() if entered.params.get(name) is not None)]


def _facts(
    train: Board, test: Board, protocol: Protocol, shared: Audit, question: Question, contest: Contest
) -> dict[str, Any]:
    """Columns that are the same in all rows of one question of a trial."""
    from grn import __version__

    learned, tested, model = train.reference, test.reference, test.setting.model
    samples = question.samples
    counts = {"n_pos": [s.n_pos for s in samples], "n_neg": [s.n_neg for s in samples]}
    return {
        "backbone": model.name if model is not None else "",
        "train": f"{learned.dataset}/{learned.network}",
        "train_dataset": learned.dataset,
        "test": tested.dataset,
        "unit": tested.unit,
        "network": tested.network,
        "size": tested.size,
        "protocol": protocol.name,
        "pairs": question.pairs,
        "negatives": protocol.negatives,
        **{name: float(np.mean(values)) for name, values in counts.items()},
        "prevalence": float(np.mean([s.prevalence for s in samples])),
        "regulators": float(np.mean([len(np.unique(s.sources)) for s in samples])),
        "edges_with_partner": float(np.mean([s.report.get("edges_with_partner", np.nan) for s in samples])),
        "coverage": test.coverage,
        "seeds": contest.seeds,
        **{name: value for name, value in shared.to_dict().items() if name != "match"},
        "train_sha256": learned.sha256,
        "test_sha256": tested.sha256,
        "model_sha256": model.sha256 if model is not None else "",
        "version": __version__,
    }
