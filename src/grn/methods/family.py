"""Recipes that read one published model in the way its authors do."""

from __future__ import annotations

from grn._core.errors import CapabilityError
from grn.models import FoundationModel


def need_family(model: FoundationModel, family: str, method: str) -> None:
    """Raise unless a model is of the family whose recipe is asked for."""
    found = getattr(model, "family", None)
    if found != family:
        raise CapabilityError(
            f"method {method!r} reads models of the family {family}; {model.name!r} is {found or 'another'}. "
            f"Pass model=grn.models.load(PATH) with a checkpoint of {family}; see grn.models.available()."
        )
