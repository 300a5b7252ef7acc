"""The contrast of two sides that an object holds, whether donors are its replicates, and the call that ranks by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grn._core.errors import GrnError
from grn._core.once import silently
from grn._object.annotation import Columns, control_label
from grn._object.groups import MIN_CELLS
from grn._object.samples import samples_of
from grn.methods.inputs import Inputs


@dataclass(frozen=True)
class Contrast:
    """Two sides of a column of ``obs``.

    Parameters
    ----------
    column, group, reference
        The column, the side of interest and the one that it is compared with.
    donor
        Column of the donors that are replicates; ``""`` where there are none.
    groupby
        Column of the types of cell within which donors are compared; ``""`` for all cells.
    obstacle
        Why the donors that there are cannot be replicates.
    """

    column: str
    group: str
    reference: str
    donor: str = ""
    groupby: str = ""
    obstacle: str = ""

    def call(self, name: str, net: str) -> str:
        """The call that ranks regulators: by donors where these are replicates, else by cells.

        Parameters
        ----------
        name
            Name of the object.
        net
            Argument ``net=``, or ``""`` for the network that was just made.
        """
        sides = {"condition": self.column, "group": self.group, "reference": self.reference}
        sides |= {key: value for key, value in (("donor", self.donor), ("groupby", self.groupby)) if value}
        function = "differential_activity" if self.donor else "rank_drivers"
        parts = [name, *([net] if net else []), *(f"{key}={value!r}" for key, value in sides.items())]
        return f"grn.tl.{function}({', '.join(parts)})"

    def caution(self) -> str:
        """What donors are to the comparison; ``""`` where no column is named as one of donors."""
        if self.donor:
            return (
                "figures are of grn.tl.rank_drivers, which counts cells; here donors are the replicates "
                "(how_to/conditions)"
            )
        return f"donors are no replicates here: {self.obstacle}" if self.obstacle else ""


def contrast_of(adata: Any, inputs: Inputs, columns: Columns) -> Contrast | None:
    """The contrast to ask about: of conditions, else of groups; ``None`` where no column has two sides."""
    name = columns.condition or next(iter(columns.groups), "")
    if not name:
        return None
    kinds, _ = inputs.labels(name, gaps=True)
    if len(kinds) < 2:
        return None
    reference = control_label(kinds) or (kinds[0] if columns.condition else "rest")
    sides = name, next(kind for kind in kinds if kind != reference), reference
    if not (columns.condition and columns.donor):
        return Contrast(*sides)
    asked = inputs.task.groupby
    obstacle = ""
    for groupby in [asked] if asked is not None else dict.fromkeys([columns.types or None, None]):
        obstacle = _obstacle(adata, sides, columns.donor, None if groupby == name else groupby)
        if not obstacle:
            return Contrast(*sides, donor=columns.donor, groupby="" if groupby in (None, name) else str(groupby))
    return Contrast(*sides, obstacle=obstacle)


def _obstacle(adata: Any, sides: tuple[str, str, str], donor: str, groupby: str | None) -> str:
    """Why donors cannot be compared; ``""`` if they can."""
    condition, group, reference = sides
    try:
        with silently():
            samples_of(adata, condition=condition, reference=reference, group=group, donor=donor,
                       groupby=groupby, min_cells=MIN_CELLS)  # fmt: skip
    except GrnError as error:
        return str(error)
    return ""
