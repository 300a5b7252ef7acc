"""``mini``: a small transformer over a panel of genes, trained by this package.

Every measured gene is a token without position: its embedding, modulated by its
value. Encoder blocks let the tokens see each other; then one query per target,
carrying the target's embedding and no value, reads the cell through
cross-attention blocks in which it cannot see the token of its own gene. So the
prediction for gene j does not copy the value of j, neither when genes are masked
in training nor when a probe presents the whole panel; only what other tokens
took up of it in the encoder can reach it.

A linear path runs beside the blocks: ridge regression of the cell on the
embeddings of the panel gives its factor scores ``s = (E'E + R)^-1 E'z``, and
``e_j W s`` is the prediction, with the contribution of gene j itself taken out
exactly. With embeddings that start as eigenvectors of the pooled correlation
this is co-expression factor analysis, and the blocks learn what it misses.

Values are z-scores of log1p counts per 10 000 within a data set: 0 is the mean
of a gene, which makes data sets of different protocols comparable and puts the
virtual baseline where the data are centred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from grn._core import checks
from grn._core.errors import ParameterError
from grn._kernels import dual
from grn._kernels.attention import attend, attention_weights
from grn.models._bounds import check_panel
from grn.models._sentences import readout_of, shown
from grn.models._unknown import among_shown, places
from grn.models.protocol import Moments, Panel, ValueScale, resolve_panel
from grn.models.steady import Steady

GRID = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0)
SCALE = ValueScale(
    name="z-score of log1p CP10k within the data set",
    baseline=0.0,
    perturbation_grid=GRID,
    gradient_grid=GRID,
    lower=-3.0,
    upper=6.0,
)


@dataclass(frozen=True)
class MiniConfig:
    """Sizes of a ``mini`` network."""

    n_genes: int
    d: int = 128
    heads: int = 2
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    d_feedforward: int = 256
    d_value: int = 32


class Attention(nn.Module):
    """Multi-head attention of x over y on the dual-capable kernel."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = dual.Linear(d, d)
        self.kv = dual.Linear(d, 2 * d)
        self.out = dual.Linear(d, d)

    def project(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, n, D) of x, keys and values (B, H, m, D) of y."""
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        kv = self.kv(y).unflatten(-1, (2, self.heads, -1)).transpose(1, 3)  # (B, H, 2, m, D)
        return q, kv[:, :, 0], kv[:, :, 1]

    def forward(self, x: Tensor, y: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Attended values (B, n, d) of x over y, without the excluded key of each query."""
        o = attend(*self.project(x, y), exclude=exclude)
        return cast(Tensor, self.out(o.transpose(1, 2).flatten(2)))


class MiniBlock(nn.Module):
    """Pre-norm attention and feed-forward; self-attention when no context is given."""

    def __init__(self, c: MiniConfig) -> None:
        super().__init__()
        self.norm1 = dual.LayerNorm(c.d)
        self.attention = Attention(c.d, c.heads)
        self.norm2 = dual.LayerNorm(c.d)
        layers = (dual.Linear(c.d, c.d_feedforward), nn.GELU(), dual.Linear(c.d_feedforward, c.d))
        self.feedforward = nn.Sequential(*layers)

    def forward(self, x: Tensor, context: Tensor | None = None, exclude: Tensor | None = None) -> Tensor:
        """Updated tokens (B, n, d)."""
        normed = self.norm1(x)
        x = x + self.attention(normed, normed if context is None else context, exclude)
        return cast(Tensor, x + self.feedforward(self.norm2(x)))

    def weights(self, x: Tensor, context: Tensor | None = None, exclude: Tensor | None = None) -> Tensor:
        """Attention probabilities (B, H, n, m) of the block."""
        normed = self.norm1(x)
        q, k, _ = self.attention.project(normed, normed if context is None else context)
        return attention_weights(q, k, exclude=exclude)


class MiniBlocks(nn.ModuleList):
    """A list of blocks, typed."""

    def __iter__(self) -> Iterator[MiniBlock]:
        return cast("Iterator[MiniBlock]", super().__iter__())


class MiniNetwork(nn.Module):
    """The network: values of visible genes in, predicted values of queried genes out."""

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        c = self.config = config
        self.embedding = nn.Embedding(c.n_genes, c.d)
        self.identity = dual.Linear(c.d, c.d)
        self.modulated = dual.Linear(c.d, c.d, bias=False)
        self.value = nn.Sequential(dual.Linear(1, c.d_value), nn.GELU(), dual.Linear(c.d_value, 2 * c.d))
        self.log_ridge = nn.Parameter(torch.zeros(c.d))
        self.factors = dual.Linear(c.d, c.d, bias=False)
        self.query = dual.Linear(c.d, c.d)
        self.context = dual.Linear(c.d, c.d)
        self.encoder = MiniBlocks(MiniBlock(c) for _ in range(c.encoder_blocks))
        self.norm = dual.LayerNorm(c.d)
        self.decoder = MiniBlocks(MiniBlock(c) for _ in range(c.decoder_blocks))
        self.head_norm = dual.LayerNorm(c.d)
        self.head = dual.Linear(c.d, c.d)
        self.head_value = dual.Linear(c.d, 1)
        # the blocks start as a zero correction of the linear path
        for layer in (self.head, self.head_value):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def start_from(self, embedding: Tensor, *, ridge: float) -> None:
        """Set the embedding (n_genes, d), and the linear path to ridge regression on it."""
        with torch.no_grad():
            self.embedding.weight.copy_(embedding)
            self.log_ridge.fill_(math.log(ridge))
            self.factors.weight.copy_(torch.eye(self.config.d))

    def tokens(self, genes: Tensor, values: Tensor) -> Tensor:
        """Input tokens (B, n, d) of genes (n,) with values (B, n)."""
        e = self.embedding(genes)
        v = values.unsqueeze(-1)
        gate, shift = self.value(v).chunk(2, dim=-1)
        return cast(Tensor, self.identity(e) + self.modulated(e) * (gate + v) + shift)

    def forward(self, genes: Tensor, values: Tensor, queries: Tensor, exclude: Tensor | None = None) -> Tensor:
        """Predicted values (B, R) of ``queries`` (R,) from ``values`` (B, n) of ``genes`` (n,)."""
        x = self.encode(genes, values)
        e = self.embedding(queries)
        scores = self.scores(genes, values)
        h = self.query(e) + self.context(scores).unsqueeze(1)
        linear = self.factors(scores) @ e.T
        if exclude is not None:
            step, change = self.without_own(genes, values, e, scores, exclude)
            h = h + change.unsqueeze(-1) * nn.functional.linear(step, self.context.weight)
            linear = linear + change * (self.factors(step) * e).sum(-1)
        for block in self.decoder:
            h = block(h, x, exclude)
        h = self.head_norm(h)
        correction = (self.head(h) * e).sum(-1) / self.config.d**0.5 + self.head_value(h).squeeze(-1)
        return cast(Tensor, linear + correction)

    def encode(self, genes: Tensor, values: Tensor) -> Tensor:
        """Contextual tokens (B, n, d) after the encoder."""
        x = self.tokens(genes, values)
        for block in self.encoder:
            x = block(x)
        return cast(Tensor, self.norm(x))

    def gram(self, genes: Tensor) -> Tensor:
        """Regularised Gram matrix (d, d) of the panel's embeddings."""
        e = self.embedding(genes)
        return cast(Tensor, e.T @ e + torch.diag(self.log_ridge.exp()))

    def scores(self, genes: Tensor, values: Tensor) -> Tensor:
        """Factor scores (B, d) of the cells: ridge regression of their values on the embeddings of the panel."""
        with torch.autocast(values.device.type, enabled=False):
            moment = values @ self.embedding(genes)
            return cast(Tensor, torch.linalg.solve(self.gram(genes), moment, left=False))

    def without_own(
        self, genes: Tensor, values: Tensor, e: Tensor, scores: Tensor, exclude: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How factor scores change when every query's own gene is left out: directions (R, d), amounts (B, R).

        Removing row j from a ridge regression is a rank-one update (Sherman and Morrison 1950).
        """
        solved = torch.linalg.solve(self.gram(genes), e, left=False)
        leverage = (solved * e).sum(-1)
        measured = values[:, exclude.clamp(min=0)]
        fitted = scores @ e.T
        change = (fitted - leverage * measured) / (1 - leverage) - measured
        return solved, torch.where(exclude >= 0, change, 0.0)

    def attention_maps(self, genes: Tensor, values: Tensor) -> Tensor:
        """Attention probabilities (B, L, H, n, n) of all blocks, every gene both visible and queried."""
        maps = []
        columns = torch.arange(len(genes), device=genes.device)
        x = self.tokens(genes, values)
        for block in self.encoder:
            maps.append(block.weights(x))
            x = block(x)
        x = self.norm(x)
        e, scores = self.embedding(genes), self.scores(genes, values)
        step, change = self.without_own(genes, values, e, scores, columns)
        h = self.query(e) + self.context(scores).unsqueeze(1)
        h = h + change.unsqueeze(-1) * nn.functional.linear(step, self.context.weight)
        for block in self.decoder:
            maps.append(block.weights(h, x, columns))
            h = block(h, x, columns)
        return torch.stack(maps, dim=1)


class Mini(Steady):
    """The model protocol on a :class:`MiniNetwork` with a vocabulary of human symbols.

    Parameters
    ----------
    network
        The network; it is frozen and put in evaluation mode.
    genes
        Vocabulary, one human gene symbol per row of the embedding.
    name
        Name of the model.
    sha256
        Hash of the weights.
    max_genes
        Largest panel; attention costs grow with its square.
    """

    gene_id_kind = "symbol"
    value_scale = SCALE
    capabilities = frozenset({"value", "gradient", "unknown", "attention", "embedding", "cells"})
    cell_readouts = ("factors",)
    gradient_kind = "exact"
    network: MiniNetwork
    # what a dual pass takes at its peak, measured on panels of 1000 genes
    bytes_per_gene = 32768

    def __init__(
        self, network: MiniNetwork, genes: Sequence[str], *, name: str, sha256: str, max_genes: int = 2048
    ) -> None:
        if len(genes) != network.config.n_genes or len(set(genes)) != len(genes):
            raise ParameterError(
                f"the vocabulary has {len(genes)} names ({len(set(genes))} distinct); "
                f"the embedding has {network.config.n_genes} rows. Pass one distinct name per row."
            )
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.genes = tuple(genes)
        self.name, self.max_genes = name, check_panel(max_genes)
        self._vocabulary = {gene: i for i, gene in enumerate(self.genes)}
        self.sha256 = sha256

    def __repr__(self) -> str:
        c = self.network.config
        n = sum(p.numel() for p in self.network.parameters())
        return f"Mini({self.name!r}, {len(self.genes)} genes, {c.d} wide, {n / 1e6:.2f} M parameters)"

    @property
    def source_genes(self) -> tuple[str, ...]:
        """Genes that can be perturbed: the vocabulary."""
        return self.genes

    @property
    def target_genes(self) -> tuple[str, ...]:
        """Genes that can be read out: the vocabulary."""
        return self.genes

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.embedding.weight.device

    def to(self, device: object) -> Mini:
        """Move the weights and return the model."""
        self.network.to(device)  # type: ignore[call-overload]
        return self

    def panel(self, sources: Sequence[str], targets: Sequence[str], *, order: Sequence[str] | None = None) -> Panel:
        """See :class:`grn.models.FoundationModel`; genes have no positions, so ``order`` changes nothing."""
        return resolve_panel(self._vocabulary, sources, targets, max_genes=self.max_genes, order=order)

    def respond(self, panel: Panel, values: Tensor, *, context: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; unknown genes are no tokens, ``context`` is not used."""
        tokens, targets = panel.tokens.to(self.device), panel.tgt_pos.to(self.device)

        def read(columns: Tensor, shown: Tensor) -> Tensor:
            own = places(columns, targets, len(tokens))
            if not len(columns):  # a gene of value 0 that no query sees says as little as none
                columns, shown, own = targets[:1], shown.new_zeros(len(shown), 1), torch.zeros_like(own)
            return cast(Tensor, self.network(tokens[columns], shown, tokens[targets], own))

        return among_shown(values, read)

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :class:`grn.models.FoundationModel`; forward-mode automatic differentiation."""
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(self.respond(panel, forward_ad.make_dual(values, tangents)))
            tangent = torch.zeros_like(dual.primal) if dual.tangent is None else dual.tangent
            return dual.primal, tangent

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""
        return self.network.attention_maps(panel.tokens.to(self.device), values)

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; the input table, independent of ``values``."""
        return self.network.embedding(panel.tokens.to(self.device)).detach()  # type: ignore[no-any-return]

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Z-scores (cells, genes), clipped to the range of training; constant genes are 0."""
        moments = reference or Moments(X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64))
        # the spread of a constant gene is rounding error of its mean, not always exactly 0
        std = np.where(moments.std > 1e-9 * np.abs(moments.mean), moments.std, np.inf)
        z = np.clip((X - moments.mean) / std, self.value_scale.lower, self.value_scale.upper)
        return torch.as_tensor(z.astype(np.float32), device=self.device)

    def embed_cells(
        self,
        X: np.ndarray,
        genes: Sequence[str],
        *,
        reference: Moments | None = None,
        readout: str | None = None,
        max_genes: int | None = None,
        batch_size: int = 8,
    ) -> Tensor:
        """Factor scores (cells, d) float32: ridge regression of a cell's z-scores on the embeddings of all its genes.

        There is no limit to the genes unless ``max_genes`` says one; ``batch_size`` changes nothing.
        """
        readout_of(readout, self.cell_readouts, self.name)
        most = len(genes) if max_genes is None else checks.integer("max_genes", max_genes, least=1)
        tokens = torch.tensor([self._vocabulary[gene] for gene in genes])
        (columns,) = shown(np.ones((1, len(genes)), dtype=bool), genes, most)
        columns = columns[np.argsort(tokens[columns].numpy())]
        z = self.encode_cells(X, genes, reference=reference)[:, columns].to(torch.float32)
        with torch.no_grad():
            return self.network.scores(tokens[columns].to(self.device), z).float()
