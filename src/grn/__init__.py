"""Gene regulatory networks from single cells and frozen foundation models.

The namespaces follow scanpy: ``grn.pp`` prepares an object, ``grn.models``
holds foundation models, ``grn.tl`` computes, ``grn.get`` reads results,
``grn.pl`` draws, ``grn.datasets`` loads data, ``grn.bench`` tests what
generalizes; ``grn.genes`` knows names of genes, ``grn.genome`` regions and
motifs, ``grn.methods`` the records of methods; ``grn.report`` writes what an
object holds as one page. They are imported on first use, so ``import grn`` loads neither
torch nor matplotlib nor scanpy.
"""

from importlib import import_module
from typing import Any

from grn import errors
from grn._core.settings import settings

__version__ = "0.2.0"

_NAMESPACES = ("bench", "datasets", "genes", "genome", "get", "methods", "models", "pl", "pp", "tl")
_OBJECTS = {"Network": "grn.network", "report": "grn._report"}

__all__ = [
    "Network",
    "__version__",
    "bench",
    "datasets",
    "errors",
    "genes",
    "genome",
    "get",
    "methods",
    "models",
    "pl",
    "pp",
    "report",
    "settings",
    "tl",
]


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"grn.{name}")
    if name in _OBJECTS:
        return getattr(import_module(_OBJECTS[name]), name)
    raise AttributeError(f"module 'grn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMESPACES, *_OBJECTS})
