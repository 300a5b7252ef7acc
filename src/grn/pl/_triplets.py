"""Triplets of a regulator, a region and a target, as methods that read regions store them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grn._core.errors import ParameterError, ResultNotFoundError
from grn._core.logging import hint
from grn.pl._edge_data import near

COLUMNS = ["source", "region", "target"]
_RANKS = ("triplet_rank", "score", "weight")


def triplet_table(data: Any, network: pd.DataFrame | str, *, argument: str) -> pd.DataFrame:
    """Triplets ``source, region, target``, one row each, the strongest first, with all other columns.

    ``sign`` in {1, -1, 0} is that of the regulator on the target, ``region_sign`` that of the region on it; ``word`` is
    the sign as the table writes it, ``"+/-"``, or ``"+"``, ``"−"`` and ``""`` for numbers and none.

    Parameters
    ----------
    data
        Object whose ``uns`` may hold a network.
    network
        A table, or the key of a network with ``"triplets"``, or with a column ``region`` of its edges.
    argument
        What names it, for errors.
    """
    table = network if isinstance(network, pd.DataFrame) else _stored(data, network, argument)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ParameterError(
            f"{argument} has no {' and no '.join(missing)}; its columns are {', '.join(map(str, table.columns[:8]))}. "
            "Pass a table with source, region and target, or the key of a network that has triplets."
        )
    table = table[table[COLUMNS].notna().all(axis=1)].astype(dict.fromkeys(COLUMNS, str))
    signs = _signs(table)
    table = table.assign(word=_words(table, signs), region_sign=_region_signs(table), sign=signs)
    by = next((name for name in _RANKS if name in table), None)
    if by is not None:
        values = _numbers(table, by)
        strength = -values if by == "triplet_rank" else np.abs(values)
        table = table.assign(strength=strength).sort_values(
            ["strength", *COLUMNS], ascending=[False, True, True, True], kind="stable"
        )
    return table.drop_duplicates(COLUMNS).reset_index(drop=True)


def _stored(data: Any, key: object, argument: str) -> pd.DataFrame:
    if not hasattr(data, "uns"):
        raise ParameterError(
            f"{type(data).__name__} holds no networks; pass an object, or a table with source, region and target."
        )
    uns = {**data.uns}
    for part in getattr(data, "mod", {}).values():
        uns = {**part.uns, **uns}
    entry = uns.get(key) if isinstance(key, str) else None
    if not isinstance(entry, Mapping):
        there = [name for name, value in uns.items() if isinstance(value, Mapping) and "edges" in value]
        raise ResultNotFoundError(f"{argument}={key!r}: uns has no such network.{near(key, there)}")
    for name in ("triplets", "edges"):
        if isinstance(entry.get(name), pd.DataFrame) and "region" in entry[name]:
            return entry[name]
    raise ResultNotFoundError(
        f"{argument}={key!r}: the network names no regions; infer it with a method that does, such as "
        "grn.tl.celloracle(mdata, base_grn=...) with regions in its base GRN."
    )


def _signs(table: pd.DataFrame) -> np.ndarray:
    """Sign of the regulator on the target: of numbers, or of words such as ``+/-``, which begin with it."""
    return _of_column(table["sign"]) if "sign" in table else np.zeros(len(table), dtype=int)


def _region_signs(table: pd.DataFrame) -> np.ndarray:
    """Sign of the region on the target: of its own column, of the correlation, or of what words end with."""
    if "region_sign" in table:
        return _of_column(table["region_sign"])
    if "rho_r2g" in table:
        return _of_numbers(_numbers(table, "rho_r2g"))
    words = table["sign"].astype(str) if "sign" in table else pd.Series("", index=table.index)
    return _of_numbers(_of_letters(words.where(words.str.contains("/", regex=False), "").str[-1:]))


def _of_column(column: pd.Series) -> np.ndarray:
    """Signs of numbers, or of words that begin with them; others are not known, which is said."""
    if pd.api.types.is_numeric_dtype(column):
        return _of_numbers(column.to_numpy(dtype=float, na_value=np.nan))
    words = column.astype(str)
    values = _of_letters(words.str[:1]).fillna(pd.to_numeric(words, errors="coerce"))
    strange = words[values.isna() & column.notna() & (words != "")]
    if len(strange):
        hint("%d of %d signs in the column %s are neither numbers nor words such as '+/-', for example %r; they count "
             "as not known", len(strange), len(words), column.name, strange.iloc[0])  # fmt: skip
    return _of_numbers(values)


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    try:
        return table[name].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"the column {name} of triplets holds no numbers ({error}).") from error


def _of_numbers(values: pd.Series | np.ndarray) -> np.ndarray:
    return np.sign(np.nan_to_num(np.asarray(values, dtype=float))).astype(int)


def _of_letters(column: pd.Series) -> pd.Series:
    return column.map({"+": 1.0, "-": -1.0, "−": -1.0}).astype(float)


def _words(table: pd.DataFrame, signs: np.ndarray) -> pd.Series:
    if "sign" in table and not pd.api.types.is_numeric_dtype(table["sign"]):
        return table["sign"].astype(str)
    return pd.Series(signs, index=table.index).map({1: "+", -1: "−", 0: ""})
