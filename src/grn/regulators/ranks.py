"""Regulators by their centrality in a network, beside what a hub of any network would have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GrnError, ParameterError
from grn._core.logging import hint, logger, some
from grn._core.logging import progress as progress_bar
from grn._core.optional import require
from grn._kernels.centrality import eigenvector, pagerank
from grn._kernels.ties import merged
from grn._object.container import check_target, target, validate
from grn._object.expression import values_of
from grn._object.genes import column
from grn._object.values import expression
from grn.network import Network
from grn.network.convert import edges_to_csr
from grn.network.direction import as_drawn, both_ways, oriented

if TYPE_CHECKING:
    from anndata import AnnData

BY = ("strength", "degree", "mean_strength", "strength_residual", "pagerank", "eigenvector", "betweenness")
# fewest regulators for a line through their strengths
_LINE = 10


def write_ranks(
    adata: AnnData,
    *,
    net: str,
    by: str,
    max_q: float | None,
    top: int | None,
    betweenness: bool,
    copy: bool,
) -> AnnData | None:
    """Rank the regulators and write the table beside the network; see :func:`grn.tl.rank_regulators`."""
    validate(adata)
    check_target(adata, copy=copy)
    checks.word("by", by, BY)
    top = None if top is None else checks.integer("top", top, least=1, note=" or None")
    network = Network.from_anndata(adata, net)
    result = rank_table(adata, network, where=f"uns[{net!r}]", by=by, max_q=max_q, top=top, betweenness=betweenness)
    out = target(adata, copy=copy)
    if not isinstance(out.uns[net], Mapping) or "schema" not in out.uns[net]:
        network.write(out, net)
    # a new dict: that of a view may be shared with the object it is a view of
    out.uns[net] = {**out.uns[net], "regulators": result}
    logger.info("ranked %d regulators in uns[%r]['regulators']", len(network.regulators), net)
    return out if copy else None


def rank_table(
    adata: AnnData | None,
    network: Network,
    *,
    where: str,
    by: str = "strength",
    max_q: float | None = None,
    top: int | None = None,
    betweenness: bool = False,
) -> pd.DataFrame:
    """Regulators of a network with their centralities, by group and rank, nothing written.

    Parameters
    ----------
    adata
        Object with the expression of the regulators; ``None`` leaves it out.
    network
        The network.
    where
        What it is called in errors: ``"uns['grn']"``.
    by, max_q, top, betweenness
        As in :func:`grn.tl.rank_regulators`.
    """
    filtered = network.filter(max_q=max_q, top=top)
    groups = _groups_left(network, filtered, where, max_q)
    levels = {} if adata is None else _expression(adata, network)
    parts = []
    for group in progress_bar(groups, desc="regulators"):
        table = _group(network, filtered, group, levels.get(group), paths=betweenness or by == "betweenness")
        values = pd.Series(merged(table[by].to_numpy()), index=table.index)
        order = values.rank(ascending=False, method="min", na_option="bottom").astype(np.int64)
        table.insert(1, "rank", order)
        if group:
            table.insert(1, "group", group)
        parts.append(table.sort_values(["rank", "regulator"], kind="stable"))
    result = pd.concat(parts, ignore_index=True)
    if "group" in result:
        result["group"] = pd.Categorical(result["group"], categories=groups)
    return result


def _groups_left(network: Network, filtered: Network, where: str, max_q: float | None) -> list[str]:
    """Groups with edges to rank by (one empty name without groups); an error if there are none."""
    if not len(network):
        raise ParameterError(f"{where} has no edges, so there is nothing to rank; infer a network first.")
    if not len(filtered):
        least = network._edges["qval"].min()
        raise ParameterError(
            f"none of {len(network)} edges of {where} has a q-value up to max_q={max_q} (the smallest is "
            f"{least:.3g}), so there is nothing to rank by; pass a larger max_q, or None, or run grn.tl.confidence "
            "with more permutations."
        )
    if not network.groups:
        return [""]
    left = [group for group in network.groups if group in filtered.groups]
    lost = [group for group in network.groups if group not in filtered.groups]
    if lost:
        logger.warning(
            "no edge has q up to %s in %d of %d groups, whose regulators are not ranked: %s",
            *(max_q, len(lost), len(network.groups), some(lost)),
        )
    return left


def _expression(adata: AnnData, network: Network) -> dict[str, pd.Series]:
    """Mean log-normalised expression of every gene, per group of the network; empty where it cannot be read."""
    params = network.params
    layer, use_raw, groupby = (params.get(name) for name in ("layer", "use_raw", "groupby"))
    try:
        values = expression(
            adata,
            layer=layer if isinstance(layer, str) else None,
            use_raw=isinstance(use_raw, bool | np.bool_) and bool(use_raw),
            values=values_of(params),
        )
    except GrnError as error:
        hint("no mean expression of the regulators: %s", error)
        return {}
    genes = [str(name) for name in adata.var_names]
    if not network.groups:
        return {"": pd.Series(values.moments()[0], index=genes)}
    if not isinstance(groupby, str) or groupby not in adata.obs:
        return {}
    labels = column(adata.obs, groupby).astype(str).to_numpy()
    return {g: pd.Series(values.moments(labels == g)[0], index=genes) for g in network.groups if (labels == g).any()}


def _group(network: Network, filtered: Network, group: str, level: pd.Series | None, *, paths: bool) -> pd.DataFrame:
    """Centralities of the regulators in one group."""
    genes = network._genes
    regulators = pd.Index(network.regulators, dtype=object)
    listed, counted = (n._edges[n._edges["group"] == group] if group else n._edges for n in (network, filtered))
    matrix = edges_to_csr(counted, genes)
    at = pd.Index(genes).get_indexer(regulators)
    table = pd.DataFrame({"regulator": regulators.to_numpy(dtype=object)})
    table["degree"] = np.diff(matrix.indptr)[at]
    table["strength"] = np.asarray(abs(matrix).sum(axis=1)).ravel()[at]
    table["n_tested"] = np.diff(edges_to_csr(listed, genes).indptr)[at]
    table["mean_strength"] = table["strength"] / table["n_tested"].where(table["n_tested"] > 0)
    table["expression"] = np.nan if level is None else level.reindex(regulators).to_numpy()
    table["strength_residual"] = _residual(table)
    table["pagerank"] = pagerank(matrix)[at]
    table["eigenvector"] = eigenvector(matrix)[at]
    if paths:
        edges, points = as_drawn(counted, directed=filtered.directed)
        arrows = bool(oriented(filtered._edges, directed=filtered.directed).any())
        table["betweenness"] = _betweenness(both_ways(edges, points) if arrows else edges, genes, directed=arrows)[at]
    return table


def _residual(table: pd.DataFrame) -> np.ndarray:
    """Strength beyond a least-squares plane over expression and the number of edges tested."""
    known = table["expression"].notna().to_numpy()
    if known.sum() < _LINE:
        return np.full(len(table), np.nan)
    design = table.loc[known, ["expression", "n_tested"]].to_numpy(dtype=np.float64)
    design = np.column_stack([np.ones(len(design)), design - design.mean(axis=0)])
    strength = table.loc[known, "strength"].to_numpy()
    residual = np.full(len(table), np.nan)
    residual[known] = strength - design @ np.linalg.lstsq(design, strength, rcond=None)[0]
    return residual


def _betweenness(edges: pd.DataFrame, genes: np.ndarray, *, directed: bool) -> np.ndarray:
    igraph = require("igraph", extra="export", purpose="betweenness")
    index, there = pd.Index(genes, dtype=object), (edges["weight"] != 0).to_numpy()
    ends = np.column_stack([index.get_indexer(edges[side].astype(object)[there]) for side in ("source", "target")])
    graph = igraph.Graph(n=len(genes), edges=ends.tolist(), directed=directed)
    return np.asarray(graph.betweenness(directed=directed), dtype=np.float64)
