"""scRank: networks of groups of cells, and which of them a drug changes most."""

from grn.methods.scrank import method

__all__ = ["method"]
