"""LINGER: a small network per gene of regulators and regions near it, read out as trans, cis and binding."""

from typing import TYPE_CHECKING

from grn._core.lazy import lazy_names

if TYPE_CHECKING:
    from grn.methods.linger import method
else:
    __getattr__, __dir__ = lazy_names(__name__, {})

__all__ = ["method"]
