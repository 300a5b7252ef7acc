"""What a fit of FLeCS predicts: courses from where paths start, with and without genes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grn._core.errors import ParameterError
from grn._kernels.edge_product import Edges
from grn._kernels.gene_ode import Parameters, Solver, drift
from grn._kernels.ode import Drift
from grn.methods.fits import Follow
from grn.methods.knockout import Course, Question


def knockout(fit: Mapping[str, Any], params: Mapping[str, Any], question: Question) -> dict[str, Course]:
    """Mean course of all networks after knock-outs, from the mean of the first cells, by lineage.

    The genes knocked out are held at ``1 - dose`` times their level in the course without knock-out, from the start.
    """
    question.refuse("FLeCS", "max_steps")
    times = np.asarray(fit["times"], dtype=np.float64) if question.times is None else question.times
    asked, back = np.unique(times, return_inverse=True)
    if asked[0] < 0:
        raise ParameterError(f"times={asked[0]:g}; paths start at time 0, pass times from there on.")
    equation = _Equation(fit, params)
    names = [str(name) for name in np.asarray(fit["lineages"])]
    courses = {}
    for name, start in zip(names, np.asarray(fit["start"]), strict=True):
        held = np.ones((len(question.sets), len(start)))
        for row, knocked in zip(held, question.sets, strict=True):
            row[knocked] = 1.0 - question.dose
        control, changed = equation.courses(start[None], held, asked)  # (T, 1, G), (T, sets, G)
        values = (changed - control if question.difference else changed).transpose(1, 0, 2)[:, back]
        courses["" if len(names) == 1 else name] = Course(times, values)
    return courses


def response(fit: Mapping[str, Any], params: Mapping[str, Any], *, steps: int) -> dict[str, Follow]:
    """Change of cells in which genes are held, after some units of time, against the same cells left alone."""
    equation = _Equation(fit, params)

    def follow(values: np.ndarray, genes: np.ndarray, start: np.ndarray) -> np.ndarray:
        here = values[:, genes]
        factor = np.ones(values.shape)
        factor[:, genes] = np.divide(here + start, here, out=np.ones_like(start, dtype=np.float64), where=here > 0)
        shift = np.zeros(values.shape)
        shift[:, genes] = np.where(here > 0, 0.0, start)
        control, changed = equation.courses(values, factor, np.array([0.0, float(steps)]), shift)
        change: np.ndarray = changed[-1] - control[-1]
        return change

    return {"": follow}


class _Equation:
    """The networks of a fit, in double precision."""

    def __init__(self, fit: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        self.at = Parameters(*(_tensor(fit[name]) for name in ("weights", "bias", "decay")))
        ends = [torch.as_tensor(np.asarray(fit[side], dtype=np.int64)) for side in ("source", "target")]
        self.edges = Edges(*ends, n_genes=self.at.bias.shape[1])
        self.scale = _tensor(fit["scale"])
        self.solver = Solver(str(params["solver"]), float(params["step"]))

    @torch.no_grad()
    def courses(
        self, start: np.ndarray, factor: np.ndarray, times: np.ndarray, shift: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Courses left alone (T, n, G) from ``start`` (n, G), and courses with genes held (T, m, G), n = m or 1.

        Genes whose ``factor`` (m, G) is not 1, or whose ``shift`` (m, G) is not 0, are held at their level in the
        course left alone, times the factor, plus the shift.
        """
        begin = [0.0, *times] if times[0] > 0 else list(times)
        scale = _tensor(factor)
        more = _tensor(np.zeros(factor.shape) if shift is None else shift) / self.scale
        there = (scale != 1) | (more != 0)
        n = len(start)
        free = (_tensor(start) / self.scale).expand(len(self.at.bias), -1, -1)  # (K, n, G)

        def held(alone: Tensor, x: Tensor) -> Tensor:
            return torch.where(there, alone * scale + more, x)

        slopes = drift(self.at, self.edges)

        def joint(t: float, x: Tensor) -> Tensor:
            alone, changed = x[:, :n], x[:, n:]
            return torch.cat([slopes(t, alone), slopes(t, held(alone, changed))], dim=1)

        state = torch.cat([free, held(free, free.expand(-1, len(scale), -1))], dim=1)
        states = self._solved(joint, state, np.array(begin))[len(begin) - len(times) :]
        alone, changed = states[:, :, :n], states[:, :, n:]
        return tuple((part.mean(dim=1) * self.scale).numpy() for part in (alone, held(alone, changed)))  # type: ignore[return-value]

    def _solved(self, slopes: Drift, state: Tensor, times: np.ndarray) -> Tensor:
        return state[None] if len(times) == 1 else self.solver(slopes, state, times)


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)
