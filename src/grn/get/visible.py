"""Which edges of a stored network an object shows: those between features that it still has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from grn._core.logging import hint, logger
from grn.network import Network
from grn.network.schema import holder, is_regulons


def visible(net: Network, data: Any, key: str) -> Network:
    """The edges with both ends in the object; others are hidden, and their number is logged."""
    names = var_names_of(data)
    if names is None:
        return net
    shown = net.within(names, targets_only=is_regulons(getattr(holder(data, key), "uns", {}).get(key)))
    if len(shown) < len(net):
        hint("hid %d of %d edges with an end that is not in var_names", len(net) - len(shown), len(net))
    if len(net) and not len(shown):
        logger.warning("all %d edges are hidden: none has both ends in var_names", len(net))
    return shown


def var_names_of(data: Any) -> Iterable[str] | None:
    """Names of all features, of all modalities; ``None`` for what is no object."""
    if isinstance(data, Network | pd.DataFrame | list | tuple):
        return None
    names = set(data.var_names)
    for part in getattr(data, "mod", {}).values():
        names.update(part.var_names)
    return names
