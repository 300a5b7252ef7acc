"""Which genes take part in the equation, and which of them may regulate which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import ExpressionError
from grn._core.logging import hint
from grn.methods.cells import none_varies, report_constant
from grn.methods.inputs import Inputs

# cells x genes of a look at which genes vary
MANY_WEIGHTS = 1_000_000


@dataclass(frozen=True)
class Wiring:
    """Genes and edges.

    Parameters
    ----------
    genes
        Positions of the genes in the object (G,).
    source, target
        Edges (E,) between them, as places in ``genes``.
    order
        1 for edges of the prior, -1 for reversed ones, 2 for those that stand for two steps (E,).
    """

    genes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    order: np.ndarray


def wiring_of(
    inputs: Inputs,
    base_grn: pd.DataFrame | None,
    *,
    min_cells: int,
    symmetrize: bool,
    second_order: bool,
    parity: bool,
) -> Wiring:
    """Genes that have an edge, vary and are seen, and the edges between them.

    With ``parity`` all genes of the object take part, in its order; else in the order of their names.
    """
    table = inputs.prior(base_grn)
    listed = None if table is None else sorted(set(table["source"].astype(str)))
    cells = inputs.read_cells(min_cells=0 if parity else min_cells, sources=listed)
    if len(cells.groups) > 1 or cells.groups[0]:
        raise ExpressionError("flecs fits one equation to a whole trajectory; leave groupby= out.")
    targets, sources = np.nonzero(inputs.allowed(base_grn))
    source, target = cells.sources[sources], cells.targets[targets]
    usable = np.ones(len(cells.names), dtype=bool)
    if not parity:
        mean, spread = cells.expression.moments()
        constant = spread <= 1e-6 * np.abs(mean)
        taking_part = np.isin(np.arange(len(constant)), np.union1d(source, target))
        report_constant(cells.names, constant & taking_part & ~cells.rare[0], "")
        usable = ~constant & ~cells.rare[0]
    there = usable[source] & usable[target]
    if not there.any():
        raise none_varies(cells.groups)
    source, target = source[there], target[there]
    genes = np.arange(len(cells.names)) if parity else np.union1d(source, target)
    if not parity:
        genes = genes[np.argsort(cells.names[genes], kind="stable")]
    place = np.empty(len(cells.names), dtype=np.int64)
    place[genes] = np.arange(len(genes))
    edges = _edges(place[source], place[target], len(genes), symmetrize=symmetrize, second_order=second_order)
    if len(edges[0]) > MANY_WEIGHTS:
        hint("flecs: %d weights of edges, which paths of cells hardly tell apart; base_grn= names fewer", len(edges[0]))
    return Wiring(genes, *edges)


def _edges(
    source: np.ndarray, target: np.ndarray, n_genes: int, *, symmetrize: bool, second_order: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges by source and target, with their order."""
    shape = (n_genes, n_genes)
    prior = sparse.csr_array((np.ones(len(source)), (source, target)), shape=shape)
    layers = [(1, prior)]
    if symmetrize:
        layers.append((-1, prior.T))
    if second_order:
        whole = sparse.csr_array(prior + prior.T) if symmetrize else prior
        layers.append((2, whole @ whole))
    pairs, kinds = [], []
    for kind, layer in layers:
        row, column = layer.nonzero()
        other = row != column
        pairs.append(row[other].astype(np.int64) * n_genes + column[other])
        kinds.append(np.full(int(other.sum()), kind))
    # an edge that comes about in several ways is of the first kind
    edges, first = np.unique(np.concatenate(pairs), return_index=True)
    return edges // n_genes, edges % n_genes, np.concatenate(kinds)[first]
