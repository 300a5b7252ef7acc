"""SCENIC+: importances of regulators and regions, modules, enrichment, eRegulons."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.scenicplus import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
