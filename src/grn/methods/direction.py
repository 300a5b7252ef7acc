"""What tells the direction of the edges that a method makes: motifs, a prior, responses, or the list of regulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grn._kernels.asymmetry import asymmetry
from grn.methods.inputs import Inputs
from grn.methods.record import Method
from grn.network import Network
from grn.network.direction import EVIDENCE, NONE, ROLE, WORDS, strength, words_of


def with_direction(network: Network, record: Method, inputs: Inputs, arguments: Mapping[str, Any]) -> Network:
    """Write the column ``direction`` of a network, by the strongest evidence that each edge has.

    Motif: the base GRN that the method was given holds a motif of the source at the target and none of the target at
    the source. Prior: a list of edges has this edge and not the reverse. Where it has groups of its own and the method
    was asked for groups, each group of cells is told by its own edges. Response: a method whose record says
    ``direction="response"`` finds that the target answers the source clearly more than the source the target, see
    :func:`grn._kernels.asymmetry.asymmetry`. Role: the target is no regulator. A method that knows more writes the
    column itself; its words stay unless role or a prior say more. A prior that says what tells the direction of its own
    edges counts with those that have evidence.

    Parameters
    ----------
    network
        All edges, before the method chooses some to list.
    record, inputs, arguments
        The method, what it was asked, and all its parameters.
    """
    edges = network._edges
    source, target = _places(edges, inputs.names)
    words = np.full(len(edges), WORDS.index(NONE), dtype=np.int8)
    words[~_regulators(inputs, source)[target]] = WORDS.index(ROLE)
    params = dict(network.params)
    if "direction" in edges:
        words = np.minimum(words, strength(edges["direction"]))
    elif record.direction == "response":
        stronger, params["direction"] = _by_response(edges, source, target)
        words[stronger] = WORDS.index("response")
    for name in ("base_grn", *record.edge_tables):
        if arguments.get(name) is not None:
            for group, table in _tables(inputs, name, arguments[name]):
                rows = np.arange(len(edges)) if group is None else np.flatnonzero(edges["group"].astype(str) == group)
                by_prior = _by_prior(table, inputs.names, source[rows], target[rows])
                words[rows] = np.minimum(words[rows], by_prior)
    return network._with_column("direction", words_of(words)).replace(params=params)


def _places(edges: pd.DataFrame, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of sources and targets in ``names``."""
    index = pd.Index(names, dtype=object)
    first, second = (
        index.get_indexer(edges[side].cat.categories)[edges[side].cat.codes] for side in ("source", "target")
    )
    return first, second


def _regulators(inputs: Inputs, source: np.ndarray) -> np.ndarray:
    """Mask of the genes that are known to regulate, or are asked about as sources."""
    mask: np.ndarray = inputs.regulators.copy()
    mask[source] = True
    if inputs.task.sources is not None:
        mask[np.isin(inputs.names, list(inputs.task.sources))] = True
    return mask


def _by_response(edges: pd.DataFrame, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Mask of the edges whose target answers clearly more, and what was measured per group."""
    values = edges["score" if "score" in edges else "weight"].to_numpy()
    groups = edges["group"].cat.categories.tolist() if "group" in edges else ["all"]
    group = edges["group"].cat.codes.to_numpy() if "group" in edges else np.zeros(len(edges), dtype=np.int8)
    # only genes that are sources and targets can answer each other
    genes = np.intersect1d(source, target)
    row, column = (np.searchsorted(genes, ends).clip(max=max(0, len(genes) - 1)) for ends in (source, target))
    inside = (genes[row] == source) & (genes[column] == target) if len(genes) else np.zeros(len(edges), dtype=bool)
    stronger = np.zeros(len(edges), dtype=bool)
    measured: dict[str, Any] = {}
    for number, name in enumerate(groups):
        mine = np.flatnonzero((group == number) & inside)
        response = np.full((len(genes), len(genes)), np.nan)
        response[row[mine], column[mine]] = values[mine]
        result = asymmetry(response)
        stronger[mine] = result.stronger[row[mine], column[mine]]
        measured[name] = {
            "pairs": result.pairs,
            "stronger_one_way": int(result.stronger.sum()),
            "antisymmetric_share": result.share,
            "correlation_of_both_ways": result.correlation,
        }
    return stronger, measured


def _by_prior(table: pd.DataFrame, names: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Positions in ``WORDS`` of what a table says of every edge: an edge that it has both ways points nowhere."""
    unknown = WORDS.index(NONE)
    if table.empty:
        return np.full(len(source), unknown)
    n, index = len(names), pd.Index(names, dtype=object)
    first, second = (index.get_indexer(table[side].astype(object)).astype(np.int64) for side in ("source", "target"))
    there = np.unique(first * n + second)
    pair, back = source.astype(np.int64) * n + target, target.astype(np.int64) * n + source
    word = WORDS.index(table.attrs["base_grn"]["evidence"])
    return np.where(np.isin(pair, there) & ~np.isin(back, there), word, unknown)


def _tables(inputs: Inputs, name: str, prior: Any) -> list[tuple[str | None, pd.DataFrame]]:
    """Pairs of a prior in names of the object, by group where it has groups and groups are asked for.

    Where the prior says which of its edges have evidence, these alone.
    """
    network = inputs.stored_network(prior) if isinstance(prior, str) and name != "base_grn" else prior
    edges = network._edges if isinstance(network, Network) else network
    if isinstance(network, Network) and not network.directed:
        edges = edges[:0]
    elif "direction" in edges:
        edges = edges[edges["direction"].isin(EVIDENCE)]
    elif name == "base_grn":
        return [(None, inputs.prior(edges))]
    if name == "base_grn" or inputs.task.groupby is None or "group" not in edges:
        return [(None, _matched(inputs, edges))]
    of_edge = edges["group"].astype(str)
    return [(group, _matched(inputs, edges[of_edge == group])) for group in inputs.groups[0]]


def _matched(inputs: Inputs, edges: pd.DataFrame) -> pd.DataFrame:
    """Edges in names of the object."""
    columns = [column for column in ("source", "target", "region") if column in edges]
    return edges if edges.empty else inputs.matched(edges[columns])
