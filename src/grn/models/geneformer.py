"""Geneformer V1 and V2 (Theodoris et al. 2023, Chen et al. 2024): a BERT over genes in the order of their expression.

There are no values. A cell is a sentence: its detected genes, sorted by expression relative to the gene's median over
the training cells; the position embedding carries the rank. So a virtual value is a relative rank, 1 for the front of
the sentence, 0 for its end, below 0 for a gene that is left out, and what a probe changes is an order. The true
gradient is zero almost everywhere; ``gradient_kind`` is ``"interpolated_rank"`` and says what is given instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from grn._core import checks
from grn.models._blocks import BlockConfig
from grn.models._bounds import outline
from grn.models._checkpoint import Checkpoint, fill
from grn.models._formats import Format
from grn.models._geneformer_files import (
    ENDS,
    REQUIRED,
    UNUSED,
    has_head,
    keys_of,
    prefix,
    read_config,
    read_medians,
    read_vocabulary,
    room,
    write_folder,
)
from grn.models._geneformer_network import GeneformerNetwork, turned
from grn.models._geneformer_ranks import RankedPanel, equal_lengths, orders, ranked, relative
from grn.models._perturbed_sentences import SentenceLayout
from grn.models._published_model import About, Published, tokens_of
from grn.models._random import random_state
from grn.models._sentences import Batch, Sentence
from grn.models._unknown import unknown
from grn.models.protocol import Moments, Panel, ValueScale

GRID = (0.0, 0.125, 0.25, 0.375, 0.625, 0.75, 0.875, 1.0)


class Geneformer(Published):
    """Geneformer behind the protocol; see :class:`grn.models.FoundationModel`.

    Values are relative ranks: 1 first (highest expression), 0 last, negative not in the cell. The virtual cell has all
    genes of the panel in the order of the vocabulary, see :meth:`virtual_cell`. Unknown genes (NaN) stand in that order
    too, each as the token ``<mask>``: the model sees that there is a gene, and not which.

    Parameters
    ----------
    network
        The network.
    vocabulary
        Token of every gene and special token.
    about
        Name, hash, largest panel, read-out, number type.
    medians
        Median expression of a gene over the training cells; a gene without one is never in a real cell.
    layer
        Layer of contextual embeddings: 0 the last, -1 the one before, and so on.
    """

    family = "geneformer"
    gene_id_kind = "ensembl"
    gradient_kind = "interpolated_rank"
    capabilities = frozenset({"value", "gradient", "attention", "embedding", "cells"})
    readouts = ("logit", "log_prob", "masked", "shift")
    value_scale = ValueScale(
        "relative rank of Geneformer (1 first, 0 last, -1 not in the cell)", 0.5, GRID, GRID, -1.0, 1.0
    )
    network: GeneformerNetwork

    def __init__(
        self,
        network: GeneformerNetwork,
        vocabulary: Mapping[str, int],
        about: About,
        *,
        medians: Mapping[str, float],
        layer: int = -1,
    ) -> None:
        self.special = {name: token for name, token in vocabulary.items() if name.startswith("<")}
        self.medians = dict(medians)
        self.edge = int(ENDS[0] in self.special)
        self.cell_readouts = ("mean", "cls") if self.edge else ("mean",)
        self.sentence_layout = SentenceLayout(self.edge, self.edge)
        super().__init__(network, {gene: t for gene, t in vocabulary.items() if gene not in self.special}, about)
        self._depth(layer)
        self.layer = layer
        if network.head is None and self.readout != "shift":
            self.capabilities = frozenset({"attention", "embedding", "cells"})
        elif self.readout != "shift":  # how far a mask turns says nothing of the gene behind it
            self.capabilities = self.capabilities | {"unknown"}

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`."""
        block = next(iter(self.network.stack))
        return {
            "genes": len(self.vocabulary),
            "layers": len(self.network.stack),
            "width": self.network.word.embedding_dim,
            "heads": block.attention.heads,
            "feedforward": block.linear1.out_features,
            "positions": self.network.position.num_embeddings,
        }

    def virtual_cell(self, panel: Panel) -> Tensor:
        """All genes of the panel in its own order (n,): values fall from 1 to 0."""
        return torch.as_tensor(relative([np.arange(len(panel))], len(panel))[0], device=self.device)

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :class:`grn.models.FoundationModel`; the derivative of interpolated position embeddings."""
        with forward_ad.dual_level():
            return self.read_dual(panel, values, tangents)

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; NaN for a target that is not in the cell."""
        return self.read_dual(panel, values, None)[0]

    def read_dual(self, panel: Panel, values: Tensor, tangents: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read-out and its tangent (B, R), NaN for absent targets; without ``tangents`` the second is of no meaning.

        A unit of value is n - 1 ranks, downwards. Every gene keeps its place; only its position embedding moves.
        """
        if "value" not in self.capabilities:
            raise self.lacks("head to predict genes with; load it with params={'readout': 'shift'}")
        values = values.to(self.device, torch.float32)
        tokens, targets = tokens_of(panel, self.device)
        hidden = unknown(values)
        ids = tokens.expand_as(hidden).masked_fill(hidden, self.special["<mask>"])  # (B, n)
        order, lengths = orders(torch.where(hidden, self.virtual_cell(panel), values))
        kind = self.network.word.weight.dtype
        primal = torch.full((len(values), len(targets)), float("nan"), dtype=kind, device=self.device)
        tangent = primal.clone()
        for length, rows in equal_lengths(lengths):
            columns = order[rows, :length]
            moves = None
            if tangents is not None:
                directions = tangents.to(self.device, kind)[rows]
                moves = directions.gather(1, columns) * (1.0 - len(panel))
            place = torch.full_like(order[rows], -1).scatter_(1, columns, _steps(columns))[:, targets]
            row, target = (place >= 0).nonzero(as_tuple=True)
            asked = RankedPanel(row, place[row, target], targets[target], tokens)
            dual = forward_ad.unpack_dual(self._read(ids[rows].gather(1, columns), moves, asked))
            at = (rows[row], target)
            primal[at] = dual.primal
            tangent[at] = 0.0 if dual.tangent is None else dual.tangent
        return primal, tangent

    def _read(self, tokens: Tensor, moves: Tensor | None, asked: RankedPanel) -> Tensor:
        """Read-out (K,) of the pairs of row and gene asked for, in cells (B, m) given as tokens in rank order."""
        gene = asked.panel[asked.column]
        if self.readout == "masked":
            return self._masked(tokens, moves, asked)
        if self.readout == "shift":
            base = self._hidden(asked.panel[None], depth=self._depth(self.layer))[0]
            x = self._hidden(tokens, moves, depth=self._depth(self.layer))
            return turned(x[asked.row, asked.place], base[asked.column])
        x = self._hidden(tokens, moves)[asked.row, asked.place]
        return self.network.logit(x, gene) if self.readout == "logit" else self.network.log_prob(x, gene)

    def _masked(self, tokens: Tensor, moves: Tensor | None, asked: RankedPanel) -> Tensor:
        """Log probability of every gene asked for where a mask stands in its place: one pass for each, unless it does.

        Genes that are unknown are masked already, and one pass serves all of them.
        """
        mask, gene = self.special["<mask>"], asked.panel[asked.column]
        hidden = tokens[asked.row, asked.place] == mask
        already, others = (which.nonzero().squeeze(-1) for which in (hidden, ~hidden))
        parts = [tokens.new_zeros(0, dtype=torch.float32)]
        if len(already):
            x = self._hidden(tokens, moves)[asked.row[already], asked.place[already]]
            parts.append(self.network.log_prob(x, gene[already]))
        for part in others.split(max(8, len(tokens))) if len(others) else ():
            row, place = asked.row[part], asked.place[part]
            each = torch.arange(len(part), device=tokens.device)
            ids = tokens[row]
            ids[each, place] = mask
            x = self._hidden(ids, None if moves is None else moves[row])[each, place]
            parts.append(self.network.log_prob(x, gene[part]))
        return torch.cat(parts)[torch.cat([already, others]).argsort()]

    def sequence(self, tokens: Tensor) -> Tensor:
        """Token ids (B, n) of cells (B, m): in V2 the tokens of the cell and of its end around them."""
        if not self.edge:
            return tokens
        first, last = (torch.full_like(tokens[:, :1], self.special[name]) for name in ENDS)
        return torch.cat([first, tokens, last], dim=1)

    def _hidden(self, tokens: Tensor, moves: Tensor | None = None, depth: int | None = None) -> Tensor:
        """Contextual embeddings (B, m, d) of genes, special tokens left out."""
        moves = None if moves is None else F.pad(moves, (self.edge, self.edge))
        x = self.network(self.network.tokens(self.sequence(tokens), moves=moves, edge=self.edge), depth)
        return self._inner(x, 1)

    def _inner(self, x: Tensor, dim: int) -> Tensor:
        return x.narrow(dim, self.edge, x.shape[dim] - 2 * self.edge)

    def _depth(self, layer: int) -> int:
        layers = len(self.network.stack)
        return layers + checks.integer("layer", layer, least=-layers, most=0, note=", from the input to the last layer")

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; NaN where a gene is not in the cell, special tokens left out."""
        order, lengths = orders(values.to(self.device, torch.float32))
        n, tokens = len(panel), panel.tokens.to(self.device)
        shape = (len(values), len(self.network.stack), self.sizes["heads"], n, n)
        out = torch.full(shape, float("nan"), device=self.device)
        for length, rows in equal_lengths(lengths):
            columns = order[rows, :length]
            x = self.network.tokens(self.sequence(tokens[columns]), edge=self.edge)
            maps = self._inner(self._inner(self.network.stack.attention_maps(x), -1), -2)
            for row, own, found in zip(rows.tolist(), columns, maps, strict=True):
                out[row][:, :, own[:, None], own[None, :]] = found
        return out

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; the word embeddings, independent of ``values``."""
        return self.network.word.weight[panel.tokens.to(self.device)].detach()

    def embedding_gradient(self, panel: Panel, values: Tensor) -> Tensor:
        """Exact gradient of every target's logit with respect to every source's word embedding, in one cell.

        An alternative to ranks that needs no interpolation. What is differentiated is the embedding at the input,
        before position and norm are applied, not the same table at the output.

        Parameters
        ----------
        panel
            Genes.
        values
            One cell (n,), on the value scale.

        Returns
        -------
        Tensor
            float32 (S, R, d): sources, targets, width; NaN where one of the two is not in the cell.
        """
        if self.network.head is None:
            raise self.lacks("head to differentiate")
        order, lengths = orders(values.to(self.device, torch.float32)[None])
        sources, (tokens, targets) = panel.src_pos.to(self.device), tokens_of(panel, self.device)
        columns = order[:, : int(lengths[0])]
        place = torch.full_like(order, -1).scatter_(1, columns, _steps(columns))[0]
        out = torch.full((len(sources), len(targets), self.sizes["width"]), float("nan"), device=self.device)
        if not columns.numel():
            return out
        ids = self.sequence(tokens[columns])
        with torch.enable_grad():
            words = self.network.word.weight[ids].detach().requires_grad_()
            x = self._inner(self.network(self.network.tokens(ids, words=words, edge=self.edge)), 1)[0]
            there = place[targets] >= 0
            logits = self.network.logit(x[place[targets[there]]], tokens[targets[there]]).unbind()
        inside = place[sources] >= 0
        for target, logit in zip(there.nonzero().squeeze(-1).tolist(), logits, strict=True):
            (gradient,) = torch.autograd.grad(logit, words, retain_graph=True)
            out[inside, target] = self._inner(gradient, 1)[0, place[sources[inside]]]
        return out

    def contextual(self, tokens: Tensor, values: Tensor | None = None, *, layer: int | None = None) -> Tensor:
        """Contextual embeddings (B, m, d) of gene tokens (B, m) given in rank order, float32; no ``values`` needed.

        ``layer`` is 0 for the last, -1 for the one before (what the authors compare cells with); that of the model by
        default. Tokens of cell and end are put around the genes inside, and dropped.
        """
        depth = self._depth(self.layer if layer is None else layer)
        return self._hidden(tokens.to(self.device), depth=depth)

    def tokenize(
        self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Per cell the columns into ``genes`` in the order in which the model reads them, and ``None`` for values.

        Parameters
        ----------
        X
            log1p CP10k (cells, genes); ``reference.total`` gives the counts back exactly.
        genes
            Names from the vocabulary. Those without a median are left out, as the authors do.
        reference
            Counts per cell.

        Returns
        -------
        list
            At most ``max_genes`` columns per cell; equal genes in the order of the vocabulary.
        """
        return [(torch.as_tensor(c[: self.max_genes].copy()), None) for c in self._ranked(X, genes, reference)]

    def input_ids(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> list[Tensor]:
        """Token ids of every cell, special tokens included: what the authors' tokenizer writes."""
        tokens = torch.tensor([self.vocabulary[gene] for gene in genes])
        return [self.sequence(tokens[c][None])[0] for c, _ in self.tokenize(X, genes, reference=reference)]

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Relative ranks (cells, genes) of log-normalised expression among the genes given, -1 for silent ones."""
        return torch.as_tensor(relative(self._ranked(X, genes, reference), len(genes)), device=self.device)

    def _sentences(
        self, X: np.ndarray, genes: Sequence[str], reference: Moments | None, most: int
    ) -> list[Sentence | None]:
        tokens = torch.tensor([self.vocabulary[gene] for gene in genes])
        cells = (columns[:most] for columns in self._ranked(X, genes, reference))
        return [Sentence(self.sequence(tokens[cell][None])[0]) if len(cell) else None for cell in cells]

    def _cell(self, batch: Batch, readout: str) -> Tensor:
        x = self.network(self.network.tokens(batch.ids, edge=self.edge), self._depth(self.layer), batch.padding)
        return x[:, 0] if readout == "cls" else batch.mean(x, edge=self.edge)

    def _ranked(self, X: np.ndarray, genes: Sequence[str], reference: Moments | None) -> list[np.ndarray]:
        medians = np.array([self.medians.get(gene, math.nan) for gene in genes])
        return ranked(X, [self.vocabulary[gene] for gene in genes], medians, reference)


def _steps(columns: Tensor) -> Tensor:
    return torch.arange(columns.shape[1], device=columns.device).expand_as(columns)


def load(
    checkpoint: Checkpoint,
    *,
    name: str,
    dtype: str = "float32",
    readout: str = "logit",
    layer: int = -1,
    max_genes: int | None = None,
    token_dictionary: str | Path | None = None,
    gene_medians: str | Path | None = None,
) -> Geneformer:
    """Read a checkpoint: weights and config.json with both dictionaries beside them, or at the paths given."""
    block, layers = read_config(checkpoint)
    start = prefix(checkpoint)
    rows, _ = checkpoint.shape(f"{start}embeddings.word_embeddings.weight", 2)
    positions, _ = checkpoint.shape(f"{start}embeddings.position_embeddings.weight", 2)
    kinds, _ = checkpoint.shape(f"{start}embeddings.token_type_embeddings.weight", 2)
    head = has_head(checkpoint, readout)
    vocabulary = read_vocabulary(checkpoint, rows, token_dictionary)
    medians = read_medians(checkpoint, [g for g in vocabulary if not g.startswith("<")], gene_medians)
    with outline():
        network = GeneformerNetwork(rows, positions, block, layers, kinds=kinds, head=head)
    unused = fill(network, checkpoint, keys_of(checkpoint), unused=UNUSED)
    about = About(name, checkpoint.sha256(), room(vocabulary, positions, max_genes), readout, dtype, unused)
    return Geneformer(network, vocabulary, about, medians=medians, layer=layer)


def untrained(
    genes: Sequence[str],
    *,
    layers: int,
    width: int,
    heads: int,
    feedforward: int | None = None,
    seed: int = 0,
    version: int = 2,
    positions: int | None = None,
) -> Geneformer:
    """Random weights in the published architecture, V2 by default; every median is 1."""
    special = REQUIRED + (ENDS if version == 2 else ())
    vocabulary = {name: i for i, name in enumerate((*special, *genes))}
    positions = positions or (4096 if version == 2 else 2048)
    block = BlockConfig(width, heads, feedforward or (4 if version == 2 else 2) * width, F.relu, 1e-12, "post")
    network = random_state(GeneformerNetwork(len(vocabulary), positions, block, layers), seed)
    about = About("geneformer-untrained", "untrained", room(vocabulary, positions, None), "logit")
    return Geneformer(network, vocabulary, about, medians=dict.fromkeys(genes, 1.0))


def recognises(checkpoint: Checkpoint) -> bool:
    """A BERT of single tokens with absolute positions."""
    start = f"{prefix(checkpoint)}embeddings."
    return checkpoint.has(f"{start}word_embeddings.weight", f"{start}position_embeddings.weight")


def save(model: Geneformer, folder: Path) -> Path:
    """Write config.json, model.safetensors and both dictionaries."""
    tokens = {**model.special, **model.vocabulary}
    return write_folder(folder, model.network, sizes=model.sizes, tokens=tokens, medians=model.medians)


FORMAT = Format("geneformer", recognises, load, save, untrained)
