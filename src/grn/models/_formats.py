"""Which architecture a checkpoint belongs to, and how it is read and written."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from grn._core import checks
from grn._core.errors import CapabilityError, ParameterError, WeightsError
from grn.models._checkpoint import Checkpoint
from grn.models._published_model import Published

# the first that recognises a checkpoint takes it, so the more special comes first
FAMILIES = ("lpm", "scprint", "scgenept", "scgpt", "genecompass", "geneformer")


@dataclass(frozen=True)
class Format:
    """How one family of models lies on disk.

    Parameters
    ----------
    family
        Name of the family and of its module.
    recognises
        Whether a checkpoint is of this family, by its keys.
    load
        ``load(checkpoint, *, name, dtype, ...) -> model``; further keyword-only parameters are the user's ``params``.
    save
        ``save(model, folder)`` writes the published layout.
    untrained
        ``untrained(genes, *, layers, width, heads, rng) -> model`` with random weights.
    """

    family: str
    recognises: Callable[[Checkpoint], bool]
    load: Callable[..., Published]
    save: Callable[[Any, Path], Path]
    untrained: Callable[..., Published]

    def parameters(self) -> dict[str, Any]:
        """The family's own parameters with their defaults."""
        signature = inspect.signature(self.load).parameters.values()
        return {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in ("name", "dtype")}

    def check(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters the family does not have."""
        valid = self.parameters()
        unknown = sorted(set(params) - set(valid), key=str)
        if unknown:
            raise ParameterError(
                f"{self.family} has no parameter {', '.join(map(repr, unknown))}; valid are: "
                f"{', '.join(f'{k}={v!r}' for k, v in valid.items()) or 'none'}."
            )


def reading(found: Format, params: Mapping[str, Any], dtype: str) -> str:
    """How a checkpoint is read, as a suffix of its hash: parameters that differ from the defaults, ``""`` if none."""
    default = {**found.parameters(), "dtype": "float32"}
    given = {**params, "dtype": dtype}
    other = {k: Path(v).name if isinstance(v, Path) else v for k, v in sorted(given.items()) if v != default[k]}
    return "".join(f"+{name}={value}" for name, value in other.items())


def format_of(family: str) -> Format:
    """The format of a family by name."""
    checks.word("family", family, sorted(FAMILIES))
    layout: Format = import_module(f"grn.models.{family}").FORMAT
    return layout


def detect(checkpoint: Checkpoint) -> Format:
    """The format of a checkpoint by its keys."""
    for family in FAMILIES:
        layout = format_of(family)
        if layout.recognises(checkpoint):
            return layout
    keys = sorted(checkpoint.tensors)
    raise WeightsError(
        f"{checkpoint.path} is of no known architecture; it has {len(keys)} keys such as {', '.join(keys[:5])}. "
        f"Known are mini, {', '.join(FAMILIES)}."
    )


def of_model(model: object) -> Format:
    """The format of a loaded model."""
    family = getattr(model, "family", None)
    if isinstance(model, type) or family not in FAMILIES:
        raise CapabilityError(
            f"a model of type {type(model).__name__} has no file format here; mini and the published families have: "
            f"{', '.join(FAMILIES)}."
        )
    return format_of(family)
