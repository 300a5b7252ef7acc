"""Who competes in the benchmark: methods with parameters, and the readings of the published tables by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from grn.methods.provenance import recordable

VARIANTS = ("", "shuffled weights", "shuffled names")


@dataclass(frozen=True)
class Entry:
    """A method of :func:`grn.tl.methods` with parameters, as it enters :func:`grn.bench.run`.

    Parameters
    ----------
    method
        Name of the method.
    params
        Parameters of the method. Probes of a model (``vvp``, ``gradient_trajectory``, ``pert``, ``attention``,
        ``embedding``, ``ugrn``) take ``translator`` too: ``"train"``, one that is fitted on the training set of the
        trial (for ``pert`` and ``attention`` none is the default, for the others this); ``None``, the raw strength;
        ``"string"`` or ``"chip"``, a shipped one; or one of your own. All edges of a method are scored: parameters that
        only choose which of them are listed, such as ``top`` of ``celloracle``, change nothing.
    variant
        What is done to the model: ``"shuffled weights"``, ``"shuffled names"`` of genes, or nothing.
    label
        Name in the table; by default the method with its parameters, such as ``vvp(translator=None)``.
    kind
        ``"method"`` or ``"ablation"`` in the table; by default an ablation where something is done to the model.

    Examples
    --------
    >>> import grn
    >>> grn.bench.Entry("vvp", {"translator": None}).name
    'vvp(translator=None)'
    >>> grn.bench.Entry("ugrn", variant="shuffled weights").name
    'ugrn, shuffled weights'
    """

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""
    label: str = ""
    kind: str = ""

    @property
    def name(self) -> str:
        """Name in the table."""
        if self.label:
            return self.label
        params = ", ".join(f"{name}={recordable(value)}" for name, value in self.params.items())
        return f"{self.method}{f'({params})' if params else ''}{f', {self.variant}' if self.variant else ''}"


def _listed(*entries: Entry) -> Mapping[str, Entry]:
    return MappingProxyType({entry.label: entry for entry in entries})


_RAW, _TRAINED = {"translator": None}, {"translator": "train"}
_SHUFFLED, _RENAMED = "shuffled weights", "shuffled names"

READINGS: Mapping[str, Entry] = _listed(
    Entry("pert", _RAW, label="Pert (origin)"),
    Entry("attention", _RAW, label="Attn (origin)"),
    Entry("vvp", _RAW, label="VVP (raw)"),
    Entry("gradient_trajectory", _RAW, label="GDT (raw)"),
    Entry("embedding", _RAW, label="Emb (cosine)"),
    Entry("pert", _TRAINED, label="Pert"),
    Entry("attention", _TRAINED, label="Attn"),
    Entry("embedding", _TRAINED, label="Emb"),
    Entry("vvp", _TRAINED, label="VVP"),
    Entry("gradient_trajectory", _TRAINED, label="GDT"),
    Entry("ugrn", _TRAINED, label="Ens"),
    Entry("vvp", _TRAINED, _SHUFFLED, "VVP, shuffled weights"),
    Entry("gradient_trajectory", _TRAINED, _SHUFFLED, "GDT, shuffled weights"),
    Entry("ugrn", _TRAINED, _SHUFFLED, "Ens, shuffled weights"),
    Entry("embedding", _TRAINED, _SHUFFLED, "Emb, shuffled weights"),
    Entry("ugrn", _TRAINED, _RENAMED, "Ens, shuffled names"),
    Entry("embedding", _TRAINED, _RENAMED, "Emb, shuffled names"),
    Entry("gradient_trajectory", {**_TRAINED, "background": "moving"}, label="GDT, moving background", kind="ablation"),
    Entry("ugrn", {**_TRAINED, "context": "mean"}, label="Ens, real mean cell", kind="ablation"),
)
"""Readings of a model by their labels in the published tables; what :func:`grn.bench.run` takes by default."""
