"""From any edge table to the canonical one, or a NetworkError that says what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from grn._core.errors import NetworkError
from grn._core.names import WHY, unstorable
from grn._core.near import did_you_mean
from grn._kernels.ties import merged
from grn.network.direction import WORDS, tells

REQUIRED = ("source", "target", "weight")
OPTIONAL = ("sign", "probability", "score", "pval", "qval", "stability", "direction", "group", "region", "lag")
_FLOATS = ("weight", "sign", "probability", "score", "pval", "qval", "stability")
_UNIT_INTERVAL = ("probability", "pval", "qval")


def examples(items: Iterable[object], *, limit: int = 3) -> str:
    """Join the first few items for an error message."""
    listed = list(items)
    shown = ", ".join(repr(item) for item in listed[:limit])
    return shown + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def clean_edges(edges: pd.DataFrame) -> pd.DataFrame:
    """Return a new table with checked values, canonical columns, dtypes and row order.

    Cost: one sort of the rows; everything else is linear.
    """
    if not isinstance(edges, pd.DataFrame):
        raise NetworkError(
            f"edges has type {type(edges).__name__}; pass a DataFrame with columns source, target, weight."
        )
    _check_columns(edges)
    table = pd.DataFrame({n: _column(edges[n].reset_index(drop=True), n) for n in in_order(edges.columns)})
    _check_values(table)
    _check_duplicates(table)
    return sort_edges(table)


def in_order(columns: Iterable[str]) -> list[str]:
    """Names of columns in the canonical order."""
    there = set(columns)
    extra = sorted(there - {*REQUIRED, *OPTIONAL})
    return [*REQUIRED, *(name for name in OPTIONAL if name in there), *extra]


def clean_genes(genes: Iterable[str] | None, edges: pd.DataFrame) -> np.ndarray:
    """Check the gene universe against a canonical table; by default it is all names of the table, sorted."""
    used = set(edges["source"].cat.categories) | set(edges["target"].cat.categories)
    if genes is None:
        return np.array(sorted(used), dtype=object)
    names = plain_names(list(genes), "genes")
    if len(set(names)) != len(names):
        repeated = pd.unique(names[pd.Index(names).duplicated()])
        raise NetworkError(f"genes holds repeated names ({examples(repeated)}); pass each gene once.")
    lost = sorted(used - set(names))
    if lost:
        raise NetworkError(
            f"{len(lost)} names in the edge table are not in genes ({examples(lost)}); "
            "add them to genes, remove those edges, or leave genes=None."
        )
    return names


def check_signs(edges: pd.DataFrame, *, signed: bool | None) -> bool:
    """Return whether the network is signed; a weight must agree with what is said about signs."""
    weight = edges["weight"].to_numpy()
    sign = edges["sign"].to_numpy() if "sign" in edges else np.full(len(edges), np.nan)
    negative = bool((weight < 0).any())
    known = bool(np.isfinite(sign).any())
    if signed is None:
        signed = negative or known
    if not signed and (negative or known):
        raise NetworkError(
            "signed=False was passed but the table has negative weights or a known sign; "
            "pass signed=True, or take the absolute weights and drop the sign column."
        )
    against = (weight * sign < 0) | ((weight < 0) & np.isnan(sign) & ("sign" in edges))
    if against.any():
        raise NetworkError(
            f"{int(against.sum())} edges have a weight that contradicts their sign ({_pairs(edges, against)}); "
            "a weight is sign * strength, and a strength without known sign is not negative."
        )
    return bool(signed)


def sort_edges(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by group, then strongest first, then names, so that equal tables have equal rows.

    Of edges that are equally strong up to rounding the one with the larger absolute ``score`` comes first.
    """
    group = table["group"].cat.codes.to_numpy(np.int64) if "group" in table else None
    keys = [table["target"].cat.codes, table["source"].cat.codes]
    if "score" in table:
        keys.append(-merged(table["score"].abs().fillna(0.0).to_numpy(), group))
    keys.append(-merged(table["weight"].abs().to_numpy(), group))
    if group is not None:
        keys.append(group)
    return table.iloc[np.lexsort(keys)].reset_index(drop=True)


def edge_keys(table: pd.DataFrame, *, grouped: bool = True) -> np.ndarray:
    """One integer per (group, source, target) of a canonical table."""
    source, target = table["source"].cat, table["target"].cat
    key = source.codes.to_numpy(np.int64) * max(1, len(target.categories)) + target.codes.to_numpy(np.int64)
    if grouped and "group" in table:
        key += table["group"].cat.codes.to_numpy(np.int64) * len(source.categories) * len(target.categories)
    return key


def plain_names(names: Sequence[object] | np.ndarray, what: str) -> np.ndarray:
    """Names as an array of ``str``, if they are non-empty strings that every file format keeps."""
    foreign = [name for name in names if not isinstance(name, str)]
    if foreign:
        raise NetworkError(f"{what} holds names that are not strings ({examples(foreign)}); convert them with str().")
    if any(not name.strip() for name in names):
        raise NetworkError(f"{what} holds an empty name; drop those rows or name the gene.")
    broken = unstorable(names)
    if broken:
        raise NetworkError(f"{what} holds names that cannot be stored ({examples(broken)}): {WHY}; rename them.")
    # elements of numpy's string arrays are of a type of their own, which graph libraries write as such
    plain = np.empty(len(names), dtype=object)
    plain[:] = [str(name) for name in names]
    return plain


def _check_columns(edges: pd.DataFrame) -> None:
    missing = [name for name in REQUIRED if name not in edges.columns]
    if missing:
        raise NetworkError(
            f"the edge table lacks {', '.join(missing)}; it has {examples(edges.columns, limit=12) or 'no columns'}. "
            "Rename them, for instance grn.Network.from_frame(table, source='TF', weight='importance')."
        )
    bad = [name for name in edges.columns if not isinstance(name, str) or "/" in name or not name]
    if bad:
        raise NetworkError(f"columns {examples(bad)} cannot be stored; use non-empty strings without '/'.")
    if not edges.columns.is_unique:
        raise NetworkError(f"columns {examples(edges.columns[edges.columns.duplicated()])} occur more than once.")


def _column(column: pd.Series, name: str) -> pd.Series:
    if name in {"source", "target", "group"}:
        return _labels(column, name, keep_order=name == "group", allow_missing=False)
    if name == "direction":
        return _direction(column)
    if name in _FLOATS:
        return pd.Series(_floats(column, name))
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype(bool) if not column.isna().any() else pd.Series(_floats(column, name))
    if pd.api.types.is_numeric_dtype(column.dtype):
        plain = isinstance(column.dtype, np.dtype) and not pd.api.types.is_complex_dtype(column.dtype)
        return column.copy() if plain else pd.Series(_floats(column, name))
    if pd.api.types.is_object_dtype(column.dtype) and len(column) and column.isna().all():
        return pd.Series(np.full(len(column), np.nan))
    return _labels(column, name, keep_order=False, allow_missing=True)


def _labels(column: pd.Series, name: str, *, keep_order: bool, allow_missing: bool) -> pd.Series:
    try:
        labels = pd.Categorical(column).remove_unused_categories()
    except TypeError as error:
        raise NetworkError(f"column {name!r} holds values that are not strings; convert them with str().") from error
    if not allow_missing and (labels.codes == -1).any():
        raise NetworkError(
            f"column {name!r} has {int((labels.codes == -1).sum())} missing values; drop or fill those rows."
        )
    categories = plain_names(labels.categories.to_numpy(dtype=object), f"column {name!r}")
    ordered = list(categories) if keep_order and isinstance(column.dtype, pd.CategoricalDtype) else sorted(categories)
    position = pd.Index(ordered, dtype=object).get_indexer(categories)
    codes = np.append(position, -1)[labels.codes]
    return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(ordered, dtype=object)))


def _direction(column: pd.Series) -> pd.Series:
    """Words for what tells a direction, strongest evidence first."""
    words = _labels(column, "direction", keep_order=False, allow_missing=False)
    unknown = sorted(set(words.cat.categories) - {*WORDS})
    if unknown:
        raise NetworkError(
            f"column 'direction' holds {examples(unknown)}; it says what tells the direction of an edge: "
            f"{', '.join(WORDS)}.{did_you_mean(unknown[0], WORDS)} Put other remarks into another column."
        )
    return words.cat.set_categories(pd.Index([word for word in WORDS if word in words.cat.categories], dtype=object))


def check_direction(edges: pd.DataFrame, *, directed: bool | None) -> bool:
    """Return whether the network is directed; what is said must agree with a column ``direction``."""
    if "direction" not in edges:
        return True if directed is None else bool(directed)
    made = tells(edges["direction"])
    if directed is not None and bool(directed) != made and len(edges):
        there = ", ".join(edges["direction"].cat.categories)
        raise NetworkError(
            f"directed={directed} was passed but the column direction says {there}; leave directed=None, which reads "
            "the column, or drop the column."
        )
    return made


def _floats(column: pd.Series, name: str) -> np.ndarray:
    plain = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    try:
        numbers = pd.to_numeric(plain)
        if pd.api.types.is_complex_dtype(numbers.dtype):
            raise TypeError("it is complex")
        return np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise NetworkError(f"column {name!r} is not numeric ({error}).") from error


def _check_values(table: pd.DataFrame) -> None:
    bad = ~np.isfinite(table["weight"].to_numpy())
    if bad.any():
        raise NetworkError(
            f"{int(bad.sum())} weights are NaN or infinite ({_pairs(table, bad)}); "
            "drop those edges, for instance edges[np.isfinite(edges['weight'])]."
        )
    for name in _UNIT_INTERVAL:
        if name in table:
            values = table[name].to_numpy()
            bad = (values < 0) | (values > 1)
            if bad.any():
                raise NetworkError(
                    f"{int(bad.sum())} values of {name!r} are outside [0, 1] ({_pairs(table, bad)}); "
                    "put other scales into the column 'score'."
                )
    if "sign" in table:
        values = table["sign"].to_numpy()
        bad = ~(np.isnan(values) | (np.abs(values) == 1))
        if bad.any():
            raise NetworkError(
                f"{int(bad.sum())} values of 'sign' are not -1, 1 or NaN ({_pairs(table, bad)}); use NaN for unknown."
            )


def _check_duplicates(table: pd.DataFrame) -> None:
    repeated = pd.Series(edge_keys(table)).duplicated().to_numpy()
    if repeated.any():
        raise NetworkError(
            f"{int(repeated.sum())} edges occur more than once per group ({_pairs(table, repeated)}); keep one, "
            "for instance edges.sort_values('weight', key=abs).drop_duplicates(['source', 'target'], keep='last')."
        )


def _pairs(table: pd.DataFrame, mask: np.ndarray) -> str:
    rows = table.loc[mask, ["source", "target"]].head(3)
    return ", ".join(f"{source} -> {target}" for source, target in zip(rows["source"], rows["target"], strict=True))
