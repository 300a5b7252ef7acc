"""RiTINI: a neural ODE on a graph of genes along a trajectory, whose attention is read as regulation over time."""

from grn.methods.ritini import method

__all__ = ["method"]
