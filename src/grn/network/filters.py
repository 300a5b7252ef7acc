"""Selecting edges. All functions keep the canonical row order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import GeneNameError, GroupError, NetworkError
from grn._core.labels import asked
from grn._core.logging import logger
from grn._core.near import did_you_mean
from grn.network._validate import examples
from grn.network.direction import WORDS

Names = str | Iterable[str] | None

_MADE_BY = {
    "probability": "grn.tl.infer_network(adata)",
    "qval": "grn.tl.confidence(adata)",
    "stability": "grn.tl.confidence(adata)",
}


def select_names(edges: pd.DataFrame, column: str, names: Names, genes: np.ndarray) -> np.ndarray:
    """Mask of the rows whose ``column`` is one of ``names``; names the network lacks are logged."""
    if names is None:
        return np.ones(len(edges), dtype=bool)
    wanted = [names] if isinstance(names, str) else list(names)
    known = set(genes)
    lost = [name for name in wanted if name not in known]
    if wanted and len(lost) == len(wanted):
        hint = did_you_mean(lost[0], genes, genes=True)
        raise GeneNameError(f"{column}s={examples(lost)}: the network has no such gene.{hint} See Network.genes.")
    if lost:
        unknown = examples(lost, limit=10)
        logger.warning("%d of %d %ss are not in the network: %s", len(lost), len(wanted), column, unknown)
    return in_categories(edges[column], set(wanted))


def select_groups(edges: pd.DataFrame, group: Names) -> np.ndarray:
    """Mask of the rows of one or several groups."""
    if group is None:
        return np.ones(len(edges), dtype=bool)
    if "group" not in edges:
        raise GroupError(f"group={group!r} was asked for but the network has no groups; leave group=None.")
    wanted = set(asked(group))
    unknown = sorted(wanted - set(edges["group"].cat.categories), key=str)
    if unknown:
        valid = ", ".join(map(repr, edges["group"].cat.categories))
        raise GroupError(f"the network has no group {examples(unknown)}; it has {valid or 'no edges'}.")
    return in_categories(edges["group"], wanted)


def select_directions(edges: pd.DataFrame, words: Names) -> np.ndarray:
    """Mask of the rows whose direction is told by one of some words."""
    if words is None:
        return np.ones(len(edges), dtype=bool)
    wanted = [words] if isinstance(words, str) else list(words)
    for word in wanted or [""]:
        checks.word("direction", word, WORDS)
    if "direction" not in edges:
        raise NetworkError(
            f"direction= needs the column 'direction'; the network has {', '.join(edges.columns)}. It is written by "
            "grn.tl.infer_network(adata)."
        )
    return in_categories(edges["direction"], set(wanted))


def in_categories(column: pd.Series, wanted: set[str]) -> np.ndarray:
    """Membership of a categorical column, tested once per category."""
    member = np.array([name in wanted for name in column.cat.categories], dtype=bool)
    return np.append(member, False)[column.cat.codes.to_numpy()]


def select_values(
    edges: pd.DataFrame,
    *,
    min_abs_weight: float | None,
    min_probability: float | None,
    max_q: float | None,
    min_stability: float | None,
) -> np.ndarray:
    """Mask of the rows beyond all thresholds; a missing value fails its threshold."""
    mask = np.ones(len(edges), dtype=bool)
    if min_abs_weight is not None:
        mask &= edges["weight"].abs().to_numpy() >= _number(min_abs_weight, "min_abs_weight")
    limits = (
        ("probability", "min_probability", min_probability),
        ("qval", "max_q", max_q),
        ("stability", "min_stability", min_stability),
    )
    for column, argument, limit in limits:
        if limit is None:
            continue
        if column not in edges:
            raise NetworkError(
                f"{argument}= needs the column {column!r}; the network has {', '.join(edges.columns)}. "
                f"It is written by {_MADE_BY[column]}."
            )
        values = edges[column].to_numpy()
        bound = _number(limit, argument)
        mask &= values <= bound if argument.startswith("max") else values >= bound
    return mask


def select_top(edges: pd.DataFrame, *, top: int | None, per_source: int | None, per_target: int | None) -> np.ndarray:
    """Mask of the strongest rows per group; the two per-gene limits act side by side, then ``top``."""
    mask = np.ones(len(edges), dtype=bool)
    group = edges["group"].cat.codes.to_numpy(np.int64) if "group" in edges else np.zeros(len(edges), dtype=np.int64)
    for column, argument, limit in (
        ("source", "top_per_source", per_source),
        ("target", "top_per_target", per_target),
    ):
        if limit is not None:
            size = max(1, len(edges[column].cat.categories))
            mask &= _rank(group * size + edges[column].cat.codes.to_numpy(np.int64)) < _count(limit, argument)
    if top is not None:
        rows = np.flatnonzero(mask)
        mask[rows[_rank(group[rows]) >= _count(top, "top")]] = False
    return mask


def _rank(key: np.ndarray) -> np.ndarray:
    """Position of each row among the rows with its key; rows are sorted strongest first."""
    return pd.Series(key).groupby(key, sort=False).cumcount().to_numpy()


def _number(value: float, argument: str) -> float:
    return checks.number(argument, value, finite=False, note=" or None")


def _count(value: int, argument: str) -> int:
    return checks.integer(argument, value, least=0, note=" or None")
