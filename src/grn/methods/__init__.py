"""Published systems and plain probes as records: one file each, none imports another."""

from grn.methods import single, ugrn
from grn.methods._record import METHODS, Method, Task

__all__ = ["METHODS", "Method", "Task", "single", "ugrn"]
