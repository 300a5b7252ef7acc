"""What became of every gene name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import one_voice
from grn._object.genes import column
from grn._object.modalities import from_mudata

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_COLUMNS = {
    "grn_symbol": "symbol",
    "grn_ensembl": "ensembl",
    "grn_status": "status",
    "grn_how": "how",
    "is_regulator": "is_regulator",
}


@one_voice
@from_mudata
def gene_report(adata: AnnData | MuData, *, rna: str = "rna") -> pd.DataFrame:
    """Return how every gene of the object was matched to a human gene.

    Parameters
    ----------
    adata
        AnnData after ``grn.pp.align_genes``.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.

    Returns
    -------
    DataFrame indexed by ``var_names`` with those of ``symbol``, ``ensembl``, ``status`` (kept, ambiguous, lost),
    ``how`` (exact, ensembl, alias, ortholog, none) and ``is_regulator`` that the object has; a copy. The numbers and
    strings of ``uns["grn_genes"]`` are in its ``attrs``.

    Raises
    ------
    ResultNotFoundError
        The genes have not been aligned.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> var = pd.DataFrame({"grn_symbol": ["SPI1", ""], "grn_status": ["kept", "lost"]}, index=["PU.1", "junk"])
    >>> grn.get.gene_report(AnnData(np.ones((2, 2)), var=var))["status"].tolist()
    ['kept', 'lost']
    """
    if not (hasattr(adata, "var") and hasattr(adata, "uns")):
        raise ParameterError(f"adata has type {type(adata).__name__}; pass an AnnData.")
    there = [name for name in _COLUMNS if name in adata.var]
    if not any(name.startswith("grn_") for name in there):
        raise ResultNotFoundError(
            "var has none of the columns grn_symbol, grn_ensembl, grn_status, grn_how. "
            "Make them with grn.pp.align_genes(adata)."
        )
    report = pd.DataFrame({_COLUMNS[name]: column(adata.var, name) for name in there}, index=adata.var_names)
    summary = adata.uns.get("grn_genes", {})
    if isinstance(summary, Mapping):
        report.attrs = {name: value for name, value in summary.items() if np.isscalar(value)}
    return report
