"""What a foundation model is to this package: a frozen function of virtual cells."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Capability = str
CAPABILITIES: frozenset[Capability] = frozenset(
    {"value", "gradient", "unknown", "attention", "embedding", "flag", "context", "cells", "labels", "denoise"}
)
# published architectures of this package that offer what not every model does
ARCHITECTURES: Mapping[Capability, tuple[str, ...]] = {
    "unknown": ("scgpt", "geneformer", "scprint", "lpm"),
    "attention": ("scgpt", "geneformer", "genecompass", "scprint", "scgenept"),
    "flag": ("scgenept",),
    "context": ("lpm",),
    "labels": ("scprint",),
    "denoise": ("scprint",),
    "cells": ("scgpt", "geneformer", "genecompass", "scprint"),
}
# what can be done to genes of a real cell
PERTURBATIONS = ("delete", "overexpress")
# where the genes of a virtual cell are that a probe does not move: at the baseline, at the value of the one that moves,
# or not shown
BACKGROUNDS = ("fixed", "moving", "unknown")


@dataclass(frozen=True)
class ValueScale:
    """The scale on which a model takes expression values.

    Parameters
    ----------
    name
        What a value is, with unit (``"z-score of log1p CP10k"``).
    baseline
        Virtual baseline v_b of every gene.
    perturbation_grid
        Values v_p a regulator is set to by the virtual value perturbation (8).
    gradient_grid
        Values v_t at which the gradient trajectory is read (8).
    lower, upper
        Range the model was trained on; values are clipped to it when real cells are encoded.
    """

    name: str
    baseline: float
    perturbation_grid: tuple[float, ...]
    gradient_grid: tuple[float, ...]
    lower: float
    upper: float


@dataclass(frozen=True)
class PairReading:
    """How pairs of genes are read of a model for a network.

    A model says in an attribute ``pair_reading`` what is recommended for it, by evidence on training sets; one that
    says nothing is read as in the paper, which are the defaults here.

    Parameters
    ----------
    background
        Where the other genes of a virtual cell are: ``"fixed"`` at the baseline, or ``"unknown"``.
    centred
        Whether raw strengths are compared within their regulator and their target: the means of both are taken out.
    """

    background: str = "fixed"
    centred: bool = False


# arXiv 2605.08128: the other genes at the baseline, strengths as they are
PAPER = PairReading()


@dataclass(frozen=True)
class Panel:
    """Genes presented to a model together, in an order that depends on the model alone unless a caller asks for one.

    Parameters
    ----------
    genes
        Names of the n genes, in the order in which they are presented: that of the model's vocabulary by default.
    tokens
        Their vocabulary positions (n,).
    src_pos
        Column of every source in the panel (S,), in the order asked for.
    tgt_pos
        Column of every target in the panel (R,), in the order asked for.
    sources, targets
        Names behind ``src_pos`` and ``tgt_pos``.
    unknown
        Names asked for that the model does not know.
    """

    genes: tuple[str, ...]
    tokens: Tensor
    src_pos: Tensor
    tgt_pos: Tensor
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    unknown: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.genes)


@dataclass(frozen=True)
class Moments:
    """What a model may want to know of the data set behind cells.

    Parameters
    ----------
    mean, std
        Mean and population standard deviation of log-normalised expression per gene.
    total
        Counts per cell over all measured genes (cells,), ``None`` when the object holds no counts.
    """

    mean: np.ndarray
    std: np.ndarray
    total: np.ndarray | None = None


@runtime_checkable
class FoundationModel(Protocol):
    """A frozen function of a panel of genes and a batch of virtual cells.

    Implement these members and hand an instance to :func:`grn.models.register`
    (or to any probe as ``model=``) to use a model of your own.

    With the capability ``"unknown"`` a NaN among the ``values`` of :meth:`respond` and :meth:`respond_dual` is a gene
    that is not shown: nothing is told of its value, and predictions are finite all the same, its own among them.
    """

    name: str
    gene_id_kind: str
    sha256: str
    max_genes: int
    value_scale: ValueScale
    capabilities: frozenset[str]
    gradient_kind: str

    @property
    def source_genes(self) -> Sequence[str]:
        """Genes that can be perturbed."""

    @property
    def target_genes(self) -> Sequence[str]:
        """Genes that can be read out."""

    def panel(self, sources: Sequence[str], targets: Sequence[str]) -> Panel:
        """Resolve names to tokens; names the model does not know go to ``Panel.unknown``.

        A model for which the place of a gene matters takes ``order=`` as well, names in the order in which the genes
        are to be presented; by default, and in a model without it, the order is that of the vocabulary.
        """

    def respond(self, panel: Panel, values: Tensor, *, context: Tensor | None = None) -> Tensor:
        """Predicted values (B, R) of the targets for B virtual cells (B, n)."""

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Prediction and exact directional derivative along ``tangents`` (B, n), both (B, R)."""

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """Attention probabilities (B, L, H, n, n), row is the query, column the key."""

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """Gene embeddings (n, d) of the panel."""

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Log-normalised expression (cells, genes) on the value scale."""

    def to(self, device: object) -> FoundationModel:
        """Move the weights to a device and return the model."""


class CellModel(Protocol):
    """What the capability ``"cells"`` stands for, beside :class:`FoundationModel`.

    ``cell_readouts`` names the embeddings of a cell that the model has, the default first. Two more attributes may be
    left out: ``cell_genes``, how many genes of a cell are shown unless the user says otherwise (``None``, the default,
    for all), and ``reads_counts`` (``False`` by default), whether the depth of a cell matters, so that users who pass
    values without counts are told.

    Two capabilities ask for more than these members, each with ``X``, ``genes``, ``reference`` and ``batch_size`` as of
    :meth:`embed_cells`:

    - ``"labels"``: ``labels``, the names of the labels of every class (a dict of tuples), and
      ``classify_cells(X, genes, *, reference, max_genes, batch_size)``, the probabilities (cells, labels) by class;
    - ``"denoise"``: ``denoise_cells(X, genes, *, reference, depth_factor, batch_size)``, the expected counts
      (cells, genes) of cells ``depth_factor`` times as deep, at most :attr:`FoundationModel.max_genes` genes together.
    """

    cell_readouts: tuple[str, ...]

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
        """Embeddings (cells, d) float32 of log-normalised expression (cells, genes); NaN for cells it cannot read.

        ``genes`` are names of the vocabulary. At most ``max_genes`` of a cell are shown, ``batch_size`` cells a pass.
        """


@runtime_checkable
class PerturbModel(Protocol):
    """A :class:`CellModel` that can show itself a cell without some genes, or with some raised above all others.

    Without this member :func:`grn.tl.in_silico_perturbation` changes the expression values instead.
    """

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
        """Embeddings (sets, cells, d) float32 after a perturbation of every set; NaN for cells that have none."""


def need(model: FoundationModel, capability: Capability, purpose: str) -> None:
    """Raise unless the model offers a capability.

    Parameters
    ----------
    model
        The model.
    capability
        One of :data:`CAPABILITIES`.
    purpose
        The call that needs it, for the message.

    Raises
    ------
    CapabilityError
        If the model does not offer it; names what it offers, and the architectures that have it.
    """
    if capability not in model.capabilities:
        raise lacking(model, capability, purpose)


def lacking(model: FoundationModel, capability: Capability, purpose: str) -> CapabilityError:
    """The error of a call for a capability that a model does not offer: what it offers, and what has it."""
    offers = ", ".join(sorted(model.capabilities)) or "nothing"
    return CapabilityError(
        f"{purpose} needs a model with the capability {capability!r}; {model.name!r} offers: {offers}. "
        f"{_advice(capability)}, see grn.models.available()."
    )


def _advice(capability: Capability) -> str:
    known = ARCHITECTURES.get(capability)
    return f"Models of {', '.join(known)} have it" if known else "Choose another model"


def virtual_cell(model: FoundationModel, panel: Panel) -> Tensor:
    """The virtual cell (n,) of a panel: every gene at the baseline, or what the model's ``virtual_cell`` says."""
    import torch

    method = getattr(model, "virtual_cell", None)
    if method is not None:
        cell: Tensor = method(panel)
        return cell
    device = getattr(model, "device", torch.device("cpu"))
    return torch.full((len(panel),), float(model.value_scale.baseline), device=device)


def panel_of(
    model: FoundationModel, sources: Sequence[str], targets: Sequence[str], order: Sequence[str] | None = None
) -> Panel:
    """The panel of a model, in an order of genes if one is asked for; a model of a user's own may know none.

    Raises
    ------
    CapabilityError
        If an order is asked for and the model takes none.
    """
    if order is None:
        return model.panel(sources, targets)
    if "order" not in inspect.signature(model.panel).parameters:
        raise CapabilityError(
            f"order= was given, but {model.name!r} presents genes in an order of its own: its panel(sources, targets) "
            "takes no order=. Leave order= out."
        )
    ordered: Panel = model.panel(sources, targets, order=order)  # type: ignore[call-arg]  # optional in the protocol
    return ordered


def in_order(genes: Iterable[str], vocabulary: Mapping[str, int], order: Sequence[str] | None) -> tuple[str, ...]:
    """Distinct genes in the order of the vocabulary, or in that of ``order``, which may name others beside them.

    Raises
    ------
    ParameterError
        If ``order`` names a gene twice, or lacks one of ``genes``.
    """
    if order is None:
        return tuple(sorted(set(genes), key=vocabulary.__getitem__))
    listed = checks.names("order", order, what="genes")
    place = {gene: i for i, gene in enumerate(listed)}
    missing = sorted(set(genes) - set(place), key=vocabulary.__getitem__)
    if missing or len(place) < len(listed):
        twice = next((gene for i, gene in enumerate(listed) if place[gene] != i), None)
        what = f"names {twice!r} twice" if twice is not None else f"lacks {', '.join(missing[:5])}"
        raise ParameterError(f"order= {what}; it must name each of the {len(set(genes))} genes presented once.")
    return tuple(sorted(set(genes), key=place.__getitem__))


def resolve_panel(
    vocabulary: dict[str, int],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    max_genes: int,
    order: Sequence[str] | None = None,
) -> Panel:
    """Build a panel in vocabulary order, so that no result depends on the order of the caller's genes.

    Only ``order`` changes that, where a caller wants the genes at other positions.

    Raises
    ------
    ParameterError
        If the panel would exceed ``max_genes``, or ``order`` does not name its genes.
    """
    import torch

    unknown = tuple(dict.fromkeys(g for g in (*sources, *targets) if g not in vocabulary))
    src = tuple(dict.fromkeys(g for g in sources if g in vocabulary))
    tgt = tuple(dict.fromkeys(g for g in targets if g in vocabulary))
    genes = in_order((*src, *tgt), vocabulary, order)
    if len(genes) > max_genes:
        raise ParameterError(
            f"a panel of {len(genes)} genes was asked for; this model takes {max_genes} at a time. "
            "Pass fewer targets= (or sources=) per call, or raise model.max_genes."
        )
    column = {gene: i for i, gene in enumerate(genes)}
    return Panel(
        genes=genes,
        tokens=torch.tensor([vocabulary[g] for g in genes], dtype=torch.long),
        src_pos=torch.tensor([column[g] for g in src], dtype=torch.long),
        tgt_pos=torch.tensor([column[g] for g in tgt], dtype=torch.long),
        sources=src,
        targets=tgt,
        unknown=unknown,
    )
