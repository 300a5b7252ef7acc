"""What has been measured of methods, as the pages of the documentation have it.

``scripts/collect_measures.py`` makes the file from the tables of these pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Measure:
    """Figures of several methods, in the same cells.

    Parameters
    ----------
    question
        The question that they tell of, see :mod:`grn.methods.questions`.
    what
        What the figures are; larger is better.
    page
        Page of the documentation with the whole table.
    chance
        What chance gives.
    baseline
        Name and figure of what a method must be above to be worth its while; ``None`` if it was not measured there.
    values
        Figure by method; some are published networks.
    """

    question: str
    what: str
    page: str
    chance: float
    baseline: tuple[str, float] | None
    values: Mapping[str, float]

    def gain(self, method: str) -> float | None:
        """By how much a method is above the baseline; ``None`` where that is not known."""
        if method not in self.values or self.baseline is None or self.baseline[0].partition(",")[0] == method:
            return None
        return self.values[method] - self.baseline[1]

    def told(self, method: str) -> str:
        """The figure of a method beside the baseline and chance."""
        floor = "" if self.baseline is None else f"{self.baseline[0]} {self.baseline[1]:g}, "
        return f"{self.values[method]:g} ({floor}chance {self.chance:g}): {self.what}"


@cache
def measures() -> Mapping[str, Measure]:
    """All that has been measured, by name."""
    text = files("grn.methods").joinpath("measured.json").read_text(encoding="utf-8")
    found = {}
    for name, entry in json.loads(text).items():
        floor = entry["baseline"]
        found[name] = Measure(**{**entry, "baseline": None if floor is None else (str(floor[0]), float(floor[1]))})
    return found
