"""One formula for both: arrays of numpy on the processor, or 64-bit tensors of torch on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from grn._core.errors import ParameterError


@dataclass(frozen=True)
class Arrays:
    """Where a kernel computes.

    Parameters
    ----------
    xp
        The module ``numpy`` or ``torch``, whose functions of one name do the same.
    device
        Torch device; ``None`` for numpy.
    """

    xp: Any
    device: str | None

    def put(self, values: Any) -> Any:
        """Values as 64-bit numbers where they are computed with; types travel as they are and widen there."""
        if self.device is None:
            return np.asarray(values, dtype=np.float64)
        return self.xp.as_tensor(np.ascontiguousarray(values), device=self.device).to(self.xp.float64)

    def take(self, values: Any) -> np.ndarray:
        """Results as an array of numpy."""
        back: np.ndarray = values if self.device is None else values.cpu().numpy()
        return back

    def zeros(self, *shape: int) -> Any:
        """Zeros of a shape."""
        return self.put(np.zeros(shape)) if self.device is None else self._made("zeros", shape)

    def eye(self, size: int) -> Any:
        """The identity matrix."""
        return np.eye(size) if self.device is None else self._made("eye", size)

    def definite(self, matrix: Any) -> Callable[[Any], Any]:
        """Factorise a positive definite matrix, or a stack of them; the function solves for right-hand sides."""
        if self.device is None:
            from scipy.linalg import cho_factor, cho_solve

            factor = cho_factor(matrix)
            return lambda right: cho_solve(factor, right)
        lower = self.xp.linalg.cholesky(matrix)
        return lambda right: self.xp.cholesky_solve(right, lower)

    def _made(self, kind: str, shape: Any) -> Any:
        return getattr(self.xp, kind)(shape, dtype=self.xp.float64, device=self.device)


def arrays_on(device: str | None) -> Arrays:
    """Arrays of numpy for ``None``, which needs no torch, else tensors on a torch device that has 64-bit numbers."""
    if device is None:
        return Arrays(np, None)
    import torch

    if torch.device(device).type == "mps":
        raise ParameterError(f"device={device!r} has no 64-bit numbers, which this computes in; use device='cpu'.")
    return Arrays(torch, device)
