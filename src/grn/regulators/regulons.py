"""Regulons: the targets of regulators as gene sets of a size that can be scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import NetworkError, ParameterError
from grn._core.logging import hint, logger, some
from grn._object.container import check_target, check_type, target
from grn.network import Network
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


def write_regulons(
    adata: AnnData,
    *,
    key: str,
    group: str | None,
    min_probability: float | None,
    top_per_source: int | None,
    min_targets: int,
    max_targets: int,
    signed: bool,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    """Make the sets and write them; see :func:`grn.tl.regulons`."""
    params = {name: value for name, value in locals().items() if name not in {"adata", "copy"}}
    check_type(adata)
    check_target(adata, copy=copy, key=key_added)
    _check(min_targets, max_targets)
    net = Network.from_anndata(adata, key)
    inside = net.within(adata.var_names)
    if len(inside) < len(net):
        hint("%d of %d edges have an end that is not in var_names", len(net) - len(inside), len(net))
    visible = inside.filter(group=group, min_probability=min_probability, top_per_source=top_per_source)
    sets = visible.regulon_edges(signed=signed)
    regulons, dropped = _size(sets, min_targets, max_targets)
    if regulons.empty:
        raise NetworkError(_none_left(sets, len(net), min_targets))
    if len(dropped):
        hint("%d regulons have fewer than %d targets: %s", len(dropped), min_targets, some(dropped))
    out = target(adata, copy=copy)
    out.uns[key_added] = _record(regulons, dropped, params)
    logger.info("wrote %d regulons to uns[%r]", regulons["source"].nunique(), key_added)
    return out if copy else None


def _check(min_targets: int, max_targets: int) -> None:
    for name, value in (("min_targets", min_targets), ("max_targets", max_targets)):
        checks.integer(name, value, least=1)
    if max_targets < min_targets:
        raise ParameterError(f"max_targets={max_targets} is below min_targets={min_targets}.")


def _size(sets: pd.DataFrame, smallest: int, largest: int) -> tuple[pd.DataFrame, list[str]]:
    """Return sets of a fitting size, cut to their strongest targets, and the names of those too small."""
    by_name = sets.groupby("source", sort=False)["source"]
    fits = by_name.transform("size") >= smallest
    dropped = sorted(sets.loc[~fits, "source"].unique())
    return sets[fits & (by_name.cumcount() < largest)].reset_index(drop=True), dropped


def _none_left(sets: pd.DataFrame, n_edges: int, min_targets: int) -> str:
    if sets.empty:
        return f"none of the {n_edges} edges is left after the filters and var_names; relax the filters."
    largest = int(sets["source"].value_counts().max())
    return f"the largest regulon has {largest} targets, fewer than min_targets={min_targets}; lower min_targets."


def _record(regulons: pd.DataFrame, dropped: list[str], params: dict[str, Any]) -> dict[str, Any]:
    return {
        "edges": Network(regulons).edges,
        "dropped": np.array(dropped, dtype=str),
        "params": storable(params),
        "schema": {"version": 1, "kind": "regulons", "directed": True, "orientation": "source regulates target"},
    }
