"""Union and comparison of networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GroupError, NetworkError, ParameterError
from grn._kernels.ties import ranks
from grn.network._edge_table import EdgeTable
from grn.network._validate import clean_edges
from grn.network.direction import strongest_evidence


def known_signs(edges: pd.DataFrame, *, signed: bool) -> np.ndarray:
    """Return +1, -1 or NaN per edge; without a sign column the weight of a signed network tells."""
    if "sign" in edges:
        return edges["sign"].to_numpy()
    return signs_of(edges["weight"].to_numpy(), signed=signed)


def signs_of(weights: np.ndarray, *, signed: bool) -> np.ndarray:
    """+1, -1 or NaN of weights, where they carry a sign."""
    sign = np.sign(weights)
    return np.where(sign == 0, np.nan, sign) if signed else np.full(len(weights), np.nan)


def union_parts(networks: Sequence[EdgeTable]) -> dict[str, Any]:
    """Arguments of the Network that holds every edge once: its strongest row, and its best evidence of direction."""
    _check_same_kind(networks)
    signed = any(net.signed for net in networks)
    write_sign = len({net.signed for net in networks}) > 1
    tables = [_with_sign(net) if write_sign else net.edges for net in networks]
    says = any("direction" in table for table in tables) or len({net.directed for net in networks}) > 1
    filled = [table.drop(columns="direction", errors="ignore") for table in tables if len(table)] or tables[:1]
    both = clean_edges_of(filled, _same_or_sorted([net.groups for net in networks]))
    if says:
        both["direction"] = strongest_evidence(both, [(net._edges, net.directed) for net in networks])
    return {
        "edges": both,
        "genes": _same_or_sorted([list(net.genes) for net in networks]),
        "directed": None if "direction" in both else networks[0].directed,
        "signed": signed,
        "tested": all(net.tested for net in networks),
        "params": _merge_params(networks),
    }


def clean_edges_of(tables: list[pd.DataFrame], groups: list[str]) -> pd.DataFrame:
    """Stack tables and keep of each edge the row that is strongest, ties broken by all columns."""
    both = _stack(tables)
    key = ["source", "target", *(["group"] if "group" in both else [])]
    repeated = both.duplicated(key, keep=False)
    if repeated.any():
        best = _strongest(both[repeated], key)
        both = both.loc[both.index[~repeated].append(best.index)].reset_index(drop=True)
    if "group" in both:
        both["group"] = pd.Categorical(both["group"].astype(object), categories=groups)
    return clean_edges(both)


def _stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate column by column; pandas would guess dtypes of missing columns, and guess differently by version."""
    names = dict.fromkeys(name for table in tables for name in table.columns)
    return pd.DataFrame({name: _stacked(tables, name) for name in names})


def _stacked(tables: list[pd.DataFrame], name: str) -> np.ndarray | pd.Categorical:
    columns = [table[name] if name in table else None for table in tables]
    text = any(part is not None and not pd.api.types.is_numeric_dtype(part) for part in columns)
    dtype = object if text else np.float64 if any(part is None for part in columns) else None
    parts = [
        np.full(len(table), np.nan) if part is None else part.to_numpy(dtype=dtype)
        for table, part in zip(tables, columns, strict=True)
    ]
    stacked = np.concatenate(parts)
    return pd.Categorical(stacked) if text else stacked


def _strongest(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    rest = [name for name in rows.columns if name not in {*key, "weight"}]
    rank = rows[["weight", *rest]].copy()
    for name in rest:
        if not pd.api.types.is_numeric_dtype(rank[name]):
            rank[name] = rank[name].astype(object)
    rank.insert(0, "|weight|", rows["weight"].abs())
    order = rank.sort_values(list(rank.columns), ascending=False, na_position="last", kind="stable").index
    return rows.loc[order].drop_duplicates(key, keep="first")


def _with_sign(net: EdgeTable) -> pd.DataFrame:
    table = net.edges
    table["sign"] = known_signs(table, signed=net.signed)
    return table


def _check_same_kind(networks: Sequence[EdgeTable]) -> None:
    if not networks:
        raise ParameterError("there is nothing to merge; pass at least one Network.")
    filled = [net for net in networks if len(net)]
    if len({"group" in net._edges for net in filled}) > 1:
        raise NetworkError(
            "some networks have groups and some have none; add a column 'group' to the edges of the others first."
        )


def _same_or_sorted(lists: list[list[str]]) -> list[str]:
    """Keep an order all agree on, else sort: the result must not depend on who comes first."""
    filled = [item for item in lists if item] or [[]]
    return filled[0] if all(item == filled[0] for item in filled) else sorted(set().union(*filled))


def _merge_params(networks: Sequence[EdgeTable]) -> dict[str, Any]:
    provenance = [net.params for net in networks]
    if len(networks) == 1 or all(repr(params) == repr(provenance[0]) for params in provenance):
        return provenance[0]
    return {"merged": len(networks), **{f"network_{i}": params for i, params in enumerate(provenance)}}


def compare_table(left: EdgeTable, right: EdgeTable, *, top: int) -> pd.DataFrame:
    """Agreement per group; see :meth:`Network.compare`."""
    top = checks.integer("top", top, least=1)
    genes = pd.Index(sorted({*left.genes, *right.genes}), dtype=object)
    ordered = left.directed and right.directed
    rows = {}
    for name, left_edges, right_edges in _paired(left, right):
        a = _keyed(left_edges, genes, signed=left.signed, ordered=ordered)
        b = _keyed(right_edges, genes, signed=right.signed, ordered=ordered)
        rows[name] = _agreement(a, b, int(top))
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("group").astype({"n_left": int, "n_right": int, "n_shared": int})


def _paired(left: EdgeTable, right: EdgeTable) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    names = _same_or_sorted([net.groups for net in (left, right)])
    if not names:
        yield "all", left._edges, right._edges
    for name in names:
        yield name, _part(left, name), _part(right, name)


def _part(net: EdgeTable, group: str) -> pd.DataFrame:
    """Edges of one group; a network without groups stands for each of them."""
    return net._edges[net._edges["group"] == group] if net.groups else net._edges


def _keyed(edges: pd.DataFrame, genes: pd.Index, *, signed: bool, ordered: bool) -> pd.DataFrame:
    first = genes.get_indexer(edges["source"].cat.categories)[edges["source"].cat.codes]
    second = genes.get_indexer(edges["target"].cat.categories)[edges["target"].cat.codes]
    if not ordered:
        first, second = np.minimum(first, second), np.maximum(first, second)
    values = {"strength": edges["weight"].abs().to_numpy(), "sign": known_signs(edges, signed=signed)}
    table = pd.DataFrame(values, index=first.astype(np.int64) * len(genes) + second)
    return table[~table.index.duplicated()]


def _agreement(a: pd.DataFrame, b: pd.DataFrame, top: int) -> dict[str, float]:
    shared = a.index.intersection(b.index, sort=True)
    left, right = a.loc[shared], b.loc[shared]
    total = len(a) + len(b) - len(shared)
    k = min(top, len(a), len(b))
    both_known = left["sign"].notna() & right["sign"].notna()
    return {
        "n_left": len(a),
        "n_right": len(b),
        "n_shared": len(shared),
        "jaccard": len(shared) / total if total else np.nan,
        "spearman": _spearman(left["strength"], right["strength"]),
        "sign_agreement": float((left["sign"] == right["sign"])[both_known].mean()) if both_known.any() else np.nan,
        "top_overlap": len(a.index[:k].intersection(b.index[:k])) / k if k else np.nan,
    }


def _spearman(left: pd.Series, right: pd.Series) -> float:
    a, b = ranks(left.to_numpy()), ranks(right.to_numpy())
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def single_group(net: EdgeTable, purpose: str) -> pd.DataFrame:
    """Return the edges of a network with at most one group, else raise."""
    if len(net.groups) > 1:
        raise GroupError(
            f"the network has {len(net.groups)} groups and {purpose} takes one; "
            f"choose one with group={net.groups[0]!r}, of a Network with network.filter(group={net.groups[0]!r})."
        )
    return net._edges
