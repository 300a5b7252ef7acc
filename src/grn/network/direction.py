"""What tells the direction of an edge: the words of the column ``direction``, and how edges are shown by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

# strongest evidence first; the two last are none
EVIDENCE = ("motif", "prior", "response")
ROLE, NONE = "role", "none"
WORDS = (*EVIDENCE, ROLE, NONE)


def strength(column: pd.Series) -> np.ndarray:
    """Positions of the words of a categorical column in ``WORDS``, 0 for the strongest evidence."""
    return np.asarray(pd.Index(WORDS).get_indexer(column.cat.categories)[column.cat.codes], dtype=np.int8)


def words_of(positions: np.ndarray) -> pd.Categorical:
    """The column that says positions in ``WORDS``."""
    return pd.Categorical.from_codes(positions, categories=pd.Index(WORDS, dtype=object))


def strongest_evidence(edges: pd.DataFrame, networks: Sequence[tuple[pd.DataFrame, bool]]) -> pd.Categorical:
    """What tells the direction of edges: of every edge, the strongest evidence that one of several networks has.

    Of a directed network without the column, that it was known before; one without groups speaks for each group.

    Parameters
    ----------
    edges
        Edges of the networks, with categorical columns.
    networks
        Canonical tables, and whether each is directed.
    """
    words = np.full(len(edges), WORDS.index(NONE), dtype=np.int8)
    for table, directed in networks:
        if "direction" not in table and not directed:
            continue
        grouped = "group" in edges and "group" in table
        keys, there = _numbers(edges, table, grouped=grouped), _numbers(table, table, grouped=grouped)
        said = strength(table["direction"]) if "direction" in table else np.full(len(table), WORDS.index("prior"))
        order = np.lexsort((said, there))
        at = np.searchsorted(there[order], keys).clip(max=max(0, len(there) - 1))
        known = there[order][at] == keys if len(there) else np.zeros(len(keys), dtype=bool)
        words[known] = np.minimum(words[known], said[order][at[known]])
    return words_of(words)


def _numbers(edges: pd.DataFrame, table: pd.DataFrame, *, grouped: bool) -> np.ndarray:
    """One integer per edge by the names that a table has; -1 for edges with others."""
    number, known = np.zeros(len(edges), dtype=np.int64), np.ones(len(edges), dtype=bool)
    for name in (*(["group"] if grouped else []), "source", "target"):
        names = table[name].cat.categories
        place = names.get_indexer(edges[name].cat.categories)[edges[name].cat.codes].astype(np.int64)
        known &= place >= 0
        number = number * max(1, len(names)) + place
    return np.where(known, number, -1)


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
