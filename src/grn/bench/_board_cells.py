"""Which cells a reference is read with: its own, or those of the corpus under its names."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grn.datasets.reference import Reference
from grn.genes import resolve


def cells_of(reference: Reference, stand_in: AnnData | None) -> tuple[AnnData | None, str]:
    """Cells of the data set if they cover its genes, else stand-ins, and which they are."""
    cells = reference.expression
    if (
        cells is not None
        and cells.n_obs >= 3
        and np.isin(reference.genes, np.asarray(cells.var_names, dtype=str)).all()
    ):
        return cells, "own"
    if stand_in is None:
        return None, "none"
    return _stand_in(reference, stand_in), "stand-in"


def _stand_in(reference: Reference, cells: AnnData) -> AnnData:
    """Stand-in cells under the names of the reference; genes they lack are constant and respond to nothing."""
    symbols = resolve(reference.genes, organism=reference.organism, orthologs="syntenic")["symbol"].to_numpy(dtype=str)
    columns = pd.Index(cells.var_names).get_indexer(symbols)
    values = cells.X.toarray() if hasattr(cells.X, "toarray") else np.asarray(cells.X)
    picked = np.where(columns >= 0, values[:, columns], 0.0).astype(np.float32)
    return AnnData(picked, obs=cells.obs.copy(), var=pd.DataFrame(index=reference.genes))
