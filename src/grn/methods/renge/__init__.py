"""RENGE: a network from a time series of knock-outs."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.renge import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
