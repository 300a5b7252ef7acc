"""Correlation of every regulator with every target: the baseline that needs no explanation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError
from grn._kernels.correlate import pearson, spearman
from grn.methods._cells import cells_of, report_constant
from grn.methods._edges import to_network
from grn.methods._pairs import allowed_pairs, none_varies, spread
from grn.methods._record import METHODS, Method, Task
from grn.network import Network

_KINDS = {"pearson": pearson, "spearman": spearman}


def fit(adata, task: Task, *, kind: str = "pearson", base_grn: pd.DataFrame | None = None) -> Network:
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
    """
    if kind not in _KINDS:
        raise ParameterError(f"kind={kind!r} is unknown; use {' or '.join(map(repr, _KINDS))}.")
    cells = cells_of(adata, task)
    allowed = allowed_pairs(adata, cells, base_grn)
    parts = []
    for group, members in cells:
        found = _KINDS[kind](cells.expression.rows, members, cells.sources, cells.targets).T
        known = ~np.isnan(found)
        if not known.any():
            raise none_varies(group)
        constant = np.zeros(len(cells.names), dtype=bool)
        constant[cells.targets] = ~known.any(axis=1)
        constant[cells.sources] = ~known.any(axis=0)
        report_constant(cells.names, constant, group)
        parts.append((group, {"weight": spread(cells, found, allowed & known)}))
    params = {"kind": kind, "base_grn": base_grn is not None}
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
