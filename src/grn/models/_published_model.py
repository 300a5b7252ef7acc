"""What the published models share: a frozen network over tokens, behind the protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError
from grn.models._blocks import Stack
from grn.models._bounds import check_panel
from grn.models._perturbed_sentences import SentenceLayout, perturbed
from grn.models._sentences import Batch, Sentence, genes_shown, read_sentences, readout_of
from grn.models.protocol import PERTURBATIONS, Moments, Panel, ValueScale, resolve_panel
from grn.models.steady import Steady

DTYPES = ("float32", "bfloat16")
Self = TypeVar("Self", bound="Published")


@dataclass(frozen=True)
class About:
    """What a model is called, where it came from and how it is used.

    Parameters
    ----------
    name
        Name of the model.
    sha256
        Hash of the parameter file.
    max_genes
        Largest panel.
    readout
        One of the read-outs of the family; ``""`` where there is one only.
    dtype
        ``"float32"`` or ``"bfloat16"``.
    unused
        Keys of the checkpoint that are not needed.
    """

    name: str
    sha256: str
    max_genes: int
    readout: str = ""
    dtype: str = "float32"
    unused: tuple[str, ...] = ()


class Published(Steady, ABC):
    """Base of the published models; a subclass says how its network reads a panel.

    Parameters
    ----------
    network
        The network; it is frozen and put in evaluation mode. With ``about.dtype`` of ``"bfloat16"`` the matrix products
        of its transformer run in that type.
    vocabulary
        Token of every gene name.
    about
        Name, hash, largest panel, read-out, number type.
    """

    family: ClassVar[str]
    organism: str = "human"
    gene_id_kind: str = "symbol"
    gradient_kind: str = "exact"
    value_scale: ValueScale
    capabilities: frozenset[str] = frozenset({"value", "gradient", "attention", "embedding"})
    readouts: tuple[str, ...] = ()
    # embeddings of a cell, the default first, and how many genes of a cell the authors show; None for all that fit
    cell_readouts: tuple[str, ...] = ()
    cell_genes: int | None = None
    reads_counts: bool = False
    sentence_layout: SentenceLayout = SentenceLayout()

    def __init__(self, network: nn.Module, vocabulary: Mapping[str, int], about: About) -> None:
        checks.word("dtype", about.dtype, DTYPES)
        max_genes = check_panel(about.max_genes)
        if self.readouts:
            checks.word("readout", about.readout, self.readouts, note=f", the read-outs of {about.name!r}")
        self.network = network.eval().requires_grad_(requires_grad=False)
        if about.dtype == "bfloat16":
            self._lower()
        self.vocabulary = dict(vocabulary)
        self.name, self._told, self.max_genes = about.name, about.sha256, max_genes
        self.readout, self.dtype, self.unused = about.readout, about.dtype, about.unused

    def __repr__(self) -> str:
        n = sum(p.numel() for p in self.network.parameters())
        sizes = ", ".join(f"{k} {v}" for k, v in self.sizes.items())
        return f"{type(self).__name__}({self.name!r}, {sizes}, {n / 1e6:.2f} M parameters)"

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """What distinguishes published checkpoints: genes, layers, width, heads."""

    @property
    def source_genes(self) -> tuple[str, ...]:
        """Genes that can be perturbed."""
        return tuple(self.vocabulary)

    @property
    def target_genes(self) -> tuple[str, ...]:
        """Genes that can be read out."""
        return tuple(self.vocabulary)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.network.parameters()).device

    @property
    def bytes_per_gene(self) -> int:
        """Memory of one gene of one virtual cell during a pass, tangents included."""
        width = self.sizes.get("width", 512)
        return 2 * 4 * (10 * width + 2 * self.sizes.get("feedforward", width))

    def _lower(self) -> None:
        stacks = [module for module in self.network.modules() if isinstance(module, Stack)]
        if not stacks:
            raise ParameterError(f"{self.family} has no transformer to run in bfloat16; leave dtype='float32'.")
        for stack in stacks:
            stack.lower()

    def to(self: Self, device: object) -> Self:
        """Move the weights and return the model."""
        self.network.to(device)  # type: ignore[call-overload]
        return self

    def panel(self, sources: Sequence[str], targets: Sequence[str], *, order: Sequence[str] | None = None) -> Panel:
        """See :class:`grn.models.FoundationModel`."""
        return resolve_panel(self.vocabulary, sources, targets, max_genes=self.max_genes, order=order)

    def respond(self, panel: Panel, values: Tensor, *, context: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; ``context`` is not used."""
        return self.read(panel, values.to(self.device, torch.float32))

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :class:`grn.models.FoundationModel`; forward-mode automatic differentiation."""
        with forward_ad.dual_level():
            values, tangents = (x.to(self.device, torch.float32).contiguous() for x in (values, tangents))
            dual = forward_ad.unpack_dual(self.read(panel, forward_ad.make_dual(values, tangents)))
            return dual.primal, torch.zeros_like(dual.primal) if dual.tangent is None else dual.tangent

    @abstractmethod
    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """Read-out (B, R) of the targets for float32 values (B, n) on the model's own device."""

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`; special tokens are left out."""
        raise self.lacks("attention maps")

    @abstractmethod
    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""

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
        """Embeddings (cells, d) float32 of log-normalised expression (cells, genes); NaN where no gene is expressed."""
        chosen, most = self._checked_readout(readout), self._most(max_genes)
        return self._embedded(self._sentences(X, genes, reference, most), chosen, batch_size)

    def perturb_cells(
        self,
        X: np.ndarray,
        genes: Sequence[str],
        sets: Sequence[Sequence[str]],
        *,
        mode: str = "delete",
        reference: Moments | None = None,
        readout: str | None = None,
        max_genes: int | None = None,
        batch_size: int = 8,
    ) -> Tensor:
        """Embeddings (sets, cells, d) of cells in which a set of genes is taken out or raised, NaN where it cannot be.

        Arguments as of :meth:`embed_cells`; ``mode`` is ``"delete"`` or ``"overexpress"``. Only cells that express all
        genes of a set, among the ``max_genes`` that are shown, can lose them.
        """
        chosen, most = self._checked_readout(readout), self._most(max_genes)
        mode = checks.word("mode", mode, PERTURBATIONS)
        cells = self._sentences(X, genes, reference, most)
        tokens = [torch.tensor([self.vocabulary[gene] for gene in together]) for together in sets]
        changed = [
            None if cell is None else perturbed(cell, ids, mode, self.sentence_layout, most)
            for ids in tokens
            for cell in cells
        ]
        embedded = self._embedded(changed, chosen, batch_size)  # (sets * cells, d)
        return embedded.reshape(len(sets), len(cells), self.sizes["width"])

    def _checked_readout(self, readout: str | None) -> str:
        """Which embedding of a cell is read."""
        if not self.cell_readouts:
            raise self.lacks("embedding of cells")
        return readout_of(readout, self.cell_readouts, self.name)

    def _most(self, max_genes: int | None) -> int:
        """Most genes of a cell that are shown."""
        return genes_shown(max_genes, self.cell_genes, self.max_genes, self.name)

    def _embedded(self, sentences: Sequence[Sentence | None], readout: str, batch_size: int) -> Tensor:
        """Embeddings (cells, d) of sentences, NaN where there is none."""
        shape = (self.sizes["width"],)
        return self._read_cells(sentences, lambda batch: self._cell(batch, readout), shape=shape, batch_size=batch_size)

    def _read_cells(
        self,
        sentences: Sequence[Sentence | None],
        read: Callable[[Batch], Tensor],
        *,
        shape: tuple[int, ...],
        batch_size: int,
    ) -> Tensor:
        with torch.no_grad():
            longest = self._longest
            return read_sentences(
                sentences, read, shape=shape, batch_size=batch_size, longest=longest, device=self.device
            )

    @property
    def _longest(self) -> int:
        """Most tokens of a sentence: padding needs positions too, where a model has them."""
        return self.sizes.get("positions", self.max_genes + 1)

    def _sentences(
        self, X: np.ndarray, genes: Sequence[str], reference: Moments | None, most: int
    ) -> list[Sentence | None]:
        """Cells as the model reads them, ``None`` for those without a gene."""
        raise self.lacks("sentences of cells")

    def _cell(self, batch: Batch, readout: str) -> Tensor:
        """Embedding (B, d) of every cell."""
        raise self.lacks("embedding of cells")

    @abstractmethod
    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""

    def lacks(self, what: str) -> CapabilityError:
        """The error of a probe that the model cannot offer."""
        return CapabilityError(
            f"{self.name!r} ({self.family}) has no {what}; it offers: {', '.join(sorted(self.capabilities))}."
        )


def tokens_of(panel: Panel, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens (n,) of a panel and the columns (R,) of its targets, on a device."""
    return panel.tokens.to(device), panel.tgt_pos.to(device)


def counts_of(X: np.ndarray, reference: Moments | None) -> np.ndarray:
    """Counts (cells, genes) behind log1p CP10k; without known totals, per 10 000."""
    total = 1e4 if reference is None or reference.total is None else np.asarray(reference.total, dtype=np.float64)
    counts: np.ndarray = np.expm1(np.asarray(X, dtype=np.float64)) * np.reshape(total, (-1, 1)) / 1e4
    return counts
