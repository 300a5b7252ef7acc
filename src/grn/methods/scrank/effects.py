"""What a drug does to the network of every group, and how groups rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from grn._core.logging import logger, progress
from grn._kernels.alignment import align, perturbed, scores
from grn._kernels.ties import merged
from grn.methods.scrank.drug import Drug

_BINS = 24
_PER_BIN = 20


def _scaled(weights: sp.csr_array) -> sp.csr_array:
    """Weights of one group (row = regulator), at most 1 in size, without loops."""
    table = weights.tocoo()
    keep = table.row != table.col
    weight = table.data[keep]
    largest = np.abs(weight).max() if len(weight) else 0.0
    weight = weight / largest if largest > 1.0 else weight
    scaled = sp.csr_array((weight, (table.row[keep], table.col[keep])), shape=weights.shape)
    scaled.eliminate_zeros()
    return scaled


def ranked(
    networks: Mapping[str, sp.csr_array],
    names: np.ndarray,
    groups: Sequence[str],
    drug: Drug,
    other: Drug | None,
    *,
    n_hop: int,
    symmetric: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ranks of the groups and effects on their genes, of a drug and of the target it is compared with."""
    known = pd.Index(names)
    rows, tables = [], []
    for group in progress(groups, desc="drug effects"):
        weights = _scaled(networks[group])
        distances, score = _effect(weights, known, drug, group, n_hop=n_hop, symmetric=symmetric)
        row: dict[str, Any] = {"group": group, "score": score}
        if other is not None:
            row["resistance_score"] = _effect(weights, known, other, group, n_hop=n_hop, symmetric=symmetric)[1]
            row["ratio"] = score / row["resistance_score"] if row["resistance_score"] > 0 else np.nan
        rows.append(row)
        tables.append(_table(weights, known, distances, drug, group))
    ranks = pd.DataFrame(rows)
    ranks["group"] = pd.Categorical(ranks["group"], categories=list(groups))
    if not ranks["score"].any():
        logger.warning("%s has no out-edge in any group: all scores are 0", ", ".join(drug.targets))
    ranks.insert(2, "rank", _falling(ranks["score"]))
    ranks.insert(3, "rescaled", (len(ranks) - ranks["rank"]) / max(1, len(ranks) - 1) if len(ranks) > 1 else 1.0)
    effects = pd.concat(tables, ignore_index=True)
    effects["group"] = pd.Categorical(effects["group"], categories=list(groups))
    return ranks, effects


def _falling(values: pd.Series) -> pd.Series:
    """Ranks from 1 for the largest; values that are equal up to rounding share their mean rank."""
    return pd.Series(merged(values.to_numpy()), index=values.index).rank(ascending=False)


def _effect(
    weights: sp.csr_array, genes: pd.Index, drug: Drug, group: str, *, n_hop: int, symmetric: bool
) -> tuple[np.ndarray, float]:
    places = genes.get_indexer(list(drug.targets))
    changed = perturbed(weights, places, agonist=[action == "agonist" for action in drug.actions])
    aligned = align(weights, changed, symmetric=symmetric)
    if aligned.complex_pair:
        message = "the embedding of group %r is part of a complex vector and depends on the solver"
        logger.warning(message, group, extra={"of": group})
    if aligned.gap < 1e-9 * abs(aligned.eigenvalues[-1]):
        message = "the embedding of group %r is not unique: its network falls apart or has too few edges"
        logger.warning(message, group, extra={"of": group})
    score = float(scores(weights, aligned.distances, n_hop=n_hop)[places].sum())
    return aligned.distances, score if n_hop > 1 else score / len(places)


def _table(weights: sp.csr_array, genes: pd.Index, distances: np.ndarray, drug: Drug, group: str) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "group": group,
        "gene": genes.astype(str),
        "distance": distances,
        "degree": np.diff(weights.indptr).astype(np.int64),
        "out_weight": weights.sum(axis=1),
        "in_weight": weights.sum(axis=0),
    }
    for number, place in enumerate(genes.get_indexer(list(drug.targets)), start=1):
        columns[f"from_target_{number}"] = weights[[place], :].toarray().ravel()
    table = pd.DataFrame(columns)
    return table.sort_values(["distance", "gene"], ascending=[False, True], kind="stable")


def with_baselines(
    ranks: pd.DataFrame,
    networks: Mapping[str, sp.csr_array],
    means: np.ndarray,
    names: np.ndarray,
    groups: Sequence[str],
    drug: Drug,
) -> pd.DataFrame:
    """Add what the expression of the targets, and of them with their neighbours, says alone."""
    place = pd.Index(names)
    targets = place.get_indexer(list(drug.targets))
    bins = _expression_bins(means.mean(axis=0))
    module = []
    for i, group in enumerate(groups):
        reached = networks[group][targets].nonzero()[1]
        members = np.union1d(targets, reached)
        module.append(_above_alike(means[i], members, bins))
    ranks["expression"], ranks["module_score"] = means[:, targets].mean(axis=1), module
    for name in ("expression", "module_score"):
        ranks[f"{name}_rank"] = _falling(ranks[name])
    return ranks.sort_values(["score", "group"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _expression_bins(mean: np.ndarray) -> np.ndarray:
    """Bins of equal size by mean expression; equal means share a bin."""
    ranks = pd.Series(mean).rank(method="min").to_numpy() - 1
    n_bins = max(1, min(_BINS, len(mean) // _PER_BIN))
    return (ranks * n_bins // len(mean)).astype(np.int64)


def _above_alike(mean: np.ndarray, members: np.ndarray, bins: np.ndarray) -> float:
    """Mean of the members minus that of the genes in their bins that are none; NaN without such genes."""
    outside = np.ones(len(mean), dtype=bool)
    outside[members] = False
    alike = [mean[outside & (bins == level)] for level in bins[members]]
    means = [part.mean() for part in alike if len(part)]
    return float(mean[members].mean() - np.mean(means)) if means else np.nan
