"""Penalties that a regression can use."""

from __future__ import annotations

import numpy as np

from grn._core.errors import ParameterError

# beside correlations of 1, and beside sums of squares over up to some hundred thousand cells
OF_CORRELATIONS, OF_SUMS = 1e-10, 1e-5


def check_penalty(name: str, value: object, least: float, otherwise: str = "") -> None:
    """Refuse what is no number, or so small that it is lost in rounding where regulators depend on each other."""
    number = not isinstance(value, bool) and isinstance(value, int | float | np.integer | np.floating)
    if not number or not least <= float(value) < np.inf:  # type: ignore[arg-type]
        raise ParameterError(
            f"{name}={value!r}; pass a number of at least {least:g}: a smaller penalty is lost in rounding where "
            f"regulators depend on each other{otherwise}."
        )
