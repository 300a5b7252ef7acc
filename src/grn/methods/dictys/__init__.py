"""Dictys: a network whose steady state explains the counts of cells, per group or along a trajectory."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.dictys import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
