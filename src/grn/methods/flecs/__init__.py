"""FLeCS: a differential equation of genes on a prior network, fitted to paths of cells."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.flecs import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
