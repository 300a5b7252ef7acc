"""From matrices (targets, sources) to an edge table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn.network import Network


def to_network(
    names: np.ndarray,
    sources: np.ndarray,
    parts: Sequence[tuple[str, Mapping[str, np.ndarray]]],
    *,
    params: Mapping[str, Any],
    signed: bool,
    directed: bool = True,
) -> Network:
    """Build a network from one set of matrices per group.

    Parameters
    ----------
    names
        Gene names (n_vars,).
    sources
        Rows that are sources (S,).
    parts
        Per group its name (``""`` without grouping) and matrices (n_vars, S): ``weight``, and optionally
        ``probability``, ``sign``, ``score``. Pairs whose weight is NaN are left out.
    params
        Provenance.
    signed
        Whether weights carry a sign.
    directed
        Whether a pair has a direction.
    """
    frames = []
    for group, columns in parts:
        target, source = np.nonzero(~np.isnan(columns["weight"]))
        frame = pd.DataFrame(
            {
                "source": pd.Categorical.from_codes(source, categories=names[sources]),
                "target": pd.Categorical.from_codes(target, categories=names),
            }
        )
        for column in ("weight", "sign", "probability", "score"):
            if column in columns:
                frame[column] = columns[column][target, source].astype(np.float64)
        if group:
            frame["group"] = group
        frames.append(frame)
    edges = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if "group" in edges:
        order = [group for group, _ in parts]
        edges["group"] = pd.Categorical(edges["group"], categories=order)
    return Network(edges, genes=names, directed=directed, signed=signed, params=dict(params))
