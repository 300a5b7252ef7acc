"""The same edges with another record of where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grn.network._network import Network
from grn.network.schema import plain, restored


def with_params(network: Network, params: Mapping[str, Any]) -> Network:
    """The network with other provenance; the table is not checked again.

    Parameters
    ----------
    network
        The network, which stays as it is.
    params
        Its provenance, as :class:`grn.Network` takes it.
    """
    made = network._with_edges(network._edges)
    made._params = plain(restored(params))
    return made
