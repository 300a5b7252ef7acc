"""CellOracle: regression on the regulators of a base GRN, scores of genes, the network of simulations."""

from grn.methods.celloracle import method

__all__ = ["method"]
