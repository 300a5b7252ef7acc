"""Published systems, probes and baselines as records: a folder each, none imports another."""

from grn.methods import baselines, celloracle, foundation, probes, renge, scrank
from grn.methods.cells import Cells, cells_of
from grn.methods.record import METHODS, Method, Task

__all__ = [
    "METHODS",
    "Cells",
    "Method",
    "Task",
    "baselines",
    "celloracle",
    "cells_of",
    "foundation",
    "probes",
    "renge",
    "scrank",
]
