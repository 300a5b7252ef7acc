"""Log-normalised values of an object, read lazily."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import ExpressionError, GeneNameError, LayerError
from grn._core.logging import logger
from grn._kernels.matrix_parts import clipped, only
from grn._kernels.scan import Scan, scan, settled
from grn._object.expression import Expression, label, note, select, view_of
from grn._object.genes import gene_mask
from grn._object.remedy import remedy


def expression(adata: AnnData, *, layer: str | None = None, use_raw: bool = False, values: str = "auto") -> Expression:
    """Give a lazy view on log-normalised values of the genes in ``adata.var_names``.

    Parameters
    ----------
    adata
        The object.
    layer
        Layer to read; ``None`` reads ``adata.X``.
    use_raw
        Read ``adata.raw``, restricted to ``adata.var_names`` after normalising over all its genes.
    values
        What the values are: ``"counts"``, ``"linear"``, ``"log"``, or ``"auto"`` to find out.

    Raises
    ------
    ExpressionError
        For scaled or negative values, NaN, only zeros, or no cells; names the matrix that fits.
    LayerError
        If the layer or ``.raw`` does not exist, or ``.raw`` lacks genes of the object.
    """
    return view_of(
        adata, layer, lambda: _read(adata, layer, use_raw=use_raw, values=values), use_raw=use_raw, values=values
    )


def counts(adata: AnnData, *, layer: str | None = None, use_raw: bool = False, values: str = "auto") -> Expression:
    """Give the view of :func:`expression` where the matrix holds raw counts; names the matrix that does where not."""
    view = expression(adata, layer=layer, use_raw=use_raw, values=values)
    if view.kind != "counts":
        seen = scan(select(adata, layer, use_raw=use_raw))
        raise ExpressionError(
            f"{label(layer, use_raw=use_raw)} is on a {view.kind} scale ({view.decision.why}); the method models raw "
            f"counts. {remedy(adata, ('counts',), layer, use_raw=use_raw, seen=seen)}"
        )
    return view


def _read(adata: AnnData, layer: str | None, *, use_raw: bool, values: str) -> Expression:
    """Look at a matrix, and decide on what scale it is."""
    matrix = select(adata, layer, use_raw=use_raw)
    where = label(layer, use_raw=use_raw)
    if 0 in matrix.shape:
        raise ExpressionError(
            f"{where} has {matrix.shape[0]} cells and {matrix.shape[1]} genes; both must be at least 1."
        )
    columns = _raw_columns(adata) if use_raw else None
    genes_only = gene_mask(adata, raw=use_raw)
    if genes_only is not None:
        matrix = only(matrix, genes_only)
    seen = scan(matrix)
    problem = _problem(seen)
    if problem:
        fix = remedy(adata, ("log", "counts", "linear"), layer, use_raw=use_raw, seen=seen)
        raise ExpressionError(f"{where} holds {problem}. {fix}")
    decision = settled(seen, values, where)
    note(decision)
    if decision.kind == "linear":
        logger.info("%s is linear (%s): normalised and log-transformed like counts", where, decision.why)
    return Expression(clipped(matrix) if seen.noise else matrix, decision, columns, totals=seen.totals)


def _problem(seen: Scan) -> str:
    """What is wrong with values, if anything is."""
    if seen.n_nan or seen.n_infinite:
        negative = f" (beside {seen.n_negative} negative ones)" if seen.kind == "scaled" else ""
        return f"{seen.n_nan} NaN and {seen.n_infinite} infinite values{negative}; expected finite expression"
    if seen.kind == "scaled":
        return (
            f"negative values (minimum {seen.low:.3g}), so it is scaled or centred; expected counts or log-normalised "
            "values"
        )
    return "only zeros; expected expression" if seen.kind == "empty" else ""


def _raw_columns(adata: AnnData) -> np.ndarray | None:
    names = pd.Index(adata.raw.var_names)
    if names.equals(adata.var_names):
        return None
    if not names.is_unique:
        raise GeneNameError("adata.raw has duplicated gene names; use layer= instead of use_raw=True.")
    columns = names.get_indexer(adata.var_names)
    missing = adata.var_names[columns < 0]
    if len(missing):
        raise LayerError(
            f"adata.raw lacks {len(missing)} genes of adata.var_names, for example {list(missing[:5])}; "
            "use layer= instead, or adata = adata[:, adata.var_names.isin(adata.raw.var_names)]."
        )
    return columns
