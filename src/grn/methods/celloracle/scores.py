"""How central genes are in a network, and how evenly the regulation of a target is spread."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd

from grn._core.logging import hint
from grn._core.optional import require


def network_scores(edges: pd.DataFrame, *, centrality: bool | None, strong_is_long: bool) -> pd.DataFrame:
    """Degrees and centralities of every gene with an edge, per group.

    Parameters
    ----------
    edges
        Table ``source, target, weight[, group]``.
    centrality
        Whether to compute betweenness and eigenvector centrality; ``None``: if igraph is installed.
    strong_is_long
        Take the strength of an edge as its length, as the original program does, instead of its inverse.

    Returns
    -------
    DataFrame
        ``gene[, group], degree_all, degree_in, degree_out``, these divided by the number of other genes
        (``degree_centrality_*``), and ``betweenness``, ``eigenvector``.
    """
    if centrality is None:
        centrality = find_spec("igraph") is not None
        if not centrality:
            hint("igraph is not installed: scores hold degrees only; pip install 'grn[export]' for the rest")
    frames = [
        _scores(part, group, centrality=centrality, strong_is_long=strong_is_long) for group, part in _parts(edges)
    ]
    return _named(pd.concat(frames, ignore_index=True), edges)


def network_entropy(edges: pd.DataFrame) -> pd.DataFrame:
    """Shannon entropy of the shares of the regulators of every target.

    Parameters
    ----------
    edges
        Table ``source, target, weight[, group]``.

    Returns
    -------
    DataFrame
        ``gene[, group], n_regulators, entropy`` (nats) and ``entropy_norm``, divided by the logarithm of the number of
        regulators. Targets with fewer than two regulators of nonzero weight in sum are left out.
    """
    frames = []
    for group, part in _parts(edges):
        genes = part["target"].cat.categories
        codes = part["target"].cat.codes.to_numpy()
        strength = part["weight"].abs().to_numpy()
        total = np.bincount(codes, weights=strength, minlength=len(genes))
        size = np.bincount(codes, minlength=len(genes))
        share = np.divide(strength, total[codes], out=np.zeros_like(strength), where=total[codes] > 0)
        terms = -share * np.log(np.where(share > 0, share, 1.0))
        entropy = np.bincount(codes, weights=terms, minlength=len(genes))
        counted = (size > 1) & (total > 0)
        columns = {"gene": genes[counted].astype(str), "n_regulators": size[counted], "entropy": entropy[counted]}
        frames.append(pd.DataFrame(columns).assign(entropy_norm=entropy[counted] / np.log(size[counted]), group=group))
    return _named(pd.concat(frames, ignore_index=True), edges)


def _scores(part: pd.DataFrame, group: str, *, centrality: bool, strong_is_long: bool) -> pd.DataFrame:
    source, target = (part[side].astype(str).to_numpy() for side in ("source", "target"))
    genes = np.unique(np.concatenate([source, target]))
    source, target = np.searchsorted(genes, source), np.searchsorted(genes, target)
    n, strength = len(genes), part["weight"].abs().to_numpy()
    out, into = (np.bincount(side, minlength=n) for side in (source, target))
    table = pd.DataFrame({"gene": genes, "group": group})
    for name, degree in (("all", out + into), ("in", into), ("out", out)):
        table[f"degree_{name}"] = degree
        table[f"degree_centrality_{name}"] = degree / max(1, n - 1)
    if centrality:
        igraph = require("igraph", extra="export", purpose="centralities of a network")
        graph = igraph.Graph(n=n, edges=np.column_stack([source, target]).tolist(), directed=True)
        # an edge of weight 0 leads nowhere; igraph asks for lengths above 0
        floor = np.maximum(strength, np.finfo(np.float64).tiny ** 0.5)
        length = floor if strong_is_long else 1.0 / floor
        table["betweenness"] = graph.betweenness(directed=True, weights=length.tolist())
        either_way = graph.as_undirected(mode="each")
        with warnings.catch_warnings():
            # igraph warns where a part of the network is not connected to the rest; the documentation says so
            warnings.simplefilter("ignore", RuntimeWarning)
            table["eigenvector"] = either_way.eigenvector_centrality(weights=strength.tolist())
    return table


def _parts(edges: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "group" not in edges:
        return [("", edges)]
    return [(str(group), part) for group, part in edges.groupby("group", observed=True)]


def _named(table: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Group as category after the gene, or no group; an index of strings, as files want it."""
    if "group" in edges:
        groups = pd.Categorical(table["group"], categories=list(edges["group"].cat.categories))
        table = table.drop(columns="group")
        table.insert(1, "group", groups)
    else:
        table = table.drop(columns="group")
    return table.set_axis(table.index.astype(str), axis=0)
