"""Regulators by how much they explain of the difference between two sets of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from grn._core import checks
from grn._core.errors import ExpressionError, GroupError
from grn._core.labels import asked
from grn._core.logging import logger, some
from grn._kernels.contrast import slopes, welch
from grn._object.container import check_target, target, validate
from grn._object.expression import Expression, reads_of
from grn._object.groups import label_codes
from grn._object.values import expression
from grn.network import Network
from grn.network.groups import column_of
from grn.network.schema import storable
from grn.regulators.networks import edges_to_score, name_of, network_of
from grn.regulators.places import DIRECTIONS, nothing_to_place, places, tell_unplaced

if TYPE_CHECKING:
    from anndata import AnnData

EVIDENCE = ("both", "targets")
REST = "rest"


@dataclass(frozen=True)
class _Contrast:
    """Side of every cell in every group: code 2g for the reference of group g, 2g + 1 for its cells of interest."""

    names: tuple[str, ...]
    codes: np.ndarray
    column: str | None
    large: np.ndarray

    def places(self) -> Iterator[tuple[int, str]]:
        """Number and name of the groups with enough cells."""
        return ((int(place), self.names[place]) for place in np.flatnonzero(self.large))


@dataclass(frozen=True)
class _Genes:
    """Difference of means and t of every gene in every group (groups, genes)."""

    names: pd.Index
    difference: np.ndarray
    statistic: np.ndarray
    varies: np.ndarray

    @classmethod
    def of(cls, adata: AnnData, cells: Expression, codes: np.ndarray) -> _Genes:
        moments = cells.group_moments(codes)[1]
        n = np.bincount(codes[codes >= 0])
        pairs = range(0, len(moments) - 1, 2)
        tested = [
            welch(moments[k + 1], moments[k], n[k + 1], n[k]) if min(n[k], n[k + 1]) > 1 else _nothing(adata.n_vars)
            for k in pairs
        ]
        # what is constant on both sides has p = 1 and t = 0
        difference, statistic, pval = (np.stack(part) for part in zip(*tested, strict=True))
        return cls(adata.var_names.astype(str), difference, statistic, (pval < 1) & np.isfinite(statistic))


def write_drivers(
    adata: AnnData,
    *,
    condition: str,
    group: str,
    reference: str,
    groupby: str | None,
    net: str | Network,
    evidence: str,
    direction: str,
    min_targets: int,
    min_probability: float | None,
    max_q: float | None,
    top_per_source: int | None,
    min_cells: int,
    layer: str | None,
    use_raw: bool,
    values: str,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Rank the regulators and write the table; see :func:`grn.tl.rank_drivers`."""
    arguments = {name: value for name, value in locals().items() if name not in {"adata", "copy", "net"}}
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    checks.word("evidence", evidence, EVIDENCE)
    checks.word("direction", direction, DIRECTIONS)
    min_targets = checks.integer("min_targets", min_targets, least=1)
    min_cells = checks.integer("min_cells", min_cells, least=2)
    filters = {"min_probability": min_probability, "max_q": max_q, "top_per_source": top_per_source}
    network = network_of(adata, net, **filters)
    column = column_of(network, groupby, "the network") if network.groups else groupby
    contrast = _contrast(adata, condition, group, reference, column, min_cells)
    edges = edges_to_score(network, contrast.column, [name for _, name in contrast.places()])
    with reads_of() as reads:
        genes = _Genes.of(adata, expression(adata, layer=layer, use_raw=use_raw, values=values), contrast.codes)
    result = _tables(edges, genes, contrast, min_targets, evidence, direction)
    out = target(adata, copy=copy)
    params = {"function": "rank_drivers", **arguments, "groupby": contrast.column, **reads.told}
    params["net"] = name_of(net)
    out.uns[key_added] = {"table": result, "params": storable(params)}
    logger.info("ranked %d regulators in uns[%r]['table']", result["regulator"].nunique(), key_added)
    return out if copy else None


def _contrast(
    adata: AnnData, condition: str, group: str, reference: str, column: str | None, min_cells: int
) -> _Contrast:
    if column is not None and column == condition:
        raise GroupError(
            f"groupby={column!r} is the column of the contrast, so no group has cells of both sides; infer the network "
            "without groupby=, or compare another condition=."
        )
    labels, label = label_codes(adata.obs, condition, gaps=True)
    (group,), (reference,) = asked(group), asked(reference)
    for argument, value in (("group", group), ("reference", reference)):
        if value not in labels and (argument, value) != ("reference", REST):
            raise GroupError(
                f"obs[{condition!r}] has no value {value!r} for {argument}=; it has {', '.join(labels[:10]) or 'none'}."
            )
    if group == reference:
        raise GroupError(f"group and reference are both {group!r}; pass two values of obs[{condition!r}].")
    inside = label == labels.index(group)
    outside = label == labels.index(reference) if reference in labels else (label >= 0) & ~inside
    everyone = ("",), np.zeros(adata.n_obs, dtype=np.int64)
    names, code = everyone if column is None else label_codes(adata.obs, column, gaps=True)
    codes = np.where((inside | outside) & (code >= 0), 2 * code + inside, -1)
    sizes = np.bincount(codes[codes >= 0], minlength=2 * len(names)).reshape(-1, 2)
    large = np.asarray((sizes >= min_cells).all(axis=1))
    few = [
        f"{name or 'all cells'} ({b} {group}, {a} {reference})"
        for name, (a, b), fits in zip(names, sizes, large, strict=True)
        if not fits
    ]
    if not large.any():
        raise GroupError(f"too few cells for min_cells={min_cells} on both sides: {', '.join(few[:5])}.")
    if few:
        logger.warning("too few cells on one side of %d groups, which are left out: %s", len(few), some(few, 10))
    return _Contrast(names, codes, column, large)


def _nothing(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(n), np.zeros(n), np.ones(n)


def _tables(
    edges: dict[str, pd.DataFrame], genes: _Genes, contrast: _Contrast, min_targets: int, evidence: str, direction: str
) -> pd.DataFrame:
    """Ranked regulators of all groups; an error if none has enough targets."""
    ranked, unscored = [], {}
    for place, name in contrast.places():
        if name not in edges:
            continue
        table = _scored(edges[name], genes, place, min_targets, evidence)
        unscored[name] = edges[name]["source"].nunique() - len(table)
        if len(table):
            ranked.append(_ranked(table, direction, name))
    if not ranked:
        raise nothing_to_place(min_targets)
    tell_unplaced(unscored, min_targets)
    table = pd.concat(ranked, ignore_index=True)
    if contrast.column is None:
        return table.drop(columns="group")
    table["group"] = pd.Categorical(table["group"], categories=list(contrast.names))
    return table


def _scored(edges: pd.DataFrame, genes: _Genes, place: int, min_targets: int, evidence: str) -> pd.DataFrame:
    """Scores of the regulators with enough targets that vary."""
    varies = np.flatnonzero(genes.varies[place])
    if len(varies) < 3 or np.ptp(genes.statistic[place, varies]) == 0:
        raise ExpressionError(
            f"{len(varies)} genes vary between the cells compared; at least 3 with different changes are needed."
        )
    # sorted by name: sums do not depend on the order of the genes
    varies = varies[np.argsort(genes.names[varies].to_numpy(dtype=str), kind="stable")]
    names, statistic = genes.names[varies], genes.statistic[place, varies]
    regulators, weights = _weights(edges, names, min_targets)
    table = pd.DataFrame({"regulator": regulators, "n_targets": np.diff(weights.indptr)})
    at = names.get_indexer(pd.Index(regulators))
    change = (statistic - statistic.mean()) / statistic.std()
    table["activity"] = slopes(statistic, weights)
    table["log_change"] = np.where(at >= 0, genes.difference[place, varies][at], np.nan)
    table["change"] = np.where(at >= 0, change[at], np.nan)
    table["score"] = table["activity"]
    if evidence == "both":
        table["score"] = (table["activity"] + table["change"].fillna(0.0)) / np.sqrt(2.0)
    table["pval"] = 2 * stats.t.sf(table["score"].abs(), df=len(varies) - 2)
    return table[table["score"].notna()].reset_index(drop=True)


def _weights(edges: pd.DataFrame, names: pd.Index, min_targets: int) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Regulators with enough targets, and their weights on all genes, targets of many regulators counting less."""
    column = names.get_indexer(pd.Index(edges["target"].astype(str)))
    valid = (column >= 0) & (edges["weight"] != 0).to_numpy()
    source = edges["source"].astype(str).to_numpy()[valid]
    regulators, row = np.unique(source, return_inverse=True)
    shape = (len(regulators), len(names))
    weights = sparse.csr_matrix((edges["weight"].to_numpy(dtype=np.float64)[valid], (row, column[valid])), shape=shape)
    weights.sort_indices()
    shared = np.maximum(np.bincount(weights.indices, minlength=len(names)), 1)
    weights.data /= np.sqrt(shared[weights.indices])
    enough = np.diff(weights.indptr) >= min_targets
    return regulators[enough], weights[enough]


def _ranked(table: pd.DataFrame, direction: str, group: str) -> pd.DataFrame:
    """The table with ranks and adjusted p-values, first ranks first."""
    score = table["score"]
    rank = places(score, direction).astype(np.int64)
    columns: dict[str, Any] = {"regulator": table["regulator"].to_numpy(dtype=object), "group": group, "rank": rank}
    columns |= {"score": score, "pval": table["pval"], "qval": stats.false_discovery_control(table["pval"])}
    columns |= {name: table[name] for name in ("activity", "n_targets", "log_change", "change")}
    return pd.DataFrame(columns).sort_values(["rank", "regulator"], kind="stable")
