"""Products of expression with a network that has weights on given edges only."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

# a matrix of regulators and genes is multiplied as a whole where more than this share of it are edges
DENSE = 0.01


class _Rows(NamedTuple):
    """Edges in the order of rows and columns: their order (E,), and both (2, E)."""

    order: Tensor
    places: Tensor

    def product(self, weights: Tensor, values: Tensor) -> Tensor:
        """Of the matrix with these rows and values (G, n)."""
        size = (len(values), len(values))
        matrix = torch.sparse_coo_tensor(
            self.places, weights[self.order], size, is_coalesced=True, check_invariants=False
        )
        product: Tensor = torch.sparse.mm(matrix, values)
        return product


def _rows(row: Tensor, column: Tensor, n_genes: int) -> _Rows:
    order = torch.argsort(row * n_genes + column)
    return _Rows(order, torch.stack([row, column])[:, order])


class Edges:
    """Edges between genes, as x W with W of their weights and 0 elsewhere, for weights that change.

    Parameters
    ----------
    source, target
        Genes of the edges (E,), each pair once.
    n_genes
        Number of genes G.
    dense
        Multiply the matrix of all regulators and all genes, or edge by edge; ``None`` goes by the share of its pairs
        that are edges.
    """

    def __init__(self, source: Tensor, target: Tensor, n_genes: int, *, dense: bool | None = None) -> None:
        self.source, self.target, self.n_genes = source, target, n_genes
        self.regulators, row = torch.unique(source, return_inverse=True)  # (R,), (E,)
        self._place = row * n_genes + target
        pairs = max(1, len(self.regulators) * n_genes)
        self.dense = bool(len(source) > DENSE * pairs) if dense is None else dense

    def product(self, weights: Tensor) -> Product:
        """The function x -> x W of expression (..., G), with W made once.

        Parameters
        ----------
        weights
            Weight of every edge (E,), or of several networks (K, E) for expression (K, n, G).
        """
        if not self.dense:
            return lambda x: self._sparse(x, weights)
        shape = weights.shape[:-1]
        empty = weights.new_zeros((*shape, len(self.regulators) * self.n_genes))
        filled = empty.scatter(-1, self._place.expand(weights.shape), weights)
        matrix = filled.reshape(*shape, len(self.regulators), self.n_genes)
        if len(self.regulators) == self.n_genes:
            return lambda x: x @ matrix
        return lambda x: x.index_select(-1, self.regulators) @ matrix

    def _sparse(self, x: Tensor, weights: Tensor) -> Tensor:
        if weights.ndim == 1:
            return _sparse(x, weights, self)
        return torch.stack([_sparse(part, row, self) for part, row in zip(x, weights, strict=True)])

    @cached_property
    def by_target(self) -> _Rows:
        """Rows of targets with columns of sources."""
        return _rows(self.target, self.source, self.n_genes)

    @cached_property
    def by_source(self) -> _Rows:
        """Rows of sources with columns of targets."""
        return _rows(self.source, self.target, self.n_genes)


class _Sparse(torch.autograd.Function):
    """x W edge by edge; gradients of weights are summed at edges only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, edges: Edges) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.edges = edges
        return edges.by_target.product(weights, _by_gene(x)).T.reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weights = ctx.saved_tensors
        edges: Edges = ctx.edges
        slopes = _by_gene(gradients[0])  # (G, n)
        of_x = of_weights = None
        if ctx.needs_input_grad[0]:
            of_x = edges.by_source.product(weights, slopes).T.reshape(x.shape)
        if ctx.needs_input_grad[1]:
            of_weights = (_by_gene(x)[edges.source] * slopes[edges.target]).sum(dim=1)
        return of_x, of_weights, None


def _sparse(x: Tensor, weights: Tensor, edges: Edges) -> Tensor:
    product: Tensor = _Sparse.apply(x, weights, edges)  # type: ignore[no-untyped-call]
    return product


def _by_gene(x: Tensor) -> Tensor:
    """Values of cells (..., G) as (G, n)."""
    return x.reshape(-1, x.shape[-1]).T.contiguous()
