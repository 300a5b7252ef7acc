"""Choosing the strongest links of every gene or region."""

from __future__ import annotations

import numpy as np


def above_quantile(groups: np.ndarray, values: np.ndarray, quantile: float) -> np.ndarray:
    """Links (L,) above a quantile of the values of their group.

    Parameters
    ----------
    groups
        Group (L,) of every link, integers.
    values
        Values (L,).
    quantile
        Between 0 and 1; between two values it is interpolated.

    Returns
    -------
    ndarray
        Mask (L,). A link that is alone in its group is not above itself. Cost: a sort.
    """
    order, first, size = _sorted(groups, values)
    place = quantile * (size - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    ordered = values[order]
    at_low, at_high = ordered[first + low], ordered[first + high]
    limit = at_low + (at_high - at_low) * (place - low)
    mask = np.zeros(len(values), dtype=bool)
    mask[order] = ordered > np.repeat(limit, size)
    return mask


def strongest(groups: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    """Links (L,) among the ``number`` largest of their group; of equal ones the later."""
    order, _, size = _sorted(groups, values)
    left = np.repeat(np.cumsum(size), size) - np.arange(len(values))
    mask = np.zeros(len(values), dtype=bool)
    mask[order] = left <= number
    return mask


def _sorted(groups: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order by group and value, and the first place and the size of every group."""
    order = np.lexsort((values, groups))
    ordered = np.asarray(groups)[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else np.zeros(0, dtype=np.int64)
    return order, first, np.diff(np.append(first, len(order)))
