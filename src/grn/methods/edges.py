"""From the answers of a method, matrices or tables per group, to a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn.methods.group import Group
from grn.network import Network

COLUMNS = ("weight", "sign", "probability", "score")


def to_network(
    names: np.ndarray,
    sources: np.ndarray,
    parts: Sequence[tuple[str, Mapping[str, np.ndarray]]],
    *,
    params: Mapping[str, Any],
    signed: bool,
    directed: bool = True,
) -> Network:
    """Build a network from one set of matrices per group.

    Parameters
    ----------
    names
        Gene names (n_vars,).
    sources
        Rows that are sources (S,).
    parts
        Per group its name (``""`` without grouping) and matrices (n_vars, S): ``weight``, and optionally
        ``probability``, ``sign``, ``score``. Pairs whose weight is NaN are left out.
    params
        Provenance.
    signed
        Whether weights carry a sign.
    directed
        Whether a pair has a direction.
    """
    tables = []
    for group, columns in parts:
        target, source = np.nonzero(~np.isnan(columns["weight"]))
        table = pd.DataFrame(
            {
                "source": pd.Categorical.from_codes(source, categories=names[sources]),
                "target": pd.Categorical.from_codes(target, categories=names),
            }
        )
        for column in COLUMNS:
            if column in columns:
                table[column] = columns[column][target, source].astype(np.float64)
        tables.append((group, table))
    return stacked(names, tables, params=params, signed=signed, directed=directed)


def checked_matrices(answer: Any, group: Group, method: str) -> dict[str, np.ndarray]:
    """Matrices (n_vars, S) of what a method returned as matrices (T, S), NaN for pairs that may be no edges."""
    matrices = answer if isinstance(answer, Mapping) else {"weight": answer}
    shape = (len(group.targets), len(group.sources))
    unknown = sorted(set(map(str, matrices)) - set(COLUMNS))
    if "weight" not in matrices or unknown:
        raise NetworkError(
            f"method {method!r} returned {', '.join(map(str, matrices)) or 'nothing'}; fit returns 'weight' and any of "
            f"{', '.join(COLUMNS[1:])}."
        )
    checked = {name: _numbers(matrix, name, shape, method) for name, matrix in matrices.items()}
    keep = group.listed & ~np.isnan(checked["weight"])
    spread_out = {name: np.full((len(group.names), shape[1]), np.nan) for name in checked}  # (n_vars, S)
    for name, matrix in checked.items():
        spread_out[name][group.targets] = np.where(keep, matrix, np.nan)
    return spread_out


def _numbers(matrix: Any, name: str, shape: tuple[int, int], method: str) -> np.ndarray:
    values = np.asarray(matrix)
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise NetworkError(
            f"method {method!r} returned {name} of shape {values.shape} and type {values.dtype}; fit returns numbers "
            f"of shape {shape}, one row per target and one column per source of the group."
        )
    numbers = values.astype(np.float64)
    if np.isinf(numbers).any():
        raise NetworkError(f"method {method!r} returned infinite {name}; NaN stands for a pair without an edge.")
    return numbers


def stacked(
    names: np.ndarray,
    parts: Sequence[tuple[str, pd.DataFrame]],
    *,
    params: Mapping[str, Any],
    signed: bool,
    directed: bool = True,
    tested: bool = False,
) -> Network:
    """Build a network from one edge table per group."""
    frames = []
    for group, table in parts:
        frame = table.reset_index(drop=True)
        if group:
            frame["group"] = pd.Categorical([group] * len(frame), categories=[name for name, _ in parts])
        frames.append(frame)
    edges = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Network(edges, genes=names, directed=directed, signed=signed, tested=tested, params=dict(params))


def indexed(names: np.ndarray, source: np.ndarray, target: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    """Edge table of genes given by their positions in ``names``."""
    ends = {"source": source, "target": target}
    sides = {side: pd.Categorical.from_codes(rows, categories=names) for side, rows in ends.items()}
    return pd.DataFrame({**sides, **columns})
