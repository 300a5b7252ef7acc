"""Cistromes in an object: which regions belong to which transcription factor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ResultNotFoundError


def cistrome_matrix(adata: AnnData, key: str = "cistromes") -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Regions x cistromes of 0 and 1 (R, C), and whose they are: ``source`` and ``extended`` per column.

    Raises
    ------
    ResultNotFoundError
        If there are none under that key.
    """
    stored = adata.uns.get(key)
    columns = stored.get("columns") if isinstance(stored, Mapping) else None
    if key not in adata.varm or not isinstance(columns, pd.DataFrame):
        raise ResultNotFoundError(
            f"varm[{key!r}] holds no cistromes; call grn.tl.motif_enrichment(adata, ...) and grn.tl.cistromes(adata) "
            "first."
        )
    matrix = sparse.csr_matrix(adata.varm[key])
    return matrix, columns.astype({"source": str, "extended": bool}).reset_index(drop=True)


def cistrome_table(adata: AnnData, key: str = "cistromes") -> pd.DataFrame:
    """Cistromes as rows ``source, region, extended``, by source, direct ones first, in the order of the regions."""
    matrix, columns = cistrome_matrix(adata, key)
    at = matrix.tocoo()
    row, column = at.row[at.data != 0], at.col[at.data != 0]
    source = columns["source"].to_numpy(dtype=object).astype(str)[column]
    extended = columns["extended"].to_numpy()[column]
    order = np.lexsort([row, extended, source])
    return pd.DataFrame(
        {
            "source": source[order].astype(object),
            "region": adata.var_names.to_numpy(dtype=object)[row[order]],
            "extended": extended[order],
        }
    )


def store_cistromes(adata: AnnData, matrix: sparse.csr_matrix, columns: pd.DataFrame, *, key: str) -> None:
    """Write a matrix (R, C) of 0 and 1 whose columns a table ``source, extended, ...`` describes, row by row."""
    adata.varm[key] = sparse.csr_matrix(matrix, dtype=np.int8)
    adata.uns[key] = {"columns": columns.reset_index(drop=True)}
