"""Published systems and plain probes as records: one file each, none imports another."""

from grn.methods import genecompass, geneformer, lpm, scgenept, scgpt, scprint, single, ugrn
from grn.methods._record import METHODS, Method, Task

__all__ = [
    "METHODS",
    "Method",
    "Task",
    "genecompass",
    "geneformer",
    "lpm",
    "scgenept",
    "scgpt",
    "scprint",
    "single",
    "ugrn",
]
