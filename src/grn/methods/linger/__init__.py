"""LINGER: a small network per gene of regulators and regions near it, read out as trans, cis and binding."""

from grn.methods.linger import method

__all__ = ["method"]
