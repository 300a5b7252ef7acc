"""What tells the direction of an edge: the words of the column ``direction``, and how edges are shown by them."""

from __future__ import annotations

import numpy as np
import pandas as pd

# strongest evidence first; the two last are none
EVIDENCE = ("motif", "prior", "response")
ROLE, NONE = "role", "none"
WORDS = (*EVIDENCE, ROLE, NONE)


def tells(column: pd.Series) -> bool:
    """Whether more than the list of regulators tells the direction of at least one edge of a canonical column."""
    return bool({*column.cat.categories} & {*EVIDENCE})


def oriented(edges: pd.DataFrame, *, directed: bool) -> np.ndarray:
    """Mask of the edges that point somewhere, by evidence or by role; without the column all or none."""
    if "direction" not in edges:
        return np.full(len(edges), directed)
    return (edges["direction"].astype(object) != NONE).to_numpy(dtype=bool)


def as_drawn(edges: pd.DataFrame, *, directed: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Edges as a picture has them, and a mask of those with an arrow.

    Of a pair that points nowhere the stronger of both rows stays, of a pair with direction the rows that have it;
    within each group. Rows must be sorted, strongest first.
    """
    points = oriented(edges, directed=directed)
    if points.all():
        return edges, points
    pair = _pair_codes(edges)
    elsewhere = np.isin(pair, pair[points])
    again = pd.Series(pair).duplicated().to_numpy()
    stays = points | ~(elsewhere | again)
    return edges[stays], points[stays]


def both_ways(edges: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    """Edges for graphs that know arrows only: an edge that points nowhere becomes one in each direction."""
    if points.all():
        return edges
    other = ~points & (edges["source"].astype(object) != edges["target"].astype(object)).to_numpy()
    turned = edges[other].rename(columns={"source": "target", "target": "source"})[list(edges.columns)]
    ends = {end: pd.concat([edges[end].astype(object), turned[end].astype(object)]) for end in ("source", "target")}
    rest = {name: pd.concat([edges[name], turned[name]]) for name in edges.columns if name not in ends}
    # beside each other, as they were sorted
    order = np.argsort(np.append(np.arange(len(edges)), np.flatnonzero(other)), kind="stable")
    return pd.DataFrame({**ends, **rest})[list(edges.columns)].iloc[order].reset_index(drop=True)


def _pair_codes(edges: pd.DataFrame) -> np.ndarray:
    """One integer per unordered pair of genes and group."""
    source, target = edges["source"].astype(object).to_numpy(), edges["target"].astype(object).to_numpy()
    codes, names = pd.factorize(np.concatenate([source, target]))
    first, second = codes[: len(edges)].astype(np.int64), codes[len(edges) :].astype(np.int64)
    code = np.minimum(first, second) * len(names) + np.maximum(first, second)
    if "group" not in edges:
        return np.asarray(code)
    return np.asarray(code + pd.factorize(edges["group"])[0].astype(np.int64) * len(names) ** 2)
