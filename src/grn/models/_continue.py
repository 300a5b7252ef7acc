"""Continue training of ``mini`` on a user's own cells."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grn._core import checks
from grn._core.device import resolve_device
from grn._core.errors import CapabilityError
from grn._core.files import output_file
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn.models._masked_error import masked_error
from grn.models._model_file import load_mini, save_mini
from grn.models._pretrain import Schedule, fit
from grn.models._registry import load
from grn.models._training_cells import CellSet, cell_sets, hold_out, in_order
from grn.models.mini import Mini, MiniNetwork
from grn.models.steady import undisturbed


@one_voice
@undisturbed
def pretrain(
    adatas: Any,
    *,
    path: str | Path,
    model: str | Path | Mini = "mini",
    steps: int = 1000,
    batch_size: int = 32,
    visible: int = 384,
    queries: int = 384,
    lr: float = 3e-4,
    sparse_context: float = 0.3,
    precision: str = "float32",
    holdout: float = 0.05,
    min_genes: int = 200,
    values: str = "auto",
    rng: RNGLike = 0,
    device: str = "auto",
    progress: bool | None = None,
) -> Mini:
    """Continue the pretraining of a ``mini`` model on your own cells.

    The objective is the mean squared error of masked values: of the genes of a cell, ``visible`` are shown and
    ``queries`` others are predicted, on z-scores of log1p counts per 10 000 within each data set. The state is
    written to ``path + ".state"`` every 200 steps; the same call after an interruption goes on from there and gives
    the weights an uninterrupted run gives.

    Parameters
    ----------
    adatas
        One AnnData, or a list or dict of them, one per data set; ``X`` holds counts or log-normalised values.
        Genes are read from ``var["grn_symbol"]`` (see ``grn.pp.align_genes``), else from ``var_names``.
    path
        File the trained model is written to; load it with ``grn.models.load(path)``.
    model
        Model to continue from: a name, a path or a :class:`Mini`. It is not changed.
    steps
        Optimiser steps.
    batch_size
        Cells per step.
    visible, queries
        Genes shown and predicted per step.
    lr
        Peak learning rate (AdamW, warm-up over 100 steps, cosine decay).
    sparse_context
        Fraction of steps in which most visible values are set to the baseline.
    precision
        ``"float32"`` or ``"bfloat16"`` matrix products.
    holdout
        Fraction of cells held out for the logged error, chosen by the hash of their names.
    min_genes
        Least number of varying genes of the vocabulary a data set must have, at least 2.
    values
        What the values of all data sets are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out for each,
        and warns if in doubt.
    rng
        Seed of the order of batches.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show a progress bar; by default only on a terminal.

    Returns
    -------
    Mini
        The trained model. The vocabulary stays that of the start model.

    Raises
    ------
    ParameterError
        If a number is out of range.
    CapabilityError
        If the start model is not a ``mini`` model.
    ExpressionError, GeneOverlapError
        If a data set cannot be used.
    StorageError
        If nothing can be written at ``path``; told before training.
    WeightsError
        If the state file is unreadable or belongs to another call.

    Notes
    -----
    Cost: about 0.3 s per step on two cores with the defaults.

    Examples
    --------
    >>> import grn, tempfile, pathlib
    >>> adata = grn.datasets.pbmc68k()
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> model = grn.models.pretrain(adata, path=path, steps=2, batch_size=4, visible=64, queries=64)
    >>> model.name
    'mine'
    """
    min_genes = checks.integer("min_genes", min_genes, least=2, note=", one gene to show and another to predict")
    holdout = checks.number("holdout", holdout, least=0, below=1)
    schedule = Schedule(
        steps=checks.integer("steps", steps, least=1),
        batch_size=checks.integer("batch_size", batch_size, least=1),
        visible=checks.integer("visible", visible, least=1),
        queries=checks.integer("queries", queries, least=1),
        lr=checks.number("lr", lr, above=0),
        sparse_context=checks.number("sparse_context", sparse_context, least=0, most=1),
        precision=checks.word("precision", precision, ("float32", "bfloat16")),
        seed=seed_of(rng),
    )
    path = output_file(path)
    start, where = load(model), resolve_device(device)
    if not isinstance(start, Mini):
        raise CapabilityError(f"only models of class Mini can be pretrained here; {start.name!r} is another.")
    sets = in_order(cell_sets(adatas, {g: i for i, g in enumerate(start.genes)}, min_genes=min_genes, values=values))
    pairs = [hold_out(cells, holdout) for cells in sets]
    train, held = [a for a, _ in pairs], [b for _, b in pairs]
    network = copy.deepcopy(start.network)
    state = path.with_suffix(path.suffix + ".state")
    fit(network, train, schedule, device=where, checkpoint=state, origin=_origin(network, train), show=progress)
    network.to("cpu")
    for row in masked_error(network, train, held):
        logger.info("%s: masked R2 %.3f (nearest cells %.3f)", row["dataset"], row["r2_model"], row["r2_neighbors"])
    save_mini(Mini(network, start.genes, name=path.stem, sha256="", max_genes=start.max_genes), path)
    state.unlink(missing_ok=True)
    return load_mini(path)


def _origin(network: MiniNetwork, sets: Sequence[CellSet]) -> str:
    """Hash of the start weights and of the training cells."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    for cells in sets:
        digest.update("\x1f".join([cells.name, *cells.names]).encode())
        digest.update(cells.tokens.tobytes() + cells.X.data.tobytes())
    return digest.hexdigest()
