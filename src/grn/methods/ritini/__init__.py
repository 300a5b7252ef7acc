"""RiTINI: a neural ODE on a graph of genes along a trajectory, whose attention is read as regulation over time."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.ritini import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
