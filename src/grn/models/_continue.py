"""Add a user's own cells to a memory of states."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError
from grn._core.files import output_file
from grn._core.logging import logger, one_voice
from grn._core.logging import progress as bar
from grn._core.rng import sample_names
from grn.models._masked_error import masked_error
from grn.models._memory_file import load_memory, save_memory
from grn.models._memory_fit import CELLS, spread, states_of
from grn.models._registry import load
from grn.models._training_cells import CellSet, cell_sets, hold_out, in_order
from grn.models.memory import Memory, MemoryNetwork
from grn.models.steady import undisturbed

OWN = "own cells"


@one_voice
@undisturbed
def pretrain(
    adatas: Any,
    *,
    path: str | Path,
    model: str | Path | Memory = "mini",
    weight: float = 1.0,
    max_cells: int = 3000,
    holdout: float = 0.05,
    min_genes: int = 200,
    values: str = "auto",
    progress: bool | None = None,
) -> Memory:
    """Add your own cells to the states that ``mini`` remembers.

    Every data set is summarised as the shipped ones are: the cells are clustered, at most 24 clusters, on the ten
    leading principal components of their z-scores of log1p counts per 10 000. The mean of a cluster is a state; it is
    written on the gene factors of the model by ridge regression, with components and genes on the scale of the median
    data set of the model. Nothing else changes: not the gene factors, the vocabulary, or the states that were there.

    Parameters
    ----------
    adatas
        One AnnData, or a list or dict of them, one per data set; ``X`` holds counts or log-normalised values.
        Genes are read from ``var["grn_symbol"]`` (see ``grn.pp.align_genes``), else from ``var_names``.
    path
        File the new model is written to; load it with ``grn.models.load(path)``.
    model
        Model to start from: a name, a path or a :class:`Memory`. It is not changed.
    weight
        How much each of your data sets counts beside a data set of cells in the model, which counts 1.
    max_cells
        Most cells of a data set that are looked at, drawn by the hash of their names.
    holdout
        Fraction of cells held out for the logged error, chosen by the hash of their names.
    min_genes
        Least number of varying genes of the vocabulary a data set must have, at least 2.
    values
        What the values of all data sets are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out for each,
        and warns if in doubt.
    progress
        Show a progress bar; by default only on a terminal.

    Returns
    -------
    Memory
        The model with the states of your cells.

    Raises
    ------
    ParameterError
        If a number is out of range, or the model has a data set of that name already.
    CapabilityError
        If the start model is no memory.
    ExpressionError, GeneOverlapError
        If a data set cannot be used.
    StorageError
        If nothing can be written at ``path``; told before anything is computed.

    Notes
    -----
    Data sets without a name are called ``set0``, ``set1``, ...; pass a dict to name them. What share of the masked
    values of held-out cells the model explains before and after is logged at the level of information
    (``grn.settings.verbosity``). Weights are relative to the spread of the co-variation between genes of a data set,
    so that a data set of strong contrasts says no more than another. Nothing is drawn but the starts of clusters, by
    name. Cost: the squares of the cells times genes, about 10 s for 3000 cells on two cores.

    Examples
    --------
    >>> import grn, tempfile, pathlib
    >>> adata = grn.datasets.pbmc68k()
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> model = grn.models.pretrain({"blood": adata}, path=path)
    >>> model.sets[-1]
    'blood'
    """
    weight = checks.number("weight", weight, above=0)
    max_cells = checks.integer("max_cells", max_cells, least=2)
    min_genes = checks.integer("min_genes", min_genes, least=2, note=", one gene to show and another to predict")
    holdout = checks.number("holdout", holdout, least=0, below=1)
    path = output_file(path)
    start = load(model)
    if not isinstance(start, Memory):
        raise CapabilityError(f"only a memory such as 'mini' takes more cells; {start.name!r} is another model.")
    sets = in_order(cell_sets(adatas, {g: i for i, g in enumerate(start.genes)}, min_genes=min_genes, values=values))
    _check_names([cells.name for cells in sets], start.sets)
    pairs = [hold_out(_drawn(cells, max_cells), holdout) for cells in sets]
    train, held = [a for a, _ in pairs], [b for _, b in pairs]
    original = copy.deepcopy(start.network).cpu()
    network = with_sets(original, train, weight)
    before, after = (masked_error(each, train, held) for each in (original, network))
    for old, new in zip(before, after, strict=True):
        figures = old["r2_model"], new["r2_model"], new["r2_neighbors"]
        logger.info("%s: masked R2 %.3f before, %.3f now (nearest cells %.3f)", new["dataset"], *figures)
    made = Memory(
        network,
        start.genes,
        sets=[*start.sets, *(cells.name for cells in sets)],
        name=path.stem,
        sha256="",
        max_genes=start.max_genes,
        seen=start.seen if OWN in start.seen else f"{start.seen}, {OWN}",
    )
    return load_memory(save_memory(made, path))


def with_sets(network: MemoryNetwork, sets: Sequence[CellSet], weight: float) -> MemoryNetwork:
    """A network with the states of more data sets, each of a weight relative to the median one."""
    scale, variance = weight * _typical_weight(network), _typical_variance(network)
    states, shares, weights = [], [], []
    for cells in bar(sets, desc="states"):
        summary = states_of(cells, components=CELLS["components"], states=CELLS["states"], weight=1.0)
        share = torch.as_tensor(summary.share, dtype=network.share.dtype)
        factors = network.scores(torch.as_tensor(summary.tokens), torch.as_tensor(summary.values))  # (c, d)
        # in a memory all components of the states count alike; what tells them apart is in the gene factors
        factors = factors / network.embedding.norm(dim=0)
        factors = factors * np.sqrt(variance / _variance(network, factors, share))
        states.append(factors)
        shares.append(share)
        weights.append(scale / _spread(network, factors, share))
    c, n = network.config, [len(share) for share in shares]
    more = MemoryNetwork(replace(c, n_states=c.n_states + sum(n), n_sets=c.n_sets + len(sets)))
    with torch.no_grad():
        more.embedding.copy_(network.embedding)
        more.states.copy_(torch.cat([network.states, *states]))
        more.share.copy_(torch.cat([network.share, *shares]))
        more.weight.copy_(torch.cat([network.weight, network.weight.new_tensor(weights)]))
        own = torch.repeat_interleave(torch.arange(len(sets)), torch.tensor(n)) + c.n_sets
        more.set_of.copy_(torch.cat([network.set_of, own]))
    return more.eval().requires_grad_(requires_grad=False)


def _parts(network: MemoryNetwork) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """State factors and shares of every data set."""
    of = [network.set_of == i for i in range(network.config.n_sets)]
    return [(network.states[rows], network.share[rows]) for rows in of]


def _typical_weight(network: MemoryNetwork) -> float:
    """Weight of a data set whose co-variation has spread 1: the median over those of the network."""
    spreads = [_spread(network, *part) for part in _parts(network)]
    return float(np.median(network.weight.numpy() * np.array(spreads)))


def _typical_variance(network: MemoryNetwork) -> float:
    """Variance of the genes over the states of a data set: the median over those of the network."""
    return float(np.median([_variance(network, *part) for part in _parts(network)]))


def _variance(network: MemoryNetwork, states: torch.Tensor, share: torch.Tensor) -> float:
    """Mean square of the genes over states."""
    second = (states * (share / share.sum())[:, None]).T @ states  # (d, d)
    gram = network.embedding.T @ network.embedding
    return float((second * gram).sum() / network.config.n_genes)


def _spread(network: MemoryNetwork, states: torch.Tensor, share: torch.Tensor) -> float:
    return spread((states @ network.embedding.T).numpy(), (share / share.sum()).numpy())


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    taken = sorted(set(names) & set(known))
    if taken:
        raise ParameterError(
            f"the model has a data set {taken[0]!r} already; pass a dict, such as {{'mine': adata}}, to name yours."
        )


def _drawn(cells: CellSet, most: int) -> CellSet:
    """At most so many cells, the same whatever their order."""
    if len(cells.names) <= most:
        return cells
    logger.info("%s: %d of %d cells are looked at; see max_cells=", cells.name, most, len(cells.names))
    rows = np.sort(sample_names(cells.names.tolist(), most, 0))
    return replace(cells, X=cells.X[rows], names=cells.names[rows])
