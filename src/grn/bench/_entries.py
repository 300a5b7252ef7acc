"""Who competes in the benchmark: methods with parameters, and the readings of the published tables by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from grn.methods.provenance import recordable

VARIANTS = ("", "shuffled weights", "shuffled names", "untrained SVD")


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
        ``"string"`` or ``"chip"``, a shipped one; or one of your own. ``universal`` takes ``"train"`` beside the names
        of those that are shipped with it: a logistic regression that is fitted on the training set, on the ``columns``
        listed: ``"response"``, ``"same stem"``, ``"same prefix"``, ``"motif"`` and ``"family motif"``, by default all.
        All edges of a method are scored: parameters that only choose which of them are listed, such as ``top`` of
        ``celloracle``, change nothing.
    variant
        What is done to the model: ``"shuffled weights"``, ``"shuffled names"`` of genes, or nothing. With a trained
        ``universal`` also ``"untrained SVD"``: in place of the model's response, the co-expression of the corpus in its
        128 leading components over the genes of a data set.
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
_RECOMMENDED = {**_RAW, "background": "unknown", "centred": True}
_COUNTED = {**_TRAINED, "relatives": "counted"}
_SHUFFLED, _RENAMED, _UNTRAINED = "shuffled weights", "shuffled names", "untrained SVD"
_FULL = "universal (trained)"


def _with(name: str, *columns: str) -> Entry:
    """The regression refitted on some of its columns."""
    return Entry("universal", {**_COUNTED, "columns": columns}, label=f"{_FULL}, {name}", kind="ablation")


READINGS: Mapping[str, Entry] = _listed(
    Entry("pert", _RAW, label="Pert (origin)"),
    Entry("attention", _RAW, label="Attn (origin)"),
    Entry("vvp", _RAW, label="VVP (raw)"),
    Entry("gradient_trajectory", _RAW, label="GDT (raw)"),
    Entry("vvp", _RECOMMENDED, label="VVP (raw, recommended)"),
    Entry("gradient_trajectory", _RECOMMENDED, label="GDT (raw, recommended)"),
    Entry("embedding", _RAW, label="Emb (cosine)"),
    Entry("pert", _TRAINED, label="Pert"),
    Entry("attention", _TRAINED, label="Attn"),
    Entry("embedding", _TRAINED, label="Emb"),
    Entry("vvp", _TRAINED, label="VVP"),
    Entry("gradient_trajectory", _TRAINED, label="GDT"),
    Entry("ugrn", _TRAINED, label="Ens"),
    Entry("universal", label="universal"),
    Entry("universal", {"relatives": "counted"}, label="universal (relatives counted)"),
    Entry("universal", {"translator": "cells"}, label="universal (cells)"),
    Entry("universal", _COUNTED, label=_FULL),
    Entry("vvp", _TRAINED, _SHUFFLED, "VVP, shuffled weights"),
    Entry("gradient_trajectory", _TRAINED, _SHUFFLED, "GDT, shuffled weights"),
    Entry("ugrn", _TRAINED, _SHUFFLED, "Ens, shuffled weights"),
    Entry("embedding", _TRAINED, _SHUFFLED, "Emb, shuffled weights"),
    Entry("ugrn", _TRAINED, _RENAMED, "Ens, shuffled names"),
    Entry("embedding", _TRAINED, _RENAMED, "Emb, shuffled names"),
    Entry("gradient_trajectory", {**_TRAINED, "background": "moving"}, label="GDT, moving background", kind="ablation"),
    Entry("ugrn", {**_TRAINED, "context": "mean"}, label="Ens, real mean cell", kind="ablation"),
    Entry("universal", _COUNTED, _SHUFFLED, f"{_FULL}, {_SHUFFLED}"),
    Entry("universal", _COUNTED, _RENAMED, f"{_FULL}, {_RENAMED}"),
    Entry("universal", _COUNTED, _UNTRAINED, f"{_FULL}, {_UNTRAINED}"),
    _with("response alone", "response"),
    _with("stem alone", "same stem"),
    _with("prefix alone", "same prefix"),
    _with("motif alone", "motif", "family motif"),
    _with("without response", "same stem", "same prefix", "motif", "family motif"),
    _with("without stem", "response", "same prefix", "motif", "family motif"),
    _with("without prefix", "response", "same stem", "motif", "family motif"),
    _with("without motif", "response", "same stem", "same prefix"),
)
"""Readings of a model by their labels in the published tables; what :func:`grn.bench.run` takes by default."""
