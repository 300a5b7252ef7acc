"""The network of Geneformer: a BERT whose positions are ranks."""

from __future__ import annotations

from itertools import islice
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from grn._core.errors import ParameterError
from grn.models._blocks import BlockConfig, Stack

# logits over the vocabulary that are held at a time
_LOGITS = 2**24


class TokenHead(nn.Module):
    """Score of every token of the vocabulary; the last matrix is the table of word embeddings."""

    def __init__(self, rows: int, block: BlockConfig) -> None:
        super().__init__()
        self.activation = block.activation
        self.dense = nn.Linear(block.d, block.d)
        self.norm = nn.LayerNorm(block.d, eps=block.eps)
        self.bias = nn.Parameter(torch.zeros(rows))

    def transform(self, x: Tensor) -> Tensor:
        """Tokens (..., d) ready to be compared with word embeddings."""
        return cast(Tensor, self.norm(self.activation(self.dense(x))))


class GeneformerNetwork(nn.Module):
    """The network: gene tokens in rank order in, scores of tokens out.

    Parameters
    ----------
    rows, positions, kinds
        Rows of the word, position and token type tables.
    block
        Sizes and habits of a layer.
    layers
        Number of layers.
    head
        Whether there is a head for masked tokens; a classifier has none.
    """

    def __init__(
        self, rows: int, positions: int, block: BlockConfig, layers: int, *, kinds: int = 2, head: bool = True
    ) -> None:
        super().__init__()
        self.word = nn.Embedding(rows, block.d)
        self.position = nn.Embedding(positions, block.d)
        self.kind = nn.Embedding(kinds, block.d)
        self.norm = nn.LayerNorm(block.d, eps=block.eps)
        self.stack = Stack(block, layers)
        self.head = TokenHead(rows, block) if head else None

    def tokens(self, ids: Tensor, *, words: Tensor | None = None, moves: Tensor | None = None, edge: int = 0) -> Tensor:
        """Input tokens (B, n, d).

        Parameters
        ----------
        ids
            Token ids (B, n) in rank order, special ones included.
        words
            Their word embeddings (B, n, d), where they are not to be looked up.
        moves
            Tangent of every rank (B, n): the result is a dual tensor. Between two ranks the position embedding is
            interpolated; at a rank the slopes of both sides are averaged.
        edge
            Number of special tokens at either end, whose positions are no ranks.
        """
        n = ids.shape[-1]
        most = self.position.num_embeddings
        if n > most:
            raise ParameterError(
                f"{n} tokens were given; this network has {most} positions. Set model.max_genes to {most - 2 * edge}."
            )
        position = self.position.weight[:n]
        if moves is not None:
            slope = torch.zeros_like(position)
            slope[edge : n - edge] = slopes(position[edge : n - edge])
            tangent = moves.unsqueeze(-1) * slope
            position = forward_ad.make_dual(position.expand_as(tangent).contiguous(), tangent)
        words = self.word(ids) if words is None else words
        return cast(Tensor, self.norm(words + self.kind.weight[0] + position))

    def forward(self, x: Tensor, depth: int | None = None, padding: Tensor | None = None) -> Tensor:
        """Contextual tokens (B, n, d) after ``depth`` layers, all by default; nothing looks at ``padding`` (B, n)."""
        for block in islice(self.stack, depth):
            x = block(x, None, padding)
        return x

    def logit(self, x: Tensor, token: Tensor) -> Tensor:
        """Score (K,) of one token each (K,) at contextual tokens (K, d)."""
        head = self.need_head()
        return cast(Tensor, (head.transform(x) * self.word(token)).sum(-1) + head.bias[token])

    def log_prob(self, x: Tensor, token: Tensor) -> Tensor:
        """Log probability (K,) of one token each (K,) at contextual tokens (K, d)."""
        head = self.need_head()
        step = max(1, _LOGITS // self.word.num_embeddings)
        parts = []
        for part, wanted in zip(x.split(step), token.split(step), strict=True):
            scores = F.linear(head.transform(part), self.word.weight, head.bias)
            parts.append(scores.gather(1, wanted[:, None]).squeeze(1) - scores.logsumexp(-1))
        return torch.cat(parts)

    def need_head(self) -> TokenHead:
        """The head, or the error of a checkpoint that has none."""
        if self.head is None:
            raise ParameterError("this checkpoint has no head for masked tokens; load it with readout='shift'.")
        return self.head


def slopes(table: Tensor) -> Tensor:
    """Mean of the differences to both neighbours (n, d); at the ends the one there is."""
    if len(table) < 2:
        return torch.zeros_like(table)
    step = table.diff(dim=0)
    return torch.cat([step[:1], 0.5 * (step[1:] + step[:-1]), step[-1:]])


def turned(x: Tensor, y: Tensor) -> Tensor:
    """1 - cosine of rows, as half the squared distance of unit vectors, which keeps digits near 0."""
    x, y = (v / v.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-12) for v in (x, y))
    return 0.5 * (x - y).square().sum(-1)
