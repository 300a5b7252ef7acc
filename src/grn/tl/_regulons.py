"""Gene sets of regulators out of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from grn._core import checks
from grn._core.errors import NetworkError, ParameterError
from grn._core.logging import hint, logger, one_voice, some
from grn._object.container import check_target, check_type, target
from grn.network import Network
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData


@one_voice
def regulons(
    adata: AnnData,
    *,
    key: str = "grn",
    group: str | None = None,
    min_probability: float | None = None,
    top_per_source: int | None = None,
    min_targets: int = 5,
    max_targets: int = 500,
    signed: bool = True,
    key_added: str = "regulons",
    copy: bool = False,
) -> AnnData | None:
    """Turn a network into regulons: one named, weighted gene set per regulator and sign.

    Only targets and regulators in ``var_names`` count. Score the sets with
    ``dc.mt.ulm(adata, net=adata.uns["regulons"]["edges"])`` or any other method of decoupler.

    Parameters
    ----------
    adata
        AnnData with a network in ``uns[key]``.
    key
        Entry of ``uns`` with the network.
    group
        The group to take; needed when the network has several.
    min_probability
        Smallest ``probability`` of an edge; needs that column.
    top_per_source
        Number of strongest edges per regulator to start from, before the split by sign.
    min_targets
        Smallest number of targets of a regulon; smaller ones are left out, logged and listed in ``dropped``.
    max_targets
        Largest number of targets of a regulon; of larger ones the strongest are kept.
    signed
        Split each regulator into ``"SPI1(+)"`` (targets it activates) and ``"SPI1(-)"`` (targets it represses), with
        strengths as weights: the score of a regulon says how strongly its targets are expressed. Edges of unknown sign
        form ``"SPI1"``. If false, one set per regulator with the weights as they are, and the score of a regulon speaks
        for the activity of the regulator.
    key_added
        Entry of ``uns`` to write.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    None, or an AnnData if ``copy``. Writes ``uns[key_added]``: ``edges`` (DataFrame ``source``, ``target``,
    ``weight``), ``dropped`` (names of the regulons with too few targets), ``params``, ``schema``.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``key``.
    GroupError
        The network has several groups and none was chosen, or not this one.
    NetworkError
        No regulon has enough targets, or ``probability`` is missing.
    ParameterError
        A number is out of range.

    Examples
    --------
    >>> import grn, numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> adata = AnnData(np.ones((2, 4)), var=pd.DataFrame(index=["SPI1", "CD14", "CD68", "CD3E"]))
    >>> table = pd.DataFrame({"source": "SPI1", "target": ["CD14", "CD68", "CD3E"], "weight": [0.5, 0.4, -0.9]})
    >>> grn.Network(table).write(adata)
    >>> grn.tl.regulons(adata, min_targets=2)
    >>> adata.uns["regulons"]["edges"]["source"].tolist()
    ['SPI1(+)', 'SPI1(+)']
    >>> adata.uns["regulons"]["dropped"].tolist()
    ['SPI1(-)']
    """
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
    kept, dropped = _size(sets, min_targets, max_targets)
    if kept.empty:
        raise NetworkError(_none_left(sets, len(net), min_targets))
    if len(dropped):
        hint("%d regulons have fewer than %d targets: %s", len(dropped), min_targets, some(dropped))
    out = target(adata, copy=copy)
    out.uns[key_added] = _record(kept, dropped, params)
    logger.info("wrote %d regulons to uns[%r]", kept["source"].nunique(), key_added)
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


def _record(kept: pd.DataFrame, dropped: list[str], params: dict[str, Any]) -> dict[str, Any]:
    return {
        "edges": Network(kept).edges,
        "dropped": np.array(dropped, dtype=str),
        "params": storable(params),
        "schema": {"version": 1, "kind": "regulons", "directed": True, "orientation": "source regulates target"},
    }
