"""Several networks combined into one, by ranks or by votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import logger
from grn._core.logging import progress as progress_bar
from grn._kernels.ties import merged, ranks
from grn._object.container import check_target, target, validate
from grn.network import Network
from grn.network.direction import strongest_evidence
from grn.network.schema import is_network, is_regulons
from grn.trust.numbers import Axes

if TYPE_CHECKING:
    from anndata import AnnData

METHODS = ("rank", "vote")
# without top=, this share of the pairs a network knows are its votes
_SHARE = 0.1


@dataclass(frozen=True)
class _Ballot:
    """What one network says.

    Parameters
    ----------
    keys, score, votes, sign
        Its edges: number, score, vote and known sign (NaN else).
    rest
        Score of the pairs it knows and does not list, per group; NaN for groups it lacks.
    sources, targets
        Masks of the genes it knows.
    """

    keys: np.ndarray
    score: np.ndarray
    votes: np.ndarray
    sign: np.ndarray
    rest: np.ndarray
    sources: np.ndarray
    targets: np.ndarray


def write_consensus(
    adata: AnnData,
    *,
    nets: Sequence[str] | None,
    method: str,
    top: int | None,
    min_support: int,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Combine networks of an object and write what most of them say; see :func:`grn.tl.consensus`."""
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    checks.word("method", method, METHODS)
    top = None if top is None else checks.integer("top", top, least=1, note=" or None")
    min_support = checks.integer("min_support", min_support, least=0)
    names = _names(adata, nets, key_added)
    networks = [Network.from_anndata(adata, name) for name in names]
    axes = _axes(networks)
    ballots = [_ballot(net, axes, top) for net in progress_bar(networks, desc="consensus")]
    keys, columns = _counted(ballots, axes, method, max(min_support, int(method == "vote")))
    edges, says = _table(keys, columns, axes), any("direction" in net._edges for net in networks)
    if says:
        edges["direction"] = strongest_evidence(edges, [(net._edges, net.directed) for net in networks])
    params = {"function": "consensus", "nets": names, "method": f"consensus_{method}", "top": top}
    combined = Network(
        edges,
        genes=sorted({gene for net in networks for gene in net.genes}),
        directed=None if says else any(net.directed for net in networks),
        signed=any(net.signed for net in networks),
        params={**params, "min_support": min_support},
    )
    out = target(adata, copy=copy)
    combined.write(out, key_added)
    logger.info("consensus of %s: %d edges in uns[%r]", ", ".join(names), len(combined), key_added)
    return out if copy else None


def _names(adata: AnnData, nets: Sequence[str] | None, key_added: str) -> list[str]:
    if isinstance(nets, str):
        raise ParameterError(f"nets={nets!r} is a single string; pass a list of entries of adata.uns.")
    names = [name for name in adata.uns if _is_plain(adata, name, key_added)] if nets is None else list(nets)
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        raise ResultNotFoundError(
            f"a consensus needs at least two networks, found {', '.join(map(repr, names)) or 'none'}; infer more with "
            "grn.tl.infer_network(adata, method=..., key_added=...), or pass nets=[...]."
        )
    return names


def _is_plain(adata: AnnData, name: str, key_added: str) -> bool:
    record = adata.uns[name]
    if name == key_added or not is_network(record) or is_regulons(record):
        return False
    params = record.get("params")
    return not isinstance(params, Mapping) or str(params.get("function")) not in ("consensus", "differential")


def _axes(networks: Sequence[Network]) -> Axes:
    groups = list(dict.fromkeys(group for net in networks for group in net.groups))
    sources = sorted({name for net in networks for name in net.regulators})
    targets = {name for net in networks for name in net.targets}
    mirrored = {name for net in networks if _mirrored(net) for name in net.regulators}
    return Axes(tuple(groups) or ("",), tuple(sources), tuple(sorted(targets | mirrored)), loops=True)


def _ballot(net: Network, axes: Axes, top: int | None) -> _Ballot:
    edges = axes.number(net)
    keys, weights, sign = edges.keys, np.abs(edges.weights), edges.signs
    if _mirrored(net):
        keys, weights, sign = _both_ways(keys, weights, sign, axes)
    S, T = axes.shape.sources, axes.shape.targets
    n_groups = len(axes.groups)
    if not net.groups and axes.groups != ("",):
        steps = np.arange(n_groups) * S * T
        keys, weights, sign = (steps[:, None] + keys).ravel(), np.tile(weights, n_groups), np.tile(sign, n_groups)
    weights = merged(weights, axes.shape.group(keys))
    sources, targets = np.zeros(S, dtype=bool), np.zeros(T, dtype=bool)
    sources[axes.shape.block(keys) % S] = True
    targets[keys % T] = True
    score, votes = np.zeros(len(keys)), np.zeros(len(keys), dtype=bool)
    rest = np.full(n_groups, np.nan)
    names = pd.Index(axes.targets).get_indexer(list(axes.sources))
    loops = (names[axes.shape.block(keys) % S] == keys % T).any()
    size = sources.sum() * targets.sum() - (0 if loops else (targets[names] & sources & (names >= 0)).sum())
    group = axes.shape.group(keys)
    for g in np.unique(group):
        mine = group == g
        n = max(int(size), int(mine.sum()))
        score[mine] = (n - mine.sum() + ranks(weights[mine]) - 0.5) / n
        rest[g] = (n - mine.sum()) / 2 / n
        best = np.lexsort((keys[mine], -weights[mine]))[: top or max(1, round(_SHARE * n))]
        votes[np.flatnonzero(mine)[best]] = True
    return _Ballot(keys, score, votes & (weights > 0), sign, rest, sources, targets)


def _mirrored(net: Network) -> bool:
    """Whether an edge stands for its reverse: where nothing is said of direction, not even which edges have none."""
    return not net.directed and "direction" not in net._edges


def _both_ways(
    keys: np.ndarray, weights: np.ndarray, sign: np.ndarray, axes: Axes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of an undirected network in both directions, where both ends may be sources."""
    S, T = axes.shape.sources, axes.shape.targets
    source_of = pd.Index(axes.sources).get_indexer(list(axes.targets))
    target_of = pd.Index(axes.targets).get_indexer(list(axes.sources))
    source, back = source_of[keys % T], target_of[axes.shape.block(keys) % S]
    turned = (axes.shape.group(keys) * S + source) * T + back
    new = (source >= 0) & (back >= 0) & ~np.isin(turned, keys)
    return (
        np.concatenate([keys, turned[new]]),
        np.concatenate([weights, weights[new]]),
        np.concatenate([sign, sign[new]]),
    )


def _counted(
    ballots: Sequence[_Ballot], axes: Axes, method: str, min_support: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Edges and their columns."""
    keys = np.unique(np.concatenate([ballot.keys for ballot in ballots]))
    source, column, group = (
        axes.shape.block(keys) % axes.shape.sources,
        keys % axes.shape.targets,
        axes.shape.group(keys),
    )
    total, support, plus, minus = (np.zeros(len(keys)) for _ in range(4))
    known = np.zeros(len(keys), dtype=np.int64)
    for ballot in ballots:
        knows = ballot.sources[source] & ballot.targets[column] & ~np.isnan(ballot.rest[group])
        score = np.where(knows, ballot.rest[group], 0.0)
        at = np.searchsorted(keys, ballot.keys)
        score[at] = ballot.score
        total += score
        known += knows
        support[at] += ballot.votes
        plus[at] += ballot.sign == 1
        minus[at] += ballot.sign == -1
    sign = np.where(plus > minus, 1.0, np.where(minus > plus, -1.0, np.nan))
    signs = plus + minus
    columns = {
        "weight": np.where(np.isnan(sign), 1.0, sign) * (total if method == "rank" else support) / known,
        "sign": sign,
        "n_methods": known,
        "support": support.astype(np.int64),
        "sign_agreement": np.divide(np.maximum(plus, minus), signs, out=np.full(len(keys), np.nan), where=signs > 0),
    }
    enough = support >= min_support
    if not enough.any():
        raise ParameterError(
            f"no pair has min_support={min_support} votes of {len(ballots)} networks (the largest number is "
            f"{int(support.max(initial=0))}); lower min_support, or raise top."
        )
    return keys[enough], {name: values[enough] for name, values in columns.items()}


def _table(keys: np.ndarray, columns: dict[str, np.ndarray], axes: Axes) -> pd.DataFrame:
    source = axes.shape.block(keys) % axes.shape.sources
    edges = {
        "source": pd.Categorical.from_codes(source, categories=list(axes.sources)),
        "target": pd.Categorical.from_codes(keys % axes.shape.targets, categories=list(axes.targets)),
    }
    if axes.groups != ("",):
        edges["group"] = pd.Categorical.from_codes(axes.shape.group(keys), categories=list(axes.groups))
    return pd.DataFrame({**edges, **columns})
