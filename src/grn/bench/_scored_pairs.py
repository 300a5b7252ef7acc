"""The scored pairs behind a figure."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from grn._core import checks
from grn._core.errors import CapabilityError
from grn._core.files import output_folder
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn.bench._board import Board, BoardSetting
from grn.bench._competitors import chosen
from grn.bench._entries import Entry
from grn.bench._gene_families import same_family
from grn.bench._run import Named, as_reference
from grn.bench._trial import PROTOCOLS, Trainer
from grn.bench.negatives import sample
from grn.bench.splits import split
from grn.models import FoundationModel


@one_voice
def scored_pairs(
    *,
    method: str | Entry = "ugrn",
    model: str | FoundationModel = "mini",
    train: Named = ("hESC", "STRING"),
    test: Named = ("mESC", "STRING"),
    protocol: str = "paper",
    size: int = 500,
    max_regulators: int | None = None,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    rng: RNGLike = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Edges and non-edges of one test set with the score a method gives them, to look at or to draw.

    Parameters
    ----------
    method
        A name of :func:`grn.tl.methods` or an :class:`Entry`, as in :func:`grn.bench.run`.
    model
        Backbone: a name from ``grn.models.available()``, a path, or a model.
    train, test
        ``(data set, network)`` or a :class:`Reference`.
    protocol
        ``"paper"`` or ``"strict"``, see :func:`grn.bench.run`.
    size
        500 or 1000.
    max_regulators
        Most regulators per data set, drawn by name; all by default.
    path
        Folder with ``beeline/``; ``grn.settings.data_dir`` by default.
    cache
        Folder for features, as in :func:`grn.bench.run`.
    rng
        Seed of negatives and translator.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.

    Returns
    -------
    DataFrame
        ``source``, ``target``, ``label`` (1 edge, 0 non-edge), ``score``, ``same_family`` (whether the two are of one
        gene family); ``probability`` for a method that gives one, whose score may be its logit.
        :func:`grn.pl.degree_bias` and :func:`grn.pl.reliability` draw it.

    Raises
    ------
    CapabilityError
        If the model or the data do not allow the method.
    DataNotFoundError
        If BEELINE's tables are not found.
    ParameterError
        If an argument is unknown.
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Examples
    --------
    >>> import pandas as pd
    >>> import grn
    >>> genes = ["GATA1", "SPI1", "TAL1", "KLF1", "CD14", "HBB", "CD4", "CSF1R", "LYZ", "MPO"]
    >>> edges = pd.DataFrame({"source": ["GATA1", "SPI1"], "target": ["HBB", "CD14"]})
    >>> one, two = (grn.bench.Reference(edges, genes=genes, dataset=name) for name in "ab")
    >>> raw = grn.bench.Entry("vvp", {"translator": None})
    >>> grn.bench.scored_pairs(method=raw, train=one, test=two).columns.tolist()
    ['source', 'target', 'label', 'score', 'same_family']
    """
    lasting = None if cache is None else output_folder(cache, name="cache")
    checks.word("protocol", protocol, PROTOCOLS)
    seed = seed_of(rng)
    (entered,), loaded = chosen([method], model)
    learned, tested = (as_reference(named, size, path) for named in (train, test))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if lasting is None else lasting
        setting = BoardSetting(loaded, folder, max_regulators, show=progress)
        board, trainer = Board(tested, setting), Trainer(Board(learned, setting), PROTOCOLS[protocol])
        reason = board.missing(entered) or (trainer.board.missing(entered) if entered.trained else "")
        if reason:
            raise CapabilityError(f"{entered.name!r} cannot be read here: {reason}; choose another method.")
        trained = entered.trained
        grid = trainer.scores(entered, board, seed) if trained else board.fixed(entered, seed)
        made = split(learned, test=tested, by=PROTOCOLS[protocol].by)
        drawn = sample(tested, negatives=PROTOCOLS[protocol].negatives, mask=made.test_mask & board.mask, rng=seed)
        pairs = drawn.pairs.assign(score=drawn.take(grid), same_family=drawn.take(same_family(tested)))
        probability = entered.probability(pairs["score"].to_numpy())
        return pairs if probability is None else pairs.assign(probability=probability)
