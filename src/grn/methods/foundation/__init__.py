"""Recipes of published foundation models, each as its authors read networks from it."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.foundation import genecompass, geneformer, lpm, scgenept, scgpt, scprint
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["genecompass", "geneformer", "lpm", "scgenept", "scgpt", "scprint"]
