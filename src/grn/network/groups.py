"""The groups of a network beside those of the cells that it is used on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from grn._core.errors import GroupError
from grn.network._network import Network


def column_of(network: Network, groupby: str | None, what: str) -> str:
    """Column of ``obs`` with the groups of a network: the one asked for, else the one it was inferred with."""
    column = groupby if groupby is not None else network.params.get("groupby")
    if not isinstance(column, str):
        raise GroupError(
            f"{what} has groups ({', '.join(network.groups[:5])}) and does not say by which column of obs; pass "
            "groupby=."
        )
    return column


def edges_by_group(network: Network, column: str, names: Sequence[str], what: str) -> dict[str, pd.DataFrame]:
    """Edges of every group of cells that the network has; an error if it has none of them."""
    shared = [name for name in names if name in network.groups]
    if not shared:
        raise GroupError(
            f"obs[{column!r}] has {', '.join(names[:5]) or 'no groups'}, and {what} has "
            f"{', '.join(network.groups[:5])}; pass the groupby= it was inferred with."
        )
    edges = network.edges
    return {name: edges[(edges["group"] == name).to_numpy()] for name in shared}
