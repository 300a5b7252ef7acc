"""Curves of probes for the edges of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn import get
from grn._core.entries import feature_entry
from grn._core.errors import GrnError
from grn._core.logging import hint, logger
from grn.network import Network

USUAL = ("vvp", "gradient_trajectory")
# numbers that a page holds at most, some 4 MB
MOST_NUMBERS = 500_000


def curve_content(owner: Any, net: Network, keys: Sequence[str] | None) -> list[dict[str, Any]]:
    """Curves by probe and group, a list of numbers per edge or None where there are none.

    Parameters
    ----------
    owner
        The object with the features, or what has none.
    net
        The network that is shown.
    keys
        Slots of probes; None for the usual ones that the object has in ``varm``.
    """
    there = getattr(owner, "varm", {})
    # a store may be far away: only what lies in the object is taken unasked
    wanted = [key for key in USUAL if key in there and key in owner.uns] if keys is None else list(keys)
    curves = []
    for key in wanted:
        try:
            curves += _of_probe(owner, net, key)
        except GrnError as error:
            if keys is not None:
                raise
            logger.warning("left out the curves of %r: %s", key, error)
    size = sum(len(curve["grid"]) for curve in curves) * len(net)
    if size > MOST_NUMBERS and keys is None:
        hint(
            "left out the curves of %s: %d numbers for %d edges are too many for a page; pass a smaller max_edges=",
            ", ".join(wanted), size, len(net),
        )  # fmt: skip
        return []
    return curves


def _of_probe(owner: Any, net: Network, key: str) -> list[dict[str, Any]]:
    features = get.features(owner, key=key)
    params = feature_entry(owner, key).mapping("params")
    labels = features.groups if features.groups is not None else np.full(len(features.grid), "", dtype=object)
    edges = net.edges
    rows = zip(_places(features.targets, edges["target"]), _places(features.sources, edges["source"]), strict=True)
    where = list(rows)
    made = []
    for group in dict.fromkeys(labels):
        points = np.flatnonzero(labels == group)
        points = points[np.argsort(features.grid[points], kind="stable")]
        made.append(
            {
                "key": key,
                "group": str(group),
                "grid": [float(f"{value:.6g}") for value in features.grid[points]],
                "scale": str(features.value_scale).replace("_", " ").split(" of ")[0],
                "gradient": "gradient" in key,
                "virtual": params.text("context", "virtual") == "virtual",
                "baseline": params.number("baseline", 0.0),
                "values": [_curve(features.values, row, points) for row in where],
            }
        )
    return made


def _places(names: np.ndarray, column: pd.Series) -> list[int]:
    """Position among names of every value of a categorical column, -1 where it is not there."""
    at = pd.Index(names.astype(str)).get_indexer(column.cat.categories)
    return [int(place) for place in np.asarray(at)[column.cat.codes]]


def _curve(values: np.ndarray, row: tuple[int, int], points: np.ndarray) -> list[float | None] | None:
    target, source = row
    if min(row) < 0:
        return None
    curve = values[target, source, points]
    if not np.isfinite(curve).any():
        return None
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in curve.tolist()]
