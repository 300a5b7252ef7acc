"""The protocol on a straight path between embeddings: how LPM, which takes no expression, is probed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.near import did_you_mean
from grn.models._lpm_network import CONTROL, DIRECTION, LPMNetwork, Symbols
from grn.models._published_model import About, Published
from grn.models._unknown import unknown
from grn.models.protocol import Moments, Panel, ValueScale, in_order

GRID = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
ORGANISMS = ("human", "mouse")
Self = TypeVar("Self", bound="PathModel")


class PathModel(Published):
    """Reads z = P_control + sum_i t_i (P_i - P_control) for the values t of a panel.

    No expression is shown in the first place, so an unknown gene (NaN) is one on which nobody intervened, of weight 0.

    Parameters
    ----------
    network
        The network.
    symbols
        Names of contexts, perturbations and readouts.
    about
        Name, hash, largest panel, number type.
    perturbation_type
        Intervention that makes a gene a source; needed where there are several.
    args
        Arguments of the original model.
    organism
        ``"human"`` or ``"mouse"``: whose symbols they are.
    """

    family = "lpm"
    gradient_kind = "embedding_path"
    capabilities = frozenset({"value", "gradient", "unknown", "embedding", "context"})
    value_scale = ValueScale("path weight of LPM (0 control, 1 intervention)", 0.0, GRID, GRID, -1.0, 1.0)
    pair_embedding = "halves"
    network: LPMNetwork

    def __init__(
        self,
        network: LPMNetwork,
        symbols: Symbols,
        about: About,
        *,
        perturbation_type: str | None = None,
        args: Mapping[str, Any] | None = None,
        organism: str = "human",
    ) -> None:
        check_organism(organism)
        self.symbols, self.args, self.organism = symbols, dict(args or {}), organism
        self.aggregation = str(self.args.get("embedding_aggregation_mode", "mean"))
        self.perturbation_type, self._sources = symbols.sources(perturbation_type)
        self._targets = symbols.targets()
        self.contexts: tuple[str, ...] = symbols.contexts
        genes = tuple(dict.fromkeys((*self._sources, *self._targets)))
        self._source_row = torch.tensor([self._sources.get(gene, -1) for gene in genes], dtype=torch.long)
        self._target_row = torch.tensor([self._targets.get(gene, -1) for gene in genes], dtype=torch.long)
        super().__init__(network, {gene: i for i, gene in enumerate(genes)}, about)

    @property
    def sizes(self) -> dict[str, int]:
        """See :class:`grn.models.FoundationModel`."""
        return {
            "genes": len(self.vocabulary),
            "contexts": len(self.symbols.contexts),
            "perturbations": len(self.symbols.perturbations),
            "readouts": len(self.symbols.readouts),
            "layers": len(self.network.linears) - 1,
            "width": self.network.context_embedding_layer.embedding_dim,
            "feedforward": self.network.linears[-1].in_features,
        }

    @property
    def source_genes(self) -> tuple[str, ...]:
        """Genes with a perturbation of the chosen type."""
        return tuple(self._sources)

    @property
    def target_genes(self) -> tuple[str, ...]:
        """Genes with a transcriptome readout."""
        return tuple(self._targets)

    @property
    def direction(self) -> int:
        """What the intervention does to its gene: -1 lowers it, 1 raises it, 0 is not known."""
        return DIRECTION.get(self.perturbation_type, 0)

    @property
    def bytes_per_gene(self) -> int:
        """See :class:`grn.models.FoundationModel`; a few hidden layers per readout, tangents included."""
        return 2 * 4 * 3 * self.sizes["feedforward"]

    def within(self: Self, contexts: Sequence[str]) -> Self:
        """The same model read in some of its contexts only.

        Parameters
        ----------
        contexts
            Names from ``contexts``.

        Returns
        -------
        LPM
            A view of this model: weights are shared.

        Raises
        ------
        ParameterError
            If a name is no context, or there is none.
        """
        listed = [] if isinstance(contexts, str) else list(dict.fromkeys(contexts))
        if not listed or any(name not in self.symbols.contexts for name in listed):
            raise ParameterError(
                f"contexts={contexts!r}; pass a list of names from: {', '.join(self.symbols.contexts)}."
            )
        view = self._view(listed)
        view.sha256 = f"{self.sha256}+contexts={listed}"
        return view

    def _view(self: Self, contexts: Sequence[str]) -> Self:
        """The model in other contexts, all of them its own, under the hash it has."""
        view = copy.copy(self)
        view.contexts = tuple(contexts)
        return view

    def panel(self, sources: Sequence[str], targets: Sequence[str], *, order: Sequence[str] | None = None) -> Panel:
        """See :class:`grn.models.FoundationModel`; ``unknown`` are names that have none of the roles asked for."""
        src = tuple(dict.fromkeys(gene for gene in sources if gene in self._sources))
        tgt = tuple(dict.fromkeys(gene for gene in targets if gene in self._targets))
        genes = in_order((*src, *tgt), self.vocabulary, order)
        if len(genes) > self.max_genes:
            raise ParameterError(
                f"a panel of {len(genes)} genes was asked for; this model takes {self.max_genes} at a time. "
                "Pass fewer targets= (or sources=) per call, or raise model.max_genes."
            )
        column = {gene: i for i, gene in enumerate(genes)}
        return Panel(
            genes=genes,
            tokens=torch.tensor([self.vocabulary[gene] for gene in genes], dtype=torch.long),
            src_pos=torch.tensor([column[gene] for gene in src], dtype=torch.long),
            tgt_pos=torch.tensor([column[gene] for gene in tgt], dtype=torch.long),
            sources=src,
            targets=tgt,
            unknown=tuple(dict.fromkeys(gene for gene in (*sources, *targets) if gene not in column)),
        )

    def respond(self, panel: Panel, values: Tensor, *, context: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; ``context`` holds positions in ``contexts``, averaged over."""
        values = values.masked_fill(unknown(values), 0.0)
        self._check(panel, values)
        return Published.respond(self._at(context), panel, values)

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :class:`grn.models.FoundationModel`; ``context`` as in ``respond``."""
        values = values.masked_fill(unknown(values), 0.0)
        self._check(panel, values)
        self._check(panel, tangents)
        return Published.respond_dual(self._at(context), panel, values, tangents)

    def read(self, panel: Panel, values: Tensor) -> Tensor:
        """See :class:`grn.models.FoundationModel`."""
        rows = self._source_row[panel.tokens]
        there = torch.nonzero(rows >= 0).squeeze(-1)
        table = self.network.perturb_embedding_layer.weight
        control = table[self.symbols.perturbations.index(CONTROL)]
        moves = table[rows[there].to(self.device)] - control
        perturbed = control + values[:, there.to(self.device)] @ moves
        targets = self._target_row[panel.tokens[panel.tgt_pos.cpu()]].to(self.device)
        return self._mean_table(perturbed, self.network.readout_embedding_layer.weight[targets])

    def _mean_table(self, perturbed: Tensor, readouts: Tensor) -> Tensor:
        """Predictions (B, R) of perturbations (B, d) and readouts (R, d), averaged over ``contexts``."""
        position = {name: row for row, name in enumerate(self.symbols.contexts)}
        embedded = self.network.context_embedding_layer.weight
        tables = [self.network.table(embedded[position[name]], perturbed, readouts) for name in self.contexts]
        return sum(tables[1:], tables[0]) / len(tables)

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """Embeddings (n, 2 d): of the perturbation beside that of the readout; NaN in a half that a gene lacks."""
        halves = []
        for table, layer in (
            (self._source_row, self.network.perturb_embedding_layer),
            (self._target_row, self.network.readout_embedding_layer),
        ):
            rows = table[panel.tokens].to(self.device)
            embeddings = layer.weight[rows.clamp(min=0)]
            halves.append(torch.where((rows >= 0).unsqueeze(-1), embeddings, torch.nan))
        return torch.cat(halves, dim=1).detach()

    def encode_cells(self, X: np.ndarray, genes: Sequence[str], *, reference: Moments | None = None) -> Tensor:
        """Not offered: the model takes interventions, no expression."""
        raise self.lacks("values of real cells, since it takes interventions; see grn.tl.perturbation_response")

    def _check(self, panel: Panel, values: Tensor) -> None:
        """Refuse values (or tangents) of genes that have no perturbation."""
        fixed = torch.nonzero(self._source_row[panel.tokens] < 0).squeeze(-1)
        moved = (values[:, fixed.to(values.device)] != 0).any(dim=0).cpu()
        if moved.any():
            names = [panel.genes[i] for i in fixed[moved].tolist()]
            raise ParameterError(
                f"{len(names)} genes have no perturbation in {self.name!r} and must stay at 0, for example "
                f"{', '.join(names[:5])}; only {len(self._sources)} genes can be set, see model.source_genes."
            )

    def _at(self: Self, context: Tensor | None) -> Self:
        """The model in the contexts at these positions."""
        if context is None:
            return self
        positions, n = context.flatten().tolist(), len(self.contexts)
        if context.is_floating_point() or not positions or not 0 <= min(positions) <= max(positions) < n:
            raise ParameterError(
                f"context={context!r}; pass positions from 0 to {n - 1} as integers, one per context: "
                f"{', '.join(self.contexts)}."
            )
        return self._view([self.contexts[i] for i in positions])


def check_organism(organism: str) -> None:
    """Refuse an organism whose symbols the package does not know."""
    checks.word("organism", organism, ORGANISMS)


def rows_of(wanted: Sequence[str], known: Sequence[str], what: str) -> list[int]:
    """Rows of symbols in a table.

    Raises
    ------
    ParameterError
        If a symbol is unknown; suggests one.
    """
    wanted = checks.names(what, wanted, what="symbols")
    position = {name: row for row, name in enumerate(known)}
    unknown = [name for name in wanted if name not in position]
    if unknown:
        hint = did_you_mean(unknown[0], known) or f" There are, for example, {', '.join(known[:3])}."
        raise ParameterError(f"{len(unknown)} {what} are unknown: {', '.join(map(str, unknown[:5]))}.{hint}")
    return [position[name] for name in wanted]
