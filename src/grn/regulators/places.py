"""Places of regulators by a score, and those that have none because they have too few targets."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grn._core.errors import NetworkError
from grn._core.logging import hint, some
from grn._kernels.ties import merged

DIRECTIONS = ("up", "down", "both")


def places(score: pd.Series, direction: str) -> pd.Series:
    """Rank of every score, 1 for the first; values equal up to rounding share the smaller one, NaN has none."""
    order = {"up": score, "down": -score, "both": score.abs()}[direction]
    return pd.Series(merged(order.to_numpy())).rank(ascending=False, method="min")


def nothing_to_place(min_targets: int) -> NetworkError:
    """The error of a network none of whose regulators has enough targets."""
    return NetworkError(
        f"no regulator of the network has {min_targets} targets that vary among the genes of this object; lower "
        "min_targets=, relax the filters, or run grn.pp.align_genes(adata) if its gene names are spelled otherwise."
    )


def tell_unplaced(number: Mapping[str, int], min_targets: int) -> None:
    """Say how many regulators have no place, by group (one empty name without groups)."""
    few = [f"{count}{f' in {name}' if name else ''}" for name, count in number.items() if count]
    if few:
        hint("regulators with fewer than %d targets that vary, without a rank: %s", min_targets, some(few, 8))
