"""The benchmark: every training set against every test set under every protocol, a trial each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from grn._core import checks, sealed
from grn._core.cluster import check_client
from grn._core.errors import NetworkError, ParameterError
from grn._core.files import file_errors, output_folder
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._core.settings import settings
from grn.bench._board import Boards, BoardSetting
from grn.bench._competitors import chosen
from grn.bench._entries import READINGS, Entry
from grn.bench._evaluation import evaluate, left_out, read_features, unfinished
from grn.bench._evidence import DECOMPOSITION, outside_floors, stand_in_cells
from grn.bench._trial import PROTOCOLS, Contest, Scorer
from grn.bench._trial_store import TrialGroup
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
        Add floors from outside the benchmark where ``grn.settings.data_dir`` holds them: co-expression (of genes, and
        averaged over gene families) and mean expression of the corpus of ``mini``, bulk co-expression (ARCHS4, GTEx),
        motifs in promoters, and CollecTRI; and read real-cell probes at the mean cell of that corpus where a data set
        has no cells.
    path
        Folder with ``beeline/`` and, for what comes from outside, ``expression/``, ``profiles/`` and ``priors/``;
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
        One row per method, train, test, protocol, pairs and metric:

        ``method``, ``kind`` (``method``, ``ablation``, ``floor``; ``oracle`` knows degrees of the test network),
        ``backbone``, ``train``, ``train_dataset``, ``test``, ``unit`` (data sets of one unit are not independent),
        ``network``, ``size``, ``protocol``, ``pairs`` (``"all"``, or ``"different families"``: of two genes that are no
        paralogues of each other, with non-edges drawn anew among such pairs), ``negatives``, ``metric``, ``value``,
        ``low``, ``high``, ``best_floor``, ``floor`` (its value), ``gain``, ``gain_low``, ``gain_high``, ``published``
        (AUPRC of the paper for the same reading of another backbone), ``seen`` (what it has read; a model that was
        given known networks or texts says so in an attribute ``seen``), ``note``;

        counts ``n_pos``, ``n_neg``, ``prevalence``, ``regulators``, ``edges_with_partner`` (share of the edges that
        degree-matching could keep), ``coverage`` (share of the edges among genes the backbone knows), ``seeds``;

        audit ``shared_genes``, ``shared_regulators``, ``shared_pairs``, ``label_agreement``, ``reciprocal``,
        ``evidence``, ``density`` (see :class:`grn.bench.audit.Audit`); ``train_sha256``, ``test_sha256``,
        ``model_sha256``, ``version``.

        Metrics: ``auprc``; ``auprc_ratio`` (over prevalence); ``early_precision_ratio``; ``auroc``;
        ``auprc_regulator`` and ``auprc_target`` (AUPRC within each, averaged); ``auprc_residual`` (what additive node
        effects leave of the score); ``auprc_rewired`` (edges exchanged for others of the same degrees); ``direction``
        (share of one-way edges between regulators that point the right way; directed references only);
        ``auprc_direction`` (AUPRC of these edges against their reverses, chance one half). Intervals are given for
        ``auprc``, ``auprc_regulator`` and ``direction``.

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
    What a data set or the backbone does not allow is in ``attrs["left_out"]`` of the table, too: lists ``test``,
    ``method`` and ``reason``.

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
    >>> table.query("metric == 'auprc' and kind == 'method' and pairs == 'all'")["method"].tolist()
    ['vvp(translator=None)']
    """
    protocols = _checked(protocols, size=size, seeds=seeds, n_boot=n_boot, max_regulators=max_regulators)
    seeds, n_boot = int(seeds), int(n_boot)
    max_regulators = None if max_regulators is None else int(max_regulators)
    competitors, loaded = chosen(methods, model)
    _check_scorers(scorers, [entered.name for entered in competitors])
    n_jobs = checks.jobs(settings.n_jobs if n_jobs is None else n_jobs)
    _check_far(client, cache)
    lasting = None if cache is None else output_folder(cache, name="cache")
    pairings = _pairings(train, test, size, path)
    groups = [TrialGroup(learned, tests, protocol) for learned, tests in pairings for protocol in protocols]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if lasting is None else lasting
        with file_errors(folder, "write"):
            sealed.sweep(folder)
        show = settings.progress if progress is None else progress
        setting = BoardSetting(loaded, folder, max_regulators, show=show)
        contest = Contest(tuple(competitors), dict(scorers or {}), seeds, n_boot, seed_of(rng), {})
        if outside:
            references = [reference for learned, tests in pairings for reference in (learned, *tests)]
            if any(entered.reads_cells for entered in competitors):
                setting = replace(setting, stand_in=stand_in_cells(references, path, show=show))
            contest = replace(contest, extra_floors=outside_floors(folder, path, show=show))
            decomposed = {name: floor for name, floor in contest.extra_floors.items() if name == DECOMPOSITION}
            setting = replace(setting, decomposition=decomposed)
        boards = Boards(setting)
        absent = left_out(groups, boards, contest)
        read_features(unfinished(groups, boards, contest), boards, contest, client)
        tables = list(evaluate(groups, boards, contest, n_jobs=n_jobs, client=client))
    if not tables:
        raise NetworkError("no trial could be evaluated; the warnings above say why for each.")
    results = pd.concat(tables, ignore_index=True)
    results.attrs["left_out"] = absent
    return results


def _checked(protocols: Iterable[str], **numbers: int | None) -> list[str]:
    """The protocols asked for."""
    listed = _listed("protocols", protocols, "['paper', 'strict']")
    if not listed or any(p not in PROTOCOLS for p in listed):
        raise ParameterError(f"protocols={protocols!r}; pass a list of {', '.join(PROTOCOLS)}.")
    for name, value in numbers.items():
        if value is not None or name != "max_regulators":
            checks.integer(name, value, least=1)
    return listed


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
