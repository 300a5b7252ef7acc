"""The base GRN of the open chromatin beside the cells, for methods that are asked for it by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grn._core.errors import CellNameError, RegionError, ResultNotFoundError
from grn._object.chromatin import Chromatin
from grn.methods.inputs import Inputs

# motifs in the regions of a gene; the same where there is open chromatin, else all pairs
REGIONS, AUTO = "regions", "auto"
_BY_HAND = (
    "A base GRN of other regions, links or starts, for which cells need no pairs, is made before: "
    "base_grn=grn.pp.base_grn_from_regions(mdata, ...)."
)


def with_chromatin_prior(inputs: Inputs, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a method with a table, or ``None``, in the place of a ``base_grn`` that was asked for by name.

    Raises
    ------
    RegionError, CellNameError
        If there is no open chromatin of the same cells.
    ResultNotFoundError
        If no motifs were looked for in it.
    NetworkError
        If no edge is left.
    """
    chromatin, asked = need_chromatin_prior(inputs, arguments), arguments.get("base_grn")
    if chromatin is None:
        nothing_there = isinstance(asked, str) and asked == AUTO
        return {**arguments, "base_grn": None} if nothing_there else dict(arguments)
    from grn.pp import base_grn_from_regions  # which loads what reads genomes

    try:
        return {**arguments, "base_grn": base_grn_from_regions(chromatin.regions.atac)}
    except RegionError as error:
        raise RegionError(f"{error} {_BY_HAND}") from error


def need_chromatin_prior(inputs: Inputs, arguments: Mapping[str, Any]) -> Chromatin | None:
    """The open chromatin that a base GRN is asked of, with motif hits; ``None`` where none is asked for."""
    asked = arguments.get("base_grn")
    if not isinstance(asked, str) or asked not in (REGIONS, AUTO) or (asked == AUTO and not inputs.has_chromatin):
        return None
    try:
        inputs.chromatin.hits()  # its message names the modality
    except ResultNotFoundError as error:
        raise ResultNotFoundError(f"{error} Or pass base_grn=None, which allows all pairs.") from error
    except (CellNameError, RegionError) as error:
        raise type(error)(f"{error} {_BY_HAND}") from error
    return inputs.chromatin


def named_prior(asked: Mapping[str, Any], used: Mapping[str, Any]) -> dict[str, Any]:
    """What is recorded of a base GRN that was asked for by name: the name by which the same is made again."""
    name = asked.get("base_grn")
    if not isinstance(name, str) or used["base_grn"] is name:
        return {}
    return {"base_grn": name if used["base_grn"] is None else REGIONS}
