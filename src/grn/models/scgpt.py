"""scGPT (Cui et al. 2024): a post-norm transformer over gene tokens that carry binned expression.

A token is the sum of two normed encodings, of the gene and of its value; there is no position. The expression head
reads a value in bins from every token. Two more heads read a gene without looking at its own value: ``mvc`` from the
cell token and the gene's embedding, ``generative`` from a query token that sees all genes but its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grn._core.errors import ParameterError, WeightsError
from grn.models._blocks import BlockConfig, Stack
from grn.models._bounds import number, outline
from grn.models._checkpoint import Checkpoint, fill, published
from grn.models._formats import Format
from grn.models._model_file import save_pickled
from grn.models._perturbed_sentences import SentenceLayout
from grn.models._published_model import About, Published, tokens_of
from grn.models._random import random_state
from grn.models._scgpt_files import (
    SPECIAL,
    UNUSED,
    block_of,
    check_sizes,
    check_variant,
    layout_of,
    read_vocabulary,
    stack_name,
)
from grn.models._sentences import Batch, Sentence, shown
from grn.models._unknown import among_shown, places, unknown
from grn.models.protocol import Moments, Panel, ValueScale

CLAMP = 512.0
# value of a gene whose expression is hidden, if args.json says no other
MASK_VALUE = -1.0
# value of the cell token where the authors embed cells, if args.json says no other
PAD_VALUE = -2.0


class GeneEncoder(nn.Module):
    """Embedding of the gene, normed."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n, d)
        self.enc_norm = nn.LayerNorm(d)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encodings (..., d) of tokens (...)."""
        return cast(Tensor, self.enc_norm(self.embedding(tokens)))


class ValueEncoder(nn.Module):
    """Two layers on the value, normed; values above 512 count as 512."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(1, d)
        self.linear2 = nn.Linear(d, d)
        self.norm = nn.LayerNorm(d)

    def forward(self, values: Tensor) -> Tensor:
        """Encodings (..., d) of values (...)."""
        hidden = F.relu(self.linear1(values.unsqueeze(-1).clamp(max=CLAMP)))
        return cast(Tensor, self.norm(self.linear2(hidden)))


class ExpressionHead(nn.Module):
    """Three layers from a token to its expression."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(d, d), nn.LeakyReLU(), nn.Linear(d, d), nn.LeakyReLU(), nn.Linear(d, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Expression (...) of tokens (..., d)."""
        return cast(Tensor, self.fc(x).squeeze(-1))


class CellHead(nn.Module):
    """Expression of a gene from the cell token and the gene's encoding alone."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.gene2query = nn.Linear(d, d)
        self.W = nn.Linear(d, d, bias=False)

    def forward(self, cell: Tensor, genes: Tensor) -> Tensor:
        """Expression (B, R) from cells (B, d) and genes (R, d) or (B, R, d)."""
        return cast(Tensor, (self.W(torch.sigmoid(self.gene2query(genes))) @ cell.unsqueeze(-1)).squeeze(-1))


class ScGPTNetwork(nn.Module):
    """The network: tokens and values in, expression in bins out."""

    def __init__(
        self, n: int, block: BlockConfig, layers: int, *, mvc: bool = True, flag: bool = True, norm: bool = False
    ) -> None:
        super().__init__()
        d = block.d
        self.encoder = GeneEncoder(n, d)
        self.value_encoder = ValueEncoder(d)
        self.bn = nn.BatchNorm1d(d, eps=6.1e-5) if norm else None
        self.stack = Stack(block, layers)
        self.decoder = ExpressionHead(d)
        self.mvc_decoder = CellHead(d) if mvc else None
        self.flag_encoder = nn.Embedding(2, d) if flag else None

    def tokens(self, ids: Tensor, values: Tensor) -> Tensor:
        """Input tokens (B, n, d) of ids (n,) or (B, n) with values (B, n)."""
        return self.normed(self.encoder(ids) + self.value_encoder(values))

    def normed(self, x: Tensor) -> Tensor:
        """Batch norm with stored statistics, where the checkpoint has one."""
        return x if self.bn is None else self.bn(x.transpose(1, 2)).transpose(1, 2)

    def from_cell(self, cell: Tensor, genes: Tensor) -> Tensor:
        """Read-out (B, R) of ``genes`` (R,) from the cell token (B, d)."""
        if self.mvc_decoder is None:
            raise ParameterError("this checkpoint has no mvc_decoder to read with; use readout='expression'.")
        return cast(Tensor, self.mvc_decoder(cell, self.encoder(genes)))

    def query(self, ids: Tensor, values: Tensor, genes: Tensor, own: Tensor) -> Tensor:
        """Generative read-out (B, R) of ``genes`` (R,), each blind to the token at position ``own`` (R,), unless 0."""
        if self.flag_encoder is None:
            raise ParameterError("this checkpoint has no flag_encoder to generate with; use readout='expression'.")
        n, R = ids.shape[-1], len(genes)
        asked = self.encoder(genes) + self.flag_encoder.weight[1]
        asked = self.normed(asked.expand(len(values), R, -1))
        mask = torch.eye(n + R, dtype=torch.bool, device=ids.device)
        mask[:, :n] = True
        blind = own.nonzero().squeeze(-1)  # a gene without a token has nothing of its own to be blind to
        mask[n + blind, own[blind]] = False
        x = self.stack(torch.cat([self.tokens(ids, values), asked], dim=1), mask)
        return cast(Tensor, self.decoder(x[:, n:]))


class ScGPT(Published):
    """scGPT behind the protocol; see :class:`grn.models.FoundationModel`.

    Values are bins: 0 is not expressed, 1 to 50 are quantiles of the expressed genes of a cell. The virtual cell has
    all genes at 0. An unknown gene has the value that stands for masked genes in training; for the generative read-out,
    which was trained on targets without a token, it has no token. Heads that the checkpoint lacks are no read-outs.

    Parameters
    ----------
    network
        The network.
    vocabulary
        Row of the embedding for every token, special ones included.
    about
        Name, hash, largest panel, read-out, number type.
    n_bins
        Number of bins, the one of zeros included.
    pad_value
        Value of the cell token where cells are embedded.
    mask_value
        Value of genes whose expression is not shown.
    """

    family = "scgpt"
    capabilities = frozenset({"value", "gradient", "unknown", "attention", "embedding", "cells"})
    cell_readouts = ("cls",)
    cell_genes = 1199
    sentence_layout = SentenceLayout(before=1)
    encodes_whole_cells = True  # the bin of a gene is its rank among all genes of the cell
    network: ScGPTNetwork

    def __init__(
        self,
        network: ScGPTNetwork,
        vocabulary: dict[str, int],
        about: About,
        *,
        n_bins: int = 51,
        pad_value: float = PAD_VALUE,
        mask_value: float = MASK_VALUE,
    ) -> None:
        self.special = {name: vocabulary[name] for name in SPECIAL if name in vocabulary}
        self.n_bins, self.value_scale, self.pad_value = n_bins, scale_of(n_bins), pad_value
        self.mask_value = mask_value
        heads = {"mvc": network.mvc_decoder, "generative": network.flag_encoder}
        self.readouts = ("expression", *(name for name, head in heads.items() if head is not None))
        super().__init__(network, {gene: i for gene, i in vocabulary.items() if gene not in SPECIAL}, about)

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`."""
        block = next(iter(self.network.stack))
        return {
            "genes": len(self.vocabulary),
            "layers": len(self.network.stack),
            "width": self.network.encoder.embedding.embedding_dim,
            "heads": block.attention.heads,
            "feedforward": block.linear1.out_features,
        }

    @property
    def bytes_per_gene(self) -> int:
        """Memory of one gene of one virtual cell; a query token beside every gene doubles it."""
        return super().bytes_per_gene * (2 if self.readout == "generative" else 1)

    def sequence(self, panel: Panel, values: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (1 + n,) and values (B, 1 + n) with the cell token, of value 0, first."""
        cell = torch.tensor([self.special["<cls>"]], device=self.device)
        return torch.cat([cell, panel.tokens.to(self.device)]), F.pad(values, (1, 0))

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; NaN values are unknown."""
        if self.readout == "generative":
            return among_shown(values, lambda columns, shown: self._generated(panel, columns, shown))
        ids, values = self.sequence(panel, values.masked_fill(unknown(values), self.mask_value))
        tokens, targets = tokens_of(panel, self.device)
        x = self.network.stack(self.network.tokens(ids, values))
        if self.readout == "mvc":
            return self.network.from_cell(x[:, 0], tokens[targets])
        return cast(Tensor, self.network.decoder(x[:, 1 + targets]))

    def _generated(self, panel: Panel, columns: Tensor, values: Tensor) -> Tensor:
        """Generative read-out (B, R) from the genes in some columns (k,) of the panel, with their values (B, k)."""
        tokens, targets = tokens_of(panel, self.device)
        cell = torch.tensor([self.special["<cls>"]], device=self.device)
        ids, own = torch.cat([cell, tokens[columns]]), places(columns, targets, len(tokens)) + 1
        return self.network.query(ids, F.pad(values, (1, 0)), tokens[targets], own)

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; without the cell token, so rows sum to less than 1."""
        ids, values = self.sequence(panel, values.to(self.device, self.network.encoder.embedding.weight.dtype))
        return self.network.stack.attention_maps(self.network.tokens(ids, values))[..., 1:, 1:].float()

    def queries_keys(self, panel: Panel, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Queries and keys (B, H, 1 + n, D) of one layer, counted from 0, with the cell token first."""
        ids, values = self.sequence(panel, values.to(self.device, self.network.encoder.embedding.weight.dtype))
        q, k, _ = next(islice(self.network.stack.projections(self.network.tokens(ids, values)), layer, None))
        return q, k

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; the normed input table, independent of ``values``."""
        return cast(Tensor, self.network.encoder(panel.tokens.to(self.device))).detach().float()

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Bins (cells, genes) of log-normalised expression among the genes given; see :func:`bins`."""
        return torch.as_tensor(bins(X, n_bins=self.n_bins), device=self.device)

    def _sentences(
        self, X: np.ndarray, genes: Sequence[str], reference: Moments | None, most: int
    ) -> list[Sentence | None]:
        """The cell token and the expressed genes, by token, with their bins among all genes of the cell."""
        tokens = torch.tensor([self.vocabulary[gene] for gene in genes])
        binned, first = torch.as_tensor(bins(X, n_bins=self.n_bins)), torch.tensor([self.special["<cls>"]])
        sentences: list[Sentence | None] = []
        for row, columns in zip(binned, shown(np.asarray(X) > 0, genes, most), strict=True):
            ids, order = tokens[columns].sort()
            values = F.pad(row[columns][order], (1, 0), value=self.pad_value)
            sentences.append(Sentence(torch.cat([first, ids]), values) if len(columns) else None)
        return sentences

    def _cell(self, batch: Batch, readout: str) -> Tensor:
        x = self.network.stack(self.network.tokens(batch.ids, batch.values), padding=batch.padding)
        return F.normalize(x[:, 0].float(), dim=-1)


def scale_of(n_bins: int) -> ValueScale:
    """Value scale of a number of bins: eight points up to the highest bin, whole where there are that many bins."""
    top = n_bins - 1
    points = np.linspace(0.0, top, 9)[1:]
    grid = tuple((points.round() if top >= 8 else points).tolist())
    return ValueScale(f"expression bin of scGPT (0 to {top})", 0.0, grid, grid, 0.0, float(top))


def bins(X: np.ndarray, *, n_bins: int = 51) -> np.ndarray:
    """Expression bins of every cell: quantiles of its non-zero values, 1 to n_bins - 1; zeros stay 0.

    Where several edges coincide scGPT draws among the bins at random; here the middle one is taken, so the same cell
    always has the same bins.
    """
    out = np.zeros(X.shape, dtype=np.float32)
    for row, binned in zip(np.asarray(X), out, strict=True):
        there = row > 0
        if there.any():
            values = row[there]
            edges = np.quantile(values, np.linspace(0, 1, n_bins - 1))
            left, right = np.digitize(values, edges), np.digitize(values, edges, right=True)
            binned[there] = np.ceil(0.5 * (right - left) + left)
    return out


def load(
    checkpoint: Checkpoint, *, name: str, dtype: str = "float32", readout: str = "expression", max_genes: int = 3000
) -> ScGPT:
    """Read a checkpoint: best_model.pt with args.json and vocab.json beside it."""
    args = checkpoint.json("args.json")
    check_variant(checkpoint, args)
    rows, _ = checkpoint.shape("encoder.embedding.weight", 2)
    vocabulary = read_vocabulary(checkpoint, rows)
    if "<cls>" not in vocabulary:
        raise WeightsError(f"the vocabulary of {checkpoint.path} has no '<cls>'; the cell token needs a row.")
    block = block_of(checkpoint, number(args, "nheads", checkpoint.path))
    layers = checkpoint.count("transformer_encoder.layers.{}.")
    check_sizes(checkpoint, args, block, layers)
    mvc, flag, norm = (
        any(key.startswith(start) for key in checkpoint.tensors) for start in ("mvc_decoder.", "flag_encoder.", "bn.")
    )
    with outline():
        network = ScGPTNetwork(rows, block, layers, mvc=mvc, flag=flag, norm=norm)
    layout = layout_of(checkpoint)
    unused = fill(network, checkpoint, lambda own: stack_name(own, layout), unused=UNUSED)
    about = About(name, checkpoint.sha256(), max_genes, readout, dtype, unused)
    n_bins = number(args, "n_bins", checkpoint.path, default=51)
    padding = number(args, "pad_value", checkpoint.path, kind=float, default=PAD_VALUE, least=-1e6, most=1e6)
    hidden = number(args, "mask_value", checkpoint.path, kind=float, default=MASK_VALUE, least=-1e6, most=1e6)
    return ScGPT(network, vocabulary, about, n_bins=n_bins, pad_value=padding, mask_value=hidden)


def save(model: ScGPT, folder: Path) -> Path:
    """Write best_model.pt, args.json and vocab.json."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = model.sizes
    args: dict[str, float] = {"embsize": sizes["width"], "nheads": sizes["heads"], "d_hid": sizes["feedforward"]}
    args |= {"nlayers": sizes["layers"], "n_bins": model.n_bins, "pad_value": model.pad_value}
    args["mask_value"] = model.mask_value
    (folder / "args.json").write_text(json.dumps(args, indent=1))
    (folder / "vocab.json").write_text(json.dumps({**model.vocabulary, **model.special}))
    layout = {"qkv.": "Wqkv.", "out.": "out_proj."}
    save_pickled(folder / "best_model.pt", published(model.network, lambda own: stack_name(own, layout)))
    return folder


def untrained(
    genes: Sequence[str], *, layers: int, width: int, heads: int, feedforward: int | None = None, seed: int = 0
) -> ScGPT:
    """Random weights in the published architecture."""
    vocabulary = {name: i for i, name in enumerate((*genes, *SPECIAL))}
    block = BlockConfig(width, heads, feedforward or width, F.relu, 1e-5, "post")
    network = random_state(ScGPTNetwork(len(vocabulary), block, layers), seed)
    return ScGPT(network, vocabulary, About("scgpt-untrained", "untrained", 3000, "expression"))


def recognises(checkpoint: Checkpoint) -> bool:
    """Layers as torch names them beside a gene or value encoder; scGenePT, which has them too, is asked before."""
    starts = ("encoder.embedding.", "encoder.enc_norm.", "value_encoder.")
    return checkpoint.count("transformer_encoder.layers.{}.") > 0 and any(
        key.startswith(starts) for key in checkpoint.tensors
    )


FORMAT = Format("scgpt", recognises, load, save, untrained)
