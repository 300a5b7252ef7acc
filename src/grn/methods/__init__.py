"""Published systems and plain probes as records: one file each, none imports another."""

from grn.methods import (
    celloracle,
    correlation,
    genecompass,
    geneformer,
    genie3,
    grnboost2,
    lpm,
    renge,
    ridge,
    scgenept,
    scgpt,
    scprint,
    scrank,
    single,
    ugrn,
)
from grn.methods._cells import Cells, cells_of
from grn.methods._record import METHODS, Method, Task

__all__ = [
    "METHODS",
    "Cells",
    "Method",
    "Task",
    "celloracle",
    "cells_of",
    "correlation",
    "genecompass",
    "geneformer",
    "genie3",
    "grnboost2",
    "lpm",
    "renge",
    "ridge",
    "scgenept",
    "scgpt",
    "scprint",
    "scrank",
    "single",
    "ugrn",
]
