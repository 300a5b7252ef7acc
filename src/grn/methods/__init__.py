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
from grn.methods._record import METHODS, Method, Task

__all__ = [
    "METHODS",
    "Method",
    "Task",
    "celloracle",
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
