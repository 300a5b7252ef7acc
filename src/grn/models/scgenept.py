"""scGenePT (Istrate et al. 2024): scGPT with descriptions of the genes in words, fine-tuned to predict perturbations.

A token is the normed sum of what the checkpoint has of: the gene, its value, embeddings of texts about the gene, and a
flag that says whether the gene is perturbed. The expression head reads every token. There is no cell token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grn._core import checks
from grn._core.errors import WeightsError
from grn.models._blocks import BlockConfig, Stack
from grn.models._bounds import number, outline
from grn.models._checkpoint import Checkpoint, fill, published
from grn.models._formats import Format
from grn.models._model_file import save_pickled
from grn.models._published_model import About, Published, tokens_of
from grn.models._random import random_state
from grn.models._scgpt_files import SPECIAL, block_of, layout_of, read_vocabulary, stack_name
from grn.models.protocol import Moments, Panel, ValueScale
from grn.models.scgpt import ExpressionHead, GeneEncoder, ValueEncoder

GRID = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
HEADS = 8
TEXTS = ("genept_encoder", "gopt_encoder_c", "gopt_encoder_f", "gopt_encoder_p")
SIDECAR = "config.json"


class TextEncoder(nn.Module):
    """Embedding of a text about the gene, projected to the width of a token, normed."""

    def __init__(self, n: int, d_text: int, d: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n, d_text)
        self.project = nn.Linear(d_text, d)
        self.enc_norm = nn.LayerNorm(d)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encodings (..., d) of tokens (...)."""
        return cast(Tensor, self.enc_norm(self.project(self.embedding(tokens))))


class ScGenePTNetwork(nn.Module):
    """The network: tokens, values and perturbation flags in, expression out.

    Parameters
    ----------
    n
        Rows of the vocabulary.
    block, layers
        Sizes and number of the blocks.
    tokens, counts
        Whether genes and values have an encoding.
    texts
        Width of the text embeddings by published name, in the order they are added.
    flags
        Rows of the flag embedding.
    """

    def __init__(
        self,
        n: int,
        block: BlockConfig,
        layers: int,
        *,
        tokens: bool = True,
        counts: bool = True,
        texts: Mapping[str, int],
        flags: int = 3,
    ) -> None:
        super().__init__()
        d = block.d
        self.encoder = GeneEncoder(n, d) if tokens else None
        self.value_encoder = ValueEncoder(d) if counts else None
        self.texts = nn.ModuleDict({name: TextEncoder(n, width, d) for name, width in texts.items()})
        self.pert_encoder = nn.Embedding(flags, d)
        self.ln = nn.LayerNorm(d)
        self.stack = Stack(block, layers)
        self.decoder = ExpressionHead(d)

    def genes(self, ids: Tensor) -> Tensor:
        """What the input tokens (..., d) hold of the genes alone: encoding of the gene and of its texts, summed."""
        encoders = ([] if self.encoder is None else [self.encoder]) + list(self.texts.values())
        return cast(Tensor, sum(encoder(ids) for encoder in encoders))

    def flag(self, flags: Tensor) -> Tensor:
        """Encodings (B, n, d) of flags (B, n): 0 is untouched, 1 perturbed, in between a mixture of both."""
        untouched, perturbed = self.pert_encoder.weight[0], self.pert_encoder.weight[1]
        return (1.0 - flags).unsqueeze(-1) * untouched + flags.unsqueeze(-1) * perturbed

    def tokens(self, ids: Tensor, values: Tensor, flags: Tensor) -> Tensor:
        """Input tokens (B, n, d) of ids (n,) or (B, n) with values and flags (B, n)."""
        x = self.genes(ids) + self.flag(flags)
        return cast(Tensor, self.ln(x if self.value_encoder is None else x + self.value_encoder(values)))


class ScGenePT(Published):
    """scGenePT behind the protocol; see :class:`grn.models.FoundationModel`.

    Values are log1p of counts per 10 000. The virtual cell has all genes at 0. :meth:`respond_flag` sets the flags of
    perturbation; everything else is read without them.

    Parameters
    ----------
    network
        The network.
    vocabulary
        Row of the tables for every name of vocab.json, special tokens included.
    about
        Name, hash, largest panel, number type.
    """

    family = "scgenept"
    seen = "cells, texts on genes, perturbation screens"
    value_scale = ValueScale("log1p CP10k", 0.0, GRID, GRID, 0.0, float(np.log1p(1e4)))
    network: ScGenePTNetwork

    def __init__(self, network: ScGenePTNetwork, vocabulary: dict[str, int], about: About) -> None:
        self.special = {name: vocabulary[name] for name in SPECIAL if name in vocabulary}
        self.capabilities = frozenset({"flag", "attention", "embedding"})
        if network.value_encoder is not None:
            self.capabilities |= {"value", "gradient"}
        super().__init__(network, {gene: i for gene, i in vocabulary.items() if gene not in SPECIAL}, about)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Published names of the encodings a token is made of."""
        parts = {"encoder": self.network.encoder, "value_encoder": self.network.value_encoder}
        return (*(name for name, part in parts.items() if part is not None), *self.network.texts, "pert_encoder")

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`; ``text`` is the width of the text embeddings, 0 without."""
        block = next(iter(self.network.stack))
        widths = [text.embedding.embedding_dim for text in cast("list[TextEncoder]", self.network.texts.values())]
        return {
            "genes": len(self.vocabulary),
            "layers": len(self.network.stack),
            "width": self.network.ln.normalized_shape[0],
            "heads": block.attention.heads,
            "feedforward": block.linear1.out_features,
            "text": max(widths, default=0),
        }

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; no gene is flagged."""
        return self._read(panel, values, torch.zeros_like(values))

    def respond_flag(self, panel: Panel, values: Tensor, flags: Tensor) -> Tensor:
        """Expression (B, R) predicted of the targets when some genes are perturbed.

        Parameters
        ----------
        panel
            Genes presented.
        values
            Expression (B, n) before the perturbation.
        flags
            1 for the genes that are perturbed, 0 for the others (B, n); a number in between mixes the two encodings.
        """
        dtype = self.network.ln.weight.dtype
        return self._read(panel, values.to(self.device, dtype), flags.to(self.device, dtype)).float()

    def _read(self, panel: Panel, values: Tensor, flags: Tensor) -> Tensor:
        tokens, targets = tokens_of(panel, self.device)
        x = self.network.stack(self.network.tokens(tokens, values, flags))
        return cast(Tensor, self.network.decoder(x[:, targets]))

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; no gene is flagged."""
        values = values.to(self.device, self.network.ln.weight.dtype)
        tokens = self.network.tokens(panel.tokens.to(self.device), values, torch.zeros_like(values))
        return self.network.stack.attention_maps(tokens).float()

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; encodings of the genes, or of their texts where there are none."""
        table = self.network.genes if self.network.encoder is None else self.network.encoder
        return cast(Tensor, table(panel.tokens.to(self.device))).detach().float()

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; log-normalised expression is the model's own scale."""
        return torch.as_tensor(np.asarray(X, dtype=np.float32), device=self.device)


def names_of(layout: Mapping[str, str]) -> Any:
    """Function from a name in the network to its published key."""

    def published_key(own: str) -> str:
        if own.startswith("texts."):
            table = own.split(".")[1]
            return own.removeprefix("texts.").replace(".project.", ".proj_layer." if table == TEXTS[0] else ".fc.")
        return stack_name(own, dict(layout))

    return published_key


def heads_of(checkpoint: Checkpoint, heads: int | None) -> int:
    """Number of heads: as asked, as the sidecar says, or that of the authors' code; shapes do not tell it."""
    if heads is not None:
        return checks.integer("heads", heads, least=1, note=f", or None for the published {HEADS}")
    beside = checkpoint.json(SIDECAR) if (checkpoint.folder / SIDECAR).is_file() else {}
    return cast(int, number(beside, "nhead", checkpoint.folder / SIDECAR, default=HEADS))


def load(
    checkpoint: Checkpoint, *, name: str, dtype: str = "float32", heads: int | None = None, max_genes: int = 3000
) -> ScGenePT:
    """Read a checkpoint: best_model.pt with scGPT's vocab.json beside it; the parts of a token come from the keys."""
    starts = {key.split(".")[0] for key in checkpoint.tensors}
    tokens, counts = "encoder" in starts, "value_encoder" in starts
    tables = [name for name in TEXTS if name in starts]
    if not tokens and not tables:
        raise WeightsError(
            f"{checkpoint.path} has neither 'encoder.embedding.weight' nor a text table ({', '.join(TEXTS)}); all "
            "genes would be alike."
        )
    shapes = {name: checkpoint.shape(f"{name}.embedding.weight", 2) for name in tables}
    rows = checkpoint.shape("encoder.embedding.weight", 2)[0] if tokens else next(iter(shapes.values()))[0]
    flags = checkpoint.shape("pert_encoder.weight", 2)[0]
    if flags < 2:
        raise WeightsError(f"'pert_encoder.weight' in {checkpoint.path} has {flags} rows; a flag needs two.")
    block = block_of(checkpoint, heads_of(checkpoint, heads))
    layers = checkpoint.count("transformer_encoder.layers.{}.")
    widths = {name: width for name, (_, width) in shapes.items()}
    with outline():
        network = ScGenePTNetwork(rows, block, layers, tokens=tokens, counts=counts, texts=widths, flags=flags)
    unused = fill(network, checkpoint, names_of(layout_of(checkpoint)), unused=("cls_decoder.*",))
    vocabulary = read_vocabulary(checkpoint, rows)
    return ScGenePT(network, vocabulary, About(name, checkpoint.sha256(), max_genes, dtype=dtype, unused=unused))


def save(model: ScGenePT, folder: Path) -> Path:
    """Write best_model.pt, vocab.json, and config.json with the number of heads, which the authors leave to code."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = model.sizes
    sidecar = {"nhead": sizes["heads"], "d_model": sizes["width"], "d_hid": sizes["feedforward"]}
    sidecar |= {"nlayers": sizes["layers"], "emb_dim": sizes["text"]}
    (folder / SIDECAR).write_text(json.dumps(sidecar, indent=1))
    (folder / "vocab.json").write_text(json.dumps({**model.vocabulary, **model.special}))
    layout = {"qkv.": "in_proj_", "out.": "out_proj."}
    save_pickled(folder / "best_model.pt", published(model.network, names_of(layout)))
    return folder


def untrained(
    genes: Sequence[str], *, layers: int, width: int, heads: int, feedforward: int | None = None, seed: int = 0
) -> ScGenePT:
    """Random weights in the published architecture, with NCBI texts of width 24."""
    vocabulary = {name: i for i, name in enumerate((*genes, *SPECIAL))}
    block = BlockConfig(width, heads, feedforward or width, F.relu, 1e-5, "post")
    network = random_state(ScGenePTNetwork(len(vocabulary), block, layers, texts={TEXTS[0]: 24}), seed)
    return ScGenePT(network, vocabulary, About("scgenept-untrained", "untrained", 3000))


def recognises(checkpoint: Checkpoint) -> bool:
    """Layers as scGPT has them, with texts, or with the norm of the sum that scGPT lacks."""
    return checkpoint.count("transformer_encoder.layers.{}.") > 0 and any(
        key.startswith(("ln.", "genept_encoder.", "gopt_encoder_")) for key in checkpoint.tensors
    )


FORMAT = Format("scgenept", recognises, load, save, untrained)
