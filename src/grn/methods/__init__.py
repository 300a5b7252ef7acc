"""Published systems, probes and baselines as records: a folder each, none imports another."""

from grn.methods import (
    baselines,
    celloracle,
    dictys,
    flecs,
    foundation,
    linger,
    probes,
    renge,
    ritini,
    scenicplus,
    scrank,
)
from grn.methods.group import Fitted, Group
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, Method, Result, Table, Task

__all__ = [
    "METHODS",
    "Fitted",
    "Group",
    "Inputs",
    "Method",
    "Result",
    "Table",
    "Task",
    "baselines",
    "celloracle",
    "dictys",
    "flecs",
    "foundation",
    "linger",
    "probes",
    "renge",
    "ritini",
    "scenicplus",
    "scrank",
]
