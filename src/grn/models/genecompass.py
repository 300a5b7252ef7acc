"""GeneCompass (Yang et al. 2024): BERT over human and mouse genes that carry a value, a rank and prior knowledge.

A token joins the gene's word, its expression value as a plain number, and projections of four kinds of prior
knowledge (promoter, co-expression, gene family, regulation), which lie in the checkpoint; a mouse gene takes those of
its human homologue. Positions are ranks of expression. A species token comes first. One head predicts the value of
every token, another which gene it is.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import logger
from grn.models._blocks import BlockConfig
from grn.models._bounds import outline, panel_size
from grn.models._checkpoint import Checkpoint, fill, published
from grn.models._formats import Format
from grn.models._genecompass_files import (
    ACTIVATIONS,
    UNUSED,
    block_of,
    canonical,
    check_homologues,
    check_ties,
    config_of,
    parts_of,
    read_medians,
    read_tokens,
)
from grn.models._genecompass_network import PRIORS, GeneCompassNetwork, Parts, Prior, published_name
from grn.models._model_file import save_pickled
from grn.models._published_model import About, Published, counts_of, tokens_of
from grn.models._random import random_state
from grn.models._sentences import Batch, Sentence
from grn.models._unknown import unknown
from grn.models.protocol import Moments, Panel, ValueScale

GRID = (0.0, 0.5, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
# mouse ids begin with ENSMUSG, so the starts exclude each other
STARTS = {"human": "ENSG", "mouse": "ENSMUSG"}
SPECIAL = ("<pad>", MASK := "<mask>")
# value of a masked gene
MASK_VALUE = -1.0


class GeneCompass(Published):
    """GeneCompass behind the protocol; see :class:`grn.models.FoundationModel`.

    Values are ``log2(1 + count / median of the gene)``; in the virtual cell all genes are at 1, their median. In the
    place of an unknown gene (NaN) stands what hides a gene in training, the token ``<mask>`` with the value -1. There
    the value head answers for no gene in particular, so only the read-out ``"logit"`` takes unknown genes.

    Parameters
    ----------
    network
        The network.
    tokens
        Token of every Ensembl id of both species, and of ``<pad>`` and ``<mask>``.
    about
        Name, hash, largest panel, read-out, number type.
    organism
        ``"human"`` or ``"mouse"``: whose genes can be asked for, and the species token.
    rerank
        Whether positions follow the values of each row; else they follow the panel.
    medians
        Median count by Ensembl id; 1 for genes without.
    """

    family = "genecompass"
    seen = "cells, promoters, co-expression, gene families, PECA networks"
    gene_id_kind = "ensembl"
    readouts = ("value", "logit")
    reads_counts = True
    value_scale = ValueScale("log2(1 + count / median of the gene)", 1.0, GRID, GRID, 0.0, 10.0)
    network: GeneCompassNetwork

    def __init__(
        self,
        network: GeneCompassNetwork,
        tokens: Mapping[str, int],
        about: About,
        *,
        organism: str = "human",
        rerank: bool = False,
        medians: Mapping[str, float] | None = None,
    ) -> None:
        checks.word("organism", organism, STARTS)
        checks.flag("rerank", rerank)
        vocabulary = {gene: i for gene, i in tokens.items() if gene.startswith(STARTS[organism])}
        super().__init__(network, vocabulary, about)
        self.organism, self.rerank = organism, rerank
        self.tokens, self.medians = dict(tokens), dict(medians or {})
        self.cell_readouts = ("cls", "mean") if network.special else ("mean",)
        self.capabilities = self._offers()
        self.gradient_kind = "exact" if "gradient" in self.capabilities else "none"

    def _offers(self) -> frozenset[str]:
        parts = self.network.parts
        offers = {"attention", "embedding", "cells"}
        if (parts.values or self.rerank) and (parts.value or parts.logit):
            offers |= {"value", "gradient"} if parts.values else {"value"}
            offers |= {"unknown"} if self.readout == "logit" and MASK in self.tokens else set()
        return frozenset(offers)

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`."""
        block = next(iter(self.network.stack))
        return {
            "genes": len(self.tokens) - sum(name in self.tokens for name in SPECIAL),
            "layers": len(self.network.stack),
            "width": self.network.embeddings.word_embeddings.embedding_dim,
            "heads": block.attention.heads,
            "feedforward": block.linear1.out_features,
        }

    @property
    def mouse(self) -> bool:
        """Whether cells are presented as mouse cells."""
        return self.organism == "mouse"

    def positions(self, values: Tensor) -> Tensor | None:
        """Rank (B, n) of every value in its row, ties in panel order; ``None`` without ``rerank``."""
        if not self.rerank:
            return None
        order = forward_ad.unpack_dual(values).primal.argsort(dim=-1, descending=True, stable=True)
        return cast(Tensor, order.argsort(dim=-1))

    def sequence(self, panel: Panel, values: Tensor) -> Tensor:
        """Input of the layers (B, special + n, d)."""
        net, ids = self.network, panel.tokens.to(self.device)
        hidden = unknown(values)
        positions = self.positions(values.masked_fill(hidden, self.value_scale.baseline))
        if MASK in self.tokens and bool(hidden.any()):
            ids = ids.expand_as(hidden).masked_fill(hidden, self.tokens[MASK])
            values = values.masked_fill(hidden, MASK_VALUE)
        return net.tokens(ids, values, mouse=self.mouse, positions=positions, alpha=net.alpha)

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""
        if "value" not in self.capabilities:
            raise self.lacks("read-out that depends on values")
        tokens, targets = tokens_of(panel, self.device)
        x = self.network.stack(self.sequence(panel, values))[:, self.network.special + targets]
        return self.network.value(x) if self.readout == "value" else self.network.logit(x, tokens[targets])

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; without the species token, so rows sum to less than 1."""
        values = values.to(self.device, torch.float32)
        maps = self.network.stack.attention_maps(self.sequence(panel, values))
        return maps[..., self.network.special :, self.network.special :].float()

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; the word embeddings, independent of ``values``."""
        return cast(Tensor, self.network.embeddings.word_embeddings(panel.tokens.to(self.device))).float()

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Values (cells, genes) from log-normalised expression.

        The authors do not normalise by the size of the cell, so counts per cell (``reference.total``) are needed to
        reproduce their values; without them a cell counts as one of 10 000.
        """
        y = self._values(X, genes, reference)
        scale = self.value_scale
        return torch.as_tensor(y.clip(scale.lower, scale.upper), dtype=torch.float32, device=self.device)

    def tokenize(
        self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Cells as the authors present them: detected genes by falling value, at most ``max_genes``.

        Parameters
        ----------
        X, genes, reference
            As for ``encode_cells``. Genes of no token are left out.

        Returns
        -------
        list of tuple of Tensor
            Per cell the columns into ``genes`` (m,) and the values (m,). Ties go by token, whatever the order of
            ``genes``.
        """
        known = sorted((self.vocabulary[gene], i) for i, gene in enumerate(genes) if gene in self.vocabulary)
        columns = np.array([i for _, i in known], dtype=np.int64)
        y = self._values(np.asarray(X)[:, columns], [genes[i] for i in columns], reference)
        cells = []
        for row in y:
            order = np.argsort(-row, kind="stable")[: min(self.max_genes, int((row > 0).sum()))]
            values = torch.as_tensor(row[order], dtype=torch.float32, device=self.device)
            cells.append((torch.as_tensor(columns[order]), values))
        return cells

    def contextual(self, tokens: Tensor, values: Tensor | None = None) -> Tensor:
        """Embeddings (B, m, d) of the last layer for ``tokens`` (B, m) with ``values`` (B, m), in the order given.

        The species token is put in front and left out of the result. The priors have weight 1, as in the authors'
        perturbation, which does not go through the heads.
        """
        if values is None:
            if self.network.parts.values:
                raise ParameterError("this model takes a value with every token; pass values of the shape of tokens.")
            values = torch.zeros(tokens.shape)
        values = values.to(self.device, torch.float32)
        x = self.network.tokens(tokens.to(self.device), values, mouse=self.mouse)
        return cast(Tensor, self.network.stack(x)[:, self.network.special :].float())

    @property
    def _longest(self) -> int:
        return self.network.parts.positions

    def _sentences(
        self, X: np.ndarray, genes: Sequence[str], reference: Moments | None, most: int
    ) -> list[Sentence | None]:
        tokens = torch.tensor([self.vocabulary[gene] for gene in genes])
        cells = self.tokenize(X, genes, reference=reference)
        return [Sentence(tokens[c[:most]], v[:most].cpu()) if len(c) else None for c, v in cells]

    def _cell(self, batch: Batch, readout: str) -> Tensor:
        """Embedding of the species token, or the mean of the genes; the priors have weight 1, as in `contextual`."""
        special, padding = self.network.special, batch.padding
        padding = None if padding is None else F.pad(padding, (special, 0), value=False)
        x = self.network.tokens(batch.ids, batch.values, mouse=self.mouse)
        x = self.network.stack(x, padding=padding).float()
        return x[:, 0] if readout == "cls" else batch.mean(x, before=special)

    def _values(self, X: np.ndarray, genes: Sequence[str], reference: Moments | None) -> np.ndarray:
        counts = counts_of(X, reference)
        if reference is not None and reference.total is not None:
            # undo the rounding of the way through logarithms, so that equal counts tie again
            whole = np.rint(counts)
            counts = np.where(np.abs(counts - whole) <= 1e-4 * np.maximum(whole, 1.0), whole, counts)
        medians = np.array([self.medians.get(gene, 1.0) for gene in genes])
        y: np.ndarray = np.log2(1.0 + counts / medians)
        return y


def load(
    checkpoint: Checkpoint,
    *,
    name: str,
    dtype: str = "float32",
    readout: str = "value",
    rerank: bool = False,
    organism: str = "human",
    max_genes: int | None = None,
    token_dictionary: str | Path | None = None,
    gene_medians: str | Path | None = None,
) -> GeneCompass:
    """Read a checkpoint: pytorch_model.bin with config.json and human_mouse_tokens.pickle beside it."""
    checks.word("organism", organism, STARTS)
    checkpoint = canonical(checkpoint)
    config = config_of(checkpoint)
    parts, block = parts_of(checkpoint, config), block_of(checkpoint, config)
    if readout == "value" and parts.logit and not parts.value:
        raise ParameterError(f"{checkpoint.path} has no head for values (cls4value); use readout='logit'.")
    if readout == "logit" and parts.value and not parts.logit:
        raise ParameterError(f"{checkpoint.path} has no head for genes (cls.predictions); use readout='value'.")
    largest = panel_size(max_genes, parts.positions)
    layers = checkpoint.count("bert.encoder.layer.{}.")
    with outline():
        network = GeneCompassNetwork(parts, block, layers, activation=config.get("hidden_act", "gelu"))
    tokens = read_tokens(checkpoint, parts.n, token_dictionary)
    unused = fill(network, checkpoint, published_name, unused=UNUSED)
    check_ties(checkpoint)
    check_homologues(checkpoint, parts)
    alpha = float(network.alpha)
    if alpha != 1.0:
        logger.warning("%s: prior knowledge enters with weight %g; in a finished model it is 1", checkpoint.path, alpha)
    medians = read_medians(checkpoint, tokens, organism, gene_medians)
    about = About(name, checkpoint.sha256(), largest, readout, dtype, unused)
    return GeneCompass(network, tokens, about, organism=organism, rerank=rerank, medians=medians)


def save(model: GeneCompass, folder: Path) -> Path:
    """Write config.json, pytorch_model.bin, human_mouse_tokens.pickle and, if there are any, the medians."""
    folder.mkdir(parents=True, exist_ok=True)
    network, sizes = model.network, model.sizes
    parts = network.parts
    config: dict[str, object] = {"model_type": "bert", "vocab_size": parts.n, "hidden_act": network.activation}
    config |= {"hidden_size": sizes["width"], "num_hidden_layers": sizes["layers"]}
    config |= {"num_attention_heads": sizes["heads"], "intermediate_size": sizes["feedforward"]}
    config |= {"max_position_embeddings": parts.positions, "type_vocab_size": parts.types}
    config |= {"layer_norm_eps": network.eps, "pad_token_id": 0}
    config |= {"use_values": parts.values, "use_cls_token": parts.species}
    config |= {f"use_{prior}": prior in parts.priors for prior in PRIORS}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    state = published(network, published_name)
    if network.cls is not None:
        state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
    if network.cls4value is not None:
        state["cls4value.predictions.decoder.bias"] = state["cls4value.predictions.bias"]
    save_pickled(folder / "pytorch_model.bin", state)
    (folder / "human_mouse_tokens.pickle").write_bytes(pickle.dumps(model.tokens))
    if model.medians:
        (folder / f"{model.organism}_gene_median.pickle").write_bytes(pickle.dumps(model.medians))
    return folder


def untrained(
    genes: Sequence[str], *, layers: int, width: int, heads: int, feedforward: int | None = None, seed: int = 0
) -> GeneCompass:
    """Random weights in the published architecture; human if any gene is, else mouse."""
    strange = [gene for gene in genes if not gene.startswith(tuple(STARTS.values()))]
    if strange:
        raise ParameterError(
            f"genecompass takes Ensembl ids of human (ENSG...) and mouse (ENSMUSG...); found {', '.join(strange[:3])}."
        )
    tokens = {name: i for i, name in enumerate((*SPECIAL, *genes))}
    parts = Parts(len(tokens), 2048, priors=dict.fromkeys(PRIORS, width))
    block = BlockConfig(width, heads, feedforward or 4 * width, ACTIVATIONS["gelu"], 1e-12, "post")
    network = random_state(GeneCompassNetwork(parts, block, layers), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for prior in network.embeddings.priors.values():
        cast(Prior, prior).knowledge[2:].normal_(generator=generator)
    organism = "human" if any(gene.startswith(STARTS["human"]) for gene in genes) else "mouse"
    about = About("genecompass-untrained", "untrained", parts.positions, "value")
    return GeneCompass(network, tokens, about, organism=organism)


def recognises(checkpoint: Checkpoint) -> bool:
    """BERT with what GeneCompass adds: joined inputs, a species token, a head for values."""
    starts = ("embeddings.concat_embeddings.", "cls_embedding.", "cls4value.", "emb_warmup.")
    return any(key.removeprefix("bert.").startswith(starts) for key in checkpoint.tensors)


FORMAT = Format("genecompass", recognises, load, save, untrained)
