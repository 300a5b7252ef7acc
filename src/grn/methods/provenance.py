"""What is told of how a network was made."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from grn.models import FoundationModel

# what stands for a parameter that ``uns`` cannot keep
GIVEN = "given"


def recordable(value: Any) -> Any:
    """A parameter as ``uns`` can keep it; ``"given"`` for tables, models and other objects."""
    if value is None or isinstance(value, bool | str | Real | np.bool_):
        return value
    if isinstance(value, Mapping):
        found = {name: recordable(item) for name, item in value.items()}
        keys = all(isinstance(name, str) and name for name in found)
        lost = [item for item in found.values() if isinstance(item, str) and item == GIVEN]
        return found if keys and not lost else GIVEN
    if isinstance(value, list | tuple | np.ndarray | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
        if any(all(isinstance(item, kind) for item in items) for kind in (str, bool, Real)):
            return items
    return GIVEN


def provenance(model: FoundationModel | None) -> dict[str, str]:
    """What made a result: model and weights, if any, and the package."""
    from grn import __version__

    if model is None:
        return {"grn_version": __version__}
    return {"model": model.name, "model_sha256": model.sha256, "grn_version": __version__}
