"""scPRINT v1 (Kalfon et al. 2025): a pre-norm transformer over gene tokens that carry counts.

Counts enter as their share of the genes presented (or as log2(1 + count)), the depth of the cell as a token of its
own. The expression decoder gives every gene the logit of a softmax over the genes presented, whose shares are the
means of its counts. A second decoder reads the same from the embedding of the cell and the gene alone (``mvc``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from grn._core.errors import ParameterError
from grn.models._blocks import BlockConfig
from grn.models._bounds import outline
from grn.models._checkpoint import Checkpoint, fill, published
from grn.models._formats import Format
from grn.models._model_file import save_pickled
from grn.models._published_model import About, counts_of, tokens_of
from grn.models._random import random_state
from grn.models._scprint_cells import PREFIXES, CellReader, CountReading
from grn.models._scprint_file import genes_of, layout_of, refuse_variants
from grn.models._scprint_network import ENCODER_LIMIT, ClassHead, Layout, ScPRINTNetwork, published_key
from grn.models._unknown import unknown
from grn.models.protocol import Moments, Panel, ValueScale

GRID = (0.0, 0.25, 0.5, 2.0, 4.0, 8.0, 16.0, 32.0)
LOG_GRID = tuple(math.log2(1.0 + value) for value in GRID)
READOUTS = ("logit", "log_mean", "mean", "mvc_logit", "mvc_log_mean", "mvc_mean")
TAXA = {"human": "NCBITaxon:9606", "mouse": "NCBITaxon:10090"}
CLASSES = ("cell_type", "disease", "assay", "self_reported_ethnicity", "sex", "organism")
UNUSED = ("grad_reverse_discriminator_loss.*",)


def scale_of(normalization: str, *, through: bool) -> ValueScale:
    """Value scale of a normalisation: counts, or what the encoder takes."""
    if through:
        meaning = "only their ratios matter" if normalization == "sum" else "scPRINT takes log2(1 + count)"
        return ValueScale(f"counts ({meaning})", 1.0, GRID, GRID, 0.0, ENCODER_LIMIT)
    if normalization == "log":
        return ValueScale("log2(1 + count)", 1.0, LOG_GRID, LOG_GRID, 0.0, math.log2(1.0 + ENCODER_LIMIT))
    name = "share of the panel's counts, in multiples of an even share"
    return ValueScale(name, 1.0, GRID, GRID, 0.0, ENCODER_LIMIT)


class ScPRINT(CellReader):
    """scPRINT v1 behind the protocol; see :class:`grn.models.FoundationModel`.

    Values are counts and every gene of the virtual cell has one. Under the normalisation ``"sum"`` only the ratios
    of counts matter, so a grid value is a multiple of what all other genes have. The token of an unknown gene has no
    encoding of a count, as scPRINT masks genes.

    Parameters
    ----------
    network
        The network.
    genes
        Gene of every row of its table, of all organisms.
    about
        Name, hash, largest panel, read-out, number type.
    reading
        Depth, scaling and organism.
    hyper
        ``hyper_parameters`` of the file, kept for :func:`save`.
    """

    family = "scprint"
    seen = "cells, protein sequences"
    gene_id_kind = "ensembl"
    readouts = READOUTS
    network: ScPRINTNetwork

    def __init__(
        self,
        network: ScPRINTNetwork,
        genes: Sequence[str],
        about: About,
        *,
        reading: CountReading,
        hyper: Mapping[str, Any],
    ) -> None:
        self.genes, self.reading, self.hyper, self.organism = tuple(genes), reading, dict(hyper), reading.organism
        if about.readout.startswith("mvc_") and network.mvc_decoder is None:
            raise ParameterError(
                f"{about.name!r} has no mvc_decoder of inner products for readout={about.readout!r}; use one of "
                f"{', '.join(name for name in READOUTS if not name.startswith('mvc_'))}."
            )
        start = PREFIXES[reading.organism]
        rows = {gene: row for row, gene in enumerate(genes) if gene.startswith(start)}
        if not rows:
            raise ParameterError(
                f"{about.name!r} has no {reading.organism} genes ({start}...); it has ids such as "
                f"{', '.join(list(genes)[:3])}. Pass params={{'organism': ...}} with one of {', '.join(PREFIXES)}."
            )
        self.value_scale = scale_of(network.layout.normalization, through=reading.through_normalization)
        self._read_classes(network.layout, hyper)
        super().__init__(network, rows, about)

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`; ``genes`` counts all organisms."""
        layout = self.network.layout
        return {
            "genes": layout.genes,
            "layers": layout.layers,
            "width": layout.block.d,
            "heads": layout.block.heads,
            "feedforward": layout.block.d_feedforward,
        }

    @property
    def n_cell_tokens(self) -> int:
        """Number of tokens before the genes: cell, depth and one per class."""
        return self.network.n_cell

    def encoder_input(self, values: Tensor) -> Tensor:
        """Values (B, n) as the encoder takes them, NaN where they are unknown.

        The counts that shares are of include what is hidden, as in the training of masked genes: a count of the
        baseline for every unknown gene.
        """
        hidden = unknown(values)
        values = values.masked_fill(hidden, self.value_scale.baseline)
        return self._scaled(values).masked_fill(hidden, torch.nan)

    def _scaled(self, values: Tensor) -> Tensor:
        if self.reading.through_normalization:
            return self.network.encoder_input(values)
        return values if self.network.layout.normalization == "log" else values / values.shape[-1]

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""
        ids, targets = tokens_of(panel, self.device)
        hidden = self.network.hidden(ids, self.encoder_input(values), self._depth(values))
        kind = self.readout.removeprefix("mvc_")
        by_gene = kind == self.readout
        logits = (self.network.from_genes(hidden) if by_gene else self.network.from_cell(hidden, ids))[..., 0]
        if kind == "logit":
            return logits[:, targets]
        if kind == "mean":
            return torch.softmax(logits, dim=-1)[:, targets] * self.reading.depth_mult
        return F.log_softmax(logits, dim=-1)[:, targets] + math.log(self.reading.depth_mult)

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; without the cell tokens, so rows sum to less than 1."""
        tokens, cells = self._tokens(panel, values, None), self.n_cell_tokens
        return self.network.stack.attention_maps(tokens)[..., cells:, cells:].float()

    def projections(
        self, panel: Panel, values: Tensor, *, depth: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Queries and keys (B, H, n_cell_tokens + n, D) layer by layer, cell tokens first.

        Parameters
        ----------
        panel, values
            As of :meth:`respond`.
        depth
            Total counts of every cell (B,); the model's own ``depth`` by default.
        """
        for q, k, _ in self.network.stack.projections(self._tokens(panel, values, depth)):
            yield q, k

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; rows of the gene table, independent of ``values``."""
        return self.network.gene_encoder.weight[panel.tokens.to(self.device)].detach().float()

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Counts (cells, genes) behind log-normalised expression, or what ``through_normalization=False`` takes."""
        values = counts_of(X, reference)
        if not self.reading.through_normalization and self.network.layout.normalization == "log":
            values = np.log2(1.0 + values)
        elif not self.reading.through_normalization:
            mean = values.mean(axis=1, keepdims=True)
            values = values / np.where(mean > 0, mean, 1.0)
        scale = self.value_scale
        return torch.as_tensor(values.clip(scale.lower, scale.upper), dtype=torch.float32, device=self.device)

    def _depth(self, values: Tensor) -> Tensor:
        return torch.full((len(values),), float(self.reading.depth), device=values.device)

    def _tokens(self, panel: Panel, values: Tensor, depth: Tensor | None) -> Tensor:
        values = values.to(self.device)
        given = self._depth(values) if depth is None else depth.to(self.device)
        return self.network.tokens(panel.tokens.to(self.device), self.encoder_input(values), given)


def load(
    checkpoint: Checkpoint,
    *,
    name: str,
    dtype: str = "float32",
    readout: str = "logit",
    depth: float = 10_000.0,
    depth_mult: float = 1.0,
    through_normalization: bool = True,
    organism: str = "human",
    max_genes: int = 3000,
) -> ScPRINT:
    """Read a Lightning .ckpt file."""
    reading = CountReading(depth, depth_mult, through_normalization, organism)
    refuse_variants(checkpoint)
    layout = layout_of(checkpoint)
    genes = genes_of(checkpoint, layout)
    with outline():
        network = ScPRINTNetwork(layout)
    unused = UNUSED if layout.mvc else (*UNUSED, "mvc_decoder.*")
    left = fill(network, checkpoint, lambda own: published_key(own, layout), unused=unused)
    about = About(name, checkpoint.sha256(), max_genes, readout, dtype, left)
    return ScPRINT(network, genes, about, reading=reading, hyper=checkpoint.hyper)


def save(model: ScPRINT, path: Path) -> Path:
    """Write a Lightning .ckpt file; ``model.ckpt`` in a folder."""
    path = path / "model.ckpt" if path.is_dir() else path
    layout = model.network.layout
    content = {
        "state_dict": published(model.network, lambda own: published_key(own, layout)),
        "hyper_parameters": {**model.hyper, "genes": list(model.genes)},
        "hparams_name": "kwargs",
        "pytorch-lightning_version": "2.0.0",
        "epoch": 0,
        "global_step": 0,
        "loops": {},
    }
    save_pickled(path, content)
    return path


def untrained(
    genes: Sequence[str], *, layers: int, width: int, heads: int, feedforward: int | None = None, seed: int = 0
) -> ScPRINT:
    """Random weights in the published architecture; the organism is that of the ids, human where both occur."""
    organisms = [organism for organism, start in PREFIXES.items() if any(gene.startswith(start) for gene in genes)]
    if not organisms:
        raise ParameterError(f"scPRINT takes Ensembl ids (ENSG..., ENSMUSG...); got {', '.join(list(genes)[:3])}.")
    classes = {f"{name}_ontology_term_id": 2 for name in CLASSES}
    decoders = {f"{name}_ontology_term_id": {i: f"{name} {i}" for i in range(2)} for name in CLASSES}
    hyper = {
        "genes": list(genes),
        "organisms": [TAXA[organism] for organism in organisms],
        "d_model": width,
        "nhead": heads,
        "nlayers": layers,
        "layers_cls": [width],
        "classes": classes,
        "label_decoders": decoders,
        "expr_encoder_layers": 2,
        "normalization": "sum",
        "transformer": "flash",
        "mvc_decoder": "inner product",
        "zinb": True,
    }
    layout = Layout(
        genes=len(genes),
        block=BlockConfig(width, heads, feedforward or 4 * width, F.gelu, 1e-6, "pre"),
        layers=layers,
        classes=tuple(classes),
        heads={name: ClassHead(((0, width),), labels) for name, labels in classes.items()},
    )
    about = About("scprint-untrained", "untrained", 3000, "logit")
    network = random_state(ScPRINTNetwork(layout), seed)
    return ScPRINT(network, genes, about, reading=CountReading(organism=organisms[0]), hyper=hyper)


def recognises(checkpoint: Checkpoint) -> bool:
    """Encoder and decoder of expression by their names."""
    starts = ("expr_encoder.", "expr_decoder.")
    return all(any(key.startswith(start) for key in checkpoint.tensors) for start in starts)


FORMAT = Format("scprint", recognises, load, save, untrained)
