"""Which regulators a method may use for each target, as a base GRN says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from grn._core.errors import GeneOverlapError, NetworkError, ParameterError
from grn._core.logging import hint


def candidates(
    base_grn: pd.DataFrame | None, names: np.ndarray, sources: np.ndarray, targets: np.ndarray
) -> list[np.ndarray]:
    """Give the candidate regulators of every target.

    Parameters
    ----------
    base_grn
        Table of :func:`grn.pp.base_grn`; several rows per pair (regions) count once. ``None``: every source may
        regulate every target.
    names
        Names of all genes (n_vars,).
    sources, targets
        Positions in ``names``, sorted (S,), (T,).

    Returns
    -------
    list of ndarray
        Per target, in the order given, sorted positions in ``names``; never the target itself.

    Raises
    ------
    ParameterError, NetworkError
        If the table is no DataFrame, or lacks columns or names.
    GeneOverlapError
        If no pair of the table is a pair of a source and a target.
    """
    if base_grn is None:
        return [sources[sources != target] for target in targets]
    if not isinstance(base_grn, pd.DataFrame):
        raise ParameterError(
            f"base_grn has type {type(base_grn).__name__}; pass the table that grn.pp.base_grn(...) returns."
        )
    missing = [column for column in ("source", "target") if column not in base_grn]
    if missing:
        raise NetworkError(
            f"base_grn lacks {', '.join(missing)}; call base_grn = grn.pp.base_grn(table, adata=adata) first."
        )
    source = pd.Index(names[sources]).get_indexer(base_grn["source"].astype(object))
    target = pd.Index(names[targets]).get_indexer(base_grn["target"].astype(object))
    pairs = np.unique(target[(source >= 0) & (target >= 0)] * len(sources) + source[(source >= 0) & (target >= 0)])
    row, column = np.divmod(pairs, len(sources))
    other = sources[column] != targets[row]
    row, column = row[other], column[other]
    if not len(row):
        raise GeneOverlapError(
            f"none of the {len(base_grn)} rows of base_grn joins one of the {len(sources)} sources to one of the "
            f"{len(targets)} targets; the table has for example {[str(n) for n in base_grn['source'].head(3)]}, the "
            f"sources are {[str(n) for n in names[sources[:3]]]}. Call grn.pp.base_grn(table, adata=adata)."
        )
    bounds = np.searchsorted(row, np.arange(len(targets) + 1))
    found = [sources[column[low:high]] for low, high in pairwise(bounds)]
    without = [str(names[target]) for target, own in zip(targets, found, strict=True) if not len(own)]
    if without:
        hint("%d targets have no regulator in base_grn: %s", len(without), ", ".join(without[:5]))
    return found
