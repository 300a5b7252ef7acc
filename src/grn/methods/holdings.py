"""What an object holds for methods to read, in words, and the call that would add what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grn._core.errors import GrnError
from grn._core.logging import some
from grn._object.annotation import Columns
from grn.methods.inputs import Inputs
from grn.network.schema import is_network


@dataclass(frozen=True)
class Holding:
    """One thing that methods may read.

    Parameters
    ----------
    there
        Whether the object has it.
    found
        What there is, or what is missing.
    call
        What makes it; ``""`` where it is there, or no call can.
    """

    there: bool
    found: str
    call: str = ""


def holdings(inputs: Inputs, uns: Mapping[str, Any], columns: Columns) -> dict[str, Holding]:
    """What an object holds, by name."""
    regions = _tried(lambda: f"{len(inputs.chromatin.names):,} regions of the same cells")
    found = {
        "cells": _cells(inputs),
        "counts": _tried(lambda: inputs.need_counts() or "raw counts are in the matrix asked for"),
        "regulators": _regulators(inputs),
        "model": _tried(lambda: _known(inputs)),
        "groups": _groups(columns),
        "conditions": _conditions(inputs, columns),
        "knock-outs": _knockouts(columns),
        "trajectory": _trajectory(inputs, columns),
        "regions": regions,
    }
    if regions.there:
        found["links"] = _tried(lambda: f"{len(inputs.chromatin.links()):,} links of regions and genes")
        found["motifs"] = _tried(lambda: f"hits of {inputs.chromatin.hits()[0].shape[1]:,} motifs")
    return found | _results(uns)


def _tried(look: Callable[[], str]) -> Holding:
    """What is there, or the error that says how to make it."""
    try:
        return Holding(there=True, found=look())
    except GrnError as error:
        return Holding(there=False, found=str(error))


def _cells(inputs: Inputs) -> Holding:
    shape = f"{inputs.n_cells:,} cells x {len(inputs.genes):,} genes"
    seen = _tried(lambda: f"{shape}, values: {inputs.expression.kind}")
    return seen if seen.there else Holding(there=False, found=f"{shape}; {seen.found}")


def _regulators(inputs: Inputs) -> Holding:
    number = int(inputs.regulators.sum())
    call = "" if number else "grn.pp.align_genes(adata); grn.pp.annotate_regulators(adata)"
    return Holding(number > 0, f"{number:,} regulators among the genes", call)


def _known(inputs: Inputs) -> str:
    pairs, name = inputs.pairs, inputs.task.model.name
    return f"{name!r} knows {len(pairs.sources):,} of the regulators and {len(pairs.targets):,} of the genes"


def _groups(columns: Columns) -> Holding:
    named = [f"obs[{name!r}] ({number})" for name, number in columns.groups.items()]
    if named:
        return Holding(there=True, found=f"labels with enough cells each: {some(named, 4)}")
    return Holding(there=False, found="no column of labels that all have enough cells", call="sc.tl.leiden(adata)")


def _conditions(inputs: Inputs, columns: Columns) -> Holding:
    if not columns.condition:
        return Holding(there=False, found="no column is named as one of conditions; pass condition=")
    kinds, _ = inputs.labels(columns.condition, gaps=True)
    donor = (
        f"; donors, by its name: obs[{columns.donor!r}]" if columns.donor else "; no column is named as one of donors"
    )
    return Holding(there=len(kinds) > 1, found=f"obs[{columns.condition!r}]: {some(kinds, 4)}{donor}")


def _knockouts(columns: Columns) -> Holding:
    if not columns.perturbation:
        return Holding(there=False, found="no column has names of genes for labels; pass perturbation=")
    control = f", control {columns.control!r}" if columns.control else ", no label stands for the control"
    time = f", times in obs[{columns.time!r}]" if columns.time else ", no column of times"
    return Holding(there=True, found=f"obs[{columns.perturbation!r}]{control}{time}")


def _trajectory(inputs: Inputs, columns: Columns) -> Holding:
    made = _tried(lambda: f"{len(inputs.trajectory().lineages)} lineages")
    if made.there:
        return made
    course = f"pseudotime={columns.pseudotime!r}" if columns.pseudotime else ""
    course = course or (f"time={columns.time!r}" if columns.time else "pseudotime='dpt_pseudotime'")
    return Holding(there=False, found="no trajectory", call=f"grn.pp.trajectory(adata, {course})")


def _results(uns: Mapping[str, Any]) -> dict[str, Holding]:
    """Networks and pair features that earlier calls left."""
    features = [k for k, v in uns.items() if isinstance(v, Mapping) and {"sources", "grid"} <= set(v)]
    kinds = {"features": features, "networks": [key for key, value in uns.items() if is_network(value)]}
    return {kind: Holding(there=True, found=some(map(repr, keys), 5)) for kind, keys in kinds.items() if keys}
