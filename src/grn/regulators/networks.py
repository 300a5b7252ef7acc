"""The network that regulators are scored with: an entry of the object, or one that was passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from grn._core.errors import ParameterError
from grn._core.logging import logger, some
from grn._object.genes import edges_in_names
from grn.network import Network
from grn.network.groups import edges_by_group

if TYPE_CHECKING:
    from anndata import AnnData


def network_of(
    adata: AnnData,
    net: str | Network,
    *,
    min_probability: float | None,
    max_q: float | None,
    top_per_source: int | None,
) -> Network:
    """The network filtered, with targets and names of the object; an edge of a gene to itself says nothing of them."""
    if isinstance(net, Network):
        network = net
    elif isinstance(net, str):
        network = Network.from_anndata(adata, net)
    else:
        raise ParameterError(f"net has type {type(net).__name__}; pass the name of an entry of uns, or a grn.Network.")
    edges = edges_in_names(adata, network.edges)
    loops = edges["source"].astype(str).to_numpy() == edges["target"].astype(str).to_numpy()
    # two spellings of one gene: the stronger edge comes first
    other = edges[~loops].drop_duplicates([name for name in ("group", "source", "target") if name in edges])
    network = Network(
        other.reset_index(drop=True), directed=network.directed, signed=network.signed, params=network.params
    ).within(adata.var_names.astype(str), targets_only=True)
    return network.filter(min_probability=min_probability, max_q=max_q, top_per_source=top_per_source)


def edges_to_score(network: Network, column: str | None, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The edges to score every group of cells with; groups that the network lacks are left out and told."""
    if column is None or not network.groups:
        return dict.fromkeys(names, network.edges)
    edges = edges_by_group(network, column, names, "the network")
    lacking = [name for name in names if name not in edges]
    if lacking:
        logger.warning("%d groups have no network and are left out: %s", len(lacking), some(lacking))
    return edges


def name_of(net: str | Network) -> str:
    """What ``params`` say of the network."""
    return net if isinstance(net, str) else str(net.params.get("resource", "a network that was passed"))
