"""The network of GeneCompass: BERT over gene tokens that carry a value and what is known of the gene beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from grn._core.errors import ParameterError
from grn.models._blocks import BlockConfig, Stack

# in the order in which they enter the network
PRIORS = ("promoter", "co_exp", "gene_family", "peca_grn")


@dataclass(frozen=True)
class Parts:
    """What a checkpoint is made of.

    Parameters
    ----------
    n
        Number of tokens.
    positions
        Number of positions, the largest panel.
    types
        Rows of the token type table; only the first is used.
    priors
        Width of every kind of prior knowledge that is used.
    concat
        Whether word, value and priors are joined by a layer; without it a token is its word alone.
    values
        Whether the expression value enters.
    species
        Whether a species token comes first.
    logit, value
        Whether there is a head for the gene and one for the value.
    warmup
        Whether the weight of the priors is stored.
    """

    n: int
    positions: int
    types: int = 2
    priors: Mapping[str, int] = field(default_factory=dict)
    concat: bool = True
    values: bool = True
    species: bool = True
    logit: bool = True
    value: bool = True
    warmup: bool = True


class Prior(nn.Module):
    """Fixed features of every gene, projected."""

    knowledge: Tensor

    def __init__(self, n: int, width: int, d: int) -> None:
        super().__init__()
        self.register_buffer("knowledge", torch.zeros(n, width))
        self.linear1 = nn.Linear(width, d)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encodings (..., d) of tokens (...)."""
        return cast(Tensor, self.linear1(self.knowledge[tokens]))


class Concat(nn.Module):
    """Two layers over the joined word, value and priors."""

    def __init__(self, width: int, d: int) -> None:
        super().__init__()
        self.cat_fc = nn.Linear(width, d)
        self.cat_ln = nn.LayerNorm(d)
        self.cat_proj = nn.Linear(d, d)

    def forward(self, fixed: Tensor, values: Tensor | None) -> Tensor:
        """Encodings (B, n, d) of the parts (n, ...) or (B, n, ...) that no value changes, and values (B, n)."""
        weight, d = self.cat_fc.weight, self.cat_fc.out_features
        if values is None:
            x = self.cat_fc(fixed)
        else:  # the value is column d; split off, the wide product is done once for a whole batch
            rest = torch.cat([weight[:, :d], weight[:, d + 1 :]], dim=1)
            x = nn.functional.linear(fixed, rest, self.cat_fc.bias) + values.unsqueeze(-1) * weight[:, d]
        x = self.cat_ln(x)
        return cast(Tensor, self.cat_proj(x * torch.sigmoid(1.702 * x)))


class Embeddings(nn.Module):
    """Input tokens: word, value and prior knowledge joined, with a position and a norm."""

    homologous_index: Tensor

    def __init__(self, parts: Parts, d: int, eps: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(parts.n, d)
        self.priors = nn.ModuleDict({name: Prior(parts.n, width, d) for name, width in parts.priors.items()})
        if parts.priors:
            self.register_buffer("homologous_index", torch.arange(parts.n))
        width = (1 + len(parts.priors)) * d + parts.values
        self.concat_embeddings = Concat(width, d) if parts.concat else None
        self.position_embeddings = nn.Embedding(parts.positions, d)
        self.token_type_embeddings = nn.Embedding(parts.types, d)
        self.LayerNorm = nn.LayerNorm(d, eps=eps)
        self.values = parts.values

    def forward(self, ids: Tensor, values: Tensor, positions: Tensor, *, mouse: bool, alpha: Tensor | float) -> Tensor:
        """Tokens (B, n, d) of ids and positions (n,) or (B, n), with values (B, n); ``alpha`` weighs the priors."""
        known = self.homologous_index[ids] if self.priors and mouse else ids
        x = torch.cat([self.word_embeddings(ids), *(alpha * prior(known) for prior in self.priors.values())], dim=-1)
        if self.concat_embeddings is not None:
            x = self.concat_embeddings(x, values if self.values else None)
        x = x + self.token_type_embeddings.weight[0] + self.position_embeddings(positions)
        x = cast(Tensor, self.LayerNorm(x))
        return x.expand(len(values), -1, -1)


class Head(nn.Module):
    """A layer with norm, then one number per row of ``decoder``; without one, per word."""

    def __init__(self, block: BlockConfig, out: int, *, tied: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(block.d, block.d)
        self.LayerNorm = nn.LayerNorm(block.d, eps=block.eps)
        self.activation = block.activation
        self.decoder = None if tied else nn.Linear(block.d, out, bias=False)
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        """Transformed tokens (..., d)."""
        return cast(Tensor, self.LayerNorm(self.activation(self.dense(x))))


class Warmup(nn.Module):
    """Weight of the prior knowledge, which training raised to 1, and the step it was raised to; never changed here."""

    alpha: Tensor
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.tensor(1.0))
        self.register_buffer("steps", torch.tensor(0))


class GeneCompassNetwork(nn.Module):
    """The network: tokens and values in, value or logit of every token out."""

    def __init__(self, parts: Parts, block: BlockConfig, layers: int, *, activation: str = "gelu") -> None:
        super().__init__()
        self.parts, self.activation, self.eps = parts, activation, block.eps
        self.embeddings = Embeddings(parts, block.d, block.eps)
        self.cls_embedding = nn.Embedding(2, block.d) if parts.species else None
        self.stack = Stack(block, layers)
        self.cls = Head(block, parts.n, tied=True) if parts.logit else None
        self.cls4value = Head(block, 1, tied=False) if parts.value else None
        self.emb_warmup = Warmup() if parts.warmup else None

    @property
    def alpha(self) -> Tensor | float:
        """Weight of the prior knowledge in front of the heads."""
        return 1.0 if self.emb_warmup is None else self.emb_warmup.alpha

    @property
    def special(self) -> int:
        """Tokens put in front."""
        return 0 if self.cls_embedding is None else 1

    def tokens(
        self,
        ids: Tensor,
        values: Tensor,
        *,
        mouse: bool,
        positions: Tensor | None = None,
        alpha: Tensor | float = 1.0,
    ) -> Tensor:
        """Input of the layers (B, special + n, d); positions are 0, 1, ... unless given."""
        n, most = ids.shape[-1], self.parts.positions
        if n > most:
            raise ParameterError(f"{n} genes were presented; the checkpoint has {most} positions. Present fewer.")
        positions = torch.arange(n, device=ids.device) if positions is None else positions
        x = self.embeddings(ids, values, positions, mouse=mouse, alpha=alpha)
        if self.cls_embedding is None:
            return cast(Tensor, x)
        species = self.cls_embedding.weight[int(mouse)].expand(len(x), 1, -1)
        return torch.cat([species, x], dim=1)

    def value(self, x: Tensor) -> Tensor:
        """Predicted values (...) of tokens (..., d)."""
        if self.cls4value is None or self.cls4value.decoder is None:
            raise ParameterError("this checkpoint has no head for values (cls4value).")
        return cast(Tensor, (self.cls4value.decoder(self.cls4value(x)) + self.cls4value.bias).squeeze(-1))

    def logit(self, x: Tensor, ids: Tensor) -> Tensor:
        """Logits (..., R) that tokens (..., R, d) are the genes ``ids`` (R,)."""
        if self.cls is None:
            raise ParameterError("this checkpoint has no head for genes (cls.predictions).")
        return cast(Tensor, (self.cls(x) * self.embeddings.word_embeddings(ids)).sum(-1) + self.cls.bias[ids])

    def logits(self, x: Tensor) -> Tensor:
        """Logits (..., V) of tokens (..., d) for all genes."""
        if self.cls is None:
            raise ParameterError("this checkpoint has no head for genes (cls.predictions).")
        return nn.functional.linear(self.cls(x), self.embeddings.word_embeddings.weight, self.cls.bias)


def published_name(own: str) -> str | tuple[str, ...]:
    """Published key of a parameter; the fused query, key and value have three."""
    if own.startswith("stack."):
        name = own.replace("stack.layers.", "bert.encoder.layer.", 1)
        for ours, theirs in _LAYER.items():
            name = name.replace(ours, theirs)
        if ".attention.qkv." in name:
            return tuple(name.replace(".qkv.", f".self.{part}.") for part in ("query", "key", "value"))
        return name
    if own.startswith("embeddings.priors."):
        kind, rest = own.removeprefix("embeddings.priors.").split(".", 1)
        return f"bert.embeddings.{kind}_{rest if rest == 'knowledge' else 'embeddings.' + rest}"
    if own.startswith(("cls.", "cls4value.")):
        head, rest = own.split(".", 1)
        return f"{head}.predictions.{rest if rest.startswith(('decoder', 'bias')) else 'transform.' + rest}"
    return own if own.startswith("emb_warmup.") else f"bert.{own}"


_LAYER = {
    ".attention.out.": ".attention.output.dense.",
    ".norm1.": ".attention.output.LayerNorm.",
    ".linear1.": ".intermediate.dense.",
    ".linear2.": ".output.dense.",
    ".norm2.": ".output.LayerNorm.",
}
