"""Real cells as sentences: the tokens that a model reads of each, in batches of about one length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.rng import sample_names

# lengths are rounded up to multiples of this: a sentence is padded by its own length alone, never by its neighbours
_STEP = 32


@dataclass(frozen=True, eq=False)
class Sentence:
    """One cell as a model reads it.

    Parameters
    ----------
    ids
        Token ids (m,), with those of special tokens that the network does not add itself.
    values
        Values of the tokens (m,); ``None`` for a model that reads ranks only.
    depth
        Counts of the cell over all measured genes; ``None`` where they are not known.
    """

    ids: Tensor
    values: Tensor | None = None
    depth: float | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Sentences side by side.

    Parameters
    ----------
    ids, values
        Token ids and values (B, n); values are 0 where there are none.
    lengths
        Tokens of every sentence (B,).
    depth
        Counts per cell (B,), or ``None``.
    """

    ids: Tensor
    values: Tensor
    lengths: Tensor
    depth: Tensor | None

    @property
    def padding(self) -> Tensor | None:
        """Where a sentence is over (B, n); ``None`` if all are of one length."""
        over = torch.arange(self.ids.shape[1], device=self.ids.device) >= self.lengths[:, None]
        return over if bool(over.any()) else None

    def mean(self, x: Tensor, *, before: int = 0, edge: int = 0) -> Tensor:
        """Mean (B, d) of the tokens (B, before + n, d) of genes.

        ``before`` tokens were put in front by the network, ``edge`` at either end of a sentence stand for no gene.
        """
        place = torch.arange(x.shape[1], device=x.device) - before
        genes = (place >= edge) & (place < self.lengths[:, None] - edge)  # (B, before + n)
        return (x * genes.unsqueeze(-1)).sum(1) / genes.sum(1, keepdim=True)


def read_sentences(
    sentences: Sequence[Sentence | None],
    read: Callable[[Batch], Tensor],
    *,
    shape: tuple[int, ...],
    batch_size: int,
    longest: int,
    device: torch.device,
) -> Tensor:
    """What is read of every sentence (cells, *shape) float32, NaN where there is none.

    Parameters
    ----------
    sentences
        The cells, in any order; ``None`` for those that have nothing to read.
    read
        From a batch to its answers (B, *shape).
    shape
        Shape of one answer.
    batch_size
        Sentences per pass.
    longest
        Most tokens of a sentence, beyond which none is padded.
    device
        Device of the model.
    """
    batch_size = checks.integer("batch_size", batch_size, least=1)
    out = torch.full((len(sentences), *shape), float("nan"), device=device)
    for length, rows in _by_length(sentences, longest):
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            batch = _side_by_side([s for s in (sentences[row] for row in part) if s is not None], length, device)
            out[part] = read(batch).float()
    return out


def _by_length(sentences: Sequence[Sentence | None], longest: int) -> Iterator[tuple[int, list[int]]]:
    """Padded lengths, and the rows of the sentences that are padded to each."""
    rows: dict[int, list[int]] = {}
    for row, sentence in enumerate(sentences):
        if sentence is not None:
            n = len(sentence.ids)
            rows.setdefault(max(n, min(longest, -(-n // _STEP) * _STEP)), []).append(row)
    yield from sorted(rows.items())


def _side_by_side(sentences: Sequence[Sentence], length: int, device: torch.device) -> Batch:
    shape = (len(sentences), length)
    ids, values = torch.zeros(shape, dtype=torch.long), torch.zeros(shape)
    for row, sentence in enumerate(sentences):
        n = len(sentence.ids)
        ids[row, :n] = sentence.ids
        if sentence.values is not None:
            values[row, :n] = sentence.values
    lengths = torch.tensor([len(sentence.ids) for sentence in sentences])
    known = [sentence.depth for sentence in sentences if sentence.depth is not None]
    depth = torch.tensor(known, dtype=torch.float32).to(device) if len(known) == len(sentences) else None
    return Batch(ids.to(device), values.to(device), lengths.to(device), depth)


def shown(expressed: np.ndarray, genes: Sequence[str], most: int, *, fill: bool = False) -> list[np.ndarray]:
    """Columns of the genes shown of every cell, sorted.

    Where a cell expresses more than ``most`` genes, those whose names have the smallest hashes are taken: authors who
    draw genes at random get others in every run.

    Parameters
    ----------
    expressed
        Which genes a cell expresses (cells, genes).
    genes
        Their names.
    most
        Most genes shown.
    fill
        Whether genes that are not expressed fill the sentence, in the same order.
    """
    if expressed.shape[1] <= most:
        everything = np.arange(expressed.shape[1])
        return [everything if fill else np.flatnonzero(row) for row in expressed]
    order = np.array(sample_names(list(genes), len(genes), 0))
    cells = []
    for row in expressed[:, order]:
        taken = np.flatnonzero(row)[:most]
        if fill:
            taken = np.concatenate([taken, np.flatnonzero(~row)[: most - len(taken)]])
        cells.append(np.sort(order[taken]))
    return cells


def genes_shown(max_genes: object, default: int | None, limit: int, name: str) -> int:
    """How many genes of a cell are shown: as asked, else as the authors do, never more than the model takes.

    Raises
    ------
    ParameterError
        If ``max_genes`` is no number from 1 to ``limit``.
    """
    if max_genes is None:
        return limit if default is None else min(default, limit)
    more = f": {name!r} reads no more of a cell, unless loaded with params={{'max_genes': ...}} where there is room"
    return checks.integer("max_genes", max_genes, least=1, most=limit, note=more)


def readout_of(readout: object, readouts: Sequence[str], name: str) -> str:
    """Which embedding of a cell is read: the first of a model's list by default.

    Raises
    ------
    ParameterError
        If the model has none of that name.
    """
    if readout is None:
        return readouts[0]
    return checks.word("readout", readout, readouts, note=f", the cell embeddings of {name!r}")
