"""Dictys: a network whose steady state explains the counts of cells, per group or along a trajectory."""

from grn.methods.dictys import method

__all__ = ["method"]
