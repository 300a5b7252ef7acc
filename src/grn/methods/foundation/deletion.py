"""In-silico deletion in real cells: the recipe that models of ranked tokens share.

For every cell in which source i is expressed, its token is deleted and the cell is read again. The effect on gene j is
how far its contextual embedding turns, ``1 - cos(h_j, h_j without i)``; the weight of the pair is the mean over the
cells that express both. Weights are between 0 and 2 and have no sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from grn._core import checks
from grn._core.cluster import each
from grn._core.errors import ExpressionError
from grn._core.logging import hint, progress
from grn.methods.edges import to_network
from grn.methods.genes import PairGenes
from grn.methods.inputs import Inputs
from grn.methods.probes.plan import cells_per_pass
from grn.models import Moments
from grn.models.protocol import PERTURBATIONS
from grn.network import Network

_CELLS_AT_A_TIME = 16


class RankModel(Protocol):
    """What the recipe needs of a model, beside :class:`grn.models.FoundationModel`."""

    vocabulary: dict[str, int]
    max_genes: int

    def tokenize(
        self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Per cell its tokens in the order the model reads them, at most ``max_genes``.

        ``X`` is log1p CP10k (cells, genes). A cell is a pair: columns into ``genes`` (m,), integers on the CPU, by
        falling rank, and the values (m,) that go with them, ``None`` for a model that takes ranks only. Ties go by
        the model's vocabulary, never by the order of ``genes``.
        """

    def contextual(self, tokens: Tensor, values: Tensor | None = None) -> Tensor:
        """Contextual embeddings (B, m, d), float32, of ``tokens`` (B, m) with ``values`` (B, m), in the order given.

        Tokens are entries of ``vocabulary``; special tokens are put around them inside and dropped from the result.
        """


def deletion(inputs: Inputs, *, max_cells: int, mode: str, name: str) -> Network:
    """Infer a network by deleting (or raising) one gene at a time in real cells.

    Parameters
    ----------
    inputs
        Model (with ``tokenize`` and ``contextual``), genes and cells; one network per group of ``groupby``.
    max_cells
        Cells read per group, drawn by the hash of their names.
    mode
        ``"delete"``: the token is taken out, in cells that express the source. ``"overexpress"``: it is put first,
        with the largest value of the cell if the model takes values; in a cell that does not express the source it is
        inserted, and the last token of a full cell is dropped.
    name
        Name of the method, for messages.

    Returns
    -------
    Network
        Unsigned. Pairs that no cell has together are left out and counted in the log.
    """
    checks.word("mode", mode, PERTURBATIONS)
    task, genes = inputs.task, inputs.pairs
    drawn = inputs.drawn(max_cells)
    totals = {group: _Effects(genes, len(inputs.names)) for group in drawn}
    asked = _Asked(mode, {int(r): task.model.vocabulary[genes.ids[r]] for r in genes.sources})
    effects = each(_effects, task.model, asked, _cells(inputs, drawn), client=task.client)
    for cell, batches in progress(effects, total=sum(map(len, drawn.values())), desc=name, show=task.show):
        for sources, rest, effect in batches:
            totals[cell.group].add(sources, rest, effect)
    parts = [(group, {"weight": total.mean()}) for group, total in totals.items()]
    _tell(name, parts, genes, max_cells)
    return to_network(inputs.names, genes.sources, parts, params={"max_cells": max_cells, "mode": mode}, signed=False)


@dataclass(frozen=True)
class _Cell:
    """Tokens of a cell in rank order, the rows of the object behind them, and values if the model takes them.

    ``batch`` is how many changed cells are read at a time.
    """

    group: str
    tokens: Tensor
    rows: np.ndarray
    values: Tensor | None
    batch: int


@dataclass(frozen=True)
class _Asked:
    """How cells are changed, and the token of every source by its row of the object."""

    mode: str
    tokens: dict[int, int]


class _Effects:
    """Sum and number of the effects of every pair, over cells."""

    def __init__(self, genes: PairGenes, n_vars: int) -> None:
        self.source, self.target = (np.full(n_vars, -1) for _ in range(2))
        self.source[genes.sources] = np.arange(len(genes.sources))
        self.target[genes.targets] = np.arange(len(genes.targets))
        self.shape = (n_vars, len(genes.sources))
        self.genes = genes
        self.sums = np.zeros((len(genes.targets), len(genes.sources)))
        self.counts = np.zeros(self.sums.shape, dtype=np.int32)

    def add(self, sources: np.ndarray, rest: np.ndarray, effect: np.ndarray) -> None:
        """Effects (b, r) of ``sources`` (b,) on the genes ``rest`` (b, r); both are rows of the object."""
        target = self.target[rest]
        source = np.broadcast_to(self.source[sources][:, None], target.shape)
        asked = target >= 0
        self.sums[target[asked], source[asked]] += effect[asked]
        self.counts[target[asked], source[asked]] += 1

    def mean(self) -> np.ndarray:
        """Mean effects (n_vars, S), NaN where a pair was never seen."""
        out = np.full(self.shape, np.nan)
        with np.errstate(invalid="ignore"):
            out[self.genes.targets] = self.sums / self.counts
        out[self.genes.sources, np.arange(self.shape[1])] = np.nan
        return out


def _cells(inputs: Inputs, drawn: Mapping[str, np.ndarray]) -> Iterator[_Cell]:
    """The cells drawn of every group (rows of the object), read a few at a time."""
    model, expression, model_names = inputs.task.model, inputs.expression, inputs.pairs.ids
    known = np.flatnonzero(model_names != "")
    ids = [str(gene) for gene in model_names[known]]
    vocabulary = torch.tensor([model.vocabulary[gene] for gene in ids])
    mean, std = (moment[known] for moment in expression.moments())
    for group, rows in drawn.items():
        for start in range(0, len(rows), _CELLS_AT_A_TIME):
            part = rows[start : start + _CELLS_AT_A_TIME]
            X = expression.rows(part)[:, known]  # (cells, known genes)
            for columns, values in model.tokenize(X, ids, reference=Moments(mean, std, expression.totals(part))):
                tokens = vocabulary[columns.cpu()]
                values = None if values is None else values.cpu()
                yield _Cell(group, tokens, known[columns.cpu().numpy()], values, cells_per_pass(inputs.task, tokens))


def _effects(model, asked: _Asked, cell: _Cell) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sources (b,), the genes that stay (b, r) and the effects on them (b, r), batch by batch."""
    with torch.no_grad():
        return list(_probe(model, asked, cell))


def _probe(model, asked: _Asked, cell: _Cell) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    m = len(cell.tokens)
    if m == 0 or (m == 1 and asked.mode == "delete"):
        return
    place = dict(zip(cell.rows.tolist(), range(m), strict=True))
    present = np.array(sorted(place[r] for r in asked.tokens if r in place), dtype=np.int64)
    original = _unit(model.contextual(cell.tokens[None], None if cell.values is None else cell.values[None])[0])
    order = np.arange(m - 1)
    for part in _parts(present, cell.batch):
        rest = order + (order >= part[:, None])
        rows = cell.rows[part]
        front = cell.tokens[part] if asked.mode == "overexpress" else None
        if rest.size:
            yield rows, cell.rows[rest], _turned(model, cell, original, rest, front)
    if asked.mode == "overexpress":
        absent = sorted((token, r) for r, token in asked.tokens.items() if r not in place)
        rest = np.arange(min(m, model.max_genes - 1))
        for pairs in _parts(np.array(absent, dtype=np.int64).reshape(-1, 2), cell.batch):
            stay = np.broadcast_to(rest, (len(pairs), len(rest)))
            effect = _turned(model, cell, original, stay, torch.as_tensor(pairs[:, 0].copy()))
            yield pairs[:, 1], cell.rows[stay], effect


def _parts(items: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _turned(model, cell: _Cell, original: Tensor, rest: np.ndarray, front: Tensor | None) -> np.ndarray:
    """How far every remaining token (b, r) turned, with ``front`` (b,) put before them."""
    stay = torch.as_tensor(np.array(rest))
    tokens = cell.tokens[stay]
    values = None if cell.values is None else cell.values[stay.to(cell.values.device)]
    if front is not None:
        tokens = torch.cat([front[:, None], tokens], dim=1)
        if cell.values is not None and values is not None:
            top = cell.values.max().expand(len(tokens), 1)
            values = torch.cat([top, values], dim=1)
    after = _unit(model.contextual(tokens, values))[:, 0 if front is None else 1 :]  # (b, r, d)
    # half the squared distance of unit vectors is 1 - cos without the loss of digits near 0
    turned = 0.5 * (after - original[stay.to(original.device)]).square().sum(-1)
    return turned.cpu().double().numpy()


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def _tell(name: str, parts: list[tuple[str, dict[str, np.ndarray]]], genes: PairGenes, max_cells: int) -> None:
    loops = len(set(genes.sources.tolist()) & set(genes.targets.tolist()))
    pairs = len(genes.sources) * len(genes.targets) - loops
    for group, columns in parts:
        missing = pairs - int(np.isfinite(columns["weight"]).sum())
        if missing:
            where = f" of group {group}" if group else ""
            message = "%s: %d of %d pairs are in no cell%s together and left out"
            hint(message, name, missing, pairs, where, of=group)
    if not any(np.isfinite(columns["weight"]).any() for _, columns in parts):
        raise ExpressionError(
            f"method {name!r}: no source is expressed together with a target in the cells read (up to {max_cells} of a "
            "group). Pass sources that are expressed, or a larger params={'max_cells': ...}."
        )
