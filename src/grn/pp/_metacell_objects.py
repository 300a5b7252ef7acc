"""Objects of metacells."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ExpressionError
from grn._core.logging import logger, root_left_alone
from grn._kernels.averages import averages
from grn._object.expression import select
from grn._object.modalities import is_mudata

KEY = "metacells"


def averaged(part: AnnData, members: sparse.csr_matrix, obs: pd.DataFrame, name: str) -> AnnData:
    """An object of means of cells (m, n) with all that ``part`` says of its features."""
    matrices = {layer: averages(select(part, layer, use_raw=False), members) for layer in (None, *part.layers)}
    X = matrices.pop(None)
    bad = int((~np.isfinite(X.data if sparse.issparse(X) else X)).sum())
    if bad:
        raise ExpressionError(
            f"{f'mdata[{name!r}]' if name else 'adata'}.X holds NaN or infinite values, and {bad} means with it; "
            "leave out the cells or features, or say what is not known: np.nan_to_num."
        )
    # an object of no cells has all that is known of features, also of a view and of a file
    known = part.to_memory() if part.isbacked and part.is_view else part[:0].to_memory()
    return AnnData(
        X=X,
        obs=obs.copy(),
        var=known.var,
        layers=matrices,
        varm=dict(known.varm),
        varp=dict(known.varp),
        uns=deepcopy(dict(known.uns)),
    )


def cut(atac: AnnData, cap: float, name: str) -> None:
    """Let no mean of a region be above ``cap``."""
    values = atac.X.data if sparse.issparse(atac.X) else atac.X
    above = int((values > cap).sum())
    if above:
        np.minimum(values, cap, out=values)
        logger.info("metacells: %d means of mdata[%r] above %g were cut there", above, name, cap)


def together(data: Any, made: Mapping[str, AnnData], label: pd.Series, params: dict[str, Any]) -> Any:
    """One AnnData, or a MuData with the entries of ``uns`` of the one it was made from."""
    if not is_mudata(data):
        (result,) = made.values()
    else:
        from mudata import MuData, set_options

        with root_left_alone(), set_options(pull_on_update=False):
            result = MuData(dict(made))
        result.obs[label.name] = label.reindex(result.obs_names)
        result.uns = deepcopy(dict(data.uns))
    result.uns[KEY] = {"params": params}
    return result
