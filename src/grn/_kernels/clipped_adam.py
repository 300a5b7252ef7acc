"""Adam with clipped gradients and a rate that decays with every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# the constants of Adam
_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8
CLIP = 10.0


class ClippedAdam:
    """Steps of Adam (Kingma and Ba 2015), every element of a gradient clipped beforehand.

    Parameters
    ----------
    rate
        Rate before the first step.
    decay
        Factor of the rate, with every step.
    """

    def __init__(self, rate: float, decay: float) -> None:
        self.rate, self.decay, self.steps = rate, decay, 0

    def advance(self) -> None:
        """Begin the next step of all parameters."""
        self.steps += 1
        self.rate *= self.decay
        self._size = self.rate * math.sqrt(1.0 - _SECOND**self.steps) / (1.0 - _FIRST**self.steps)

    def move(self, value: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor]) -> None:
        """Move a parameter, in place; the gradient is overwritten."""
        first, second = moments
        gradient.clamp_(-CLIP, CLIP)
        first.lerp_(gradient, 1.0 - _FIRST)
        second.mul_(_SECOND).addcmul_(gradient, gradient, value=1.0 - _SECOND)
        torch.sqrt(second, out=gradient)
        gradient.add_(_SMALL)
        value.addcdiv_(first, gradient, value=-self._size)


def moments_of(value: Tensor) -> tuple[Tensor, Tensor]:
    """Moments of a parameter before the first step."""
    return torch.zeros_like(value), torch.zeros_like(value)
