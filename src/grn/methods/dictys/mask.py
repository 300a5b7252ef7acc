"""Who may regulate whom: the strongest regulators of every target in a table with scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn._core.logging import hint
from grn._kernels.intervals import DECAY
from grn.methods.cells import pair_places
from grn.methods.inputs import Inputs


def with_decay(base_grn: pd.DataFrame | None) -> pd.DataFrame | None:
    """A base GRN whose scores fall with the distance of the region from the start of the gene, where it has both.

    The score of a motif becomes its logarithm, less one decade per million bases.
    """
    if not isinstance(base_grn, pd.DataFrame) or not {"score", "distance"} <= set(base_grn.columns):
        return base_grn
    score = pd.to_numeric(base_grn["score"]).to_numpy(np.float64)
    if not (score > 0).all():
        raise NetworkError(
            f"{int((~(score > 0)).sum())} scores of base_grn= are not above 0, so they have no logarithm; leave these "
            "rows out, or drop the column 'distance' to use scores as they are."
        )
    distance = pd.to_numeric(base_grn["distance"]).abs().fillna(0.0).to_numpy(np.float64)
    return base_grn.assign(score=np.log(score) - DECAY * distance)


def strongest(scores: np.ndarray, names: np.ndarray, n_regulators: int) -> np.ndarray:
    """Mask (T, S) of the ``n_regulators`` highest scores of every target; of equal ones the first by name.

    Parameters
    ----------
    scores
        Scores (T, S), -inf for no link.
    names
        Names of the regulators (S,).
    n_regulators
        Most regulators of a target.
    """
    by_name = np.argsort(names, kind="stable")
    order = by_name[np.argsort(-scores[:, by_name], axis=1, kind="stable")]  # (T, S)
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, order[:, :n_regulators], values=True, axis=1)
    return chosen & np.isfinite(scores)


def regulator_mask(inputs: Inputs, base_grn: pd.DataFrame | None, n_regulators: int | None) -> np.ndarray:
    """Mask (T, S) of the pairs of a target and a regulator that may be edges."""
    cells, allowed = inputs.cells, inputs.allowed(base_grn)
    table = inputs.prior(base_grn)
    if n_regulators is None or table is None or "score" not in table:
        most = int(allowed.sum(axis=1).max(initial=0))
        if n_regulators is not None and most > n_regulators:
            hint("dictys: without scores in base_grn= all its regulators are used, up to %d per target", most)
        return allowed
    scores = np.full(allowed.shape, -np.inf)
    rows, columns = pair_places(table, cells)
    inside = (rows >= 0) & (columns >= 0)
    np.maximum.at(scores, (rows[inside], columns[inside]), table["score"].to_numpy(np.float64)[inside])
    scores[~allowed] = -np.inf
    return strongest(scores, cells.names[cells.sources], n_regulators)
