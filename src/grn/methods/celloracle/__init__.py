"""CellOracle: regression on the regulators of a base GRN, scores of genes, the network of simulations."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.celloracle import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
