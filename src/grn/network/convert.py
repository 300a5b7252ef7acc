"""Between edge tables, matrices and graph objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core.errors import NetworkError, ParameterError
from grn._core.logging import hint
from grn._core.optional import require


def edges_to_csr(edges: pd.DataFrame, genes: Iterable[str]) -> sparse.csr_matrix:
    """Genes x genes, row = regulator; edges with an end outside ``genes`` are left out and logged."""
    index = pd.Index(list(genes), dtype=object)
    if not index.is_unique:
        raise ParameterError("genes holds repeated names; pass each gene once.")
    row = index.get_indexer(edges["source"].cat.categories)[edges["source"].cat.codes]
    column = index.get_indexer(edges["target"].cat.categories)[edges["target"].cat.codes]
    inside = (row >= 0) & (column >= 0)
    if not inside.all():
        hint("%d of %d edges have an end outside the given genes", int((~inside).sum()), len(edges))
    values = edges["weight"].to_numpy()[inside]
    return sparse.csr_matrix((values, (row[inside], column[inside])), shape=(len(index), len(index)))


def matrix_to_edges(matrix: Any, genes: Sequence[str]) -> pd.DataFrame:
    """Edge table of the stored non-zero entries, row = regulator."""
    try:
        weights = sparse.coo_matrix(matrix)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"matrix has type {type(matrix).__name__}; pass a 2-D array or a sparse matrix.") from error
    names = np.array(list(genes), dtype=object)
    if weights.shape != (len(names), len(names)):
        raise NetworkError(
            f"matrix has shape {weights.shape} and there are {len(names)} genes; it must be genes x genes."
        )
    weights.sum_duplicates()
    nonzero = weights.data != 0
    return pd.DataFrame(
        {"source": names[weights.row[nonzero]], "target": names[weights.col[nonzero]], "weight": weights.data[nonzero]}
    )


def attributes(edges: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Attributes of each edge as plain Python values; values that are not finite are left out."""
    columns = [name for name in edges.columns if name not in {"source", "target"}]
    for values in zip(*(edges[name].tolist() for name in columns), strict=True):
        yield {name: value for name, value in zip(columns, values, strict=True) if _is_given(value)}


def _is_given(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def nodes_of(edges: pd.DataFrame, genes: np.ndarray, *, isolated: bool) -> list[str]:
    """Names of the nodes to export, in the order of ``genes``."""
    if isolated:
        return list(genes)
    used = set(edges["source"].unique()) | set(edges["target"].unique())
    return [gene for gene in genes if gene in used]


def build_networkx(edges: pd.DataFrame, nodes: list[str], *, directed: bool, multi: bool) -> Any:
    """Graph object with a node attribute ``regulator`` and all columns as edge attributes."""
    nx = require("networkx", extra="export", purpose="Network.to_networkx")
    kinds = {
        (True, False): nx.DiGraph,
        (True, True): nx.MultiDiGraph,
        (False, False): nx.Graph,
        (False, True): nx.MultiGraph,
    }
    graph = kinds[directed, multi](name="grn")
    regulators = set(edges["source"].unique())
    graph.add_nodes_from((name, {"regulator": name in regulators}) for name in nodes)
    ends = zip(edges["source"].tolist(), edges["target"].tolist(), attributes(edges), strict=True)
    if multi:
        graph.add_edges_from((source, target, data["group"], data) for source, target, data in ends)
    else:
        graph.add_edges_from(ends)
    return graph


def networkx_to_edges(graph: Any, *, weight: str) -> pd.DataFrame:
    """Edge table of a networkx graph."""
    if not hasattr(graph, "edges") or not hasattr(graph, "is_directed"):
        raise NetworkError(f"graph has type {type(graph).__name__}; pass a networkx graph.")
    rows = [{**data, "source": source, "target": target} for source, target, data in graph.edges(data=True)]
    if not rows:
        return pd.DataFrame(columns=["source", "target", "weight"])
    if not all(weight in row for row in rows):
        raise NetworkError(f"some edges of the graph have no attribute {weight!r}; name it with weight=.")
    return (
        pd.DataFrame(rows)
        .drop(columns=[] if weight == "weight" else ["weight"], errors="ignore")
        .rename(columns={weight: "weight"})
    )


def build_igraph(edges: pd.DataFrame, nodes: list[str], *, directed: bool) -> Any:
    """Build the igraph counterpart of :func:`build_networkx`."""
    igraph = require("igraph", extra="export", purpose="Network.to_igraph")
    index = pd.Index(nodes, dtype=object)
    ends = np.column_stack(
        [index.get_indexer(edges["source"].astype(object)), index.get_indexer(edges["target"].astype(object))]
    )
    graph = igraph.Graph(n=len(nodes), edges=ends.tolist(), directed=directed)
    regulators = set(edges["source"].unique())
    graph.vs["name"] = nodes
    graph.vs["regulator"] = [name in regulators for name in nodes]
    for name in edges.columns.drop(["source", "target"]):
        graph.es[name] = edges[name].tolist()
    return graph


def degree_table(edges: pd.DataFrame, genes: np.ndarray, sign: np.ndarray) -> pd.DataFrame:
    """Degrees and strengths of every gene in a table without groups."""
    weight = edges["weight"].abs().to_numpy()
    signed = np.nan_to_num(sign) * weight
    unknown = bool(len(sign)) and bool(np.isnan(sign).all())
    index = pd.Index(genes, name="gene", dtype=object)
    table = pd.DataFrame(index=index)
    for side, column in (("out", "source"), ("in", "target")):
        at = index.get_indexer(edges[column].cat.categories)[edges[column].cat.codes]
        table[f"{side}_degree"] = np.bincount(at, minlength=len(genes))
        table[f"{side}_strength"] = np.bincount(at, weights=weight, minlength=len(genes))
        total = np.bincount(at, weights=signed, minlength=len(genes))
        table[f"{side}_signed"] = np.nan if unknown else total
    measures = ("degree", "strength", "signed")
    return table[[f"{side}_{measure}" for measure in measures for side in ("out", "in")]]
