"""RENGE: a network from a time series of knock-outs."""

from grn.methods.renge import method

__all__ = ["method"]
