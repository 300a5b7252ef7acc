"""The network that regulators are read from: an entry of the object, or one that was passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grn._core.errors import ParameterError
from grn._object.genes import edges_in_names
from grn.network import Network

if TYPE_CHECKING:
    from anndata import AnnData


def network_of(adata: AnnData, net: str | Network) -> Network:
    """The network, with names as in the object; an edge of a gene to itself says nothing of its targets."""
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
    return Network(
        other.reset_index(drop=True), directed=network.directed, signed=network.signed, params=network.params
    )


def name_of(net: str | Network) -> str:
    """What ``params`` say of the network."""
    return net if isinstance(net, str) else str(net.params.get("resource", "a network that was passed"))
