"""Networks as scored pairs of genes, and how far two of them agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GroupError, ParameterError
from grn._core.labels import asked
from grn._core.logging import hint
from grn._kernels.ties import merged, ranks
from grn.get._edges import network
from grn.network import Network
from grn.network.schema import is_network, is_regulons


@dataclass(frozen=True)
class Scored:
    """The pairs one network scored, without those of a gene with itself.

    Parameters
    ----------
    label
        Name for tables and figures.
    source, target
        Genes by number (n,).
    strength
        Absolute weights (n,).
    n_genes
        Number of genes of all networks.
    directed
        Whether source and target differ in role.
    """

    label: str
    source: np.ndarray
    target: np.ndarray
    strength: np.ndarray
    n_genes: int
    directed: bool

    def pairs(self, *, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the pairs, ascending, each once, and the largest strength of each."""
        return self._ordered if ordered else self._unordered

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray]:
        return self._strongest(self.source, self.target)

    @cached_property
    def _unordered(self) -> tuple[np.ndarray, np.ndarray]:
        return self._strongest(np.minimum(self.source, self.target), np.maximum(self.source, self.target))

    def _strongest(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        number = first * self.n_genes + second
        order = np.lexsort((-self.strength, number))
        number, strength = number[order], self.strength[order]
        fresh = np.append(True, number[1:] != number[:-1])[: len(number)]
        return number[fresh], strength[fresh]

    def roles(self) -> np.ndarray:
        """Per gene 1 if it is a source, plus 2 if it is a target."""
        return np.isin(np.arange(self.n_genes), self.source) + 2 * np.isin(np.arange(self.n_genes), self.target)

    @property
    def n_edges(self) -> int:
        """Number of pairs it scored."""
        return len(self.pairs(ordered=self.directed)[0])


def read_scored(adata: Any, keys: Any, group: str | None) -> list[Scored]:
    """The networks of an object that are to be compared."""
    if not (hasattr(adata, "uns") and hasattr(adata, "var_names")):
        raise ParameterError(f"adata has type {type(adata).__name__}; pass an AnnData.")
    named = {label: network(adata, key=key) for label, key in _labelled(adata, keys).items()}
    if group is not None:
        (group,) = asked(group) if len(asked(group)) == 1 else [None]
        if group is None:
            raise GroupError("group= holds several names; pass the name of one group, or None.")
    if group is not None and not any(net.groups for net in named.values()):
        raise GroupError(f"group={group!r} was asked for but no network has groups; leave group=None.")
    shown = {label: _shown(net, adata, group, label) for label, net in named.items()}
    genes = pd.Index(sorted({gene for net in shown.values() for gene in net.genes}), dtype=object)
    return [_scored(label, net, genes) for label, net in shown.items()]


def _labelled(adata: Any, keys: Any) -> dict[str, str]:
    """Keys of ``uns`` by the name a network goes by."""
    if keys is None:
        entries = {name: name for name, record in adata.uns.items() if is_network(record) and not is_regulons(record)}
    elif isinstance(keys, Mapping):
        entries = dict(keys)
    elif isinstance(keys, str) or not isinstance(keys, Sequence | pd.Index | np.ndarray):
        raise ParameterError(f"keys={keys!r}; pass a list of entries of uns, or a dict of names and entries.")
    else:
        entries = {name: name for name in keys}
        if len(entries) < len(keys):
            raise ParameterError("keys names a network twice; pass a dict of different names and entries to do so.")
    if not all(isinstance(name, str) for pair in entries.items() for name in pair):
        raise ParameterError(f"keys={keys!r}; names and entries of uns are strings.")
    if len(entries) < 2:
        have = f"the object holds {', '.join(map(repr, entries)) or 'none'}" if keys is None else f"keys={keys!r}"
        raise ParameterError(
            f"two networks or more are compared and {have}. Store each under a name of its own: "
            "grn.tl.infer_network(adata, key_added=...)."
        )
    return entries


def _shown(net: Network, adata: Any, group: str | None, label: str) -> Network:
    if group is not None and net.groups:
        if group not in net.groups:
            raise GroupError(f"network {label!r} has no group {group!r}; it has {', '.join(map(repr, net.groups))}.")
        net = net.filter(group=group)
    shown = net.within(adata.var_names)
    if len(shown) < len(net):
        hidden = len(net) - len(shown)
        hint("%s: hid %d of %d edges with an end that is not in var_names", label, hidden, len(net))
    return shown


def _scored(label: str, net: Network, genes: pd.Index) -> Scored:
    edges = net.edges
    source, target = (
        genes.get_indexer(edges[side].cat.categories)[edges[side].cat.codes].astype(np.int64)
        for side in ("source", "target")
    )
    other = source != target
    strength = merged(edges["weight"].abs().to_numpy(dtype=float)[other])
    return Scored(label, source[other], target[other], strength, len(genes), net.directed)


def agreement_table(networks: Sequence[Scored], top: int) -> pd.DataFrame:
    """One row per two networks; see :func:`agreement`."""
    top = checks.integer("top", top, least=1)
    rows = [_row(a, b, top) for i, a in enumerate(networks) for b in networks[i + 1 :]]
    return pd.DataFrame(rows)


def _row(a: Scored, b: Scored, top: int) -> dict[str, Any]:
    ordered = a.directed and b.directed
    (pairs_a, strength_a), (pairs_b, strength_b) = a.pairs(ordered=ordered), b.pairs(ordered=ordered)
    at_a, at_b = _both(pairs_a, pairs_b)
    in_a, in_b = _membership(strength_a, top), _membership(strength_b, top)
    k_a, k_b = min(top, np.count_nonzero(strength_a)), min(top, np.count_nonzero(strength_b))
    possible = _candidates(a, b, ordered=ordered)
    shared = float((in_a[at_a] * in_b[at_b]).sum())
    chance = possible * _rate(k_a, _candidates(a, a, ordered=ordered)) * _rate(k_b, _candidates(b, b, ordered=ordered))
    smaller = min(k_a, k_b) if possible else 0
    return {
        "network_a": a.label,
        "network_b": b.label,
        "directed": ordered,
        "n_a": len(pairs_a),
        "n_b": len(pairs_b),
        "n_common": len(at_a),
        "spearman": _spearman(strength_a[at_a], strength_b[at_b]),
        "top_a": k_a,
        "top_b": k_b,
        "shared": shared,
        "expected": float(chance),
        "overlap": shared / smaller if smaller else np.nan,
        "jaccard": shared / (k_a + k_b - shared) if smaller else np.nan,
    }


def _both(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the numbers lie that are in both lists."""
    if np.array_equal(first, second):
        return np.arange(len(first)), np.arange(len(second))
    _, at_first, at_second = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return at_first, at_second


def _membership(strength: np.ndarray, top: int) -> np.ndarray:
    """How much of each pair is among the strongest: 1, 0, or a part of what is left for those that tie."""
    k = min(top, np.count_nonzero(strength))
    if not k:
        return np.zeros(len(strength))
    last = np.partition(strength, len(strength) - k)[len(strength) - k]
    above, tied = strength > last, strength == last
    return above + tied * ((k - above.sum()) / tied.sum())


def _candidates(a: Scored, b: Scored, *, ordered: bool) -> float:
    """Number of pairs of different genes that are a source and a target in both networks."""
    kind = a.roles() + 4 * b.roles()
    count = np.bincount(kind, minlength=16).astype(float)
    role = np.arange(16)
    allowed = np.ones((16, 16), dtype=bool)
    for shift in (1, 4):
        pair = np.outer(role // shift % 2, role // (2 * shift) % 2).astype(bool)
        allowed &= pair if ordered else pair | pair.T
    number = count @ allowed @ count - count @ np.diag(allowed)
    return float(number if ordered else number / 2)


def _rate(k: int, n: float) -> float:
    return k / n if n else 0.0


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3:
        return np.nan
    place = np.stack([ranks(first), ranks(second)])
    place -= place.mean(axis=1, keepdims=True)
    size = np.sqrt((place**2).sum(axis=1)).prod()
    return float(np.clip(place.prod(axis=0).sum() / size, -1, 1)) if size else np.nan
