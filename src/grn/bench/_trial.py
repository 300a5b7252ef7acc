"""One trial: one training set, one test set, one protocol, all methods and floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import NetworkError, ParameterError
from grn._core.rng import child
from grn._kernels.rewire import rewire
from grn.bench import floors
from grn.bench._board import Board
from grn.bench._competitors import MEAN_CELL, Competitor, is_trained
from grn.bench._figures import Figures, evaluate, gain_rows
from grn.bench._published_figures import published, published_label
from grn.bench.audit import Audit, audit
from grn.bench.metrics import auprc
from grn.bench.negatives import Sample, sample
from grn.bench.splits import Split, split
from grn.datasets.reference import Reference
from grn.models.translator import Translator

Scorer = Callable[[AnnData, pd.DataFrame], np.ndarray]
Places = tuple[np.ndarray, np.ndarray]


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

    def get(self, entered: Competitor, seed: int) -> dict[str, Translator]:
        """The translators of a competitor by feature."""
        translators = {}
        for feature in entered.features:
            key = (entered.variant, feature, seed)
            if key not in self._fitted:
                drawn = sample(self.board.reference, negatives=self.protocol.negatives, mask=self.board.mask, rng=seed)
                self._fitted[key] = self.board.fit(feature, entered.variant, drawn, seed=seed)
            translators[feature] = self._fitted[key]
        return translators


def run_trial(train: Trainer, test: Board, contest: Contest) -> pd.DataFrame:
    """Evaluate all methods and floors of one trial; rows as documented at :func:`grn.bench.run`."""
    protocol = train.protocol
    made = split(train.board.reference, test=test.reference, by=protocol.by)
    mask = made.test_mask & test.mask
    seeds = [contest.seed + i for i in range(contest.seeds)]
    samples = [sample(test.reference, negatives=protocol.negatives, mask=mask, rng=seed) for seed in seeds]
    grids, kinds, notes = _grids(train, test, contest, made, mask, seeds)
    nulls = [_rewired(test.reference, mask, protocol, seed) for seed in seeds]
    one_way = _one_way(test.reference, mask)
    asked = _asked(test.reference, [*samples, *nulls], one_way)
    for name, score in contest.scorers.items():
        grids[name], kinds[name] = [_of_user(name, score, test, asked)] * len(seeds), "method"
    scores = [
        {name: _known(drawn.take(tables[i])) for name, tables in grids.items()} for i, drawn in enumerate(samples)
    ]
    figures = evaluate(samples, scores, n_boot=contest.n_boot, seed=contest.seed)
    for name, figure in figures.items():
        figure.values["auprc_rewired"] = _mean_auprc(nulls, grids[name])
        figure.values["direction"] = _direction(test.reference, grids[name], one_way)
    rows = _rows(figures, kinds, notes, _seen(contest.competitors, test))
    facts = _facts(train.board, test, protocol, audit(made), samples, contest)
    labels = {entered.name: published_label(entered) for entered in contest.competitors}
    return pd.DataFrame([{**facts, **row} for row in rows]).assign(
        published=lambda t: [
            published(
                labels.get(m, ""),
                train=facts["train"],
                network=facts["network"],
                test=facts["test"],
                protocol=protocol.name,
                metric=k,
            )
            for m, k in zip(t["method"], t["metric"], strict=True)
        ]
    )


def _grids(
    train: Trainer, test: Board, contest: Contest, made: Split, mask: np.ndarray, seeds: Sequence[int]
) -> tuple[dict[str, list[np.ndarray]], dict[str, str], dict[str, str]]:
    """Scores (regulators, genes) per method and seed, the kind of every method, and remarks."""
    grids: dict[str, list[np.ndarray]] = {}
    kinds: dict[str, str] = {}
    notes: dict[str, str] = {}
    for entered in contest.competitors:
        if test.missing(entered) or (entered.trained and train.board.missing(entered)):
            continue
        if entered.trained:
            grids[entered.name] = [test.translated(entered, train.get(entered, seed)) for seed in seeds]
        else:
            grids[entered.name] = [test.fixed(entered, contest.seed)] * len(seeds)
        kinds[entered.name] = entered.kind
        if entered.reads_cells and test.cells_are != "own":
            where = "at the mean cell" if entered.cells == MEAN_CELL else "in cells"
            notes[entered.name] = f"read {where} of the corpus"
    learned = floors.transfer(made)
    degrees = [floors.own_degree(test.reference, mask=mask, rng=seed) for seed in seeds]
    fixed = {**floors.expression(test.reference), **{k: f(test.reference) for k, f in contest.extra_floors.items()}}
    for name, table in learned.items():
        grids[name], kinds[name] = [table] * len(seeds), "floor"
    for name, table in fixed.items():
        # a floor that knows few of the pairs would be judged on ties
        if np.isnan(table[mask]).mean() <= 0.5:
            grids[name], kinds[name] = [table] * len(seeds), "floor"
    for name in degrees[0]:
        grids[name], kinds[name] = [drawn[name] for drawn in degrees], "oracle"
    return grids, kinds, notes


def _known(values: np.ndarray) -> np.ndarray:
    """Pairs a floor knows nothing of rank last, tied."""
    if not np.isnan(values).any():
        return values
    bottom = np.nanmin(values) if np.isfinite(values).any() else 0.0
    return np.where(np.isnan(values), bottom, values)


def _asked(reference: Reference, samples: Sequence[Sample | None], one_way: Places) -> np.ndarray:
    """All pairs that some figure needs: bool (regulators, genes)."""
    asked = np.zeros(reference.labels.shape, dtype=bool)
    for part in samples:
        if part is not None:
            asked[part.sources, part.targets] = True
    inside = np.searchsorted(reference.genes, reference.regulators)
    rows, columns = one_way
    asked[rows, inside[columns]] = asked[columns, inside[rows]] = True
    return asked


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


def _rewired(reference: Reference, mask: np.ndarray, protocol: Protocol, seed: int) -> Sample | None:
    """A sample whose edges were exchanged for others of the same degrees; what is scored on it is not about pairs."""
    rows, columns = np.nonzero(reference.labels & mask)
    new = rewire(rows, columns, mask.shape, child(seed, "rewired"), closed=~mask)
    edges = pd.DataFrame({"source": reference.regulators[rows], "target": reference.genes[new.targets]})
    null = Reference(edges, genes=reference.genes, regulators=reference.regulators, organism=reference.organism)
    try:
        return sample(null, negatives=protocol.negatives, mask=mask, rng=seed)
    except NetworkError:
        return None


def _mean_auprc(samples: Sequence[Sample | None], tables: Sequence[np.ndarray]) -> float:
    """AUPRC averaged over the samples there are."""
    areas = [auprc(s.labels, _known(s.take(t))) for s, t in zip(samples, tables, strict=True) if s is not None]
    return float(np.mean(areas)) if areas else float("nan")


def _one_way(reference: Reference, mask: np.ndarray) -> Places:
    """Edges between two regulators whose reverse could have been an edge and is none; none if direction is moot."""
    inside = np.searchsorted(reference.genes, reference.regulators)
    square = reference.labels[:, inside]
    both = mask[:, inside] & mask[:, inside].T
    rows, columns = np.nonzero(square & ~square.T & both & reference.directed)
    return rows, columns


def _direction(reference: Reference, tables: Sequence[np.ndarray], one_way: Places) -> float:
    """Share of one-way edges whose direction the score prefers; ties count one half."""
    inside = np.searchsorted(reference.genes, reference.regulators)
    rows, columns = one_way
    if not len(rows):
        return float("nan")
    differences = np.stack([t[rows, inside[columns]] - t[columns, inside[rows]] for t in tables])
    if not np.isfinite(differences).any():
        return float("nan")
    return float(np.nanmean(np.where(np.isnan(differences), np.nan, (np.sign(differences) + 1) / 2)))


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
    return [*labels, *(["a base GRN"] if entered.params.get("base_grn") is not None else [])]


def _facts(
    train: Board, test: Board, protocol: Protocol, shared: Audit, samples: Sequence[Sample], contest: Contest
) -> dict[str, Any]:
    """Columns that are the same in all rows of a trial."""
    from grn import __version__

    learned, tested, model = train.reference, test.reference, test.setting.model
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
