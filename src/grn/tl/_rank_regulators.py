"""Which regulators matter most in a network, and how much of that a hub of any network would have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GrnError, ParameterError
from grn._core.logging import hint, logger, one_voice, some
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


@one_voice
def rank_regulators(
    adata: AnnData,
    *,
    net: str = "grn",
    by: str = "strength",
    max_q: float | None = None,
    top: int | None = None,
    betweenness: bool = False,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Rank the regulators of a network by their centrality, per group.

    Parameters
    ----------
    adata
        Annotated matrix with a network in ``uns[net]``.
    net
        Entry of ``uns``.
    by
        Column that decides the rank: ``"strength"``, ``"degree"``, ``"mean_strength"``, ``"strength_residual"``,
        ``"pagerank"``, ``"eigenvector"`` or ``"betweenness"``.
    max_q
        Count only edges with a q-value up to this one; needs :func:`grn.tl.confidence` or a method with q-values.
    top
        Count only that many strongest edges per group.
    betweenness
        Compute betweenness too, with igraph (``pip install 'grn[export]'``); on by itself with ``by="betweenness"``.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes ``uns[net]["regulators"]``, a DataFrame sorted by group and rank:

        ``regulator``, ``group``
            Names; ``group`` only where the network has groups. Every regulator of the network is listed in each; a
            group of which ``max_q`` leaves no edge is left out, with a warning.
        ``rank``
            1 for the first, by falling ``by``; values equal up to rounding share the smaller rank, NaN comes last.
        ``degree``, ``strength``
            Number of edges counted, and the sum of their absolute weights.
        ``n_tested``, ``mean_strength``
            Number of edges the network lists for the regulator before ``max_q`` and ``top``, and strength divided by
            it.
        ``expression``
            Mean log-normalised expression in the group; NaN where the object has no such values.
        ``strength_residual``
            Strength minus what a line through all regulators of the group expects from ``expression`` and
            ``n_tested``; NaN with fewer than 10 regulators or without expression.
        ``pagerank``
            Credit that flows from targets to their regulators (damping 0.85); sums to 1 over all genes.
        ``eigenvector``
            Eigenvector centrality on the undirected network; the largest of all genes is 1.
        ``betweenness``
            Number of shortest paths through the gene, each edge of length 1; only if asked for. Paths are those of
            the graph of :meth:`grn.Network.to_networkx` without edges of weight 0: an edge whose direction a role or
            evidence tells is walked that way only, any other both ways. Where no edge of the network has a direction,
            a path and its reverse are one.

    Raises
    ------
    ResultNotFoundError
        If there is no network under ``net``.
    NetworkError
        If ``max_q`` is given and the network has no q-values.
    ParameterError
        If an argument is out of its range, or no edge is left to rank by.
    MissingDependencyError
        If betweenness is asked for and igraph is not installed.

    Notes
    -----
    In a network that lists every pair, degree says nothing, and strength follows how well a gene is measured: highly
    expressed regulators have less noise and stronger edges to everything. Compare with ``strength_residual``, and
    count only edges that hold (``max_q=0.05``). A high rank is a property of the inferred network; that the regulator
    drives the cells needs an experiment. Cost: one pass over the edges, a sparse product per step of the power
    iterations; betweenness costs genes times edges.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=100, n_regulators=3, n_targets=6)
    >>> grn.tl.infer_network(adata, method="correlation")
    >>> grn.tl.rank_regulators(adata)
    >>> adata.uns["grn"]["regulators"]["rank"].tolist()
    [1, 2, 3]
    """
    validate(adata)
    check_target(adata, copy=copy)
    checks.word("by", by, BY)
    top = None if top is None else checks.integer("top", top, least=1, note=" or None")
    found = Network.from_anndata(adata, net)
    kept = found.filter(max_q=max_q, top=top)
    groups = _groups_left(found, kept, net, max_q)
    levels = _expression(adata, found)
    parts = []
    for group in progress_bar(groups, desc="regulators"):
        table = _group(found, kept, group, levels.get(group), paths=betweenness or by == "betweenness")
        values = pd.Series(merged(table[by].to_numpy()), index=table.index)
        order = values.rank(ascending=False, method="min", na_option="bottom").astype(np.int64)
        table.insert(1, "rank", order)
        if group:
            table.insert(1, "group", group)
        parts.append(table.sort_values(["rank", "regulator"], kind="stable"))
    result = pd.concat(parts, ignore_index=True)
    if "group" in result:
        result["group"] = pd.Categorical(result["group"], categories=groups)
    out = target(adata, copy=copy)
    if not isinstance(out.uns[net], Mapping) or "schema" not in out.uns[net]:
        found.write(out, net)
    # a new dict: that of a view may be shared with the object it is a view of
    out.uns[net] = {**out.uns[net], "regulators": result}
    logger.info("ranked %d regulators in uns[%r]['regulators']", len(found.regulators), net)
    return out if copy else None


def _groups_left(found: Network, kept: Network, net: str, max_q: float | None) -> list[str]:
    """Groups with edges to rank by (one empty name without groups); an error if there are none."""
    if not len(found):
        raise ParameterError(f"uns[{net!r}] has no edges, so there is nothing to rank; infer a network first.")
    if not len(kept):
        least = found._edges["qval"].min()
        raise ParameterError(
            f"none of {len(found)} edges of uns[{net!r}] has a q-value up to max_q={max_q} (the smallest is "
            f"{least:.3g}), so there is nothing to rank by; pass a larger max_q, or None, or run grn.tl.confidence "
            "with more permutations."
        )
    if not found.groups:
        return [""]
    left = [group for group in found.groups if group in kept.groups]
    lost = [group for group in found.groups if group not in kept.groups]
    if lost:
        logger.warning(
            "no edge has q up to %s in %d of %d groups, whose regulators are not ranked: %s",
            *(max_q, len(lost), len(found.groups), some(lost)),
        )
    return left


def _expression(adata: AnnData, net: Network) -> dict[str, pd.Series]:
    """Mean log-normalised expression of every gene, per group of the network; empty where it cannot be read."""
    params = net.params
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
    if not net.groups:
        return {"": pd.Series(values.moments()[0], index=genes)}
    if not isinstance(groupby, str) or groupby not in adata.obs:
        return {}
    labels = column(adata.obs, groupby).astype(str).to_numpy()
    return {g: pd.Series(values.moments(labels == g)[0], index=genes) for g in net.groups if (labels == g).any()}


def _group(net: Network, kept: Network, group: str, level: pd.Series | None, *, paths: bool) -> pd.DataFrame:
    """Centralities of the regulators in one group."""
    genes = net._genes
    regulators = pd.Index(net.regulators, dtype=object)
    listed, counted = (n._edges[n._edges["group"] == group] if group else n._edges for n in (net, kept))
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
        edges, points = as_drawn(counted, directed=kept.directed)
        arrows = bool(oriented(kept._edges, directed=kept.directed).any())
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
    found = np.full(len(table), np.nan)
    found[known] = strength - design @ np.linalg.lstsq(design, strength, rcond=None)[0]
    return found


def _betweenness(edges: pd.DataFrame, genes: np.ndarray, *, directed: bool) -> np.ndarray:
    igraph = require("igraph", extra="export", purpose="betweenness")
    index, there = pd.Index(genes, dtype=object), (edges["weight"] != 0).to_numpy()
    ends = np.column_stack([index.get_indexer(edges[side].astype(object)[there]) for side in ("source", "target")])
    graph = igraph.Graph(n=len(genes), edges=ends.tolist(), directed=directed)
    return np.asarray(graph.betweenness(directed=directed), dtype=np.float64)
