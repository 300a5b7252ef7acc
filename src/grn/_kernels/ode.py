"""Ordinary differential equations of many cells at once, with exact gradients by automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from grn._core import checks
from grn._core.errors import ParameterError

Drift = Callable[[float, Tensor], Tensor]

SOLVERS = ("rk4", "dopri5")

# Dormand and Prince 1980: places, weights of earlier slopes per stage, and fifth minus fourth order
_AT = (0.2, 0.3, 0.8, 8 / 9, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
_FIFTH = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate(
    drift: Drift,
    state: Tensor,
    times: Tensor | np.ndarray | Sequence[float],
    *,
    method: str = "rk4",
    step: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    max_steps: int = 100_000,
) -> Tensor:
    """Solve dx/dt = drift(t, x) from the first time on.

    Gradients with respect to the state and to everything that the drift reads are those of the steps that were taken,
    by backpropagation through them; the sizes of adaptive steps are constants to it.

    Parameters
    ----------
    drift
        Function of a time and of states of the shape of ``state``; it returns their slopes.
    state
        States at the first time (..., G): cells first, coordinates last.
    times
        Times at which states are wanted (T,), all increasing or all decreasing; the first is that of ``state``.
    method
        ``"rk4"``: Runge-Kutta of fourth order with steps of equal size, the same for a cell whatever the others are.
        ``"dopri5"``: Dormand and Prince's pair of fifth order, whose steps keep the error of every cell within the
        tolerances; cells solved together share them, so that a cell depends on the others within the tolerances.
    step
        Largest step of ``"rk4"``, which always ends at the times asked for; ``None`` for one step from time to time.
        For ``"dopri5"`` the first step; ``None`` derives it from the slopes.
    rtol, atol
        Tolerances of ``"dopri5"``: root mean square of errors of a cell in units of ``atol + rtol |x|`` below 1.
    max_steps
        Most steps, refused ones too.

    Returns
    -------
    Tensor
        States (T, ..., G), the first one as given.

    Raises
    ------
    ParameterError
        If times do not rise or fall throughout, or if the states do not stay finite.
    """
    checks.word("method", method, SOLVERS)
    limit = checks.integer("max_steps", max_steps, least=1)
    size = None if step is None else checks.number("step", step, above=0)
    at = _times(times)
    if method == "rk4":
        states = _fixed(drift, state, at, size, limit)
    else:
        tolerances = checks.number("rtol", rtol, above=0), checks.number("atol", atol, above=0)
        states = _adaptive(drift, state, at, size, tolerances, limit)
    solution = torch.stack([state, *states])  # (T, ..., G)
    if not bool(torch.isfinite(solution.detach()).all()):
        raise ParameterError(
            f"The states do not stay finite between times {at[0]:g} and {at[-1]:g}; pass a smaller step, or"
            " method='dopri5', unless the equation itself runs away."
        )
    return solution


def _times(times: Tensor | np.ndarray | Sequence[float]) -> list[float]:
    at = [float(t) for t in (times.tolist() if isinstance(times, Tensor | np.ndarray) else times)]
    steps = np.diff(at)
    if not at or not np.isfinite(at).all() or not (np.all(steps > 0) or np.all(steps < 0)):
        raise ParameterError(f"times={checks.shown(at)}; pass finite times that rise throughout, or fall throughout.")
    return at


def _fixed(drift: Drift, state: Tensor, times: list[float], step: float | None, limit: int) -> Iterator[Tensor]:
    """States at all times but the first."""
    counts = [1 if step is None else max(1, math.ceil(abs(b - a) / step - 1e-9)) for a, b in pairwise(times)]
    if sum(counts) > limit:
        raise ParameterError(
            f"{sum(counts)} steps of size {checks.shown(step)} are more than max_steps={limit}; pass a larger step."
        )
    for (start, end), n in zip(pairwise(times), counts, strict=True):
        h = (end - start) / n
        for i in range(n):
            state = _rk4(drift, start + i * h, state, h)
        yield state


def _rk4(drift: Drift, t: float, x: Tensor, h: float) -> Tensor:
    first = drift(t, x)
    second = drift(t + h / 2, x + (h / 2) * first)
    third = drift(t + h / 2, x + (h / 2) * second)
    fourth = drift(t + h, x + h * third)
    return x + (h / 6) * (first + 2 * (second + third) + fourth)


def _adaptive(
    drift: Drift, state: Tensor, times: list[float], step: float | None, tolerances: tuple[float, float], limit: int
) -> Iterator[Tensor]:
    """States at all times but the first; steps are cut where a time is asked for, so that nothing is interpolated."""
    t, taken = times[0], 0
    slope = drift(t, state)
    sign = 1.0 if times[-1] >= t else -1.0
    size = step or _first_step(drift, t, state, slope, sign, tolerances)
    for end in times[1:]:
        while t != end:
            left = abs(end - t)
            last = size >= left * (1 - 1e-12)
            h = sign * (left if last else size)
            proposed, final, error = _dormand_prince(drift, t, state, slope, h, tolerances)
            taken += 1
            if not taken < limit or not abs(h) > 1e-14 * max(abs(t), abs(end)):
                raise ParameterError(
                    f"No end after {taken} steps at time {t:g}: the states run away, or change on very different"
                    " scales; pass larger tolerances, or method='rk4' with a small step."
                )
            # a state that is not finite counts as an error of any size
            growth = 10.0 if error == 0 else 0.9 * error**-0.2 if math.isfinite(error) else 0.2
            if error <= 1.0:
                t, state, slope = (end if last else t + h), proposed, final
                # a step that was cut says nothing against the size that was planned
                size = max(size, abs(h) * min(10.0, growth)) if last else abs(h) * min(10.0, max(1.0, growth))
            else:
                size = abs(h) * max(0.2, min(1.0, growth))
        yield state


def _dormand_prince(
    drift: Drift, t: float, x: Tensor, slope: Tensor, h: float, tolerances: tuple[float, float]
) -> tuple[Tensor, Tensor, float]:
    """State after a step, its slope, and the error of the cell that is farthest off in units of the tolerances."""
    slopes = [slope]
    for place, weights in zip(_AT, _STAGES, strict=True):
        slopes.append(drift(t + place * h, x + h * _sum(weights, slopes)))
    proposed = x + h * _sum(_FIFTH, slopes)
    final = drift(t + h, proposed)
    with torch.no_grad():
        error = h * _sum(_ERROR, [*slopes, final])
        size = torch.maximum(x.abs(), proposed.abs())
        worst = _norms(error, size, tolerances)
    return proposed, final, worst


def _sum(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    terms = [w * k for w, k in zip(weights, slopes, strict=True) if w]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _norms(values: Tensor, size: Tensor, tolerances: tuple[float, float]) -> float:
    """Largest root mean square over the cells, in units of the tolerances; infinite where one is not a number."""
    rtol, atol = tolerances
    scaled = (values / (atol + rtol * size)).square()
    worst = float((scaled.mean(dim=-1) if scaled.ndim else scaled).max().sqrt())
    return worst if not math.isnan(worst) else math.inf


@torch.no_grad()
def _first_step(
    drift: Drift, t: float, x: Tensor, slope: Tensor, sign: float, tolerances: tuple[float, float]
) -> float:
    """A first step by the rule of Hairer, Norsett and Wanner (Solving Ordinary Differential Equations I, II.4)."""
    size = x.abs()
    at, speed = _norms(x, size, tolerances), _norms(slope, size, tolerances)
    guess = 1e-6 if min(at, speed) < 1e-5 or not math.isfinite(at + speed) else 0.01 * at / speed
    ahead = drift(t + sign * guess, x + sign * guess * slope)
    bend = _norms(ahead - slope, size, tolerances) / guess
    most = max(speed, bend)
    second = max(1e-6, guess * 1e-3) if most <= 1e-15 or not math.isfinite(most) else (0.01 / most) ** 0.2
    return min(100 * guess, second)
