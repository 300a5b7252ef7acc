"""Random numbers inside compiled loops, and draws without replacement."""

from __future__ import annotations

from typing import Any

import numpy as np

from grn._kernels.lanes import Array, compiled


@compiled
def number(state: Array) -> Any:
    """Next number of splitmix64 (Steele et al. 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def below(n: int, state: Array) -> Any:
    """A number from 0 to n - 1, for n up to 2 ** 32."""
    return np.int64(((number(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@compiled
def draw(order: Array, size: int, state: Array) -> None:
    """Bring ``size`` members drawn without replacement to the front."""
    n = len(order)
    for i in range(size):
        j = i + below(n - i, state)
        order[i], order[j] = order[j], order[i]
