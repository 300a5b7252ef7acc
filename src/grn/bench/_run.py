"""The benchmark: every training set against every test set under every protocol, a trial each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from grn._core import checks, sealed
from grn._core.cluster import check_client, each
from grn._core.device import torch_threads
from grn._core.errors import NetworkError, ParameterError
from grn._core.files import file_errors, output_folder
from grn._core.logging import AsHere, logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._core.rng import RNGLike, seed_of
from grn._core.settings import settings
from grn.bench._board import Board, BoardSetting
from grn.bench._competitors import chosen
from grn.bench._entries import READINGS, Entry
from grn.bench._evidence import outside_floors, stand_in_cells
from grn.bench._trial import PROTOCOLS, Contest, Scorer, Trainer, run_trial
from grn.bench._trial_store import TrialGroup, store_trial, stored_trial, trial_path
from grn.bench.floors import NAMES
from grn.datasets import beeline
from grn.datasets.reference import BEELINE, Reference
from grn.models import FoundationModel

Named = Reference | tuple[str, str]


@one_voice
def run(
    *,
    methods: Iterable[str | Entry] | None = None,
    scorers: Mapping[str, Scorer] | None = None,
    model: str | FoundationModel = "mini",
    train: Named | Sequence[Named] = ("hESC", "STRING"),
    test: Sequence[str | Named] | None = None,
    size: int = 500,
    protocols: Sequence[str] = ("paper", "strict"),
    seeds: int = 5,
    n_boot: int = 200,
    max_regulators: int | None = None,
    outside: bool = True,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    client: Any = None,
    n_jobs: int | None = None,
    progress: bool | None = None,
    rng: RNGLike = 0,
) -> pd.DataFrame:
    """Train on one data set, test on others it never saw, with floors, ablations and audit beside every method.

    Parameters
    ----------
    methods
        Names of :func:`grn.tl.methods`, or :class:`grn.bench.Entry` for one with parameters: ``["ridge", "vvp",
        Entry("vvp", {"translator": None})]``. By default the readings of the backbone in the published tables
        (``grn.bench.READINGS``). Probes get a translator that is trained on ``train`` unless they are told otherwise;
        methods of cells read those of the test set, with the regulators in question as sources. What a data set or
        the backbone does not allow (methods of cells without cells) is left out, with a warning. Where no method
        reads the backbone, as with ``[]``, all genes are tested, else those it knows.
    scorers
        Methods of your own: name -> ``score(adata, pairs)``, which returns one finite number per row of ``pairs``
        (columns ``source`` and ``target``), higher for edges. ``adata`` holds the genes, the cells where the data set
        has any, ``var["is_regulator"]`` and ``uns["organism"]``.
    model
        Backbone: a name from ``grn.models.available()``, a path, or a model.
    train
        ``(data set, network)`` or a :class:`Reference`, or several of them; each is trained on by itself.
    test
        Data sets, ``(data set, network)`` pairs or references; by default all BEELINE sets that have the network of
        ``train``. A training set is never tested on itself.
    size
        500 or 1000: BEELINE's TFs + 500 or + 1000 genes.
    protocols
        ``"paper"``: nothing but the data set differs, uniform negatives. ``"strict"``: no gene of train, nor an
        ortholog, is tested, and negatives have the degrees of the edges.
    seeds
        Draws of negatives and translators, averaged.
    n_boot
        Bootstrap replicates over regulators, for the 95 % intervals.
    max_regulators
        Most regulators per data set, drawn by name; all by default.
    outside
        Add floors from outside the benchmark where ``grn.settings.data_dir`` holds them: co-expression and mean
        expression of the backbone's pretraining corpus, and CollecTRI; and read real-cell probes at the mean cell of
        that corpus where a data set has no cells.
    path
        Folder with ``beeline/`` and, for what comes from outside, ``expression/`` and ``priors/``;
        ``grn.settings.data_dir`` by default.
    cache
        Folder for features and finished trials: an interrupted run goes on where it stopped, several may share one, and
        what is damaged is made again, with a warning. Trials are kept by all that they depend on, the content of the
        files behind floors and cells from outside among it. A temporary one by default.
    client
        ``dask.distributed.Client``: its workers read features and run trials, with the same results. Needs
        ``cache``, a folder that all workers see. ``None`` computes here.
    n_jobs
        Processes, without ``client``; -1 for all cores. Trials of one training set and protocol share their
        translators and stay together.
    progress
        Progress bars; by default on a terminal or in a notebook.
    rng
        Seed of negatives, translators and bootstrap.

    Returns
    -------
    DataFrame
        One row per method, train, test, protocol and metric:

        ``method``, ``kind`` (``method``, ``ablation``, ``floor``; ``oracle`` knows degrees of the test network),
        ``backbone``, ``train``, ``train_dataset``, ``test``, ``unit`` (data sets of one unit are not independent),
        ``network``, ``size``, ``protocol``, ``negatives``, ``metric``, ``value``, ``low``, ``high``,
        ``best_floor``, ``floor`` (its value), ``gain``, ``gain_low``, ``gain_high``, ``published`` (AUPRC of the
        paper for the same reading of another backbone), ``seen`` (what it has read; a model that was given known
        networks or texts says so in an attribute ``seen``), ``note``;

        counts ``n_pos``, ``n_neg``, ``prevalence``, ``regulators``, ``edges_with_partner`` (share of the edges that
        degree-matching could keep), ``coverage`` (share of the edges among genes the backbone knows), ``seeds``;

        audit ``shared_genes``, ``shared_regulators``, ``shared_pairs``, ``label_agreement``, ``reciprocal``,
        ``evidence``, ``density`` (see :class:`grn.bench.audit.Audit`); ``train_sha256``, ``test_sha256``,
        ``model_sha256``, ``version``.

        Metrics: ``auprc``; ``auprc_ratio`` (over prevalence); ``early_precision_ratio``; ``auroc``;
        ``auprc_regulator`` and ``auprc_target`` (AUPRC within each, averaged); ``auprc_residual`` (what additive node
        effects leave of the score); ``auprc_rewired`` (edges exchanged for others of the same degrees); ``direction``
        (share of one-way edges between regulators that point the right way; directed references only). Intervals are
        given for ``auprc`` and ``auprc_regulator``.

    Raises
    ------
    DataNotFoundError
        If BEELINE's tables are not found.
    CapabilityError
        If a method can never be scored with this backbone: it reads knock-outs or time, or models of another family.
    ParameterError
        If an argument is unknown or out of range, or a scorer returns something unusable.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.
    NetworkError
        If no test set can be evaluated, as splits leave nothing to train or test on; single ones that cannot are
        left out with a warning.

    Notes
    -----
    Cost: features take seconds per regulator and are read once per data set; a trial then takes about a minute, and
    what its methods of cells take for one fit each.

    Source: arXiv 2605.08128 for the paper's protocol; Pratapa et al. 2020 (BEELINE) for the data.

    Examples
    --------
    >>> import grn
    >>> edges = lambda *rows: pd.DataFrame(rows, columns=["source", "target"])
    >>> import pandas as pd
    >>> genes = ["GATA1", "SPI1", "TAL1", "KLF1", "CD14", "HBB", "CD4", "CSF1R", "LYZ", "MPO"]
    >>> links = [("GATA1", "HBB"), ("GATA1", "KLF1"), ("SPI1", "CD14"), ("SPI1", "LYZ"), ("TAL1", "MPO")]
    >>> one, two = (grn.bench.Reference(edges(*links), genes=genes, dataset=name) for name in "ab")
    >>> raw = grn.bench.Entry("vvp", {"translator": None})
    >>> table = grn.bench.run(methods=[raw], train=one, test=[two], protocols=["paper"], outside=False, seeds=1)
    >>> table.query("metric == 'auprc' and kind == 'method'")["method"].tolist()
    ['vvp(translator=None)']
    """
    _check(protocols, seeds=seeds, n_boot=n_boot, max_regulators=max_regulators)
    seeds, n_boot = int(seeds), int(n_boot)
    max_regulators = None if max_regulators is None else int(max_regulators)
    competitors, loaded = chosen(methods, model)
    _check_scorers(scorers, [entered.name for entered in competitors])
    n_jobs = checks.jobs(settings.n_jobs if n_jobs is None else n_jobs)
    _check_far(client, cache)
    kept = None if cache is None else output_folder(cache, name="cache")
    groups = [
        TrialGroup(one, tests, protocol) for one, tests in _pairings(train, test, size, path) for protocol in protocols
    ]
    references = {r.sha256: r for group in groups for r in (group.train, *group.tests)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if kept is None else kept
        with file_errors(folder, "write"):
            sealed.sweep(folder)
        show = settings.progress if progress is None else progress
        setting = BoardSetting(loaded, folder, max_regulators, show=show)
        contest = Contest(tuple(competitors), dict(scorers or {}), seeds, n_boot, seed_of(rng), {})
        if outside:
            setting = replace(setting, stand_in=stand_in_cells(references.values(), path, show=show))
            contest = replace(contest, extra_floors=outside_floors(folder, path, show=show))
        _report_left_out(groups, setting, contest)
        work = [group for group in groups if any(stored_trial(group, t, setting, contest) is None for t in group.tests)]
        _read_features(work, setting, contest, client)
        tables = list(_evaluate(groups, setting, contest, n_jobs=n_jobs, client=client))
    if not tables:
        raise NetworkError("no trial could be evaluated; the warnings above say why for each.")
    return pd.concat(tables, ignore_index=True)


def _check(protocols: Sequence[str], **numbers: int | None) -> None:
    listed = _listed("protocols", protocols, "['paper', 'strict']")
    if not listed or any(p not in PROTOCOLS for p in listed):
        raise ParameterError(f"protocols={protocols!r}; pass a list of {', '.join(PROTOCOLS)}.")
    for name, value in numbers.items():
        if value is not None or name != "max_regulators":
            checks.integer(name, value, least=1)


def _listed(name: str, value: Any, example: str) -> list[Any]:
    """What is listed; refuses a single thing."""
    if isinstance(value, str | Mapping | Reference) or not isinstance(value, Iterable):
        raise ParameterError(f"{name}={checks.shown(value)}; pass a list such as {example}.")
    return list(value)


def _check_scorers(scorers: Mapping[str, Scorer] | None, entered: Sequence[str]) -> None:
    floors = sorted({*entered} & {*NAMES})
    if floors:
        raise ParameterError(f"{floors[0]!r} is the name of a floor; pass Entry(label=...) with another.")
    if scorers is None:
        return
    if not isinstance(scorers, Mapping) or not all(isinstance(k, str) and callable(f) for k, f in scorers.items()):
        raise ParameterError(f"scorers={scorers!r}; pass a dictionary such as {{'mine': score}} of functions.")
    taken = sorted({*scorers} & {*entered, *READINGS, *NAMES})
    if taken:
        raise ParameterError(f"{taken[0]!r} in scorers is a name that the benchmark uses itself; choose another.")


def _check_far(client: Any, cache: str | Path | None) -> None:
    check_client(client)
    if client is not None and cache is None:
        raise ParameterError(
            "client= was given without cache=; pass a folder that all workers see, such as one on a shared disk: they "
            "leave features there for each other."
        )


def _pairings(
    train: Named | Sequence[Named], test: Sequence[str | Named] | None, size: int, path: str | Path | None
) -> list[tuple[Reference, tuple[Reference, ...]]]:
    """Training references with the references each is tested on."""
    single = isinstance(train, Reference | str) or (isinstance(train, tuple) and all(isinstance(t, str) for t in train))
    given = None if test is None else _listed("test", test, "['hHEP'] or [('hHEP', 'STRING')]")
    pairings = []
    for named in [train] if single else _listed("train", train, "[('hESC', 'STRING'), ('hHEP', 'STRING')]"):
        learned = as_reference(named, size, path)
        wanted: list[str | Named] = given or []
        if given is None:
            others = BEELINE if learned.network != "Lofgof" else ("mESC",)
            wanted = [d for d in others if d != learned.dataset]
        tests = [as_reference((w, learned.network) if isinstance(w, str) else w, size, path) for w in wanted]
        # nothing is tested on what it was trained on, so that one list of test sets serves several training sets
        tests = [r for r in tests if (r.sha256, r.dataset) != (learned.sha256, learned.dataset)]
        if not tests:
            raise ParameterError(f"there is no other data set to test {learned.name} on; pass test=[...].")
        pairings.append((learned, tuple(tests)))
    if not pairings:
        raise ParameterError("train names no data set; pass ('hESC', 'STRING') or a grn.bench.Reference.")
    return pairings


def as_reference(named: Named, size: int, path: str | Path | None) -> Reference:
    """A reference as it is, or the one of BEELINE that a pair names."""
    if isinstance(named, Reference):
        return named
    if not isinstance(named, tuple) or len(named) != 2:
        raise ParameterError(f"{named!r} is no (data set, network) pair and no grn.bench.Reference.")
    return beeline(named[0], network=named[1], size=size, path=path)


def _read_features(groups: Sequence[TrialGroup], setting: BoardSetting, contest: Contest, client: Any) -> None:
    """Read what the trials need into the cache, once per data set and with all threads."""
    if client is None:
        for board, variant, feature in _wanted(groups, setting, contest):
            logger.info("%s: %s of %d regulators", board.reference.name, feature, len(board.regulators))
            board.features(variant).cube(feature, board.regulators)
        return
    # features that are read together stay together
    found: dict[tuple[str, str], tuple[Reference, str, list[str]]] = {}
    for board, variant, feature in _wanted(groups, setting, contest):
        found.setdefault((board.reference.sha256, variant), (board.reference, variant, []))[2].append(feature)
    shared = (_without_model(setting), list(found.values()))
    for _ in progress_bar(
        each(_read_there, setting.model, shared, range(len(found)), client=client, ordered=False),
        total=len(found),
        desc="features",
        show=setting.show,
    ):
        pass


def _read_there(model: Any, shared: tuple[BoardSetting, list[tuple[Reference, str, list[str]]]], number: int) -> None:
    """Read features of one data set on a worker."""
    setting, found = shared
    reference, variant, features = found[number]
    board = Board(reference, replace(setting, model=model))
    for feature in features:
        board.features(variant).cube(feature, board.regulators)


def _without_model(setting: BoardSetting) -> BoardSetting:
    """The setting as it travels, beside the model."""
    return replace(setting, model=None, show=False)


def _report_left_out(groups: Sequence[TrialGroup], setting: BoardSetting, contest: Contest) -> None:
    """Say which methods a data set does not allow, and why."""
    trained = {group.train.sha256 for group in groups}
    tested = {reference.sha256 for group in groups for reference in group.tests}
    for reference in {r.sha256: r for group in groups for r in (group.train, *group.tests)}.values():
        board, reasons = Board(reference, setting), {}
        for entered in contest.competitors:
            asked = reference.sha256 in tested or (entered.trained and reference.sha256 in trained)
            reason = board.missing(entered) if asked else ""
            if reason:
                reasons.setdefault(reason, []).append(entered.name)
        for reason, names in reasons.items():
            logger.warning("%s: left out are %s, as %s", reference.name, ", ".join(names), reason)


def _wanted(groups: Sequence[TrialGroup], setting: BoardSetting, contest: Contest) -> Iterator[tuple[Board, str, str]]:
    """Boards, the weights and the features to read of them; none twice."""
    seen: set[tuple[str, ...]] = set()
    tested = {reference.sha256 for group in groups for reference in group.tests}
    for reference in {r.sha256: r for group in groups for r in (group.train, *group.tests)}.values():
        board = Board(reference, setting)
        for entered in contest.competitors:
            # without a translator to train, nothing is learned
            if board.missing(entered) or not (entered.trained or reference.sha256 in tested):
                continue
            for feature in entered.features:
                variant = entered.variant if entered.variant == "shuffled weights" else ""
                key = (reference.dataset, feature, variant, *board.regulators)
                if feature == "embedding" or key in seen:
                    continue
                seen.add(key)
                yield board, variant, feature


def _evaluate(
    groups: Sequence[TrialGroup], setting: BoardSetting, contest: Contest, *, n_jobs: int | None, client: Any
) -> Iterator[pd.DataFrame]:
    total = sum(len(group.tests) for group in groups)
    found: Iterable[list[pd.DataFrame | str]]
    if client is not None:
        shared = (_without_model(setting), contest, list(groups))
        results = each(_group_there, setting.model, shared, range(len(groups)), client=client)
        found = (tables for _, tables in results)
    elif n_jobs in (None, 1):
        found = (_group(group, setting, contest) for group in groups)
    else:
        quiet = replace(setting, show=False)
        parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
        found = parallel(joblib.delayed(AsHere(_group))(group, quiet, contest) for group in groups)
    bar = progress_bar(range(total), desc="trials", show=setting.show)
    for tables in found:
        for table in tables:
            next(bar, None)
            if isinstance(table, str):
                logger.warning("%s", table)
            else:
                yield table


def _group_there(
    model: Any, shared: tuple[BoardSetting, Contest, list[TrialGroup]], number: int
) -> list[pd.DataFrame | str]:
    """:func:`_group` on a worker."""
    setting, contest, groups = shared
    return _group(groups[number], replace(setting, model=model), contest)


def _group(group: TrialGroup, setting: BoardSetting, contest: Contest) -> list[pd.DataFrame | str]:
    """All trials of a group, finished ones from the cache; instead of one that cannot be evaluated, why."""
    trainer: Trainer | None = None
    tables: list[pd.DataFrame | str] = []
    with torch_threads(1):
        for reference in group.tests:
            stored = stored_trial(group, reference, setting, contest)
            if stored is None:
                if trainer is None:
                    trainer = Trainer(Board(group.train, setting), PROTOCOLS[group.protocol])
                try:
                    stored = run_trial(trainer, Board(reference, setting), contest)
                except NetworkError as error:
                    tables.append(f"{group.train.name} -> {reference.name}, {group.protocol}: {error}")
                    continue
                store_trial(stored, trial_path(group, reference, setting, contest))
            tables.append(stored)
    return tables
