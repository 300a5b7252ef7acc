"""The network of scPRINT: cell tokens and gene tokens through one pre-norm transformer.

Tokens of genes are the sum of an embedding of the gene, an encoding of its normalised count and, in most checkpoints,
an encoding of its place on the genome. Before them stand tokens without position: one for the cell, one per class that
scPRINT predicts, and one for the depth of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from grn.models._blocks import BlockConfig, Stack
from grn.models._unknown import unknown

ENCODER_LIMIT = 1e5  # encoder input above counts as this
DISPERSION_LIMIT = 15.0  # of the logarithm
TABLE = "gene_encoder.embedding.weight"


@dataclass(frozen=True)
class ClassHead:
    """Layers of one classifier.

    Parameters
    ----------
    hidden
        Published position and width of every hidden layer.
    labels
        Number of labels.
    """

    hidden: tuple[tuple[int, int], ...]
    labels: int


@dataclass(frozen=True)
class Layout:
    """Sizes and variants of a checkpoint.

    Parameters
    ----------
    genes
        Rows of the gene table.
    block, layers
        Transformer.
    classes
        Names of the classes, in the order of their tokens.
    heads
        Classifier by class.
    value_layers, depth_layers
        Linear layers of the encoders of expression and depth.
    outputs, mvc
        Numbers per gene that the expression decoder and the decoder from the cell give: 3 (ZINB) or 1; 0 without.
    position
        Shape of the table of genomic places, ``None`` without.
    normalization
        ``"sum"`` or ``"log"``.
    table
        Published key of the gene table, which differs between versions.
    """

    genes: int
    block: BlockConfig
    layers: int
    classes: tuple[str, ...]
    heads: Mapping[str, ClassHead] = field(default_factory=dict)
    value_layers: int = 2
    depth_layers: int = 2
    outputs: int = 3
    mvc: int = 3
    position: tuple[int, ...] | None = None
    normalization: str = "sum"
    table: str = TABLE

    @property
    def depth_first(self) -> bool:
        """Version 2 of the package puts the depth token before that of the cell, version 1 after it."""
        return "embeddings" in self.table


class NumberEncoder(nn.Module):
    """Encoding of one number per token."""

    def __init__(self, d: int, layers: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Linear(1, d)]
        for _ in range(layers - 1):
            parts += [nn.LayerNorm(d), nn.ReLU(), nn.Identity(), nn.Linear(d, d)]
        self.encoder = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        """Encodings (..., d) of numbers (...)."""
        return cast(Tensor, self.encoder(x.clamp(0.0, ENCODER_LIMIT).unsqueeze(-1)))


class ExpressionDecoder(nn.Module):
    """From a gene token to the parameters of its counts."""

    def __init__(self, d: int, outputs: int) -> None:
        super().__init__()
        first = [nn.Linear(d, d), nn.LayerNorm(d), nn.LeakyReLU(), nn.Identity()]
        self.fc = nn.Sequential(*first, nn.Linear(d, d), nn.LayerNorm(d), nn.LeakyReLU())
        self.pred_var_zero = nn.Linear(d, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Parameters (..., outputs) of tokens (..., d)."""
        return cast(Tensor, self.pred_var_zero(self.fc(x)))


class CellDecoder(nn.Module):
    """The same parameters from the embedding of the cell and of the gene, without its own count."""

    def __init__(self, d: int, outputs: int) -> None:
        super().__init__()
        self.gene2query = nn.Linear(d, d)
        self.norm = nn.LayerNorm(d)
        self.pred_var_zero = nn.Linear(d, outputs * d, bias=False)

    def forward(self, cell: Tensor, genes: Tensor) -> Tensor:
        """Parameters (B, n, outputs) from cells (B, d) and genes (n, d) or (B, n, d)."""
        keys = self.pred_var_zero(torch.sigmoid(self.norm(self.gene2query(genes)))).unflatten(-1, (-1, cell.shape[-1]))
        return torch.einsum("nkd,bd->bnk" if genes.dim() == 2 else "bnkd,bd->bnk", keys, cell)


class Classifier(nn.Module):
    """Label scores from the token of a class."""

    def __init__(self, d: int, head: ClassHead) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for position, width in head.hidden:
            parts += [nn.Identity() for _ in range(position - len(parts))]
            parts += [nn.Linear(d, width), nn.LayerNorm(width), nn.ReLU()]
            d = width
        self.decoder = nn.Sequential(*parts)
        self.out_layer = nn.Linear(d, head.labels)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, labels) of tokens (B, d)."""
        return cast(Tensor, self.out_layer(self.decoder(x)))


class ScPRINTNetwork(nn.Module):
    """The network: genes, normalised counts and depth in, count distributions out."""

    position: Tensor | None

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        d = layout.block.d
        self.layout = layout
        self.gene_encoder = nn.Embedding(layout.genes, d)
        self.class_encoder = nn.Embedding(len(layout.classes) + 1, d)
        self.expr_encoder = NumberEncoder(d, layout.value_layers)
        self.depth_encoder = NumberEncoder(d, layout.depth_layers)
        self.stack = Stack(layout.block, layout.layers)
        self.norm = nn.LayerNorm(d, eps=layout.block.eps)
        self.expr_decoder = ExpressionDecoder(d, layout.outputs)
        self.mvc_decoder = CellDecoder(d, layout.mvc) if layout.mvc else None
        self.cls_decoders = nn.ModuleList(Classifier(d, head) for head in layout.heads.values())
        self.register_buffer("position", None if layout.position is None else torch.zeros(layout.position))

    @property
    def n_cell(self) -> int:
        """Number of tokens before the genes: cell, depth and one per class."""
        return len(self.layout.classes) + 2

    def encoder_input(self, counts: Tensor) -> Tensor:
        """Counts (B, n) as the encoder takes them: their share of the genes presented, or log2(1 + count)."""
        if self.layout.normalization == "log":
            return torch.log2(1.0 + counts)
        total = counts.sum(-1, keepdim=True)
        return counts / torch.where(total > 0, total, torch.ones_like(total))

    def tokens(self, ids: Tensor, x: Tensor, depth: Tensor) -> Tensor:
        """Input tokens (B, n_cell + n, d) of genes (n,) or (B, n), encoder input (B, n) and depth (B,).

        Where the encoder input is NaN, a token has no encoding of it.
        """
        dtype, hidden = self.gene_encoder.weight.dtype, unknown(x)
        encoded = self.expr_encoder(x.masked_fill(hidden, 0.0).to(dtype))
        genes = self.gene_encoder(ids) + encoded.masked_fill(hidden.unsqueeze(-1), 0.0)
        if self.position is not None:
            genes = genes + self.position.flatten(1)[ids]
        cells = self.class_encoder.weight.expand(len(x), -1, -1)
        deep = self.depth_encoder(torch.log2(1.0 + depth.float()).to(dtype)).unsqueeze(1)
        head = [deep, cells] if self.layout.depth_first else [cells[:, :1], deep, cells[:, 1:]]
        return torch.cat([*head, genes], dim=1)

    def hidden(self, ids: Tensor, x: Tensor, depth: Tensor, padding: Tensor | None = None) -> Tensor:
        """Output tokens (B, n_cell + n, d); arguments as of :meth:`tokens`, and where genes are padding (B, n)."""
        if padding is not None:
            padding = nn.functional.pad(padding, (self.n_cell, 0), value=False)
        return cast(Tensor, self.norm(self.stack(self.tokens(ids, x, depth), padding=padding)))

    def from_genes(self, hidden: Tensor) -> Tensor:
        """Parameters (B, n, outputs) that the expression decoder reads from output tokens."""
        return cast(Tensor, self.expr_decoder(hidden[:, self.n_cell :]))

    def from_cell(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Parameters (B, n, mvc) that the cell decoder reads; not for checkpoints without one."""
        return cast(Tensor, cast(CellDecoder, self.mvc_decoder)(self.cell(hidden), self.gene_encoder(ids)))

    def cell(self, hidden: Tensor) -> Tensor:
        """Embedding (B, d) of the cell: the mean of its tokens, that of depth included."""
        return hidden[:, : self.n_cell].mean(1)

    def scores(self, cells: Tensor) -> dict[str, Tensor]:
        """Scores (B, labels) of the labels of every class that has a classifier, from the tokens (B, n_cell, d)."""
        heads = zip(self.layout.heads, self.cls_decoders, strict=True)
        return {name: classifier(cells[:, 2 + self.layout.classes.index(name)]) for name, classifier in heads}

    def forward(self, ids: Tensor, counts: Tensor, depth: Tensor, depth_mult: Tensor) -> dict[str, Tensor]:
        """Every output by its published name, for genes (n,) or (B, n), counts (B, n), depth and multiplier (B,).

        The token of the class at place k is ``cell_embs[:, 2 + k]`` in both versions.
        """
        hidden = self.hidden(ids, self.encoder_input(counts), depth)
        out = dict(_distribution(self.from_genes(hidden), depth_mult))
        out["gene_embedding"] = hidden[:, self.n_cell :]
        out["cell_embs"], out["cell_emb"] = hidden[:, : self.n_cell], self.cell(hidden)
        out |= {f"cls_output_{name}": scores for name, scores in self.scores(out["cell_embs"]).items()}
        if self.mvc_decoder is not None:
            read = _distribution(self.from_cell(hidden, ids), depth_mult)
            out |= {f"mvc_{name}": value for name, value in read}
        return out


def _distribution(parameters: Tensor, depth_mult: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Mean and, of a ZINB, dispersion and zero logits (B, n) from what a decoder gives (B, n, outputs)."""
    yield "mean", torch.softmax(parameters[..., 0], dim=-1) * depth_mult.unsqueeze(-1)
    if parameters.shape[-1] == 3:
        yield "disp", parameters[..., 1].clamp(max=DISPERSION_LIMIT).exp()
        yield "zero_logits", parameters[..., 2]


def published_key(own: str, layout: Layout) -> str:
    """Published key of a parameter of the network."""
    whole = {"gene_encoder.weight": layout.table, "class_encoder.weight": "class_encoder.embedding.weight"}
    whole["position"] = "pos_encoder.pe"
    if own in whole:
        return whole[own]
    first, _, rest = own.partition(".")
    if first == "stack":
        for ours, theirs in _BLOCK.items():
            rest = rest.replace(ours, theirs)
        return f"transformer.{rest}"
    if first == "norm":
        return f"transformer.{own}"
    if first == "cls_decoders":
        place, _, rest = rest.partition(".")
        return f"cls_decoders.{list(layout.heads)[int(place)]}.{rest}"
    return own


_BLOCK = {
    "layers.": "blocks.",
    "attention.qkv": "mixer.Wqkv",
    "attention.out": "mixer.out_proj",
    "linear1": "mlp.fc1",
    "linear2": "mlp.fc2",
}
