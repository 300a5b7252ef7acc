"""From the answers of a method, matrices or tables per group, to a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn._core.logging import some
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
    return stacked(names, tables, params=params, signed=signed)


def edges_of(answer: Any, group: Group, method: str) -> pd.DataFrame:
    """Edge table of a group, see :func:`pairs_of`."""
    t, s, columns = pairs_of(answer, group, method)
    return indexed(group.names, group.sources[s], group.targets[t], **columns)


def pairs_of(answer: Any, group: Group, method: str) -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
    """Edges of a group in what a method returned for it: the pairs that may be edges and have a weight.

    Matrices (T, S) and tables are held to the same question: pairs that are no edges by :attr:`Group.listed`, or whose
    weight is NaN, are left out.

    Returns
    -------
    targets, sources
        Places of the ends of every edge among those of the group (E,); of matrices source after source.
    columns
        Weights and what else there is of every edge (E,), by name.

    Raises
    ------
    NetworkError
        If matrices have another shape, or a table names other genes than the sources and targets of the group.
    """
    if isinstance(answer, pd.DataFrame):
        lacking = [column for column in ("source", "target", "weight") if column not in answer]
        if lacking:
            raise NetworkError(
                f"method {method!r} returned a table that lacks {', '.join(lacking)}; fit returns source, target and "
                "weight."
            )
        s = _places(answer["source"], group.sources, group, method)
        t = _places(answer["target"], group.targets, group, method)
        keep = group.listed[t, s] & ~answer["weight"].isna().to_numpy()
        return t[keep], s[keep], dict(answer.drop(columns=["source", "target"])[keep].items())  # type: ignore[arg-type]
    matrices = _matrices(answer, (len(group.targets), len(group.sources)), method)
    edges = (group.listed & ~np.isnan(matrices["weight"])).T  # (S, T)
    s, t = np.nonzero(edges)
    return t, s, {name: matrices[name].T[edges] for name in COLUMNS if name in matrices}


def _places(column: pd.Series, genes: np.ndarray, group: Group, method: str) -> np.ndarray:
    """Places in ``genes``, the sources or the targets of a group, of the names in a column."""
    names = pd.Categorical(column)
    if (names.codes < 0).any():
        raise NetworkError(
            f"method {method!r} returned {(names.codes < 0).sum()} edges with a missing {column.name}; name every gene."
        )
    place = pd.Index(group.names[genes], dtype=object).get_indexer(names.categories)
    strange = np.unique(names.codes[place[names.codes] < 0])
    if len(strange):
        raise NetworkError(
            f"method {method!r} returned {len(strange)} genes that are not among the {column.name}s of the group: "
            f"{some(names.categories[strange])}. A method keeps to group.names[group.{column.name}s]."
        )
    places: np.ndarray = place[names.codes]
    return places


def _matrices(answer: Any, shape: tuple[int, int], method: str) -> dict[str, np.ndarray]:
    """Matrices (T, S) that a method returned, as numbers."""
    matrices = answer if isinstance(answer, Mapping) else {"weight": answer}
    unknown = sorted(set(map(str, matrices)) - set(COLUMNS))
    if "weight" not in matrices or unknown:
        raise NetworkError(
            f"method {method!r} returned {', '.join(map(str, matrices)) or 'nothing'}; fit returns 'weight' and any of "
            f"{', '.join(COLUMNS[1:])}."
        )
    return {name: _numbers(matrix, name, shape, method) for name, matrix in matrices.items()}


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
    tested: bool = False,
) -> Network:
    """Build a network from one edge table per group; the tables have the same columns."""
    frames = []
    for group, table in parts:
        frame = table.reset_index(drop=True)
        if group:
            frame["group"] = pd.Categorical([group] * len(frame), categories=[name for name, _ in parts])
        frames.append(frame)
    edges = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Network(edges, genes=names, signed=signed, tested=tested, params=dict(params))


def indexed(names: np.ndarray, source: np.ndarray, target: np.ndarray, **columns: Any) -> pd.DataFrame:
    """Edge table of genes given by their positions in ``names``."""
    ends = {"source": source, "target": target}
    sides = {side: pd.Categorical.from_codes(rows, categories=names) for side, rows in ends.items()}
    return pd.DataFrame({**sides, **{name: np.asarray(column) for name, column in columns.items()}})


def in_groups(parts: list[tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """One table of those of all groups, with a column ``group`` unless there is one group without a name."""
    if [name for name, _ in parts] == [""]:
        return parts[0][1].reset_index(drop=True)
    names = [name for name, _ in parts]
    tables = [table.assign(group=pd.Categorical([name] * len(table), categories=names)) for name, table in parts]
    return pd.concat(tables, ignore_index=True)
