"""An associative memory of the states that cells and tissues were seen in, and the model protocol on it.

Every state c is a mean expression profile: of a tissue, a cell type, a cell line, or a cluster of the cells of one data
set. Gene g and state c meet in a low-rank table ``u_cg = a_c . e_g``, the z-score of the gene in that state. Shown the
values v of some genes, the model asks which states are like that and answers with what other genes do there:

    p(c | v)  ~  share_c exp(b sum_g (v_g u_cg - u_cg^2 / 2)),  within each data set
    M(v)_j    =  gain * sum_c p(c | v) u_cj,                   over all data sets, each with its weight

which is one layer of attention from evidence to states (Ramsauer et al. 2021, arXiv:2008.02217). Its derivative with
respect to a value is a covariance over the states that agree with the values,

    d M(v)_j / d v_i  =  gain * b * Cov_p(u_i, u_j),

so that with nothing shown it is the co-expression pooled over the data sets, and with gene i at a value the
co-expression in states in which gene i has about that value: responses bend, and the gradient is exact.

Genes that are not shown are NaN among the values; they say nothing about the state.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from grn._core import checks
from grn._core.errors import ParameterError
from grn._kernels.perturb import PassCosts
from grn.models._bounds import check_panel
from grn.models._sentences import readout_of, shown
from grn.models._unknown import unknown
from grn.models.protocol import Moments, PairReading, Panel, ValueScale, lacking, resolve_panel
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

# genes whose rows of the table are formed at a time
_BLOCK = 1024


@dataclass(frozen=True)
class MemoryConfig:
    """Sizes and the four numbers of a memory.

    Parameters
    ----------
    n_genes, n_states, n_sets, d
        Sizes: genes G, states C, data sets H, width of the table's factors.
    precision
        How sharply one shown gene tells states apart (b).
    crowding
        Number of shown genes that halves what each of them says, since genes repeat each other.
    gain
        Scale of the answer.
    ridge
        Regularisation of the factor scores of a cell.
    """

    n_genes: int
    n_states: int
    n_sets: int
    d: int
    precision: float = 0.3
    crowding: float = 1000.0
    gain: float = 1.0
    ridge: float = 10.0


class MemoryNetwork(nn.Module):
    """Gene factors, state factors, and the data set, share and weight of every state."""

    set_of: Tensor

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        c = self.config = config
        self.embedding = nn.Parameter(torch.zeros(c.n_genes, c.d))
        self.states = nn.Parameter(torch.zeros(c.n_states, c.d))
        self.share = nn.Parameter(torch.ones(c.n_states))
        self.weight = nn.Parameter(torch.ones(c.n_sets))
        self.register_buffer("set_of", torch.zeros(c.n_states, dtype=torch.long))

    def forward(self, genes: Tensor, values: Tensor, queries: Tensor) -> Tensor:
        """Predicted values (B, R) of ``queries`` (R,) from ``values`` (B, n) of ``genes`` (n,); NaN is not shown."""
        place = self.posterior(genes, values) @ self.states  # (B, d)
        return self.config.gain * place @ self.embedding[queries].T

    def posterior(self, genes: Tensor, values: Tensor) -> Tensor:
        """Weight of every state given the values (B, C); a row sums to 1."""
        evidence = self.evidence(genes, values)
        # a shift per data set changes nothing, and keeps the exponentials in range
        top = evidence.new_full((len(evidence), self.config.n_sets), -torch.inf)
        top = top.scatter_reduce(1, self.set_of.expand(len(evidence), -1), _primal(evidence), "amax")
        mass = self.share * torch.exp(evidence - top[:, self.set_of])  # (B, C)
        total = mass @ nn.functional.one_hot(self.set_of, self.config.n_sets).to(mass.dtype)  # (B, H)
        return mass / total[:, self.set_of] * (self.weight / self.weight.sum())[self.set_of]

    def evidence(self, genes: Tensor, values: Tensor) -> Tensor:
        """Log-likelihood of the states (B, C), up to what they share.

        The table is never formed for genes that all cells show, nor for genes that none shows: what those say is a
        moment and a Gram matrix of their factors, so that cost grows with genes, not with genes times states.
        """
        seen = ~unknown(values)
        columns = torch.nonzero(seen.any(0)).squeeze(1)  # genes that no cell shows cost nothing
        seen, values = seen[:, columns], values[:, columns]
        e = self.embedding[genes[columns]]  # (n, d)
        common = seen.all(0)
        moment = torch.where(seen, values, 0.0) @ e  # (B, d)
        size = self.squares(e[common]) + self.partial_squares(e[~common], seen[:, ~common])  # (B, C)
        crowd = 1 + seen.sum(1, keepdim=True).to(e.dtype) / self.config.crowding  # (B, 1)
        return self.config.precision * (moment @ self.states.T - 0.5 * size) / crowd

    def squares(self, e: Tensor) -> Tensor:
        """Sum of squares (C,) over genes with factors e (n, d) of every row of the table."""
        size: Tensor = ((self.states @ (e.T @ e)) * self.states).sum(1)
        return size

    def partial_squares(self, e: Tensor, seen: Tensor) -> Tensor:
        """Sums of squares (B, C) over the genes that each cell shows, ``seen`` (B, n)."""
        size: Tensor = e.new_zeros(len(seen), len(self.states))
        for part in torch.arange(len(e), device=e.device).split(_BLOCK):
            size += seen[:, part].to(e.dtype) @ torch.square(self.states @ e[part].T).T
        return size

    def scores(self, genes: Tensor, values: Tensor) -> Tensor:
        """Factor scores (B, d) of cells: ridge regression of their values (B, n) on the embeddings of the genes."""
        e = self.embedding[genes]
        gram = e.T @ e + self.config.ridge * torch.eye(self.config.d, dtype=e.dtype, device=e.device)
        return cast(Tensor, torch.linalg.solve(gram, values @ e, left=False))


def _primal(values: Tensor) -> Tensor:
    """Values without their tangent."""
    primal: Tensor = forward_ad.unpack_dual(values).primal
    return primal.detach()


class Memory(Steady):
    """The model protocol on a :class:`MemoryNetwork` with a vocabulary of human symbols.

    Parameters
    ----------
    network
        The network; it is frozen and put in evaluation mode.
    genes
        Vocabulary, one human gene symbol per row of the embedding.
    sets
        Names of the data sets behind the states; by default their numbers.
    name
        Name of the model.
    sha256
        Hash of the weights.
    max_genes
        Largest panel; cost is linear in it.
    seen
        What the weights were made from, for tables that compare methods.
    """

    gene_id_kind = "symbol"
    value_scale = SCALE
    capabilities = frozenset({"value", "gradient", "embedding", "cells", "unknown"})
    cell_readouts = ("factors",)
    gradient_kind = "exact"
    # on hESC: centred .737 against .723 of AUPRC for STRING
    pair_reading = PairReading(background="unknown", centred=True)
    # measured on 765 genes shown; with one gene shown a dual pass takes 1.4-2.1 forward passes
    pass_costs = PassCosts(dual=1.8, record=1.0, backward=0.6)
    network: MemoryNetwork

    def __init__(
        self,
        network: MemoryNetwork,
        genes: Sequence[str],
        *,
        sets: Sequence[str] = (),
        name: str,
        sha256: str,
        max_genes: int = 32768,
        seen: str = "cells and profiles, gene names",
    ) -> None:
        if len(genes) != network.config.n_genes or len(set(genes)) != len(genes):
            raise ParameterError(
                f"the vocabulary has {len(genes)} names ({len(set(genes))} distinct); "
                f"the embedding has {network.config.n_genes} rows. Pass one distinct name per row."
            )
        names = tuple(sets) or tuple(f"data set {i}" for i in range(network.config.n_sets))
        if len(names) != network.config.n_sets or len(set(names)) < len(names):
            raise ParameterError(
                f"{len(names)} data sets are named ({len(set(names))} distinct); the states are of "
                f"{network.config.n_sets}. Pass one distinct name per data set."
            )
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.genes, self.sets, self.seen = tuple(genes), names, seen
        self.name, self.max_genes = name, check_panel(max_genes)
        self._vocabulary = {gene: i for i, gene in enumerate(self.genes)}
        self.sha256 = sha256

    def __repr__(self) -> str:
        c = self.network.config
        return f"Memory({self.name!r}, {len(self.genes)} genes, {c.n_states} states of {c.n_sets} data sets)"

    def __deepcopy__(self, memo: dict[int, object]) -> Memory:
        """A copy with weights of its own; it shares the names, which nothing changes."""
        memo |= {id(names): names for names in (self.genes, self.sets, self._vocabulary)}
        made = object.__new__(type(self))
        memo[id(self)] = made
        vars(made).update(copy.deepcopy(vars(self), memo))
        return made

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
        return self.network.embedding.device

    @property
    def bytes_per_gene(self) -> int:
        """Memory of one gene of one virtual cell in a dual pass: values, tangents, its part of what states take."""
        return 64 + 64 * int(self.network.config.n_states) // 1000

    def to(self, device: object) -> Memory:
        """Move the weights and return the model."""
        self.network.to(device)  # type: ignore[call-overload]
        return self

    def panel(self, sources: Sequence[str], targets: Sequence[str], *, order: Sequence[str] | None = None) -> Panel:
        """See :class:`grn.models.FoundationModel`; genes have no positions, so ``order`` changes nothing."""
        return resolve_panel(self._vocabulary, sources, targets, max_genes=self.max_genes, order=order)

    def respond(self, panel: Panel, values: Tensor, *, context: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; NaN values are genes not shown, ``context`` is not used."""
        tokens, targets = panel.tokens.to(self.device), panel.tgt_pos.to(self.device)
        return cast(Tensor, self.network(tokens, values, tokens[targets]))

    def respond_dual(
        self, panel: Panel, values: Tensor, tangents: Tensor, *, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :class:`grn.models.FoundationModel`; forward-mode automatic differentiation."""
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(self.respond(panel, forward_ad.make_dual(values, tangents)))
            tangent = torch.zeros_like(dual.primal) if dual.tangent is None else dual.tangent
            return dual.primal, tangent

    def attention(self, panel: Panel, values: Tensor) -> Tensor:
        """A memory has none between genes.

        Raises
        ------
        CapabilityError
            Always, naming what it offers.
        """
        raise lacking(self, "attention", "attention()")

    def embed(self, panel: Panel, values: Tensor | None = None) -> Tensor:
        """See :class:`grn.models.FoundationModel`; the gene factors, independent of ``values``."""
        return self.network.embedding[panel.tokens.to(self.device)].detach()

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
