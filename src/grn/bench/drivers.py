"""Does a method put the regulator first that is known to drive a contrast? Ranks in real data, with floors.

A question (:class:`Question`) names a file of cells, a contrast and its drivers. Every method answers it as a user
would ask: genes are aligned, regulators marked, a network is inferred, and :func:`grn.tl.rank_drivers` ranks.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from grn._core import sealed
from grn._core.errors import CapabilityError, DataNotFoundError, GrnError, ParameterError
from grn._core.files import output_folder
from grn._core.logging import logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._kernels.ties import merged
from grn.bench._driver_answers import Case, Competitor, competitors
from grn.bench._driver_cells import CELLS, cell_file, cells_of, sample_key
from grn.bench._driver_questions import QUESTIONS, Question
from grn.bench._driver_report import figure_table, markdown, verdict
from grn.datasets.local_files import sha256_of

__all__ = ["Question", "figure_table", "markdown", "questions", "run", "verdict"]

COLUMNS = (
    *("question", "study", "chosen", "group", "driver", "measured", "method", "kind", "rank", "n_regulators"),
    *("percentile", "first", "note"),
)
_VERSION = "1"


def questions() -> dict[str, Question]:
    """Give the questions that the package has, by name.

    Returns
    -------
    dict
        Name to :class:`Question`; change it as you like.

    Examples
    --------
    >>> from grn.bench import drivers
    >>> drivers.questions()["dexamethasone, 3 h"].drivers
    ('NR3C1',)
    """
    return dict(QUESTIONS)


@one_voice
def run(
    *,
    questions: Sequence[str | Question] | None = None,
    methods: Sequence[str] | None = None,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Rank the known drivers of contrasts by every method that can.

    Parameters
    ----------
    questions
        Names of :func:`questions`, or questions of your own; all of the package by default.
    methods
        Names of :func:`grn.tl.methods` and of published networks (``"CollecTRI"``, ``"DoRothEA"``, ``"TRRUST"``); all
        by default. Floors are always there.
    path
        Folder with ``expression/``, ``multiome/``, ``perturbation/`` and ``priors/``; ``grn.settings.data_dir`` by
        default.
    cache
        Folder of finished answers, from which a stopped run goes on.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        A row per question, group, driver and method: ``question``, ``study``, ``chosen`` (whether choices were made on
        it), ``group`` (type of cell; ``""`` for all), ``driver``, ``measured`` (whether its gene is among those of the
        file), ``method``, ``kind`` (``"method"`` or ``"floor"``), ``rank`` (the mean of tied ones; NaN without a
        score), ``n_regulators`` (number ranked), ``percentile`` (share of the other regulators that come after it,
        0 to 100; NaN without a rank), ``first`` (the regulator on top) and ``note`` (why there is no rank). The floor
        ``random`` has the expected rank among the regulators of ``CollecTRI + ULM``.

    Raises
    ------
    ParameterError
        A question or a method is unknown.
    DataNotFoundError
        No file of any question is on disk.
    StorageError
        The folder of ``cache`` cannot be written.

    Notes
    -----
    At most 300 cells of a label (and group) are read, drawn by their names. A network is made once of all cells of a
    file, and asked every question about them. Methods have all regulators seen in 10 cells and the 2000 targets that
    vary most; trees, scRank, embeddings and methods of your own the 100 regulators seen in most cells and 400 targets.
    Neither looks at a contrast. Cost: minutes per file, half of them for trees; the memory of one file, its cells and
    one network per method.

    Examples
    --------
    >>> from grn.bench import drivers
    >>> table = drivers.run(questions=["dexamethasone, 3 h"], methods=["CollecTRI"])  # doctest: +SKIP
    >>> table["method"].unique().tolist()  # doctest: +SKIP
    ['own change', 'CollecTRI + ULM', 'DoRothEA + ULM', 'CollecTRI', 'random']
    """
    chosen = _questions(questions)
    entered = _competitors(methods)
    folder = None if cache is None else output_folder(cache, name="cache") / "drivers"
    parts, absent = [], None
    samples: dict[tuple[str | None, ...], _Sample] = {}
    for number, question in enumerate(progress_bar(chosen, desc="questions"), start=1):
        key = sample_key(question)
        try:
            file = cell_file(question, path)
        except DataNotFoundError as error:
            logger.warning("%s is left out: %s", question.name, error)
            absent = error
            continue
        sample = samples.setdefault(key, _Sample(file, path))
        parts.append(_answered(question, sample, entered, folder))
        if key not in map(sample_key, chosen[number:]):
            del samples[key]  # cells and the networks of all methods
    if not parts and absent is not None:
        raise absent
    return pd.concat(parts, ignore_index=True)


def _questions(asked: Sequence[str | Question] | None) -> list[Question]:
    if asked is None:
        return list(QUESTIONS.values())
    if isinstance(asked, str | Question) or not isinstance(asked, Iterable):
        raise ParameterError(f"questions={asked!r}; pass a list of names or of grn.bench.drivers.Question.")
    unknown = [q for q in asked if not isinstance(q, Question) and q not in QUESTIONS]
    if unknown or not list(asked):
        raise ParameterError(
            f"questions={unknown or asked!r}: choose from {', '.join(QUESTIONS)}, or pass grn.bench.drivers.Question."
        )
    return [q if isinstance(q, Question) else QUESTIONS[q] for q in asked]


def _competitors(methods: Sequence[str] | None) -> list[Competitor]:
    everyone = competitors()
    if methods is None:
        return everyone
    names = [c.name for c in everyone if c.kind == "method"]
    asked = [methods] if isinstance(methods, str) else list(methods)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ParameterError(f"methods={unknown!r} are unknown; choose from {', '.join(names)}.")
    return [c for c in everyone if c.kind == "floor" or c.name in asked]


class _Sample:
    """Cells that questions share, read when the first needs them, and the networks that were made of them."""

    def __init__(self, file: Path, path: str | Path | None) -> None:
        self.file, self.path = file, path
        self._first: Case | None = None

    @cached_property
    def digest(self) -> str:
        """What the file holds."""
        return sha256_of(self.file)

    def case(self, question: Question) -> Case:
        """A question with the shared cells."""
        if self._first is None:
            self._first = Case(question, cells_of(question, self.file), self.path)
        return Case(question, self._first.cells, self.path, self._first.networks)


def _answered(question: Question, sample: _Sample, entered: list[Competitor], folder: Path | None) -> pd.DataFrame:
    """Rows of a question; what was answered before is not asked again, nor are the cells read for it."""
    case: Case | None = None
    parts = []
    for competitor in entered:
        place = None if folder is None else folder / f"{_key(question, competitor, sample.digest)}.sealed"
        rows = None if place is None else sealed.kept(place, lambda content: pd.read_parquet(io.BytesIO(content)))
        if rows is None:
            case = sample.case(question) if case is None else case
            logger.info("%s: %s", question.name, competitor.name)
            rows, lasting = _rows(case, competitor)
            if place is not None and lasting:
                content = io.BytesIO()
                rows.to_parquet(content, index=False)
                sealed.keep(place, content.getvalue())
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True)
    return pd.concat([table, _random(table)], ignore_index=True)


def _key(question: Question, competitor: Competitor, digest: str) -> str:
    """What an answer depends on."""
    from grn import __version__

    params = {name: str(value) for name, value in competitor.params.items()}
    facts = [_VERSION, __version__, digest, CELLS, asdict(question), competitor.name, params]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:20]


def _rows(case: Case, competitor: Competitor) -> tuple[pd.DataFrame, bool]:
    """Ranks of the drivers by one competitor, or why there are none, and whether that will be so another time."""
    try:
        scores, failed, lasting = competitor.scores(case), "", True
    except GrnError as error:
        scores, failed = pd.DataFrame({"group": [], "regulator": [], "score": []}), str(error)
        lasting = isinstance(error, CapabilityError)
    question, genes = case.question, set(case.cells.var_names)
    groups = list(case.statistics.index)
    rows = []
    for group in groups:
        part = scores[scores["group"].astype(str) == str(group)]
        rank = pd.Series(merged(part["score"].to_numpy(dtype=float)), index=part["regulator"].astype(str))
        rank = rank.rank(ascending=False, method="average")
        for driver in question.drivers:
            place = float(rank.get(driver, np.nan))
            if np.isnan(place) and question.organism == "mouse":  # the name of a human network that met no mouse gene
                place = float(rank.get(driver.upper(), np.nan))
            n = len(rank)
            row = {"group": group, "driver": driver, "measured": driver in genes, "rank": place, "n_regulators": n}
            row["percentile"] = 100 * (n - place) / (n - 1) if n > 1 else np.nan
            row["first"] = str(rank.idxmin()) if n else ""
            row["note"] = failed or ("" if np.isfinite(place) else _missing(measured=driver in genes))
            rows.append(row)
    table = pd.DataFrame(rows).assign(question=question.name, study=question.study, chosen=question.chosen)
    return table.assign(method=competitor.name, kind=competitor.kind).reindex(columns=list(COLUMNS)), lasting


def _missing(*, measured: bool) -> str:
    if not measured:
        return "not among the genes of the file"
    return "no network edges, too few targets, or seen in too few cells"


def _random(table: pd.DataFrame) -> pd.DataFrame:
    """The expected rank of a regulator that is drawn at random."""
    rows = table[table["method"] == "CollecTRI + ULM"].copy()
    rows = rows.assign(method="random", kind="floor", rank=(rows["n_regulators"] + 1) / 2, percentile=50.0)
    return rows.assign(first="", note="")
