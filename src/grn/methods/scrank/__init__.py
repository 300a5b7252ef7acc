"""scRank: networks of groups of cells, and which of them a drug changes most."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.scrank import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
