"""Probes of a frozen model: what is read of it for every pair of genes, and networks made of that."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.probes import single, ugrn, universal
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["single", "ugrn", "universal"]
