"""Transformer blocks that the published architectures share; they differ in order, activation and epsilon only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from grn._kernels import dual
from grn._kernels.attention import attend, attention_weights


@dataclass(frozen=True)
class BlockConfig:
    """Sizes and habits of a transformer block.

    Parameters
    ----------
    d, heads, d_feedforward
        Width, number of heads, width of the feed-forward layer.
    activation
        Between the two feed-forward layers.
    eps
        Of the layer norms.
    order
        ``"post"``: norm after each residual sum (BERT, scGPT); ``"pre"``: norm before attention and feed-forward.
    """

    d: int
    heads: int
    d_feedforward: int
    activation: Callable[[Tensor], Tensor]
    eps: float
    order: Literal["pre", "post"]


class SelfAttention(nn.Module):
    """Multi-head self-attention on the dual-capable kernel; rows of ``qkv`` are the q, k and v blocks."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = dual.Linear(d, 3 * d)
        self.out = dual.Linear(d, d)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, n, D) of tokens (B, n, d)."""
        q, k, v = self.qkv(x.to(self.qkv.weight.dtype)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        return q, k, v

    def forward(self, x: Tensor, mask: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Attended values (B, n, d): a query sees a key where ``mask`` (n, n) is true and ``padding`` (B, n) is not."""
        attended = attend(*self.project(x), mask=mask, padding=padding).transpose(1, 2).flatten(2)
        return cast(Tensor, self.out(attended)).to(x.dtype)


class Block(nn.Module):
    """Self-attention and feed-forward with residual sums."""

    def __init__(self, c: BlockConfig) -> None:
        super().__init__()
        self.activation, self.order = c.activation, c.order
        self.attention = SelfAttention(c.d, c.heads)
        self.norm1 = dual.LayerNorm(c.d, eps=c.eps)
        self.linear1 = dual.Linear(c.d, c.d_feedforward)
        self.linear2 = dual.Linear(c.d_feedforward, c.d)
        self.norm2 = dual.LayerNorm(c.d, eps=c.eps)

    def feedforward(self, x: Tensor) -> Tensor:
        """Position-wise layers (B, n, d)."""
        hidden = self.activation(self.linear1(x.to(self.linear1.weight.dtype)))
        return cast(Tensor, self.linear2(hidden)).to(x.dtype)

    def forward(self, x: Tensor, mask: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Updated tokens (B, n, d)."""
        if self.order == "pre":
            x = x + self.attention(self.norm1(x), mask, padding)
            return x + self.feedforward(self.norm2(x))
        x = self.norm1(x + self.attention(x, mask, padding))
        return cast(Tensor, self.norm2(x + self.feedforward(x)))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, n, D) that the block forms of its input."""
        return self.attention.project(self.norm1(x) if self.order == "pre" else x)


class Stack(nn.Module):
    """Blocks in a row."""

    def __init__(self, c: BlockConfig, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(c) for _ in range(layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Block]:
        return cast("Iterator[Block]", iter(self.layers))

    def forward(self, x: Tensor, mask: Tensor | None = None, padding: Tensor | None = None) -> Tensor:
        """Tokens (B, n, d) after all blocks; those of padding are of no meaning."""
        for block in self:
            x = block(x, mask, padding)
        return x

    def lower(self) -> None:
        """Run the matrix products in bfloat16; norms and residual sums stay in float32."""
        for block in self:
            for layer in (block.attention, block.linear1, block.linear2):
                layer.to(torch.bfloat16)

    def hidden_states(self, x: Tensor) -> list[Tensor]:
        """Input and the tokens after every block: layers + 1 tensors (B, n, d)."""
        states = [x]
        for block in self:
            states.append(block(states[-1]))
        return states

    def projections(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Queries, keys and values (B, H, n, D), layer by layer."""
        for block in self:
            yield block.project(x)
            x = block(x)

    def attention_maps(self, x: Tensor) -> Tensor:
        """Attention probabilities (B, L, H, n, n), row is the query, column the key."""
        return torch.stack([attention_weights(q.float(), k.float()) for q, k, _ in self.projections(x)], dim=1)
