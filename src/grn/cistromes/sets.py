"""Sets of regions: how they are stored in an object, and how they are read from it or from what a user passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core.errors import ParameterError, RegionError, ResultNotFoundError
from grn._core.labels import texts
from grn._core.logging import hint, some
from grn.genome import parse_regions
from grn.genome.regions import region_names
from grn.network.schema import storable

_EXPECTED = "a key of uns, a list of keys, a dict from names to lists of regions, or a table set, region"
Sets = str | Sequence[str] | Mapping[str, Iterable[str]] | pd.DataFrame


@dataclass(frozen=True, eq=False)
class RegionSets:
    """Named sets of the regions of an object.

    Parameters
    ----------
    names
        Names of the sets (S,).
    member
        Sets x regions (S, R) of 0 and 1.
    """

    names: tuple[str, ...]
    member: sparse.csr_matrix


def store_sets(adata: AnnData, table: pd.DataFrame, params: dict[str, Any], *, key: str) -> None:
    """Write sets, a row per set and region, into ``uns``."""
    adata.uns[key] = {"table": table.reset_index(drop=True).astype({"set": "category"}), "params": storable(params)}


def read_sets(adata: AnnData, sets: Sets) -> RegionSets:
    """Sets by the key of ``uns`` (or several), or as a user passes them.

    Raises
    ------
    RegionError
        If a set has no region, or none that the object has.
    ResultNotFoundError
        If there is no such key.
    ParameterError
        If ``sets`` is something else.
    """
    listed = _listed(adata, sets)
    if not listed:
        raise RegionError(f"there are no sets of regions; pass {_EXPECTED}.")
    names = texts(list(listed), "the names of sets")
    of_object = pd.Index(region_names(parse_regions(adata.var_names)))
    rows, columns, lost = [], [], 0
    for number, (name, regions) in enumerate(zip(names, listed.values(), strict=True)):
        if not regions:
            raise RegionError(f"set {name!r} has no regions; leave it out.")
        at = of_object.get_indexer(region_names(parse_regions(list(dict.fromkeys(regions)))))
        inside = np.unique(at[at >= 0])
        if not len(inside):
            raise RegionError(
                f"none of the {len(regions)} regions of set {name!r} is in var_names ({some(regions, 2)}; the object "
                f"has {some(adata.var_names, 2)}); regions are compared by chromosome, start and end: map others with "
                "grn.genome.overlaps first."
            )
        lost += int((at < 0).sum())
        rows.append(np.full(len(inside), number))
        columns.append(inside)
    if lost:
        hint("%d regions of the sets are not in var_names and are left out", lost)
    at = np.concatenate(rows), np.concatenate(columns)
    member = sparse.csr_matrix((np.ones(len(at[0])), at), shape=(len(names), adata.n_vars))
    return RegionSets(tuple(names), member)


def _listed(adata: AnnData, sets: Sets) -> dict[Any, list[str]]:
    """Regions by the name of their set."""
    if isinstance(sets, pd.DataFrame):
        return _of_table(sets, "sets")
    if isinstance(sets, Mapping):
        return {name: _names(name, regions) for name, regions in sets.items()}
    if isinstance(sets, str):
        return _of_key(adata, sets)
    if isinstance(sets, Sequence) and sets and all(isinstance(key, str) for key in sets):
        return {f"{key}:{name}": regions for key in sets for name, regions in _of_key(adata, key).items()}
    raise ParameterError(f"sets has type {type(sets).__name__}; pass {_EXPECTED}.")


def _names(name: object, regions: object) -> list[str]:
    if isinstance(regions, str) or not isinstance(regions, Iterable):
        raise ParameterError(f"set {name!r} is {regions!r}; pass a list of regions, such as ['chr1:100-600'].")
    return [str(region) for region in regions]


def _of_key(adata: AnnData, key: str) -> dict[Any, list[str]]:
    stored = adata.uns.get(key)
    table = stored.get("table") if isinstance(stored, Mapping) else None
    if not isinstance(table, pd.DataFrame):
        raise ResultNotFoundError(
            f"uns[{key!r}] holds no sets of regions; make them with grn.tl.region_sets(adata, groupby=...) or "
            "grn.tl.topics(adata, n_topics=...), or pass a dict from names to lists of regions."
        )
    return _of_table(table, f"uns[{key!r}]")


def _of_table(table: pd.DataFrame, where: str) -> dict[Any, list[str]]:
    if not {"set", "region"} <= set(table.columns):
        raise ParameterError(f"{where} has the columns {list(map(str, table.columns[:8]))}; expected set, region.")
    plain = table[["set", "region"]].astype(str)
    return {name: regions.tolist() for name, regions in plain.groupby("set", sort=False)["region"]}
