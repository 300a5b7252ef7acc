"""Which edges of a network a figure shows."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import pandas as pd

# a regulator has a sixth of the edges of a picture, and ten at least, before others must leave room
_SHARES, _LEAST_SHARE = 6, 10


def strongest(table: pd.DataFrame, *, max_edges: int, max_genes: int) -> pd.DataFrame:
    """Edges in the order of the table, as long as both limits hold, none from a regulator that crowds others out.

    A regulator has its share of the edges first, and more only where others leave room.
    """
    sources = table["source"].astype(str)
    share = max(_LEAST_SHARE, -(-max_edges // min(_SHARES, max(1, sources.nunique()))))
    first = (sources.groupby(sources).cumcount() < share).to_numpy()
    rows = [*np.flatnonzero(first).tolist(), *np.flatnonzero(~first).tolist()]
    taken = _admit(table, rows, set(), max_edges=max_edges, max_genes=max_genes)
    return table.iloc[sorted(taken)]


def around(table: pd.DataFrame, focus: list[str], *, hops: int, max_edges: int, max_genes: int) -> pd.DataFrame:
    """Edges around focus genes: nearest first, strongest first, then those among the outermost genes."""
    steps = _steps(table, focus, hops)
    near = [
        (min(steps[source], steps[target]), row)
        for row, (source, target) in enumerate(zip(table["source"], table["target"], strict=True))
        if source in steps and target in steps
    ]
    rows = [row for _, row in sorted(near)]
    return table.iloc[_admit(table, rows, set(focus), max_edges=max_edges, max_genes=max_genes, attached=True)]


def _steps(table: pd.DataFrame, focus: list[str], hops: int) -> dict[str, int]:
    neighbours: dict[str, set[str]] = defaultdict(set)
    for source, target in zip(table["source"], table["target"], strict=True):
        neighbours[source].add(target)
        neighbours[target].add(source)
    steps = dict.fromkeys(focus, 0)
    queue = deque(focus)
    while queue:
        gene = queue.popleft()
        if steps[gene] == hops:
            continue
        for other in sorted(neighbours[gene]):
            if other not in steps:
                steps[other] = steps[gene] + 1
                queue.append(other)
    return steps


def _admit(
    table: pd.DataFrame,
    rows: range | list[int],
    genes: set[str],
    *,
    max_edges: int,
    max_genes: int,
    attached: bool = False,
) -> list[int]:
    """Take rows in turn; skip those that need too many genes or, if ``attached``, hang on no gene taken so far."""
    taken: list[int] = []
    sources, targets = table["source"].to_numpy(), table["target"].to_numpy()
    for row in rows:
        if len(taken) == max_edges:
            break
        pair = {sources[row], targets[row]}
        if len(genes | pair) > max_genes or (attached and not pair & genes):
            continue
        genes |= pair
        taken.append(row)
    return taken
