"""FLeCS: a differential equation of genes on a prior network, fitted to paths of cells."""

from grn.methods.flecs import method

__all__ = ["method"]
