"""Correlation of every regulator with every target: the baseline that needs no explanation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._kernels.correlate import pearson, spearman
from grn.methods.cells import FEWEST, cells_of, report_constant
from grn.methods.edges import to_network
from grn.methods.pairs import allowed_pairs, spread
from grn.methods.record import METHODS, Method, Task
from grn.network import Network

_KINDS = {"pearson": pearson, "spearman": spearman}


def fit(
    adata, task: Task, *, kind: str = "pearson", base_grn: pd.DataFrame | None = None, min_cells: int = FEWEST
) -> Network:
    """Correlate.

    Parameters
    ----------
    adata
        The object.
    task
        Genes, cells and groups.
    kind
        ``"pearson"`` or ``"spearman"``, on log-normalised values.
    base_grn
        Table ``source, target`` of the pairs to list; ``None`` lists all.
    min_cells
        Fewest cells of a group in which a gene must be above zero to have edges there; 0 for no limit.
    """
    if kind not in _KINDS:
        raise ParameterError(f"kind={kind!r} is unknown; use {' or '.join(map(repr, _KINDS))}.")
    cells = cells_of(adata, task, min_cells=min_cells)
    allowed = allowed_pairs(adata, cells, base_grn)

    def group_fit(group: str, members: np.ndarray) -> dict[str, np.ndarray] | None:
        found = _KINDS[kind](cells.expression.rows, members, cells.sources, cells.targets).T
        rare, varies = cells.rare_in(group), ~np.isnan(found)
        known = varies & ~rare[cells.targets][:, None] & ~rare[cells.sources]
        if not known.any():
            return None
        constant = np.zeros(len(cells.names), dtype=bool)
        constant[cells.targets] = ~varies.any(axis=1)
        constant[cells.sources] = ~varies.any(axis=0)
        report_constant(cells.names, constant & ~rare, group)
        return {"weight": spread(cells, found, allowed & known)}

    parts, told = cells.each(group_fit)
    params = {"kind": kind, "base_grn": base_grn is not None, "min_cells": min_cells, **told}
    # a correlation has no direction: an edge leads from the gene that is a regulator
    return to_network(cells.names, cells.sources, parts, params=params, signed=True, directed=False)


METHODS.add(
    "correlation",
    Method(
        "correlation",
        fit,
        "Pearson or Spearman correlation with every regulator; no direction but who is a regulator",
        signed=True,
        probability=False,
        needs=("cells",),
        reference="baseline",
        reads_model=False,
    ),
)
