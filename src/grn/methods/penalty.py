"""Penalties that a regression can use."""

from __future__ import annotations

from grn._core import checks

# beside correlations of 1, and beside sums of squares over up to some hundred thousand cells
OF_CORRELATIONS, OF_SUMS = 1e-10, 1e-5


def check_penalty(name: str, value: object, least: float, otherwise: str = "") -> float:
    """Refuse what is no number, or so small that it is lost in rounding where regulators depend on each other."""
    why = f": a smaller penalty is lost in rounding where regulators depend on each other{otherwise}"
    return checks.number(name, value, least=least, note=why)
