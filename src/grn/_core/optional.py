"""Imports that only some functions need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from grn._core.errors import MissingDependencyError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module or say which extra installs it.

    Parameters
    ----------
    module
        Name of the module.
    extra
        Extra of ``grn`` that brings it.
    purpose
        What it is needed for, as the object of "is needed for".
    """
    try:
        return import_module(module)
    except ImportError as error:
        message = f"{module} is needed for {purpose} and is not installed. Run: pip install 'grn[{extra}]'"
        raise MissingDependencyError(message) from error
