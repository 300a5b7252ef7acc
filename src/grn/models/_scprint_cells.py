"""What scPRINT says of real cells: embeddings, labels by name, and counts without noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.errors import ParameterError
from grn.models._perturbed_sentences import SentenceLayout
from grn.models._published_model import Published, counts_of
from grn.models._scprint_network import Layout, ScPRINTNetwork
from grn.models._sentences import Batch, Sentence, shown
from grn.models.protocol import Moments

PREFIXES = {"human": "ENSG", "mouse": "ENSMUSG"}


@dataclass(frozen=True)
class CountReading:
    """How virtual cells are shown to scPRINT.

    Parameters
    ----------
    depth
        Total counts of the cell, for the depth token.
    depth_mult
        Total that the means are scaled to; 1 gives shares.
    through_normalization
        Whether a change of one gene changes the shares of all others, as in a cell that is normalised.
    organism
        ``"human"`` or ``"mouse"``: whose genes can be asked for.
    """

    depth: float = 10_000.0
    depth_mult: float = 1.0
    through_normalization: bool = True
    organism: str = "human"

    def __post_init__(self) -> None:
        for name in ("depth", "depth_mult"):
            object.__setattr__(self, name, checks.number(name, getattr(self, name), above=0))
        checks.flag("through_normalization", self.through_normalization)
        checks.word("organism", self.organism, PREFIXES)


def labels_of(layout: Layout, hyper: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the labels of every class that has a classifier and a name for each of its labels.

    A decoder also names the groups of labels of a hierarchy; only the labels themselves are predicted.
    """
    decoders = hyper.get("label_decoders")
    decoders = decoders if isinstance(decoders, Mapping) else {}
    labels = {}
    for kind, head in layout.heads.items():
        decoder = decoders.get(kind)
        names = {str(i): label for i, label in decoder.items()} if isinstance(decoder, Mapping) else {}
        listed = [names.get(str(i)) for i in range(head.labels)]
        if all(isinstance(label, str) for label in listed) and len(set(listed)) == len(listed):
            labels[kind] = tuple(map(str, listed))
    return labels


class CellReader(Published):
    """The part of :class:`grn.models.ScPRINT` that reads real cells."""

    cell_genes = 2000
    reads_counts = True
    sentence_layout = SentenceLayout(shows_silent=True)
    network: ScPRINTNetwork
    reading: CountReading
    labels: dict[str, tuple[str, ...]]

    def _read_classes(self, layout: Layout, hyper: Mapping[str, Any]) -> None:
        """Set what can be read: an embedding per class, and the labels that have names."""
        self.labels = labels_of(layout, hyper)
        self.cell_readouts = ("mean", *(["classes"] if layout.classes else []), *layout.classes)
        self.capabilities = (
            Published.capabilities | {"unknown", "cells", "denoise"} | ({"labels"} if self.labels else set())
        )

    def classify_cells(
        self,
        X: np.ndarray,
        genes: Sequence[str],
        *,
        reference: Moments | None = None,
        max_genes: int | None = None,
        batch_size: int = 8,
    ) -> dict[str, Tensor]:
        """Probabilities (cells, labels) of the labels of every class in ``labels``; NaN where no gene is expressed."""
        if not self.labels:
            raise self.lacks("labels with names")
        most = self._most(max_genes)
        sentences = self._sentences(X, genes, reference, most)
        shape = (self.network.n_cell, self.sizes["width"])
        cells = self._read_cells(sentences, self._tokens_of_cells, shape=shape, batch_size=batch_size)
        with torch.no_grad():
            scores = self.network.scores(cells)
        return {name: torch.softmax(scores[name], dim=-1) for name in self.labels}

    def denoise_cells(
        self,
        X: np.ndarray,
        genes: Sequence[str],
        *,
        reference: Moments | None = None,
        depth_factor: float = 4.0,
        batch_size: int = 8,
    ) -> Tensor:
        """Expected counts (cells, genes) of cells ``depth_factor`` times as deep, all ``genes`` shown together.

        They sum to ``depth_factor`` times the counts of these genes in the cell; NaN where none is expressed.
        """
        depth_factor = checks.number("depth_factor", depth_factor, above=0)
        if len(genes) > self.max_genes:
            raise ParameterError(
                f"{len(genes)} genes are to be denoised together; {self.name!r} takes {self.max_genes}. Pass fewer, or "
                "load it with params={'max_genes': ...}."
            )
        sentences = self._sentences(X, genes, reference, len(genes))
        means = self._read_cells(
            sentences, lambda batch: self._means(batch, depth_factor), shape=(len(genes),), batch_size=batch_size
        )  # (cells, genes), by token
        place = torch.tensor([self.vocabulary[gene] for gene in genes]).argsort().argsort()
        return means[:, place.to(means.device)]

    def _sentences(
        self, X: np.ndarray, genes: Sequence[str], reference: Moments | None, most: int
    ) -> list[Sentence | None]:
        """Genes with their counts, by token: those that are expressed, then others until there are enough."""
        counts = torch.as_tensor(counts_of(X, reference), dtype=torch.float32)
        tokens = torch.tensor([self.vocabulary[gene] for gene in genes])
        total = None if reference is None or reference.total is None else np.asarray(reference.total, dtype=np.float64)
        sentences: list[Sentence | None] = []
        for row, columns in enumerate(shown(np.asarray(X) > 0, genes, most, fill=True)):
            ids, order = tokens[columns].sort()
            values = counts[row, columns][order]
            depth = self.reading.depth if total is None else float(total[row])
            sentences.append(Sentence(ids, values, depth) if bool(values.any()) else None)
        return sentences

    def _hidden(self, batch: Batch, depth_factor: float = 1.0) -> Tensor:
        depth = cast(Tensor, batch.depth) * depth_factor
        return self.network.hidden(batch.ids, self.network.encoder_input(batch.values), depth, batch.padding)

    def _tokens_of_cells(self, batch: Batch) -> Tensor:
        return self._hidden(batch)[:, : self.network.n_cell]

    def _cell(self, batch: Batch, readout: str) -> Tensor:
        """Embedding of every cell: the mean of its tokens, of those of the classes, or the token of one class."""
        tokens = self._tokens_of_cells(batch)
        if readout == "mean":
            return tokens.mean(1)
        if readout == "classes":
            return tokens[:, 2:].mean(1)
        return tokens[:, 2 + self.network.layout.classes.index(readout)]

    def _means(self, batch: Batch, depth_factor: float) -> Tensor:
        logits = self.network.from_genes(self._hidden(batch, depth_factor))[..., 0]
        padding = batch.padding
        if padding is not None:
            logits = logits.masked_fill(padding, float("-inf"))
        counts = batch.values.sum(-1, keepdim=True) * depth_factor
        return (torch.softmax(logits, dim=-1) * counts)[:, : int(batch.lengths.max())]
